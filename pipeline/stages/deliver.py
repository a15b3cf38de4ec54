"""Workers on leased sessions: each takes the next row, sends it, and notes the outcome; recovery is a table.

    raised            | what is done                                    | costs an attempt | ends as
    ------------------|-------------------------------------------------|------------------|-----------------------------
    NotDelivered      | backs off, sends again; the outage bounds it    | no               | pending when the run stops
    PutOff            | sends again later                               | yes              | failed
    SessionExpired    | renews, sends again                             | no (capped)      | failed
    Refused           | goes on                                         | -                | rejected
    AlreadyThere      | goes on                                         | -                | duplicate, or accepted
    OutcomeUnknown    | never sends again before asking; breaker opens  | -                | in_doubt
      of an update    | sends again: it is idempotent by nature         | yes              | in_doubt
    TargetUnusable    | stops the run                                   | -                | pending

In the good case a row costs: take the next body, send it, note the outcome. Everything else happens when it must.
"""

import heapq
from collections import deque
from collections.abc import Callable
from random import Random
from typing import Generic, NamedTuple, Protocol, TypeVar

import anyio
from anyio.abc import ObjectReceiveStream

from pipeline.config import DeliverySettings
from pipeline.errors import (
    AlreadyThere,
    NotDelivered,
    OpeningRefused,
    OutcomeUnknown,
    PipelineError,
    PutOff,
    Refused,
    RunError,
    SessionExpired,
    TargetUnreachable,
)
from pipeline.records import Outcome, Status
from pipeline.sessions import Lease, SessionPool
from pipeline.stages.breaker import FIRST_PAUSE, LONGEST_PAUSE, Breaker
from pipeline.stages.encode import Body
from pipeline.stages.settle import Begun, Settler, Terms

H = TypeVar("H")
H_contra = TypeVar("H_contra", contravariant=True)

#: A row whose sessions expire so often in a row has something to do with it.
RENEWALS_PER_ROW = 3

#: Rows that wait to be sent again; beyond, no new ones are taken.
PUT_OFF_LIMIT = 10_000


class Sender(Protocol[H_contra]):
    """The row call of a target."""

    async def send(self, handle: H_contra, body: Body) -> str:
        """Send one row; return the target's code of acceptance.

        Raises a RowError by recovery (the table above), or TargetUnusable.
        """


class Row(NamedTuple):
    """One row on its way."""

    position: int
    slice_number: int
    body: Body
    attempts: int = 0  # sends so far, in earlier runs too
    put_off: int = 0  # sends of this run that the target has put off
    doubted: bool = False  # whether a send of it in an earlier run got no answer


