"""What a run shows of itself while it goes on: one object that the run fills and others look at."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import anyio

from pipeline.records import Status
from pipeline.report.latencies import Latencies
from pipeline.report.troubles import Troubles
from pipeline.sessions import Counts, SessionPool

if TYPE_CHECKING:
    from pipeline.stages.deliver import Deliverer
    from pipeline.stages.read import Source


@dataclass(slots=True)
class Progress:
    """Filled by the run, on the event loop and in its worker threads; whoever shows it only reads."""

    # starting, reading (standard input), hashing, surveying, connecting, settling (what others left), looking,
    # reconciling, canary, sending, stopping, writing, done; of an undo also waiting, and taking back for sending
    phase: str = "starting"
    system: str = ""  # whose run it is, once that is known
    campaign: str = ""
    run_dir: Path | None = None
    rows: int | None = None  # rows of the input, once they are known
    limit: int | None = None  # rows that are looked at, at most
    surveyed: int = 0  # rows that the survey has seen
    size: int | None = None  # bytes of the sources, once they are known
    passed: int = 0  # of them those that hashing, or the survey, is done with
    counts: Counter[Status] = field(default_factory=Counter)  # rows settled so far, by screening and delivery
    sessions: Counts = field(default_factory=Counts)
    pool: SessionPool[Any] | None = None  # while there is one
    deliverer: "Deliverer[Any] | None" = None  # while rows are sent
    sent: int = 0  # rows that delivery has settled
    answered: int = 0  # of them those that left
    to_send: int | None = None  # rows that can be sent, over all resumptions, once they are known
    accounted: int = 0  # rows that the ledger holds already, while it is written
    wait: tuple[str, float] | None = None  # what is waited for, in words, and until when, by time.monotonic
    stop_by: float | None = None  # when what is in flight is given up, by time.monotonic; None: nobody wants a stop
    lag: Callable[[], int] = int  # rows that delivery has settled and that are not durable yet
    latencies: Latencies = field(default_factory=Latencies)
    troubles: Troubles = field(default_factory=Troubles)

    @contextmanager
    def hashing(self, sources: "Sequence[Source]") -> Iterator[Callable[[int], None]]:
        """Tell that the sources are read for their fingerprints; gives what is to be told how many bytes just were."""
        before, self.phase = self.phase, "hashing"
        self.size, self.passed = sum(source.size for source in sources), 0

        def passed(size: int) -> None:
            self.passed += size

        try:
            yield passed
        finally:
            self.phase, self.passed = before, 0

    async def sleep(self, seconds: float, why: str) -> None:
        """Wait for so long, and tell what for meanwhile."""
        if seconds <= 0:
            return
        self.wait = why, monotonic() + seconds
        try:
            await anyio.sleep(seconds)
        finally:
            self.wait = None

    @property
    def open_sessions(self) -> int:
        """Sessions that are open now."""
        return self.pool.open_now if self.pool else 0

    @property
    def renewing(self) -> int:
        """Sessions in whose place a new one is being opened."""
        return self.pool.renewing_now if self.pool else 0

    @property
    def in_flight(self) -> int:
        """Calls without an answer now."""
        return self.deliverer.in_flight if self.deliverer else 0

    @property
    def allowed(self) -> int:
        """How many calls may be in flight now: the limit that was found."""
        return self.deliverer.allowed if self.deliverer else 0

    @property
    def put_off(self) -> int:
        """Rows that the target has put off, and that wait to be sent again."""
        return self.deliverer.put_off if self.deliverer else 0
