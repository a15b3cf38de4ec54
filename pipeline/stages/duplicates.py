"""Duplicates inside the source: which row was the first to hold a key or a destination."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

import polars as pl

from pipeline.config import ContactsSettings
from pipeline.records import Batch, Status
from pipeline.stages.channel import Channel
from pipeline.stages.digests import Digester
from pipeline.stages.seen import Seen
from pipeline.stages.verdicts import Verdicts, caseless, nothing


class Rows:
    """Names rows by their position in the whole input, from the batches that went by in order."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._sources: list[tuple[str, int]] = []  # the source that begins there, and the number of its row there

    def passing(self, batch: Batch) -> None:
        """Take note of the next batch."""
        follows = self._sources and self._sources[-1] == (batch.source, batch.row - batch.start + self._starts[-1])
        if not follows:
            self._starts.append(batch.start)
            self._sources.append((batch.source, batch.row))

    def name(self, position: int, here: str) -> str:
        """For example "row 12", and "row 12 of a.csv" where the row asking stands in another source than `here`."""
        index = bisect_right(self._starts, position) - 1
        source, row = self._sources[index]
        number = row + position - self._starts[index]
        return f"row {number}" if source == here else f"row {number} of {source}"


@dataclass(frozen=True, slots=True)
class _Kind:
    """One kind of claim that a row makes."""

    source: str  # the column of the contacts that holds it
    words: str  # what two rows have in common
    column: str | None  # the column of the source that it comes from


class Duplicates:
    """Finds the rows that repeat an earlier one, over one walk. Only rows that can be sent count as earlier ones."""

    def __init__(self, contacts: ContactsSettings, channels: Sequence[Channel]) -> None:
        self._digester = Digester()
        self._seen = Seen()
        self._rows = Rows()
        self._kinds: list[_Kind] = []
        if contacts.unique == "key":
            words = "the same key as" if contacts.key else "the same destinations as"
            self._kinds.append(_Kind("key", words, next(iter(contacts.key), None)))
        elif contacts.unique == "destination":
            for channel in channels:
                words = "the same mail address as" if channel.name == "email" else "the same phone as"
                self._kinds.append(_Kind(channel.name, words, channel.column))

    def judge(self, batch: Batch, contacts: pl.DataFrame, verdicts: Verdicts) -> None:
        """Settle the open rows that repeat an earlier one; the other open rows stake their claims."""
        self._rows.passing(batch)
        if not self._kinds:
            return
        claims = self._claims(contacts, verdicts.open)
        claims = claims.with_columns(self._seen.holders(claims["digest"]).alias("holder"))
        refused = _in_turn(_touched(claims), batch.start)
        if refused:
            claims = claims.filter(~pl.col("row").is_in([row for row, _, _ in refused]))
            self._settle(refused, batch.source, verdicts)
        self._seen.keep(claims["digest"], claims["row"].cast(pl.UInt64) + batch.start)

    def _claims(self, contacts: pl.DataFrame, rows: pl.Series) -> pl.DataFrame:
        """What the `rows` that are true claim: row, kind and digest, by row and kind, and no digest twice in a row.

        A phone is the same phone on sms and voice, and a mail address the same in any case.
        """
        indices = rows.arg_true()
        of_kinds = []
        for number, kind in enumerate(self._kinds):
            texts = contacts[kind.source].gather(indices)
            digests = self._digester.of(caseless(texts) if kind.source == "email" else texts)
            of_kinds.append(pl.DataFrame({"row": indices, "digest": digests}).with_columns(kind=number))
        if len(of_kinds) == 1:
            return of_kinds[0].drop_nulls()
        claims = pl.concat(of_kinds).drop_nulls().sort("row", "kind")
        return claims.unique(("row", "digest"), keep="first", maintain_order=True)

    def _settle(self, refused: Sequence["_Refused"], source: str, verdicts: Verdicts) -> None:
        rows = [row for row, _, _ in refused]
        reasons = [f"{self._kinds[kind].words} {self._rows.name(first, source)}" for _, kind, first in refused]
        columns = [self._kinds[kind].column for _, kind, _ in refused]
        every = nothing(len(verdicts.open))
        verdicts.settle(
            Status.DUPLICATE,
            every.scatter(rows, pl.Series(reasons, dtype=pl.String)),
            nothing(len(every)).scatter(rows, pl.Series(columns, dtype=pl.String)),
        )


class _Refused(NamedTuple):
    """A row that repeats an earlier one."""

    row: int  # its index in the batch
    kind: int  # index of the kind of claim that they share
    first: int  # position of the earlier one


def _touched(claims: pl.DataFrame) -> pl.DataFrame:
    """All claims of those rows of which one is held already, or is made by another row of the batch too."""
    shared = claims["holder"].is_not_null()
    if not (first := claims["digest"].is_first_distinct()).all():
        shared |= claims["digest"].is_in(claims["digest"].filter(~first).implode())
    touched = claims.filter(shared)
    return touched if not touched.height else claims.filter(pl.col("row").is_in(touched["row"].implode()))


def _in_turn(claims: pl.DataFrame, start: int) -> list[_Refused]:
    """The rows of these that repeat one before them: a row claims all or nothing. `start`: position of row 0."""
    new: dict[int, int] = {}
    refused: list[_Refused] = []
    by_row = groupby(claims.select("row", "kind", "digest", "holder").iter_rows(), key=itemgetter(0))
    for row, of_row in by_row:
        wanted = []
        for _, kind, digest, holder in of_row:
            if (first := new.get(digest, holder)) is not None:
                refused.append(_Refused(row, kind, first))
                break
            wanted.append(digest)
        else:
            new.update(dict.fromkeys(wanted, start + row))
    return refused
