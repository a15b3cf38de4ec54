"""How far a run has come: rows done, rate over the last seconds, time left, counts by status."""

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final, Protocol

from pipeline.records import Status
from pipeline.report.text import counts, number, rate, span

#: The rate is that of so many last seconds.
WINDOW: Final = 10.0


class Watched(Protocol):
    """What a run tells about itself while it goes on."""

    phase: str
    rows: int | None  # of the input, once known
    surveyed: int
    counts: Counter[Status]
    open_sessions: int
    in_flight: int
    sent: int
    to_send: int | None


@dataclass(frozen=True, slots=True)
class Reading:
    """One look at a run."""

    phase: str
    done: int  # rows that this phase is done with
    total: int | None  # rows that this phase has to do; None: not known
    rate: float  # rows per second, over the last seconds
    left: float | None  # seconds until this phase is done; None: not known
    counts: dict[Status, int]  # rows settled so far
    sessions: int  # open now
    in_flight: int  # calls without an answer now

    @property
    def pace(self) -> str:
        """Rate and time left, as far as they are known: "1,234 rows/s, 30 s left"."""
        parts = [rate(self.rate)] if self.rate else []
        if self.left is not None:
            parts.append(f"{span(self.left)} left")
        return ", ".join(parts)

    def line(self) -> str:
        """All of it on one line of text."""
        parts = [self.phase]
        if self.total is not None:
            parts[0] += f": {number(self.done)} of {number(self.total)} rows"
        elif self.done:
            parts[0] += f": {number(self.done)} rows"
        if self.pace:
            parts[0] += f", {self.pace}"
        if any(self.counts.values()):
            parts.append(counts(self.counts))
        if self.sessions:
            parts.append(f"sessions {number(self.sessions)}, in flight {number(self.in_flight)}")
        return "; ".join(parts)

    def fields(self) -> dict[str, Any]:
        """All of it as fields of a log line."""
        return {
            "phase": self.phase,
            "done": self.done,
            "total": self.total,
            "rate": round(self.rate, 1),
            "left": None if self.left is None else round(self.left, 1),
            "counts": {status.value: count for status, count in self.counts.items() if count},
            "sessions": self.sessions,
            "in_flight": self.in_flight,
        }


class Meter:
    """Reads a run's progress now and then, and makes rates of what it read."""

    def __init__(self, progress: Watched, clock: Callable[[], float] = monotonic) -> None:
        self._progress = progress
        self._clock = clock
        self._phase = ""
        self._samples: deque[tuple[float, int]] = deque()

    def read(self) -> Reading:
        """What the run says now. Counts may be a moment apart from each other: nobody waits for a reader."""
        progress = self._progress
        surveying = progress.phase in ("starting", "surveying")
        moved = progress.surveyed if surveying else progress.sent
        per_second = self._rate(progress.phase, moved)
        goal = progress.rows if surveying else progress.to_send
        settled = {status: progress.counts[status] for status in Status}
        return Reading(
            phase=progress.phase,
            done=progress.surveyed if surveying else sum(settled.values()),
            total=progress.rows,
            rate=per_second,
            left=(goal - moved) / per_second if goal is not None and goal > moved and per_second else None,
            counts=settled,
            sessions=progress.open_sessions,
            in_flight=progress.in_flight,
        )

    def _rate(self, phase: str, moved: int) -> float:
        now = self._clock()
        if phase != self._phase:
            self._phase = phase
            self._samples.clear()
        self._samples.append((now, moved))
        while now - self._samples[0][0] > WINDOW:
            self._samples.popleft()
        since, before = self._samples[0]
        return (moved - before) / (now - since) if now > since else 0.0
