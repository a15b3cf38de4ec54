"""A list through a pipe: copied into the run directory, and a source like any other from then on."""

import gzip
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl
import pytest
import xlsxwriter
from cli.kit import LIST, Ended

from pipeline.simulator import Fault, RunningSimulator

Command = Callable[..., Ended]
Serve = Callable[..., RunningSimulator]
Configured = Callable[..., Path]


@pytest.fixture
def piped(command: Command, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ended]:
    """Run the command with this on standard input; tells how much of it was left there."""

    def run(content: bytes, *arguments: str | Path, left: int = 0) -> Ended:
        with pipe(content, left) as stdin:
            monkeypatch.setattr(sys, "stdin", stdin)
            return command(*arguments)

    return run


@contextmanager
def pipe(content: bytes, left: int = 0) -> Iterator[io.TextIOWrapper]:
    """The end of a pipe that is read from. At the end `left` bytes must still be in it."""
    ours, theirs = os.pipe()

    def write() -> None:
        with os.fdopen(theirs, "wb") as end:
            end.write(content)

    writer = threading.Thread(target=write)
    writer.start()
    with os.fdopen(ours, encoding="utf-8") as stdin:
        yield stdin
        assert len(os.read(ours, len(content) + 1)) == left
        writer.join()


def ledger(run_dir: str | Path) -> pl.DataFrame:
    return pl.read_parquet(Path(run_dir) / "ledger.parquet")


def test_init_from_a_pipe(
    piped: Command, command: Command, desk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private = tmp_path / "temporary"
    private.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(private))
    content = Path("list.csv").read_text(encoding="utf-8").replace(",", "!").encode("utf-16")
    Path("same.csv").write_bytes(content)
    told = ("--delimiter", "!", "--encoding", "utf-16")
    ended = piped(content, "init", "-", *told)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == command("init", "same.csv", *told).out.replace('"same.csv"', '"standard input"').replace(
        "same.csv", "standard input"
    )
    empty = piped(b"", "init", "-")
    assert (empty.code, empty.out) == (2, "")
    assert empty.err.startswith("standard input: ")
    assert not list(private.iterdir())
    monkeypatch.setattr(sys, "stdin", None)
    closed = command("init", "-")
    assert (closed.code, closed.complaints) == (
        2,
        ["-: standard input is closed; pipe the list into this command, or name a file"],
    )


def test_import_from_a_pipe(piped: Command, command: Command, serve: Serve, configured: Configured) -> None:
    service = serve()
    ended = piped(LIST.encode(), "import", "-", "--config", configured(service))
    assert ended.code == 1
    [run_dir] = Path("runs").glob("*-stdin")
    assert ended.out.splitlines()[-1] == f"Run: {run_dir}"
    assert len(service.contacts()) == 3
    kept = run_dir / "stdin"
    assert kept.read_bytes() == LIST.encode()
    if os.name != "nt":
        assert kept.stat().st_mode & 0o777 == 0o600
    assert ledger(run_dir)["source"].unique().to_list() == ["-"]
    assert ledger(run_dir)["line"].to_list() == [2, 3, 4, 5, 6]

    # The copy goes with its run wherever that is moved to, and serves whatever reads the source again.
    moved = run_dir.rename("moved")
    assert command("verify", moved).code == 0
    assert command("verify", moved, "--against-target").code == 0
    assert command("undo", moved, "--yes").code == 0
    assert service.contacts() == []
    (moved / "stdin").write_text(LIST.replace("Ann", "Eve"), encoding="utf-8")
    changed = command("verify", moved)
    assert (changed.code, "-: is not the file that the run has read" in changed.out) == (1, True)


def workbook(rows: list[list[str]]) -> bytes:
    made = io.BytesIO()
    with xlsxwriter.Workbook(made) as book:
        sheet = book.add_worksheet("People")
        for number, row in enumerate(rows):
            sheet.write_row(number, 0, row)
    return made.getvalue()


def parquet(rows: list[list[str]]) -> bytes:
    made = io.BytesIO()
    pl.DataFrame(rows[1:], schema=rows[0], orient="row").write_parquet(made)
    return made.getvalue()


ROWS = [line.split(",") for line in LIST.splitlines()]


