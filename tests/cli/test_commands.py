"""The commands from end to end: what they print, write, and end with."""

import errno
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cli.kit import Ended
from filelock import FileLock
from simulator.halting import struck

from pipeline import __version__
from pipeline.cli import contacts, show
from pipeline.records import Batch
from pipeline.run import job
from pipeline.run.looking import SENT_ELSEWHERE
from pipeline.simulator import RunningSimulator

Command = Callable[..., Ended]
Serve = Callable[..., RunningSimulator]
Configured = Callable[..., Path]

#: Not one of these may be imported for --help.
HEAVY = {"polars", "pydantic", "zeep", "lxml", "httpx", "anyio", "rich", "structlog", "msgspec", "starlette"}


@pytest.mark.parametrize("arguments", [["--help"], ["import", "--help"]], ids=" ".join)
def test_help_is_light(arguments: list[str]) -> None:
    # typer takes pydantic, for the options of a command.
    heavy = HEAVY - {"pydantic"} if len(arguments) > 1 else HEAVY
    told, loaded = _loaded(*arguments)
    assert told.startswith("Usage: contact-pipeline ")
    assert not heavy & loaded


def test_a_command_takes_what_it_needs(configured: Configured, tmp_path: Path) -> None:
    list_ = tmp_path / "list.csv"
    list_.write_text("customer_id,mobile\n1,+14165550101\n")
    _, loaded = _loaded("check", str(list_), "--config", str(configured()), "--no-progress", "--json")
    assert {"polars", "pipeline.targets.onc", "pipeline.logs"} <= loaded
    # structlog, which comes with rich, waits for something to log.
    assert not {"structlog", "starlette", "fastexcel", "pipeline.simulator"} & loaded
    assert not {f"pipeline.targets.{system}" for system in ("genesys", "pagos", "intelliview")} & loaded


def _loaded(*arguments: str) -> tuple[str, set[str]]:
    """Run a command in a process of its own: what it printed, and the modules that it loaded."""
    code = """
import sys
from pipeline.__main__ import main
try:
    main()
finally:
    print(*sys.modules, file=sys.stderr)
"""
    ended = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    return ended.stdout, set(ended.stderr.splitlines()[-1].split())


def test_commands_stand_in_the_order_of_use(command: Command) -> None:
    ended = command("--help")
    listed = ended.out.partition("Commands:")[2].splitlines()
    assert [line.split()[0] for line in listed if line] == [
        "init",
        "import",
        "check",
        "resume",
        "status",
        "report",
        "verify",
        "undo",
        "runs",
        "person",
        "session",
        "campaign",
        "explain",
        "simulate",
    ]


def test_version(command: Command) -> None:
    assert command("--version") == Ended(0, f"contact-pipeline {__version__}\n", "")


def test_completion_is_offered() -> None:
    environment = os.environ | {"_CONTACT_PIPELINE_COMPLETE": "complete_bash", "COMP_WORDS": "x che", "COMP_CWORD": "1"}
    ended = subprocess.run(
        [sys.executable, "-m", "pipeline"], env=environment, capture_output=True, text=True, check=False
    )
    assert ended.stdout.split() == ["check"]


@pytest.mark.parametrize(
    "arguments", [("import",), ("nonsense",), ("import", "list.csv"), ("check", "x", "--canary", "3"), ("status",)]
)
def test_wrong_usage_ends_with_2(command: Command, arguments: tuple[str, ...]) -> None:
    ended = command(*arguments)
    assert ended.code == 2
    assert ended.out == ""
    assert "Error: " in ended.err


def test_check_shows_what_it_found(command: Command, configured: Configured) -> None:
    ended = command("check", "list.csv", "--config", configured(), "--delimiter", ",", "--run-dir", "r")
    assert ended.code == 1
    shown = ended.out.splitlines()
    assert shown[: shown.index("The first of them:") + 6] == [
        "Checked: some rows cannot be sent.",
        "Read list.csv: CSV, delimiter comma, encoding utf-8 (found out), 4 columns.",
        "  1  invalid",
        "  1  duplicate",
        "  3  pending",
        "  5  rows in all",
        "Send them with: contact-pipeline import list.csv --config config.toml --delimiter ,",
        "Reasons:",
        "  1  sms: column 'mobile': not a valid number: has no digits (first in line 4)",
        "  1  the same key as an earlier row (first in line 6)",
        "By channel: sms 2, email 2.",
        "Texts of sms: 2 of 1 segment; 2 in all; the longest has 6 characters.",
        "The first of them:",
        '  - sms to [number]: "Hi Ann"',
        "    email to [mail]: the campaign's own text",
        '  - sms to [number]: "Hi Ben"',
        "  - email to [mail]: the campaign's own text",
        shown[shown.index("The first of them:") + 5],
    ]
    assert shown[-1] == "Run: r"


