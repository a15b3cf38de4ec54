"""Which row leaves when: as many are in flight as the limit allows, at the pace that is set, the next one at hand."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import anyio

from pipeline.stages.limit import Limit
from pipeline.stages.pace import Pace
from pipeline.stages.queue import Queue, Row
from pipeline.stages.settle import Begun


class Traffic:
    """The rows of one walk on their way out, shared by all its workers.

    `calls`: so many rows may ever be in flight. `rate`: rows a second, 0: any number. `adaptive`: fewer are in flight
    where the target bears no more. `clock` is the loop's, in seconds, as all times here; `stopped` is set when no more
    rows may leave.
    """

    def __init__(
        self, calls: int, *, rate: float, adaptive: bool, clock: Callable[[], float], stopped: anyio.Event
    ) -> None:
        self._clock = clock
        self._stopped = stopped
        self._queue = Queue(2 * calls)
        self._limit = Limit(calls, adaptive)
        self._pace = Pace(rate)
        self._paced = rate > 0  # whether there is a pace to keep
        self._pacing = anyio.Lock()  # one row waits for its turn, the others for that
        self._changed = anyio.Event()  # there may be something to do for a worker that found nothing
        self._parked = 0  # workers that wait for the limit to rise
        self._boarding = 0  # rows that were taken and wait for a session, or for their turn
        self._ended = False  # no row will come any more
        self.in_flight = 0  # requests whose answer is awaited

    @property
    def allowed(self) -> int:
        """How many may be in flight now."""
        return self._limit.allowed

    @property
    def put_off_now(self) -> int:
        """Rows that wait until they are to leave again."""
        return self._queue.later

    # --- rows that wait ---------------------------------------------------------------------------------------------

    def add(self, begun: Begun) -> None:
        """The rows of a slice are ready."""
        self._queue.add(begun)
        self._wake()

    async def until_low(self) -> None:
        """Wait until few rows are ready."""
        await self._queue.until_low()

    def give_back(self, row: Row) -> None:
        """A row that was taken has not left: it is the next one."""
        self._queue.give_back(row)
        self._wake()

    def put_off(self, row: Row, seconds: float) -> None:
        """A row is to leave again, in so many seconds."""
        self._queue.put_off(row, self._clock() + seconds)
        self._wake()

    def end(self) -> None:
        """No row will come any more, or none may leave."""
        self._ended = True
        self._wake()

    def drain(self) -> Iterator[Row]:
        """All rows that wait; none does afterwards."""
        return self._queue.drain()

    # --- taking off -------------------------------------------------------------------------------------------------

    async def take(self) -> Row | None:
        """The next row, once one more may be in flight; None when none will come."""
        while not self._ended:
            if self.in_flight + self._boarding >= self._limit.allowed:
                self._parked += 1
                try:
                    await self._changed.wait()
                finally:
                    self._parked -= 1
                continue
            now = self._clock()
            if (row := self._queue.next(now)) is not None:
                return row
            due = self._queue.due
            with anyio.move_on_after(None if due is None else due - now):
                await self._changed.wait()
        return None

    @asynccontextmanager
    async def boarding(self) -> AsyncIterator[None]:
        """Around what a row that was taken has to wait for: it counts as one in flight meanwhile. So sessions are
        opened only as they are needed.
        """
        self._boarding += 1
        try:
            yield
        finally:
            self._boarding -= 1
            self._wake()

    async def turn(self) -> None:
        """Wait until a row that was taken may leave by the pace, and by what the target asked for, or until no more
        rows may. Meanwhile it counts as one in flight, or all that wait would leave at once.
        """
        if not self._paced:
            return
        async with self.boarding(), self._pacing:
            while pause := self._pace.wait(self._clock()):
                with anyio.move_on_after(pause):
                    await self._stopped.wait()
                    return

    def hold(self, seconds: float) -> None:
        """The target asks for a pause."""
        self._paced = True
        self._pace.hold(self._clock() + seconds)

    def take_off(self) -> None:
        """A row's request leaves."""
        self.in_flight += 1

    # --- landing ----------------------------------------------------------------------------------------------------

    def heard(self, latency: float) -> None:
        """A row in flight was answered after so many seconds, whatever the answer."""
        self._limit.answered(latency, self.in_flight, self._clock())

    def pushed_back(self) -> None:
        """A row in flight was not answered, or not let in."""
        self._limit.pushed_back(self.in_flight, self._clock())

    def land(self) -> None:
        """A row is not in flight any more."""
        self.in_flight -= 1
        if self._parked and self.in_flight < self._limit.allowed:
            self._wake()

    def relay(self, latency: float, now: float) -> Row | None:
        """`heard`, and then the row that leaves in the place of the one that was answered; None: none may now, and that
        one has landed.
        """
        limit = self._limit
        limit.answered(latency, self.in_flight, now)
        if self._parked and self.in_flight < limit.allowed:
            self._wake()
        if self.in_flight <= limit.allowed and (row := self._queue.next(now)) is not None:
            if not self._paced or not (self._pacing.locked() or self._pace.wait(now)):
                return row
            self._queue.give_back(row)
        self.land()
        return None

    def _wake(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()
