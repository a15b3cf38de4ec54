"""Runs of one campaign that get into each other's way: lost directories, mended sources, undone and damaged rows."""

import itertools
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import polars as pl
import pytest
from simulator.halting import struck

from pipeline import run
from pipeline.errors import UsageError
from pipeline.ledger import campaign
from pipeline.ledger.journal import Journal
from pipeline.ledger.recovery import recover
from pipeline.ledger.rundirectory import RunDirectory
from pipeline.run import ImportOptions, Progress, Result, Surroundings
from pipeline.simulator import Fault, OncSettings, RunningSimulator, running

from .test_canary_unproven import damaging, mend
from .test_import import CAMPAIGN, contact_list, reading, settings
from .test_resuming import (
    SETTABLE,
    assert_every_row_is_there_once,
    counts,
    imported,
    resumed,
    without_list,
)
from .test_stopping import start

LATE = "delivery.late_effect=0.3"


def again(directory: Path, server: RunningSimulator, name: str, *overrides: str, source: str = "list.csv") -> Result:
    """Import the list into a run directory of another name."""
    config = settings(directory / "config.toml", server.url)
    loaded, sources = run.load([config], [LATE, *overrides], [str(directory / source)])
    return anyio.run(run.import_contacts, loaded, sources, ImportOptions(run_dir=directory / name))


def killed(directory: Path, server: RunningSimulator) -> None:
    process = start(directory, server)
    struck(server, process, 100)


def held(server: RunningSimulator) -> Counter[str]:
    return Counter(contact["email"]["destination"] for contact in server.contacts(CAMPAIGN))


@pytest.mark.parametrize("own_ids", [True, False])
def test_a_directory_that_was_taken_by_another_run_tells_nothing_of_the_first(tmp_path, own_ids):
    with running(OncSettings(latency=0.005, own_ids=own_ids)) as server:
        killed(tmp_path, server)
        shutil.rmtree(tmp_path / "run")
        for name in ("run", "other", "third"):
            result = again(tmp_path, server, name)
            assert max(held(server).values()) == 1, "nothing is there twice"
            assert result.summary.exit_code == (4 if own_ids else 0)
        assert len(held(server)) == 400 or own_ids


def test_where_the_source_was_mended_the_journal_tells_what_was_accepted(tmp_path):
    with running(OncSettings(latency=0.005, own_ids=True)) as server:
        killed(tmp_path, server)
        source = tmp_path / "list.csv"
        source.write_text("\n".join(source.read_text().splitlines()[:-1]) + "\n")
        result = again(tmp_path, server, "other")
        assert max(held(server).values()) == 1
        assert counts(result)["duplicate"] > 50, "only what was not answered is in doubt"
        assert result.summary.exit_code == 4


@pytest.mark.parametrize("own_ids", [True, False])
def test_what_a_killed_run_sent_with_other_content_is_changed(tmp_path, own_ids):
    with running(OncSettings(latency=0.005, own_ids=own_ids)) as server:
        killed(tmp_path, server)
        source = tmp_path / "list.csv"
        source.write_text(source.read_text().replace("Zoë3,", "Max,"))
        again(tmp_path, server, "other")
    ledger = pl.read_parquet(tmp_path / "other" / "ledger.parquet")
    assert ledger.filter(key="c3")["status"].to_list() == ["changed"]


def test_an_undo_leaves_what_another_run_has_brought_there_since(tmp_path):
    """The first run is in doubt and its source away; the second finds its rows absent, and sends them."""
    with running(without_list("cut", first=30, last=33)) as server:
        first = imported(tmp_path, server, 80, canary=0)
        assert counts(first) == {"accepted": 76, "in_doubt": 4}
        server.control(faults=[])
        source = tmp_path / "list.csv"
        shutil.copy(source, tmp_path / "copy.csv")
        source.rename(tmp_path / "away.csv")
        second = again(tmp_path, server, "other", source="copy.csv")
        assert counts(second) == {"accepted": 4, "duplicate": 76}
        (tmp_path / "away.csv").rename(source)
        undone = anyio.run(partial(run.undo_run, tmp_path / "run", (LATE, "target.password=password")))
        assert counts(undone)["accepted"] == 76
        assert len(held(server)) == 4


