"""How far a run has come: the share that is done, rate over the last seconds, time left, counts by status, latency,
what is waited for, problems.
"""

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final, Protocol

from pipeline.records import Status
from pipeline.report.latencies import Latencies, percentile
from pipeline.report.pace import WINDOW, Rate
from pipeline.report.text import counts, latency, left, number, rate, rows
from pipeline.report.troubles import Troubles

#: Latencies are those of so many last seconds.
LATELY: Final = WINDOW

#: So many different problems are told at most.
PROBLEMS: Final = 4

#: What a phase is, in words; others are words already.
_STAGES: Final = {
    "reading": "reading standard input",
    "hashing": "taking the fingerprint of the list",
    "surveying": "reading and screening",
    "looking": "asking the target what it holds",
    "canary": "canary: the first rows are sent and read back",
    "reconciling": "asking about unanswered rows",
    "settling": "asking about rows that an earlier run left open",
    "waiting": "before anything is deleted",
    "writing": "writing the ledger",
}

#: Phases before anything is sent, and those in which rows leave.
_BEFORE: Final = ("reading", "surveying")
_SENDING: Final = ("sending", "taking back", "stopping")

#: Rows that end so have left.
_LEFT: Final = (Status.ACCEPTED, Status.REJECTED, Status.FAILED, Status.IN_DOUBT)


class Sessions(Protocol):
    """What has become of sessions."""

    expired: int


