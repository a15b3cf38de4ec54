"""What a worker has in hand: one row at a time, and whether its request may have left.

none ──taken──► in hand ──take_off──► flying ──land──► none: settled, or put off
                 ▲                    │    ▲               or in hand again: it has surely not been added
                 └────────────────────┘    └─ accepted, and another row flies in its place
"""

from collections.abc import Callable

from pipeline.stages.queue import Row
from pipeline.stages.traffic import Traffic
from pipeline.wire import Answer


class Flight:
    """One worker's; `wall_clock` gives seconds since the epoch."""

    __slots__ = ("_heard", "_traffic", "_wall_clock", "code", "flying", "fruitful", "known", "row", "sent")

    def __init__(self, traffic: Traffic, wall_clock: Callable[[], float]) -> None:
        self._traffic = traffic
        self._wall_clock = wall_clock
        self._heard = False  # whether the limit has heard of the answer
        self.row: Row | None = None
        self.flying = False  # whether its request may have left
        self.sent = 0.0  # when it left, wall clock
        self.known: Answer | None = None  # the answer of acceptance that was seen last
        self.code: str | None = None  # its code
        self.fruitful = False  # whether rows were accepted of which the target has not heard

    def take_off(self) -> None:
        """The request of the row in hand may leave."""
        self.flying = True
        self._heard = False
        self.sent = self._wall_clock()
        self._traffic.take_off()

    def hear(self) -> None:
        """Let the limit hear of an answer, before its meaning is asked for, which may take calls of its own."""
        self._heard = True
        self._traffic.heard(max(0.0, self._wall_clock() - self.sent))

    def land(self, *, answered: bool) -> Row:
        """The request is over; `answered`: by an answer to the row. Gives the row, which is not in hand any more."""
        row = self.row
        assert row is not None
        if answered and not self._heard:
            self.hear()
        self.row, self.flying = None, False
        self._traffic.land()
        return row
