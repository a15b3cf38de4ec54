"""A CSV file to frames of text: its structure is checked here, its cells are parsed by polars.

polars pads short rows, aborts at long ones, takes blank lines for rows and gives up at a byte that is not UTF-8. So the
bytes are cut into chunks, and of each chunk only the lines that are whole records by themselves (nearly all, told in
one vectorised step) go to polars as they are. Every other line is read by the careful scanner and written anew, whole.
"""

import codecs
import io
import re
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import polars as pl

from pipeline.errors import SourceError
from pipeline.stages.sources.csv_head import find_header, header_names, is_blank
from pipeline.stages.sources.csv_records import LONGEST_CELL, Record, Scanner, fields
from pipeline.stages.sources.csv_text import BLOCK, CutShort, Form, text
from pipeline.stages.sources.pieces import Piece

_LF: Final = b"\n"

#: Bytes. More without an end is no list of contacts, and is not gathered in memory.
_LONGEST_RECORD: Final = 32 << 20

#: The cell that is put at the end of lines, and its column; chunks that hold it go another way.
_MARK: Final = b"\x01"
_MARKED: Final = "marked"


def pieces(form: Form, *, block: int = BLOCK, longest: int = LONGEST_CELL) -> Iterator[Piece]:
    """The rows of a file with all of its columns, without the header, in pieces of about `block` bytes.

    Empty cells are null, quoted or not. Blank lines are no rows. A damaged row keeps what could be read of its cells:
    missing ones are null, those too many are in the last one, joined by the delimiter.
    Raises SourceError.
    """
    scanner = Scanner(form.delimiter, longest=longest)
    parser: _Parser | None = None
    blocks = text(form, block=block)
    rest, line, final = b"", 1, False  # `rest` begins on physical line `line`
    while not final:
        try:
            data = next(blocks, None)
        except CutShort as error:
            raise SourceError(
                f"{form.name}: its compression breaks after line {line + rest.count(_LF) - 1}; "
                "the file is incomplete or damaged, fetch it again"
            ) from error
        if data is None:
            final, data = True, b"" if rest.endswith(_LF) or not rest else _LF
        stop = data.rfind(_LF) + 1
        if stop or final:
            chunk, tail = b"".join((rest, memoryview(data)[:stop])), data[stop:]
            at = 0
            if parser is None and (header := find_header(chunk, scanner, final=final)) is not None:
                parser = _Parser(form, header_names(header, form.name), scanner)
                at, line = header.record.end, header.next_line
            if parser is not None and at < len(chunk):
                parsed = parser.parse(chunk[at:], line, final=final)
                yield parsed.piece
                at, line = at + parsed.end, parsed.next_line
            rest = chunk[at:] + tail
        else:
            rest += data
        if len(rest) > _LONGEST_RECORD:
            raise SourceError(f"{form.name}, line {line}: the row does not end; this is no list of contacts")


class _Parsed(NamedTuple):
    piece: Piece
    end: int  # offset of the first byte that belongs to no row of the piece
    next_line: int  # physical line of that byte


