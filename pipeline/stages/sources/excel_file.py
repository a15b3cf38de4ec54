"""One sheet of an Excel workbook (.xlsx) to frames of text."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Final

import polars as pl

from pipeline.errors import SourceError
from pipeline.stages.sources.csv_head import Header, header_names
from pipeline.stages.sources.csv_records import Record
from pipeline.stages.sources.excel_archive import CELLS, Sheet, damaged, errors, sheets
from pipeline.stages.sources.pieces import WITH_NUL, Piece

#: What a date looks like as the reader of cells writes it, and any text that looks like it.
_DATED: Final = r"^\d{4,}-\d\d-\d\d \d\d:\d\d:\d\d"

#: Rows that are handed out at once.
_STEP: Final = 8192

#: A time of day, or an elapsed time, is stored as days since the beginning of 1900. No date in a list is that old.
_TIMES: Final = timedelta(days=60)


def inspect(path: Path, name: str, sheet: str | None) -> tuple[str, tuple[str, ...]]:
    """The sheet to be read, and the names of its columns. Reads it whole.

    `sheet`: the one that was asked for; None: the only visible one that holds something. Raises SourceError, also where
    there is none, or no telling which.
    """
    there = sheets(path, name)
    chosen = _chosen(there, name, sheet)
    if chosen.rows * chosen.columns > CELLS:
        raise SourceError(
            f'{name}: a cell of sheet "{chosen.name}" stands too far off: {chosen.rows:,} rows down, or '
            f"{chosen.columns:,} columns to the right; delete what is no part of the list, or save it as CSV"
        )
    frame, _ = _reader(path, name, chosen.name)("string")
    at = _header_row(frame)
    if at is None:
        raise SourceError(f'{name}: sheet "{chosen.name}" is empty; choose another with --sheet')
    names = _names(frame, at, name)
    if frame.height == at + 1:
        raise SourceError(f"{name}: has a header and no rows; export the list again, or check the path")
    return chosen.name, names


def _chosen(there: list[Sheet], name: str, asked: str | None) -> Sheet:
    listed = ", ".join(f'"{each.name}"' for each in there)
    if asked is not None:
        for each in there:
            if each.name == asked:
                return each
        raise SourceError(f'{name}: has no sheet "{asked}"; its sheets: {listed}')
    filled = [each for each in there if each.filled and each.visible]
    if len(filled) == 1:
        return filled[0]
    if filled:
        several = ", ".join(f'"{each.name}"' for each in filled)
        raise SourceError(f"{name}: more than one sheet holds something: {several}; choose one with --sheet")
    raise SourceError(f"{name}: no visible sheet holds anything; its sheets: {listed}")


def pieces(path: Path, name: str, sheet: str, passed: Callable[[int], None] | None = None) -> Iterator[Piece]:
    """The rows of a sheet below its header, but for blank ones. Lines are null. The sheet is in memory as a whole.

    `passed` hears how many bytes of the file, counted by rows, have been handed out, when more of it is asked for.
    A cell's value is text as a person would type it: whole numbers without ".0", dates and times as in ISO 8601, "true"
    and "false", an error as Excel shows it, of a formula what it came to when the file was saved. Raises SourceError.
    """
    load = _reader(path, name, sheet)
    frame, first = load("string")
    at = _header_row(frame)
    if at is None:
        raise SourceError(f"{name}: its columns changed while it was read; start again")
    names = _names(frame, at, name)
    dated = frame.select(pl.all().str.contains(_DATED).any()).row(0) if frame.height else ()
    if any(dated):
        # The reader knows an age of cells that hold a date or a time, and of no others.
        ages, _ = load("duration")
        pairs = zip(frame, ages, dated, strict=True)
        frame = frame.with_columns(_moments(texts, age) for texts, age, some in pairs if some)
    found: dict[int, dict[int, str]] = {}
    for (row, column), text in errors(path, name, sheet).items():
        if row < frame.height and 0 <= column - first < frame.width:
            found.setdefault(column - first, {})[row] = text
    frame = frame.with_columns(
        frame.to_series(column).scatter(list(texts), list(texts.values())) for column, texts in found.items()
    )
    frame.columns = list(names)
    rows = frame.slice(at + 1).with_columns(pl.when(pl.all() != "").then(pl.all()))
    rows = rows.filter(pl.any_horizontal(pl.all().str.contains(r"\S").fill_null(value=False)))
    lines = pl.repeat(None, rows.height, dtype=pl.UInt64, eager=True).alias("line")
    damage = rows.select(WITH_NUL.alias("damage")).to_series()
    size = path.stat().st_size
    for at in range(0, rows.height, _STEP):
        yield Piece(rows[at : at + _STEP], lines[at : at + _STEP], damage[at : at + _STEP])
        if passed is not None:
            passed(size * min(at + _STEP, rows.height) // rows.height)


def _reader(path: Path, name: str, sheet: str) -> Callable[[str], tuple[pl.DataFrame, int]]:
    """What gives all cells as values of one type, from the sheet's first row and its first used column, and the number
    of that column, from 0. Raises SourceError.
    """
    try:
        fastexcel = import_module("fastexcel")
    except ImportError:
        raise SourceError(
            f"{name}: is an Excel workbook, which an extra reads: pip install 'contact-pipeline[excel]'; or save the "
            "sheet as CSV UTF-8"
        ) from None

    def load(dtype: str) -> tuple[pl.DataFrame, int]:
        try:
            cells = fastexcel.read_excel(path.absolute()).load_sheet(sheet, header_row=None, skip_rows=0, dtypes=dtype)
            frame: pl.DataFrame = cells.to_polars()
        except Exception as error:
            raise damaged(name) from error
        except BaseException as error:
            if type(error).__name__ == "PanicException":  # the reader's own, which it does not hand out
                raise damaged(name) from None
            raise
        return frame, cells.selected_columns[0].absolute_index if frame.width else 0

    return load


def _moments(texts: pl.Series, age: pl.Series) -> pl.Series:
    """The texts of a column, those of its dates and times in ISO form."""
    seconds = (age.dt.total_milliseconds() / 1000).round().cast(pl.Int64)
    parts = [part.cast(pl.String).str.zfill(2) for part in (seconds // 3600, seconds // 60 % 60, seconds % 60)]
    time = parts[0] + ":" + parts[1] + ":" + parts[2]
    moment = texts.str.replace(" ", "T", literal=True).str.strip_suffix("T00:00:00")
    return pl.select(
        pl.when(age.is_null()).then(texts).when(age < _TIMES).then(time).otherwise(moment).alias(texts.name)
    ).to_series()


def _header_row(frame: pl.DataFrame) -> int | None:
    """The first row with a cell that is not blank."""
    if not frame.width:
        return None
    some = frame.select(pl.any_horizontal(pl.all().str.contains(r"\S"))).to_series().fill_null(value=False)
    return some.arg_max() if some.any() else None


def _names(frame: pl.DataFrame, at: int, name: str) -> tuple[str, ...]:
    cells = [(cell or "").encode() for cell in frame.row(at)]
    return header_names(Header(Record(cells, 0, None), 0, at + 1, at + 2), name)
