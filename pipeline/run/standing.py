"""Where the begun rows of a run stand: a walk over source and journal finds what is in doubt, and what tells of it."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

import polars as pl

from pipeline.ledger.recovery import Recovery
from pipeline.records import CHANNELS, UPDATE_UNANSWERED, Screened, Status

#: So many of the rows that were accepted last make up the control.
CONTROL: Final = 20

_TEXTS: Final = [name for channel in CHANNELS for name in (channel, f"{channel}_text")]

_ROWS: Final = pl.Schema(
    [
        ("position", pl.UInt64),
        ("contact_id", pl.String),
        ("content", pl.String),
        *((name, pl.String) for name in _TEXTS),
        ("reason", pl.String),
        ("attempts", pl.UInt16),
        ("sent_at", pl.Int64),
    ]
)


@dataclass(slots=True)
class Standing:
    """What a walk over source and journal found: rows to settle, and rows to tell the truth by."""

    doubtful: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=_ROWS))
    again: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=_ROWS))
    control: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=_ROWS))
    listed: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=_ROWS))  # there before: a lesser control


def survey(screened: Iterable[Screened], recovery: Recovery, again: Iterable[Status] = ()) -> Standing:
    """Walk the input once (blocking)."""
    standing = Standing()
    wanted = [status.value for status in again]
    for rows in told(screened, recovery):
        updated = pl.col("reason").eq_missing(UPDATE_UNANSWERED)
        doubtful = rows.filter((pl.col("status") == Status.IN_DOUBT.value) & ~updated).select(_ROWS.names())
        standing.doubtful = pl.concat([standing.doubtful, doubtful])
        # What was updated was listed before: it does not show that the list is up to date.
        stood = pl.col("position").is_in(recovery.changed(*_range(rows)).implode())
        accepted = rows.filter((pl.col("status") == Status.ACCEPTED.value) & ~stood).select(_ROWS.names())
        control = pl.concat([standing.control, accepted])
        standing.control = control.sort("sent_at", nulls_last=False).tail(CONTROL)
        listed = rows.filter(pl.col("status") == Status.DUPLICATE.value).select(_ROWS.names())
        standing.listed = pl.concat([standing.listed, listed]).tail(CONTROL)
        more = rows.filter(pl.col("status").is_in(wanted)).select(_ROWS.names())
        standing.again = pl.concat([standing.again, more])
    return standing


def told(screened: Iterable[Screened], recovery: Recovery) -> Iterable[pl.DataFrame]:
    """The rows that can be sent and were begun, with where they stand."""
    for batch in screened:
        standing = recovery.standing(batch.batch.start, batch.batch.stop)
        if standing.is_empty():
            continue
        contacts = batch.contacts.with_row_index("position", offset=batch.batch.start)
        sendable = contacts.filter(pl.col("status").is_null()).select(
            pl.col("position").cast(pl.UInt64), "contact_id", "content", *_TEXTS
        )
        yield sendable.join(standing, on="position", maintain_order="left")


def _range(rows: pl.DataFrame) -> tuple[int, int]:
    """The range of positions of rows in order."""
    return (rows["position"][0], rows["position"][-1] + 1) if rows.height else (0, 0)
