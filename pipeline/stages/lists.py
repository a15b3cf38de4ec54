"""Do-not-contact lists as columns of text, however they are written: no entry may be lost for the form of its list.

A contact list is read strictly (see `read`): a row in doubt is told and not sent. Here a row that is not read would be
a person who is contacted. So a list needs no header, its rows may be of any length, and bytes of an unknown encoding
are taken for what they most likely are: numbers and nearly all addresses are the same in all of them.
"""

import codecs
import csv
import gzip
import zlib
from collections.abc import Iterable, Iterator, Sequence
from io import BufferedReader, TextIOWrapper
from itertools import chain, islice, zip_longest
from pathlib import Path
from typing import Final

import polars as pl

from pipeline.errors import SourceError
from pipeline.stages.read import GZIP, PARQUET, ZIP, batches, open_source
from pipeline.stages.sources.csv_encoding import WESTERN, marked

_DELIMITERS: Final = ",;\t|"

#: Rows of a frame.
_ROWS: Final = 65536

#: Lines that the delimiter is told by.
_SAMPLE: Final = 100

#: Lines of a row, at most: a quote that is not closed would hide all that stands behind it.
_LINES: Final = 51


def frames(path: Path, key: Sequence[str] = ()) -> Iterator[pl.DataFrame]:
    """The rows of a list, every column pl.String, in frames of some ten thousand; none: it is empty.

    Columns are called as in the first line, which is the first row too: it may be an entry. Cells may be null.
    `key` are the columns of `contacts.key`.
    Raises SourceError: sending on without the list would do harm.
    """
    try:
        with path.open("rb") as file:
            start = file.read(4)
        if start in (PARQUET, ZIP):
            yield from _table(path, start)
        elif start:
            yield from _text(path, key, compressed=start.startswith(GZIP))
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error)) from None
    except (EOFError, zlib.error):
        raise _unreadable(path, "its compression breaks off; fetch it again") from None
    except csv.Error as error:
        raise _unreadable(path, str(error)) from None
    except pl.exceptions.PolarsError:
        raise _unreadable(path, "it is not a Parquet file") from None
    except SourceError as error:
        raise _unreadable(path, str(error).removeprefix(f"{path}: ")) from None


def _table(path: Path, start: bytes) -> Iterator[pl.DataFrame]:
    if start == PARQUET and not pl.scan_parquet(path, glob=False).select(pl.len()).collect().item():
        return
    for batch in batches([open_source(path)], batch_rows=_ROWS):
        if not batch.start:
            yield pl.DataFrame([batch.frame.columns], schema=batch.frame.schema, orient="row")
        yield batch.frame


def _text(path: Path, key: Sequence[str], *, compressed: bool) -> Iterator[pl.DataFrame]:
    with _opened(path, compressed=compressed) as file:
        encoding = _encoding(file)
    with TextIOWrapper(_opened(path, compressed=compressed), encoding, errors="replace", newline="") as lines:
        first = next(lines, "").removeprefix("\ufeff")
        sample = [first, *islice(lines, _SAMPLE - 1)]
        marks = _DELIMITERS
        if len(key) > 1 and not set(key) <= {cell.strip(' "\r\n') for cell in first.split("|")}:
            marks = marks.replace("|", "")  # it joins the parts of keys
        delimiter = max(marks, key=lambda mark: (sum(mark in line for line in sample), first.count(mark)))
        names: list[str] = []
        records = filter(None, _records(chain(sample, lines), delimiter))  # blank lines are none
        while rows := list(islice(records, _ROWS)):
            names = names or [cell.strip() for cell in rows[0]]
            columns: dict[str, tuple[str | None, ...]] = {}
            for number, cells in enumerate(zip_longest(*rows)):
                name = names[number] if number < len(names) else ""
                columns[name if name and name not in columns else f"column {number + 1}"] = cells
            yield pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String))


def _records(lines: Iterable[str], delimiter: str) -> Iterator[list[str]]:
    """The rows; lines that only a stray quote makes one row of are rows as they stand."""
    of_row: list[str] = []

    def watched() -> Iterator[str]:
        for line in lines:
            of_row.append(line)
            yield line

    reader = csv.reader(watched(), delimiter=delimiter)
    for cells in reader:
        if len(of_row) > _LINES:
            raise SourceError(f"before line {reader.line_num} there is a quote that is not closed")
        if len(of_row) > 1 and not _closed(of_row, delimiter):
            for apart in csv.reader(of_row, delimiter=delimiter, quoting=csv.QUOTE_NONE):
                yield [cell.strip().strip('"') for cell in apart]
        else:
            yield cells
        of_row.clear()


def _closed(lines: list[str], delimiter: str) -> bool:
    """Whether each quote of a row stands where one may begin or end a cell."""
    try:
        list(csv.reader(lines, delimiter=delimiter, strict=True))
    except csv.Error:
        return False
    return True


def _opened(path: Path, *, compressed: bool) -> BufferedReader:
    return BufferedReader(gzip.GzipFile(path)) if compressed else path.open("rb")


def _encoding(file: BufferedReader) -> str:
    head = file.read(1 << 16)
    if (codec := marked(head)) is not None:
        return codec
    if head.count(0) > len(head) // 4:
        return "utf-16-be" if head[::2].count(0) > head[1::2].count(0) else "utf-16-le"
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        decoder.decode(head)
        while data := file.read(1 << 20):
            decoder.decode(data)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return WESTERN
    return "utf-8"


def _unreadable(path: Path, why: str) -> SourceError:
    return SourceError(f"{path}: the do-not-contact list of contacts.suppress cannot be read: {why}")
