"""Runs that were stopped, killed or lost answers are gone on with: every row is there once, and the ledger says so."""

import signal
import sys
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import polars as pl
import pytest
from simulator.halting import struck
from simulator.soap_client import SoapClient

from pipeline import run
from pipeline.errors import Busy, ConfigError, UsageError
from pipeline.ledger.rundirectory import RunDirectory
from pipeline.records import Status
from pipeline.run import ImportOptions, Progress, Result
from pipeline.run.looking import Looking
from pipeline.simulator import Fault, OncSettings, RunningSimulator, running
from pipeline.simulator.settings import FaultKind

from .test_import import CAMPAIGN, contact_list, reading, settings
from .test_stopping import start

READING, LISTING = "GetCampaignContacts", "GetCampaignContactsListing"

#: A literal password is on no record, and no request of these tests takes effect late.
SETTABLE = ("delivery.late_effect=0.1", "target.password=password")


def imported(directory: Path, server: RunningSimulator, rows: int, *overrides: str, **options: Any) -> Result:
    config = settings(directory / "config.toml", server.url)
    loaded, sources = run.load([config], list(overrides), [str(contact_list(directory / "list.csv", rows))])
    return anyio.run(run.import_contacts, loaded, sources, ImportOptions(run_dir=directory / "run", **options))


def resumed(directory: Path, *overrides: str, again: tuple[Status, ...] = ()) -> Result:
    return anyio.run(partial(run.resume_run, directory / "run", (*SETTABLE, *overrides), again=again))


def counts(result: Result) -> dict[str, int]:
    return {status: count for status, count in result.summary.counts.items() if count}


def without_list(kind: FaultKind, **fault: Any) -> OncSettings:
    """A target that loses answers, and whose lists cannot be had, but for the one before the first row: rows stay in
    doubt until they can be.
    """
    # A list that is busy is null.
    lists = (Fault("busy", first=2, operation=READING), Fault("busy", operation=LISTING))
    return OncSettings(faults=(Fault(kind, **fault), *lists))


def assert_every_row_is_there_once(directory: Path, server: RunningSimulator) -> None:
    assert run.verify_run(directory / "run") == []
    ledger = pl.read_parquet(directory / "run" / "ledger.parquet")
    assert set(ledger["status"]) == {"accepted"}
    held = Counter(contact["id"] for contact in server.contacts(CAMPAIGN))
    assert held == Counter(ledger["contact_id"].to_list())


@pytest.mark.skipif(sys.platform == "win32", reason="signals are those of POSIX")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("sent", [1, 5, 60, 200])
def test_what_was_stopped_or_killed_is_completed(tmp_path, number, sent):
    with running(OncSettings(latency=0.005)) as server:
        process = start(tmp_path, server)
        struck(server, process, sent, by=number)
        before = server.state()["adds"]["stored"]
        status = run.status_of(tmp_path / "run")
        if number == signal.SIGKILL:
            assert status.summary is None
            assert before <= sum(status.delivered.values()) + status.begun, "what may be there is told"
        result = resumed(tmp_path)
        assert result.summary.exit_code == 0, result.error
        assert_every_row_is_there_once(tmp_path, server)
        assert before < 400


def test_killed_again_and_again(tmp_path):
    with running(OncSettings(latency=0.005)) as server:
        process = start(tmp_path, server)
        struck(server, process, 50)
        for sent in (110, 170, 230):
            command = [sys.executable, "-m", "pipeline", "resume", str(tmp_path / "run"), "--no-progress"]
            for override in SETTABLE:
                command += ["--set", override]
            process = start(tmp_path, server, command=command)
            struck(server, process, sent)
        assert resumed(tmp_path).summary.exit_code == 0
        assert_every_row_is_there_once(tmp_path, server)


