"""What a run added is taken back, and nothing else: through kills, signals, lost answers and refusals."""

import shutil
import signal
import sys
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path

import anyio
import polars as pl
import pytest
from simulator.halting import struck

from pipeline import run
from pipeline.errors import Busy, ConfigError, MachineFailed, TargetUnreachable, TargetUnusable, UsageError
from pipeline.ledger import campaign
from pipeline.ledger.rundirectory import RunDirectory
from pipeline.run import ImportOptions, Result
from pipeline.simulator import Fault, OncSettings, RunningSimulator, running
from pipeline.values import Share

from .test_import import CAMPAIGN, contact_list, reading
from .test_resuming import SETTABLE, counts, imported, resumed, without_list
from .test_stopping import start

DELETION = "DeleteCampaignContact"


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTACT_PIPELINE_STATE", str(tmp_path / "state"))


def undone(directory: Path, *overrides: str, name: str = "run") -> Result:
    async def main() -> Result:
        with anyio.fail_after(60):
            return await run.undo_run(directory / name, (*SETTABLE, *overrides))

    return anyio.run(main)


def held(server: RunningSimulator) -> Counter[str]:
    return Counter(contact["id"] for contact in server.contacts(CAMPAIGN))


def deletions(server: RunningSimulator) -> int:
    return server.state()["calls"].get(DELETION, 0)


def assert_agreement(directory: Path, server: RunningSimulator, name: str = "run") -> None:
    """The undo's ledger says of every row what the target says."""
    assert run.verify_run(directory / name) == []
    there = held(server)
    for row in pl.read_parquet(directory / name / "undo" / "ledger.parquet").iter_rows(named=True):
        if row["status"] == "accepted":
            assert there[row["contact_id"]] == 0, row
        elif row["status"] in ("rejected", "failed"):
            assert there[row["contact_id"]] == 1, row


def start_undo(directory: Path, server: RunningSimulator, *options: str):
    command = [sys.executable, "-m", "pipeline", "undo", str(directory / "run"), "--no-progress", "--yes"]
    for override in SETTABLE:
        command += ["--set", override]
    return start(directory, server, *options, command=command)


def test_a_run_is_taken_back_and_its_list_can_be_imported_anew(tmp_path):
    with running() as server:
        first = imported(tmp_path, server, 60)
        ledger = (tmp_path / "run" / "ledger.csv").read_bytes()
        result = undone(tmp_path)
        assert result.summary.exit_code == 0, result.error
        assert result.summary.run_dir == str(tmp_path / "run")
        assert counts(result) == counts(first) == {"accepted": 60}
        assert held(server) == {}
        assert deletions(server) == 60
        assert_agreement(tmp_path, server)
        assert (tmp_path / "run" / "ledger.csv").read_bytes() == ledger, "what the run did, it did"

        calls = server.state()["calls"]
        assert undone(tmp_path).summary == result.summary
        assert server.state()["calls"] == calls, "a finished undo is left alone"
        with pytest.raises(UsageError, match="was undone"):
            resumed(tmp_path)
        loaded, sources = run.load([tmp_path / "config.toml"], [], [str(tmp_path / "list.csv")])
        with pytest.raises(UsageError, match="was undone"):
            anyio.run(run.continue_run, loaded, sources, ImportOptions(run_dir=tmp_path / "run"))

        again = anyio.run(run.import_contacts, loaded, sources, ImportOptions(run_dir=tmp_path / "again"))
        assert counts(again) == {"accepted": 60}
        assert undone(tmp_path).summary == result.summary
        assert len(held(server)) == 60, "what a later run has added is not the first one's to delete"


