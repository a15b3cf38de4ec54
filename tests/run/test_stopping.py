"""Signals to the real command: what is in flight finishes, sessions are closed, and the ledger tells the truth."""

import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import polars as pl
import pytest
from simulator.halting import ADD, struck, wait_for

from pipeline import run
from pipeline.simulator import Fault, OncSettings, RunningSimulator, running

from .test_import import CAMPAIGN, contact_list, settings

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals are those of POSIX")


def start(
    directory: Path, server: RunningSimulator, *options: str, rows: int = 400, command: list[str] | None = None
) -> subprocess.Popen[str]:
    if command is None:
        config = settings(directory / "config.toml", server.url)
        source = contact_list(directory / "list.csv", rows)
        command = [sys.executable, "-m", "pipeline", "import", str(source), "--config", str(config)]
        command += ["--run-dir", str(directory / "run"), "--no-progress"]
    return subprocess.Popen(
        [*command, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "NO_COLOR": "1"},
    )


def agreement(directory: Path, server: RunningSimulator) -> dict[str, int]:
    """Compare the ledger with what the target holds; the counts by status."""
    assert run.verify_run(directory / "run") == []
    ledger = pl.read_parquet(directory / "run" / "ledger.parquet")
    held = Counter(contact["id"] for contact in server.contacts(CAMPAIGN))
    for row in ledger.iter_rows(named=True):
        if row["status"] == "accepted":
            assert held[row["contact_id"]] == 1
        elif row["status"] != "in_doubt":
            assert held[row["contact_id"]] == 0
    return dict(ledger["status"].value_counts().iter_rows())


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_first_signal_finishes_what_is_in_flight(tmp_path, number, code):
    with running(OncSettings(latency=0.02)) as server:
        process = start(tmp_path, server)
        out, err = struck(server, process, 20, by=number)
        assert process.returncode == code, err
        assert "Traceback" not in err
        assert out.rstrip().splitlines()[-1].endswith(str(tmp_path / "run"))
        counts = agreement(tmp_path, server)
        sessions = server.state()["sessions"]
    assert "in_doubt" not in counts
    assert counts["pending"] > 100
    assert sessions["opened"] == sessions["closed"]


def test_the_second_signal_gives_up_what_is_in_flight(tmp_path):
    with running(OncSettings(faults=(Fault("hang", first=20),))) as server:
        process = start(tmp_path, server, "--set", "delivery.sessions=4", "--set", "delivery.stop_within=600")
        wait_for(server, ADD, 23, process)
        process.send_signal(signal.SIGTERM)
        assert process.stderr is not None
        line = process.stderr.readline()
        while "run.stopping" not in line:  # the first signal has been heard
            assert line, "the log ended without a word of the signal"
            line = process.stderr.readline()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
        assert process.returncode == 143
        counts = agreement(tmp_path, server)
    assert 1 <= counts["in_doubt"] <= 4
    assert counts["accepted"] == 19


def test_what_does_not_finish_in_time_is_in_doubt(tmp_path):
    with running(OncSettings(faults=(Fault("hang", first=20, stored=True),))) as server:
        process = start(tmp_path, server, "--set", "delivery.sessions=4", "--set", "delivery.stop_within=0.5")
        _, err = struck(server, process, 23, by=signal.SIGTERM)
        assert process.returncode == 143, err
        counts = agreement(tmp_path, server)
    assert 1 <= counts["in_doubt"] <= 4
