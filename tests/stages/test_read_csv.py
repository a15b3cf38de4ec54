"""Reading CSV: the fast way gives what a slow and obvious reader gives, wherever the bytes are cut."""

import csv
import gzip
import io
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.stages.read import Source, batches, open_source
from pipeline.stages.sources import csv_parser
from pipeline.stages.sources.csv_head import HEAD
from pipeline.stages.sources.csv_records import LONGEST_RECORD
from pipeline.stages.sources.csv_text import LONGEST_LINE

DELIMITERS = [",", ";", "\t", "|"]


@dataclass(frozen=True)
class Row:
    line: int | None
    cells: tuple[str | None, ...]
    damage: str | None


def rows_of(
    source: Source, *, batch_rows: int = 8192, block: int = 4 << 20, longest: int = LONGEST_RECORD
) -> list[Row]:
    """All rows, after a check of what must hold for every batch."""
    rows: list[Row] = []
    for batch in batches([source], batch_rows=batch_rows, block=block, longest_cell=longest):
        assert tuple(batch.frame.columns) == source.columns
        assert set(batch.frame.dtypes) == {pl.String}
        assert batch.lines.dtype == pl.UInt64
        assert batch.damage.dtype == pl.String
        assert batch.frame.height == batch.lines.len() == batch.damage.len() > 0
        assert (batch.start, batch.row) == (len(rows), len(rows) + 1)
        assert batch.start % batch_rows == 0
        assert batch.frame.height <= batch_rows
        for line, cells, damage in zip(batch.lines, batch.frame.rows(), batch.damage, strict=True):
            rows.append(Row(line, cells, damage))
    return rows


def read(content: bytes, *, delimiter: str | None = None, encoding: str | None = None, **how: int) -> list[Row]:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "list.csv"
        path.write_bytes(content)
        return rows_of(open_source(path, delimiter=delimiter, encoding=encoding), **how)