@pytest.mark.parametrize("stored", [True, False])
def test_lost_answers_are_settled_by_asking(tmp_path, stored):
    with running(without_list("cut", every=11, stored=stored)) as server:
        first = imported(tmp_path, server, 80, canary=0)
        assert first.summary.exit_code == 4
        doubtful = counts(first)["in_doubt"]
        server.control(faults=[])
        result = resumed(tmp_path)
        assert counts(result) == {"accepted": 80}
        assert result.summary.exit_code == 0
        assert_every_row_is_there_once(tmp_path, server)
        assert server.state()["adds"]["received"] == 80 + (0 if stored else doubtful)
    ledger = pl.read_parquet(tmp_path / "run" / "ledger.parquet")
    assert set(ledger["attempts"]) == ({1} if stored else {1, 2})


def test_absence_is_no_proof_where_nothing_was_counted_before(tmp_path):
    with running(OncSettings(own_ids=True, null_lists=True, faults=(Fault("cut", every=11),))) as server:
        first = imported(tmp_path, server, 80, 'state.known=["state"]', canary=0)
        server.control(faults=[], null_lists=False)
        received = server.state()["adds"]["received"]
        result = resumed(tmp_path)
        assert server.state()["adds"]["received"] == received, "nothing is sent on a guess"
    assert result.summary.exit_code == 4
    assert counts(result) == counts(first)


@pytest.mark.parametrize("stored", [True, False])
@pytest.mark.parametrize("lag", [0.0, 0.3])
def test_where_the_target_keeps_no_ids_contacts_are_counted(tmp_path, stored, lag):
    face = OncSettings(own_ids=True, listing_lag=lag, faults=(Fault("cut", every=11, stored=stored),))
    with running(face) as server:
        result = imported(tmp_path, server, 80, "delivery.late_effect=0.5")
        assert counts(result) == {"accepted": 80}
        assert result.summary.exit_code == 0
        held = Counter(contact["email"]["destination"] for contact in server.contacts(CAMPAIGN))
    ledger = pl.read_parquet(tmp_path / "run" / "ledger.parquet")
    assert held == Counter(ledger["email"].to_list())
    assert run.verify_run(tmp_path / "run") == []


def test_a_null_list_is_no_proof_of_absence(tmp_path):
    with running(without_list("cut", first=30, last=31, stored=True)) as server:
        first = imported(tmp_path, server, 80, canary=0)
        assert counts(first)["in_doubt"] == 2
        server.control(faults=[], null_lists=True)
        assert resumed(tmp_path).summary.exit_code == 4
        server.control(null_lists=False)
        result = resumed(tmp_path)
        assert result.summary.exit_code == 0
        assert_every_row_is_there_once(tmp_path, server)


def test_a_list_that_shows_some_of_what_was_accepted_is_no_proof_of_absence(tmp_path):
    """A list that is behind by more than it may be: of the rows that were accepted last it shows the first alone."""
    with running(OncSettings(faults=(Fault("unavailable", first=31, retry_after=None),))) as server:
        first = imported(tmp_path, server, 40, "delivery.outage=0.3")
        assert counts(first) == {"accepted": 30, "pending": 10}
        received = server.state()["adds"]["received"]
        lost = Fault("cut", first=received + 4, last=received + 4, stored=True)
        server.control(listing_lag=600, faults=[lost])
        result = resumed(tmp_path)
        assert counts(result) == {"accepted": 39, "in_doubt": 1}
        assert result.summary.exit_code == 4
        assert server.state()["adds"]["received"] == received + 10, "nothing is sent on a guess"
        server.control(listing_lag=0, advance=600, faults=[])
        assert resumed(tmp_path).summary.exit_code == 0
        assert_every_row_is_there_once(tmp_path, server)


def test_refused_rows_are_sent_again_on_request(tmp_path):
    with running(OncSettings(refuse={"55501(11|12)": None})) as server:
        first = imported(tmp_path, server, 80)
        assert counts(first) == {"accepted": 78, "rejected": 2}
        unchanged = resumed(tmp_path)
        assert counts(unchanged) == counts(first)
        assert unchanged.summary.exit_code == 1
        server.control(refuse={})
        result = resumed(tmp_path, again=(Status.REJECTED,))
        assert counts(result) == {"accepted": 80}
        assert_every_row_is_there_once(tmp_path, server)


