"""What a run takes from outside: clock, chance, disk, network, signals. A simulation puts its own in their place."""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from time import time

from pipeline import targets
from pipeline.ledger.disk import Disk, OsDisk
from pipeline.run.stopping import Stopping
from pipeline.stages.screen import Authorities
from pipeline.targets import TargetModule
from pipeline.wire import ClientFactory

#: Rows of a slice; one durable record stands before each.
SLICE_ROWS = 4096


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The outside as one run sees it; the defaults are the real one. Made anew for every run."""

    wall_clock: Callable[[], float] = time  # seconds since the epoch
    random: Random = field(default_factory=Random)  # for jitter
    disk: Disk = field(default_factory=OsDisk)  # where the journal lies
    module: Callable[[str], TargetModule] = targets.module  # gives the module of a system
    clients: ClientFactory | None = None  # HTTP clients; None: made from the settings
    authorities: Authorities = field(default_factory=Authorities)  # on phone numbers and mail addresses
    stopping: Stopping = field(default_factory=Stopping)  # signals
    slice_rows: int = SLICE_ROWS