def test_import_status_verify(command: Command, serve: Serve, configured: Configured) -> None:
    service = serve()
    ended = command("import", "list.csv", "--config", configured(service), "--run-dir", "runs/first")
    assert ended.code == 1
    assert ended.out.splitlines()[0] == "Finished; some rows need a look."
    assert "  3  accepted\n  1  invalid\n  1  duplicate\n  5  rows in all\n" in ended.out
    assert "Ledger: runs/first/ledger.parquet, runs/first/ledger.csv\n" in ended.out
    assert "Resubmit: runs/first/resubmit.csv (1 row to mend and import again)\n" in ended.out
    assert ended.out.splitlines()[-1] == "Run: runs/first"
    assert ended.complaints == []
    assert len(service.contacts()) == 3

    shown = command("status", "runs/first")
    assert shown.code == 0
    assert "Campaign 11111111-1111-4111-8111-111111111111; begun " in shown.out
    assert "  3  accepted\n" in shown.out
    assert shown.out.splitlines()[-1] == "Run: runs/first"
    as_json = json.loads(command("status", "runs/first", "--json").out)
    assert as_json["summary"]["counts"]["accepted"] == 3
    assert as_json["run_dir"] == "runs/first"

    proven = command("verify", "runs/first")
    assert (proven.code, proven.err) == (0, "")
    assert proven.out.startswith("proven: ")


def test_undo(command: Command, serve: Serve, configured: Configured) -> None:
    service = serve()
    command("import", "list.csv", "--config", configured(service), "--run-dir", "r")
    refused = command("undo", "r")
    assert (refused.code, refused.out) == (2, "")
    assert refused.complaints == [
        "This would delete 3 contacts from campaign 11111111-1111-4111-8111-111111111111, and there is no terminal to "
        "ask on: give --yes."
    ]
    assert len(service.contacts()) == 3

    ended = command("undo", "r", "--yes")
    assert ended.code == 0
    assert ended.out.splitlines()[0].startswith("Taken back: ")
    assert "  3  taken back\n  3  contacts that this run had added\n" in ended.out
    assert "Ledger: r/undo/ledger.parquet, r/undo/ledger.csv\n" in ended.out
    assert "invalid" not in ended.out
    assert ended.out.splitlines()[-1] == "Run: r"
    assert ended.complaints == []
    assert service.contacts() == []
    assert command("verify", "r").code == 0
    assert command("verify", "r", "--against-target").code == 2
    shown = command("status", "r")
    assert "This run was undone, in whole or in part:\nTaken back: " in shown.out
    assert json.loads(command("status", "r", "--json").out)["undo"]["counts"]["accepted"] == 3

    again = command("undo", "r", "--json")
    assert again.code == 0
    summary = json.loads(again.out)
    assert (summary["run_dir"], summary["exit_code"], summary["counts"]["accepted"]) == ("r", 0, 3)
    assert json.loads(Path("r/undo/summary.json").read_text(encoding="utf-8")) == summary
    assert command("resume", "r").code == 2


def test_verify_finds_a_changed_ledger(command: Command, serve: Serve, configured: Configured) -> None:
    command("import", "list.csv", "--config", configured(serve()), "--run-dir", "r", "--set", 'ledger.formats=["csv"]')
    ledger = Path("r/ledger.csv")
    ledger.write_text(ledger.read_text(encoding="utf-8").replace(",accepted,", ",failed,", 1), encoding="utf-8")
    ended = command("verify", "r")
    assert ended.code == 1
    assert len(ended.out.splitlines()) > 1
    assert ended.out.splitlines()[-1].startswith("Not proven")


@pytest.mark.parametrize("name", ["verify", "status", "undo"])
def test_no_run_ends_with_2(command: Command, desk: Path, name: str) -> None:
    ended = command(name, "nowhere")
    assert (ended.code, ended.out, ended.err) == (2, "", "nowhere: there is no run here\n")


def test_json_is_alone_on_standard_output(command: Command, serve: Serve, configured: Configured) -> None:
    ended = command("import", "list.csv", "--config", configured(serve()), "--json", "--tolerate", "1")
    assert ended.code == 0
    summary = json.loads(ended.out)
    assert summary["rows"] == 5
    assert summary["exit_code"] == 0
    assert Path(summary["run_dir"]).parent == Path("runs")
    assert json.loads(Path(summary["run_dir"], "summary.json").read_text(encoding="utf-8")) == summary