def test_what_was_there_before_stays(tmp_path):
    with running() as server:
        imported(tmp_path, server, 20)
        before = held(server)
        loaded, sources = run.load([tmp_path / "config.toml"], [], [str(contact_list(tmp_path / "more.csv", 50))])
        second = anyio.run(run.import_contacts, loaded, sources, ImportOptions(run_dir=tmp_path / "second"))
        assert counts(second) == {"accepted": 30, "duplicate": 20}
        result = undone(tmp_path, name="second")
        assert counts(result) == {"accepted": 30, "suppressed": 20}
        assert result.summary.exit_code == 0
        assert held(server) == before
        assert_agreement(tmp_path, server, "second")


@pytest.mark.parametrize("summary", [True, False])
def test_a_list_that_changes_once_it_was_looked_at_does_not_change_who_is_deleted(tmp_path, summary):
    """Its rows tell whom to delete, and a person looks at a question for as long as they like."""
    with running() as server:
        imported(tmp_path, server, 40)
        later = contact_list(tmp_path / "later.csv", 80)
        loaded, sources = run.load([tmp_path / "config.toml"], [], [str(later)])
        anyio.run(run.import_contacts, loaded, sources, ImportOptions(run_dir=tmp_path / "later"))
        lines = later.read_text().splitlines(keepends=True)
        others = "".join([lines[0], *lines[41:81]])  # the persons of rows 41 to 80 in the places of rows 1 to 40
        if not summary:  # as of a run that was killed
            (tmp_path / "run" / "summary.json").unlink()

        async def agreed(rows: int, _: str) -> bool:
            assert rows == 40
            (tmp_path / "list.csv").write_text(others)
            return True

        before = held(server)
        if summary:
            result = anyio.run(partial(run.undo_run, tmp_path / "run", SETTABLE, confirm=agreed))
            assert result.summary.exit_code == 8
            assert "changed while the run went on" in (result.error or "")
            ids = pl.read_parquet(tmp_path / "run" / "ledger.parquet")["contact_id"].to_list()
            assert held(server) == before - Counter(ids)
        else:
            with pytest.raises(MachineFailed, match="changed while the run went on"):
                anyio.run(partial(run.undo_run, tmp_path / "run", SETTABLE, confirm=agreed))
            assert held(server) == before


def test_a_list_that_changes_while_it_is_looked_at_deletes_nobody(tmp_path, monkeypatch):
    with running() as server:
        imported(tmp_path, server, 40)
        before = held(server)
        source = tmp_path / "list.csv"
        reading(monkeypatch, lambda: source.write_text(source.read_text().replace("Zoë", "Max")))
        with pytest.raises(UsageError, match="is not the file that the run has read"):
            undone(tmp_path)
        assert held(server) == before


@pytest.mark.skipif(sys.platform == "win32", reason="signals are those of POSIX")
def test_killed_again_and_again(tmp_path):
    with running(OncSettings(latency=0.005)) as server:
        imported(tmp_path, server, 400)
        for number in (1, 60, 150, 260):
            process = start_undo(tmp_path, server)
            struck(server, process, number, operation=DELETION)
        assert deletions(server) < 400
        server.control(latency=0)
        loaded, sources = run.load([tmp_path / "config.toml"], [], [str(tmp_path / "list.csv")])
        between = anyio.run(run.import_contacts, loaded, sources, ImportOptions(run_dir=tmp_path / "between"))
        assert between.summary.exit_code == 7, "what it sent, the rest of the undo would delete"
        assert f"contact-pipeline undo {tmp_path / 'run'}" in between.error
        assert not between.summary.counts["accepted"]
        result = undone(tmp_path)
        assert counts(result) == {"accepted": 400}
        assert result.summary.exit_code == 0
        assert held(server) == {}
        assert_agreement(tmp_path, server)
        after = anyio.run(run.import_contacts, loaded, sources, ImportOptions(run_dir=tmp_path / "after"))
        assert counts(after) == {"accepted": 400}