def test_without_its_state_a_run_counts_nothing_as_its_own(tmp_path, monkeypatch):
    """Others have sent contacts that look the same; who has sent what, only the state that is lost knew."""
    with running(OncSettings(latency=0.005, own_ids=True)) as server:
        killed(tmp_path, server)
        source = tmp_path / "list.csv"
        lines = source.read_text().splitlines()
        others = [line.replace("c", "d", 1) for line in lines[-40:]]
        (tmp_path / "others.csv").write_text("\n".join([lines[0], *others]) + "\n")
        monkeypatch.setenv("CONTACT_PIPELINE_STATE", str(tmp_path / "elsewhere"))
        again(tmp_path, server, "other", source="others.csv")
        result = resumed(tmp_path)
        assert result.summary.exit_code == 4
        accepted = counts(result)["accepted"]
        assert accepted + 40 <= len(server.contacts(CAMPAIGN)), "no contact of another is taken for one of ours"


def test_the_state_is_found_from_another_working_directory(tmp_path, monkeypatch):
    monkeypatch.delenv("CONTACT_PIPELINE_STATE")
    (tmp_path / "work").mkdir()
    (tmp_path / "elsewhere").mkdir()
    with running(without_list("cut", first=30, last=31, stored=True)) as server:
        monkeypatch.chdir(tmp_path / "work")
        imported(tmp_path, server, 60, canary=0)
        server.control(faults=[])
        monkeypatch.chdir(tmp_path / "elsewhere")
        assert resumed(tmp_path).summary.exit_code == 0
    assert (tmp_path / "work" / "runs" / ".state").is_dir()
    assert not (tmp_path / "elsewhere" / "runs").exists()


def test_another_account_is_refused(tmp_path):
    with running(without_list("cut", first=30, last=31)) as server:
        imported(tmp_path, server, 60, canary=0)
        calls = server.state()["calls"]
        with pytest.raises(UsageError, match="the account is another"):
            resumed(tmp_path, "target.account_id=other")
        assert server.state()["calls"] == calls


@pytest.mark.parametrize("stored", [True, False])
def test_a_list_that_does_not_show_what_was_accepted_proves_nothing(tmp_path, stored):
    """The configuration says that our ids are kept, and they are not: no control, no proof of absence."""
    with running(OncSettings(own_ids=True, faults=(Fault("cut", every=9, stored=stored),))) as server:
        result = imported(tmp_path, server, 60, "target.keeps_ids=true", LATE)
        assert result.summary.exit_code == 4
        assert counts(result) == {"accepted": 54, "in_doubt": 6}
        assert server.state()["adds"]["received"] == 60, "nothing is sent again"


def test_an_undo_believes_the_canary_rather_than_the_configuration(tmp_path):
    with running(OncSettings(own_ids=True)) as server:
        imported(tmp_path, server, 40, "target.keeps_ids=true")
        with pytest.raises(UsageError, match="ids of its own"):
            anyio.run(partial(run.undo_run, tmp_path / "run", (LATE, "target.password=password")))
        assert len(held(server)) == 40


def test_what_the_canary_could_not_take_back_is_never_accepted(tmp_path):
    face = OncSettings(drop_members=frozenset({"Destination"}))
    with running(face) as server:
        server.control(faults=[Fault("cut", operation="DeleteCampaignContact")])
        first = imported(tmp_path, server, 40)
        assert counts(first) == {"in_doubt": 5, "pending": 35}
        server.control(faults=[])
        result = resumed(tmp_path)
        assert "accepted" not in counts(result)
        assert server.contacts(CAMPAIGN) == []


def test_a_wave_is_not_proven_by_the_contacts_of_the_one_before(tmp_path, monkeypatch):
    with running() as server:
        imported(tmp_path, server, 40)
        server.control(listing_lag=0.5)
        monkeypatch.setenv("CONTACT_PIPELINE_STATE", str(tmp_path / "elsewhere"))
        config = settings(tmp_path / "config.toml", server.url)
        loaded, sources = run.load([config], ["delivery.late_effect=2"], [str(tmp_path / "list.csv")])
        options = ImportOptions(run_dir=tmp_path / "wave", wave="two")
        result: Any = anyio.run(run.import_contacts, loaded, sources, options)
    assert counts(result) == {"accepted": 40}
    assert result.summary.learnt == ["target.keeps_ids = true"]


@pytest.mark.parametrize("known", [True, False])
def test_a_list_of_one_row_is_judged_by_what_other_runs_have_brought(tmp_path, known):
    with running() as server:
        if known:
            imported(tmp_path, server, 20)
        server.control(faults=[Fault("cut", last=1 + 20 * known)])
        (tmp_path / "one.csv").write_text("customer_id,first_name,mobile,email\nz1,Zoë,+1 416 555 0199,z@example.com\n")
        if not known:
            settings(tmp_path / "config.toml", server.url)
        result = again(tmp_path, server, "one", "target.keeps_ids=true", source="one.csv")
        assert counts(result) == ({"accepted": 1} if known else {"in_doubt": 1})
        assert result.summary.exit_code == (0 if known else 4)


