"""Duplicates inside the source: which row was the first to hold a key or a destination."""

import hashlib
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from pipeline.config import ContactsSettings
from pipeline.records import Batch, Status
from pipeline.stages.channel import Channel
from pipeline.stages.verdicts import Verdicts


class Seen:
    """Which row was the first to make a claim, a key or a destination: 24 bytes for each, however long the input.

    Only a digest of 16 bytes is kept: two claims of a billion are taken for one with a probability below one in 10^20.
    They lie in tables sorted by digest, each at least twice as large as the one behind it, so that a lookup searches
    few tables and a claim is moved only as often as there are tables.
    """

    def __init__(self) -> None:
        self._tables: list[pl.DataFrame] = []  # high and low half of the digest, position; sorted by high

    def holders(self, digests: Sequence[bytes]) -> list[int | None]:
        """The position of the row that holds each claim; None: it is free."""
        wanted = _halves(digests)
        found = pl.select(pl.repeat(None, len(digests), dtype=pl.UInt64)).to_series()
        for table in self._tables:
            at = table["high"].search_sorted(wanted["high"]).clip(upper_bound=table.height - 1)
            there = table[at]
            same = (there["high"] == wanted["high"]) & (there["low"] == wanted["low"])
            found = there["position"].zip_with(same, found)
        return found.to_list()

    def keep(self, claims: Mapping[bytes, int]) -> None:
        """Give free claims to the rows at these positions."""
        if not claims:
            return
        table = _halves(list(claims)).with_columns(pl.Series("position", list(claims.values()), dtype=pl.UInt64))
        while self._tables and self._tables[-1].height < 2 * table.height:
            table = pl.concat([self._tables.pop(), table])
        self._tables.append(table.sort("high"))


def _halves(digests: Sequence[bytes]) -> pl.DataFrame:
    whole = pl.Series("digest", digests, dtype=pl.Binary).to_frame()
    return whole.select(
        pl.col("digest").bin.slice(start, 8).bin.reinterpret(dtype=pl.UInt64, endianness="little").alias(name)
        for start, name in ((0, "high"), (8, "low"))
    )


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


def _digest(claim: str) -> bytes:
    return hashlib.blake2b(claim.encode(), digest_size=16).digest()


@dataclass(frozen=True, slots=True)
class _Kind:
    """One kind of claim that a row makes."""

    source: str  # the column of the contacts that holds it
    words: str  # what two rows have in common
    column: str | None  # the column of the source that it comes from


class Duplicates:
    """Finds the rows that repeat an earlier one, over one walk. Only rows that can be sent count as earlier ones."""

    def __init__(self, contacts: ContactsSettings, channels: Sequence[Channel]) -> None:
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
        reasons: list[str | None] = [None] * contacts.height
        columns: list[str | None] = [None] * contacts.height
        indices = verdicts.open.arg_true()
        claims = [_claims(contacts[kind.source].gather(indices), kind) for kind in self._kinds]
        distinct = list({digest for of_kind in claims for digest in of_kind if digest is not None})
        held = {d: at for d, at in zip(distinct, self._seen.holders(distinct), strict=True) if at is not None}
        new: dict[bytes, int] = {}
        for index, row in zip(indices.to_list(), zip(*claims, strict=True), strict=True):
            for kind, digest in zip(self._kinds, row, strict=True):
                if digest is not None and (first := held.get(digest, new.get(digest))) is not None:
                    columns[index] = kind.column
                    reasons[index] = f"{kind.words} {self._rows.name(first, batch.source)}"
                    break
            else:  # it claims all or nothing
                new.update((digest, batch.start + index) for digest in row if digest is not None)
        self._seen.keep(new)
        verdicts.settle(Status.DUPLICATE, pl.Series(reasons, dtype=pl.String), pl.Series(columns, dtype=pl.String))


def _claims(values: pl.Series, kind: _Kind) -> list[bytes | None]:
    """A phone is the same phone on sms and voice, and a mail address the same in any case."""
    texts = [value and value.casefold() for value in values] if kind.source == "email" else values.to_list()
    return [None if text is None else _digest(text) for text in texts]
