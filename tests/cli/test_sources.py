"""Several sources in one run: their names, their order, their forms, and what must not be among them."""

import gzip
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
import xlsxwriter
from cli.kit import LIST, Ended

from pipeline.simulator import RunningSimulator

Command = Callable[..., Ended]
Serve = Callable[..., RunningSimulator]
Configured = Callable[..., Path]

COLUMNS = ["customer_id", "first_name", "mobile", "email"]


def one(path: str | Path, key: int, delimiter: str = ",", encoding: str = "utf-8") -> Path:
    """A list of one person."""
    made = Path(path)
    made.parent.mkdir(parents=True, exist_ok=True)
    lines = [COLUMNS, [str(key), "Zoë", f"416555{key:04}", ""]]
    made.write_text("".join(delimiter.join(line) + "\n" for line in lines), encoding=encoding)
    return made


def checked(command: Command, config: Path, *arguments: str | Path) -> pl.DataFrame:
    """The ledger of a check in which every row could be sent."""
    ended = command("check", "--config", config, "--run-dir", "r", "--", *arguments)
    assert ended.code == 0, ended.err
    assert command("verify", "r").code == 0
    return pl.read_parquet("r/ledger.parquet")


def test_every_form_in_one_run(command: Command, configured: Configured) -> None:
    one("lists/plain.csv", 1)
    one("lists/semicolon.csv", 2, ";")
    one("lists/utf16.csv", 3, "\t", "utf-16")
    Path("lists/packed.csv.gz").write_bytes(gzip.compress(one("packed.csv", 4).read_bytes()))
    pl.DataFrame([[5], ["Zoë"], [4165550005.0], [None]], schema=COLUMNS).write_parquet("lists/table.parquet")
    with xlsxwriter.Workbook("lists/book.xlsx") as book:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, COLUMNS)
        sheet.write_row(1, 0, [6, "Zoë", 4165550006])
    ledger = checked(command, configured(), "lists/*")
    assert ledger.select("source", "row", "line", "key", "sms").rows() == [
        (f"lists/{name}", 1, line, key, f"+1416555{int(key):04}")
        for name, line, key in (
            ("book.xlsx", None, "6"),
            ("packed.csv.gz", 2, "4"),
            ("plain.csv", 2, "1"),
            ("semicolon.csv", 2, "2"),
            ("table.parquet", None, "5"),
            ("utf16.csv", 2, "3"),
        )
    ]


def test_names_and_order_are_those_given(command: Command, configured: Configured) -> None:
    for key, name in enumerate(("b/list.csv", "a/list.csv", "a/list10.csv", "a/list9.csv", "z.csv"), 1):
        one(name, key)
    ledger = checked(command, configured(), "./z.csv", "b/list.csv", "a/*.csv")
    assert ledger["source"].to_list() == ["./z.csv", "b/list.csv", "a/list.csv", "a/list10.csv", "a/list9.csv"]
    assert ledger["row"].to_list() == [1] * 5


@pytest.mark.parametrize(
    "name",
    [
        "with space.csv", "Kunden Zürich 名簿.csv", "list[1].csv", "what?.csv", "all*.csv", "-list.csv", "no suffix",
        "C:\\lists\\a.csv", "it's \"quoted\".csv", "x" * 240 + ".csv",
    ],
)  # fmt: skip
def test_odd_names(command: Command, configured: Configured, name: str) -> None:
    if sys.platform == "win32" and set(name) & set('?*:"'):
        return  # there are no such names there
    one(name, 1)
    one("list1.csv", 2)
    ledger = checked(command, configured(), name)
    assert ledger["source"].to_list() == [name], "a file that is there is no pattern"


def test_a_file_called_dash(command: Command, configured: Configured) -> None:
    one("people/-", 1)
    os.chdir("people")
    assert checked(command, Path("..") / configured(), "?")["source"].to_list() == ["./-"]


def test_whole_trees(command: Command, configured: Configured) -> None:
    one("year/may/1.csv", 1)
    one("year/june/2.csv", 2)
    assert checked(command, configured(), "year/**/*.csv")["source"].to_list() == ["year/june/2.csv", "year/may/1.csv"]


def book(path: str, **sheets: list[list[object]]) -> None:
    with xlsxwriter.Workbook(path) as made:
        for name, rows in sheets.items():
            sheet = made.add_worksheet(name)
            for number, row in enumerate((COLUMNS, *rows)):
                sheet.write_row(number, 0, row)


