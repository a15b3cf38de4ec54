"""Destinations made unreadable for ledger and resubmit file, but still told apart by a person who knows them."""

import polars as pl

_SHOWN = 2  # characters at the end of a number


def masked(column: pl.Expr) -> pl.Expr:
    """Destinations of any form, each masked after its kind: `a***@example.com`, `**********00`; null stays null."""
    return pl.when(column.str.contains("@", literal=True)).then(_mail(column)).otherwise(_number(column))


def _mail(column: pl.Expr) -> pl.Expr:
    return column.str.replace(r"(?s)^\s*(.?).*@", "${1}***@")


def _number(column: pl.Expr) -> pl.Expr:
    # All but the last two characters are hidden, of very short ones all: two of three would be no mask.
    hidden = pl.when(column.str.len_chars() > 2 * _SHOWN).then(column.str.head(-_SHOWN)).otherwise(column)
    shown = pl.when(column.str.len_chars() > 2 * _SHOWN).then(column.str.tail(_SHOWN)).otherwise(pl.lit(""))
    return hidden.str.replace_all(r"(?s).", "*") + shown
