"""Rows that are sent at the same time go out as one request: those that come while one is under way wait for the next.

    a row comes ──► nothing is under way, or as many wait as go into one ──► it gathers the others and sends
               └─► else it waits ──► taken along by another row's request, or woken to send the next one

No row waits for others that may never come, so a batch is as large as the calls that are in flight allow.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

import anyio
import anyio.lowlevel

from pipeline.errors import OutcomeUnknown, PipelineError
from pipeline.targets.pagos.replies import Verdict

#: What a request tells of one of its rows: a verdict, why there is none, or None where it is to be sent alone.
Told: TypeAlias = Verdict | PipelineError | None

#: Whoever sends lets the others run so often before: rows that were answered together come again together.
_TURNS: Final = 3


@dataclass(slots=True, eq=False)
class _Waiting:
    """A row that is not under way yet."""

    message: bytes
    woken: anyio.Event = field(default_factory=anyio.Event)  # it is told, or leads
    leads: bool = False  # it gathers the next request
    told: Told = None


class Batches:
    """Gathers rows of any session.

    `call` sends several messages over one connection and tells of each, in order; it raises where all share a fate.
    """

    def __init__(self, size: int, call: Callable[[Any, list[bytes]], Awaitable[list[Told]]]) -> None:
        """`size`: rows of one request, at most."""
        self._size = size
        self._call = call
        self._waiting: list[_Waiting] = []
        self._gathering = False  # a row leads, and has not sent yet
        self._flying = 0  # requests under way

    async def verdict(self, connection: Any, message: bytes) -> Verdict | None:
        """What is told of this message; None: it is to be sent alone. Raises what `call` raises or tells of it."""
        mine = _Waiting(message)
        self._waiting.append(mine)
        self._choose(mine)
        try:
            if not mine.leads:
                await mine.woken.wait()
            if mine.leads:
                await self._lead(connection, mine)
        except BaseException:
            if mine in self._waiting:
                self._waiting.remove(mine)
                if mine.leads:
                    self._gathering = False
                    self._pass_on()
            raise
        if isinstance(mine.told, PipelineError):
            raise mine.told
        return mine.told

    def _choose(self, row: _Waiting) -> None:
        """Let `row` lead if a request may go out now."""
        if not self._gathering and (not self._flying or len(self._waiting) >= self._size):
            self._gathering = row.leads = True

    def _pass_on(self) -> None:
        """Let the row that waits longest lead the next request, if one may go out."""
        if self._waiting:
            self._choose(first := self._waiting[0])
            if first.leads:
                first.woken.set()

    async def _lead(self, connection: Any, mine: _Waiting) -> None:
        for _ in range(_TURNS):
            if len(self._waiting) >= self._size:
                break
            await anyio.lowlevel.checkpoint()
        rows, self._waiting = self._waiting[: self._size], self._waiting[self._size :]
        assert mine in rows, "whoever leads has waited longest, or was the last for whom there was room"
        self._gathering = False
        self._flying += 1
        if len(self._waiting) >= self._size:
            self._pass_on()
        for row in rows:
            row.told = OutcomeUnknown("the run stopped before the answer came")
        try:
            told = await self._call(connection, [row.message for row in rows])
            for row, each in zip(rows, told, strict=True):
                row.told = each
        except PipelineError as error:
            for row in rows:
                row.told = error
        finally:
            self._flying -= 1
            for row in rows:
                row.woken.set()
            self._pass_on()