def added_by_others(server: RunningSimulator, contact_id: str) -> None:
    """Somebody else adds a contact of this id, which the lists do not show."""
    server.control(listing_lag=600)
    with SoapClient(server) as client:
        client.open()
        assert client.add(contact_id=contact_id) == 0
        client.close()
    server.control(listing_lag=0)


def test_what_is_there_already_when_it_is_sent_again_on_request_was_not_added_by_the_run(tmp_path):
    face = OncSettings(duplicate_ids="refuse", refuse={"p7@": None})
    with running(face) as server:
        first = imported(tmp_path, server, 40, "target.codes.duplicate=[203]")
        assert counts(first) == {"accepted": 39, "rejected": 1}
        server.control(refuse={})
        [refused] = pl.read_parquet(tmp_path / "run" / "ledger.parquet").filter(status="rejected")["contact_id"]
        added_by_others(server, refused)
        result = resumed(tmp_path, again=(Status.REJECTED,))
        assert counts(result) == {"accepted": 39, "duplicate": 1}
        assert result.summary.exit_code == 0
        assert len(server.contacts(CAMPAIGN)) == 40
    assert run.verify_run(tmp_path / "run") == []


def test_what_is_there_already_after_a_send_that_was_asked_about_was_added_by_the_run(tmp_path):
    """The one send had no answer and no list shows it, and yet the target has it: it was late beyond all measure."""
    with running(replace(without_list("cut", first=30, last=30), duplicate_ids="refuse")) as server:
        first = imported(tmp_path, server, 40, "target.codes.duplicate=[203]", canary=0)
        assert counts(first) == {"accepted": 39, "in_doubt": 1}
        server.control(faults=[])
        [doubtful] = pl.read_parquet(tmp_path / "run" / "ledger.parquet").filter(status="in_doubt")["contact_id"]
        added_by_others(server, doubtful)
        received = server.state()["adds"]["received"]
        result = resumed(tmp_path)
        assert server.state()["adds"]["received"] == received + 1
        assert counts(result) == {"accepted": 40}
    assert run.verify_run(tmp_path / "run") == []


def test_what_is_deleted_while_a_resumed_run_asks_for_it_is_sent_again(tmp_path, monkeypatch):
    """The list showed it before, and the one by which it is settled does not: that one is believed."""
    looked = Looking.look

    def deleted() -> None:
        with SoapClient(server) as client:
            client.open()
            contact = f"<campaignId>{CAMPAIGN}</campaignId><contactId>{doubtful}</contactId>"
            assert client.code("DeleteCampaignContact", contact) == 0
            client.close()

    async def look(looking: Looking) -> None:
        await looked(looking)
        await anyio.to_thread.run_sync(deleted)

    with running(without_list("cut", first=30, last=30, stored=True)) as server:
        assert counts(imported(tmp_path, server, 40, canary=0)) == {"accepted": 39, "in_doubt": 1}
        server.control(faults=[])
        [doubtful] = pl.read_parquet(tmp_path / "run" / "ledger.parquet").filter(status="in_doubt")["contact_id"]
        monkeypatch.setattr(Looking, "look", look)
        assert counts(resumed(tmp_path)) == {"accepted": 40}
        assert_every_row_is_there_once(tmp_path, server)


def test_a_source_that_changes_while_a_resumed_run_asks_the_target_sends_nothing(tmp_path, monkeypatch):
    """To read what the campaign holds may take minutes."""
    progress = Progress()
    source = tmp_path / "list.csv"

    def change() -> None:
        if progress.phase == "reconciling":
            source.write_text(source.read_text().replace("p39@", "q39@"))

    reading(monkeypatch, change)
    with running(OncSettings(faults=(Fault("unavailable", first=31, retry_after=None),))) as server:
        first = imported(tmp_path, server, 40, "delivery.outage=0.3")
        assert counts(first) == {"accepted": 30, "pending": 10}
        server.control(faults=[])
        received = server.state()["adds"]["received"]
        result = anyio.run(partial(run.resume_run, tmp_path / "run", SETTABLE, progress=progress))
        assert result.summary.exit_code == 8
        assert counts(result) == counts(first)
        assert server.state()["adds"]["received"] == received


