"""Reading workbooks: every cell as the text a person would have typed, and nothing that a hostile one could do."""

import datetime as dt
import re
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import xlsxwriter
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import SourceError
from pipeline.stages.read import batches, open_source
from pipeline.stages.sources import excel_archive, excel_file

Fill = Callable[[Any, Any], None]


def workbook(path: Path, fill: Fill, **options: Any) -> Path:
    """A workbook; `fill` is given it and its first sheet."""
    with xlsxwriter.Workbook(path, options) as book:
        fill(book, book.add_worksheet("People"))
    return path


def rows(path: Path, sheet: str | None = None) -> list[tuple[Any, ...]]:
    source = open_source(path, sheet=sheet)
    found: list[tuple[Any, ...]] = []
    for batch in batches([source], batch_rows=3):
        assert batch.frame.columns == list(source.columns)
        assert batch.lines.null_count() == batch.frame.height == batch.damage.null_count()
        found += batch.frame.rows()
    return found


def column(path: Path, *cells: Callable[[Any, Any, int], None]) -> list[str | None]:
    """The texts of one column, each cell written by a function of the book, the sheet and the row."""

    def fill(book: Any, sheet: Any) -> None:
        sheet.write_row(0, 0, ["id", "value"])
        for row, write in enumerate(cells, 1):
            sheet.write_number(row, 0, row)
            write(book, sheet, row)

    return [value for _, value in rows(workbook(path, fill))]


def number(value: float, form: str | None = None) -> Callable[[Any, Any, int], None]:
    return lambda book, sheet, row: sheet.write_number(row, 1, value, form and book.add_format({"num_format": form}))


def text(value: str) -> Callable[[Any, Any, int], None]:
    return lambda book, sheet, row: sheet.write_string(row, 1, value)


def moment(value: Any, form: str) -> Callable[[Any, Any, int], None]:
    return lambda book, sheet, row: sheet.write_datetime(row, 1, value, book.add_format({"num_format": form}))


def formula(result: Any) -> Callable[[Any, Any, int], None]:
    return lambda book, sheet, row: sheet.write_formula(row, 1, "=IF(1<2,A1,B1)", None, result)


def nothing(book: Any, sheet: Any, row: int) -> None:
    sheet.write_blank(row, 1, None, book.add_format({"bold": True}))


DAY = dt.datetime(2026, 1, 2)  # noqa: DTZ001 - a workbook knows no zones


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ([number(4165550100), number(4.16555e9), number(7)], ["4165550100", "4165550000", "7"]),
        ([number(1.5), number(0.1), number(-3), number(1e15 + 1)], ["1.5", "0.1", "-3", "1000000000000001"]),
        ([number(4165550100, "0.00E+00"), number(7, "00000")], ["4165550100", "7"]),
        ([text("0416"), text(" b "), text(""), text("4.16555E+09")], ["0416", " b ", None, "4.16555E+09"]),
        ([text("a\nb"), text("<é & \"ß\">"), text("=1+1")], ["a\nb", "<é & \"ß\">", "=1+1"]),
        ([text("007"), number(7), nothing, number(7.5)], ["007", "7", None, "7.5"]),
        ([moment(DAY, "yyyy-mm-dd"), moment(DAY, "d.m.yy")], ["2026-01-02", "2026-01-02"]),
        ([moment(DAY.replace(hour=9, minute=5), "d/m/yy hh:mm")], ["2026-01-02T09:05:00"]),
        ([moment(dt.time(9, 5), "hh:mm"), moment(dt.time(23, 59, 59), "hh:mm:ss")], ["09:05:00", "23:59:59"]),
        ([number(1.5, "[h]:mm")], ["36:00:00"]),
        (
            [moment(DAY, "yyyy-mm-dd"), text("2026-01-02 00:00:00"), text("soon"), number(46024), nothing],
            ["2026-01-02", "2026-01-02 00:00:00", "soon", "46024", None],
        ),
        ([lambda book, sheet, row: sheet.write_boolean(row, 1, True), number(1)], ["true", "1"]),
        ([formula("#N/A"), text("x"), formula("#DIV/0!"), formula("#REF!")], ["#N/A", "x", "#DIV/0!", "#REF!"]),
        ([formula("#VALUE!"), number(1)], ["#VALUE!", "1"]),
        ([formula("cached"), formula(4165550100), formula(True)], ["cached", "4165550100", "true"]),
    ],
)  # fmt: skip
def test_every_cell_is_text(tmp_path: Path, cells: list[Any], expected: list[str | None]) -> None:
    assert column(tmp_path / "list.xlsx", *cells) == expected