def read_unseen(content: bytes, columns: tuple[str, ...], *, packed: bool = False, **how: int) -> list[Row]:
    """Content that `open_source` may object to, so nobody has looked at it."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "list.csv"
        size = path.write_bytes(gzip.compress(content) if packed else content)
        return rows_of(Source(path, "list.csv", "csv", columns, ",", "utf-8", packed, rows=None, size=size), **how)


# --- tables as Python's csv module writes and reads them ------------------------------------------------------------

texts = st.text(alphabet=st.sampled_from(list("ab01 \",;\t|\n\r'é漢😀﻿.")), max_size=8) | st.text(
    alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20
)
blocks = st.sampled_from([1, 2, 3, 7, 16, 64, 4 << 20])


@st.composite
def tables(draw: st.DrawFn) -> list[list[str]]:
    width = draw(st.integers(1, 5))
    return draw(st.lists(st.lists(texts, min_size=width, max_size=width), min_size=1, max_size=12))


def by_csv_module(text: str, delimiter: str) -> list[Row]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    rows = []
    consumed = iter(reader)
    at = 0
    for cells in consumed:
        line = at + 1
        at = reader.line_num
        rows.append(Row(line, tuple(cell or None for cell in cells), None))
    return rows[1:]


@settings(max_examples=120, deadline=None)
@given(
    table=tables(),
    delimiter=st.sampled_from(DELIMITERS),
    end=st.sampled_from(["\n", "\r\n"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    block=blocks,
    batch_rows=st.sampled_from([1, 2, 5, 8192]),
    mark=st.booleans(),
    last_end=st.booleans(),
)
def test_a_table_comes_back_as_it_was_written(
    table: list[list[str]],
    delimiter: str,
    end: str,
    quoting: int,
    block: int,
    batch_rows: int,
    mark: bool,
    last_end: bool,
) -> None:
    names = [f"name{number}" for number in range(len(table[0]))]
    file = io.StringIO(newline="")
    if any("\r" in cell for row in table for cell in row) or any(not "".join(row).strip(" \t") for row in table):
        quoting = csv.QUOTE_ALL  # else the module leaves a carriage return bare, and blanks may be all of a line
    writer = csv.writer(file, delimiter=delimiter, lineterminator=end, quoting=quoting)
    writer.writerow(names)
    writer.writerows(table)
    written = file.getvalue()
    if not last_end:
        written = written.removesuffix(end)
    content = ("\ufeff" if mark else "").encode() + written.encode()

    rows = read(content, delimiter=delimiter, block=block, batch_rows=batch_rows)

    assert [row.cells for row in rows] == [tuple(cell or None for cell in row) for row in table]
    assert all(row.damage is None for row in rows)
    lines, line = [], 2
    for row in table:
        lines.append(line)
        line += 1 + sum(len(re.findall(r"\r*\n|\r", cell)) for cell in row)
    assert [row.line for row in rows] == lines
    if not any("\r" in cell for row in table for cell in row):  # there the module counts a carriage return as a line
        assert rows == by_csv_module(written, delimiter)


# --- any bytes, against a reader that looks at one byte after the other -----------------------------------------------


class Slow:
    """The rules, spelt out. Of a damaged row only that it is damaged, and where, is promised."""

    def __init__(self, content: bytes, *, width: int, delimiter: str, longest: int) -> None:
        self.text = content.decode("latin-1")  # a character stands for a byte
        if not self.text.endswith(("\n", "\r")):
            self.text += "\n"
        self.width = width
        self.delimiter = delimiter
        self.longest = longest
        self.at = 0
        self.line = 1

    def rows(self) -> list[tuple[int, tuple[str | None, ...] | None]]:
        """The line of each row, and its cells; None: it is damaged."""
        header = self.cells_of(self.next_row())
        assert header is not None
        rows = []
        while self.at < len(self.text):
            line, start = self.line, self.at
            record = self.next_row()
            if not self.text[start : self.at].strip(" \t\r\n"):
                continue
            cells = self.cells_of(record)
            is_header = cells is not None and ((cells[0] or "").strip('\ufeff"'), *cells[1:]) == header
            rows.append((line, None if is_header else cells))
        return rows

    def cells_of(self, record: list[str] | None) -> tuple[str | None, ...] | None:
        """The cells of a row that is whole."""
        if record is None or len(record) < self.width or any(record[self.width :]):
            return None
        try:
            cells = [cell.encode("latin-1").decode() for cell in record]
        except UnicodeDecodeError:
            return None
        return None if any("\0" in cell for cell in cells) else tuple(cell or None for cell in cells[: self.width])

    def next_row(self) -> list[str] | None:
        """The next record, or a blank line; None: its quotes make no sense. Moves behind it."""
        begin = self.at
        cells = self.record()
        at = begin
        while at < self.at:
            at = self.behind_line(at)
            self.line += 1
        return cells

    def record(self) -> list[str] | None:
        begin = self.at
        cells: list[str] = []
        while True:
            opened = self.at
            cell = self.quoted() if self.text[opened] == '"' else self.unquoted()
            if cell is not None and self.text[self.at] in "\r\n":
                self.at = self.behind_break(self.at)
                ended = True
            elif cell is not None and self.text[self.at] == self.delimiter:
                self.at += 1
                ended = False
            else:
                cell = None
            if self.at > self.behind_line(begin) and self.at - begin > self.longest:
                cell = None
            if cell is None:  # nobody can tell where it ends: the line ends it
                self.at = self.behind_line(opened)
                return None
            cells.append(cell)
            if ended:
                return cells

    def unquoted(self) -> str:
        start = self.at
        while self.text[self.at] not in (self.delimiter, "\r", "\n"):
            self.at += 1
        return self.text[start : self.at]

    def quoted(self) -> str | None:
        self.at += 1
        cell = ""
        while True:
            if self.at >= len(self.text):
                return None
            if self.text.startswith('""', self.at):
                cell += '"'
                self.at += 2
            elif self.text[self.at] == '"':
                self.at += 1
                break
            else:
                cell += self.text[self.at]
                self.at += 1
        while self.text.startswith(" ", self.at):
            cell += " "
            self.at += 1
        return cell

    def behind_line(self, at: int) -> int:
        while self.text[at] not in "\r\n":
            at += 1
        return self.behind_break(at)

    def behind_break(self, at: int) -> int:
        """LF and CR each end a line, but CRs before an LF belong to it."""
        after = at
        while self.text.startswith("\r", after):
            after += 1
        return after + 1 if self.text.startswith("\n", after) else at + 1


hostile = st.sampled_from(
    [
        b'"',
        b'"',
        b'""',
        b",",
        b",",
        b"\n",
        b"\n",
        b"\r\n",
        b"\r",
        b" ",
        b"\t",
        b"a",
        b"b",
        "é".encode(),
        "\ufeff".encode(),
        b"\xff",
        b"\0",
        b"x" * 40,
        b"\x01",
        b'"a"',
        b'"a\nb"',
        b'"a\rb"',
        b'","',
        b'b","x\n',
        b"a,b\n",
        b'"a","b"\n',
        b"name0,name1\n",
        b'\xef\xbb\xbf"name0","name1"\r',
    ]
)


@settings(max_examples=600, deadline=None)
@given(
    parts=st.lists(hostile, min_size=1, max_size=40),
    width=st.integers(1, 4),
    block=blocks,
    longest=st.sampled_from([5, 20, LONGEST_RECORD]),
    packed=st.booleans(),
    end=st.sampled_from([b"\n", b"\r\n", b"\r"]),
    most_odd=st.sampled_from([1, 2, csv_parser._MOST_ODD]),
)
def test_any_bytes_are_read_as_the_rules_say(
    parts: list[bytes], width: int, block: int, longest: int, packed: bool, end: bytes, most_odd: int
) -> None:
    columns = tuple(f"name{number}" for number in range(width))
    content = ",".join(columns).encode() + end + b"".join(parts)
    with patch.object(csv_parser, "_MOST_ODD", most_odd):
        rows = read_unseen(content, columns, block=block, longest=longest, packed=packed)

    expected = Slow(content, width=width, delimiter=",", longest=longest).rows()
    assert [row.line for row in rows] == [line for line, _ in expected]
    assert [None if row.damage else row.cells for row in rows] == [cells for _, cells in expected]


@settings(max_examples=120, deadline=None)
@given(data=st.data(), block=blocks)
def test_damage_stays_in_its_row(data: st.DataObject, block: int) -> None:
    width = data.draw(st.integers(2, 4))
    table = data.draw(st.lists(st.lists(texts, min_size=width, max_size=width), min_size=1, max_size=20))
    victims = data.draw(st.sets(st.integers(0, len(table) - 1), min_size=1))
    columns = tuple(f"name{number}" for number in range(width))
    content = ",".join(columns).encode() + b"\n"
    for number, row in enumerate(table):
        file = io.StringIO(newline="")
        csv.writer(file, lineterminator="", quoting=csv.QUOTE_ALL).writerow(row)
        record = file.getvalue().encode()
        if number in victims:
            kind = data.draw(st.sampled_from(["long", "short", "bytes", "nul", "blank lines before", "after quote"]))
            if kind == "short":
                content += b'"' + row[0].replace('"', '""').encode() + b'"\n'
                continue
            record = {
                "long": record + b",more",
                "bytes": record[:-1] + b'\xff"',
                "nul": record[:-1] + b'\0"',
                "blank lines before": b"\n\r\n  \n" + record + b",,more",
                "after quote": b'"a"b' + b"," * (width - 1),
            }[kind]
        content += record + b"\n"

    rows = read_unseen(content, columns, block=block)

    assert len(rows) == len(table)
    for number, (row, cells) in enumerate(zip(rows, table, strict=True)):
        if number in victims:
            assert row.damage is not None
        else:
            assert row.damage is None
            assert row.cells == tuple(cell or None for cell in cells)


@settings(max_examples=80, deadline=None)
@given(
    lines=st.lists(
        st.sampled_from([b"a,b", b"a\xff,b", b"\xe9,b", b"c", b"a,b,c", b'"q\nr",b', b'"\xff\n",b']), max_size=12
    ),
    block=blocks,
)
def test_a_row_that_does_not_decode_is_one_damaged_row(lines: list[bytes], block: int) -> None:
    rows = read_unseen(b"one,two\n" + b"\n".join(lines), ("one", "two"), block=block)
    assert [row.damage is not None and "not utf-8" in row.damage for row in rows] == [
        b"\xff" in line or b"\xe9" in line for line in lines
    ]
    assert [row.damage is None for row in rows] == [line in (b"a,b", b'"q\nr",b') for line in lines]


# --- single facts ---------------------------------------------------------------------------------------------------


def test_damage_is_said_in_words_with_its_place() -> None:
    rows = read(
        b'one,two,three\n1,2\n1,2,3,4\n\n1,"2\n2"\n"1" 1,2,3\n1,2\r3,4\n1,\0,3\n1,2,3\n1,"2,3\n4,5,6\n',
        encoding="utf-8",
    )
    assert rows == [
        Row(2, ("1", "2", None), "has 2 fields where the header has 3"),
        Row(3, ("1", "2", "3,4"), "has 4 fields where the header has 3"),
        Row(5, ("1", "2\n2", None), "has 2 fields where the header has 3 (lines 5 to 6)"),
        Row(
            7,
            ('"1" 1,2,3', None, None),
            "has text after the closing quote of field 1; write a quote within a quoted field twice",
        ),
        Row(8, ("1", "2", None), "has 2 fields where the header has 3"),
        Row(9, ("3", "4", None), "has 2 fields where the header has 3"),
        Row(10, ("1", "\0", "3"), "holds a NUL byte"),
        Row(11, ("1", "2", "3"), None),
        Row(12, ("1", '"2,3', None), "has a quoted field that opens on line 12 and is not closed"),
        Row(13, ("4", "5", "6"), None),
    ]


def test_a_missing_closing_quote_does_not_swallow_the_rows_after_it() -> None:
    good = [f"{number},x{number}" for number in range(2000)]
    content = "\n".join(["a,b", *good[:1000], '"lost,1', *good[1000:], ""]).encode()
    for block in (500, 4 << 20):
        rows = read(content, block=block, longest=1000)
        assert [row.cells for row in rows if row.damage is None] == [tuple(line.split(",")) for line in good]
        assert [(row.line, row.damage) for row in rows if row.damage is not None] == [
            (1002, "has a quoted field that opens on line 1002 and is not closed")
        ]


@pytest.mark.parametrize("after", [b"", b"3,4\n"])
def test_a_record_of_many_short_lines_is_too_long_wherever_it_stands(after: bytes) -> None:
    rows = read(b'a,b\n1,"2"\n5,"' + b"x\n" * 60 + b'"\n' + after, longest=100)
    assert [(row.line, row.damage is None) for row in rows[:2]] == [(2, True), (3, False)]
    assert len(rows) == 2 + 60 + len(after) // 4


def test_a_quote_that_a_later_cell_would_close_does_not_swallow_rows() -> None:
    rows = read(b'a,b\n"1,2\n3,4\n5,"6"\n7,8\n')
    assert [(row.line, row.damage is None) for row in rows] == [(2, False), (3, True), (4, True), (5, True)]


def test_quotes_inside_an_unquoted_cell_are_text() -> None:
    rows = read(b'size,note\n5" pipe,say "hi"\n6",\n"7""", x "y"\n')
    assert [row.cells for row in rows] == [('5" pipe', 'say "hi"'), ('6"', None), ('7"', ' x "y"')]


