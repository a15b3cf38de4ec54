"""Lines of a CSV file that are rows by themselves, to frames of text, in vectorised steps.

polars pads short rows, aborts at long ones, takes blank lines for rows and gives up at a byte that is not UTF-8. So its
reader gets nothing but lines that are known to be whole.
"""

import io
import re
from typing import Final

import polars as pl

from pipeline.errors import SourceError
from pipeline.stages.sources.csv_records import fields, with_lf
from pipeline.stages.sources.csv_text import LONGEST_LINE

# What a line is: its cells are what stands between the delimiters; it is whole, with quoted cells; it has to be looked
# at with care; no row starts on it.
PLAIN, QUOTED, ODD, NONE = range(4)

# Columns of the frames beside those of the file, which are called by their numbers.
INDEX: Final = "index"  # of the line in the chunk on which the row starts
DAMAGE: Final = "damage"

#: Columns up to which a line with quotes can be judged by one regular expression: it grows with them.
_WIDEST: Final = 1000

_WHOLE: Final = pl.lit(None, dtype=pl.String).alias(DAMAGE)


def lines_of(chunk: bytes) -> tuple[bytes, pl.Series]:
    """A chunk made usable, with every byte in its place, and its lines without their ends.

    Every line break is an LF, which may have CRs before it, and lines that are not UTF-8 are NULs.
    """
    usable = chunk if _is_utf8(chunk) else _blotted(with_lf(chunk))
    lines = _split(usable)
    if b"\r" in usable and (usable.endswith(b"\r") or lines.str.contains("\r", literal=True).any()):
        usable = with_lf(usable)
        lines = _split(usable).str.strip_chars_end("\r")
    return usable, lines


def starts_of(usable: bytes, lines: pl.Series) -> pl.Series:
    """Where the lines start, in bytes."""
    ends, odd = divmod(len(usable) - lines.str.len_bytes().sum(), len(lines))
    if odd or (ends == 2 and usable.count(b"\r\n") < len(lines)):  # not all lines end alike
        lines, ends = pl.Series([usable], dtype=pl.Binary).cast(pl.String).str.split("\n").explode(), 1
    return (lines.str.len_bytes().cast(pl.UInt64) + ends).cum_sum().shift(1, fill_value=0)


