"""resubmit.csv: what has to be mended, in the source's own form, and back again."""

import csv
import io
import tempfile
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ledger.cells import CHANGED, KEPT
from ledger.material import CONTACTS, screened

from pipeline.config import LedgerSettings
from pipeline.errors import SourceError
from pipeline.ledger.files import write_ledger
from pipeline.ledger.guard import guarded, unguarded
from pipeline.ledger.resubmit import HIDDEN, LOST, MARKS, UNMENDED, Form
from pipeline.records import Screened
from pipeline.stages.read import batches, open_source

INVALID = ("invalid", "the number is too short", "mobile")
SETTINGS = LedgerSettings(formats=("csv",))
RISKY = "'=+-@\t\r\n\"a, ;é1059.:/()%€eEpTrue＝１５٤年марJ"
cells = st.one_of(st.none(), st.text(alphabet=RISKY, max_size=8), st.text(max_size=8))


def read(path: Path, delimiter: str = ",") -> list[list[str]]:
    content = path.read_bytes()
    assert content.startswith(b"\xef\xbb\xbf"), "a spreadsheet takes it for UTF-8"
    return list(csv.reader(io.StringIO(content[3:].decode(), newline=""), delimiter=delimiter))


def broken(frame: pl.DataFrame, damage: list[str | None], **given: str) -> Screened:
    """Rows that are invalid, those with damage for that."""
    settled = {at: ("invalid", why or INVALID[1], None if why else INVALID[2]) for at, why in enumerate(damage)}
    made = screened(0, frame.height, frame=frame, settled=settled, **given)
    return replace(made, batch=replace(made.batch, damage=pl.Series("damage", damage, dtype=pl.String)))


def back(path: Path) -> tuple[pl.DataFrame, list[str | None]]:
    """The rows of a file as a later import reads them, and their damage."""
    read = list(batches([open_source(path)]))
    return pl.concat([batch.frame for batch in read]), [why for batch in read for why in batch.damage]


# --- what is in it ---------------------------------------------------------------------------------------------------


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
    assert (tmp_path / "resubmit.csv").stat().st_mode & 0o777 == 0o600


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
    assert open_source(tmp_path / "resubmit.csv").columns == ("id", "mobile", "mail", "=sum")


@pytest.mark.parametrize("form", [Form(";", "\r\n"), Form("\t", "\n"), Form("|", "\r\n")])
def test_the_form_is_the_sources(tmp_path: Path, form: Form) -> None:
    frame = pl.DataFrame({"id": ["1"], "mobile": [f"a{form.delimiter}b,c"], "mail": ['x"y']})
    write_ledger(tmp_path, [screened(0, 1, settled={0: INVALID}, frame=frame)], None, SETTINGS, CONTACTS, form=form)
    path = tmp_path / "resubmit.csv"
    assert read(path, form.delimiter)[1][:3] == ["1", f"a{form.delimiter}b,c", 'x"y']
    assert path.read_bytes().count(b"\r\n") == (2 if form.line_end == "\r\n" else 0)
    source = open_source(path)
    assert (source.delimiter, source.line_end) == (form.delimiter, form.line_end)


def test_the_reason_is_guarded_too(tmp_path: Path) -> None:
    write_ledger(
        tmp_path, [screened(0, 1, settled={0: ("invalid", "=cmd|' /C calc'!A0", None)})], None, SETTINGS, CONTACTS
    )
    assert read(tmp_path / "resubmit.csv")[1][-1] == "'=cmd|' /C calc'!A0"


# --- the guard -------------------------------------------------------------------------------------------------------


@settings(max_examples=300, deadline=None)
@given(st.lists(cells, min_size=1, max_size=8))
def test_no_cell_begins_a_formula_and_every_cell_comes_back(values: list[str | None]) -> None:
    column = pl.DataFrame({"x": values}, schema={"x": pl.String})
    guard = column.select(guarded(pl.col("x")))
    assert guard.columns == ["x"]
    assert not any(
        value and (value[0] in "\t\r\n" or value.strip()[:1] in tuple("=+-@＝＋－＠")) for value in guard["x"]
    )
    assert guard.select(unguarded(pl.col("x"))).equals(column)


@pytest.mark.parametrize("value", CHANGED)
def test_what_a_spreadsheet_changes_is_guarded(value: str) -> None:
    assert pl.DataFrame({"x": [value]}).select(guarded(pl.col("x")))["x"].to_list() == ["'" + value]


@pytest.mark.parametrize("value", KEPT)
def test_what_needs_no_guard_gets_none(value: str) -> None:
    column = pl.DataFrame({"x": [value]})
    assert column.select(guarded(pl.col("x")))["x"].to_list() == [value]
    assert column.select(unguarded(pl.col("x")))["x"].to_list() == [value]


@pytest.mark.parametrize("value", ["4165550100", "+14165550100", "416-555-0100", "(416) 555-0100", "5"])
def test_an_apostrophe_that_was_left_before_a_mended_number_is_taken_off(value: str) -> None:
    column = pl.DataFrame({"x": ["'" + value]})
    assert column.select(unguarded(pl.col("x")))["x"].to_list() == [value]


