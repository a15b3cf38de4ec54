"""What one run is in doubt of, and everything that is known to settle it by."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

import polars as pl

from pipeline.ledger.baseline import Baseline
from pipeline.ledger.recovery import Recovery
from pipeline.ledger.state import State, packed_ids
from pipeline.records import Screened
from pipeline.run.job import Job
from pipeline.run.standing import CONTROL, Standing
from pipeline.stages.faces import Faces


@dataclass(slots=True)
class Doubt:
    """The rows of one run that are to be settled, and what they are settled by.

    `walk` goes over the run's input anew, screened. `not_before` is when the last unanswered request can no longer take
    effect, in seconds on the loop's clock.
    """

    walk: Callable[[], Iterable[Screened]]
    recovery: Recovery
    standing: Standing
    faces: Faces
    baseline: Baseline
    alone: bool  # no other run has sent into the campaign since this one began
    theirs: Mapping[bytes, bytes]  # content by id of those that another run may have sent
    brought: Collection[bytes]  # ids of those that another run has brought there since
    shared_ids: bool  # rows of one input may have the same id
    not_before: float
    wall_clock: Callable[[], float]  # seconds since the epoch


def doubt_of(job: Job, recovery: Recovery, standing: Standing, state: State, number: int, not_before: float) -> Doubt:
    """What a run, of this number in the state, is in doubt of, and what the state knows of that (blocking)."""
    if standing.control.is_empty() and standing.listed.is_empty():
        # A short list may have nothing of its own to judge by; what other runs have brought is there to be shown.
        standing.listed = pl.DataFrame({"contact_id": state.some(CONTROL)}, schema={"contact_id": pl.String})
    ids = packed_ids(standing.doubtful["contact_id"])
    return Doubt(
        walk=job.screened,
        recovery=recovery,
        standing=standing,
        faces=Faces(job.settings.contacts),
        baseline=job.baseline,
        alone=state.alone_since(number),
        theirs=state.doubted(ids, own=number),
        brought=state.brought(ids, own=number),
        shared_ids=job.settings.contacts.unique != "key",
        not_before=not_before,
        wall_clock=job.surroundings.wall_clock,
    )