def test_a_workbook_of_an_old_macintosh(tmp_path: Path) -> None:
    """Its days are counted from 1904."""

    def fill(book: Any, sheet: Any) -> None:
        sheet.write_row(0, 0, ["id", "date", "time"])
        form = book.add_format({"num_format": "yyyy-mm-dd"})
        sheet.write(1, 0, "x")
        sheet.write_datetime(1, 1, DAY, form)
        sheet.write_datetime(1, 2, dt.time(9, 5), book.add_format({"num_format": "hh:mm"}))

    path = workbook(tmp_path / "list.xlsx", fill, date_1904=True)
    assert rows(path) == [("x", "2026-01-02", "09:05:00")]


@settings(max_examples=10, deadline=None)
@given(st.lists(st.datetimes(dt.datetime(1901, 1, 1), dt.datetime(2100, 1, 1)), min_size=20, max_size=200))  # noqa: DTZ001
def test_any_moment_to_the_second(tmp_path_factory: pytest.TempPathFactory, moments: list[dt.datetime]) -> None:
    """A workbook holds it as a fraction of a day, which is never exact."""
    path = tmp_path_factory.mktemp("moments") / "list.xlsx"
    whole = [value.replace(microsecond=0) for value in moments]
    written = column(path, *(moment(value, "yyyy-mm-dd hh:mm:ss") for value in whole))
    assert written == [value.isoformat().removesuffix("T00:00:00") for value in whole]