# --- two rows with one contact id ---


def household(path: Path, rows: int, *, first: int, second: int) -> Path:
    """A list in which two rows have the same key, and destinations of their own."""
    lines = contact_list(path, rows).read_text().splitlines(keepends=True)
    lines[1 + second] = lines[1 + second].replace(f"c{second},", f"c{first},", 1)
    path.write_text("".join(lines))
    return path


unique = pytest.mark.parametrize("unique", ["destination", "none"])


@unique
@pytest.mark.parametrize("stored", [True, False])
@pytest.mark.parametrize("lost", [11, 31], ids=["the_first", "the_second"])
def test_a_lost_row_is_not_accepted_because_of_another_with_its_id(tmp_path, unique, stored, lost):
    with running(OncSettings(faults=(Fault("cut", first=lost, last=lost, stored=stored),))) as server:
        config = settings(tmp_path / "config.toml", server.url)
        source = household(tmp_path / "list.csv", 40, first=10, second=30)
        # One session: rows leave in their order.
        overrides = [f"contacts.unique={unique}", "delivery.sessions=1"]
        loaded, sources = run.load([config], overrides, [str(source)])
        result = anyio.run(run.import_contacts, loaded, sources, ImportOptions(run_dir=tmp_path / "run"))
        told = counts(result)
        there = len(server.contacts(CAMPAIGN))
        assert set(told) <= {"accepted", "in_doubt"}
        assert told.get("in_doubt", 0) <= 1
        if "in_doubt" not in told or not stored:
            assert told["accepted"] == there
        else:
            assert told["accepted"] == there - 1, "what stays in doubt may be there"
        emails = Counter(contact["email"]["destination"] for contact in server.contacts(CAMPAIGN))
        assert max(emails.values()) == 1
        accepted = pl.read_parquet(tmp_path / "run" / "ledger.parquet").filter(status="accepted")
        assert set(accepted["email"]) <= set(emails)


@unique
def test_rows_with_one_id_are_sent_by_a_resumed_run_as_by_any_other(tmp_path, unique):
    with running(OncSettings(faults=(Fault("unavailable", first=25, retry_after=None),))) as server:
        config = settings(tmp_path / "config.toml", server.url)
        source = household(tmp_path / "list.csv", 40, first=10, second=30)
        loaded, sources = run.load([config], [f"contacts.unique={unique}", "delivery.outage=0.3"], [str(source)])
        first = anyio.run(run.import_contacts, loaded, sources, ImportOptions(run_dir=tmp_path / "run"))
        assert first.summary.exit_code == 5
        assert counts(first) == {"accepted": 24, "pending": 16}
        server.control(faults=[])
        result = resumed(tmp_path)
        assert counts(result) == {"accepted": 40}
        emails = [contact["email"]["destination"] for contact in server.contacts(CAMPAIGN)]
        assert sorted(emails) == sorted({f"p{row}@example.com" for row in range(40)})
        assert anyio.run(run.prove_run, tmp_path / "run", SETTABLE) == []
        second = anyio.run(run.import_contacts, loaded, sources, ImportOptions(run_dir=tmp_path / "second"))
        assert set(counts(second)) <= {"duplicate", "changed"}, "nothing is sent twice"
        assert len(server.contacts(CAMPAIGN)) == 40


@unique
def test_rows_with_one_id_are_both_sent_and_not_sent_again(tmp_path, unique):
    with running() as server:
        config = settings(tmp_path / "config.toml", server.url)
        source = household(tmp_path / "list.csv", 40, first=10, second=30)
        loaded, sources = run.load([config], [f"contacts.unique={unique}"], [str(source)])
        first = anyio.run(run.import_contacts, loaded, sources, ImportOptions(run_dir=tmp_path / "run"))
        assert counts(first) == {"accepted": 40}
        assert anyio.run(run.prove_run, tmp_path / "run", SETTABLE) == []
        second = anyio.run(run.import_contacts, loaded, sources, ImportOptions(run_dir=tmp_path / "second"))
        assert set(counts(second)) <= {"duplicate", "changed"}
        assert len(server.contacts(CAMPAIGN)) == 40