class Deliverer(Generic[H]):
    """Delivers slices over the pool's sessions; made anew for every run.

    `wall_clock` gives seconds since the epoch.
    """

    def __init__(
        self,
        target: Sender[H],
        pool: SessionPool[H],
        settler: Settler,
        settings: DeliverySettings,
        *,
        terms: Terms,
        wall_clock: Callable[[], float],
        random: Random,
    ) -> None:
        self._terms = terms
        self._target = target
        self._pool = pool
        self._settler = settler
        self._settings = settings
        self._wall_clock = wall_clock
        self._random = random
        self._calls = settings.sessions * settings.calls_per_session
        self._stopping = anyio.Event()
        self._breaker = Breaker(settings.outage, self._stopping, random)
        self._ready: deque[Row] = deque()
        self._later: list[tuple[float, int, Row]] = []  # a heap by the time when a row is due again
        self._flying: dict[int, tuple[Row, int]] = {}  # rows whose request may have left, and when, by position
        self._outstanding = 0  # rows received and not settled
        self._exhausted = False  # no further slice will come
        self._changed = anyio.Event()  # there may be something to do for a worker that found nothing
        self._hungry = anyio.Event()  # few rows are ready: the next slice is wanted
        self._next_send = 0.0  # pacing by rate: when the next row may leave
        self._not_before = 0.0  # the target asked us to wait until then
        self.ended = anyio.Event()
        self.failure: RunError | None = None
        self.first_sent: float | None = None  # wall clock, seconds
        self.last_answer: float | None = None

    async def run(self, slices: ObjectReceiveStream[Begun]) -> None:
        """Deliver every slice of the stream. Afterwards `failure` holds what ended it early, if anything did.

        Rows that were received and not sent are settled as pending and those whose answer did not come as in doubt,
        also when this is cancelled.
        """
        try:
            async with slices, anyio.create_task_group() as group:
                group.start_soon(self._feed, slices)
                for _ in range(self._calls):
                    group.start_soon(self._worker)
        finally:
            self._release()
            self.ended.set()

    def stop(self, failure: RunError | None = None) -> None:
        """Take no more rows; what is in flight finishes."""
        if self.failure is None:
            self.failure = failure
        self._stopping.set()
        self._wake()

    @property
    def in_flight(self) -> int:
        """Requests whose answer is awaited now."""
        return len(self._flying)

    # --- rows -------------------------------------------------------------------------------------------------------

    async def _feed(self, slices: ObjectReceiveStream[Begun]) -> None:
        """Keep rows ready, a slice ahead of the workers and no more."""
        low = 2 * self._calls
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:
                group.start_soon(self._cancel_on_stop, scope)
                async for number, piece in slices:
                    self._settler.received(number)
                    self._outstanding += len(piece.positions)
                    self._ready.extend(
                        Row(at, number, body, piece.attempts.get(at, 0), doubted=at in piece.doubted)
                        for at, body in zip(piece.positions, piece.bodies, strict=True)
                    )
                    self._wake()
                    while len(self._ready) > low:
                        self._hungry = anyio.Event()
                        await self._hungry.wait()
                group.cancel_scope.cancel()
        self._exhausted = True
        self._wake()

    async def _cancel_on_stop(self, scope: anyio.CancelScope) -> None:
        await self._stopping.wait()
        scope.cancel()

    async def _take(self) -> Row | None:
        """The next row to send; None when there is none and none will come."""
        while not self._stopping.is_set():
            if self._settler.crowded:
                await self._settler.durable()
            now = anyio.current_time()
            if self._later and self._later[0][0] <= now:
                return heapq.heappop(self._later)[2]
            if self._ready and len(self._later) < PUT_OFF_LIMIT:
                if len(self._ready) <= 2 * self._calls:
                    self._hungry.set()
                return self._ready.popleft()
            if self._exhausted and not self._outstanding:
                return None
            with anyio.move_on_after(self._later[0][0] - now if self._later else None):
                await self._changed.wait()
        return None

    def _wake(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    def _give_back(self, row: Row) -> None:
        self._ready.appendleft(row)
        self._wake()

    def _note(
        self,
        row: Row,
        status: Status,
        code: str | None,
        reason: str | None,
        attempts: int,
        sent_at: int | None = None,
        latency: float | None = None,
    ) -> None:
        now = self._wall_clock()
        self._settler.settle(
            row.slice_number,
            Outcome(row.position, status, code, reason, attempts, sent_at, int(now * 1000), latency),
        )
        self._outstanding -= 1
        assert self._outstanding >= 0, "a row was settled twice"
        if not self._outstanding:
            self._wake()

    def _release(self) -> None:
        """Settle what was received and is not settled: what may have left is in doubt, the rest was not sent."""
        unanswered = self._terms.unanswered or "the run stopped before the answer came"
        for row, sent_at in self._flying.values():
            self._note(row, Status.IN_DOUBT, None, unanswered, row.attempts + 1, sent_at)
        status, reason = self._terms.unsent
        for row in (*self._ready, *(row for _, _, row in self._later)):
            self._note(row, status, None, reason, row.attempts)
        self._flying.clear()
        self._ready.clear()
        self._later.clear()

    # --- workers ----------------------------------------------------------------------------------------------------

    async def _worker(self) -> None:
        """Take a first row, then a lease, then rows until there are none: a small list opens few sessions."""
        row = await self._take()
        try:
            while row is not None:
                try:
                    async with self._pool.lease() as lease:
                        if lease is None:
                            return
                        while row is not None:
                            await self._deliver(lease, row)
                            row = None
                            row = await self._take()
                except NotDelivered as error:  # a further session could not be opened: the row is as good as new
                    self._failed(error)
                    await self._breaker.stopped_within(self._breaker.pause(error.retry_after))
        except OpeningRefused:
            return  # the target gives this place no new session; the others go on
        except RunError as error:
            self.stop(error)
        finally:
            if row is not None and row.position not in self._flying:
                self._give_back(row)

    async def _deliver(self, lease: Lease[H], row: Row) -> None:
        """Send a row until it is settled, put off, or the run stops (then it is given back).

        Raises OpeningRefused, NotDelivered or RunError where the lease has no session any more; the row is then with
        the caller again.
        """
        breaker = self._breaker
        renewals = 0
        while not self._stopping.is_set():
            turn = await breaker.passage(lambda: self._ask(lease)) if breaker.open else None
            try:
                if self._settings.rate or self._not_before:
                    await self._pace()
                handle = await lease.handle()
                if self._stopping.is_set():
                    break
                await self._send(handle, row, turn)
                return
            except SessionExpired as error:
                self._answered(turn)
                renewals += 1
                if renewals > RENEWALS_PER_ROW:
                    reason = f"the session was gone {renewals} times in a row when this row was sent"
                    self._note(row, Status.FAILED, error.code, reason, row.attempts + renewals)
                    return
                await lease.renew()
            except NotDelivered as error:
                if error.retry_after:
                    self._not_before = max(self._not_before, anyio.current_time() + error.retry_after)
                self._failed(error)
                if not breaker.open:
                    await breaker.stopped_within(breaker.pause(error.retry_after))
            finally:
                if turn is not None:
                    turn.release()
        self._give_back(row)

    async def _send(self, handle: H, row: Row, turn: anyio.Lock | None) -> None:
        """One row call, and its outcome by the table. Raises what needs another session, another time or a person."""
        sent = self._wall_clock()
        began = anyio.current_time()
        if self.first_sent is None:
            self.first_sent = sent
        sent_at = int(sent * 1000)
        self._flying[row.position] = (row, sent_at)
        status, code, reason = Status.ACCEPTED, None, None
        try:
            code = await self._target.send(handle, row.body)
        except PutOff as error:
            if row.put_off + 1 < self._settings.attempts:
                self._put_off(row)
                del self._flying[row.position]
                self._answered(turn)
                return
            status, code = Status.FAILED, error.code
            reason = f"the target put it off {row.put_off + 1} times: {error.reason}"
        except Refused as error:
            status, code, reason = Status.REJECTED, error.code, error.reason
        except AlreadyThere as error:
            code = error.code
            if not row.doubted:
                status, reason = Status.DUPLICATE, error.reason
            # else an earlier send of ours, of which no answer came, has brought it there after all
        except OutcomeUnknown as error:
            del self._flying[row.position]
            if self._terms.repeatable and row.put_off + 1 < self._settings.attempts:
                self._put_off(row)
            else:
                reason = self._terms.unanswered or error.reason
                self._note(row, Status.IN_DOUBT, error.code, reason, row.attempts + 1, sent_at)
            self._failed(error)
            return
        except PipelineError:
            del self._flying[row.position]  # surely not added; anything else that is raised leaves the row in doubt
            raise
        del self._flying[row.position]
        self._answered(turn)
        latency = round((anyio.current_time() - began) * 1000, 3)
        self._note(row, status, code, reason, row.attempts + 1, sent_at, latency)

    def _failed(self, error: NotDelivered | OutcomeUnknown) -> None:
        """No answer came. It never raises: what became of the row is settled already, or it is given back."""
        try:
            self._breaker.failed(error)
        except TargetUnreachable as outage:
            self.stop(outage)

    def _answered(self, turn: anyio.Lock | None) -> None:
        """An answer came. While the breaker is open, only the trial row's answer says that the trouble is over."""
        self.last_answer = self._wall_clock()
        if self._breaker.troubled and (turn is not None or not self._breaker.open):
            self._breaker.succeeded()

    def _put_off(self, row: Row) -> None:
        put_off = row.put_off + 1
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0**put_off) * (0.5 + self._random.random() / 2)
        again = row._replace(attempts=row.attempts + 1, put_off=put_off)
        heapq.heappush(self._later, (anyio.current_time() + pause, row.position, again))
        self._wake()

    async def _ask(self, lease: Lease[H]) -> None:
        """Ask the target something harmless, to hear whether it answers at all."""
        if not await lease.prove(await lease.handle()):
            await lease.renew()

    async def _pace(self) -> None:
        """Wait for this row's turn under `rate`, and for the pause that the target asked for."""
        now = anyio.current_time()
        at = max(now, self._next_send)
        if self._settings.rate:
            # A tenth of a second that was lost may be caught up with, no more.
            self._next_send = max(self._next_send, now - 0.1) + 1.0 / self._settings.rate
        at = max(at, self._not_before)
        if at > now:
            await self._breaker.stopped_within(at - now)
