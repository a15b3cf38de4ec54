"""The pace: so many rows a second at most, over all sessions, and none while the target asks to wait."""

from typing import Final

#: Turns that nobody took may be caught up with for so many seconds, no more.
LAG: Final = 0.1

#: Nobody is told to wait for less: loops cannot sleep shorter, and would spin. What is lost by it is caught up with.
SHORTEST_WAIT: Final = 0.001


class Pace:
    """Turns under `rate`, in rows a second; 0: as many as are asked for.

    All times are in seconds on one clock of the caller, which may have a resolution of milliseconds. In any span of s
    seconds at most rate * (s + LAG) + 1 rows have a turn, and where rows are always asked for and those who wait ask
    again when they were told, hardly fewer than rate * s.

    Nothing is kept for those who wait: a turn is taken only by a row that goes, so a cancelled one loses none. Many may
    be told the same moment; let one of them sleep and then wake as many as find a turn.
    """

    __slots__ = ("_between", "_next")

    def __init__(self, rate: float) -> None:
        self._between = 1.0 / rate if rate else 0.0
        self._next: float | None = None  # when the next turn is due; None: nobody has asked yet

    def wait(self, now: float) -> float:
        """0.0: a row may go now, and its turn is taken. Else the seconds after which to ask again."""
        due = self._next
        if due is None:
            due = now  # nothing was lost before the start
        elif due > now:
            return max(due - now, SHORTEST_WAIT)
        elif due < now - LAG:
            due = now - LAG
        self._next = due + self._between
        return 0.0

    def hold(self, until: float) -> None:
        """Give no turn before `until`, whatever the rate: the target asks for it."""
        if self._next is None or self._next < until:
            self._next = until