def test_marks_that_are_no_part_of_the_text_for_others_are_text_here() -> None:
    """A byte order mark at the start of a chunk, and the character that is used as a mark within."""
    expected = [(2, ("\ufeff1", "2")), (3, ("\ufeff3", "4")), (4, ("\x01", "\x01"))]
    content = "a,b\n\ufeff1,2\n\ufeff3,4\n\x01,\x01\n1,2,\x01\n".encode()
    for quoted in (b"", b'"7","8"\n'):
        for block in (1, 4 << 20):
            rows = read(content + quoted, block=block)
            assert [(row.line, row.cells) for row in rows[:3]] == expected
            assert [row.damage for row in rows[:4]] == [None, None, None, "has 3 fields where the header has 2"]


def test_a_nul_byte_damages_its_row_with_and_without_quotes_around() -> None:
    for last in (b"3,4", b'"3","4"'):
        rows = read(b"a,b\n1,\0\n\0" + b"1,2\n" + last)
        assert [row.damage for row in rows] == ["holds a NUL byte", "holds a NUL byte", None]


def test_blanks_are_kept_and_empty_cells_are_null() -> None:
    rows = read(b'a,b,c\n 1 , ,\n"", "" ,"x" \n')
    assert [row.cells for row in rows] == [(" 1 ", " ", None), (None, ' "" ', "x ")]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\r\r\n"])