@settings(max_examples=10, deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=["Cc", "Cs", "Cn"])), min_size=20, max_size=100))
def test_any_text(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    path = tmp_path_factory.mktemp("texts") / "list.xlsx"
    assert column(path, *map(text, texts)) == [value or None for value in texts]


# --- where the list stands --------------------------------------------------------------------------------------------


def test_blank_rows_and_columns_are_no_part_of_the_list(tmp_path: Path) -> None:
    def fill(book: Any, sheet: Any) -> None:
        bold = book.add_format({"bold": True})
        sheet.write_row(3, 2, ["id", "", "name"])
        sheet.write_row(5, 2, ["1", "x", "Ann"])
        sheet.write_row(50, 2, [" ", "", "  "])
        for row in range(6, 40):
            sheet.write_blank(row, 9, None, bold)
        sheet.write_row(40, 2, ["2", "", ""])
        sheet.write_blank(99, 2, None, bold)

    path = workbook(tmp_path / "list.xlsx", fill)
    assert open_source(path).columns == ("id", "column_2", "name")
    assert rows(path) == [("1", "x", "Ann"), ("2", None, None)]


def test_what_is_hidden_or_merged_is_read(tmp_path: Path) -> None:
    def fill(_: Any, sheet: Any) -> None:
        sheet.write_row(0, 0, ["id", "name", "city"])
        sheet.write_row(1, 0, ["1", "Ann", "Rome"])
        sheet.merge_range(2, 0, 2, 1, "2")
        sheet.set_row(1, None, None, {"hidden": True})
        sheet.set_column(1, 1, None, None, {"hidden": True})

    assert rows(workbook(tmp_path / "list.xlsx", fill)) == [("1", "Ann", "Rome"), ("2", None, None)]


def several(tmp_path: Path, *filled: str, hidden: str = "", empty: str = "") -> Path:
    path = tmp_path / "list.xlsx"
    with xlsxwriter.Workbook(path) as book:
        for name in (empty, *filled, hidden):
            if name:
                sheet = book.add_worksheet(name)
                if name != empty:
                    sheet.write_row(0, 0, ["id", "name"])
                    sheet.write_row(1, 0, ["1", name])
                if name == hidden:
                    sheet.hide()
        book.add_chartsheet("Chart")
    return path


def test_the_only_sheet_with_content_is_taken(tmp_path: Path) -> None:
    path = several(tmp_path, "Leads", hidden="Old", empty="Notes")
    source = open_source(path, name="list.xlsx")
    assert (source.format, source.sheet, source.rows, source.delimiter) == ("xlsx", "Leads", None, None)
    assert rows(path) == [("1", "Leads")]
    assert rows(path, "Old") == [("1", "Old")], "a hidden one can be asked for"


@pytest.mark.parametrize(
    ("asked", "problem"),
    [
        (None, 'more than one sheet holds something: "May", "Müll & <co>"; choose one with --sheet'),
        ("may", 'has no sheet "may"; its sheets: "Notes", "May", "Müll & <co>", "Old"'),
        ("Notes", 'sheet "Notes" is empty; choose another with --sheet'),
    ],
)
def test_which_sheet_must_be_certain(tmp_path: Path, asked: str | None, problem: str) -> None:
    path = several(tmp_path, "May", "Müll & <co>", hidden="Old", empty="Notes")
    with pytest.raises(SourceError) as caught:
        open_source(path, name="list.xlsx", sheet=asked)
    assert str(caught.value) == f"list.xlsx: {problem}"
    assert rows(path, "Müll & <co>") == [("1", "Müll & <co>")]


def test_a_workbook_with_nothing_to_see(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match='no visible sheet holds anything; its sheets: "Notes", "Old"'):
        open_source(several(tmp_path, hidden="Old", empty="Notes"))


def test_a_header_alone(tmp_path: Path) -> None:
    path = workbook(tmp_path / "list.xlsx", lambda _, sheet: sheet.write_row(0, 0, ["id", "name"]))
    with pytest.raises(SourceError, match=r"list\.xlsx: has a header and no rows; export the list again"):
        open_source(path)


# --- hostile and broken -----------------------------------------------------------------------------------------------

HEAD = '<?xml version="1.0"?><worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">'


def rewritten(tmp_path: Path, name: str, content: str | bytes) -> Path:
    """A good workbook in which one part is another."""
    path = workbook(tmp_path / "good.xlsx", lambda _, sheet: [sheet.write(row, 0, f"x{row}") for row in range(3)])
    out = tmp_path / "list.xlsx"
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for info in old.infolist():
            new.writestr(info.filename, content if info.filename == name else old.read(info))
    return out


def cells(*places: str) -> str:
    made = "".join(f'<row r="{re.sub("[A-Z]", "", place)}"><c r="{place}"><v>1</v></c></row>' for place in places)
    return f"{HEAD}<sheetData>{made}</sheetData></worksheet>"


@pytest.mark.parametrize("place", ["XFD1048576", "A4000000000", "XFD100000", "ZZZZZZZZ2", "A99999999999999999999"])
def test_a_cell_far_off_does_not_eat_the_memory(tmp_path: Path, place: str) -> None:
    path = rewritten(tmp_path, "xl/worksheets/sheet1.xml", cells("A1", "A2", place))
    with pytest.raises(SourceError, match='a cell of sheet "People" stands too far off'):
        open_source(path)


def test_a_sheet_that_is_not_read_may_be_of_any_size(tmp_path: Path) -> None:
    def fill(book: Any, sheet: Any) -> None:
        sheet.write_row(0, 0, ["id"])
        sheet.write_row(1, 0, ["1"])
        far = book.add_worksheet("Far")
        far.write(0, 0, "x")
        far.write(1_048_575, 16_383, "x")
        far.hide()

    assert rows(workbook(tmp_path / "list.xlsx", fill)) == [("1",)]


def test_a_bomb_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(excel_archive, "LARGEST", 8 << 20)
    path = rewritten(tmp_path, "xl/sharedStrings.xml", HEAD + "<si><t>x</t></si>" * (1 << 20))
    assert path.stat().st_size < 1 << 20
    with pytest.raises(SourceError, match="unpacks to more than"):
        open_source(path)


def test_a_bomb_that_lies_of_its_size_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(excel_archive, "LARGEST", 8 << 20)
    content = HEAD + "<si><t>x</t></si>" * (1 << 20)
    path = rewritten(tmp_path, "xl/sharedStrings.xml", content)
    size = len(content).to_bytes(4, "little")
    told = path.read_bytes()
    assert told.count(size) == 2, "in front of it and in the directory"
    path.write_bytes(told.replace(size, (100).to_bytes(4, "little")))
    with pytest.raises(SourceError, match="unpacks to more than"):
        open_source(path)


def test_entities_are_not_expanded(tmp_path: Path) -> None:
    laughs = '<!ENTITY l0 "lol">' + "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    bomb = (
        f'<?xml version="1.0"?><!DOCTYPE sst [{laughs}<!ENTITY file SYSTEM "file:///etc/passwd">]>'
        '<sst xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><si><t>id</t></si>'
        "<si><t>{}</t></si><si><t>y</t></si></sst>"
    )
    for entity in ("&l9;", "&file;"):
        path = rewritten(tmp_path, "xl/sharedStrings.xml", bomb.replace("{}", entity))
        with pytest.raises(SourceError, match="this Excel workbook, or ZIP archive, is incomplete or damaged"):
            rows(path)
    plan = f'<?xml version="1.0"?><!DOCTYPE workbook [{laughs}]><workbook>&l9;</workbook>'
    with pytest.raises(SourceError, match="has no sheet with cells|incomplete or damaged"):
        open_source(rewritten(tmp_path, "xl/workbook.xml", plan))


