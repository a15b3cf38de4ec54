"""The texts that a person reads, made from values: progress, plan, summary, numbers."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.cli.options import as_given, recorded
from pipeline.ledger.summary import Seconds, Sessions, Summary
from pipeline.records import Status
from pipeline.report.plan import plan, read
from pipeline.report.summary import summary
from pipeline.report.text import Whole, left, rate, rows, safe, span, tally, wrapped
from pipeline.stages.survey import Example, Survey


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (42, "42 s"), (59.7, "1 min 0 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")],
)
def test_spans(seconds: float, text: str) -> None:
    assert span(seconds) == text


def test_numbers() -> None:
    assert [rows(1), rows(12345)] == ["1 row", "12,345 rows"]
    assert [left(119), left(200), left(3600), left(7500)] == ["2 min", "3 min 20 s", "1 h", "2 h 5 min"]
    assert [rate(2.34), rate(1234.5)] == ["2.3 rows/s", "1,234 rows/s"]


def test_an_example_names_its_file_harmlessly() -> None:
    survey = Survey(rows=1, counts=Counter({Status.INVALID: 1}), reasons=Counter({"bad": 1}))
    survey.examples["bad"] = Example("a\x1b[2J.csv", 1, 2)
    assert plan(survey, "c").splitlines()[2] == "  1  bad (first in a [2J.csv, line 2)"


def test_foreign_text_does_nothing_to_a_terminal() -> None:
    assert safe("a\x1b[31m\nb\u202e c@example.com") == "a [31m b  [mail]"


def test_reasons_that_differ_in_the_row_are_one() -> None:
    texts = {"the same key as row 1": 2, "empty": 2, "the same key as row 2,001": 1}
    assert tally(texts, 1) == [(3, "the same key as row ..."), (2, "for 1 other reason")]


def test_plan_names_the_ten_commonest_reasons() -> None:
    survey = Survey(rows=100, counts=Counter({Status.PENDING: 1, Status.INVALID: 99}))
    for number in range(1, 13):
        survey.reasons[f"reason {number:02}"] = number
        survey.examples[f"reason {number:02}"] = Example("list.parquet", number, None)
    lines = plan(survey, "c").splitlines()
    assert lines[2] == "  12  reason 12 (first in list.parquet, row 12)"
    assert lines[11] == "   3  reason 03 (first in list.parquet, row 3)"
    assert lines[12] == "   3  for 2 other reasons"


def test_plan_names_the_commonest_warnings_and_what_texts_cost() -> None:
    survey = Survey(rows=9, counts=Counter({Status.PENDING: 9}), warnings=8, segments=Counter({3: 20, 1: 1500}))
    survey.remarks = Counter({f"sms left out: the same as row {number}": 1 for number in range(3)})
    survey.remarks |= {f"warning {number}": 2 for number in range(6)}
    survey.foreign = Counter({"\u2019": 7, "\x07": 9, "\u0105": 3, "\u0106": 1})
    assert plan(survey, "c", screen=(200, 24)).splitlines() == [
        "9 rows read, 9 can be sent to campaign c.",
        "Texts of sms: 1,500 of 1 segment, 20 of 3 segments; 1,560 in all; the longest has 0 characters.",
        "  20 of them as UCS-2, because of U+0007 (no name), U+2019 (right single quotation mark), "
        "U+0105 (latin small letter a with ogonek) and 1 more.",
        "8 rows with a warning; the ledger names them:",
        "  3  sms left out: the same as row ...",
        *(f"  2  warning {number}" for number in range(4)),
        "  4  for 2 other warnings",
    ]


@dataclass
class File:
    name: str
    format: str = "csv"
    columns: tuple[str, ...] = ("a", "b")
    delimiter: str | None = ";"
    encoding: str | None = "cp1252"
    sheet: str | None = None


def test_how_sources_are_read() -> None:
    files = [File("a\n\u202e.csv"), File("b.parquet", "parquet", ("a",), None, None), File("c", delimiter="\t")]
    assert read(files, {"encoding"}) == [
        "Read a  .csv: CSV, delimiter semicolon (found out), encoding cp1252, 2 columns.",
        "Read b.parquet: Parquet, 1 column.",
        "Read c: CSV, delimiter tab (found out), encoding cp1252, 2 columns.",
    ]
    assert read([File("a")] * 9, {"delimiter"})[4:] == [
        "Read a: CSV, delimiter semicolon, encoding cp1252 (found out), 2 columns.",
        "And 4 more.",
    ]


ENDED = Summary(
    rows=10,
    complete=True,
    counts={status.value: 0 for status in Status} | {"accepted": 10},
    reasons={},
    codes={"0": 10},
    learnt=[],
    seconds=Seconds(total=2.0, survey=0.1, sending=1.0),
    rate=10.0,
    sessions=Sessions(opened=1, closed=1),
    exit_code=0,
    run_dir="runs/r",
    error=None,
)


def test_summary_of_a_good_run() -> None:
    assert summary(ENDED) == (
        "Finished.\n  10  accepted\n  10  rows in all\n"
        "Took 2.0 s; sending 1.0 s at 10 rows/s; sessions opened 1, renewed 0, closed 1.\nRun: runs/r"
    )


def test_summary_tells_how_to_go_on() -> None:
    counts = ENDED.counts | {"accepted": 5, "pending": 4, "in_doubt": 1}
    told = {"counts": counts, "exit_code": 5, "codes": {"17": 1}, "learnt": ("target.codes.session = [17]",)}
    text = summary(Summary(**_fields(ENDED) | told))
    assert "Rows in doubt" in text
    assert "Go on with: contact-pipeline resume runs/r\n" in text
    assert "Codes of the target: 17 (1 row)." in text
    assert "configuration:\n  target.codes.session = [17]\n" in text
    checked = dict.fromkeys(ENDED.counts, 0) | {"pending": 10}
    assert "again" not in summary(Summary(**{**_fields(ENDED), "counts": checked}), checked=True)


def test_summary_names_files_that_are_there(tmp_path: Path) -> None:
    for name in ("ledger.csv", "resubmit.csv"):
        (tmp_path / name).touch()
    text = summary(Summary(**{**_fields(ENDED), "run_dir": str(tmp_path)}))
    assert f"Ledger: {tmp_path / 'ledger.csv'}\n" in text
    assert "Resubmit" not in text, "no row needs to be mended"


def _fields(ended: Summary) -> dict[str, object]:
    return {name: getattr(ended, name) for name in ended.__struct_fields__}


def test_commands_are_recorded_without_the_values_of_settings() -> None:
    given = ("import", "a.csv", "--set", "target.password=x=y", "--set=delivery.rate=5", "--limit", "3")
    assert recorded(given) == (
        "import",
        "a.csv",
        "--set",
        "target.password=...",
        "--set=delivery.rate=...",
        "--limit",
        "3",
    )


def test_a_problem_is_placed_where_it_was_caused() -> None:
    assert as_given("--set target.campaign_id: no", None) == "--campaign-id: no"
    assert as_given("--set target.campaign_id: no", ["target.campaign_id=1"]) == "--set target.campaign_id: no"
    assert as_given("config.toml:3: target.campaign_id: no", None) == "config.toml:3: target.campaign_id: no"


@given(st.text("ab '", max_size=200), st.integers(20, 120))
def test_lines_are_broken_between_words(text: str, width: int) -> None:
    lines = wrapped(text, width)
    assert " ".join(lines).split() == text.split()
    assert all(len(line) <= width or len(line.split()) == 1 for line in lines if line.strip())
    assert wrapped(Whole(text), width) == [text], "what is pasted is one line"