def test_line_ends(end: str) -> None:
    rows = read(end.join(["a,b", "1,2", "", "3,", '"4","5"', "6,7"]).encode())
    assert [(row.line, row.cells, row.damage) for row in rows] == [
        (2, ("1", "2"), None),
        (4, ("3", None), None),
        (5, ("4", "5"), None),
        (6, ("6", "7"), None),
    ]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\r\r\n", "\r\r\r\n"])
@pytest.mark.parametrize("last", ['"z"', "z", '"""z"""'])
def test_line_ends_where_all_rows_have_quotes(end: str, last: str) -> None:
    rows = read(end.join(["a,b,c", f'"1",2,{last}', f'"3",4,{last}', ""]).encode())
    told = '"z"' if last.startswith('"""') else "z"
    assert [(row.cells, row.damage) for row in rows] == [(("1", "2", told), None), (("3", "4", told), None)]


@pytest.mark.parametrize("block", [1, 2, 3, 4, 5, 4 << 20])
def test_line_ends_may_be_mixed_and_those_in_cells_are_kept(block: int) -> None:
    rows = read(b'a,b\r\n1,2\n"3\r\n3",4\r5,6\r\r\n"7\r7","8\n8"\r9,10', block=block)
    assert [(row.line, row.cells, row.damage) for row in rows] == [
        (2, ("1", "2"), None),
        (3, ("3\r\n3", "4"), None),
        (5, ("5", "6"), None),
        (6, ("7\r7", "8\n8"), None),
        (9, ("9", "10"), None),
    ]


