"""`person find` through the command: everybody is found wherever they stand, and nobody's destination is printed."""

import io
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cli.kit import Ended, run

from pipeline.simulator import RunningSimulator

Serve = Callable[..., RunningSimulator]
Configured = Callable[..., Path]
Find = Callable[..., Ended]

CAMPAIGN = "11111111-1111-4111-8111-111111111111"


@pytest.fixture
def find(monkeypatch: pytest.MonkeyPatch) -> Find:
    """`person find` with these lines on standard input."""

    def ask(asked: str, *more: str | Path) -> Ended:
        monkeypatch.setattr(sys, "stdin", io.StringIO(asked))
        ended = run("person", "find", *more)
        for secret in ("5550101", "555-0101", "555-0102", "ann@", "dora@", "DORA@"):
            assert secret not in ended.out + ended.err
        return ended

    return ask


def imported(serve: Serve, configured: Configured, *more: str) -> Path:
    config = configured(serve())
    run("import", "list.csv", "--config", config, "--run-dir", "runs/first", *more)
    assert Path("runs/first/ledger.parquet").exists()
    return config


def places(ended: Ended) -> list[tuple[Any, ...]]:
    """line, run or None, row, status of each."""
    return [
        (place["line"], place["run_dir"], place["row"], place["status"]) for place in json.loads(ended.out)["places"]
    ]


@pytest.mark.parametrize(
    ("asked", "rows"),
    [
        ("416.555.0101", {1: "accepted", 5: "duplicate"}),
        ("+1 (416) 555-0101", {1: "accepted", 5: "duplicate"}),
        ("DORA@Example.com", {4: "accepted"}),
        (" 2 ", {2: "accepted"}),
        ("3", {3: "invalid"}),
        ("nobody@example.com", {}),
        ("4165550199", {}),
    ],
)
@pytest.mark.parametrize("how", ["parquet", "csv", "masked", "no ledger"])
def test_a_person_is_found_by_destination_or_key(
    find: Find, serve: Serve, configured: Configured, asked: str, rows: dict[int, str], how: str
) -> None:
    mask = ("--set", "ledger.mask=true") if how == "masked" else ()
    imported(serve, configured, *mask)
    if how in ("csv", "no ledger"):
        Path("runs/first/ledger.parquet").unlink()
    if how == "no ledger":
        Path("runs/first/ledger.csv").unlink()
    ended = find(asked, "--json")
    told = {row: status for line, _, row, status in places(ended) if line == 1}
    assert told == rows
    assert ended.code == (0 if rows else 1), ended.err
    assert json.loads(ended.out)["not_found"] == ([] if rows else [1])


def test_lines_and_what_is_said_of_them(find: Find, serve: Serve, configured: Configured) -> None:
    imported(serve, configured)
    ended = find("\n3\n\nnobody@example.com\nann@example.com\n")
    lines = [line.split("\t") for line in ended.out.splitlines()]
    assert [cells[:5] for cells in lines] == [
        ["5", "runs/first", "list.csv", "1", "accepted"],
        ["2", "runs/first", "list.csv", "3", "invalid"],
        ["5", "runs/first", "list.csv", "5", "duplicate"],
    ]
    assert lines[1][6] == "ledger.parquet, ledger.csv, resubmit.csv"
    assert ended.complaints == ["2 of 3 found, in 3 places; runs searched: 1. Not found: line 4."]
    assert find("2\n").complaints == ["1 of 1 found, in 1 place; runs searched: 1."]
    assert ended.code == 1


def test_by_region_by_id_and_in_named_directories(find: Find, serve: Serve, configured: Configured) -> None:
    imported(serve, configured)
    [place] = json.loads(find("2", "--json").out)["places"]
    assert places(find(place["contact_id"], "--json")) == [(1, "runs/first", 2, "accepted")]
    assert find("416 555 0101", "--region", "GB").code == 1
    assert find("416 555 0101", "--region", "ca", "runs/first").code == 0
    shutil.move("runs/first", "elsewhere")
    assert find("2").code == 1
    assert find("2", ".", "elsewhere", "elsewhere").out.count("elsewhere") == 1


def test_copies_of_lists_are_looked_into(find: Find, serve: Serve, configured: Configured) -> None:
    Path("no.csv").write_text("647-555-0188\n")
    Path("list.csv").write_text(Path("list.csv").read_text() + "9,Eve,647 555 0177 / 647 555 0166,\n")
    imported(serve, configured, "--set", 'contacts.suppress=["no.csv"]')
    found = json.loads(find("+16475550188\n(647) 555-0177\n", "--json").out)["places"]
    assert [(place["line"], place["where"], place["row"]) for place in found] == [
        (2, ["resubmit.csv"], None),
        (1, ["suppress/01/no.csv"], None),
    ]


def test_the_campaign_is_looked_through(find: Find, serve: Serve, configured: Configured) -> None:
    config = imported(serve, configured)
    ended = find("416 555 0101\n2\n", "--config", config, "--json")
    assert ended.code == 0, ended.err
    assert sorted(places(ended), key=str) == sorted(
        [
            (1, "runs/first", 1, "accepted"),
            (1, "runs/first", 5, "duplicate"),
            (2, "runs/first", 2, "accepted"),
            (1, None, None, "sms pending; email pending"),
            (2, None, None, "sms pending"),
        ],
        key=str,
    )
    shutil.rmtree("runs/first")
    assert places(find("2\n", "--config", config, "--json")) == [(1, None, None, "sms pending")], "by the id of its key"
    other = ("--campaign-id", "22222222-2222-4222-8222-222222222222")
    assert find("2\n", "--config", config, *other).code == 6


def test_what_cannot_be_searched_is_told_and_is_no_answer(find: Find, serve: Serve, configured: Configured) -> None:
    imported(serve, configured, "--set", "ledger.mask=true")
    Path("list.csv").write_text("customer_id,first_name,mobile,email\n1,Ann,,ann@example.com\n")
    shutil.copytree("runs/first", "runs/damaged")
    Path("runs/damaged/journal.jsonl").write_text("nonsense\nnonsense\n")
    ended = find("416 555 0101\n")
    assert ended.code == 1
    assert "runs/damaged: was not searched: " in ended.err
    assert "runs/first: its rows were not all searched: its ledger is masked, and list.csv is not the file" in ended.err


def test_wrong_questions(find: Find, desk: Path) -> None:
    assert find("x").code == 2, "there is no directory"
    Path("runs").mkdir()
    assert find("x").code == 1
    assert find("\n \n").code == 2
    assert find("x", "--set", "http.ca=x").code == 2
    ended = find("x", "--region", "UK")
    assert (ended.code, "did you mean GB?" in ended.err) == (2, True)
    ended = find("", "416-555-0101")
    assert (ended.code, "[number]: there is no such directory. Persons are given on standard input" in ended.err) == (
        2,
        True,
    )


def test_what_looks_like_a_destination_and_is_none_is_told(find: Find, serve: Serve, configured: Configured) -> None:
    assert "looked for as a key" not in find("ann@example.com", configured().parent).err, "there was nothing to look at"
    imported(serve, configured)
    ended = find("ann@@example.com\n416 555 010\n+1 416 555 010\n77\nno@example.com\n416 555 0199\n")
    assert ended.code == 1
    assert [each.split(",")[0] for each in ended.complaints[1:]] == [
        "Line 1: is no mail address that could receive anything",
        "Line 2: is no valid telephone number in the countries of the runs",
        "Line 3: is no valid telephone number",
    ]
    [told] = json.loads(find("416 555 010", "--region", "CA", "--json").out)["notes"]
    assert "number in CA, so" in told