class LineReader:
    """Reads lines of rows that should be `width` cells wide."""

    def __init__(self, name: str, width: int, delimiter: str) -> None:
        self._name = name  # of the file, as messages name it
        self._width = width
        self._delimiter = delimiter
        self._blanks = " " if delimiter == "\t" else " \t"
        self._columns = [str(number) for number in range(width)]
        mark = re.escape(delimiter)
        cell = rf'(?:"(?:[^"\x00]|"")*"|[^"\x00{mark}]*)'
        self._whole = rf'^{cell}(?:{mark}{cell}){{{width - 1}}}(?:{mark}(?:"")?)*$'
        cell = rf'(?:"(?:[^"\x00\r]|\r\n|"")*"|[^"\x00\r\n{mark}]*)'
        self._records = rf'\A(?:{cell}(?:{mark}{cell}){{{width - 1}}}(?:{mark}(?:"")?)*\r?\n)*'
        self._opening = rf'(?:^|{mark})"'

    def are_plain(self, usable: bytes) -> bool:
        """Whether each line is PLAIN."""
        return b'"' not in usable and b"\0" not in usable and len(usable) <= LONGEST_LINE

    def kinds(self, usable: bytes, lines: pl.Series) -> pl.Series:
        """What each line is: PLAIN, QUOTED or ODD."""
        kinds = pl.repeat(PLAIN, len(lines), dtype=pl.UInt8, eager=True)
        if b'"' in usable:
            index = lines.str.contains('"', literal=True).arg_true()
            texts = lines.gather(index)
            if self._width <= _WIDEST:
                whole = texts.str.contains(self._whole)
                kinds = kinds.scatter(index.filter(whole), QUOTED)
                index, texts = index.filter(~whole), texts.filter(~whole)
            # Where no cell begins with a quote, quotes are text.
            kinds = kinds.scatter(index.filter(texts.str.contains(self._opening)), ODD)
        if b"\0" in usable:
            kinds = kinds.scatter(lines.str.contains("\0", literal=True).arg_true(), ODD)
        if len(usable) > LONGEST_LINE:
            kinds = kinds.scatter((lines.str.len_bytes() > LONGEST_LINE).arg_true(), ODD)
        return kinds

    def wrapped(self, usable: bytes, lines: pl.Series) -> pl.DataFrame | None:
        """The rows, where each cell of each line is in quotes and holds none; None: it is not so."""
        width = self._width
        if (
            not usable.startswith(b'"')
            or usable.count(b'"') != 2 * width * len(lines)
            or b"\0" in usable
            or len(usable) > LONGEST_LINE
        ):
            return None
        whole = lines.str.starts_with('"') & lines.str.ends_with('"') & (lines.str.len_bytes() > 1)
        if not whole.all():
            return None
        inner = lines.str.strip_prefix('"').str.strip_suffix('"')
        cells = inner.str.splitn(f'"{self._delimiter}"', width).struct.unnest()
        if cells[:, -1].has_nulls():
            return None
        # Each line has the quotes around its cells at least, and there are no more.
        cells.columns = self._columns
        return cells.select(_null_if_empty(pl.all()), pl.int_range(pl.len(), dtype=pl.UInt32).alias(INDEX), _WHOLE)

    def whole(self, chunk: bytes, *, longest: int) -> tuple[pl.DataFrame, int, int] | None:
        """The rows of the whole records that come first, on however many lines, and how many bytes and lines they take.

        None: they are less than half of the chunk, or one of several lines may have more than `longest` bytes.
        """
        if not 1 < self._width <= _WIDEST or b'"' not in chunk or len(chunk) > LONGEST_LINE:
            return None  # in one column, a blank line would pass for a record
        try:
            text = pl.Series([chunk], dtype=pl.Binary).cast(pl.String)
        except pl.exceptions.ComputeError:
            return None
        end = len(chunk) - text.str.replace(self._records, "").str.len_bytes().item()
        if 2 * end < len(chunk):
            return None
        records = chunk[:end]
        count = records.count(b"\n")
        index = pl.int_range(count, dtype=pl.UInt32, eager=True)
        cells = self._parsed(records)
        if len(cells) < count:
            lines = _split(records)
            index = _starting(lines)
            # At most so long: one that goes on for the most lines, all of them as long as the longest.
            most = pl.concat([index, pl.Series([count], dtype=pl.UInt32)]).diff().max()
            width = lines.str.len_bytes().max()
            assert isinstance(most, int)
            assert isinstance(width, int)
            if most * (width + 2) > longest:
                return None
        return self._indexed(cells, index), end, count

    def plain(self, lines: pl.Series, index: pl.Series) -> pl.DataFrame:
        """The rows on PLAIN lines, those with too few or too many cells too; blank lines are none."""
        width, mark, last = self._width, self._delimiter, self._columns[-1]
        if (some := lines != "").sum() < len(lines):
            lines, index = lines.filter(some), index.filter(some)
        cells = lines.str.splitn(mark, width).struct.unnest()
        cells.columns = self._columns
        odd = cells[last].is_null() | cells[last].str.contains(mark, literal=True)
        if width == 1:
            odd |= cells[last].str.strip_chars(self._blanks) == ""
        if not odd.any():
            return cells.select(_null_if_empty(pl.all()), index.alias(INDEX), _WHOLE)
        which = odd.arg_true()
        end = pl.col(last)
        kept = end.str.strip_chars_end(mark)  # less the cells too many, where these are empty
        ragged = end.is_null() | kept.str.contains(mark, literal=True)
        count = pl.sum_horizontal(pl.all().is_not_null()) + end.str.count_matches(mark, literal=True).fill_null(0)
        said = pl.when(count == 1).then(pl.lit(fields(1))).otherwise(pl.format("{} fields", count))
        judged = cells.filter(odd).select(
            pl.when(ragged).then(end).otherwise(kept),
            pl.when(ragged).then(pl.format("has {} where the header has {}", said, pl.lit(width))).alias(DAMAGE),
        )
        damage = pl.repeat(None, len(cells), dtype=pl.String, eager=True).scatter(which, judged[DAMAGE])
        blank = lines.filter(odd).str.strip_chars(self._blanks) == ""
        rows = cells.with_columns(cells[last].scatter(which, judged[last]))
        rows = rows.select(_null_if_empty(pl.all()), index.alias(INDEX), damage.alias(DAMAGE))
        return rows.filter(~odd.scatter(which, blank))

    def quoted(self, records: bytes, index: pl.Series) -> pl.DataFrame:
        """The rows of whole records one after the other, that of each at its index. Raises SourceError."""
        return self._indexed(self._parsed(records), index)

    def _parsed(self, records: bytes) -> pl.DataFrame:
        first = b"x" + self._delimiter.encode() * (self._width - 1)  # tells polars how wide rows are
        return pl.read_csv(
            first + b"\n" + records,
            has_header=False,
            schema=dict.fromkeys(self._columns, pl.String),
            separator=self._delimiter,
            null_values="",
            truncate_ragged_lines=True,  # what is too much is empty
        ).slice(1)

    def _indexed(self, cells: pl.DataFrame, index: pl.Series) -> pl.DataFrame:
        if len(cells) != len(index):
            # Never seen; but a row lost in silence is the one thing that must not happen.
            raise SourceError(
                f"{self._name}: {len(index)} rows were found and {len(cells)} were read; report this, "
                "and write the file anew without quotes"
            )
        return cells.with_columns(index.alias(INDEX), _WHOLE)


def _null_if_empty(cells: pl.Expr) -> pl.Expr:
    return pl.when(cells != "").then(cells)


def _starting(lines: pl.Series) -> pl.Series:
    """The indices of the lines on which a record starts, where all quotes are in pairs."""
    quoted = lines.str.contains('"', literal=True).arg_true()
    odd = quoted.filter(lines.gather(quoted).str.count_matches('"', literal=True) % 2 == 1)
    # They come in twos, and on the lines behind the first, up to the second, the record goes on.
    borders = pl.repeat(0, len(lines), dtype=pl.UInt8, eager=True).scatter(odd, 1)
    return (borders.cast(pl.UInt32).cum_sum().shift(1, fill_value=0) % 2 == 0).arg_true()


def _split(text: bytes) -> pl.Series:
    return pl.read_lines(io.BytesIO(text)).to_series()  # takes an LF off, or a CR and an LF


def _is_utf8(data: bytes) -> bool:
    try:
        pl.Series([data], dtype=pl.Binary).cast(pl.String)  # many times faster than bytes.decode, and makes no copy
    except pl.exceptions.ComputeError:
        return False
    return True


def _blotted(chunk: bytes) -> bytes:
    """The chunk with each line that is not UTF-8 replaced by as many NUL bytes."""
    lines = chunk.split(b"\n")
    for index, line in enumerate(lines):
        if not line.isascii():
            try:
                line.decode()
            except UnicodeDecodeError:
                lines[index] = b"\0" * len(line)
    return b"\n".join(lines)
