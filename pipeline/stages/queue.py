"""Rows on their way to the workers: those that are ready, those that were put off until a time, and which is next."""

import heapq
from collections import deque
from collections.abc import Iterator
from itertools import repeat
from typing import Final, NamedTuple

import anyio

from pipeline.stages.encode import Body
from pipeline.stages.settle import Begun

#: Rows that wait to be sent again; beyond, no new ones are given.
PUT_OFF_LIMIT: Final = 10_000


class Row(NamedTuple):
    """One row on its way."""

    position: int
    slice_number: int
    body: Body
    attempts: int = 0  # sends so far, in earlier runs too
    put_off: int = 0  # sends of this run that the target has put off
    doubted: bool = False  # whether a send of it in an earlier run got no answer


class Queue:
    """The rows of one walk that were received and are with no worker. Times are of the loop's clock, in seconds."""

    def __init__(self, low: int) -> None:
        """So few ready rows are `low`: the next slice is wanted."""
        self._low = low
        self._ready: deque[Row] = deque()
        self._later: list[tuple[float, int, Row]] = []  # a heap by the time when a row is due again
        self._hungry = anyio.Event()

    def add(self, begun: Begun) -> None:
        """The rows of a slice are ready."""
        number, piece = begun
        if piece.attempts or piece.doubted:
            self._ready.extend(
                Row(at, number, body, piece.attempts.get(at, 0), doubted=at in piece.doubted)
                for at, body in zip(piece.positions, piece.bodies, strict=True)
            )
        else:
            # Made as Row's own constructor makes them, without a call of Python's for each.
            plain = zip(piece.positions, repeat(number), piece.bodies, repeat(0), repeat(0), repeat(False))
            self._ready.extend(map(tuple.__new__, repeat(Row), plain))

    def next(self, now: float) -> Row | None:
        """The row that is to be sent next; None: there is none now."""
        later, ready = self._later, self._ready
        if later:
            if later[0][0] <= now:
                return heapq.heappop(later)[2]
            if len(later) >= PUT_OFF_LIMIT:
                return None
        if not ready:
            return None
        if len(ready) <= self._low:
            self._hungry.set()
        return ready.popleft()

    @property
    def later(self) -> int:
        """How many rows were put off and have not been given again."""
        return len(self._later)

    @property
    def due(self) -> float | None:
        """When the first of the rows that were put off is due; None: there is none."""
        return self._later[0][0] if self._later else None

    def put_off(self, row: Row, due: float) -> None:
        """Give a row again when it is due."""
        heapq.heappush(self._later, (due, row.position, row))

    def give_back(self, row: Row) -> None:
        """A row that was given and not sent is the next one."""
        self._ready.appendleft(row)

    async def until_low(self) -> None:
        """Wait until few rows are ready."""
        while len(self._ready) > self._low:
            self._hungry = anyio.Event()
            await self._hungry.wait()

    def drain(self) -> Iterator[Row]:
        """All that are left; none is afterwards."""
        yield from self._ready
        yield from (row for _, _, row in self._later)
        self._ready.clear()
        self._later.clear()
