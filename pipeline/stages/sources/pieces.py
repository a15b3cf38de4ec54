"""Rows as a source yields them, and their cutting into batches of one size."""

from collections.abc import Iterator
from typing import Final, NamedTuple

import polars as pl

#: The damage of a row that holds NUL in one of its texts, else null.
WITH_NUL: Final = pl.when(pl.any_horizontal(pl.all().str.contains("\0", literal=True))).then(pl.lit("holds a NUL byte"))


class Piece(NamedTuple):
    """Consecutive rows of one source; the three have the same height."""

    frame: pl.DataFrame  # every column pl.String
    lines: pl.Series  # u64: physical line on which the row starts, from 1; null: the source has no lines
    damage: pl.Series  # str: why the row's structure is broken; null: it is whole


def even(pieces: Iterator[Piece], rows: int) -> Iterator[Piece]:
    """The same rows in the same order in pieces of `rows`; only the last one may be smaller.

    Where a batch ends then depends on the row numbers alone, not on how the bytes arrived.
    """
    held: list[Piece] = []
    height = 0
    for piece in pieces:
        taken = 0
        while height + piece.frame.height - taken >= rows:
            step = rows - height
            yield _join([*held, _slice(piece, taken, step)])
            held, height = [], 0
            taken += step
        if taken < piece.frame.height:
            held.append(_slice(piece, taken, piece.frame.height - taken))
            height += piece.frame.height - taken
    if held:
        yield _join(held)


def _slice(piece: Piece, offset: int, length: int) -> Piece:
    frame, lines, damage = piece
    return Piece(frame.slice(offset, length), lines.slice(offset, length), damage.slice(offset, length))


def _join(pieces: list[Piece]) -> Piece:
    if len(pieces) == 1:
        return pieces[0]
    frames, lines, damage = zip(*pieces, strict=True)
    return Piece(pl.concat(frames), pl.concat(lines), pl.concat(damage))