def test_check_needs_no_secret_and_no_connection(
    command: Command, configured: Configured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TEST_PASSWORD")
    ended = command("check", "list.csv", "--config", configured(), "--run-dir", "r")
    assert ended.code == 1
    assert ended.out.splitlines()[0] == "Checked: some rows cannot be sent."
    assert "  3  pending\n" in ended.out
    assert ended.out.splitlines()[-1] == "Run: r"
    assert command("check", "list.csv", "--config", configured(), "--limit", "2").code == 0


def test_options_reach_the_run(command: Command, serve: Serve, configured: Configured) -> None:
    service = serve()
    config = configured(service)
    options = ("--limit", "2", "--wave", "second", "--sessions", "1", "--canary", "0", "--stream", "--no-progress")
    Path("more.toml").write_text("[delivery]\nrate = 1000\nlate_effect = 0.1\n", encoding="utf-8")
    ended = command(
        "import", "list.csv", "--config", config, "--config", "more.toml", "--set", "contacts.phone_type=off",
        "--run-dir", "r", *options,
    )  # fmt: skip
    assert ended.code == 0
    assert service.state()["sessions"]["logins"] == 1
    kept = Path("r/run.toml").read_text(encoding="utf-8")
    for line in ('wave = "second"', "limit = 2", "sessions = 1", 'phone_type = "off"', "rate = 1000.0"):
        assert line in kept
    first = {contact["id"] for contact in service.contacts()}
    command("import", "list.csv", "--config", config, "--config", "more.toml", "--limit", "2")
    assert len(first | {contact["id"] for contact in service.contacts()}) == 4, "another wave has other ids"


def test_delimiter_and_encoding(command: Command, configured: Configured) -> None:
    rows = "customer_id\tfirst_name\tmobile\temail\n1\tJérôme, Zoë\t4165550101\t\n"
    Path("list.tsv").write_text(rows, encoding="windows-1252")
    ended = command("check", "list.tsv", "--config", configured(), "--delimiter", "tab", "--encoding", "windows-1252")
    assert ended.code == 0


def test_several_sources_by_glob(command: Command, configured: Configured) -> None:
    Path("more.csv").write_text("customer_id,first_name,mobile,email\n9,Eve,4165550109,\n", encoding="utf-8")
    ended = command("check", "*.csv", "--config", configured(), "--json")
    assert json.loads(ended.out)["rows"] == 6


def test_yes_does_not_ask(
    command: Command, serve: Serve, configured: Configured, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(question: str) -> None:
        pytest.fail(question)

    monkeypatch.setattr(contacts, "interactive", lambda *, piped: True)
    monkeypatch.setattr(contacts, "agreed", fail)
    assert command("import", "list.csv", "--config", configured(serve()), "--yes").code == 1


def test_session_check(command: Command, serve: Serve, configured: Configured) -> None:
    service = serve()
    ended = command("session", "check", "--config", configured(service))
    assert (ended.code, ended.err) == (0, "")
    assert len(ended.out.splitlines()) == 1
    assert service.state()["sessions"]["closed"] == 1


def test_max_bad_stops_before_the_first_row(command: Command, serve: Serve, configured: Configured) -> None:
    service = serve()
    ended = command("import", "list.csv", "--config", configured(service), "--max-bad", "0")
    assert ended.code == 3
    assert len(ended.complaints) == 1
    assert "--max-bad" in ended.complaints[0]
    assert service.state()["adds"]["received"] == 0
    assert ended.out.splitlines()[0] == "Stopped: too many bad rows, or the list is not as expected."


def test_sigterm_stops_cleanly(serve: Serve, configured: Configured, desk: Path) -> None:
    service = serve()
    rows = "".join(f"{row},Ann,41655501{row % 100:02},ann{row}@example.com\n" for row in range(300))
    Path("long.csv").write_text("customer_id,first_name,mobile,email\n" + rows, encoding="utf-8")
    arguments = ("import", "long.csv", "--config", str(configured(service)), "--run-dir", "r", "--json")
    with subprocess.Popen(
        [sys.executable, "-m", "pipeline", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        out, err = struck(service, process, 20, by=signal.SIGTERM)
    assert process.returncode == 143
    assert "Traceback" not in err
    summary = json.loads(out)
    assert summary["exit_code"] == 143
    assert summary["counts"]["accepted"] == len(service.contacts()) < 300
    assert summary["counts"]["accepted"] + summary["counts"]["pending"] == 300
    assert service.state()["sessions"]["open"] == 0


def test_progress_without_a_terminal_is_lines_like_those_of_the_log(
    command: Command, serve: Serve, configured: Configured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(show, "FIRST_LINE", 0.02)
    monkeypatch.setattr(show, "LOOK", 0.01)
    arguments = ("import", "list.csv", "--config", configured(serve(latency=0.1)), "--sessions", "1")
    plain = command(*arguments, "--log-format", "text").err.splitlines()
    assert not [line for line in plain if line.startswith("{")]
    assert any(re.match(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ canary: the first rows are sent", line) for line in plain)
    logged = [json.loads(line) for line in command(*arguments, "--wave", "2").err.splitlines()]
    told = [line for line in logged if line["event"] == "progress"]
    assert told
    assert {"phase", "done", "total", "rate", "left", "counts"} <= set(told[0])
    assert "progress" not in command(*arguments, "--wave", "3", "--no-progress").err


def test_a_machine_that_finds_its_rows_there_says_what_it_waits_for(
    command: Command, serve: Serve, configured: Configured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(show, "FIRST_LINE", 0.02)
    monkeypatch.setattr(show, "LONGEST_PAUSE", 0.02)
    monkeypatch.setattr(show, "LOOK", 0.01)
    arguments = ("import", "list.csv", "--config", configured(serve()), "--set", "delivery.late_effect=1")
    assert command(*arguments).code == 1
    ended = command(*arguments, "--set", "state.directory=fresh", "--log-format", "json")
    waits = [line["waiting"] for line in map(json.loads, ended.err.splitlines()) if line.get("waiting")]
    assert {wait["for"] for wait in waits} == {SENT_ELSEWHERE}
    assert all(0 <= wait["seconds"] <= 1 for wait in waits)
    assert "the target lists it" in ended.out


def test_a_reader_that_leaves_does_not_change_the_end(configured: Configured, desk: Path) -> None:
    script = f'"{sys.executable}" -m pipeline check list.csv --config {configured()} --tolerate 1; echo $? >&2'
    ended = subprocess.run(
        ["bash", "-c", f"( {script} ) | true"], capture_output=True, text=True, check=True
    )  # `true` reads nothing
    assert ended.stderr.splitlines()[-1] == "0"
    assert "BrokenPipe" not in ended.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is Linux's")
def test_where_nothing_can_be_written_it_says_so_and_ends_with_8() -> None:
    with Path("/dev/full").open("wb") as full:
        command = [sys.executable, "-m", "pipeline", "explain", "5"]
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert ended.returncode == 8
    assert ended.stderr.startswith("Standard output cannot be written: No space left on device. ")
    assert len(ended.stderr.splitlines()) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="a shell of POSIX closes the streams")
def test_closed_streams_change_nothing(configured: Configured, desk: Path) -> None:
    """Whatever is opened next would get their numbers."""
    script = f'"{sys.executable}" -m pipeline check list.csv --config {configured()} --run-dir r <&- >&- 2>&-'
    ended = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (1, "", "")
    assert json.loads(Path("r/summary.json").read_text())["exit_code"] == 1


@pytest.mark.parametrize("arguments", [("resume", "r"), ("runs", "prune", "--older-than", "0h", "--yes", ".")])
def test_a_run_directory_that_cannot_be_written_is_told(
    command: Command, configured: Configured, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    """Whoever tests may be root, whom no rights stop."""
    assert command("check", "list.csv", "--config", configured(), "--run-dir", "r").code == 1

    def acquire(lock: FileLock) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(FileLock, "acquire", acquire)
    ended = command(*arguments)
    assert ended.code == 8
    assert "r: cannot be written: Read-only file system; nothing was done. " in ended.complaints[-1]
    assert Path("r/ledger.csv").exists()


@pytest.mark.parametrize(
    ("options", "rows"), [([], {job.SCREENED_ROWS, job.WALK_ROWS}), (["--stream"], {job.WALK_ROWS})]
)
def test_batches_are_small_where_rows_are_sent_or_put_down(
    command: Command,
    serve: Serve,
    configured: Configured,
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    rows: set[int],
) -> None:
    """Several are on their way at once: those of a survey would take 50 MB more."""
    cut, batches = [], job.batches

    def noting(*given: Any, batch_rows: int, **more: Any) -> Iterator[Batch]:
        cut.append(batch_rows)
        return batches(*given, batch_rows=batch_rows, **more)

    monkeypatch.setattr(job, "batches", noting)
    assert command("import", "list.csv", "--config", configured(serve()), *options).code == 1
    assert set(cut) == rows