@pytest.mark.skipif(sys.platform == "win32", reason="signals are those of POSIX")
def test_a_signal_stops_cleanly(tmp_path):
    with running(OncSettings(latency=0.02)) as server:
        imported(tmp_path, server, 200)
        process = start_undo(tmp_path, server)
        out, err = struck(server, process, 20, operation=DELETION, by=signal.SIGTERM)
        assert process.returncode == 143, err
        assert f"Go on with: contact-pipeline undo {tmp_path / 'run'}" in out
        assert out.splitlines()[-1] == f"Run: {tmp_path / 'run'}"
        ledger = pl.read_parquet(tmp_path / "run" / "undo" / "ledger.parquet")
        assert set(ledger["status"]) == {"accepted", "pending"}
        assert server.state()["sessions"]["open"] == 0
        assert ledger.filter(status="pending").height == len(held(server)) > 100
        assert_agreement(tmp_path, server)
        assert undone(tmp_path).summary.exit_code == 0
        assert held(server) == {}
        assert deletions(server) == 200
        assert "GetCampaignContactsListing" not in server.state()["calls"], "there was nothing to ask"


@pytest.mark.parametrize("sent", [1, 60])
@pytest.mark.skipif(sys.platform == "win32", reason="signals are those of POSIX")
def test_a_run_that_was_killed_is_taken_back(tmp_path, sent):
    with running(OncSettings(latency=0.005)) as server:
        process = start(tmp_path, server)
        struck(server, process, sent)
        result = undone(tmp_path)
        assert result.summary.exit_code == 0, result.error
        assert held(server) == {}
        assert_broken_off_and_undone(tmp_path)
        server.control(latency=0)
        loaded, sources = run.load([tmp_path / "config.toml"], [], [str(tmp_path / "list.csv")])
        again = anyio.run(run.import_contacts, loaded, sources, ImportOptions(run_dir=tmp_path / "again"))
        assert counts(again) == {"accepted": 400}


@pytest.mark.skipif(sys.platform == "win32", reason="signals are those of POSIX")
def test_a_run_that_was_stopped_resumed_and_killed_is_taken_back(tmp_path):
    """The ledger of the stop lies there, and says less than the journal of what was killed."""
    with running(OncSettings(latency=0.005)) as server:
        process = start(tmp_path, server)
        struck(server, process, 60, by=signal.SIGINT)
        assert (tmp_path / "run" / "ledger.parquet").exists()
        command = [sys.executable, "-m", "pipeline", "resume", str(tmp_path / "run"), "--no-progress"]
        for override in SETTABLE:
            command += ["--set", override]
        process = start(tmp_path, server, command=command)
        struck(server, process, 160)
        assert run.verify_run(tmp_path / "run") != []
        result = undone(tmp_path)
        assert result.summary.exit_code == 0, result.error
        assert held(server) == {}
        assert_broken_off_and_undone(tmp_path)


def assert_broken_off_and_undone(directory: Path) -> None:
    """The run that gave no account of itself has one now, which says why."""
    assert run.verify_run(directory / "run") == []
    summary = run.status_of(directory / "run").summary
    assert summary is not None
    assert summary.exit_code == 8
    assert "broken off" in (summary.error or "")
    assert "undone" in (summary.error or "")
    assert sum(summary.counts.values()) == summary.rows == 400
    ledger = pl.read_parquet(directory / "run" / "ledger.parquet")
    assert ledger["status"].value_counts().sort("status").rows() == sorted(
        (status, count) for status, count in summary.counts.items() if count
    )


