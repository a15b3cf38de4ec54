"""Duplicates inside the source: which row was the first to hold a key or a destination."""

import hashlib
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import polars as pl

from pipeline.config import ContactsSettings
from pipeline.records import Batch, Status
from pipeline.stages.channel import Channel
from pipeline.stages.verdicts import Verdicts


class Seen:
    """The claims of the rows that can be sent, by position in the whole input.

    A claim is a key or a destination. Only a digest of it is kept, of 16 bytes: two claims of a billion are taken for
    one with a probability below one in 10^20.
    """

    def __init__(self) -> None:
        self._first: dict[bytes, int] = {}

    def claim(self, claims: Iterable[str | None], position: int) -> tuple[int, int] | None:
        """Claim all or none for the row at `position`; nulls are no claims.

        Returns None if all were free, else which of them is held (its index) and the position of the row holding it.
        """
        digests = [None if claim is None else _digest(claim) for claim in claims]
        for index, digest in enumerate(digests):
            if digest is not None and (holder := self._first.get(digest)) is not None:
                return index, holder
        for digest in digests:
            if digest is not None:
                self._first[digest] = position
        return None


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
        claims = zip(*(_claims(contacts[kind.source].gather(indices), kind) for kind in self._kinds), strict=True)
        for index, claimed in zip(indices.to_list(), claims, strict=True):
            if held := self._seen.claim(claimed, batch.start + index):
                kind = self._kinds[held[0]]
                columns[index] = kind.column
                reasons[index] = f"{kind.words} {self._rows.name(held[1], batch.source)}"
        verdicts.settle(Status.DUPLICATE, pl.Series(reasons, dtype=pl.String), pl.Series(columns, dtype=pl.String))


def _claims(values: pl.Series, kind: _Kind) -> list[str | None]:
    """A phone is the same phone on sms and voice, and a mail address the same in any case."""
    if kind.source == "email":
        return [value and value.casefold() for value in values]
    return values.to_list()
