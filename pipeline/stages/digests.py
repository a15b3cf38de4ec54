"""Texts as digests of 128 bits, and the search for them in sorted tables."""

import hashlib
import secrets
from dataclasses import dataclass, field
from typing import Final

import polars as pl

DIGEST: Final = pl.UInt128

#: Bytes of the longest text that is hashed as it is.
_WHOLE: Final = 240


@dataclass(frozen=True, slots=True)
class Digester:
    """Makes digests that can be compared with others of the same digester: one for each walk, or each list.

    Both halves are XXH3 of the text under a seed of their own, which is how polars hashes text (`hash_binview_array` in
    its vector_hasher.rs), some fifteen times as fast as a hash of Python's called text by text. XXH3 is not
    cryptographic, so the seeds are drawn anew for every digester and never told: nobody can choose texts that collide.
    Texts of more than 240 bytes it mixes less well, so that some might collide under any seed; their BLAKE2b takes
    their place. Two of a billion texts are then taken for one with a probability below one in 10^20.
    """

    high: int = field(default_factory=lambda: secrets.randbits(64), repr=False)
    low: int = field(default_factory=lambda: secrets.randbits(64), repr=False)

    def of(self, texts: pl.Series) -> pl.Series:
        """Per text its digest (DIGEST); null where the text is null."""
        long = texts.str.len_bytes() > _WHOLE
        if long.any():
            digested = [hashlib.blake2b(text.encode()).hexdigest() for text in texts.filter(long)]
            texts = texts.scatter(long.arg_true(), pl.Series(digested, dtype=pl.String))
        text = pl.col("text")
        whole = text.hash(self.high).cast(DIGEST) * pl.lit(1 << 64, DIGEST) + text.hash(self.low).cast(DIGEST)
        return texts.to_frame("text").select(pl.when(text.is_not_null()).then(whole)).to_series().alias("digest")


def found(wanted: pl.Series, table: pl.Series, values: pl.Series) -> pl.Series:
    """Per digest in `wanted` the value beside it in `table`, which is sorted; null where it is not there.

    Sorted `wanted` are found several times as fast.
    """
    at = pl.lit(table).search_sorted(pl.col("digest"))
    there = pl.lit(table).gather(at, null_on_oob=True) == pl.col("digest")
    value = pl.when(there).then(pl.lit(values).gather(at, null_on_oob=True))
    return wanted.to_frame("digest").select(value.alias("value")).to_series()
