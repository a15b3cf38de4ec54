"""resubmit.csv: what has to be mended, in the source's own form, and back again."""

import csv
import io
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ledger.material import CONTACTS, screened

from pipeline.config import LedgerSettings
from pipeline.ledger.files import write_ledger
from pipeline.ledger.resubmit import MARKS, guarded, unguarded

INVALID = ("invalid", "the number is too short", "mobile")
SETTINGS = LedgerSettings(formats=("csv",))
cells = st.one_of(st.none(), st.text(alphabet="'=+-@\t\r\n\"a, ;é1", max_size=6))


def read(path: Path) -> list[list[str]]:
    content = path.read_bytes()
    assert content.startswith(b"\xef\xbb\xbf"), "a spreadsheet takes it for UTF-8"
    return list(csv.reader(io.StringIO(content[3:].decode(), newline="")))


def test_the_mendable_rows_alone_with_their_marks(tmp_path: Path) -> None:
    settled = {
        0: INVALID,
        1: ("duplicate", "as row 1", None),
        2: ("changed", "other content", None),
        3: ("suppressed", "filtered", "segment"),
    }
    write_ledger(
        tmp_path, [screened(0, 4, settled=settled), screened(4, 6, settled={5: INVALID})], None, SETTINGS, CONTACTS
    )
    assert read(tmp_path / "resubmit.csv") == [
        ["id", "mobile", "mail", *MARKS],
        ["p0", "'+14165550000", "person0@example.com", "invalid", "mobile", "the number is too short"],
        ["p2", "'+14165550002", "person2@example.com", "changed", "", "other content"],
        ["p5", "'+14165550005", "person5@example.com", "invalid", "mobile", "the number is too short"],
    ]


def test_nothing_to_mend_leaves_the_header(tmp_path: Path) -> None:
    write_ledger(tmp_path, [screened(0, 4)], None, SETTINGS, CONTACTS)
    assert read(tmp_path / "resubmit.csv") == [["id", "mobile", "mail", *MARKS]]


def test_sources_with_other_columns_share_a_header(tmp_path: Path) -> None:
    other = pl.DataFrame({"mail": ["a,b"], "=sum": ['"x"\r'], "_status": ["failed"], "_reason": ["of an earlier run"]})
    batches = [
        screened(0, 2, settled={1: INVALID}),
        screened(2, 3, source="b.csv", row=1, settled={2: INVALID}, frame=other),
        screened(3, 4, source="c.csv", row=1, settled={3: INVALID}),
    ]
    write_ledger(tmp_path, batches, None, SETTINGS, CONTACTS)
    header, *rows = read(tmp_path / "resubmit.csv")
    assert header == ["id", "mobile", "mail", "'=sum", *MARKS]
    assert [row[:4] for row in rows] == [
        ["p1", "'+14165550001", "person1@example.com", ""],
        ["", "", "a,b", '"x"\r'],
        ["p3", "'+14165550003", "person3@example.com", ""],
    ]
    assert {row[4] for row in rows} == {"invalid"}


def test_the_reason_is_guarded_too(tmp_path: Path) -> None:
    write_ledger(
        tmp_path, [screened(0, 1, settled={0: ("invalid", "=cmd|' /C calc'!A0", None)})], None, SETTINGS, CONTACTS
    )
    assert read(tmp_path / "resubmit.csv")[1][-1] == "'=cmd|' /C calc'!A0"


@settings(max_examples=150, deadline=None)
@given(st.lists(cells, min_size=1, max_size=8))
def test_no_cell_begins_a_formula_and_every_cell_comes_back(values: list[str | None]) -> None:
    column = pl.DataFrame({"x": values}, schema={"x": pl.String})
    guard = column.select(guarded(pl.col("x")))
    assert guard.columns == ["x"]
    assert not any(value and value[0] in "=+-@\t\r\n" for value in guard["x"])
    assert guard.select(unguarded(pl.col("x"))).equals(column)


@pytest.mark.parametrize("value", ["0416", "'", "o'clock", "''", "a=b", "", "1 + 1"])
def test_what_needs_no_guard_gets_none(value: str) -> None:
    column = pl.DataFrame({"x": [value]})
    assert column.select(guarded(pl.col("x")))["x"].to_list() == [value]
    assert column.select(unguarded(pl.col("x")))["x"].to_list() == [value]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(cells, cells), min_size=1, max_size=6))
def test_a_row_comes_back_from_the_file_as_the_source_had_it(values: list[tuple[str | None, str | None]]) -> None:
    import tempfile

    frame = pl.DataFrame(values, schema={"a": pl.String, "b": pl.String}, orient="row")
    with tempfile.TemporaryDirectory() as directory:
        batch = screened(0, frame.height, frame=frame, settled=dict.fromkeys(range(frame.height), INVALID))
        write_ledger(Path(directory), [batch], None, SETTINGS, CONTACTS)
        header, *rows = read(Path(directory) / "resubmit.csv")
    back = pl.DataFrame(rows, schema=dict.fromkeys(header, pl.String), orient="row").drop(MARKS)
    assert back.select(unguarded(pl.all())).equals(frame.select(pl.all().fill_null("")))
