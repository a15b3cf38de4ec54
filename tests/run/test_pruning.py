"""`runs list` and `runs prune`: what is shown and deleted, and that nothing is sent twice for it."""

import errno
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from cli.kit import Ended
from cli.kit import run as call

from pipeline.ledger.rundirectory import RunDirectory
from pipeline.run import pruning
from pipeline.simulator import OncSettings, running

from .test_state_of_campaign import (
    arguments,
    everybody,
    imported,
    killed,
    people,
    posix,
    prepared,
    received,
)

DAY = 86_400


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TEST_PASSWORD", "password")
    monkeypatch.delenv("CONTACT_PIPELINE_STATE")  # it lies beside the runs
    return tmp_path


def aged(run_dir: str, days: int = 100) -> None:
    """Let a run have been written so long ago."""
    for path in Path(run_dir).rglob("*"):
        if path.is_file():
            when = path.stat().st_mtime - days * DAY
            os.utime(path, (when, when))


def listed() -> dict[str, dict[str, object]]:
    ended = call("runs", "list", "--json")
    assert (ended.code, ended.err) == (0, "")
    return {Path(run["run_dir"]).name: run for run in json.loads(ended.out)}


def stages() -> dict[str, object]:
    return {name: run["stage"] for name, run in listed().items()}


def stopped(run_dir: str, source: str) -> None:
    """A run that can be gone on with."""
    with Path(source).open("a", encoding="utf-8") as file:
        file.write("bad,Ann,,\n")
    code, *_ = imported(run_dir, "--wave", run_dir, "--max-bad", "0", source=source)
    assert code == 3


def prune(*more: str) -> Ended:
    return call("runs", "prune", "--older-than", "90d", "--yes", *more)


@pytest.mark.parametrize("own_ids", [False, True], ids=["keeps_ids", "own_ids"])
def test_a_pruned_run_is_not_sent_again(desk, own_ids):
    with running(OncSettings(own_ids=own_ids)) as server:
        prepared(server, 40)
        assert imported("runs/first")[:2] == (0, {"accepted": 40})
        assert imported("runs/young")[:2] == (0, {"duplicate": 40})
        aged("runs/first")
        ended = prune()
        assert ended.code == 0, ended.err
        assert "To delete: runs/first (finished, last written " in ended.out
        assert "Deleted 1 run (" in ended.out
        assert "kept 0 runs of that age and 1 run younger." in ended.out
        assert "sends nothing twice" in ended.out
        assert (Path("runs/first").exists(), Path("runs/young").exists()) == (False, True)
        before = received(server)
        assert imported("runs/again")[:2] == (0, {"duplicate": 40})
        assert received(server) == before
        assert people(server) == everybody(40)


def test_runs_are_listed_whatever_they_are(desk):
    with running() as server:
        prepared(server, 20)
        assert call("runs", "list").code == 2
        imported("runs/a-finished")
        stopped("runs/b-open", "list.csv")
        call("check", *arguments("runs/c-check")[1:])
        imported("runs/d-undone", "--wave", "d")
        assert call("undo", "runs/d-undone", "--yes").code == 0
        shutil.copytree("runs/a-finished", "runs/e-damaged")
        Path("runs/e-damaged/journal.jsonl").write_bytes(b"nonsense\n" * 3)
        shutil.copytree("runs/c-check", "runs/f-killed")
        journal = Path("runs/f-killed/journal.jsonl")
        journal.write_bytes(journal.read_bytes()[:50])
        Path("runs/notes").mkdir()
        assert stages() == {
            "a-finished": "finished",
            "b-open": "open",
            "c-check": "finished",
            "d-undone": "undone",
            "e-damaged": "damaged",
            "f-killed": "not begun",
        }
        found = listed()["a-finished"]
        assert found["size"] == sum(
            path.stat().st_size for path in Path("runs/a-finished").rglob("*") if path.is_file()
        )
        assert (found["rows"], found["exit_code"], found["counts"]["accepted"]) == (20, 0, 20)
        assert listed()["c-check"]["check"] is True
        lines = [line.split("\t") for line in call("runs", "list").out.splitlines()]
        assert [len(cells) for cells in lines] == [9] * 6
        [cells] = [cells for cells in lines if cells[0] == "runs/a-finished"]
        assert cells[2:6] == ["finished", "0", "20", "accepted 20"]
        assert cells[8] == "list.csv"
        for name in stages():
            aged(f"runs/{name}")
        ended = prune("--json")
        told = json.loads(ended.out)
        assert [Path(run["run_dir"]).name for run in told["deleted"]] == [
            "f-killed",
            "a-finished",
            "c-check",
            "d-undone",
        ]
        kept = {Path(run["run_dir"]).name: run["reason"] for run in told["kept"]}
        assert set(kept) == {"b-open", "e-damaged"}
        assert kept["b-open"] == pruning.IS_OPEN
        assert Path("runs/notes").exists()