@pytest.mark.parametrize(
    ("content", "form"),
    [
        (gzip.compress(LIST.encode()), "csv"),
        (LIST.encode("utf-16"), "csv"),
        (parquet(ROWS), "parquet"),
        (workbook(ROWS), "xlsx"),
    ],
    ids=["gzip", "UTF-16", "Parquet", "workbook"],
)
def test_content_decides_what_comes_through(
    piped: Command, command: Command, configured: Configured, content: bytes, form: str
) -> None:
    ended = piped(content, "check", "-", "--config", configured(), "--run-dir", "r", "--json")
    counts = {status: count for status, count in json.loads(ended.out)["counts"].items() if count}
    assert counts == {"pending": 3, "invalid": 1, "duplicate": 1}
    assert f'format = "{form}"' in Path("r/run.toml").read_text(encoding="utf-8")
    assert command("verify", "r").code == 0


def test_how_it_is_written_can_be_told(piped: Command, command: Command, configured: Configured) -> None:
    content = LIST.replace(",", "\t").replace("Ann", "Jérôme").encode("windows-1252")
    ended = piped(
        content, "check", "-", "--config", configured(), "--delimiter", "tab", "--encoding", "windows-1252",
        "--run-dir", "r", "--tolerate", "1",
    )  # fmt: skip
    assert ended.code == 0
    assert command("verify", "r").code == 0, "it is remembered"


def test_other_sources_beside_it(piped: Command, command: Command, configured: Configured) -> None:
    Path("more.csv").write_text("customer_id,first_name,mobile,email\n9,Eve,4165550109,\n", encoding="utf-8")
    other = b"customer_id;first_name;mobile;email\n8;Ida;4165550108;\n"
    ended = piped(other, "check", "more.csv", "-", "list.csv", "--config", configured(), "--run-dir", "r")
    assert ended.code == 1
    assert ledger("r")["source"].to_list() == ["more.csv", "-", *["list.csv"] * 5]
    assert command("verify", "r").code == 0


def test_a_long_list_is_not_held_in_memory(piped: Command, configured: Configured) -> None:
    """More than a pipe holds, so reading and writing take turns."""
    rows = "".join(f"{row},Ann,4165550101,\n" for row in range(300_000))
    content = ("customer_id,first_name,mobile,email\n" + rows).encode()
    ended = piped(content, "check", "-", "--config", configured(), "--run-dir", "r", "--json")
    assert json.loads(ended.out)["rows"] == 300_000
    assert Path("r/stdin").read_bytes() == content


# --- refused ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"", "standard input: is empty; export the list again"),
        (b"customer_id,first_name,mobile,email\n", "standard input: has a header and no rows"),
        (LIST.replace("mobile", "mobil").encode(), "standard input has no column 'mobile'; did you mean 'mobil'?"),
        (b"\x1f\x8b\x08" + bytes(60), "standard input: its compression breaks"),
    ],
    ids=["nothing", "header only", "missing column", "broken"],
)
def test_what_is_no_list_leaves_nothing_behind(
    piped: Command, configured: Configured, content: bytes, part: str
) -> None:
    ended = piped(content, "check", "-", "--config", configured(), "--run-dir", "runs/new/one")
    assert (ended.code, ended.out) == (2, "")
    assert part in ended.err
    assert not Path("runs/new/one").exists()


def test_mistakes_are_told_before_it_is_read(piped: Command, configured: Configured) -> None:
    ended = piped(
        LIST.encode(), "check", "-", "gone.csv", "--config", configured(), "--set", "delivery.sesions=3",
        left=len(LIST.encode()),
    )  # fmt: skip
    assert ended.code == 2
    assert [line.partition(":")[0] for line in ended.complaints] == ["--set delivery.sesions", "gone.csv"]
    assert not Path("runs").exists()


def test_a_run_directory_in_use_is_told_before_it_is_read(
    piped: Command, command: Command, configured: Configured
) -> None:
    config = configured()
    command("check", "list.csv", "--config", config, "--run-dir", "r")
    ended = piped(LIST.encode(), "check", "-", "--config", config, "--run-dir", "r", left=len(LIST.encode()))
    assert (ended.code, "r: holds a run already" in ended.err) == (2, True)


def test_twice_is_refused(piped: Command, configured: Configured) -> None:
    ended = piped(LIST.encode(), "check", "-", "-", "--config", configured(), left=len(LIST.encode()))
    assert (ended.code, ended.complaints) == (2, ["-: standard input can be read once only: name it once"])


