"""What settles the rows of one batch."""

import polars as pl

from pipeline.records import Status


class Verdicts:
    """Status, reason and column at fault of every row of a batch. The first verdict on a row stands."""

    def __init__(self, height: int) -> None:
        self.status = self.reason = self.column = nothing(height)
        self.open = self.status.is_null()  # which rows have none yet

    def settle(self, status: Status, reason: pl.Series, column: str | pl.Series | None = None) -> None:
        """Settle the open rows that have a reason; `column` is the one at fault, of each row or of all."""
        if reason.null_count() == len(reason):
            return
        fresh = self.open & reason.is_not_null()
        if not fresh.any():
            return
        height = len(fresh)
        columns = column if isinstance(column, pl.Series) else everywhere(column, height)
        self.status = everywhere(status.value, height).zip_with(fresh, self.status)
        self.reason = reason.zip_with(fresh, self.reason)
        self.column = columns.zip_with(fresh, self.column)
        self.open &= ~fresh


def say(where: pl.Series, text: str) -> pl.Series:
    """The text where `where` is true, else null."""
    if not where.any():
        return nothing(len(where))
    return everywhere(text, len(where)).zip_with(where, nothing(len(where)))


def first(*texts: pl.Series) -> pl.Series:
    """Row by row the first that is not null."""
    return pl.select(pl.coalesce(texts)).to_series()


def only(values: pl.Series, where: pl.Series) -> pl.Series:
    """The values where `where` is true, else null."""
    return values if where.all() else values.zip_with(where, nothing(len(values)))


def everywhere(text: str | None, height: int) -> pl.Series:
    """The same text in every row. Called dozens of times a batch, and ten times faster than `pl.repeat`."""
    return pl.Series([text], dtype=pl.String).new_from_index(0, height)


def nothing(height: int) -> pl.Series:
    """Text that is null in every row."""
    return everywhere(None, height)


def code_point(text: str) -> str:
    """The first character of a text, as Unicode names it: U+0001."""
    return f"U+{ord(text[0]):04X}"


def caseless(texts: pl.Series) -> pl.Series:
    """Texts as they are compared without regard to case: Unicode's case folding, in columns where all is ASCII."""
    if not (foreign := texts.str.len_bytes() != texts.str.len_chars()).any():
        return texts.str.to_lowercase()
    folded = [text.casefold() for text in texts.filter(foreign)]
    return texts.str.to_lowercase().scatter(foreign.arg_true(), pl.Series(folded, dtype=pl.String))
