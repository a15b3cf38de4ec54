"""The walk that updates what is in the campaign with other content: rows that were found to be changed, none else.

Updating is idempotent: what got no answer is simply sent again, and after a crash every row that is still on record as
changed is updated once more.
"""

from collections.abc import Callable
from typing import Any, Final

import polars as pl

from pipeline.ledger.recovery import Recovery
from pipeline.records import UPDATE_UNANSWERED, Status
from pipeline.run.known import OTHER
from pipeline.stages.encode import Body
from pipeline.stages.sender import Sender
from pipeline.stages.settle import Terms
from pipeline.targets import Lookup

#: What becomes of rows that get no answer: they are there, which is what `changed` says.
TERMS: Final = Terms((Status.CHANGED, OTHER), repeatable=True, unanswered=UPDATE_UNANSWERED)


class Update(Sender[Any]):
    """The row call: the contact of this id is given this content."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup

    def encode(self, contacts: pl.DataFrame) -> list[Body]:
        """One body per row, in order."""
        return self._lookup.encode_update(contacts)

    async def send(self, handle: Any, body: Body) -> str:
        """Update one contact."""
        return await self._lookup.update(handle, body)


def to_update(recovery: Recovery) -> Callable[[int, int], pl.DataFrame]:
    """Where rows stand for this walk: those that are changed are pending, all others are done."""

    def standing(start: int, stop: int) -> pl.DataFrame:
        told = recovery.standing(start, stop)
        unanswered = (pl.col("status") == Status.IN_DOUBT.value) & pl.col("reason").eq_missing(UPDATE_UNANSWERED)
        wanted = (pl.col("status") == Status.CHANGED.value) | unanswered
        others = pl.when(pl.col("status") != Status.PENDING.value).then("status")
        told = told.with_columns(status=pl.when(wanted).then(pl.lit(Status.PENDING.value)).otherwise(others))
        # Of a row that was never begun, or not sent, it was not found that it is changed: it is none of this walk's.
        every = pl.DataFrame({"position": pl.int_range(start, stop, dtype=pl.UInt64, eager=True)})
        return every.join(told, on="position", how="left", maintain_order="left").with_columns(
            pl.col("status").fill_null(Status.INVALID.value), pl.col("attempts").fill_null(0)
        )

    return standing


def any_left(recovery: Recovery) -> bool:
    """Whether any row is to be updated."""
    standing, stop = to_update(recovery), recovery.slices["stop"].max() or 0
    assert isinstance(stop, int)
    parts = (standing(start, min(start + _PART, stop)) for start in range(0, stop, _PART))
    return any((part["status"] == Status.PENDING.value).any() for part in parts)


_PART: Final = 1 << 16