@pytest.mark.skipif(sys.platform == "win32", reason="signals are those of POSIX")
def test_an_undo_that_was_killed_and_is_lost_is_not_forgotten(tmp_path):
    with running(OncSettings(latency=0.005)) as server:
        imported(tmp_path, server, 160)
        process = start_undo(tmp_path, server)
        struck(server, process, 40, operation=DELETION)
        shutil.rmtree(tmp_path / "run" / "undo")
        server.control(latency=0)
        left = held(server)
        assert 0 < len(left) < 160
        loaded, sources = run.load([tmp_path / "config.toml"], [], [str(tmp_path / "list.csv")])
        between = anyio.run(run.import_contacts, loaded, sources, ImportOptions(run_dir=tmp_path / "between"))
        assert between.summary.exit_code == 7, between.error
        assert f"contact-pipeline undo {tmp_path / 'run'}" in (between.error or "")
        with pytest.raises(UsageError, match="undone"):
            resumed(tmp_path)
        assert held(server) == left
        result = undone(tmp_path)
        assert result.summary.exit_code == 0, result.error
        assert held(server) == {}
        assert run.verify_run(tmp_path / "run") == []
        after = anyio.run(run.import_contacts, loaded, sources, ImportOptions(run_dir=tmp_path / "after"))
        assert counts(after) == {"accepted": 160}
        assert len(held(server)) == 160


def test_what_an_import_tolerates_an_undo_does_not(tmp_path):
    """Contacts that are left behind are no bad rows of a list."""
    with running(OncSettings(faults=(Fault("busy", first=11, last=12, operation=DELETION),))) as server:
        imported(tmp_path, server, 30, tolerate=Share.parse("10"))
        result = undone(tmp_path)
        assert counts(result) == {"accepted": 28, "rejected": 2}
        assert len(held(server)) == 2
        assert result.summary.exit_code == 1


def test_an_addition_that_takes_effect_late_is_deleted_all_the_same(tmp_path):
    with running(replace(without_list("cut", first=30, last=31, stored=True), late_effect=0.4)) as server:
        first = imported(tmp_path, server, 40, "delivery.late_effect=0.1", canary=0)
        assert counts(first) == {"accepted": 38, "in_doubt": 2}
        server.control(faults=[])
        result = undone(tmp_path, "delivery.late_effect=0.5")
        assert counts(result) == {"accepted": 40}
        assert server.state()["adds"]["late"] == 0
        assert held(server) == {}
        assert_agreement(tmp_path, server)


@pytest.mark.parametrize("stored", [True, False])
@pytest.mark.parametrize("kind", ["cut", "fault"])
def test_deletions_without_an_answer_are_sent_again(tmp_path, stored, kind):
    with running(OncSettings(faults=(Fault(kind, every=11, stored=stored, operation=DELETION),))) as server:
        imported(tmp_path, server, 80)
        result = undone(tmp_path)
        assert counts(result) == {"accepted": 80}
        assert result.summary.exit_code == 0
        assert held(server) == {}
        assert deletions(server) == (80 if stored else 87)
        assert_agreement(tmp_path, server)


def test_what_the_target_refuses_to_delete_is_told_from_what_is_gone(tmp_path):
    with running(OncSettings(faults=(Fault("busy", first=11, last=12, operation=DELETION),))) as server:
        imported(tmp_path, server, 30, "delivery.sessions=1")
        gone = list(held(server))[:3]
        campaign = server.service.store.campaigns[CAMPAIGN]
        for contact_id in gone:
            assert campaign.delete(contact_id)
        result = undone(tmp_path)
        assert counts(result) == {"accepted": 28, "rejected": 2}
        assert result.summary.exit_code == 1
        assert result.summary.codes == {"0": 25, "202": 3, "901": 2}
        assert len(held(server)) == 2
        assert_agreement(tmp_path, server)
        server.control(faults=[])
        loaded, sources = run.load([tmp_path / "config.toml"], [], [str(tmp_path / "list.csv")])
        again = anyio.run(run.import_contacts, loaded, sources, ImportOptions(run_dir=tmp_path / "again"))
        assert counts(again) == {"accepted": 28, "duplicate": 2}


