"""`verify --against-target`: the list of the target is compared with the ledger, and neither is changed."""

import json
import os
import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import polars as pl
import pytest
from cli.kit import CONFIG, LIST, Ended
from cli.kit import run as command
from simulator.halting import wait_for
from simulator.soap_client import SoapClient

from pipeline import run
from pipeline.errors import ConfigError, TargetUnreachable, TargetUnusable
from pipeline.ledger import campaign
from pipeline.simulator import Fault, OncSettings, RunningSimulator, running
from pipeline.simulator.onc.contract import Contact

from .test_import import CAMPAIGN, settings
from .test_resuming import counts, imported

#: What may be behind a contact that was not added by the run.
EXPLAINED = "it stood there before, or was added all the same"

#: A literal password is on no record.
SECRET = "target.password=password"


def proven(directory: Path, *overrides: str) -> list[str]:
    return anyio.run(partial(run.prove_run, directory / "run", (SECRET, *overrides)))


def ids(directory: Path) -> list[str]:
    """The ids of the run's rows, in order."""
    return pl.read_parquet(directory / "run" / "ledger.parquet")["contact_id"].to_list()


def held(server: RunningSimulator) -> list[str]:
    return [contact["id"] for contact in server.contacts(CAMPAIGN)]


def delete(server: RunningSimulator, contact_id: str) -> None:
    with SoapClient(server) as client:
        client.open()
        inner = f"<campaignId>{CAMPAIGN}</campaignId><contactId>{contact_id}</contactId>"
        assert client.code("DeleteCampaignContact", inner) == 0
        client.close()


def add(server: RunningSimulator, contact_id: str) -> None:
    with SoapClient(server) as client:
        client.open()
        assert client.add(contact_id=contact_id) == 0
        client.close()


def store_again(server: RunningSimulator, contact_id: str) -> None:
    """Put a contact that is there into the campaign a second time, as it is, with an id of its own."""

    def work() -> None:
        campaign = server.service.store.campaigns[CAMPAIGN]
        [found] = [each for each in campaign.contacts() if each.id == contact_id]
        campaign.add(Contact(server.service.store.new_id(), *found[1:]))

    server._in_loop(work)


