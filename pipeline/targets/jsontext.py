"""JSON as text for whole columns at once: values to strings, values to members of an object."""

import json
from typing import Final

import polars as pl

#: What must be written in another way inside a JSON string (RFC 8259, 7).
_ESCAPES: Final = {chr(code): json.dumps(chr(code))[1:-1] for code in (*range(0x20), 0x22, 0x5C)}


def quoted(value: pl.Expr) -> pl.Expr:
    """A column of texts as JSON strings, quotes included."""
    escaped = value.str.replace_many(list(_ESCAPES), list(_ESCAPES.values()))
    return pl.concat_str(pl.lit('"'), escaped, pl.lit('"'))


def member(name: str, value: pl.Expr, there: pl.Expr) -> pl.Expr:
    """`,"name":value` where `there` is true, else nothing. `value` is JSON already."""
    return pl.when(there).then(pl.concat_str(pl.lit(f",{json.dumps(name)}:"), value)).otherwise(pl.lit(""))


def field(position: int) -> pl.Expr:
    """The value of a field of `contacts.fields` by its position, never null."""
    return pl.col("fields").list.get(position, null_on_oob=True).fill_null("")


def filled(value: pl.Expr) -> pl.Expr:
    """Whether a value is more than white space."""
    return value.str.strip_chars() != ""
