"""How a CSV file is written, told from its beginning: line ends, delimiter, column names."""

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from pipeline.errors import SourceError
from pipeline.logs import logger
from pipeline.stages.sources.csv_encoding import WESTERN, not_text, recognised
from pipeline.stages.sources.csv_records import Record, Scanner, fields, with_lf
from pipeline.stages.sources.csv_text import CutShort, Form, raw, text
from pipeline.stages.sources.names import column_names

#: Bytes that are looked at.
HEAD: Final = 256 << 10

#: Records that the delimiter is judged by.
_SAMPLE: Final = 100

#: Delimiters that are recognised, in order of preference, and how messages call them.
_DELIMITERS: Final = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a vertical bar"}

#: As many as a spreadsheet can have.
_MOST_COLUMNS: Final = 16384

#: The first line by which Excel is told the delimiter.
_SAID: Final = re.compile(rb'"?sep=([!#-/:-@\[-`{-~\t])"?\r*\n', re.IGNORECASE)

#: What a file begins with that is no text, and what to do with it.
_FOREIGN: Final = (
    (b"PK\x03\x04", "is an Excel workbook or a ZIP archive; save the sheet as CSV UTF-8, or unpack it"),
    (b"\xd0\xcf\x11\xe0", "is an Excel workbook; save the sheet as CSV UTF-8"),
    (b"%PDF", "is a PDF; export the list as CSV UTF-8"),
    (b"\x28\xb5\x2f\xfd", "is compressed with zstd; decompress it, or compress it with gzip"),
    (b"BZh", "is compressed with bzip2; decompress it, or compress it with gzip"),
    (b"\xfd7zXZ", "is compressed with xz; decompress it, or compress it with gzip"),
    (b"\x1f\x8b", "is compressed twice; decompress it once"),
    (b"PAR1", "is a Parquet file within gzip; decompress it"),
)


class Header(NamedTuple):
    """The first record that is no blank line."""

    record: Record
    start: int  # offset
    line: int  # physical line on which it starts, from 1
    next_line: int  # physical line on which the record after it starts


def find_header(data: bytes, scanner: Scanner, *, final: bool) -> Header | None:
    """The header; None: there is none, or not all of it is in `data`."""
    data = with_lf(data)
    start, line = 0, 1
    if (said := _SAID.match(data)) is not None:
        start, line = said.end(), 2
    while (stop := data.find(b"\n", start) + 1) and scanner.is_blank(data[start:stop]):
        start, line = stop, line + 1
    if not stop:
        return None
    record = scanner.record(data, start, line=line, final=final)
    if record is None:
        return None
    return Header(record, start, line, line + data.count(b"\n", start, record.end))


def header_names(header: Header, name: str) -> tuple[str, ...]:
    """The names of the columns of the file called `name`, each its own. Raises SourceError: the header is damaged."""
    place = f"{name}, line {header.line}"
    if header.record.damage is not None:
        raise SourceError(f"{place}: the header {header.record.damage}")
    try:
        given = [cell.decode() for cell in header.record.cells]
    except UnicodeDecodeError:
        raise SourceError(not_text(place)) from None
    if any("\0" in cell for cell in given):
        raise SourceError(f"{place}: the header holds NUL bytes; save the file as CSV UTF-8")
    if len(given) > _MOST_COLUMNS:
        raise SourceError(f"{place}: the header has {fields(len(given))}; this is no list of contacts")
    return column_names(given)


def inspect(
    path: Path, name: str, *, compressed: bool, delimiter: str | None = None, encoding: str | None = None
) -> tuple[Form, tuple[str, ...]]:
    """How the file is written, and the names of all of its columns. What is given is not guessed.

    Raises SourceError.
    """
    if delimiter is not None and (len(delimiter) != 1 or not delimiter.isascii() or delimiter in '"\r\n\0 '):
        raise SourceError(f"{name}: the delimiter must be one character such as , ; | or a tab")
    first, _ = _start(raw(path, name, compressed=compressed, block=HEAD), name)
    for mark, problem in _FOREIGN:
        if first.startswith(mark):
            raise SourceError(f"{name}: {problem}")
    codec = recognised(_up_to_break(raw(path, name, compressed=compressed, block=HEAD)), name, told=encoding)
    form = Form(path, name, compressed, codec, delimiter or ",", "\n")
    data, complete = _start(text(form, block=HEAD), name)
    if not data.strip():
        raise SourceError(f"{name}: is empty; export the list again, with a header line")
    line_end = _line_end(data)
    data = with_lf(data)
    if complete and not data.endswith(b"\n"):
        data += b"\n"
    data = data[: data.rfind(b"\n") + 1]
    if not data.strip():
        raise SourceError(f"{name}, line 1: the line does not end; this is no list of contacts")
    if (said := _SAID.match(data)) is not None:
        delimiter = delimiter or said[1].decode()
        if not data[said.end() :].strip():
            raise SourceError(f"{name}: is empty; export the list again, with a header line")
    found = _delimiter(data, name, told=delimiter, complete=complete)
    scanner = Scanner(found)
    header = find_header(data, scanner, final=True)
    assert header is not None  # there is a line that is not blank
    names = header_names(header, name)
    if complete and not data[header.record.end :].strip(b" \r\n"):
        raise SourceError(f"{name}: has a header and no rows; export the list again, or check the path")
    if codec == WESTERN and encoding is None:
        advice = "where names look wrong, name the true one with --encoding"
        logger().warning("source.encoding", source=name, encoding=codec, reason="told by its text", advice=advice)
    return Form(path, name, compressed, codec, found, line_end), names


