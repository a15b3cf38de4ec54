"""Chunks of a CSV file to pieces of text rows: most lines all at once, those that are odd one by one with care."""

import re
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import polars as pl

from pipeline.stages.sources.csv_lines import DAMAGE, INDEX, NONE, ODD, PLAIN, QUOTED, LineReader, lines_of, starts_of
from pipeline.stages.sources.csv_records import Record, Scanner, fields, with_lf
from pipeline.stages.sources.csv_text import LONGEST_LINE, Form
from pipeline.stages.sources.pieces import Piece

_LF: Final = b"\n"

#: What a header's first name may have around it where files were put together: a byte order mark makes quotes text.
_AROUND_NAME: Final = '\ufeff"'

#: Rows that are read with care before they go on: a chunk may hold a million lines that are nothing but a quote.
_MOST_ODD: Final = 50_000


class Parsed(NamedTuple):
    """What could be read of a chunk."""

    piece: Piece
    end: int  # offset of the first byte that belongs to no row of the piece
    next_line: int  # physical line of that byte
    more: bool  # whether from there on more can be parsed before more bytes are at hand


class _Careful(NamedTuple):
    """What came of the odd lines."""

    rows: list[tuple[int, list[str | None], str | None]]  # index of the first line, cells, damage
    records: list[tuple[int, bytes]]  # whole records of several lines: index of the first line, for polars to read
    absent: list[int]  # indices of the lines on which no row starts
    end: int  # offset up to which the chunk has been read
    lines: int  # lines up to there
    more: bool  # whether what follows can be read already


