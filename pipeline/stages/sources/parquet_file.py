"""A Parquet file to frames of text."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import polars as pl

from pipeline.errors import SourceError
from pipeline.logs import logger
from pipeline.stages.sources.csv_text import unreadable
from pipeline.stages.sources.pieces import WITH_NUL, Piece

#: Floats below this are exact as whole numbers, and far above every telephone number.
_WHOLE: Final = 2.0**53

#: Values that are read at once, and the bounds of the rows that they make up.
_VALUES: Final = 600_000
_FEWEST: Final = 4096
_MOST: Final = 65536


def inspect(path: Path, name: str) -> tuple[tuple[str, ...], int]:
    """The names of its columns, and the number of rows, from the file's footer.

    A column of lists or structures is left out, with a warning in the log, and so is one of bytes that are no text, a
    digest or a picture: what it holds of a person is seldom what a contact is made of. Raises SourceError.
    """
    columns, left_out, rows = _looked_at(path, name)
    for column, why in left_out.items():
        logger().warning("source.column_left_out", source=name, column=column, why=why)
    if not columns:
        raise SourceError(
            f"{name}: has no columns but of lists or structures, or of bytes that are no text; write them as text"
        )
    if not rows:
        raise SourceError(f"{name}: has columns and no rows; export the list again, or check the path")
    return tuple(columns), rows


def _looked_at(path: Path, name: str) -> tuple[dict[str, tuple[str, pl.DataType]], dict[str, str], int]:
    """The columns that are read: what they are called here, there, and what they hold; why others are not; the rows."""
    try:
        schema = pl.read_parquet_schema(path)
        scan = pl.scan_parquet(path, glob=False)
        rows = int(scan.select(pl.len()).collect().item())
        binary = [column for column, dtype in schema.items() if dtype == pl.Binary]
        no_text = _no_text(scan.select(binary).head(_FEWEST).collect()) if binary else set()
    except OSError as error:
        raise unreadable(name, error) from error
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise _broken(name) from error
    columns: dict[str, tuple[str, pl.DataType]] = {}
    left_out: dict[str, str] = {}
    for number, (column, dtype) in enumerate(schema.items(), start=1):
        if dtype.is_nested() or dtype in (pl.Object, pl.Unknown):
            left_out[column] = "it holds lists or structures"
            continue
        if column in no_text:
            left_out[column] = "it holds bytes that are not utf-8"
            continue
        chosen = column or f"column_{number}"
        while not column and chosen in schema:
            chosen += "_"
        columns[chosen] = (column, dtype)
    return columns, left_out, rows


def _no_text(frame: pl.DataFrame) -> set[str]:
    """Those of these columns of bytes that are no text: most of the values in the first rows are not UTF-8.

    A column of text with a few damaged values stays, and they damage their rows.
    """
    found = set()
    for values in frame.iter_columns():
        filled = values.drop_nulls()
        if sum(_decode(value) is None for value in filled) * 2 > len(filled):
            found.add(values.name)
    return found


def pieces(path: Path, name: str) -> Iterator[Piece]:
    """The rows of a file with all of its columns. Lines are null.

    What is text elsewhere is text here: whole numbers without ".0" whatever type they are stored in, dates and times as
    in ISO 8601, "true" and "false"; empty text and NaN are null. Raises SourceError.
    """
    columns, _, count = _looked_at(path, name)
    # Slices, not a stream: a stream reads ahead of a slow reader, and memory grows with the file.
    step = max(_FEWEST, min(_MOST, _VALUES // max(1, len(columns))))
    texts = [_text(column, dtype).alias(chosen) for chosen, (column, dtype) in columns.items()]
    try:
        scan = pl.scan_parquet(path, glob=False)
        for start in range(0, count, step):
            yield _decoded(scan.slice(start, step).select(texts).collect())
    except OSError as error:
        raise unreadable(name, error) from error
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise _broken(name) from error


def _broken(name: str) -> SourceError:
    return SourceError(f"{name}: this Parquet file is incomplete or damaged; write it or fetch it again")


def _text(column: str, dtype: pl.DataType) -> pl.Expr:
    value = pl.col(column)
    if dtype.is_float():
        if dtype == pl.Float16:
            value = value.cast(pl.Float32)  # polars finds all of its values whole
        whole = (value == value.floor()) & (value.abs() < _WHOLE)
        # A column of numbers with gaps is often stored as floats: a telephone number must not end in ".0".
        number = pl.when(whole).then(value.cast(pl.Int64, strict=False).cast(pl.String))
        return number.when(value.is_not_nan()).then(value.cast(pl.String))
    if dtype.is_decimal():
        return value.cast(pl.String).str.replace(r"\.0+$", "")
    if isinstance(dtype, pl.Datetime | pl.Time | pl.Duration):
        return (
            value.dt.to_string("iso:strict")
            .str.replace(r"(\.\d*?)0+($|[^\d])", "${1}${2}")
            .str.replace(r"\.($|[^\d])", "${1}")
        )
    return value if dtype == pl.Binary else value.cast(pl.String)


def _decoded(frame: pl.DataFrame) -> Piece:
    """The rows with their bytes as text; a row with bytes that are no text is damaged, and has null there."""
    nothing = pl.lit(None, dtype=pl.String)
    problems: list[pl.Expr] = []
    for column in frame.select(pl.col(pl.Binary)).columns:
        # polars fails as a whole where one value is no text
        texts = pl.Series(column, [_decode(value) for value in frame[column]], dtype=pl.String)
        lost = frame[column].is_not_null() & texts.is_null()
        problems.append(pl.when(lost).then(pl.lit(f'holds bytes in column "{column}" that are not utf-8')))
        frame = frame.with_columns(texts)
    damage = frame.select(pl.coalesce(nothing, *problems, WITH_NUL).alias("damage")).to_series()
    lines = pl.repeat(None, frame.height, dtype=pl.UInt64, eager=True).alias("line")
    return Piece(frame.with_columns(pl.when(pl.all() != "").then(pl.all())), lines, damage)


def _decode(value: bytes | None) -> str | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return None