def test_what_is_put_off_for_too_long_is_there_still(tmp_path):
    with running(OncSettings(faults=(Fault("busy", first=11, operation=DELETION),))) as server:
        imported(tmp_path, server, 12, "target.codes.transient=[901]")
        result = undone(tmp_path, "delivery.attempts=2")
        assert counts(result) == {"accepted": 10, "failed": 2}
        assert result.summary.exit_code == 1
        assert len(held(server)) == 2
        assert_agreement(tmp_path, server)


@pytest.mark.parametrize("stored", [True, False])
def test_a_list_that_lags_does_not_tell_too_much(tmp_path, stored):
    """A deletion without an answer, and a list that is behind: what is listed still may be gone."""
    cut = Fault("cut", every=7, stored=stored, operation=DELETION)
    with running(OncSettings(listing_lag=0.3, faults=(cut,))) as server:
        imported(tmp_path, server, 40, "delivery.late_effect=0.3")
        result = undone(tmp_path, "delivery.late_effect=0.3")
        assert counts(result) == {"accepted": 40}
        assert held(server) == {}


def test_what_was_taken_back_is_not_taken_for_being_there_by_a_list_that_lags(tmp_path):
    with running(OncSettings(listing_lag=1.5)) as server:
        first = imported(tmp_path, server, 20, "delivery.late_effect=1.5")
        assert counts(first) == {"accepted": 20}
        assert undone(tmp_path).summary.exit_code == 0
        loaded, sources = run.load(
            [tmp_path / "config.toml"], ["delivery.late_effect=1.5"], [str(tmp_path / "list.csv")]
        )
        again = anyio.run(run.import_contacts, loaded, sources, ImportOptions(run_dir=tmp_path / "again"))
        assert counts(again) == {"accepted": 20}
        assert len(held(server)) == 20


def test_without_a_list_it_stays_in_doubt_until_there_is_one(tmp_path):
    cut = Fault("cut", first=5, last=5, stored=True, operation=DELETION)
    with running(OncSettings(faults=(cut,))) as server:
        imported(tmp_path, server, 30)
        server.control(null_lists=True)
        result = undone(tmp_path)
        assert counts(result) == {"accepted": 29, "in_doubt": 1}
        assert result.summary.exit_code == 4
        assert_agreement(tmp_path, server)
        sent = deletions(server)
        server.control(null_lists=False)
        assert counts(undone(tmp_path)) == {"accepted": 30}
        assert deletions(server) == sent, "the list tells that it is gone"
        assert_agreement(tmp_path, server)


def test_without_a_list_it_is_not_known_whose_ids_are_there(tmp_path):
    with running() as server:
        imported(tmp_path, server, 30, canary=0)
        server.control(null_lists=True)
        with pytest.raises(TargetUnusable, match="gives no list"):
            undone(tmp_path)
        assert len(held(server)) == 30
        assert not (tmp_path / "run" / "undo").exists()


def test_expired_sessions_cost_nothing(tmp_path):
    with running() as server:
        imported(tmp_path, server, 200)
        server.control(expire_after_calls=20)
        result = undone(tmp_path)
        assert counts(result) == {"accepted": 200}
        assert result.summary.sessions.expired > 0
        assert server.state()["sessions"]["open"] == 0
        assert set(pl.read_parquet(tmp_path / "run" / "undo" / "ledger.parquet")["attempts"]) == {1}
        assert_agreement(tmp_path, server)


def test_an_outage_is_taken_up_again(tmp_path):
    with running(OncSettings(faults=(Fault("unavailable", first=30, retry_after=None, operation=DELETION),))) as server:
        imported(tmp_path, server, 80)
        result = undone(tmp_path, "delivery.outage=0.5")
        assert result.summary.exit_code == 5
        assert counts(result) == {"accepted": 29, "pending": 51}
        assert_agreement(tmp_path, server)
        server.control(faults=[])
        assert counts(undone(tmp_path)) == {"accepted": 80}
        assert_agreement(tmp_path, server)


