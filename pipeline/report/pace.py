"""How fast something moves now: rows per second over the last seconds, from readings of a counter."""

from collections import deque
from typing import Final

#: The rate is that of so many last seconds, and of more where they hold fewer than ENOUGH rows, up to LONGEST.
WINDOW: Final = 5.0
ENOUGH: Final = 40
LONGEST: Final = 60.0

#: A rate is told once it rests on so many seconds.
LEAST: Final = 0.5

#: Nothing moves any more when nothing has for so many seconds, and for so many times what lies between two rows.
STILL: Final = 2.0
GAPS: Final = 10.0


class Rate:
    """The rate of one counter that only rises; one that falls begins anew. Times are seconds on a clock of the caller,
    which never goes back.

    A steady rate is told within 5 % after WINDOW (a slow one after ENOUGH rows, at most LONGEST), a changed one as long
    after the change. What stands still has no rate, and what moves again after that is measured from there.
    """

    def __init__(self) -> None:
        self._readings: deque[tuple[float, int]] = deque()
        self._moved = 0.0  # when the counter was last seen to have risen
        self._gap = 0.0  # seconds between two rows, then

    def read(self, now: float, count: int) -> float:
        """Take in what the counter says now; returns rows per second, 0 where that is not known."""
        readings = self._readings
        if readings and count < readings[-1][1]:
            readings.clear()
        if not readings:
            self._moved, self._gap = now, 0.0
        elif count > readings[-1][1]:
            if self._still(readings[-1][0]):
                while len(readings) > 1:
                    readings.popleft()
            self._moved = now
        readings.append((now, count))
        while len(readings) > 2 and self._suffices(now - readings[1][0], count - readings[1][1]):
            readings.popleft()
        since, before = readings[0]
        if self._still(now) or now - since < LEAST:
            return 0.0
        rate = (count - before) / (now - since)
        if self._moved == now and rate:
            self._gap = 1 / rate
        return rate

    def _still(self, now: float) -> bool:
        return now - self._moved > max(STILL, GAPS * self._gap)

    @staticmethod
    def _suffices(seconds: float, rows: int) -> bool:
        return seconds >= LONGEST or (seconds >= WINDOW and rows >= ENOUGH)
