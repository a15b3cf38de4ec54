"""The breaker: when answers stop coming, sending pauses, one call at a time tries again, and an outage has an end.

    closed ──a row's outcome is unknown──► open ──probe answered, then one row accepted or refused──► closed
                                            │  ▲
                                            └──┘ probe or trial row fails: the pause grows

Rows that were surely not processed (NotDelivered) do not open it, since trying them again puts nothing in doubt; they
only count towards the outage.
"""

from collections.abc import Awaitable, Callable
from random import Random
from typing import Protocol

import anyio

from pipeline.errors import NotDelivered, OutcomeUnknown, TargetUnreachable
from pipeline.logs import logger

#: Pauses between tries grow from the first to the last, in seconds.
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0

#: That answers stay away is logged at most so often, in seconds.
QUIET = 30.0


class Listener(Protocol):
    """Hears of trouble, to tell a person."""

    def failed(self, reason: str, *, row: bool, lasts: float) -> None:
        """No answer came; `row`: a row is in doubt for it. In `lasts` seconds the outage has lasted too long."""

    def put_off(self, reason: str) -> None:
        """The target wants a row to be sent again later."""

    def waits(self, seconds: float, *, asked: bool) -> None:
        """The next try comes after so many seconds; `asked`: because the target wants it so."""

    def over(self) -> None:
        """Answers come again."""


class Breaker:
    """Shared by all workers of a run. `outage` is how long nothing may get through, in seconds."""

    __slots__ = (
        "_counted_until",
        "_failures",
        "_listener",
        "_outage",
        "_probed",
        "_quiet_until",
        "_random",
        "_relief",
        "_since",
        "_stopping",
        "_turn",
        "open",
    )

    def __init__(self, outage: float, stopping: anyio.Event, random: Random, listener: Listener | None = None) -> None:
        self.open = False
        self._listener = listener
        self._outage = outage
        self._stopping = stopping
        self._random = random
        self._turn = anyio.Lock()
        self._relief = anyio.Event()  # set when an answer comes after failures, or the run stops
        self._since: float | None = None  # when the first failure came that no success has followed
        self._failures = 0  # in a row; those of calls that failed together count once
        self._counted_until = float("-inf")
        self._quiet_until = float("-inf")
        self._probed = False  # whether the target was asked since the trouble began

    @property
    def troubled(self) -> bool:
        """Whether failures have come that no success has followed."""
        return self._failures > 0

    def succeeded(self) -> None:
        """An answer came to a row that was sent after the trouble began, or there is no trouble."""
        if self._failures:
            self._failures = 0
            self._since = None
            self._probed = False
            self.open = False
            if self._listener is not None:
                self._listener.over()
            self.relieve()

    def relieve(self) -> None:
        """Wake whoever rests: there is an answer again, or nothing more to wait for."""
        self._relief.set()
        self._relief = anyio.Event()

    def failed(self, error: NotDelivered | OutcomeUnknown) -> None:
        """No answer came. Raises TargetUnreachable once that has lasted for the outage."""
        now = anyio.current_time()
        if self._since is None:
            self._since = now
        if now >= self._counted_until:
            self._failures += 1
            self._counted_until = now + self._grown() / 2
        if isinstance(error, OutcomeUnknown) and not self.open:
            self.open = True
            if now >= self._quiet_until:  # a row here and there must not fill the log
                self._quiet_until = now + QUIET
                logger().warning("target.no_answer", reason=error.reason)
        if self._listener is not None:
            lasts = self._since + self._outage - now
            self._listener.failed(error.reason, row=isinstance(error, OutcomeUnknown), lasts=lasts)
        asked = (error.retry_after or 0.0) if isinstance(error, NotDelivered) else 0.0
        if now - self._since >= self._outage:
            raise TargetUnreachable(
                f"nothing has got through to the target for {self._outage:g} seconds (last: {error.reason}). "
                "Try again later."
            )
        if now - self._since + asked >= self._outage:
            raise TargetUnreachable(
                f"{error.reason}, and it asks to wait for {asked:g} seconds, which is longer than delivery.outage "
                "allows. Try again then."
            )

    def pause(self, least: float | None = None) -> float:
        """How long to wait before the next try, in seconds: growing, with jitter, at least `least`, and no longer than
        the outage lasts.
        """
        wanted = max(least or 0.0, self._grown() * (0.5 + self._random.random() / 2))
        left = self._outage if self._since is None else self._since + self._outage - anyio.current_time()
        pause = max(0.0, min(wanted, left))
        if self._listener is not None:
            self._listener.waits(pause, asked=bool(least))
        return pause

    def _grown(self) -> float:
        return min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(self._failures - 1, 10)) if self._failures else 0.0

    async def passage(self, probe: Callable[[], Awaitable[object]]) -> "anyio.Lock | None":
        """Wait while the breaker is open. Returns None when it is closed, or the turn, held, for one trial row.

        Whoever holds the turn sends one row, reports it by `succeeded` or `failed`, and releases the turn. Raises
        TargetUnreachable as `failed` does. When the run stops it returns at once.
        """
        await self._turn.acquire()
        try:
            while self.open and not self._stopping.is_set():
                # The first question may come at once. After it the trouble is no accident, also where it is well
                # answered: trial rows may fail all the same, and each of them is in doubt then.
                if (self._probed or self._failures > 1) and await self.stopped_within(self.pause()):
                    break
                self._probed = True
                try:
                    await probe()
                except (NotDelivered, OutcomeUnknown) as error:
                    self.failed(error)
                else:
                    return self._turn
        except BaseException:
            self._turn.release()
            raise
        self._turn.release()
        return None

    async def rest(self, seconds: float) -> None:
        """Sleep, at most until `relieve`: the pauses of a long outage are not to outlast it."""
        if not self._stopping.is_set():
            with anyio.move_on_after(seconds):
                await self._relief.wait()

    async def stopped_within(self, seconds: float) -> bool:
        """Sleep; True as soon as the run stops."""
        with anyio.move_on_after(seconds):
            await self._stopping.wait()
        return self._stopping.is_set()