# --- what was deleted, and a list that is behind ---


#: A list shows what was deleted for `LAG` seconds, and the pipeline is told that it may be `PATIENT`.
LAG, PATIENT = 1.5, "delivery.late_effect=4"


def test_the_canarys_rows_that_were_taken_back_are_sent_again(tmp_path):
    with damaging(listing_lag=LAG) as server:
        first = imported(tmp_path, server, 20, PATIENT)
        assert first.summary.exit_code == 6, first.error
        assert counts(first) == {"pending": 20}
        mend(server)
        result = resumed(tmp_path, PATIENT)
        assert counts(result) == {"accepted": 20}
        assert_every_row_is_there_once(tmp_path, server)


def test_what_the_next_run_took_back_of_an_earlier_one_is_sent_again(tmp_path):
    with damaging() as server:
        server.control(faults=[Fault("busy", operation="DeleteCampaignContact")])
        first = imported(tmp_path, server, 20)
        assert counts(first) == {"in_doubt": 5, "pending": 15}
        server.control(faults=[], listing_lag=LAG)
        mend(server)
        overrides = [PATIENT, "target.keeps_ids=true"]
        loaded, sources = run.load([tmp_path / "config.toml"], overrides, [str(tmp_path / "list.csv")])
        # Whatever the first run has done is long past: there is nothing to wait for but what is deleted now.
        later = Surroundings(wall_clock=lambda: time.time() + 3600)
        options = ImportOptions(run_dir=tmp_path / "other")
        result = anyio.run(partial(run.import_contacts, loaded, sources, options, surroundings=later))
        assert counts(result) == {"accepted": 20}
        assert set(held(server).values()) == {1}
        assert len(held(server)) == 20


@pytest.mark.parametrize("deleted", [1, 5])
@pytest.mark.parametrize("another", [False, True], ids=["resumed", "another_run"])
def test_what_was_deleted_by_a_run_that_was_killed_then_is_sent_again(tmp_path, deleted, another):
    hanging = Fault("hang", first=deleted, stored=True, operation="DeleteCampaignContact")
    with damaging(listing_lag=LAG, faults=(hanging,)) as server:
        process = start(tmp_path, server, "--set", PATIENT, rows=20)
        struck(server, process, deleted, operation="DeleteCampaignContact")
        assert len(server.contacts(CAMPAIGN)) == 5 - deleted
        server.control(faults=[])
        mend(server)
        if another:
            result = again(tmp_path, server, "other", PATIENT, "target.keeps_ids=true")
        else:
            result = resumed(tmp_path, PATIENT)
        assert result.summary.exit_code == 0, result.error
        assert counts(result) == {"accepted": 20}
        assert set(held(server).values()) == {1}
        assert len(held(server)) == 20


# --- what another run has brought since ---


def moved_away(directory: Path) -> Callable[[], object]:
    """The first run's directory is elsewhere for a while."""
    shutil.move(directory / "run", directory / "moved")
    return lambda: shutil.move(directory / "moved", directory / "run")


def overwritten(directory: Path) -> Callable[[], object]:
    """The first run's source is another for a while."""
    source = directory / "list.csv"
    text = source.read_text()
    source.write_text(text + "z9,Zoë,+1 416 555 0199,z@example.com\n")
    return lambda: source.write_text(text)


@pytest.mark.parametrize("how", [moved_away, overwritten])
def test_a_resumed_run_does_not_claim_what_another_has_brought_since(tmp_path, how):
    with running(without_list("cut", first=30, last=33)) as server:
        first = imported(tmp_path, server, 80, canary=0)
        assert counts(first) == {"accepted": 76, "in_doubt": 4}
        server.control(faults=[])
        put_back = how(tmp_path)
        second = again(tmp_path, server, "other")
        added = 4 + (how is overwritten)
        assert counts(second) == {"accepted": added, "duplicate": 76}
        put_back()
        result = resumed(tmp_path)
        assert counts(result) == {"accepted": 76, "duplicate": 4}
        assert result.summary.exit_code == 0
        assert len(held(server)) == 76 + added == counts(second)["accepted"] + counts(result)["accepted"]
        undone = anyio.run(partial(run.undo_run, tmp_path / "run", SETTABLE))
        assert counts(undone)["accepted"] == 76
        assert len(held(server)) == added
        if how is overwritten:
            overwritten(tmp_path)  # as the second has read it
        assert anyio.run(run.prove_run, tmp_path / "other", SETTABLE) == []


