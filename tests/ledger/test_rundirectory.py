"""Run directory and summary: private, used once, and read back as written."""

import json
import stat
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from pipeline.errors import MachineFailed, UsageError
from pipeline.ledger.files import Tally
from pipeline.ledger.rundirectory import RunDirectory, default_path
from pipeline.ledger.summary import Seconds, Sessions, Summary
from pipeline.records import Status

NOON = datetime(2026, 11, 22, 14, 0, 0, tzinfo=UTC)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_it_is_made_with_its_parents_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "runs" / "one"
    directory = RunDirectory.create(path)
    assert mode(path) == 0o700
    written = directory.write_private("run.toml", "a = 1\n")
    assert written.read_text() == "a = 1\n"
    assert mode(written) == 0o600
    assert directory.write_private("contract.wsdl", b"\x00").read_bytes() == b"\x00"
    assert [entry.name for entry in path.iterdir() if entry.name.startswith(".")] == []


def test_an_open_directory_is_closed_to_others(tmp_path: Path) -> None:
    path = tmp_path / "one"
    path.mkdir(mode=0o755)
    RunDirectory.create(path)
    assert mode(path) == 0o700


@pytest.mark.parametrize(("name", "words"), [("journal.jsonl", "holds a run already"), ("notes.txt", "is not empty")])
def test_a_directory_with_something_in_it_is_refused(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(UsageError, match=words):
        RunDirectory.create(tmp_path)
    assert RunDirectory(tmp_path).holds_run == (name == "journal.jsonl")


def test_what_cannot_be_a_directory_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for path in (file, file / "below", file / "below" / "there"):
        with pytest.raises(UsageError, match=f"{file}: is a file"):
            RunDirectory.create(path)


def test_a_name_leads_to_no_other_directory(tmp_path: Path) -> None:
    with pytest.raises(MachineFailed, match="not a file of the run directory"):
        RunDirectory.create(tmp_path / "one").write_private("../run.toml", "")


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("lists/contacts.csv", "20261122T140000Z-contacts"),
        ("-", "20261122T140000Z-input"),
        ("März 2026 (neu).csv.gz", "20261122T140000Z-März_2026_neu_.csv"),
        ("../../..", "20261122T140000Z-input"),
    ],
)
def test_its_name_is_time_and_source(tmp_path: Path, source: str, name: str) -> None:
    assert default_path(NOON, source, base=tmp_path) == tmp_path / name
    elsewhere = NOON.astimezone(timezone(timedelta(hours=-5)))
    assert default_path(elsewhere, source) == Path("runs") / name


def test_its_name_is_not_used_twice(tmp_path: Path) -> None:
    names = []
    for _ in range(3):
        path = default_path(NOON, "a.csv", base=tmp_path)
        RunDirectory.create(path)
        names.append(path.name.removeprefix("20261122T140000Z-"))
    assert names == ["a", "a-2", "a-3"]


def test_a_summary_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    counts = {status.value: 0 for status in Status} | {"accepted": 3}
    summary = Summary.of(
        Tally(3, counts, {"why": 1}, {"Success": 3}),
        complete=True,
        seconds=Seconds(2.5, 0.5, 1.5),
        rate=2.0,
        sessions=Sessions(2, 1, 2, 0),
        exit_code=0,
        run_dir=tmp_path,
    )
    summary.write(tmp_path)
    told = json.loads((tmp_path / "summary.json").read_text())
    assert {
        "rows", "complete", "counts", "reasons", "codes", "seconds", "rate", "sessions", "exit_code", "run_dir",
    } <= set(told)  # fmt: skip
    assert told["counts"] == counts
    assert told["seconds"] == {"total": 2.5, "survey": 0.5, "sending": 1.5}
    assert told["sessions"] == {"opened": 2, "renewed": 1, "closed": 2, "expired": 0}
    assert told["run_dir"] == str(tmp_path)
    assert mode(tmp_path / "summary.json") == 0o600
    assert Summary.read(tmp_path) == summary
    (tmp_path / "summary.json").write_text("{")
    with pytest.raises(MachineFailed, match=r"summary\.json: cannot be read"):
        Summary.read(tmp_path)
    assert Summary.read(tmp_path / "elsewhere") is None