@pytest.mark.parametrize("canary", [0, 5])
def test_ids_of_the_targets_own_cannot_be_told_from_others(tmp_path, canary):
    with running(OncSettings(own_ids=True)) as server:
        imported(tmp_path, server, 20, canary=canary)
        with pytest.raises(UsageError, match="ids of its own"):
            undone(tmp_path)
        assert deletions(server) == 0
        assert not (tmp_path / "run" / "undo").exists()
        assert counts(resumed(tmp_path)) == {"accepted": 20}


def test_where_it_is_not_known_that_ids_are_kept_the_list_tells(tmp_path):
    with running() as server:
        imported(tmp_path, server, 20, canary=0)
        assert counts(undone(tmp_path)) == {"accepted": 20}
        assert server.state()["calls"]["GetCampaignContactsListing"] == 1
        assert held(server) == {}


def test_a_person_is_asked_and_may_decline(tmp_path):
    asked = []

    async def decline(number: int, campaign: str) -> bool:
        asked.append((number, campaign))
        return False

    with running() as server:
        imported(tmp_path, server, 20)
        with pytest.raises(UsageError, match="nothing was deleted"):
            anyio.run(partial(run.undo_run, tmp_path / "run", SETTABLE, confirm=decline))
        assert asked == [(20, CAMPAIGN)]
        assert len(held(server)) == 20
        assert not (tmp_path / "run" / "undo").exists()


def test_what_cannot_be_undone_is_refused(tmp_path):
    with running(OncSettings(refuse={"@": None})) as server:
        with pytest.raises(UsageError, match="there is no run here"):
            undone(tmp_path)
        imported(tmp_path, server, 10)
        with pytest.raises(UsageError, match="has added nothing"):
            undone(tmp_path)
        server.control(refuse={})
        loaded, sources = run.load([tmp_path / "config.toml"], [], [str(tmp_path / "list.csv")])
        anyio.run(run.import_contacts, loaded, sources, ImportOptions(run_dir=tmp_path / "second"))
        with pytest.raises(ConfigError, match="cannot be changed"):
            undone(tmp_path, "contacts.region=US", name="second")
        with RunDirectory(tmp_path / "second").locked(), pytest.raises(Busy, match="another process"):
            undone(tmp_path, name="second")
        target = loaded.target
        with (
            campaign.held(tmp_path / "state", target.identity, target.campaign),
            pytest.raises(Busy, match="holds campaign"),
        ):
            undone(tmp_path, name="second")
        with (tmp_path / "list.csv").open("a") as source:
            source.write("new,Ann,+1 416 555 0100,new@example.com\n")
        with pytest.raises(UsageError, match="is not the file that the run has read"):
            undone(tmp_path, name="second")
        assert deletions(server) == 0
        assert not (tmp_path / "second" / "undo").exists()


def test_a_target_that_cannot_be_reached_changes_nothing(tmp_path):
    with running() as server:
        imported(tmp_path, server, 10)
    with pytest.raises(TargetUnreachable):
        undone(tmp_path)
    assert counts(Result(run.status_of(tmp_path / "run").summary)) == {"accepted": 10}
    assert not (tmp_path / "run" / "undo").exists()


def test_a_kill_before_the_account_is_made_good(tmp_path, monkeypatch):
    with running() as server:
        imported(tmp_path, server, 20)
        with monkeypatch.context() as patch:

            def killed(*_: object, **__: object) -> None:
                raise SystemError("killed here")

            patch.setattr("pipeline.run.undoing.account", killed)
            with pytest.raises(SystemError):
                undone(tmp_path)
        calls = server.state()["calls"]
        assert counts(undone(tmp_path)) == {"accepted": 20}
        assert server.state()["calls"] == calls, "nothing was left to ask or delete"
        assert_agreement(tmp_path, server)
        target = run.load_settings([tmp_path / "config.toml"], []).target
        with campaign.held(tmp_path / "state", target.identity, target.campaign) as state:
            assert state.open_runs(own=0) == []
