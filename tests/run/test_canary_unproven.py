"""A run that ended before its canary was read back: those rows are read back whole before anything more is sent."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from simulator.halting import struck

from pipeline import run
from pipeline.records import TAKEN_BACK, TAKING_BACK
from pipeline.run import Result
from pipeline.simulator import Fault, OncSettings, RunningSimulator, running

from .test_import import CAMPAIGN
from .test_resuming import assert_every_row_is_there_once, counts, imported, resumed
from .test_stopping import start

posix = pytest.mark.skipif(sys.platform == "win32", reason="signals are those of POSIX")
ended_by = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["SIGINT", "SIGKILL"])

READING = "GetCampaignContacts"
DELETION = "DeleteCampaignContact"

#: Longer than any test takes: what was added is listed when the server's clock is set forward.
LAG = 600.0


@contextmanager
def damaging(**face: Any) -> Iterator[RunningSimulator]:
    """A server that loses the destination of every contact, and says that all is well."""
    with running(OncSettings(drop_members=frozenset({"Destination"}), **face)) as server:
        yield server


def mend(server: RunningSimulator) -> None:
    """From now on the server loses nothing."""
    server.control(drop_members=())


def received(server: RunningSimulator) -> int:
    return int(server.state()["adds"]["received"])


def calls(server: RunningSimulator, operation: str) -> int:
    return int(server.state()["calls"].get(operation, 0))


def stopped_at_its_canary(directory: Path, server: RunningSimulator, number: int, *, rows: int) -> None:
    """An import that was ended while it waited for a list that lags to show its canary; then the list shows it."""
    process = start(directory, server, "--set", f"delivery.late_effect={LAG}", rows=rows)
    # Before the first row, and after the canary.
    _, err = struck(server, process, 2, operation=READING, by=number)
    assert process.returncode in (128 + number, -number), err
    assert received(server) == min(rows, 5)
    server.control(listing_lag=0, advance=LAG)


def ledger(directory: Path) -> pl.DataFrame:
    return pl.read_parquet(directory / "run" / "ledger.parquet")


def canaries(directory: Path) -> list[str]:
    """The lines of the journal that tell of a canary."""
    return [line for line in (directory / "run" / "journal.jsonl").read_text().splitlines() if '"canary"' in line]


def assert_taken_back(result: Result, server: RunningSimulator, *, rows: int) -> None:
    assert result.summary.exit_code == 6, result.error
    assert "the destination of" in (result.error or "")
    assert counts(result) == {"pending": rows}
    assert server.contacts(CAMPAIGN) == []


def assert_whole(directory: Path, server: RunningSimulator) -> None:
    """Every row is there once, with all of its destinations."""
    assert_every_row_is_there_once(directory, server)
    by_id = {contact["id"]: contact for contact in server.contacts(CAMPAIGN)}
    for row in ledger(directory).iter_rows(named=True):
        for channel in ("sms", "email"):
            assert by_id[row["contact_id"]][channel]["destination"] == row[channel], row


# --- a stop while the canary waited ---


@posix
@ended_by
@pytest.mark.parametrize("rows", [40, 5], ids=["more_to_send", "nothing_left_to_send"])
def test_damaged_rows_of_an_earlier_process_are_taken_back(tmp_path, number, rows):
    with damaging(listing_lag=LAG) as server:
        stopped_at_its_canary(tmp_path, server, number, rows=rows)
        assert_taken_back(resumed(tmp_path), server, rows=rows)
        assert received(server) == 5, "nothing more was sent"
        assert calls(server, DELETION) == 5
        mend(server)
        result = resumed(tmp_path)
        assert result.summary.exit_code == 0, result.error
        assert_whole(tmp_path, server)
        assert received(server) == 5 + rows


@posix
@ended_by
@pytest.mark.parametrize("rows", [40, 5], ids=["more_to_send", "nothing_left_to_send"])
def test_whole_rows_of_an_earlier_process_are_the_canary(tmp_path, number, rows):
    with running(OncSettings(listing_lag=LAG)) as server:
        stopped_at_its_canary(tmp_path, server, number, rows=rows)
        assert canaries(tmp_path) == []
        readings = calls(server, READING)
        result = resumed(tmp_path)
        assert result.summary.exit_code == 0, result.error
        assert_whole(tmp_path, server)
        assert received(server) == rows
        assert calls(server, READING) > readings
        [told] = canaries(tmp_path)
        assert '"passed"' in told
        readings = calls(server, READING)
        assert resumed(tmp_path).summary == result.summary
        assert calls(server, READING) == readings


@posix
@ended_by
def test_nothing_is_sent_as_long_as_they_cannot_be_read_back(tmp_path, number):
    with damaging(listing_lag=LAG) as server:
        stopped_at_its_canary(tmp_path, server, number, rows=40)
        server.control(faults=[Fault("busy", operation=READING)])  # its list is null
        assert resumed(tmp_path).summary.exit_code in (5, 6)
        assert received(server) == 5
        server.control(faults=[])
        assert_taken_back(resumed(tmp_path), server, rows=40)


# --- a list that could not be had ---


def test_rows_that_could_not_be_read_back_are_read_back_later(tmp_path):
    with damaging(faults=(Fault("busy", first=2, operation=READING),)) as server:  # null, but for the first reading
        first = imported(tmp_path, server, 40)
        assert first.summary.exit_code == 6
        assert "cannot be read back" in (first.error or "")
        assert counts(first) == {"accepted": 5, "pending": 35}
        server.control(faults=[])
        assert_taken_back(resumed(tmp_path), server, rows=40)
        assert received(server) == 5, "nothing more was sent"
        mend(server)
        assert resumed(tmp_path).summary.exit_code == 0
        assert_whole(tmp_path, server)


# --- answers that were lost ---


@pytest.mark.parametrize("lost", [1, 5, 7, 30], ids=["one", "the_canary", "more", "all"])
def test_no_damaged_row_without_an_answer_is_left_behind(tmp_path, lost):
    """What the canary's rows without an answer came to, nobody has read back: the list shows them, damaged."""
    with damaging(faults=(Fault("cut", last=lost, stored=True),)) as server:
        first = imported(tmp_path, server, 30)
        assert first.summary.exit_code == 6, first.error
        assert "accepted" not in counts(first)
        told = ledger(tmp_path)
        assert set(told.filter(status="in_doubt")["reason"]) <= {TAKING_BACK}
        assert received(server) < 30 or lost == 30, "nothing but canaries has left"
        server.control(faults=[])
        mend(server)
        result = resumed(tmp_path)
        assert result.summary.exit_code == 0, result.error
        assert_whole(tmp_path, server)


def test_what_could_not_be_taken_back_is_taken_back_by_the_next_process(tmp_path):
    """Neither the canary's rows that were answered nor those that were not can be deleted at first."""
    faults = (Fault("cut", last=2, stored=True), Fault("busy", operation=DELETION))
    with damaging(faults=faults) as server:
        first = imported(tmp_path, server, 30)
        assert first.summary.exit_code == 6, first.error
        assert counts(first) == {"in_doubt": 5, "pending": 25}
        assert set(ledger(tmp_path).filter(status="in_doubt")["reason"]) == {TAKING_BACK}
        server.control(faults=[])
        mend(server)
        result = resumed(tmp_path)
        assert result.summary.exit_code == 0, result.error
        assert_whole(tmp_path, server)


@posix
def test_the_reasons_tell_what_was_done(tmp_path):
    with damaging(listing_lag=LAG) as server:
        stopped_at_its_canary(tmp_path, server, signal.SIGINT, rows=12)
        resumed(tmp_path)
        assert run.verify_run(tmp_path / "run") == []
        taken = ledger(tmp_path).filter(reason=TAKEN_BACK)
        assert taken["row"].to_list() == [1, 2, 3, 4, 5]
