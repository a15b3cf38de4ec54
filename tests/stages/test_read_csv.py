"""Reading CSV: the fast way gives what a slow and obvious reader gives, wherever the bytes are cut."""

import csv
import io
import tempfile
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import SourceError
from pipeline.stages.read import Source, batches, open_source
from pipeline.stages.sources.csv_head import HEAD
from pipeline.stages.sources.csv_records import LONGEST_CELL

DELIMITERS = [",", ";", "\t", "|"]


@dataclass(frozen=True)
class Row:
    line: int | None
    cells: tuple[str | None, ...]
    damage: str | None


def rows_of(source: Source, *, batch_rows: int = 8192, block: int = 4 << 20, longest: int = LONGEST_CELL) -> list[Row]:
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


def source_of(path: Path, columns: tuple[str, ...], *, delimiter: str = ",", encoding: str = "utf-8") -> Source:
    """A source that nobody has looked at, for content that `open_source` may object to."""
    size = path.stat().st_size
    return Source(path, path.name, "csv", columns, delimiter, encoding, compressed=False, rows=None, size=size)


def read_unseen(content: bytes, columns: tuple[str, ...], *, delimiter: str = ",", **how: int) -> list[Row]:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "list.csv"
        path.write_bytes(content)
        return rows_of(source_of(path, columns, delimiter=delimiter), **how)


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
    if any("\r" in cell for row in table for cell in row) or any(not "".join(row).strip(" ") for row in table):
        quoting = csv.QUOTE_ALL  # else the module leaves a carriage return bare, and a blank may be all of a line
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
        line += 1 + sum(cell.count("\n") for cell in row)
    assert [row.line for row in rows] == lines
    if not any("\r" in cell for row in table for cell in row):  # there the module counts a carriage return as a line
        assert rows == by_csv_module(written, delimiter)


# --- any text, against a reader that looks at one character after the other -------------------------------------------


@dataclass
class Slow:
    """The rules, spelt out. What is broken has no cells here: only that it is broken, and where, is promised."""

    text: str
    delimiter: str
    longest: int
    at: int = 0
    line: int = 1

    def rows(self) -> list[tuple[int, list[str] | None]]:
        rows = []
        while self.at < len(self.text):
            stop = self.line_stop(self.at)
            if not self.text[self.at : stop].strip(" \r"):
                self.at, self.line = stop + 1, self.line + 1
                continue
            start = self.line
            rows.append((start, self.record()))
        return rows

    def line_stop(self, at: int) -> int:
        stop = self.text.find("\n", at)
        return len(self.text) if stop < 0 else stop

    def record(self) -> list[str] | None:
        """The cells; None: damaged. Moves behind the record."""
        cells: list[str] = []
        sound = True
        begin = self.at
        while True:
            opened = self.at
            cell, sound_cell = self.quoted() if self.text.startswith('"', self.at) else self.unquoted()
            sound = sound and sound_cell is not None
            if cell is None:  # nobody can tell where it ends: the line ends it
                self.at = self.line_stop(opened)
                sound = False
            else:
                cells.append(cell)
            if self.at < len(self.text) and self.text[self.at] == self.delimiter and cell is not None:
                self.at += 1
                continue
            self.at += 1
            self.line += self.text[begin : self.at].count("\n") + (self.at > len(self.text))
            return cells if sound else None

    def unquoted(self) -> tuple[str, bool | None]:
        start = self.at
        while self.at < len(self.text) and self.text[self.at] not in (self.delimiter, "\n"):
            self.at += 1
        cell = self.text[start : self.at]
        if not self.text.startswith(self.delimiter, self.at):
            cell = cell.rstrip("\r")
        return cell, None if "\r" in cell else True

    def quoted(self) -> tuple[str | None, bool | None]:
        start = self.at
        at = start + 1
        cell = ""
        while True:
            if at >= len(self.text):
                return None, None
            if self.text.startswith('""', at):
                cell += '"'
                at += 2
            elif self.text[at] == '"':
                at += 1
                break
            else:
                cell += self.text[at]
                at += 1
        section = self.text[start:at]
        if "\n" in section and len(section.encode()) > self.longest:
            return None, None
        while self.text.startswith(" ", at):
            cell += " "
            at += 1
        end = at
        while self.text.startswith("\r", end):
            end += 1
        if end == len(self.text) or self.text[end] == "\n":
            at = end
        elif self.text[at] != self.delimiter:
            return None, None
        self.at = at
        return cell, True


pieces_of_text = st.sampled_from(
    [
        '"',
        '"',
        '""',
        ",",
        ",",
        "\n",
        "\n",
        "\r\n",
        "\r",
        " ",
        "a",
        "b",
        "é",
        "x" * 40,
        "\x01",
        '"a"',
        '"a\nb"',
        '","',
        "a,b\n",
    ]
)


@settings(max_examples=350, deadline=None)
@given(
    parts=st.lists(pieces_of_text, min_size=1, max_size=40),
    width=st.integers(1, 4),
    block=blocks,
    longest=st.sampled_from([5, 20, LONGEST_CELL]),
)
def test_any_text_is_read_as_the_rules_say(parts: list[str], width: int, block: int, longest: int) -> None:
    text = "".join(parts)
    columns = tuple(f"name{number}" for number in range(width))
    rows = read_unseen((",".join(columns) + "\n" + text).encode(), columns, block=block, longest=longest)

    expected = Slow(text, ",", longest).rows()
    assert [row.line for row in rows] == [line + 1 for line, _ in expected]
    for row, (_, cells) in zip(rows, expected, strict=True):
        if cells is None or len(cells) != width:
            assert row.damage is not None
        else:
            assert row.damage is None
            assert row.cells == tuple(cell or None for cell in cells)


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
                "blank lines before": b"\n\r\n  \n" + record + b",",
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
        Row(
            8,
            ("1", "2\r3", "4"),
            "has a carriage return outside of quotes; end all lines the same way, or put the field in quotes",
        ),
        Row(9, ("1", "\0", "3"), "holds a NUL byte"),
        Row(10, ("1", "2", "3"), None),
        Row(11, ("1", '"2,3', None), "has a quoted field that opens on line 11 and is not closed"),
        Row(12, ("4", "5", "6"), None),
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


def test_line_ends_may_be_mixed() -> None:
    rows = read(b'a,b\r\n1,2\n"3\r\n3",4\r\n5,6')
    assert [(row.line, row.cells) for row in rows] == [(2, ("1", "2")), (3, ("3\r\n3", "4")), (5, ("5", "6"))]


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


def test_a_line_without_end_is_no_list(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_bytes(b"a,b\n1,2\n" + b"x" * (40 << 20))
    source = open_source(path)
    with pytest.raises(SourceError, match=r"list\.csv, line 3: the row does not end"):
        rows_of(source)