def test_a_run_of_duplicates_sends_them_when_they_are_gone(tmp_path):
    """It was killed before it gave account; what it had found there, an undo has deleted since."""
    with running() as server:
        imported(tmp_path, server, 30)
        assert counts(again(tmp_path, server, "other")) == {"duplicate": 30}
        for name in ("ledger.parquet", "ledger.csv", "summary.json"):
            (tmp_path / "other" / name).unlink()
        anyio.run(run.undo_run, tmp_path / "run", SETTABLE)
        assert len(held(server)) == 0
        result = anyio.run(run.resume_run, tmp_path / "other", SETTABLE)
        assert result.summary.exit_code == 0, result.error
        assert counts(result) == {"accepted": 30}
        assert len(held(server)) == 30
        assert run.verify_run(tmp_path / "other") == []


class Killed(BaseException):
    """The process ends here."""


def test_another_run_knows_of_whatever_the_journal_may_know(tmp_path, monkeypatch):
    """Killed as soon as the record that a slice may be sent is durable."""
    with running() as server:
        config = settings(tmp_path / "config.toml", server.url)
        whole = contact_list(tmp_path / "list.csv", 40).read_text().splitlines(keepends=True)
        (tmp_path / "some.csv").write_text("".join(whole[:21]))
        assert counts(again(tmp_path, server, "before", source="some.csv")) == {"accepted": 20}
        loaded, sources = run.load([config], [LATE], [str(tmp_path / "list.csv")])
        begin = Journal.begin

        def killed_behind(self: Journal, *told: Any) -> int:
            begin(self, *told)
            self.commit()
            raise Killed

        with monkeypatch.context() as patch:
            patch.setattr(Journal, "begin", killed_behind)
            with pytest.raises(BaseException) as ended:
                anyio.run(run.import_contacts, loaded, sources, ImportOptions(run_dir=tmp_path / "run"))
        assert "Killed" in repr(ended.value)
        assert recover(tmp_path / "run" / "journal.jsonl").slices.height == 1
        target = loaded.target
        with campaign.held(Path(os.environ["CONTACT_PIPELINE_STATE"]), target.identity, target.campaign) as state:
            assert [each.directory for each in state.open_runs(own=0)] == [tmp_path / "run"]
        assert counts(again(tmp_path, server, "other")) == {"accepted": 20, "duplicate": 20}
        result = resumed(tmp_path)
        assert counts(result) == {"duplicate": 40}
        assert set(held(server).values()) == {1}
        assert len(held(server)) == 40


# --- what is lost or damaged ---


def missing(record: Path) -> None:
    record.unlink()