# --- and back again --------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(cells, cells), min_size=1, max_size=6),
    st.sampled_from([",", ";", "\t", "'"]),
    st.sampled_from(["\n", "\r\n"]),
)
def test_a_row_comes_back_from_the_file_as_the_source_had_it(
    values: list[tuple[str | None, str | None]], delimiter: str, line_end: str
) -> None:
    values = [tuple(cell and cell.replace("\0", "") for cell in row) for row in values]  # type: ignore[misc]
    frame = pl.DataFrame(values, schema={"+a": pl.String, "'b": pl.String}, orient="row")
    with tempfile.TemporaryDirectory() as directory:
        batch = screened(0, frame.height, frame=frame, settled=dict.fromkeys(range(frame.height), INVALID))
        write_ledger(Path(directory), [batch], None, SETTINGS, CONTACTS, form=Form(delimiter, line_end))
        source = open_source(Path(directory) / "resubmit.csv", delimiter=delimiter)
        found = pl.concat([batch.frame for batch in batches([source])])
        assert not any(why for batch in batches([source]) for why in batch.damage)
    empty = [pl.when(pl.all() != "").then(pl.all())]
    assert found.equals(frame.select(empty))


@pytest.mark.parametrize("left", [("_status",), ("_column",), ("_reason",), MARKS])
def test_any_of_our_columns_tells_that_the_apostrophes_are_ours(tmp_path: Path, left: tuple[str, ...]) -> None:
    pl.DataFrame({"id": ["'0416"], **{mark: ["x"] for mark in left}}).write_csv(tmp_path / "a.csv")
    pl.DataFrame({"id": ["'0416"], **{mark: ["x"] for mark in left}}).write_parquet(tmp_path / "a.parquet")
    pl.DataFrame({"id": ["'0416"]}).write_csv(tmp_path / "foreign.csv")
    assert back(tmp_path / "a.csv")[0]["id"].to_list() == ["0416"]
    assert back(tmp_path / "a.parquet")[0]["id"].to_list() == ["0416"]
    assert back(tmp_path / "foreign.csv")[0]["id"].to_list() == ["'0416"], "in a list of others it is text"


def test_names_that_an_apostrophe_tells_apart_are_not_taken_for_one(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("=x,'=x,_status\n1,2,invalid\n")
    with pytest.raises(SourceError, match="differ by an apostrophe alone"):
        open_source(tmp_path / "a.csv")


def test_a_broken_row_is_refused_until_somebody_has_mended_it(tmp_path: Path) -> None:
    frame = pl.DataFrame({"id": ["1", "2", "3"], "mobile": ["0416", "=x", None], "mail": ["a@b,c", None, None]})
    write_ledger(tmp_path, [broken(frame, ["has 4 fields", None, "has 1 field"])], None, SETTINGS, CONTACTS)
    path = tmp_path / "resubmit.csv"
    header, first, second, third = read(path)
    assert header == ["id", "mobile", "mail", *MARKS]
    assert len(first) == len(header), "a spreadsheet makes a column of a cell beyond the last one"
    assert first[5] == "has 4 fields"
    assert first[4].startswith("any: mend the cells of this row")
    assert second[4] == "mobile"
    assert back(path)[0].equals(frame)
    assert back(path)[1] == [UNMENDED, None, UNMENDED]

    def again(*rows: list[str]) -> list[str | None]:
        with path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([header, *rows])
        return back(path)[1]

    assert again([*first[:2], "a@b", *first[3:]], third) == [None, UNMENDED]
    assert again([*first[:4], "", *first[5:]], third) == [None, UNMENDED], "somebody says that it is right"
    assert again([" 1 ", "0416", *first[2:]], third) == [UNMENDED, UNMENDED], "so far a spreadsheet did that"
    order = [2, 5, 4, 0, 1, 3]
    header, first, third = ([row[at] for at in order] for row in (header, first, third))
    assert again(first, third) == [UNMENDED, UNMENDED], "columns may be moved"


def test_what_could_not_be_read_is_not_sent_until_it_is_typed_anew(tmp_path: Path) -> None:
    frame = pl.DataFrame({"id": ["1", "2", "3"], "mobile": ["12", "1\0", "5"], "mail": ["M\ufffdller", "x", "\ufffd"]})
    write_ledger(tmp_path, [broken(frame, ["holds bytes", "holds a NUL byte", None])], None, SETTINGS, CONTACTS)
    path = tmp_path / "resubmit.csv"
    content = path.read_text(encoding="utf-8-sig")
    assert "\0" not in content
    assert back(path)[1] == [UNMENDED, UNMENDED, None], "the last one was written so"
    path.write_text(content.replace("12", "4165550100").replace("2,1", "9,1"), encoding="utf-8-sig")
    assert back(path)[1] == [LOST, LOST, None]
    path.write_text(content.replace("M\ufffdller", "Müller").replace("1\ufffd", "1"), encoding="utf-8-sig")
    assert back(path)[1] == [None, None, None]


def test_a_masked_destination_is_never_taken_for_one(tmp_path: Path) -> None:
    """Else a***@example.com would be written to: it is an address."""
    frame = pl.DataFrame(
        {
            "id": ["1", "2", "3", "****"],
            "mobile": ["+14165550100", None, "(416) 555-0100", None],
            "mail": ["ann@example.com", "b@example.com", None, None],
        }
    )
    write_ledger(tmp_path, [broken(frame, [None] * 4)], None, LedgerSettings(formats=("csv",), mask=True), CONTACTS)
    assert back(tmp_path / "resubmit.csv")[1] == [HIDDEN, HIDDEN, HIDDEN, None]
    assert [row[0] for row in read(tmp_path / "resubmit.csv")[1:]] == ["1", "2", "3", "****"]