def _start(blocks: Iterator[bytes], name: str) -> tuple[bytes, bool]:
    """The first block that is not empty, and whether it is all there is."""
    try:
        first = next((data for data in blocks if data), b"")
        return first, not any(blocks)
    except CutShort as error:
        raise SourceError(
            f"{name}: its compression breaks near the beginning; the file is incomplete or damaged, fetch it again"
        ) from error


def _up_to_break(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """What can be decompressed; the reader says where it breaks."""
    with suppress(CutShort):
        yield from blocks


def _line_end(data: bytes) -> str:
    outside = re.sub(rb'"[^"]*"', b"", data)  # breaks within cells say nothing
    if b"\n" not in outside:
        return "\r" if b"\r" in outside.removesuffix(b"\r") else "\n"
    return "\r\n" if 2 * outside.count(b"\r\n") > outside.count(b"\n") else "\n"


class _Split(NamedTuple):
    """What the first records look like under one delimiter."""

    delimiter: str
    columns: int  # fields of the header
    rows: tuple[int, ...]  # fields of each record after it, less empty ones too many; 0: its quotes make no sense
    trailing: int  # how many have such

    @property
    def fitting(self) -> float:
        """Share of rows with as many fields as the header."""
        return sum(count == self.columns for count in self.rows) / len(self.rows) if self.rows else 1.0

    @property
    def agreed(self) -> int:
        """How many fields all rows have; 0: they differ, or there are none."""
        return self.rows[0] if len(set(self.rows)) == 1 else 0


def _delimiter(data: bytes, name: str, *, told: str | None, complete: bool) -> str:
    splits = [_split(data, delimiter, complete=complete) for delimiter in _DELIMITERS]
    if told is not None:
        given = _split(data, told, complete=complete)
        better = _best(splits)
        if given.columns == 1 and better is not None and better.fitting == 1.0 and better.delimiter != told:
            raise SourceError(
                f"{name}, line 1: the header is not separated by {_called(told)} but by "
                f"{_called(better.delimiter)}; correct the delimiter or leave it out"
            )
        return told
    best = _best(splits)
    if best is None:
        return _of_one_column(splits, name)
    if not best.fitting:
        for other in splits:
            if other.agreed > 1 and other.delimiter != best.delimiter and best.agreed == 1:
                raise SourceError(
                    f"{name}, line 1: the header is separated by {_called(best.delimiter)} and the rows by "
                    f"{_called(other.delimiter)}; use one delimiter in the whole file"
                )
    return best.delimiter


def _best(splits: Sequence[_Split]) -> _Split | None:
    """The split under which most rows are like the header; None: no delimiter splits the header."""
    splitting = [split for split in splits if split.columns > 1]
    return max(splitting, key=lambda split: (split.fitting, split.columns), default=None)


def _of_one_column(splits: Sequence[_Split], name: str) -> str:
    """A delimiter for a file whose header has one field: one that splits no row either."""
    for split in splits:
        if not split.columns:
            return split.delimiter  # its quotes are broken there, which is for the reader of the header to say
    for split in splits:
        if split.agreed > 1 and len(split.rows) > 1:
            raise SourceError(
                f"{name}, line 1: has 1 field where the lines after it have {split.agreed}, separated by "
                f"{_called(split.delimiter)}; remove what stands above the header, or add the missing names to it"
            )
    return max(splits, key=lambda split: (split.fitting, split.trailing)).delimiter


def _split(data: bytes, delimiter: str, *, complete: bool) -> _Split:
    scanner = Scanner(delimiter)
    header = find_header(data, scanner, final=True)
    assert header is not None
    at = header.record.end
    columns = len(header.record.cells)
    rows: list[int] = []
    trailing = 0
    while at < len(data) and len(rows) < _SAMPLE:
        stop = data.index(b"\n", at) + 1
        if scanner.is_blank(data[at:stop]):
            at = stop
            continue
        record = scanner.record(data, at, line=1, final=complete)
        if record is None:
            break
        count = len(record.cells) if any(record.cells[columns:]) else min(len(record.cells), columns)
        trailing += count < len(record.cells)
        rows.append(0 if record.damage else count)
        at = record.end
    return _Split(delimiter, 0 if header.record.damage else columns, tuple(rows), trailing)


def _called(delimiter: str) -> str:
    return _DELIMITERS.get(delimiter, f'"{delimiter}"')
