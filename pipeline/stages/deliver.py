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

In the good case a row costs: see that the answer accepts it, note that, and give the next body, within the call of the
event loop that brought the answer (`_follow`). A worker's coroutine runs only where something else happens.
"""

from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from random import Random
from typing import Generic, TypeVar

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
from pipeline.stages.breaker import FIRST_PAUSE, LONGEST_PAUSE, Breaker, Listener
from pipeline.stages.encode import Body
from pipeline.stages.flight import Flight
from pipeline.stages.queue import Row
from pipeline.stages.sender import Line, Sender
from pipeline.stages.settle import Begun, Settler, Terms
from pipeline.stages.traffic import Traffic
from pipeline.wire import Answer

H = TypeVar("H")

#: A row whose sessions expire so often in a row has something to do with it.
RENEWALS_PER_ROW = 3


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
        clock: Callable[[], float] = anyio.current_time,
        troubles: Listener | None = None,
    ) -> None:
        self._terms = terms
        self._target = target
        self._pool = pool
        self._settler = settler
        self._settings = settings
        self._wall_clock = wall_clock
        self._random = random
        self._calls = settings.sessions * settings.calls_per_session
        self._clock = clock
        self._stopping = anyio.Event()
        self._breaker = Breaker(settings.outage, self._stopping, random, troubles)
        self._troubles = troubles
        self._traffic = Traffic(
            self._calls, rate=settings.rate, adaptive=settings.adaptive, clock=clock, stopped=self._stopping
        )
        self._flights: list[Flight] = []
        self._acceptance: tuple[int, bytes] | None = None  # status and body of an answer that accepts a row
        self._code: str | None = None  # its code
        self._halted = False  # whether rows must not simply follow each other
        self._outstanding = 0  # rows received and not settled
        self._exhausted = False  # no further slice will come
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
        self._halted = True
        self._stopping.set()
        self._breaker.relieve()
        self._traffic.end()

    @property
    def in_flight(self) -> int:
        """Requests whose answer is awaited now."""
        return self._traffic.in_flight

    @property
    def allowed(self) -> int:
        """How many there may be now."""
        return self._traffic.allowed

    @property
    def put_off(self) -> int:
        """Rows that wait to be sent again, as the target asked."""
        return self._traffic.put_off_now

    # --- rows -------------------------------------------------------------------------------------------------------

    async def _feed(self, slices: ObjectReceiveStream[Begun]) -> None:
        """Keep rows ready, a slice ahead of the workers and no more."""
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:
                group.start_soon(self._cancel_on_stop, scope)
                async for begun in slices:
                    self._settler.received(begun.number)
                    self._outstanding += len(begun.piece.positions)
                    self._traffic.add(begun)
                    del begun  # its rows are held one by one
                    await self._traffic.until_low()
                    while self._settler.crowded:
                        await self._settler.durable()
                group.cancel_scope.cancel()
        self._exhausted = True
        self._end_if_done()

    async def _cancel_on_stop(self, scope: anyio.CancelScope) -> None:
        await self._stopping.wait()
        scope.cancel()

    def _give_back(self, flight: Flight) -> None:
        assert flight.row is not None
        self._traffic.give_back(flight.row)
        flight.row = None

    def _note(
        self,
        row: Row,
        status: Status,
        code: str | None,
        reason: str | None,
        attempts: int,
        *,
        sent: float | None = None,
        answered: float | None = None,
    ) -> None:
        """Settle a row. `sent` is when it left, `answered` when the answer came; wall clock, None: never."""
        now = self._wall_clock()
        latency = None if sent is None or answered is None else round(max(0.0, answered - sent) * 1000, 3)
        sent_at = None if sent is None else int(sent * 1000)
        outcome = Outcome(row.position, status, code, reason, attempts, sent_at, int(now * 1000), latency)
        self._settler.settle(row.slice_number, outcome)
        self._outstanding -= 1
        self._end_if_done()

    def _end_if_done(self) -> None:
        assert self._outstanding >= 0, "a row was settled twice"
        if self._exhausted and not self._outstanding:
            self._traffic.end()

    def _release(self) -> None:
        """Settle what was received and is not settled: what may have left is in doubt, the rest was not sent."""
        unanswered = self._terms.unanswered or "the run stopped before the answer came"
        for flight in self._flights:
            if flight.row is not None:
                row = flight.land(answered=False)
                self._note(row, Status.IN_DOUBT, None, unanswered, row.attempts + 1, sent=flight.sent)
        for row in self._traffic.drain():
            status, reason = self._terms.of_unsent(doubted=row.doubted)
            self._note(row, status, None, reason, row.attempts)

    # --- workers ----------------------------------------------------------------------------------------------------

    async def _worker(self) -> None:
        """Take a first row, then a lease, then rows until there are none: a small list opens few sessions."""
        flight = Flight(self._traffic, self._wall_clock)
        self._flights.append(flight)
        flight.row = await self._traffic.take()
        try:
            while flight.row is not None and not self._stopping.is_set():
                try:
                    async with AsyncExitStack() as stack:
                        async with self._traffic.boarding():
                            lease = await stack.enter_async_context(self._pool.lease())
                        if lease is None:
                            return
                        while flight.row is not None:
                            await self._deliver(lease, flight)
                            flight.row = await self._traffic.take()
                except NotDelivered as error:  # a further session could not be opened: the row is as good as new
                    self._failed(error)
                    await self._breaker.rest(self._breaker.pause(error.retry_after))
        except OpeningRefused:
            return  # the target gives this place no new session; the others go on
        except RunError as error:
            self.stop(error)
        finally:
            if flight.row is not None and not flight.flying:
                self._give_back(flight)

    async def _deliver(self, lease: Lease[H], flight: Flight) -> None:
        """Send the row in hand, and those that follow it, until the last one is settled, put off or given back: that is
        done where the run stops, and after a pause where the target took none.

        Raises OpeningRefused, NotDelivered or RunError where the lease has no session any more; the row is then still
        in hand.
        """
        breaker = self._breaker
        tried, renewals = flight.row, 0
        while not self._stopping.is_set():
            turn = await breaker.passage(lambda: self._ask(lease)) if breaker.open else None
            try:
                handle = await lease.handle()
                await self._traffic.turn()
                if self._stopping.is_set():
                    break
                await self._send(lease, handle, flight, turn)
                return
            except SessionExpired as error:
                self._answered(turn)
                if flight.row is not tried:
                    tried, renewals = flight.row, 0
                renewals += 1
                if renewals > RENEWALS_PER_ROW:
                    assert tried is not None
                    reason = f"the session was gone {renewals} times in a row when this row was sent"
                    self._note(tried, Status.FAILED, error.code, reason, tried.attempts + renewals)
                    flight.row = None
                    return
                await lease.renew()
            except NotDelivered as error:
                if error.retry_after:
                    self._traffic.hold(error.retry_after)
                self._failed(error)
                if not breaker.open:
                    await breaker.rest(breaker.pause(error.retry_after))
                    break  # as many as the limit allows now are taken again
            finally:
                if turn is not None:
                    turn.release()
        self._give_back(flight)

    async def _send(self, lease: Lease[H], handle: H, flight: Flight, turn: anyio.Lock | None) -> None:
        """One row call or several, and the last one's outcome by the table. Raises what needs another session, another
        time or a person; the row is then still in hand.
        """
        flight.take_off()
        if self.first_sent is None:
            self.first_sent = flight.sent
        status, code, reason = Status.ACCEPTED, None, None
        try:
            line = self._target.line(handle)
            if line is None:
                assert flight.row is not None
                code = await self._target.send(handle, flight.row.body)
            else:
                code = await self._post(lease, handle, line, flight)
                if flight.row is None:  # accepted, and noted already
                    self._answered(turn)
                    return
        except PutOff as error:
            row = flight.land(answered=True)
            if row.put_off + 1 < self._settings.attempts:
                self._put_off(row, error.reason)
                self._answered(turn)
                return
            status, code = Status.FAILED, error.code
            reason = f"the target put it off {row.put_off + 1} times: {error.reason}"
        except Refused as error:
            row = flight.land(answered=True)
            status, code, reason = Status.REJECTED, error.code, error.reason
        except AlreadyThere as error:
            row = flight.land(answered=True)
            code = error.code
            if not row.doubted:
                status, reason = Status.DUPLICATE, error.reason
            # else an earlier send of ours, of which no answer came, has brought it there after all
        except OutcomeUnknown as error:
            self._traffic.pushed_back()
            row = flight.land(answered=False)
            if self._terms.repeatable and row.put_off + 1 < self._settings.attempts:
                self._put_off(row)
            else:
                reason = self._terms.unanswered or error.reason
                self._note(row, Status.IN_DOUBT, error.code, reason, row.attempts + 1, sent=flight.sent)
            self._failed(error)
            return
        except PipelineError as error:
            if isinstance(error, NotDelivered):
                self._traffic.pushed_back()
            # Surely not added; anything else that is raised leaves the row in doubt.
            flight.row = flight.land(answered=isinstance(error, SessionExpired))
            raise
        else:
            row = flight.land(answered=True)
        self._answered(turn)
        self._note(row, status, code, reason, row.attempts + 1, sent=flight.sent, answered=self.last_answer)

    async def _post(self, lease: Lease[H], handle: H, line: Line, flight: Flight) -> str | None:
        """Send the row in hand and those that may follow it; the code by which the last one was accepted. That one is
        not in hand any more where it is noted already. Raises like `Sender.send`.
        """
        first = flight.row
        assert first is not None
        try:
            answer = await line.post(first.body, partial(self._follow, lease, flight))
        finally:
            if flight.fruitful:
                flight.fruitful = False
                self._target.accepted(handle)
        last = flight.row
        if last is None:
            return flight.code
        flight.hear()
        if self._accepts(answer):
            self._target.accepted(handle)
            return self._code
        answer = await self._target.reconsidered(handle, line, last.body, answer)
        code = await self._target.judge(handle, last.body, answer)
        self._acceptance, self._code = (answer.status, answer.body), code
        return code

    def _follow(self, lease: Lease[H], flight: Flight, answer: Answer) -> Body | None:
        """Where an answer accepts the row in hand, note that and give the next one, if one may leave now."""
        if answer is not flight.known:
            if not self._accepts(answer):
                return None
            flight.known, flight.code = answer, self._code
        row, sent, now = flight.row, flight.sent, self._wall_clock()
        assert row is not None
        position, slice_number, _, attempts, _, _ = row
        latency = now - sent if now > sent else 0.0
        sent_at, settled_at, latency_ms = int(sent * 1000), int(now * 1000), int(latency * 1_000_000) / 1000
        self._settler.accept(
            slice_number,
            Outcome(position, Status.ACCEPTED, flight.code, None, attempts + 1, sent_at, settled_at, latency_ms),
        )
        self._outstanding -= 1
        flight.fruitful = True
        self.last_answer = flight.sent = now
        loop_now = self._clock()
        if self._halted or not self._outstanding or not lease.good_at(loop_now):
            self._traffic.heard(latency)
            flight.land(answered=False)
            self._end_if_done()
            return None
        flight.row = row = self._traffic.relay(latency, loop_now)
        if row is None:
            flight.flying = False
            return None
        return row.body

    def _accepts(self, answer: Answer) -> bool:
        return (answer.status, answer.body) == self._acceptance

    def _failed(self, error: NotDelivered | OutcomeUnknown) -> None:
        """No answer came. It never raises: what became of the row is settled already, or it is given back."""
        self._halted = True
        try:
            self._breaker.failed(error)
        except TargetUnreachable as outage:
            self.stop(outage)

    def _answered(self, turn: anyio.Lock | None) -> None:
        """An answer came. While the breaker is open, only the trial row's answer says that the trouble is over."""
        self.last_answer = self._wall_clock()
        breaker = self._breaker
        if breaker.troubled and (turn is not None or not breaker.open):
            breaker.succeeded()
        self._halted = breaker.open or self._stopping.is_set()

    def _put_off(self, row: Row, reason: str | None = None) -> None:
        if reason is not None and self._troubles is not None:
            self._troubles.put_off(reason)
        put_off = row.put_off + 1
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0**put_off) * (0.5 + self._random.random() / 2)
        self._traffic.put_off(row._replace(attempts=row.attempts + 1, put_off=put_off), pause)

    async def _ask(self, lease: Lease[H]) -> None:
        """Ask the target something harmless, to hear whether it answers at all."""
        if not await lease.prove(await lease.handle()):
            await lease.renew()