@posix
@pytest.mark.parametrize("own_ids", [False, True], ids=["keeps_ids", "own_ids"])
def test_an_open_run_is_kept_and_its_journal_is_taken_over_when_it_is_not(desk, own_ids):
    with running(OncSettings(own_ids=own_ids, latency=0.01)) as server:
        prepared(server, 200)
        killed(server, "runs/first", 60)
        aged("runs/first")
        ended = prune()
        assert (ended.code, Path("runs/first").exists()) == (0, True)
        assert pruning.IS_OPEN in ended.out
        pruned = prune("--open")
        assert (pruned.code, Path("runs/first").exists()) == (0, False), pruned.err
        assert "stay in doubt" in pruned.out
        _, counts, ended = imported("runs/second")
        assert counts["duplicate"] > 0, "what the journal called accepted is known"
        assert max(people(server).values()) == 1, "nothing is there twice"
        if not own_ids:
            assert people(server) == everybody(200)
            assert set(counts) == {"accepted", "duplicate"}
        else:
            assert counts["in_doubt"] + counts["duplicate"] + counts.get("accepted", 0) == 200
            assert f"Whether {counts['in_doubt']} contacts of them arrived is not known" in pruned.out


def test_a_run_that_no_state_knows_is_kept(desk):
    with running(OncSettings(own_ids=True)) as server:
        prepared(server, 10)
        imported("runs/first")
        aged("runs/first")
        shutil.rmtree("runs/.state")
        ended = prune("--open")
        assert (ended.code, Path("runs/first").exists()) == (0, True)
        assert pruning.UNKNOWN in ended.out
        imported("runs/second", "--wave", "w")  # a state that knows nothing of the first
        assert pruning.UNKNOWN in prune("--open").out


def test_a_finished_run_whose_account_is_lacking_is_kept(desk):
    """It was killed between the last line of its journal and its account in the state."""
    with running(OncSettings(own_ids=True)) as server:
        prepared(server, 30)
        imported("runs/first")

        [path] = Path("runs/.state").glob("*/state.sqlite")
        ids = [bytes([at]) * 16 for at in range(2)]
        with sqlite3.connect(path) as database:
            database.execute(
                "INSERT INTO slices VALUES (1, 0, ?, ?, ?)",
                (b"".join(at.to_bytes(8, sys.byteorder) for at in (0, 1)), b"".join(ids), b"".join(ids)),
            )
        database.close()
        aged("runs/first")
        assert pruning.AWAITED in prune().out
        assert "Deleted 1 run" in prune("--open").out
        with sqlite3.connect(path) as database:
            known = {row[0] for row in database.execute("SELECT id FROM contacts")}
            assert (set(ids) <= known, database.execute("SELECT COUNT(*) FROM slices").fetchone()) == (True, (0,))
        database.close()


def test_without_a_terminal_it_wants_yes(desk):
    with running() as server:
        prepared(server, 3)
        imported("runs/first")
        aged("runs/first")
        ended = call("runs", "prune", "--older-than", "90d")
        assert ended.code == 2
        assert ended.complaints == ["There is no terminal to ask on, and nothing was deleted: give --yes."]
        assert Path("runs/first").exists()
        for wrong in ("90", "d", "ninety days", "-1d"):
            assert call("runs", "prune", f"--older-than={wrong}", "--yes").code == 2
        assert call("runs", "prune", "--yes").code == 2
        aged("runs/first", -100)
        assert "Deleted 0 runs" in call("runs", "prune", "--older-than", "90d").out, "there is nothing to ask"