def test_a_closed_one_is_told(command: Command, configured: Configured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    ended = command("check", "-", "--config", configured())
    assert ended.code == 2
    assert ended.complaints == ["-: standard input is closed; pipe the list into this command, or name a file"]


def started(configured: Configured, *arguments: str, **how: object) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "pipeline", "check", "-", "--config", str(configured()), *arguments]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **how)  # type: ignore[call-overload, no-any-return]


def test_a_file_and_nothing_can_be_redirected(configured: Configured, desk: Path) -> None:
    """Neither can be waited for as a pipe can."""
    command = [sys.executable, "-m", "pipeline", "check", "-", "--config", str(configured()), "--run-dir", "r"]
    with Path("list.csv").open("rb") as stdin:
        ended = subprocess.run(command, stdin=stdin, capture_output=True, check=False)
    assert (ended.returncode, b"5  rows in all" in ended.stdout) == (1, True)
    ended = subprocess.run([*command[:-1], "s"], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    assert (ended.returncode, b"standard input: is empty" in ended.stderr) == (2, True)


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent otherwise there")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_it_waits(configured: Configured, desk: Path, number: signal.Signals) -> None:
    with started(configured, "--run-dir", "r") as process:
        assert process.stdin is not None
        process.stdin.write(b"x" * (4 << 20))  # all but what fits into the pipe was read when this is done
        assert Path("r/stdin").exists()
        process.send_signal(number)
        assert process.wait(30) == 128 + number
        assert process.stderr is not None
        assert b"Stopped by a signal before anything was sent." in process.stderr.read()
        assert not Path("r").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="the size of files cannot be limited there")
def test_a_full_disk(configured: Configured, desk: Path) -> None:
    import resource

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))

    with started(configured, "--run-dir", "r", preexec_fn=limited) as process:
        out, err = process.communicate(b"a,b\n" * (1 << 20))
    assert (process.returncode, out) == (8, b"")
    assert b"stdin: standard input cannot be copied there: File too large. Free space on the disk" in err
    assert not Path("r").exists()


# --- gone on with -----------------------------------------------------------------------------------------------------


def test_continue_goes_on_with_the_copy(piped: Command, command: Command, serve: Serve, configured: Configured) -> None:
    service = serve(faults=(Fault("unavailable", retry_after=None),))
    config = configured(service)
    arguments = ("import", "-", "--config", config, "--set", "delivery.outage=0.3", "--continue", "--run-dir", "r")
    assert piped(LIST.encode(), *arguments).code == 5
    assert service.contacts() == []

    other = piped(LIST.replace("Dora", "Dorothy").encode(), *arguments)
    assert (other.code, len(other.complaints)) == (2, 1)
    assert other.complaints[0].startswith("standard input: is not what the run in r has read; pipe the same again")
    service.control(faults=[])
    assert piped(b"", *arguments).code == 1, "nothing more came, and the copy is whole"
    assert len(service.contacts()) == 3
    assert command("verify", "r").code == 0

    adds = service.state()["adds"]
    for content in (LIST.encode(), b""):
        again = piped(content, *arguments)
        assert (again.code, again.out.splitlines()[-1]) == (1, "Run: r"), "it repeats its verdict"
    assert piped(LIST.encode() + b"9,Eve,4165550109,\n", *arguments).code == 2
    assert service.state()["adds"] == adds


def test_resume_reads_the_copy(piped: Command, command: Command, serve: Serve, configured: Configured) -> None:
    service = serve(faults=(Fault("unavailable", retry_after=None),))
    arguments = ("import", "-", "--config", configured(service), "--set", "delivery.outage=0.3", "--run-dir", "r")
    assert piped(LIST.encode(), *arguments).code == 5
    service.control(faults=[])
    assert command("resume", "r").code == 1
    assert len(service.contacts()) == 3
    assert command("verify", "r").code == 0


def test_continue_takes_no_pipe_for_a_file(
    piped: Command, command: Command, serve: Serve, configured: Configured
) -> None:
    config = configured(serve())
    assert command("import", "list.csv", "--config", config, "--run-dir", "r").code == 1
    content = LIST.encode()
    ended = piped(content, "import", "-", "--config", config, "--run-dir", "r", "--continue", left=len(content))
    assert (ended.code, "standard input: is not what the run in r has read" in ended.err) == (2, True)
