"""`person erase` through the command: afterwards nobody is told of, every row is there, and the run is proven."""

import errno
import gzip
import io
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from cli.kit import LIST, Ended, run

from pipeline.simulator import Fault, RunningSimulator

Serve = Callable[..., RunningSimulator]
Configured = Callable[..., Path]
Ask = Callable[..., Ended]

CAMPAIGN = "11111111-1111-4111-8111-111111111111"
SECRETS = ("5550101", "555-0101", "ann@example.com", "Ann@")


@pytest.fixture
def person(monkeypatch: pytest.MonkeyPatch) -> Ask:
    """`person find|erase` with these lines on standard input."""

    def ask(command: str, asked: str, *more: str | Path) -> Ended:
        monkeypatch.setattr(sys, "stdin", io.StringIO(asked))
        if "--config" in more and not any("late_effect" in str(each) for each in more):
            more += ("--set", "delivery.late_effect=0.1")
        ended = run("person", command, *more)
        for secret in SECRETS:
            assert secret not in ended.out + ended.err
        return ended

    return ask


def imported(config: Path, *more: str | Path, source: str = "list.csv", into: str = "first") -> Path:
    late = ("--set", "delivery.late_effect=0.1")  # what was deleted is waited for so long
    run("import", source, "--config", config, *late, "--run-dir", f"runs/{into}", *more)
    assert run("verify", f"runs/{into}").code == 0
    return Path("runs") / into


def held(service: RunningSimulator, campaign: str = CAMPAIGN) -> list[str]:
    """The mobiles and addresses that the target holds."""
    contacts = service.contacts(campaign)
    return sorted(each[name]["destination"] for each in contacts for name in ("sms", "email") if each[name])


def tells(directory: Path, *words: str) -> list[str]:
    """Files of a directory in which one of these stands, Parquet by its cells."""
    found = []
    for path in sorted(each for each in directory.rglob("*") if each.is_file()):
        text = path.read_bytes().decode("utf-8", "replace")
        if path.suffix == ".parquet":
            text = pl.read_parquet(path).select(pl.exclude("warnings")).write_csv()
        if any(word in text for word in words):
            found.append(path.relative_to(directory).as_posix())
    return found


def receipt() -> dict[str, Any]:
    [path] = Path("runs").glob("erased-*.json")
    assert path.stat().st_mode & 0o777 == 0o600
    text = path.read_text()
    assert not any(secret in text for secret in SECRETS)
    told: dict[str, Any] = json.loads(text)
    return told


@pytest.mark.parametrize(
    ("asked", "formats"),
    [("416.555.0101", '["parquet","csv"]'), ("ANN@Example.com", '["csv"]'), ("1", '["parquet"]')],
)
def test_a_person_is_erased_from_run_campaign_and_state(
    person: Ask, serve: Serve, configured: Configured, asked: str, formats: str
) -> None:
    service = serve()
    config = configured(service)
    directory = imported(config, "--set", f"ledger.formats={formats}")
    ids = [c["id"] for c in service.contacts(CAMPAIGN) if c["sms"] and "0101" in c["sms"]["destination"]]
    before = json.loads((directory / "summary.json").read_text())["counts"]
    ended = person("erase", asked, "--config", config, "--yes")
    assert ended.code == 0, ended.err
    assert held(service) == ["+14165550102", "dora@example.com"]
    assert tells(directory, *SECRETS, *ids, "+14165550101") == []
    assert json.loads((directory / "summary.json").read_text())["counts"] == before
    told = receipt()
    assert told["complete"]
    assert (told["campaign"]["contacts"], told["campaign"]["strangers"]) == (1, 0)
    assert [(row["row"], row["line"], row["status"]) for row in told["runs"][0]["rows"]] == [
        (1, 2, "accepted"),
        (5, 6, "duplicate"),
    ]
    assert "list.csv still: line 2, line 6." in ended.out
    assert "contacts.suppress" in ended.out
    for command in (("verify",), ("verify", "--against-target"), ("status",), ("report", "--format", "github")):
        assert run(command[0], directory, *command[1:]).code == 0, command
    assert run("resume", directory).code == 1, "as it ended"
    assert run("import", "list.csv", "--config", config, "--run-dir", directory, "--continue").code == 1
    assert run("runs", "list").code == 0
    again = person("erase", asked, "--config", config, "--yes")
    assert again.code == 1, "nobody is found"
    assert "0 of 1 found" in again.err
    assert (
        "Line 1 was erased before: list.csv, rows 1, 5, of runs/first, as that list still tells. See runs/erased-"
        in (again.err)
    )
    assert receipt() == told, "and there is no other receipt"
    Path("list.csv").write_text(LIST + "8,Eve,,eve@example.com\n")
    again = person("find", asked, "--config", config, "--json")
    assert again.code == 1
    [before] = json.loads(again.out)["notes"]
    assert before.startswith("Persons were erased before: see runs/erased-"), "the list tells no more"
    Path("list.csv").write_text(LIST)
    # What is forgotten is sent again, unless a list holds it back.
    Path("no.csv").write_text("416 555 0101\n")
    imported(config, "--set", 'contacts.suppress=["no.csv"]', into="next")
    assert held(service) == ["+14165550102", "dora@example.com"]
    imported(config, into="then")
    assert "+14165550101" in held(service)