class Watched(Protocol):
    """What a run tells about itself while it goes on."""

    phase: str
    rows: int | None  # of the input, once known
    limit: int | None
    surveyed: int
    size: int | None  # bytes of the sources, once known
    passed: int  # of them those that hashing, or the survey, is done with
    counts: Counter[Status]
    answered: int  # rows that were sent and settled
    to_send: int | None
    accounted: int  # rows that the ledger holds already
    wait: tuple[str, float] | None  # what is waited for, and until when, on the meter's clock
    stop_by: float | None
    latencies: Latencies
    troubles: Troubles

    @property
    def sessions(self) -> Sessions: ...
    @property
    def open_sessions(self) -> int: ...
    @property
    def renewing(self) -> int: ...
    @property
    def in_flight(self) -> int: ...
    @property
    def allowed(self) -> int: ...
    @property
    def put_off(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Reading:
    """One look at a run."""

    phase: str
    done: int  # rows that this phase is done with
    total: int | None  # rows that this phase has to do; None: not known
    share: float | None  # the part of it that is done, from 0 to 1; None: not known
    rate: float  # rows per second, over the last seconds
    left: float | None  # seconds until this phase is done; None: not known
    counts: dict[Status, int]  # rows settled so far
    sessions: int  # open now
    renewing: int  # being opened in the place of others
    expired: int  # since the run began
    in_flight: int  # calls without an answer now
    allowed: int  # calls that may be in flight now
    latency: tuple[float, float] | None  # seconds within which half of the last answers came, and 95 % of them
    problems: tuple[str, ...]  # the latest first
    put_off: int  # rows that wait to be sent again
    wait: tuple[str, float] | None  # what is waited for, in words, and for how many seconds more; None: nothing is
    stop_by: float | None  # seconds until what is in flight is given up; None: nobody wants a stop

    @property
    def stage(self) -> str:
        """The phase in words."""
        if self.phase == "stopping" and not self.in_flight:
            return "stopping: nothing is in flight"
        if self.phase == "stopping":
            calls = f"{number(self.in_flight)} call{'' if self.in_flight == 1 else 's'}"
            most = f", at most {left(self.stop_by)}" if self.stop_by is not None else ""
            return f"stopping: finishing {calls} in flight{most}; Ctrl-C again to wait for nothing"
        stage = _STAGES.get(self.phase, self.phase)
        if self.wait is None:
            return stage
        why, seconds = self.wait
        return f"{stage}: {why}; {left(seconds)} to wait (delivery.late_effect)"

    @property
    def amount(self) -> str:
        """Rows done, and of how many: "10 of 60 rows"; nothing where there are none."""
        if self.total is not None:
            return f"{number(self.done)} of {rows(self.total)}"
        return rows(self.done) if self.done else ""

    @property
    def pace(self) -> str:
        """Rate and time left, as far as they are known: "1,234 rows/s, 30 s left"."""
        parts = [rate(self.rate)] if self.rate else []
        if self.left is not None:
            parts.append(f"{left(self.left)} left")
        return ", ".join(parts)

    @property
    def traffic(self) -> list[str]:
        """Latency, sessions and calls, as far as there are any."""
        parts = []
        if self.latency is not None:
            parts.append(f"latency p50 {latency(self.latency[0])}, p95 {latency(self.latency[1])}")
        if self.sessions or self.renewing:
            told = [f"sessions {number(self.sessions)}"]
            told += [f"renewing {number(self.renewing)}"] if self.renewing else []
            told += [f"expired {number(self.expired)}"] if self.expired else []
            parts.append(", ".join(told))
        if self.allowed:
            parts.append(f"in flight {number(self.in_flight)} of {number(self.allowed)}")
        if self.put_off:
            parts.append(f"put off {number(self.put_off)}")
        return parts

    def line(self) -> str:
        """All of it on one line of text."""
        share = f"{int(self.share * 100)} %" if self.share is not None and self.total is None else ""
        head = ", ".join(part for part in (self.amount, share, self.pace) if part)
        parts = [f"{self.stage}: {head}" if head else self.stage]
        if any(self.counts.values()):
            parts.append(counts(self.counts))
        return "; ".join([*parts, *self.traffic, *self.problems[:1]])

    def fields(self) -> dict[str, Any]:
        """All of it as fields of a log line."""
        half, most = self.latency or (None, None)
        return {
            "phase": self.phase,
            "done": self.done,
            "total": self.total,
            "share": None if self.share is None else round(self.share, 4),
            "rate": round(self.rate, 1),
            "left": None if self.left is None else round(self.left, 1),
            "counts": {status.value: count for status, count in self.counts.items() if count},
            "sessions": self.sessions,
            "in_flight": self.in_flight,
            "allowed": self.allowed,
            "put_off": self.put_off,
            "waiting": None if self.wait is None else {"for": self.wait[0], "seconds": round(self.wait[1], 1)},
            "p50_ms": None if half is None else round(half * 1000, 1),
            "p95_ms": None if most is None else round(most * 1000, 1),
            "problems": list(self.problems),
        }


def to_go(rows: int | None, to_send: int | None, settled: "Counter[Status]") -> int | None:
    """Rows that will still leave; None: not known. Those that will not do not count, however they lie in the list:
    `to_send` holds none of them, and none of the `rows` that are settled are left.
    """
    if rows is None or to_send is None:
        return None
    return max(0, min(rows - settled.total(), to_send - sum(settled[status] for status in _LEFT)))


class Meter:
    """Reads a run's progress now and then, and makes rates of what it read."""

    def __init__(self, progress: Watched, clock: Callable[[], float] = monotonic) -> None:
        self._progress = progress
        self._clock = clock
        self._surveying = Rate()
        self._passing = Rate()  # of bytes
        self._hashing = Rate()  # of bytes
        self._writing = Rate()
        self._sending = Rate()
        self._heard: deque[tuple[float, list[int]]] = deque()  # latencies as they were

    def read(self) -> Reading:
        """What the run says now. Counts may be a moment apart from each other: nobody waits for a reader."""
        progress, now, phase = self._progress, self._clock(), self._progress.phase
        settled = Counter({status: progress.counts[status] for status in Status})
        done, total, share, per_second, remaining = 0, None, None, 0.0, None
        seconds = None  # until the phase is done, where rows do not tell
        if phase == "hashing":
            share, seconds = self._hashed(now)
        elif phase in _BEFORE:
            done, total = progress.surveyed, progress.rows
            per_second = self._surveying.read(now, done)
            share, seconds = self._survey(now, per_second)
        elif phase == "canary":
            done = progress.answered
        elif phase in _SENDING:
            per_second = self._sending.read(now, progress.answered)
            remaining = to_go(progress.rows, progress.to_send, settled)
            if remaining is not None and progress.to_send is not None:
                done, total = progress.to_send - remaining, progress.to_send
            else:
                done, total = settled.total(), progress.rows
        elif phase == "writing":
            done, total = progress.accounted, progress.rows
            per_second = self._writing.read(now, done)
            remaining = None if total is None else total - done
        if remaining and per_second and phase != "stopping":
            seconds = remaining / per_second
        return Reading(
            phase=phase,
            done=done,
            total=total,
            share=min(1.0, done / total) if total else share,
            rate=per_second,
            left=seconds,
            counts={status: settled[status] for status in Status},
            sessions=progress.open_sessions,
            renewing=progress.renewing,
            expired=progress.sessions.expired,
            in_flight=progress.in_flight,
            allowed=progress.allowed,
            latency=self._latency(now),
            problems=tuple(progress.troubles.words(PROBLEMS)),
            put_off=progress.put_off,
            wait=None if progress.wait is None else (progress.wait[0], max(0.0, progress.wait[1] - now)),
            stop_by=None if progress.stop_by is None else max(0.0, progress.stop_by - now),
        )

    def _hashed(self, now: float) -> tuple[float | None, float | None]:
        """Share and time left of what is read for its fingerprint."""
        size = self._progress.size
        passed = min(self._progress.passed, size or 0)  # a list may have grown
        per_second = self._hashing.read(now, passed)
        return passed / size if size else None, (size - passed) / per_second if size and per_second else None

    def _survey(self, now: float, per_second: float) -> tuple[float | None, float | None]:
        """Share and time left of a survey, which ends with the last byte, or with the last row that was asked for."""
        progress = self._progress
        ways = [(progress.passed, progress.size, self._passing.read(now, progress.passed))]
        ways.append((progress.surveyed, progress.rows or progress.limit, per_second))
        shares = [min(1.0, done / total) for done, total, _ in ways if total]
        seconds = [max(0, total - done) / rate for done, total, rate in ways if total and rate]
        return max(shares, default=None), min(seconds, default=None) or None

    def _latency(self, now: float) -> tuple[float, float] | None:
        heard = self._heard
        heard.append((now, self._progress.latencies.counts.copy()))
        while len(heard) > 2 and now - heard[1][0] >= LATELY:
            heard.popleft()
        lately = [after - before for after, before in zip(heard[-1][1], heard[0][1], strict=True)]
        half, most = percentile(lately, 0.5), percentile(lately, 0.95)
        return None if half is None or most is None else (half, most)
