"""What a run shows of itself while it goes on: one object that the run fills and others look at."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.records import Outcome, Status
from pipeline.sessions import Counts


@dataclass(slots=True)
class Progress:
    """Filled by the run on the event loop; whoever shows it only reads."""

    # starting, reading (standard input), surveying, connecting, looking, reconciling, canary, sending, stopping,
    # writing, done; of an undo also waiting, and taking back in place of sending
    phase: str = "starting"
    system: str = ""  # whose run it is, once that is known
    campaign: str = ""
    run_dir: Path | None = None
    rows: int | None = None  # rows of the input, once they are known
    surveyed: int = 0  # rows that the survey has seen
    counts: Counter[Status] = field(default_factory=Counter)  # rows settled so far, by screening and delivery
    sessions: Counts = field(default_factory=Counts)
    open_sessions: int = 0
    in_flight: int = 0
    sent: int = 0  # rows that delivery has settled
    to_send: int | None = None  # rows that can be sent, once they are known
    lag: Callable[[], int] = int  # rows that delivery has settled and that are not durable yet
    observe: Callable[[Sequence[Outcome]], None] | None = None  # hears of all rows that delivery settles
