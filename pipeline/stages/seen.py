"""Which row was the first to make a claim, of any number of claims, in 24 bytes for each."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import polars as pl

from pipeline.stages.digests import DIGEST, found

#: Rows of a table: 1 MiB of digests. All the old tables have as many, so that the place of one that is given up is just
#: right for the next, and nothing lies fallow between them.
_TABLE: Final = 1 << 16

#: Positions from here on need more than the four bytes that each is kept in.
_SHORT: Final = 1 << 32

#: Digests to a cell of the sieve, at most.
_DENSE: Final = 10

_NO_CLAIMS: Final = pl.DataFrame(schema={"digest": DIGEST, "position": pl.UInt32})


class Seen:
    """The claims, keys or destinations as digests, with the position of the row that holds each: 20 bytes.

    They lie in tables sorted by digest. The young ones are merged as they come, each at least four times as large as
    the next or of full size, so that a claim is moved seldom. When they make up a twelfth of all they are merged into
    the old ones, a table after the other: what is held twice meanwhile is one of them, and never the whole. With that,
    with the young ones and with the sieve a claim takes less than 24 bytes, from some million claims on.
    """

    def __init__(self, *, table: int = _TABLE) -> None:
        self._table = table  # rows
        self._young: list[pl.DataFrame] = []  # digest, position
        self._old: list[pl.DataFrame] = []  # the same; no digest of one is above those of the next
        self._joined = _NO_CLAIMS  # the old ones as one table; not a copy
        self._count = 0
        self._sieve = Sieve(4 * table)

    def __bool__(self) -> bool:
        return self._count > 0

    def holders(self, digests: pl.Series) -> pl.Series:
        """Per digest the position of the row that holds it; null: it is free."""
        none = pl.Series([None], dtype=pl.UInt64).new_from_index(0, len(digests))
        held = (self._sieve.may_hold(digests) & digests.is_not_null()).arg_true()
        if not len(held):
            return none
        wanted = pl.DataFrame({"digest": digests.gather(held), "at": held}).sort("digest")
        tables = [table for table in (self._joined, *self._young) if table.height]
        holders = [found(wanted["digest"], table["digest"], table["position"]).cast(pl.UInt64) for table in tables]
        return none.scatter(wanted["at"], pl.select(pl.coalesce(holders)).to_series())

    def keep(self, digests: pl.Series, positions: pl.Series) -> None:
        """Give free claims, each once, to the rows at these positions, which are in order."""
        if not len(digests):
            return
        short = pl.UInt32 if positions[-1] < _SHORT else pl.UInt64
        table = pl.DataFrame({"digest": digests, "position": positions.cast(short)}).sort("digest")
        self._sift(table)
        while self._young and self._young[-1].height < min(4 * table.height, self._full):
            table = _merged([self._young.pop(), table])
        self._young.append(table)
        if sum(table.height for table in self._young) >= max(2 * self._table, self._joined.height // 12):
            self._age()

    @property
    def _full(self) -> int:
        """Rows of a young table that is merged no more: the more claims there are, the more may be held twice."""
        return max(self._table, self._joined.height // 64)

    def _sift(self, table: pl.DataFrame) -> None:
        """Put new claims into the sieve, or all into a larger one."""
        self._count += table.height
        size = self._sieve.size
        while self._count > _DENSE * size:
            size *= 2
        if size == self._sieve.size:
            self._sieve.add(table["digest"])
            return
        self._sieve = Sieve(size)
        for each in (*self._old, *self._young, table):
            self._sieve.add(each["digest"])

    def _age(self) -> None:
        """Merge the young claims into the old ones."""
        self._joined = _NO_CLAIMS  # else nothing of it would be given up
        old, self._old = self._old[::-1] or [_NO_CLAIMS], []
        last = pl.Series([table["digest"][-1] for table in old[:0:-1]], dtype=DIGEST)
        cuts = [[0, *young["digest"].search_sorted(last, "right"), young.height] for young in self._young]
        left = _NO_CLAIMS
        for edges in zip(*map(pairwise, cuts), strict=True):
            among = [young[start:stop] for young, (start, stop) in zip(self._young, edges, strict=True)]
            left = pl.concat([left, _merged([old.pop(), *among])], how="vertical_relaxed")
            while left.height >= self._table:
                self._old.append(left[: self._table].rechunk())
                left = left[self._table :]
        if left.height:
            self._old.append(left.rechunk())
        self._young.clear()
        self._joined = pl.concat(self._old, how="vertical_relaxed", rechunk=False)


def _merged(tables: Sequence[pl.DataFrame]) -> pl.DataFrame:
    return pl.concat(tables, how="vertical_relaxed").sort("digest")


class Sieve:
    """Tells most of the digests that were never added from the others, at one look: a Bloom filter.

    A digest sets three bits of one cell. With ten digests to a cell of 64 bits one in twenty that was never added looks
    as if it had been; with one, one in ten thousand.
    """

    def __init__(self, size: int) -> None:
        """`size`: number of cells, a power of two."""
        self.size = size
        self._cells = pl.zeros(size, dtype=pl.UInt64, eager=True)

    def may_hold(self, digests: pl.Series) -> pl.Series:
        """Per digest whether it may have been added; False: it surely was not."""
        places = self._places(digests)
        return self._set_in(places)

    def add(self, digests: pl.Series) -> None:
        """Add them; bits that are set stay so."""
        places = self._places(digests)
        while places.height:  # where several share a cell one of them gets its bits in a turn
            self._cells.scatter(places["cell"], self._cells.gather(places["cell"]) | places["bits"])
            places = places.filter(~self._set_in(places))

    def _set_in(self, places: pl.DataFrame) -> pl.Series:
        cells = pl.lit(self._cells).gather("cell")
        return places.select(cells & pl.col("bits") == pl.col("bits")).to_series()

    def _places(self, digests: pl.Series) -> pl.DataFrame:
        """The `cell` of each digest, and its `bits` there. They hang on other bits than the order of a table does."""
        low = pl.col("low")
        bits = [_BITS.gather((low // shift & 63).cast(pl.UInt32)) for shift in (1, 1 << 6, 1 << 12)]
        cell = (low // (1 << 18) & (self.size - 1)).cast(pl.UInt32)
        frame = digests.cast(pl.UInt64, wrap_numerical=True).to_frame("low")
        return frame.select(cell=cell, bits=bits[0] | bits[1] | bits[2])


_BITS: Final = pl.lit(pl.Series([1 << bit for bit in range(64)], dtype=pl.UInt64))