def test_a_finished_run_is_left_alone(tmp_path):
    with running() as server:
        first = imported(tmp_path, server, 20)
        calls = server.state()["calls"]
        journal = (tmp_path / "run" / "journal.jsonl").read_bytes()
        assert resumed(tmp_path).summary == first.summary
        assert server.state()["calls"] == calls
    assert (tmp_path / "run" / "journal.jsonl").read_bytes() == journal


def test_a_kill_before_the_account_leaves_no_old_verdict(tmp_path, monkeypatch):
    """The resumed run finished, and was killed between its last outcome and its summary."""
    with running(without_list("cut", every=11, stored=True)) as server:
        first = imported(tmp_path, server, 80, canary=0)
        assert first.summary.exit_code == 4
        server.control(faults=[])
        with monkeypatch.context() as patch:

            def killed(*_: object, **__: object) -> None:
                raise SystemError("killed here")

            patch.setattr("pipeline.run.importing.account", killed)
            with pytest.raises(SystemError):
                resumed(tmp_path)
        calls = server.state()["calls"]
        result = resumed(tmp_path)
        assert server.state()["calls"] == calls, "nothing was left to ask or send"
        assert result.summary.exit_code == 0
        assert_every_row_is_there_once(tmp_path, server)


def test_a_ledger_that_was_never_written_is_made(tmp_path):
    with running() as server:
        imported(tmp_path, server, 20)
        for name in ("ledger.parquet", "ledger.csv", "resubmit.csv", "summary.json"):
            (tmp_path / "run" / name).unlink()
        assert counts(resumed(tmp_path)) == {"accepted": 20}
        assert_every_row_is_there_once(tmp_path, server)


def test_an_outage_is_taken_up_again(tmp_path):
    with running(OncSettings(faults=(Fault("unavailable", first=30, retry_after=None),))) as server:
        first = imported(tmp_path, server, 80, "delivery.outage=0.5")
        assert first.summary.exit_code == 5
        server.control(faults=[])
        assert resumed(tmp_path).summary.exit_code == 0
        assert_every_row_is_there_once(tmp_path, server)


def test_a_canary_that_failed_is_tried_again(tmp_path):
    with running(OncSettings(drop_members=frozenset({"Destination"}))) as server:
        first = imported(tmp_path, server, 30)
        assert counts(first) == {"pending": 30}
        result = resumed(tmp_path)
        assert result.summary.exit_code == 6
        assert counts(result) == {"pending": 30}
        assert server.state()["campaigns"][CAMPAIGN]["contacts"] == 0


def test_what_changed_since_is_refused(tmp_path):
    with running(OncSettings(faults=(Fault("unavailable", first=10, retry_after=None),))) as server:
        imported(tmp_path, server, 40, "delivery.outage=0.3")
        source, recorded = tmp_path / "list.csv", tmp_path / "run" / "run.toml"
        for override in ("contacts.sms.retries=4", 'target.campaign_id="x"', "target.endpoint=http://127.0.0.1:9/"):
            with pytest.raises(ConfigError, match="cannot be changed for a run that was begun"):
                resumed(tmp_path, override)
        text = recorded.read_text()
        recorded.write_text(text.replace("retries = 7", "retries = 8"))
        with pytest.raises(UsageError, match="the mapping is another than the run was begun with"):
            resumed(tmp_path)
        recorded.write_text(text)
        source.write_text(source.read_text() + "new,Ann,+1 416 555 0100,new@example.com\n")
        with pytest.raises(UsageError, match=r"list\.csv: is not the file that the run has read"):
            resumed(tmp_path)
    with pytest.raises(UsageError, match="there is no run here"):
        anyio.run(run.resume_run, tmp_path)


def test_one_process_at_a_time(tmp_path):
    with running(OncSettings(faults=(Fault("unavailable", first=10, retry_after=None),))) as server:
        imported(tmp_path, server, 40, "delivery.outage=0.3")
        with RunDirectory(tmp_path / "run").locked(), pytest.raises(Busy, match="another process"):
            resumed(tmp_path)