def test_rows_that_are_to_be_mended_leave_the_resubmit_file(person: Ask, serve: Serve, configured: Configured) -> None:
    Path("list.csv").write_text(LIST + '8,"Eve\nB",647 555 0177 / 647 555 0166,\n9,Fay,nothing,\n')
    directory = imported(configured(serve()))
    before = (directory / "resubmit.csv").read_bytes()
    ended = person("erase", "6475550166\n3\n", "--region", "CA", "--yes")
    assert ended.code == 0, ended.err
    left = (directory / "resubmit.csv").read_bytes()
    assert b"Cleo" not in left
    assert b"555 0177" not in left
    assert b"9,Fay" in left
    assert before.startswith(left[: left.index(b"9,Fay")])
    assert receipt()["runs"][0]["resubmit_rows"] == [3, 1]
    assert tells(directory, "Eve", "Cleo", "555 0177", "5550177") == []
    assert run("verify", directory).code == 0
    assert "was not looked into" in ended.out


def test_a_contact_of_another_run_with_the_same_id_goes_too(person: Ask, serve: Serve, configured: Configured) -> None:
    service = serve()
    config = configured(service)
    first = imported(config)
    Path("next.csv").write_text("customer_id,first_name,mobile,email\n2,Ben,416-555-0142,\n7,Gil,416-555-0107,\n")
    second = imported(config, "--mode", "upsert", source="next.csv", into="second")
    assert "+14165550142" in held(service)
    ended = person("erase", "416-555-0102", "--region", "CA", "--config", config, "--yes")
    assert ended.code == 0, ended.err
    assert held(service) == ["+14165550101", "+14165550107", "ann@example.com", "dora@example.com"]
    assert tells(first, "5550102") == tells(second, "5550142") == []
    for directory in (first, second):
        assert run("verify", directory, "--against-target").code == 0


