"""What is known of the campaign before a row leaves, from earlier runs and the target's list; rows are judged by it."""

from collections.abc import Sequence
from typing import Final, Literal

import polars as pl

from pipeline.ledger.lines import Note
from pipeline.ledger.state import State, packed
from pipeline.records import Screened, Status
from pipeline.report.text import contacts
from pipeline.run.census import Census
from pipeline.run.job import Job

#: Why a row is not sent.
SAME: Final = "it is in the campaign already, with the same content"
LISTED: Final = "it is in the campaign already: the target lists it"
OTHER: Final = "it is in the campaign already, with other content"
UNSURE: Final = "it is in the campaign already; whether with the same content is not known"
DOUBTED: Final = "an earlier run may have added it: it may be there or not"

_VERDICTS: Final = pl.Schema([("status", pl.String), ("reason", pl.String)])


def known_keeps_ids(configured: bool | Literal["ask"], notes: Sequence[Note], state: State | None) -> bool | None:
    """Whether the target keeps our ids: as the run's canary told (`notes` of its journal), as configured, as an earlier
    run has learnt; None: nobody knows.
    """
    for note in notes[::-1]:
        told = note.fields.get("keeps_ids")
        if note.event == "canary" and isinstance(told, bool):
            return told
    if configured != "ask":
        return configured
    return state.keeps_ids if state is not None else None


def held(job: Job, state: State) -> list[str]:
    """What is known here of what the campaign holds, and how the rest is found out, in words (blocking).

    Few systems say how much a campaign holds but by listing all of it: that is done once, before the first row leaves.
    """
    if job.options.campaign is not None:
        return []  # it is to be made
    known = job.settings.state.known
    size = state.size if "state" in known else 0
    keeps_ids = known_keeps_ids(job.settings.target.keeps_ids, (), state)
    listing = job.lookup is not None and "target" in known and keeps_ids is not False
    if size and listing:
        return [f"It holds {contacts(size)} known here, perhaps others too: rows that stand in its list are not sent."]
    if listing:
        return ["Nothing is known here of what it holds: rows that stand in its list are not sent."]
    if size:
        return [f"It holds {contacts(size)} known here. What others have brought there is not asked for."]
    return ["Nothing is known here of what it holds, and it is not asked: rows that are there are sent once more."]


class Known:
    """Judges contacts by what is known of the campaign; see `encode.Known`.

    `state` is None where it is not to be asked for what is there; `doubts` is asked in any case for what may be there.
    `upsert`: what is there is to have the content of the list, so what may have another counts as changed.
    """

    def __init__(
        self,
        state: State | None,
        census: Census | None = None,
        *,
        doubts: State | None = None,
        own: int | None = None,
        upsert: bool = False,
    ) -> None:
        self._upsert = upsert
        self._state = state
        self._census = census
        self._doubts = doubts
        self._own = own  # the number of the run that asks: what it doubts itself is its own business

    def judge(self, contacts: pl.DataFrame) -> pl.DataFrame:
        """Per row of `contacts` (contact_id, content) its `status` (null: it is not there) and `reason`; blocks."""
        asked = [state for state in (self._state, self._doubts) if state is not None]
        if (self._census is None or self._census.empty) and all(state.blank for state in asked):
            return _nothing(contacts.height)
        ids, contents = packed(contacts)
        there = self._state.known(ids, own=self._own) if self._state else {}
        listed = self._census.among(ids) if self._census else set()
        doubted = self._doubts.doubted(ids, own=self._own) if self._doubts else {}
        if not (there or listed or doubted):
            return _nothing(contacts.height)
        verdicts: list[tuple[Status | None, str | None]] = []
        for contact_id, content in zip(ids, contents, strict=True):
            if there.get(contact_id) is not None:
                same = there[contact_id] == content
                verdicts.append((Status.DUPLICATE, SAME) if same else (Status.CHANGED, OTHER))
            elif self._upsert and (contact_id in listed or contact_id in there):
                verdicts.append((Status.CHANGED, UNSURE))
            elif contact_id in listed or contact_id in there:
                same = doubted.get(contact_id, content) == content  # an earlier run may have brought it
                verdicts.append((Status.DUPLICATE, LISTED) if same else (Status.CHANGED, OTHER))
            elif contact_id in doubted:
                verdicts.append((Status.IN_DOUBT, DOUBTED))
            else:
                verdicts.append((None, None))
        return pl.DataFrame(verdicts, schema=_VERDICTS, orient="row")

    def applied(self, screened: Screened) -> Screened:
        """`screened` with the rows settled that are surely there; blocks."""
        contacts = screened.contacts
        sendable = contacts["status"].is_null()
        if not sendable.any():
            return screened
        verdicts = self.judge(contacts.filter(sendable))
        verdicts = verdicts.with_columns(at=sendable.arg_true()).filter(
            pl.col("status").is_not_null() & (pl.col("status") != Status.IN_DOUBT.value)
        )
        if verdicts.is_empty():
            return screened
        contacts = (
            contacts.with_row_index("at")
            .join(verdicts, on="at", how="left", maintain_order="left", suffix="_known")
            .with_columns(pl.coalesce(name, f"{name}_known").alias(name) for name in ("status", "reason"))
            .select(contacts.columns)
        )
        return Screened(screened.batch, contacts)


def _nothing(rows: int) -> pl.DataFrame:
    return pl.DataFrame({name: [None] * rows for name in _VERDICTS.names()}, schema=_VERDICTS)