class _Parser:
    """Parses chunks of one file, whose header has been read."""

    def __init__(self, form: Form, names: Sequence[str], scanner: Scanner) -> None:
        self._form = form
        self._names = list(names)
        self._scanner = scanner
        self._width = len(names)
        self._delimiter = form.delimiter.encode()
        # Numbers stand for the names while polars parses: a column more can be added without a clash.
        self._schema = {str(number): pl.String for number in range(self._width)}
        mark, more = re.escape(form.delimiter), self._width - 1
        cell = rf'(?:"(?:[^"\x00]|"")*"|[^"\x00\r{mark}]*)'
        self._whole_line = rf"^{cell}(?:{mark}{cell}){{{more}}}$"
        cell = rf'(?:"[^"\x00]*+(?:""[^"\x00]*+)*+"|[^"\x00\r\n{mark}]*+)'
        self._whole_record = re.compile(rf"{cell}(?:{mark}{cell}){{{more}}}\r?\n".encode())

    def parse(self, chunk: bytes, line: int, *, final: bool) -> _Parsed:
        """The records in `chunk`, which begins with one on physical line `line` and ends with a line break.

        The last record is left out if it may go on behind the chunk, which `final` denies.
        """
        plain = self._plain(chunk)
        if plain is not None:
            frame, odd = plain
            if odd.is_empty():
                return self._parsed(frame, _numbers(line, frame.height), {}, len(chunk), line + frame.height)
            return self._mended(chunk, chunk, odd, line, final=final)
        # A line that is not UTF-8 is blotted out, byte by byte, so that no check takes it for whole.
        usable = chunk if _is_utf8(chunk) else _blotted(chunk)
        lines = pl.read_lines(io.BytesIO(usable)).to_series()
        whole = lines.str.contains(self._whole_line)
        if self._width == 1:
            whole &= lines.str.strip_chars(" ") != ""
        return self._mended(chunk, usable, (~whole).arg_true(), line, final=final)

    def _plain(self, chunk: bytes) -> tuple[pl.DataFrame, pl.Series] | None:
        """The lines of a chunk without quotes, and the indices of those that are no whole records; None: not so easy.

        Each line gets one more cell at its end. Where that is in its place, the line is as long as the header.
        """
        if b'"' in chunk or b"\0" in chunk or _MARK in chunk:
            return None
        if b"\r" in chunk:
            chunk = chunk.replace(b"\r\n", _LF)
            if b"\r" in chunk:
                return None
        marked = chunk.replace(_LF, self._delimiter + _MARK + _LF)
        count = (len(marked) - len(chunk)) // 2
        try:
            frame = self._cells(marked, marked=True)
        except pl.exceptions.PolarsError:
            return None  # not UTF-8, or the first line is shorter than the header
        if frame.height != count:
            return None
        whole = frame[_MARKED].eq_missing(pl.Series([_MARK.decode()]))
        if self._width == 1:
            whole &= frame["0"].str.strip_chars(" ").fill_null("") != ""
        return frame.drop(_MARKED), (~whole).arg_true()

    def _mended(self, chunk: bytes, usable: bytes, odd: pl.Series, line: int, *, final: bool) -> _Parsed:
        """The rows, where the lines at the indices `odd` are no whole records by themselves.

        `usable` is the chunk without what is not UTF-8, byte for byte.
        """
        written: list[bytes] = []  # the chunk as polars gets it
        absent: list[int] = []  # indices of lines on which no row starts
        damaged: dict[int, str] = {}  # by position of the row
        done, beyond = 0, 0  # the offset up to which all is written, the index of the line up to which all is seen
        end, count = len(chunk), chunk.count(_LF)
        starts = _offsets(usable).gather(odd) if len(odd) else odd
        for index, start in zip(odd.to_list(), starts.to_list(), strict=True):
            if index < beyond:
                continue  # within a record that began earlier
            stop = chunk.index(_LF, start) + 1
            if chunk[start] in b" \r\n" and is_blank(chunk[start:stop]):
                written.append(chunk[done:start])
                absent.append(index)
                done = stop
                continue
            whole = self._whole_record.match(usable, start)
            if whole is not None and whole.end() - start <= self._scanner.longest:
                breaks = chunk.count(_LF, start, whole.end())
            else:
                record = self._scanner.record(chunk, start, line=line + index, final=final)
                if record is None:
                    end, count = start, index
                    break
                breaks = chunk.count(_LF, start, record.end)
                problem = self._damage(record, chunk[start : record.end], line + index, breaks)
                if problem is not None:
                    damaged[index - len(absent)] = problem
                written += chunk[done:start], self._written(record.cells)
                done = record.end
            beyond = index + breaks
            absent.extend(range(index + 1, beyond))
        written.append(chunk[done:end])
        numbers = _numbers(line, count)
        if absent:
            numbers = numbers.filter(~pl.int_range(count, eager=True).is_in(absent))
        return self._parsed(self._cells(b"".join(written)), numbers, damaged, end, line + count)

    def _damage(self, record: Record, content: bytes, line: int, breaks: int) -> str | None:
        encoding = self._form.encoding
        try:
            content.decode()
        except UnicodeDecodeError:
            return f"holds bytes that are not {encoding}"
        if b"\0" in content:
            return "holds a NUL byte"
        if record.damage is None and len(record.cells) != self._width:
            extent = f" (lines {line} to {line + breaks - 1})" if breaks > 1 else ""
            return f"has {fields(len(record.cells))} where the header has {self._width}{extent}"
        return record.damage

    def _written(self, cells: list[bytes]) -> bytes:
        """A record of as many cells as the header, as polars reads it."""
        width = self._width
        if len(cells) > width:
            cells = [*cells[: width - 1], self._delimiter.join(cells[width - 1 :])]
        cells += [b""] * (width - len(cells))
        content = (b'"' + self._delimiter + b'"').join(cell.replace(b'"', b'""') for cell in cells)
        return b'"' + content.decode(errors="replace").encode() + b'"\n'

    def _cells(self, data: bytes, *, marked: bool = False) -> pl.DataFrame:
        """Lines as polars reads them, each as long as the header, or, `marked`, of any length and with the mark."""
        schema: dict[str, type[pl.String]] = {**self._schema, _MARKED: pl.String} if marked else self._schema
        if not data:
            return pl.DataFrame(schema=schema)
        if data.startswith(codecs.BOM_UTF8):
            data = codecs.BOM_UTF8 + data  # polars takes one away, though this is not the beginning of the file
        return pl.read_csv(
            data,
            has_header=False,
            schema=schema,
            separator=self._form.delimiter,
            null_values="",
            truncate_ragged_lines=marked,
        )

    def _parsed(
        self, frame: pl.DataFrame, lines: pl.Series, damaged: dict[int, str], end: int, next_line: int
    ) -> _Parsed:
        if frame.height != lines.len():
            # Never seen; but a row lost in silence is the one thing that must not happen.
            raise SourceError(
                f"{self._form.name}: {lines.len()} rows were found before line {next_line} and "
                f"{frame.height} were read; report this, and write the file anew with every field in quotes"
            )
        frame.columns = self._names
        damage = pl.repeat(None, frame.height, dtype=pl.String, eager=True).alias("damage")
        if damaged:
            damage = damage.scatter(list(damaged), list(damaged.values()))
        return _Parsed(Piece(frame, lines, damage), end, next_line)


def _numbers(line: int, count: int) -> pl.Series:
    return pl.int_range(line, line + count, dtype=pl.UInt64, eager=True).alias("line")


def _is_utf8(data: bytes) -> bool:
    try:
        pl.Series([data], dtype=pl.Binary).cast(pl.String)  # many times faster than bytes.decode, and makes no copy
    except pl.exceptions.ComputeError:
        return False
    return True


def _offsets(text: bytes) -> pl.Series:
    """Where each line starts, in bytes."""
    lines = pl.Series([text], dtype=pl.Binary).cast(pl.String).str.split("\n").explode()
    return (lines.str.len_bytes().cast(pl.UInt64) + 1).cum_sum().shift(1, fill_value=0)


def _blotted(chunk: bytes) -> bytes:
    """The chunk with each line that is not UTF-8 replaced by as many NUL bytes."""
    lines = chunk.split(_LF)
    for index, line in enumerate(lines):
        if not line.isascii():
            try:
                line.decode()
            except UnicodeDecodeError:
                lines[index] = b"\0" * len(line)
    return _LF.join(lines)