def test_the_campaign_forgets_whom_we_have_not_added(
    person: Ask, serve: Serve, configured: Configured, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = serve()
    config = configured(service)
    imported(config)
    shutil.rmtree("runs/first")
    monkeypatch.setenv("CONTACT_PIPELINE_STATE", "lost")
    ended = person("erase", "416 555 0101", "--config", config, "--yes")
    assert ended.code == 0, ended.err
    assert "1 of the 1 contact in the campaign were added by no run" in ended.err.replace("contacts", "contact")
    assert held(service) == ["+14165550102", "dora@example.com"]


def test_waves_and_other_campaigns(person: Ask, serve: Serve, configured: Configured) -> None:
    service = serve()
    config = configured(service)
    first = imported(config, "--wave", "may")
    other = ("--campaign-id", "33333333-3333-4333-8333-333333333333")
    run("check", "list.csv", "--config", config, "--run-dir", "runs/other", *other)
    ended = person("erase", "1", "--config", config, "--yes")
    assert ended.code == 1, "the other campaign was not looked into"
    assert f"{other[1]}: not looked into" in ended.err
    assert held(service) == ["+14165550102", "dora@example.com"]
    assert tells(Path("runs"), "ann@", "555-0101", "555 0101", "5550101") == []
    assert run("verify", first, "--against-target").code == 0


def test_a_target_that_lists_nobody_is_refused(person: Ask, serve: Serve, configured: Configured) -> None:
    directory = imported(configured(serve()))
    before = (directory / "ledger.csv").read_bytes()
    Path("other.toml").write_text(
        """
[target]
system = "pagos"
endpoint = "http://127.0.0.1:9"
application_key = "a"
token = "t"
"""
    )
    ended = person("erase", "1", "--config", "other.toml", "--yes")
    assert (ended.code, "no calls that list and delete contacts" in ended.err) == (2, True), ended.err
    assert (directory / "ledger.csv").read_bytes() == before


def test_masked_ledgers_and_standard_input(
    person: Ask, serve: Serve, configured: Configured, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = serve()
    config = configured(service)
    text = LIST.replace("Dora", "Dor\u00e1")

    def piped(*arguments: str | Path) -> Ended:
        Path("piped").write_text(text)
        with Path("piped").open() as file:
            monkeypatch.setattr(sys, "stdin", file)
            late = ("--set", "delivery.late_effect=0.1")
            return run("import", "-", "--config", config, "--run-dir", "runs/first", *late, *arguments)

    mask = ("--set", "ledger.mask=true")
    piped(*mask)
    directory = Path("runs/first")
    kept = (directory / "stdin").read_bytes()
    ended = person("erase", "ann@example.com\n", "--yes")
    assert (ended.code, "give --config" in ended.err) == (2, True), "no undo could take them back any more"
    assert (directory / "stdin").read_bytes() == kept
    ended = person("erase", "ann@example.com\n", "--config", config, "--yes")
    assert ended.code == 0, ended.err
    assert tells(directory, "Ann", "555-0101", "555 0101", "5550101", "ann@") == []
    now = (directory / "stdin").read_bytes()
    assert len(now) == len(kept)
    assert now.splitlines()[1] == b"x,xxx,xxxxxxxxxxxxxx,xxxxxxxxxxxxxxx"
    assert now.splitlines()[2:5] == kept.splitlines()[2:5]
    assert run("verify", directory, "--against-target").code == 0
    assert person("erase", "ann@example.com\n", "--config", config, "--yes").code == 1
    assert piped("--continue", *mask).code == 1, "the same list as ever, and its verdict"
    assert run("undo", directory, "--yes").code == 0
    assert held(service) == []
    assert run("verify", directory).code == 0
    assert person("erase", "2\n", "--yes").code == 0
    assert tells(directory, "Ben", "555-0102", "555 0102", "5550102") == []
    assert run("verify", directory).code == 0


def test_an_undo_does_not_write_erased_rows_out_again(person: Ask, serve: Serve, configured: Configured) -> None:
    service = serve()
    config = configured(service)
    directory = imported(config)
    assert person("erase", "1\n3\n", "--yes").code == 0
    assert len(service.contacts(CAMPAIGN)) == 3, "the campaign was not asked for"
    assert run("undo", directory, "--yes").code == 0
    assert held(service) == []
    assert tells(directory, *SECRETS, "Cleo") == []
    assert run("verify", directory).code == 0
    assert run("resume", directory, "--again", "failed,rejected").code == 2


def test_what_is_refused_changes_nothing(person: Ask, serve: Serve, configured: Configured) -> None:
    service = serve()
    config = configured(service)
    directory = imported(config)
    run("import", "list.csv", "--config", config, "--run-dir", "runs/open", "--wave", "2", "--max-bad", "0")
    before = {path: path.read_bytes() for path in Path("runs").rglob("*") if path.is_file()}
    ended = person("erase", "1\n", "--config", config, "--yes")
    assert ended.code == 2
    assert "runs/open is open" in ended.err
    shutil.rmtree("runs/open")
    assert person("erase", "1\n", "--config", config).code == 2, "there is nobody to ask"
    assert person("erase", "\n", "--yes").code == 2
    from pipeline.ledger.rundirectory import RunDirectory

    with RunDirectory(directory).locked():
        assert person("erase", "1\n", "--config", config, "--yes").code == 7
    assert {path: path.read_bytes() for path in before if path.exists() and path.name != ".lock"} == {
        path: data for path, data in before.items() if path.exists() and path.name != ".lock"
    }
    assert len(service.contacts(CAMPAIGN)) == 3
    assert not list(Path("runs").glob("erased-*"))


@pytest.mark.parametrize("times", [1, 2], ids=["before anything", "after the campaign"])
def test_a_receipt_that_cannot_be_written_says_whether_anything_was_erased(
    person: Ask, serve: Serve, configured: Configured, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    service = serve()
    config = configured(service)
    directory = imported(config)
    before = {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}
    written, write = 0, Path.write_bytes

    def full(path: Path, content: bytes) -> int:
        nonlocal written
        if path.name.startswith(".erased-") and (written := written + 1) == times:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        ended = person("erase", "1\n", "--config", config, "--yes")
    assert ended.code == 8
    assert ("Nothing was erased. " in ended.err) is (len(held(service)) == 4) is (times == 1)
    assert "No space left on device. Free space on the disk, or mend it; then " in ended.err
    assert {path: path.read_bytes() for path in before} == before, "the runs are as they were"
    assert person("erase", "1\n", "--config", config, "--yes").code == 0, "the same command completes it"
    assert held(service) == ["+14165550102", "dora@example.com"]


def test_do_not_contact_lists_are_kept(person: Ask, serve: Serve, configured: Configured) -> None:
    Path("no.csv").write_text("416 555 0101\n")
    directory = imported(configured(serve()), "--set", 'contacts.suppress=["no.csv"]')
    ended = person("erase", "416 555 0101\n", "--yes")
    assert ended.code == 0, ended.err
    assert tells(directory, "555-0101", "555 0101", "5550101", "ann@") == ["suppress/01/no.csv"]
    assert "suppress/01/no.csv: is kept" in ended.err
    assert receipt()["kept"] == ["runs/first/suppress/01/no.csv"]
    assert run("verify", directory).code == 0
    assert person("erase", "416 555 0101\n", "--yes").code == 1, "nothing else is left"


def test_verify_tells_a_ledger_that_is_not_as_it_was_erased(person: Ask, serve: Serve, configured: Configured) -> None:
    directory = imported(configured(serve()))
    whole = (directory / "ledger.parquet").read_bytes(), (directory / "ledger.csv").read_bytes()
    assert person("erase", "1\n", "--yes").code == 0
    blank = (directory / "ledger.parquet").read_bytes(), (directory / "ledger.csv").read_bytes()
    for name, data in zip(("ledger.parquet", "ledger.csv"), whole, strict=True):
        (directory / name).write_bytes(data)
    ended = run("verify", directory)
    assert (ended.code, "row 1 of list.csv was to be erased" in ended.out + ended.err) == (1, True)
    for name, data in zip(("ledger.parquet", "ledger.csv"), blank, strict=True):
        (directory / name).write_bytes(data)
    assert run("verify", directory).code == 0
    (directory / "erased.json").unlink()
    ended = run("verify", directory)
    assert (ended.code, "says that it was erased" in ended.out + ended.err) == (1, True)


def test_a_target_that_keeps_them_leaves_the_runs_as_they_are(
    person: Ask, serve: Serve, configured: Configured
) -> None:
    config = configured("http://127.0.0.1:9/onc.svc")
    run("check", "list.csv", "--config", config, "--run-dir", "runs/first")
    before = Path("runs/first/ledger.csv").read_bytes()
    assert person("erase", "1\n", "--config", config, "--yes").code == 5
    assert Path("runs/first/ledger.csv").read_bytes() == before


#: Runs the command and dies, as by kill -9, when the n-th file is about to take its place.
_KILLED = """
import os, pathlib, signal, sys
from pipeline.cli import app
left, replace = int(sys.argv.pop(1)), pathlib.Path.replace
def counted(self, target):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return replace(self, target)
pathlib.Path.replace = counted
app(sys.argv[1:], prog_name="contact-pipeline")
"""


def killed(number: int, asked: str, *more: str | Path) -> None:
    """`person erase`, killed when the file of this number was to take its place."""
    ended = subprocess.run(
        [sys.executable, "-c", _KILLED, str(number), "person", "erase", "--yes", *more],
        input=asked,
        text=True,
        capture_output=True,
        env=os.environ,
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="signals are those of POSIX")
def test_killed_it_is_completed_by_the_next(
    person: Ask, serve: Serve, configured: Configured, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configured(serve())
    with Path("list.csv").open() as file:
        monkeypatch.setattr(sys, "stdin", file)
        run("import", "-", "--config", config, "--run-dir", "runs/first", "--set", "ledger.mask=true")
    shutil.copytree("runs", "whole")
    late = ("--set", "delivery.late_effect=0.1")
    for number in (6, 8, 10):  # standard input is overwritten, and no journal knows; no row is out; one ledger of two
        shutil.rmtree("runs")
        shutil.copytree("whole", "runs")
        killed(number, "416 555 0101\n3\n", "--config", config, *late)
        again = person("erase", "416 555 0101\n3\n", "--config", config, "--yes", *late)
        assert again.code in (0, 1), again.err
        assert tells(Path("runs/first"), "Ann", "555-0101", "555 0101", "5550101", "Cleo") == [], (
            f"killed before file {number} was in its place"
        )
        proof = run("verify", "runs/first")
        assert proof.code == 0, proof.out + proof.err
        receipts = [json.loads(path.read_text()) for path in Path("runs").glob("erased-*.json")]
        assert [each["complete"] for each in receipts] == [True, True]
        assert sum(bool(each["completed_by"]) for each in receipts) == 1
        rows = {row["row"] for each in receipts for one in each["runs"] for row in one["rows"]}
        assert rows == {1, 3, 5}


def mended_list(more: str = "") -> None:
    Path("list.csv").write_text(LIST.replace("2,Ben,416-555-0102,", "2,Ben,nonsense,") + more)


def test_a_resubmit_file_that_was_sorted_loses_whom_it_is_to_lose(
    person: Ask, serve: Serve, configured: Configured
) -> None:
    mended_list(",Nil,416 555 0133 or not,\n")
    directory = imported(configured(serve()))
    path = directory / "resubmit.csv"
    header, *rows = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(header + b"".join(reversed(rows)))
    ended = person("erase", "3\n416 555 0133\n", "--yes")
    assert ended.code == 0, ended.err
    assert "keys alone" not in ended.err
    assert path.read_bytes() == header + rows[0]
    assert receipt()["runs"][0]["resubmit_rows"] == [3, 1]
    assert pl.read_csv(directory / "ledger.csv", infer_schema=False)["key"].to_list()[:4] == ["1", "2", None, "4"]
    assert run("verify", directory).code == 0
    assert person("find", "3\n", "--json").code == 1


def test_persons_who_stand_in_the_resubmit_file_alone(person: Ask, serve: Serve, configured: Configured) -> None:
    mended_list()
    directory = imported(configured(serve()))
    path = directory / "resubmit.csv"
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    for delimiter in ",;":
        mended = [lines[0], lines[1].replace("nonsense", "416 555 0155"), lines[2], "9,Ida,,ida@example.com,,,"]
        path.write_text("\r\n".join(each.replace(",", delimiter) for each in mended))
        ended = person("erase", "ida@example.com\n", "--yes")
        assert ended.code == 0, ended.err
        assert path.read_bytes() == "".join(each.replace(",", delimiter) + "\r\n" for each in mended[:3]).encode()
        assert person("find", "ida@example.com\n").code == 1
    ended = person("erase", "416 555 0155\n", "--region", "CA", "--yes")
    assert ended.code == 0, ended.err
    assert tells(directory, "Ben", "555-0155", "555 0155", "5550155") == []
    assert b"Cleo" in path.read_bytes()


def test_a_resubmit_file_that_cannot_be_read_is_refused(person: Ask, serve: Serve, configured: Configured) -> None:
    directory = imported(configured(serve()))
    path = directory / "resubmit.csv"
    whole = path.read_bytes()
    path.write_bytes(whole.decode("utf-8-sig").encode("utf-16"))
    ended = person("erase", "3\n", "--yes")
    assert (ended.code, "resubmit.csv cannot be read" in ended.err) == (2, True), ended.err
    assert (directory / "ledger.csv").read_text().count("erased") == 0
    path.write_bytes(whole)
    assert person("erase", "3\n", "--yes").code == 0
    assert tells(directory, "Cleo") == []
    assert run("verify", directory).code == 0


@pytest.mark.skipif(sys.platform == "win32", reason="signals are those of POSIX")
@pytest.mark.parametrize("number", [3, 4, 5])  # only the mark is written; resubmit.csv is in its place; and one ledger
def test_one_that_was_killed_stands_in_no_other_ones_way(
    person: Ask, serve: Serve, configured: Configured, number: int
) -> None:
    mended_list()
    directory = imported(configured(serve()))
    killed(number, "3\n")
    assert b"Ben" in (directory / "resubmit.csv").read_bytes()
    assert (b"Cleo" in (directory / "resubmit.csv").read_bytes()) == (number == 3)
    ended = person("erase", "2\n", "--yes")
    assert ended.code == 0, ended.err
    assert tells(directory, "Ben", "Cleo") == []
    assert "was broken off; it is complete now." in ended.out
    assert person("erase", "3\n", "--yes").code == 1, "nobody is left"
    proof = run("verify", directory)
    assert proof.code == 0, proof.out + proof.err


def test_a_contact_that_the_list_does_not_show_yet_is_deleted(
    person: Ask, serve: Serve, configured: Configured
) -> None:
    service = serve(listing_lag=3600.0)
    config = configured(service)
    late = ("--set", "delivery.late_effect=0.1", "--canary", "0")
    run("import", "list.csv", "--config", config, *late, "--run-dir", "runs/first")
    assert len(held(service)) == 4
    ended = person("erase", "1\n", "--config", config, "--yes")
    assert ended.code == 0, ended.err
    assert held(service) == ["+14165550102", "dora@example.com"]
    assert receipt()["complete"]
    assert (receipt()["campaign"]["contacts"], receipt()["campaign"]["unlisted"]) == (0, 1)
    assert "0 contacts from campaign" in ended.out
    assert "and 1 that it did not list, or not yet." in ended.out


@pytest.mark.skipif(sys.platform == "win32", reason="signals are those of POSIX")
def test_a_receipt_of_whom_nobody_knows_stays_open_until_the_same_are_erased(
    person: Ask, serve: Serve, configured: Configured
) -> None:
    config = configured(serve())
    imported(config)
    killed(2, "1\n", "--config", config, "--set", "delivery.late_effect=0.1")  # gone, and that is not put down yet
    [broken] = Path("runs").glob("erased-*.json")
    other = person("erase", "2\n", "--config", config, "--yes")
    assert (
        f"{broken} was broken off, and whether its contacts are gone from campaign {CAMPAIGN} is not known" in other.out
    )
    assert not json.loads(broken.read_text())["complete"]
    same = person("erase", "1\n", "--config", config, "--yes")
    assert f"{broken} was broken off; this erasure is of all its rows and contacts, and of the same c" in same.out
    assert json.loads(broken.read_text())["superseded_by"] in same.out


@pytest.mark.skipif(sys.platform == "win32", reason="signals are those of POSIX")
def test_an_erasure_of_one_of_two_is_not_taken_for_that_of_both(
    person: Ask, serve: Serve, configured: Configured
) -> None:
    """The other one stands in the campaign alone, or in what people have mended alone: no row tells of them."""
    config = configured(serve())
    Path("other.csv").write_text("customer_id,first_name,mobile,email\n9,Ida,,ida@example.com\n")
    imported(config, source="other.csv", into="gone")
    shutil.rmtree("runs/gone")
    directory = imported(config)
    late = ("--set", "delivery.late_effect=0.1")
    killed(2, "1\nida@example.com\n", "--config", config, *late)
    [broken] = Path("runs").glob("erased-*.json")
    one = person("erase", "1\n", "--config", config, "--yes")
    assert f"{broken} was broken off, and whether its contacts are gone from campaign {CAMPAIGN} is not" in one.out
    assert json.loads(broken.read_text())["superseded_by"] is None
    broken.unlink()
    for path in Path("runs").glob("erased-*.json"):
        path.unlink()

    with (directory / "resubmit.csv").open("a") as file:
        file.write("9,Ida,,ida@example.com,,,\r\n")
    killed(2, "2\nida@example.com\n")
    [broken] = Path("runs").glob("erased-*.json")
    one = person("erase", "2\n", "--yes")
    assert f"{broken} was broken off, and some of what it was of is not known to be erased" in one.out
    assert not json.loads(broken.read_text())["complete"]
    assert tells(directory, "ida@example.com") == ["resubmit.csv"], "which is true"


def test_it_says_for_what_it_waits(person: Ask, serve: Serve, configured: Configured) -> None:
    service = serve(faults=(Fault("busy", last=1, operation="DeleteCampaignContact"),))
    config = configured(service)
    imported(config)
    ended = person("erase", "1\n", "--config", config, "--yes", "--set", "delivery.late_effect=300")
    assert ended.code == 0, ended.err
    assert held(service) == ["+14165550102", "dora@example.com"], "it was deleted once more"
    [told] = [json.loads(line) for line in ended.err.splitlines() if '"erase.waits"' in line]
    assert (told["contacts"], 200 < told["seconds"] <= 300) == (1, True)
    assert "the target lists them still" in told["reason"]


@pytest.mark.parametrize("form", ["gzip", "parquet"])
def test_a_copy_that_is_compressed_is_written_anew(
    person: Ask, serve: Serve, configured: Configured, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    service = serve()
    config = configured(service)
    quoted = LIST.replace("Ann", '"Ann\nB"')
    if form == "gzip":
        Path("piped").write_bytes(gzip.compress(quoted.encode()))
    else:
        pl.read_csv(quoted.encode(), infer_schema=False).with_columns(note=pl.concat_list("first_name")).write_parquet(
            "piped"
        )
    with Path("piped").open() as piped:
        monkeypatch.setattr("pipeline.cli.contacts.standard_input", piped.fileno)
        directory = imported(config, source="-")
    ended = person("erase", "1\n", "--config", config, "--yes")
    assert ended.code == 0, ended.err
    stdin = directory / "stdin"
    if form == "gzip":
        left = gzip.decompress(stdin.read_bytes()).decode()
        assert left.splitlines()[1:3] == ['x,"xxx', 'x",xxxxxxxxxxxxxx,xxxxxxxxxxxxxxx']
    else:
        rows = pl.read_parquet(stdin)
        assert rows["customer_id"].to_list() == [None, "2", "3", "4", None]
        left = rows.write_json()
        assert b"Ann" not in stdin.read_bytes()
    assert "Ann" not in left
    assert "Ben" in left
    assert run("verify", directory, "--against-target").code == 0
    assert run("undo", directory, "--yes").code == 0
    assert held(service) == []


def test_whom_a_copy_alone_tells_of_is_gone_from_the_campaign_too(
    person: Ask, configured: Configured, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A phone that was left out for want of consent leads to the contact that was made of the mail beside it."""
    service = serve()
    config = configured(service)
    consent = '[contacts.sms.when]\ncolumn = "first_name"\nin = ["yes"]\n'
    config.write_text(config.read_text(encoding="utf-8") + consent, encoding="utf-8")
    with Path("list.csv").open() as piped:
        monkeypatch.setattr("pipeline.cli.contacts.standard_input", piped.fileno)
        directory = imported(config, source="-")
    assert "ann@example.com" in held(service)
    assert person("erase", "416 555 0101", "--config", config, "--yes").code == 0
    assert "ann@example.com" not in held(service)
    assert tells(directory, *SECRETS) == []
    assert run("verify", directory).code == 0


@pytest.mark.parametrize("command", ["find", "erase"])
def test_questions_that_are_not_utf_8_are_refused(person: Ask, desk: Path, command: str) -> None:
    (desk / "runs").mkdir()
    asked = b"1\nM\xfcller\n".decode("utf-8", "surrogateescape")
    ended = person(command, asked, *(["--yes"] if command == "erase" else []))
    assert ended.code == 2
    assert "line 2: is not written in UTF-8" in ended.err