@pytest.mark.parametrize(
    "content",
    ["", "<", HEAD, cells("A1", "A2")[:-30], HEAD + '<sheetData><row r="1"><c r="A1" t="s"><v>99</v></c></row>'],
)
def test_a_broken_part_is_told(tmp_path: Path, content: str) -> None:
    for part in ("xl/worksheets/sheet1.xml", "xl/workbook.xml", "xl/_rels/workbook.xml.rels"):
        path = rewritten(tmp_path, part, content)
        with pytest.raises(SourceError):
            rows(path)


def test_a_file_that_is_cut_or_changed_is_told(tmp_path: Path) -> None:
    whole = workbook(tmp_path / "good.xlsx", lambda _, sheet: [sheet.write(row, 0, f"x{row}") for row in range(300)])
    content = whole.read_bytes()
    path = tmp_path / "list.xlsx"
    for damaged in (content[:4], content[:3000], content[:-1], content[:2000] + bytes(200) + content[2200:]):
        path.write_bytes(damaged)
        with pytest.raises(SourceError, match="this Excel workbook, or ZIP archive, is incomplete or damaged"):
            rows(path)


def test_without_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = workbook(tmp_path / "list.xlsx", lambda _, sheet: sheet.write(0, 0, "id"))
    monkeypatch.setitem(sys.modules, "fastexcel", None)
    with pytest.raises(
        SourceError, match=r"an extra reads: pip install 'contact-pipeline\[excel\]'; or save the sheet"
    ):
        open_source(path)


def test_rows_to_mend_that_were_saved_as_a_workbook(tmp_path: Path) -> None:
    """The apostrophes of resubmit.csv are text to a spreadsheet, which keeps them."""

    def fill(_: Any, sheet: Any) -> None:
        sheet.write_row(0, 0, ["id", "phone", "_status", "_column", "_reason"])
        sheet.write_row(1, 0, ["1", "'+14165550100", "invalid", "phone", "why"])

    path = workbook(tmp_path / "resubmit.xlsx", fill)
    assert open_source(path).columns == ("id", "phone")
    assert rows(path) == [("1", "+14165550100")]


def test_a_workbook_tells_how_far_it_is_by_its_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(excel_file, "_STEP", 10)

    def fill(book: Any, sheet: Any) -> None:
        for row in range(101):
            sheet.write_row(row, 0, ["id"] if row == 0 else [row])

    source = open_source(workbook(tmp_path / "list.xlsx", fill))
    told: list[tuple[int, int]] = []
    given = 0

    def passed(size: int) -> None:
        told.append((given, size))

    for batch in batches([source], batch_rows=20, passed=passed):
        given += batch.frame.height
    assert given == 100
    assert [size for _, size in told] == [*(source.size * at // 100 for at in range(10, 101, 10)), source.size]
    assert all(size <= source.size * (rows + 20) // 100 for rows, size in told), "nothing is told of before it is given"