def test_a_sheet_of_a_workbook_all_the_way(command: Command, serve: Serve, configured: Configured) -> None:
    service = serve()
    book("list.xlsx", May=[[1, "Ann", 4165550101]], June=[[2, "Ben", 4165550102], [3, "Cleo", "none"]])
    arguments = ("import", "list.xlsx", "--config", configured(service), "--run-dir", "r")
    refused = command(*arguments)
    assert (refused.code, refused.complaints) == (
        2, ['list.xlsx: more than one sheet holds something: "May", "June"; choose one with --sheet']
    )  # fmt: skip
    assert command(*arguments, "--sheet", "June").code == 1
    assert [contact["sms"]["destination"] for contact in service.contacts()] == ["+14165550102"]
    assert 'sheet = "June"' in Path("r/run.toml").read_text(encoding="utf-8")
    assert command("verify", "r").code == 0
    assert command("resume", "r").code == 1
    mended = Path("r/resubmit.csv").read_text(encoding="utf-8").replace("none", "4165550103")
    Path("mended.csv").write_text(mended, encoding="utf-8")
    assert command("check", "mended.csv", "--config", "config.toml").code == 0
    assert command("undo", "r", "--yes").code == 0
    assert service.contacts() == []


# --- refused ----------------------------------------------------------------------------------------------------------


def told(command: Command, config: Path, *sources: str | Path) -> list[str]:
    ended = command("check", *sources, "--config", config)
    assert (ended.code, ended.out) == (2, "")
    assert not Path("runs").exists()
    return ended.complaints


@pytest.mark.parametrize("second", ["list.csv", "./list.csv", "*.csv", "link.csv", "hard.csv", "absolute"])
def test_the_same_file_twice(command: Command, configured: Configured, second: str) -> None:
    """Every row of it would be a duplicate."""
    if second == "link.csv":
        Path("link.csv").symlink_to("list.csv")
    elif second == "hard.csv":
        Path("hard.csv").hardlink_to("list.csv")
    elif second == "absolute":
        second = str(Path("list.csv").absolute())
    name = "list.csv" if second == "*.csv" else second
    same = "is named twice" if name == "list.csv" else "is the same file as list.csv"
    assert told(command, configured(), "list.csv", second) == [f"{name}: {same} among the sources; name it once"]


def test_two_globs_over_one_file(command: Command, configured: Configured) -> None:
    one("other.csv", 9)
    problems = told(command, configured(), "l*.csv", "*.csv")
    assert problems == ["list.csv: is named twice among the sources; name it once"]


def test_all_that_is_wrong_with_all_of_them(command: Command, configured: Configured) -> None:
    Path("folder").mkdir()
    Path("a.csv").write_text(LIST.replace("mobile", "mobil"), encoding="utf-8")
    Path("b.csv").write_text(LIST.replace("email", "mail"), encoding="utf-8")
    Path("c.csv").write_text("", encoding="utf-8")
    problems = told(command, configured(), "?.csv", "gone.csv", "none*.csv", "folder", "list.csv")
    for part in (
        "contacts.sms.destination: a.csv has no column 'mobile'; did you mean 'mobil'?",
        "contacts.email.destination: b.csv has no column 'email'; did you mean 'mail'?",
        "c.csv: is empty",
        "gone.csv: there is no such file",
        "none*.csv: no file matches",
        "folder: is a directory; name a file in it",
    ):
        assert sum(line.startswith(part) for line in problems) == 1, part
    assert len(problems) == 6


def test_a_glob_that_meets_a_directory(command: Command, configured: Configured) -> None:
    """It may be a whole table of Parquet files: to leave it out would be to lose rows without a word."""
    Path("parts.csv").mkdir()
    assert told(command, configured(), "*.csv") == ["parts.csv: is a directory; name a file in it"]


def test_a_name_that_is_no_text(command: Command, configured: Configured) -> None:
    name = "broken\nname.csv"
    one(name, 1)
    problems = told(command, configured(), "broken*.csv")
    assert problems == ["'broken\\nname.csv': has characters in its name that cannot be shown; rename the file"]


def test_a_name_that_is_too_long(command: Command, configured: Configured) -> None:
    [problem] = told(command, configured(), "x" * 5000)
    assert problem.endswith("x: cannot be read (File name too long); check the disk or copy the file")


@pytest.mark.skipif(sys.platform == "win32", reason="there are no named pipes in directories there")
def test_a_pipe_with_a_name(command: Command, configured: Configured) -> None:
    """To open it would wait for ever."""
    os.mkfifo("pipe.csv")
    [problem] = told(command, configured(), "pipe.csv")
    assert problem.startswith("pipe.csv: is a pipe or a device, which can be read once only; give it on standard input")


def test_the_rows_to_mend_beside_their_list(command: Command, serve: Serve, configured: Configured) -> None:
    """A glob may catch both: what was mended goes out, and nobody twice."""
    service = serve()
    config = configured(service)
    assert command("import", "list.csv", "--config", config, "--run-dir", "first").code == 1
    text = Path("first/resubmit.csv").read_text(encoding="utf-8")
    Path("mended.csv").write_text(text.replace("not a number", "4165550103"), encoding="utf-8")
    ended = command("import", "*.csv", "--config", config, "--run-dir", "second", "--json")
    counts = {status: count for status, count in json.loads(ended.out)["counts"].items() if count}
    assert counts == {"duplicate": 4, "invalid": 1, "accepted": 1}
    assert len(service.contacts()) == 4
