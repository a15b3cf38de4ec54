"""The rows of a run that were sent before any canary had passed, by its journal: whether one has, and what it left."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import polars as pl

from pipeline.ledger.lines import Note
from pipeline.ledger.recovery import Recovery
from pipeline.records import CHANNELS, TAKING_BACK, UPDATE_UNANSWERED, Outcome, Status
from pipeline.run.job import Job
from pipeline.run.standing import told
from pipeline.stages.canary import Sent, Verdict


@dataclass(frozen=True, slots=True)
class Unproven:
    """A row that was sent before any canary had passed: accepted, or in doubt."""

    sent: Sent
    slice_number: int
    outcome: Outcome


#: How a canary ends after which the rest may follow.
_ENDS: Final = (Verdict.PASSED.value, Verdict.UNPROVEN.value)


def has_passed(notes: Iterable[Note]) -> bool:
    """Whether a canary of a run was read back already, or could not be, by the notes of its journal."""
    return any(note.event == "canary" and note.fields.get("verdict") in _ENDS for note in notes)


def left_by(notes: Iterable[Note]) -> set[int]:
    """Positions of rows that were in doubt when the canary passed; before, of those that it found damaged and could not
    take back: that was told.
    """
    told_of = [note.fields for note in notes if note.event == "canary"]
    ends = [fields for fields in told_of if fields.get("verdict") in _ENDS]
    left = [fields.get("left") for fields in (ends[-1:] or told_of)]
    return {int(position) for positions in left if isinstance(positions, list) for position in positions}


def unproven(job: Job, recovery: Recovery) -> list[Unproven]:
    """The rows that a run holds as accepted or in doubt (blocking): there are few before a canary has passed."""
    retries = {name: channel.retries for name, channel in job.settings.contacts.channels.items()}
    found = []
    for rows in told(job.screened(), recovery):
        mine = rows.filter(
            (pl.col("status") == Status.ACCEPTED.value)
            | (
                (pl.col("status") == Status.IN_DOUBT.value)
                & (pl.col("attempts") > 0)
                & ~pl.col("reason").is_in([TAKING_BACK, UPDATE_UNANSWERED])
            )
        )
        if rows.height:
            stood = recovery.changed(rows["position"][0], rows["position"][-1] + 1)
            mine = mine.filter(~pl.col("position").is_in(stood.implode()))
        for row in mine.iter_rows(named=True):
            channels = {name: (row[name], retries[name]) for name in CHANNELS if row[name] is not None}
            outcome = Outcome(
                **{name: row[name] for name in Outcome.__struct_fields__} | {"status": Status(row["status"])}
            )
            sent = Sent(row["position"], row["contact_id"], channels)
            found.append(Unproven(sent, recovery.slice_of(row["position"]), outcome))
    return found