def cut(record: Path) -> None:
    record.write_bytes(record.read_bytes()[: record.stat().st_size // 2])


def without_sources(record: Path) -> None:
    record.write_text(record.read_text().replace("[[source]]", "[[sauce]]"))


def without_choices(record: Path) -> None:
    record.write_text(record.read_text().replace("[run]", "[ran]"))


def without_settings(record: Path) -> None:
    record.write_text(record.read_text().replace("[settings", "[sittings"))


@pytest.mark.parametrize("own_ids", [False, True], ids=["keeps_ids", "own_ids"])
@pytest.mark.parametrize("how", [missing, cut, without_sources, without_choices, without_settings])
def test_an_earlier_runs_lost_record_stops_nobody(tmp_path, how, own_ids):
    with running(OncSettings(latency=0.005, own_ids=own_ids)) as server:
        killed(tmp_path, server)
        server.control(latency=0)
        answered = recover(tmp_path / "run" / "journal.jsonl").settled_counts()["accepted"]
        how(tmp_path / "run" / "run.toml")
        second = again(tmp_path, server, "second")
        assert second.summary.exit_code == (4 if own_ids else 0), second.error
        assert second.summary.counts["duplicate"] >= answered > 0, "the journal tells what was answered"
        assert second.summary.counts["pending"] == 0
        assert set(held(server).values()) == {1}
        there = held(server)
        third = again(tmp_path, server, "third")
        assert third.summary.exit_code == second.summary.exit_code, third.error
        assert third.summary.counts["accepted"] == 0
        assert held(server) == there
        assert len(there) == 400 or own_ids


def test_that_another_run_is_at_work_is_told_whatever_rows_are_invalid(tmp_path):
    with running(OncSettings(latency=0.005)) as server:
        killed(tmp_path, server)
        lines = (tmp_path / "list.csv").read_text().splitlines()
        (tmp_path / "two.csv").write_text("\n".join([*lines, "x1,Ann,n/a,nowhere"]) + "\n")
        sent = server.state()["adds"]["received"]
        with RunDirectory(tmp_path / "run").locked():
            result = again(tmp_path, server, "two", source="two.csv")
        assert result.summary.counts["invalid"] == 1
        assert result.summary.exit_code == 7
        assert "another process is at work" in (result.error or "")
        assert server.state()["adds"]["received"] == sent


def test_what_a_lost_run_has_brought_there_with_other_content_is_changed(tmp_path):
    """Nothing told at first whether it is there; the list by which that is settled does not say with what content."""
    with running(without_list("cut", first=30, last=33, stored=True)) as server:
        first = imported(tmp_path, server, 80, canary=0)
        assert counts(first) == {"accepted": 76, "in_doubt": 4}
        server.control(faults=[])
        doubtful = pl.read_parquet(tmp_path / "run" / "ledger.parquet").filter(status="in_doubt")["key"].to_list()
        shutil.rmtree(tmp_path / "run")
        source = tmp_path / "list.csv"
        for key in doubtful[:2]:
            source.write_text(source.read_text().replace(f"{key},Zoë", f"{key},Max"))
        result = again(tmp_path, server, "other", 'state.known=["state"]', "target.keeps_ids=true")
        assert counts(result) == {"duplicate": 78, "changed": 2}
    changed = pl.read_parquet(tmp_path / "other" / "ledger.parquet").filter(status="changed")
    assert changed["key"].to_list() == doubtful[:2]


def imported_after(directory: Path, server: RunningSimulator, progress: Progress) -> Result:
    """The copy of a list, imported once the earlier run is settled; the state alone tells what the campaign holds."""
    config = settings(directory / "config.toml", server.url)
    choices = [LATE, 'state.known=["state"]', "target.keeps_ids=true"]
    loaded, sources = run.load([config], choices, [str(directory / "copy.csv")])
    options = ImportOptions(run_dir=directory / "other")
    return anyio.run(partial(run.import_contacts, loaded, sources, options, progress=progress))


def test_an_earlier_runs_list_that_changes_while_it_is_settled_settles_nothing(tmp_path, monkeypatch):
    """Rows of another list would seem not to be there, and those that were sent would be sent again."""
    progress = Progress()
    source = tmp_path / "list.csv"
    with running(without_list("cut", first=30, last=33, stored=True)) as server:
        first = imported(tmp_path, server, 80, canary=0)
        assert counts(first) == {"accepted": 76, "in_doubt": 4}
        server.control(faults=[])
        shutil.copy(source, tmp_path / "copy.csv")
        doubtful = pl.read_parquet(tmp_path / "run" / "ledger.parquet").filter(status="in_doubt")["key"]

        def change() -> None:
            if progress.phase == "settling":
                for key in doubtful:
                    source.write_text(source.read_text().replace(f"{key},", f"x{key},"))

        reading(monkeypatch, change)
        second = imported_after(tmp_path, server, progress)
        assert counts(second) == {"duplicate": 80}
        assert set(held(server).values()) == {1}


def test_an_earlier_runs_list_that_changes_once_it_is_settled_leaves_its_files_alone(tmp_path, monkeypatch):
    """Cells of other rows would stand in the file of rows to mend."""
    progress = Progress()
    source = tmp_path / "list.csv"
    lossy = replace(without_list("cut", first=30, last=33, stored=True), refuse={"p7@": None})
    with running(lossy) as server:
        first = imported(tmp_path, server, 80, canary=0)
        assert counts(first) == {"accepted": 75, "in_doubt": 4, "rejected": 1}
        server.control(faults=[])
        shutil.copy(source, tmp_path / "copy.csv")
        before = (tmp_path / "run" / "resubmit.csv").read_bytes()
        batches = itertools.count()

        def change() -> None:
            if progress.phase == "settling" and next(batches) == 2:  # one walk has come to its end
                source.write_text(source.read_text().replace("Zoë", "Max"))

        reading(monkeypatch, change)
        second = imported_after(tmp_path, server, progress)
        assert next(batches) > 2
        assert (tmp_path / "run" / "resubmit.csv").read_bytes() == before
        assert counts(second) == {"duplicate": 79, "rejected": 1}
        assert set(held(server).values()) == {1}


@pytest.mark.skipif(os.name == "nt", reason="a file that is open cannot be changed there")
def test_a_damaged_journal_of_another_run_stops_nobody(tmp_path):
    with running(OncSettings(latency=0.005)) as server:
        killed(tmp_path, server)
        journal = tmp_path / "run" / "journal.jsonl"
        journal.write_bytes(journal.read_bytes().replace(b'"t":"begun"', b'"t":"began"', 1))
        result = again(tmp_path, server, "other")
        assert result.summary.exit_code == 0
        assert set(held(server).values()) == {1}
        assert len(held(server)) == 400