class Parser:
    """Parses chunks of one file, whose header has been read."""

    def __init__(self, form: Form, names: Sequence[str], header: Sequence[bytes], scanner: Scanner) -> None:
        self._form = form
        self._names = list(names)
        self._header = _bare([cell.decode(errors="replace") for cell in header])
        # A column by which a header is found among rows: not the first one, if it can be helped.
        named = [number for number, name in enumerate(self._header) if name]
        self._named = named[-1] if named else None
        self._scanner = scanner
        self._width = width = len(names)
        self._columns = [str(number) for number in range(width)]
        self._delimiter = form.delimiter
        self._lines = LineReader(form.name, width, form.delimiter)
        mark = re.escape(form.delimiter)
        cell = rf'(?:"[^"\x00]*+(?:""[^"\x00]*+)*+"|[^"\x00\r\n{mark}]*+)'
        self._whole_record = re.compile(rf'{cell}(?:{mark}{cell}){{{width - 1}}}(?:{mark}(?:"")?)*+\r*\n'.encode())

    def parse(self, chunk: bytes, line: int, *, final: bool) -> Parsed:
        """The records in `chunk`, which begins with one on physical line `line` and ends with a line break.

        The last record is left out if it may go on behind the chunk, which `final` denies. Raises SourceError.
        """
        rows, end, count, more = self._rows(chunk, line, final=final)
        rows = self._without_headers(rows)
        numbers = (line + rows[INDEX].cast(pl.UInt64)).alias("line")
        frame = rows.select(self._columns)
        frame.columns = self._names
        return Parsed(Piece(frame, numbers, rows[DAMAGE]), end, line + count, more)

    def _rows(self, chunk: bytes, line: int, *, final: bool) -> tuple[pl.DataFrame, int, int, bool]:
        """The rows, the offset up to which the chunk has been read, how many lines that is, and whether more can be."""
        if chunk.startswith(b'"') and (rows := self._lines.wrapped(*lines_of(chunk))) is not None:
            return rows, len(chunk), len(rows), False
        if (whole := self._lines.whole(chunk, longest=self._scanner.longest)) is not None:
            rows, end, count = whole
            return rows, end, count, end < len(chunk)
        usable, lines = lines_of(chunk)
        everywhere = pl.int_range(len(lines), dtype=pl.UInt32, eager=True)
        if self._lines.are_plain(usable):
            return self._lines.plain(lines, everywhere), len(chunk), len(lines), False
        kinds = self._lines.kinds(usable, lines)
        odd = everywhere.filter(kinds == ODD)
        starts = starts_of(usable, lines).gather(odd).to_list() if len(odd) else []
        careful = self._with_care(chunk, usable, odd.to_list(), starts, line, final=final)
        lines, kinds = lines.head(careful.lines), kinds.head(careful.lines).scatter(careful.absent, NONE)
        parts = [self._frame(careful.rows)]
        if len(index := (kinds == PLAIN).arg_true()):
            parts.append(self._lines.plain(lines.gather(index), index))
        records = [record for _, record in careful.records]
        if len(index := (kinds == QUOTED).arg_true()):
            records.insert(0, lines.gather(index).str.join("\n").cast(pl.Binary).item())
        if records:
            index = pl.concat([index, pl.Series([at for at, _ in careful.records], dtype=pl.UInt32)])
            parts.append(self._lines.quoted(_LF.join(records), index))
        return pl.concat(parts).sort(INDEX), careful.end, careful.lines, careful.more

    def _frame(self, rows: Sequence[tuple[int, list[str | None], str | None]]) -> pl.DataFrame:
        schema: dict[str, type[pl.DataType]] = dict.fromkeys(self._columns, pl.String)
        schema |= {INDEX: pl.UInt32, DAMAGE: pl.String}
        return pl.DataFrame([(*cells, at, damage) for at, cells, damage in rows], schema=schema, orient="row")

    def _with_care(
        self, chunk: bytes, usable: bytes, odd: list[int], starts: list[int], line: int, *, final: bool
    ) -> _Careful:
        rows: list[tuple[int, list[str | None], str | None]] = []
        records: list[tuple[int, bytes]] = []
        absent: list[int] = []
        beyond = 0  # the index of the line up to which all is seen
        for index, start in zip(odd, starts, strict=True):
            if index < beyond:
                continue  # within a record that began earlier
            if len(rows) + len(records) == _MOST_ODD:
                return _Careful(rows, records, absent, start, index, more=True)
            whole = self._whole_record.match(usable, start)
            if whole is not None and whole.end() - start <= self._scanner.longest:
                end = whole.end()
                records.append((index, chunk[start:end].rstrip(b"\r\n")))
            else:
                record = self._scanner.record(chunk, start, line=line + index, final=final)
                if record is None:
                    return _Careful(rows, records, absent, start, index, more=False)
                end = record.end
                rows.append((index, *self._read(record, chunk[start:end], line + index)))
            beyond = index + usable.count(_LF, start, end)
            absent.extend(range(index, beyond))
        return _Careful(rows, records, absent, len(chunk), usable.count(_LF), more=False)

    def _read(self, record: Record, content: bytes, line: int) -> tuple[list[str | None], str | None]:
        """The cells of a record, as many as the header has, and its damage."""
        width = self._width
        if len(content) > LONGEST_LINE:
            return [None] * width, f"is a line of more than {LONGEST_LINE >> 20} MB"
        cells = [cell.decode(errors="replace") for cell in record.cells]
        damage = self._damage(record, content, line)
        if len(cells) > width:
            cells = [*cells[: width - 1], self._delimiter.join(cells[width - 1 :]) if damage else cells[width - 1]]
        return [cell or None for cell in cells] + [None] * (width - len(cells)), damage

    def _damage(self, record: Record, content: bytes, line: int) -> str | None:
        try:
            content.decode()
        except UnicodeDecodeError:
            return f"holds bytes that are not {self._form.encoding}"
        if b"\0" in content:
            return "holds a NUL byte"
        count = len(record.cells)
        if record.damage is None and (count < self._width or any(record.cells[self._width :])):
            breaks = with_lf(content).count(_LF)
            extent = f" (lines {line} to {line + breaks - 1})" if breaks > 1 else ""
            return f"has {fields(count)} where the header has {self._width}{extent}"
        return record.damage

    def _without_headers(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The rows, damaged where one says what the header says."""
        if self._named is None:
            return rows
        column = rows[str(self._named)]
        if not self._named:
            column = column.str.strip_chars(_AROUND_NAME)
        alike = (column == self._header[self._named]).arg_true()
        found = [at for at in alike if _bare(rows.row(at)[: self._width]) == self._header]
        if not found:
            return rows
        damage = rows[DAMAGE].scatter(found, "is the header once more, where files were put together; delete the line")
        return rows.with_columns(damage)


def _bare(cells: Sequence[Any]) -> list[str]:
    """The cells of a header, or of what may be one."""
    first, *more = (cell or "" for cell in cells)
    return [first.strip(_AROUND_NAME), *more]
