"""Rows, of every system that takes them alike: whatever happens on the way, each is told of as it stands there."""

import signal
import threading
from collections.abc import Callable
from typing import get_args

import anyio
import pytest
from conformance.line import UNSENT, Damage, Purpose, Strike
from conformance.system import REFUSED, ROWS, Bench, System

from pipeline import run

Opened = Callable[..., Bench]

#: Rows that are struck, by number of the call: none of the canary.
STRUCK = {"first": 10, "last": 30, "every": 10}
STRIKES = 3

ACTED: list[Damage] = [damage for damage in get_args(Damage) if damage not in UNSENT]


def test_every_row_arrives_once(row_system: System, opened: Opened) -> None:
    here = opened(row_system)
    ended = here.import_()
    assert ended.code == 0, ended.err
    assert here.counts == {"accepted": ROWS}
    assert here.line.calls["row"] == ROWS
    here.assert_agreement()


def test_a_second_import_sends_nothing(row_system: System, opened: Opened) -> None:
    here = opened(row_system)
    here.import_(run_dir=here.desk / "run-before")
    ended = here.import_()
    assert ended.code == 0, ended.err
    assert here.counts == {"duplicate": ROWS}
    assert here.line.calls["row"] == ROWS


def test_checking_needs_neither_secrets_nor_the_system(
    row_system: System, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = opened(row_system)
    for name in row_system.secrets:
        monkeypatch.delenv(name)
    assert here.check().code == 0
    assert here.counts == {"pending": ROWS}
    assert not here.line.calls


@pytest.mark.parametrize(("sessions", "calls"), [(2, 1), (1, 4)], ids=["one call a session", "one session for all"])
def test_sessions_that_expire_in_use_cost_no_row(row_system: System, opened: Opened, sessions: int, calls: int) -> None:
    here = opened(row_system, expire_after=7 if calls == 1 else 13)
    ended = here.import_("--sessions", str(sessions), "--set", f"delivery.calls_per_session={calls}")
    assert ended.code == 0, ended.err
    assert here.counts == {"accepted": ROWS}
    assert set(here.ledger["attempts"]) == {1}
    told = here.summary.sessions
    assert told.expired >= 2
    assert told.opened == told.closed + told.expired == here.line.calls["open"]
    assert told.opened == sessions + told.renewed, "one renewal for all who noticed"
    here.assert_agreement()


def test_wrong_credentials_leave_all_rows_for_later(row_system: System, opened: Opened) -> None:
    here = opened(row_system, wrong_credentials=True)
    ended = here.import_("--sessions", "8")
    assert ended.code == 6
    assert len(ended.complaints) == 1
    assert 1 <= here.logins() <= row_system.logins
    assert here.line.calls["row"] == 0
    assert here.counts == {"pending": ROWS}


def test_refused_rows_are_rejected(row_system: System, opened: Opened) -> None:
    here = opened(row_system, refuse=True)
    ended = here.import_()
    assert ended.code == 1, ended.err
    refused = here.ledger.filter(here.ledger["sms"].str.ends_with(REFUSED))
    assert here.counts == {"accepted": ROWS - refused.height, "rejected": refused.height}
    assert set(refused["status"]) == {"rejected"}
    assert refused["reason"].null_count() == 0
    assert refused["code"].null_count() == (0 if row_system.codes else refused.height)
    here.assert_agreement()


def test_rows_that_are_put_off_are_sent_again(row_system: System, opened: Opened) -> None:
    here = opened(row_system, transient=True)
    ended = here.import_("--canary", "0")
    assert ended.code == 0, ended.err
    assert here.counts == {"accepted": ROWS}
    assert here.ledger["attempts"].sum() == here.line.calls["row"] > ROWS, "every send is an attempt, and no other is"
    here.assert_agreement()


@pytest.mark.parametrize("damage", ["busy", "refused"])
def test_a_busy_system_is_waited_for(row_system: System, opened: Opened, damage: Damage) -> None:
    here = opened(row_system, Strike(damage, "row", first=10, last=14))
    ended = here.import_()
    assert ended.code == 0, ended.err
    assert here.counts == {"accepted": ROWS}
    assert set(here.ledger["attempts"]) == {1}
    here.assert_agreement()


@pytest.mark.parametrize("damage", ["lost", *ACTED])
def test_rows_without_a_readable_answer_are_in_doubt_until_the_system_was_asked(
    row_system: System, opened: Opened, damage: Damage
) -> None:
    here = opened(row_system, Strike(damage, "row", **STRUCK))
    ended = here.import_()
    there = ROWS if damage != "lost" else ROWS - STRIKES
    if row_system.lookup:
        assert ended.code == 0, ended.err
        assert here.counts == {"accepted": ROWS}
        assert here.line.calls["row"] == ROWS + (ROWS - there), "only what was not there was sent again"
    else:
        assert ended.code == 4, ended.err
        assert here.counts == {"accepted": ROWS - STRIKES, "in_doubt": STRIKES}
        assert here.line.calls["row"] == ROWS, "nothing is sent again on a guess"
        assert len(here.service.held()) == there
    here.assert_agreement()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_finishes_what_is_in_flight_and_closes(row_system: System, opened: Opened, number: int) -> None:
    here = opened(row_system)
    arrived, go_on = threading.Event(), threading.Event()

    def hold(purpose: Purpose, count: int) -> None:
        if purpose == "row" and count >= 20:
            arrived.set()
            assert go_on.wait(60)

    here.line.on_call = hold
    with here.started() as process:
        assert process.stderr is not None
        assert arrived.wait(60)
        process.send_signal(number)
        told = ""
        while "run.stopping" not in told:
            line = process.stderr.readline()
            assert line, told
            told += line
        go_on.set()
        out, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    here.assert_secrets_kept(out + told + err)
    assert "Traceback" not in err
    assert 20 <= here.counts["accepted"] < ROWS
    assert here.counts["accepted"] + here.counts["pending"] == ROWS
    here.assert_agreement()
    here.line.on_call = None
    assert here.resume().code == 0
    assert here.counts == {"accepted": ROWS}
    here.assert_agreement()


def test_a_crash_of_ours_closes_the_sessions(row_system: System, opened: Opened) -> None:
    """The wall clock stops the run at a moment when rows are in flight."""
    here = opened(row_system)
    settings, sources = run.load([here.config], [], [str(here.list)])

    def clock() -> float:
        if here.line.calls["row"] >= 15:
            raise ZeroDivisionError
        return 1_795_000_000.0

    async def main() -> None:
        surroundings = run.Surroundings(wall_clock=clock)
        options = run.ImportOptions(run_dir=here.run_dir)
        await run.import_contacts(settings, sources, options, surroundings=surroundings)

    with pytest.raises(ZeroDivisionError):
        anyio.run(main)
    here.assert_all_closed()
    assert here.line.calls["close"] == here.line.good["open"]
    ended = here.resume()
    assert ended.code in ((0,) if row_system.lookup else (0, 4)), ended.err
    here.assert_agreement()