def test_a_run_that_another_reads_its_list_from_is_kept(desk):
    with running() as server:
        prepared(server, 20)
        imported("runs/first")
        shutil.copy("list.csv", "runs/first/more.csv")
        stopped("runs/second", "runs/first/more.csv")
        aged("runs/first")
        assert "the open run second reads its list here" in prune().out
        aged("runs/second")
        assert "Deleted 2 runs" in prune("--open").out


def test_a_run_at_work_is_kept(desk):
    with running() as server:
        prepared(server, 5)
        imported("runs/first")
        aged("runs/first")
        hold = "import sys; from pathlib import Path; from pipeline.ledger.rundirectory import RunDirectory\n"
        hold += "with RunDirectory(Path('runs/first')).locked(): print('held', flush=True); sys.stdin.read()"
        process = subprocess.Popen(
            [sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            assert "another process is at work on it" in prune().out
            assert Path("runs/first/ledger.parquet").exists()
        finally:
            process.communicate(timeout=30)
        assert "Deleted 1 run" in prune().out


@pytest.mark.parametrize("left", [("journal.jsonl", "run.toml", ".lock"), ("run.toml", ".lock"), (".lock",)])
def test_a_deletion_that_was_killed_is_completed_by_the_next(desk, left):
    with running() as server:
        prepared(server, 5)
        imported("runs/first")
        for path in Path("runs/first").iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name not in left:
                path.unlink()
        Path("runs/first/.lock").touch()
        aged("runs/first")
        old = Path("runs/first").stat().st_mtime - 100 * DAY
        os.utime("runs/first", (old, old))
        assert "Deleted 1 run" in prune().out
        assert not Path("runs/first").exists()
        assert imported("runs/again")[:2] == (0, {"duplicate": 5})


def test_the_last_files_go_last(desk, monkeypatch):
    """Whatever a kill leaves is still told for a run, or for one that was never begun."""
    with running() as server:
        prepared(server, 5)
        imported("runs/first")
        directory = RunDirectory(Path("runs/first"))
        seen = []
        unlink = Path.unlink

        def watched(path: Path, **more: bool) -> None:
            unlink(path, **more)
            seen.append(directory.holds_run or directory.abandoned)

        monkeypatch.setattr(Path, "unlink", watched)
        directory.delete()
        assert len(seen) > 5
        assert all(seen)


@pytest.mark.parametrize("asked", [True, False], ids=["told by its rights", "told by its removal"])
def test_what_cannot_be_deleted_is_told_and_keeps_no_other(desk, monkeypatch, asked):
    """Whoever tests may be root, whom no rights stop: so the system's answers are put in their place."""
    with running() as server:
        prepared(server, 5)
        for number in range(2):
            imported(f"{'locked' if number else 'runs'}/run{number}")
        shutil.move("runs/run0", "locked/run0")
        aged("locked")
        kept, access, rmdir = Path("locked/run0"), os.access, Path.rmdir
        denied = PermissionError(errno.EACCES, "Permission denied", str(kept))

        def refused(path: Path) -> None:
            if path == kept:
                raise denied
            rmdir(path)

        if asked:
            monkeypatch.setattr(os, "access", lambda path, mode: path != kept and access(path, mode))
        else:
            monkeypatch.setattr(Path, "rmdir", refused)
        ended = call("runs", "prune", "--older-than", "90d", "--yes", "--json", "locked")
        assert ended.code == 8
        told = json.loads(ended.out)
        assert [run["run_dir"] for run in told["deleted"]] == ["locked/run1"]
        assert not Path("locked/run1").exists()
        [failed] = told["failed"]
        assert failed["run_dir"] == "locked/run0"
        assert ended.complaints[-1] == f"Not deleted: locked/run0: {failed['reason']}."
        if asked:
            assert failed["reason"] == (
                "locked/run0: Permission denied; do it as the user who owns that, or mend the rights to it, and prune "
                "again"
            )
            assert Path("locked/run0/ledger.parquet").exists(), "nothing is half deleted"
        else:
            assert failed["reason"].startswith("is empty now, and cannot be removed: Permission denied")
            assert not any(kept.iterdir())
