"""scripts/bench measures, whatever the figures are: its subjects run, and the table has its shape."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
RIG = ROOT / "scripts/bench.d"
needs_nginx = pytest.mark.skipif(
    not shutil.which("nginx"), reason="nginx is not installed: apt-get install nginx-light"
)


def bench(*arguments: str | Path, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command; with a `path` no other programs are to be found, and the table's script is called itself."""
    command = [ROOT / "scripts/bench"] if path is None else [sys.executable, RIG / "speed.py"]
    environment = os.environ | ({} if path is None else {"PATH": str(path)})
    return subprocess.run(
        [*command, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, env=environment
    )


@needs_nginx
def test_the_table_of_two_rounds(tmp_path: Path) -> None:
    ended = bench(
        "--rows", "200", "--rounds", "2", "--seconds", "1", "--connections", "4", "--no-peers", "--json",
        "--home", tmp_path
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    told = json.loads(ended.stdout)
    rows = {row["name"]: row for row in told["table"]}
    figures = ["our import, sending", "our import, whole", "our wire alone"]
    if shutil.which("wrk"):
        figures.insert(0, "wrk")
        assert rows["wrk"]["of_wrk"] == 1
        assert all(rows[name]["of_wrk"] > 0 for name in figures)
    else:
        assert rows.pop("wrk")["missing"] == "wrk cannot be found: apt-get install wrk"
    assert list(rows) == figures
    assert all(len(row["rates"]) == 2 and min(row["rates"]) > 0 and row["ours_is"] > 0 for row in rows.values())
    assert rows["our import, sending"]["ours_is"] == 1
    assert rows["our import, whole"]["rate"] < rows["our import, sending"]["rate"], "starting and ending take time"
    assert (told["rows"], told["rounds"], told["connections"]) == (200, 2, 4)
    assert 900 < told["message_bytes"] < 1100
    assert {"commit", "date", "processor", "python", "conditions"} <= set(told)
    installed = told["install"]
    assert installed["packages"] > 20
    assert 0 < installed["wheel_bytes"] < installed["installed_bytes"]
    assert installed["import_cpu_seconds"] > installed["help_cpu_seconds"] > 0
    assert list(tmp_path.iterdir()) == [], "lists and runs are deleted"


@needs_nginx
def test_peers_send_the_list_and_what_is_missing_is_named(tmp_path: Path) -> None:
    # As if it was installed: these two need nothing that we do not need ourselves.
    python = tmp_path / "home/venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    shutil.copy(RIG / "peers/requirements.txt", tmp_path / "home/venv/installed")
    programs = tmp_path / "programs"
    programs.mkdir()
    for program in ("nginx", "taskset", "git"):
        if found := shutil.which(program):
            (programs / program).symlink_to(found)
    peers = ["zeep, synchronous", "httpx, one client", "httpx, a client each"]
    missing = ["wrk", "Node, undici"]
    wanted = [word for name in (*peers, *missing, "our import") for word in ("--only", name)]
    arguments = ("--rows", "100", "--rounds", "1", "--connections", "4", "--home", tmp_path / "home", *wanted)
    ended = bench(*arguments, "--json", path=programs)
    assert ended.returncode == 0, ended.stderr
    rows = {row["name"]: row for row in json.loads(ended.stdout)["table"]}
    assert all(rows[name]["ours_is"] > 0 and rows[name]["of_wrk"] is None for name in peers), rows
    assert rows["wrk"]["missing"] == "wrk cannot be found: apt-get install wrk"
    assert rows["Node, undici"]["missing"] == "node and npm cannot be found: apt-get install nodejs npm"


def test_without_a_server_nothing_can_be_measured(tmp_path: Path) -> None:
    ended = bench("--home", tmp_path / "home", path=tmp_path)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == "nginx cannot be found: apt-get install nginx-light\n"


@needs_nginx
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_was_started_ends_with_the_command(number: signal.Signals, tmp_path: Path) -> None:
    arguments = ["--rows", "1000000", "--rounds", "1", "--only", "our import", "--home", tmp_path]
    with subprocess.Popen(
        [ROOT / "scripts/bench", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as command:
        assert command.stderr is not None
        assert command.stderr.readline() == "round 1 of 1: our import\n"
        command.send_signal(number)
        # Its output ends where nobody is left to write there: the server, which has it too, is gone.
        told, said = command.communicate(timeout=60)
    assert (command.returncode, told, said) == (128 + number, "", "")
    assert list(tmp_path.iterdir()) == []


def test_help_lists_every_subject() -> None:
    ended = bench("--help")
    assert ended.returncode == 0
    listed = {line.split()[0]: line.split(maxsplit=1)[1] for line in ended.stdout.splitlines() if line.startswith("  ")}
    assert set(listed) == {path.stem for path in RIG.glob("*.py")}
    assert all(sentence.strip() for sentence in listed.values())
    assert bench("nothing").returncode == 2


@pytest.mark.parametrize(
    ("subject", "line"),
    [
        ("latency 5:2 --seconds 0.3", "5 ms "),
        ("knee --fixed 1 --slots 2 --waiting 2 --sessions 4 --seconds 0.5 --within 0.5", "adaptive, 4"),
        ("start --rounds 1 --rows 10", "first of 10 rows"),
        ("memory --rows 100", "destination "),
        ("validate --rows 100 --turns 1", "mails: lower case"),
        ("screen --rows 1000 --listed 10", "whole"),
        ("recovery --rows 1000", "walk (standing)"),
    ],
    ids=lambda text: text.split()[0],
)
def test_a_subject(subject: str, line: str) -> None:
    ended = bench(*subject.split())
    assert ended.returncode == 0, ended.stderr
    assert [each for each in ended.stdout.splitlines() if each.startswith(line)], ended.stdout