def test_trailing_delimiters_everywhere_are_an_unnamed_empty_column(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_bytes(b"a;b;\n1;2;\n3;4;\n")
    source = open_source(path)
    assert source.columns == ("a", "b", "column_3")
    assert [row.cells for row in rows_of(source)] == [("1", "2", None), ("3", "4", None)]


def test_columns_of_a_resubmit_file_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "resubmit.csv"
    path.write_bytes(b'\xef\xbb\xbfa,_status,b,_column,_reason\n1,invalid,2,b,"wrong, quite"\n3,invalid\n')
    source = open_source(path)
    assert source.columns == ("a", "b")
    assert rows_of(source) == [
        Row(2, ("1", "2"), None),
        Row(3, ("3", None), "has 2 fields where the header has 5"),
    ]


def test_one_column(tmp_path: Path) -> None:
    rows = read(b'number\n123\n\n""\n   \n"4,5"\n6\n')
    assert [(row.line, row.cells, row.damage) for row in rows] == [
        (2, ("123",), None),
        (4, (None,), None),
        (6, ("4,5",), None),
        (7, ("6",), None),
    ]


def test_one_column_in_which_some_values_hold_a_comma() -> None:
    rows = read(b"name\nJane Doe\nDoe, John\n")
    assert [row.cells for row in rows] == [("Jane Doe",), ("Doe, John",)]


def test_many_columns() -> None:
    names = [f"c{number}" for number in range(600)]
    record = ",".join(f'"v{number}"' for number in range(600))
    rows = read((",".join(names) + "\n" + record + "\n" + record + ',"more"\n').encode())
    assert rows[0].cells == tuple(f"v{number}" for number in range(600))
    assert [row.damage for row in rows] == [None, "has 601 fields where the header has 600"]


@pytest.mark.parametrize(
    ("encoding", "mark", "told"),
    [
        ("utf-16-le", b"\xff\xfe", None),
        ("utf-16-be", b"\xfe\xff", None),
        ("utf-32-le", b"\xff\xfe\0\0", None),
        ("utf-8", b"\xef\xbb\xbf", None),
        ("utf-8", b"\xef\xbb\xbf", "windows-1252"),
        ("utf-16-le", b"", "utf-16-le"),
        ("utf-16-le", b"", "utf-16"),
        ("windows-1252", b"", "windows-1252"),
        ("latin-1", b"", "latin-1"),
        ("mac-roman", b"", "mac-roman"),
    ],
)
@pytest.mark.parametrize("block", [1, 3, 4 << 20])
def test_encodings(encoding: str, mark: bytes, told: str | None, block: int) -> None:
    content = 'näme,city\nRenée,"Montréal\nQuébec"\nZoë,Ürümqi\n'
    rows = read(mark + content.encode(encoding), encoding=told, block=block)
    assert rows == [
        Row(2, ("Renée", "Montréal\nQuébec"), None),
        Row(4, ("Zoë", "Ürümqi"), None),
    ]


@pytest.mark.parametrize(
    ("encoding", "good", "bad"),
    [
        ("windows-1252", "é,x\n".encode("windows-1252"), b"\x81,x\n"),
        ("utf-16-le", "é,x\n".encode("utf-16-le"), b"\x00\xd8" + ",x\n".encode("utf-16-le")),
        ("utf-16-le", "é,x\n".encode("utf-16-le"), "a,x".encode("utf-16-le") + b"y"),
        ("shift_jis", "あ,x\n".encode("shift_jis"), b"\xfd,x\n"),
    ],
)
def test_bytes_that_a_named_encoding_does_not_know_damage_their_row(encoding: str, good: bytes, bad: bytes) -> None:
    rows = read("a,b\n".encode(encoding) + good + bad, encoding=encoding, block=2)
    assert [row.damage for row in rows] == [None, f"holds bytes that are not {encoding}"]


def test_where_other_lines_prove_utf_8_one_bad_line_is_a_damaged_row() -> None:
    rows = read("a,b\né,1\né,2\n".encode() + b"\xe9,3\n" + "é,4\n".encode())
    assert [(row.line, row.damage) for row in rows] == [
        (2, None),
        (3, None),
        (4, "holds bytes that are not utf-8"),
        (5, None),
    ]


@pytest.mark.parametrize("shift", [0, 1])
def test_a_character_may_lie_on_the_edge_of_what_is_looked_at(tmp_path: Path, shift: int) -> None:
    path = tmp_path / "list.csv"
    start = b"a,b\n" + b"x" * shift
    path.write_bytes(start + b"1,2\n" * ((HEAD - len(start)) // 4) + "éé,4\n".encode() * 2)
    rows = rows_of(open_source(path))
    assert [row.cells for row in rows[-2:]] == [("éé", "4")] * 2
    assert all(row.damage is None for row in rows)


def test_a_line_that_is_too_long_is_one_damaged_row(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    with path.open("wb") as file:
        file.write(b"a,b\n1,2\n")
        for _ in range(40):
            file.write(b"x," * (512 << 10))
        file.write(b"\n3,4\n" + b"y" * (LONGEST_LINE - 2) + b",5\r\n" + b"z" * (LONGEST_LINE - 1) + b",6\n7,8\n")
    for block in (1 << 20, 4 << 20, 9 << 20):
        rows = rows_of(open_source(path), block=block)
        assert [(row.line, row.damage) for row in rows] == [
            (2, None),
            (3, "is a line of more than 4 MB"),
            (4, None),
            (5, None),
            (6, "is a line of more than 4 MB"),
            (7, None),
        ]
        assert [row.cells[1] for row in rows] == ["2", None, "4", "5", None, "8"]


def test_cells_too_many_that_are_empty_damage_nothing() -> None:
    rows = read(b'a,b\n1,2,\n3,4,,,\n5,,\n"6","7",""\n"8\n8",9,"",\n10,11,,x\n12,13, \n14\n')
    assert [(row.cells, row.damage) for row in rows] == [
        (("1", "2"), None),
        (("3", "4"), None),
        (("5", None), None),
        (("6", "7"), None),
        (("8\n8", "9"), None),
        (("10", "11,,x"), "has 4 fields where the header has 2"),
        (("12", "13, "), "has 3 fields where the header has 2"),
        (("14", None), "has 1 field where the header has 2"),
    ]


@pytest.mark.parametrize("header", ["a;b", "a"])
def test_delimiters_at_the_end_of_rows_alone_confuse_nobody(tmp_path: Path, header: str) -> None:
    path = tmp_path / "list.csv"
    path.write_text(header + "\n" + ("1,2;3;;\n" if ";" in header else "1;\n") * 3)
    source = open_source(path)
    assert source.delimiter == ";"
    assert {row.cells for row in rows_of(source)} == {("1,2", "3") if ";" in header else ("1",)}


@pytest.mark.parametrize(
    "again", [b"id,,name", b'"id","","name"', b"\xef\xbb\xbfid,,name", b'\xef\xbb\xbf"id",,"name"']
)
def test_a_header_among_the_rows_is_a_damaged_row(again: bytes) -> None:
    rows = read(b"\xef\xbb\xbfid,,name\n1,,name\n" + again + b"\nid,2,name\n")
    said = "is the header once more, where files were put together; delete the line"
    assert [(row.line, row.damage) for row in rows] == [(2, None), (3, said), (4, None)]


def test_a_header_among_the_rows_of_one_column() -> None:
    rows = read("\ufeffname\n\ufeffname\nName\n".encode())
    assert [row.damage is None for row in rows] == [False, True]


def test_columns_of_one_name_are_told_apart_by_their_place(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_bytes(b"id,phone, phone,,phone (column 3)\n1,2,3,4,5\n")
    source = open_source(path)
    assert source.columns == ("id", "phone (column 2)", "phone (column 3)_", "column_4", "phone (column 3)")
    assert [row.cells for row in rows_of(source)] == [("1", "2", "3", "4", "5")]


@pytest.mark.parametrize("said", [b"sep=;", b"\xef\xbb\xbfSEP=;", b'"sep=;"'])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_a_first_line_that_tells_the_delimiter(tmp_path: Path, said: bytes, end: bytes) -> None:
    path = tmp_path / "list.csv"
    path.write_bytes(end.join([said, b"a,x;b,y", b"1,1;2,2", b"3;4", b""]))
    source = open_source(path)
    assert (source.delimiter, source.columns) == (";", ("a,x", "b,y"))
    assert rows_of(source, block=1) == [Row(3, ("1,1", "2,2"), None), Row(4, ("3", "4"), None)]


def test_lines_of_white_space_are_no_rows() -> None:
    rows = read(b"a,b\n \t \n\t\n1,2\n   \r\n# 3,4\n")
    assert [(row.line, row.cells) for row in rows] == [(4, ("1", "2")), (6, ("# 3", "4"))]
    assert [row.cells for row in read(b"a\tb\n\t\n1\t2\n")] == [(None, None), ("1", "2")]