def everything(directory: Path) -> dict[str, bytes]:
    """Name and content of every file."""
    return {str(path): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def test_what_is_there_is_proven_and_nothing_is_changed(tmp_path):
    with running() as server:
        imported(tmp_path, server, 40)
        before, calls = everything(tmp_path / "run"), server.state()["calls"]
        state = everything(Path(os.environ["CONTACT_PIPELINE_STATE"]))
        assert proven(tmp_path) == []
        made = {name: n - calls.get(name, 0) for name, n in server.state()["calls"].items() if n != calls.get(name)}
        assert made == {
            "OpenAPISession": 1,
            "GetCampaign": 1,
            "GetCampaignContactsListing": 1,
            "CloseAPISession": 1,
        }
        assert server.state()["sessions"]["open"] == 0
    assert everything(tmp_path / "run") == before
    assert everything(Path(os.environ["CONTACT_PIPELINE_STATE"])) == state


@pytest.mark.parametrize("known", ["state", "journal", "configured", "nobody"])
def test_whoever_knows_that_the_target_keeps_ids(tmp_path, known):
    """Nothing but an id of ours in the list tells where there was no canary and the state is gone."""
    with running() as server:
        canary = 5 if known == "journal" else 0
        imported(tmp_path, server, 20, *(["target.keeps_ids=true"] if known == "configured" else []), canary=canary)
        [file] = Path(os.environ["CONTACT_PIPELINE_STATE"]).rglob(campaign.FILE)
        if known == "state":
            with sqlite3.connect(file) as database:
                database.execute("INSERT OR REPLACE INTO facts VALUES ('keeps_ids', 'true')")
            database.close()
        else:
            file.unlink()
        assert proven(tmp_path) == []
        [gone, *_] = ids(tmp_path)
        delete(server, gone)
        assert proven(tmp_path) == [
            "row 1 of " + str(tmp_path / "list.csv") + " is accepted, but the target's list does not hold it"
        ]


def test_what_is_missing_and_what_is_there_twice_is_named(tmp_path):
    with running() as server:
        imported(tmp_path, server, 40)
        rows = ids(tmp_path)
        delete(server, rows[6])
        add(server, rows[11])
        add(server, rows[12])
        add(server, rows[12])
        problems = proven(tmp_path)
    source = tmp_path / "list.csv"
    assert problems == [
        f"row 7 of {source} is accepted, but the target's list does not hold it",
        f"row 12 of {source} is accepted, and the target's list holds it 2 times",
        f"row 13 of {source} is accepted, and the target's list holds it 3 times",
    ]


def test_of_many_only_the_first_are_told(tmp_path):
    with running() as server:
        imported(tmp_path, server, 30)
        for contact_id in ids(tmp_path)[:25]:
            delete(server, contact_id)
        problems = proven(tmp_path)
    assert len(problems) == 11
    assert problems[-1] == "... and 15 more like this"


def test_rows_that_were_not_added_must_not_be_there(tmp_path):
    with running(OncSettings(refuse={"5550(100|101|102)": None})) as server:
        assert counts(imported(tmp_path, server, 20)) == {"accepted": 17, "rejected": 3}
        assert proven(tmp_path) == []
        server.control(refuse={})
        add(server, ids(tmp_path)[1])
        [problem] = proven(tmp_path)
        assert problem.startswith(f"row 2 of {tmp_path / 'list.csv'} is rejected, and yet the target's list holds it")
        assert EXPLAINED in problem
        # Another run has brought it there: that is no mistake of this one.
        config = settings(tmp_path / "config.toml", server.url)
        loaded, sources = run.load([config], [], [str(tmp_path / "list.csv")])
        delete(server, ids(tmp_path)[1])
        anyio.run(run.import_contacts, loaded, sources, run.ImportOptions(run_dir=tmp_path / "second"))
        assert len(held(server)) == 20
        assert proven(tmp_path) == []


def test_what_the_target_refused_as_it_was_there_is_explained(tmp_path, monkeypatch):
    """Nothing was known of the campaign: only the target's code for it says that the contacts stood there before."""
    with running(OncSettings(duplicate_ids="refuse")) as server:
        imported(tmp_path, server, 3)
        monkeypatch.setenv("CONTACT_PIPELINE_STATE", str(tmp_path / "elsewhere"))
        (tmp_path / "run").rename(tmp_path / "first")
        second = imported(tmp_path, server, 3, 'state.known=["state"]', "target.keeps_ids=true")
        assert counts(second) == {"rejected": 3}
        problems = proven(tmp_path)
    assert [problem.partition(" of ")[0] for problem in problems] == ["row 1", "row 2", "row 3"]
    assert all(EXPLAINED in problem for problem in problems)


def test_pending_rows_are_not_there_and_of_doubtful_ones_nothing_is_said(tmp_path):
    lost = (Fault("cut", first=10, last=12, stored=True), Fault("cut", first=13, last=14))
    face = OncSettings(null_lists=True, faults=(*lost, Fault("unavailable", first=21, retry_after=None)))
    with running(face) as server:
        overrides = ("delivery.outage=4", "delivery.sessions=1", 'state.known=["state"]')
        done = imported(tmp_path, server, 30, *overrides, canary=0)
        assert done.summary.exit_code == 5
        assert counts(done) == {"accepted": 15, "in_doubt": 5, "pending": 10}
        server.control(null_lists=False, faults=[])
        assert proven(tmp_path) == []
        add(server, ids(tmp_path)[29])
        [problem] = proven(tmp_path)
        assert "row 30 of" in problem
        assert "is pending, and yet" in problem


def test_a_list_that_lags_is_read_again(tmp_path):
    with running(OncSettings(listing_lag=600)) as server:
        assert counts(imported(tmp_path, server, 20, "target.keeps_ids=true", canary=0)) == {"accepted": 20}
        before = server.state()["calls"].get("GetCampaignContactsListing", 0)

        def reads() -> int:
            return server.state()["calls"].get("GetCampaignContactsListing", 0) - before

        async def main() -> list[str]:
            found: list[str] = ["not asked"]

            async def prove() -> None:
                found[:] = await run.prove_run(tmp_path / "run", (SECRET, "delivery.late_effect=25"))

            async with anyio.create_task_group() as group:
                group.start_soon(prove)
                await anyio.to_thread.run_sync(wait_for, server, "GetCampaignContactsListing", before + 2)
                await anyio.to_thread.run_sync(lambda: server.control(advance=600))
            return found

        assert anyio.run(main) == []
        assert reads() == 3
        delete(server, ids(tmp_path)[0])
        server.control(advance=600)
        assert len(proven(tmp_path, "delivery.late_effect=0.2")) == 1
        assert reads() == 5, "when the list can no longer lag, what is missing is missing"


def test_a_null_list_proves_nothing(tmp_path):
    with running() as server:
        imported(tmp_path, server, 10)
        server.control(null_lists=True)
        with pytest.raises(TargetUnreachable, match="gives no list of the campaign's contacts"):
            proven(tmp_path)
        assert server.state()["sessions"]["open"] == 0


def test_a_target_that_cannot_be_asked(tmp_path):
    with running() as server:
        imported(tmp_path, server, 10)
        with pytest.raises(ConfigError, match=r"target\.password: is missing"):
            anyio.run(run.prove_run, tmp_path / "run")
        with pytest.raises(TargetUnusable, match="opens no session"):
            anyio.run(run.prove_run, tmp_path / "run", ("target.password=another",))
        with pytest.raises(ConfigError, match="cannot be changed for a run that was begun"):
            proven(tmp_path, "contacts.region=US")


def test_a_list_that_breaks_off_is_no_list(tmp_path):
    with running() as server:
        imported(tmp_path, server, 20)
        calls = server.state()["calls"].get("GetCampaignContactsListing", 0)
        server.control(
            faults=[Fault("cut_answer", first=calls + 1, last=calls + 1, operation="GetCampaignContactsListing")]
        )
        assert proven(tmp_path) == []
        assert server.state()["faults"]["cut_answer"] == 1


def test_a_ledger_that_does_not_add_up_is_not_compared(tmp_path):
    with running() as server:
        imported(tmp_path, server, 10)
        calls = server.state()["calls"]
        summary = tmp_path / "run" / "summary.json"
        told = json.loads(summary.read_text())
        told["counts"]["accepted"] = 9
        summary.write_text(json.dumps(told))
        problems = proven(tmp_path)
        assert server.state()["calls"] == calls
    assert problems[-1] == "the target was not asked: the run must add up by itself first"


def test_it_waits_for_nobody(tmp_path):
    """Another run may hold the campaign meanwhile."""
    with running() as server:
        imported(tmp_path, server, 10)
        loaded, _ = run.load([tmp_path / "config.toml"], [], [])
        base = Path(os.environ["CONTACT_PIPELINE_STATE"])
        with campaign.held(base, loaded.target.identity, loaded.target.campaign):
            assert proven(tmp_path) == []


# --- a target that keeps none of our ids ---


def test_contacts_are_counted_where_the_target_keeps_no_ids(tmp_path):
    with running(OncSettings(own_ids=True)) as server:
        imported(tmp_path, server, 30)
        assert proven(tmp_path) == []
        gone, again = server.contacts(CAMPAIGN)[7], server.contacts(CAMPAIGN)[3]
        delete(server, gone["id"])
        store_again(server, again["id"])
        problems = proven(tmp_path)

    def row(contact: dict[str, Any]) -> str:
        number = int(contact["email"]["destination"].removeprefix("p").partition("@")[0]) + 1
        return (
            f"row {number} of {tmp_path / 'list.csv'} is accepted: with its destinations 1 were added, and the target"
        )

    assert sorted(problems) == sorted(
        [
            f"{row(gone)} holds 0 more than before the run",
            f"{row(again)} holds 2 more than before the run",
        ]
    )


def test_what_stood_there_before_is_no_contact_of_ours(tmp_path):
    """The same people were in the campaign already; one of those is deleted, and it cannot be told from ours."""
    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    with running(OncSettings(own_ids=True)) as server:
        imported(tmp_path / "first", server, 12)
        imported(tmp_path / "second", server, 12, wave="again")
        assert len(held(server)) == 24
        assert proven(tmp_path / "second") == []
        assert proven(tmp_path / "first") == [], "others have sent since: more is no problem"
        delete(server, held(server)[0])
        assert len(proven(tmp_path / "second")) == 1
        assert proven(tmp_path / "first") == []
        [delete(server, contact_id) for contact_id in held(server)]
        assert len(proven(tmp_path / "first")) == 11


def test_without_a_count_nothing_can_be_proven(tmp_path):
    with running(OncSettings(own_ids=True)) as server:
        imported(tmp_path, server, 10)
        (tmp_path / "run" / "baseline.sqlite").unlink()
        [problem] = proven(tmp_path)
    assert problem.startswith("it cannot be proven what the target holds")
    assert not (tmp_path / "run" / "baseline.sqlite").exists()


def test_masked_destinations_are_no_hindrance(tmp_path):
    with running(OncSettings(own_ids=True)) as server:
        imported(tmp_path, server, 10, "ledger.mask=true")
        assert proven(tmp_path) == []
        delete(server, held(server)[0])
        assert len(proven(tmp_path)) == 1


# --- the command ---


def test_the_command(tmp_path, monkeypatch):
    call: Callable[..., Ended] = command
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TEST_PASSWORD", "password")
    Path("list.csv").write_text(LIST, encoding="utf-8")
    short: Any = ("--set", "delivery.late_effect=0.2")
    with running() as server:
        Path("config.toml").write_text(CONFIG.format(endpoint=server.url), encoding="utf-8")
        assert call("import", "list.csv", "--config", "config.toml", "--run-dir", "r", *short).code == 1
        ended = call("verify", "r", "--against-target")
        assert (ended.code, ended.complaints) == (0, [])
        assert ended.out == (
            "proven: every source row stands in the ledger exactly once, and the counts add up. The target holds every "
            "accepted row, and holds it once. Run: r\n"
        )
        delete(server, held(server)[0])
        ended = call("verify", "r", "--against-target", *short)
        assert ended.code == 1
        first, last = ended.out.splitlines()
        assert first.endswith("of list.csv is accepted, but the target's list does not hold it")
        assert last == "Not proven: 1 of the above. Run: r"
        assert call("verify", "r").code == 0
        server.control(null_lists=True)
        ended = call("verify", "r", "--against-target", *short)
        assert (ended.code, ended.out) == (5, "")
        assert ended.complaints == [
            "the target gives no list of the campaign's contacts (GetCampaignContactsListing answers null, "
            "which means an error), so nothing is proven. Try again later."
        ]
        ended = call("verify", "r", *short)
        assert (ended.code, ended.complaints) == (2, ["--set: means something with --against-target only"])
