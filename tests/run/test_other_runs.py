"""Runs of one campaign that get into each other's way: lost directories, mended sources, undone and damaged rows."""

import os
import shutil
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import polars as pl
import pytest

from pipeline import run
from pipeline.errors import UsageError
from pipeline.run import ImportOptions, Result
from pipeline.simulator import Fault, OncSettings, RunningSimulator, running

from .test_import import CAMPAIGN, settings
from .test_resuming import counts, imported, resumed, without_list
from .test_stopping import start, when_sent

LATE = "delivery.late_effect=0.3"


def again(directory: Path, server: RunningSimulator, name: str, *overrides: str, source: str = "list.csv") -> Result:
    """Import the list into a run directory of another name."""
    config = settings(directory / "config.toml", server.url)
    loaded, sources = run.load([config], [LATE, *overrides], [str(directory / source)])
    return anyio.run(run.import_contacts, loaded, sources, ImportOptions(run_dir=directory / name))


def killed(directory: Path, server: RunningSimulator) -> None:
    process = start(directory, server)
    when_sent(server, process, 100)
    process.kill()
    process.communicate(timeout=30)


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
        server.control(faults=[], null_lists=False)
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
        server.control(faults=[], null_lists=False)
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
