"""What is in the campaign with other content is updated on request: once, whole, and through lost answers and kills."""

import signal
from collections.abc import Iterable
from pathlib import Path

import polars as pl
import pytest
from cli.kit import run as call
from simulator.halting import struck

from pipeline.simulator import Fault, OncSettings, RunningSimulator, running

from .test_import import CAMPAIGN
from .test_state_of_campaign import begun, desk, everybody, imported, ledger, people, prepared  # noqa: F401

UPDATE = "UpdateCampaignContact"
UPSERT = ("--mode", "upsert")

pytestmark = pytest.mark.usefixtures("desk")


def changed(rows: Iterable[int]) -> None:
    """Give these rows of the list another name, and with it another text."""
    lines = Path("list.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    for row in rows:
        lines[1 + row] = lines[1 + row].replace(f"Zoë{row},", f"Zoé{row},")
    Path("list.csv").write_text("".join(lines), encoding="utf-8")


def names(server: RunningSimulator) -> set[str]:
    """The names in the texts of those that were changed."""
    return {c["sms"]["text"].split()[1] for c in server.contacts(CAMPAIGN) if "Zoé" in c["sms"]["text"]}


def updates(server: RunningSimulator) -> int:
    return int(server.state()["calls"].get(UPDATE, 0))


def test_what_changed_is_updated_and_nothing_else():
    with running() as server:
        prepared(server, 60)
        imported("first")
        changed((3, 30, 31))
        assert imported("told")[:2] == (1, {"duplicate": 57, "changed": 3})
        assert imported("second", *UPSERT)[:2] == (0, {"accepted": 3, "duplicate": 57})
        assert updates(server) == 3
        assert people(server) == everybody(60)
        assert names(server) == {"Zoé3", "Zoé30", "Zoé31"}
        updated = ledger("second").filter(pl.col("status") == "accepted")
        assert updated["row"].to_list() == [4, 31, 32]
        assert set(updated["warnings"].list.first()) == {"it was there with other content, and was updated"}
        assert call("verify", "second", "--against-target").code == 0
        assert imported("third", *UPSERT)[:2] == (0, {"duplicate": 60})
        assert imported("fourth")[:2] == (0, {"duplicate": 60})
        assert updates(server) == 3


def test_new_rows_are_added_and_changed_ones_updated_in_one_run():
    with running() as server:
        prepared(server, 40)
        imported("first")
        prepared(server, 60)
        changed((7, 50))
        assert imported("second", *UPSERT)[:2] == (0, {"accepted": 21, "duplicate": 39})
        assert (updates(server), people(server), names(server)) == (1, everybody(60), {"Zoé7", "Zoé50"})


@pytest.mark.parametrize("stored", [False, True])
def test_an_update_without_an_answer_is_sent_again(stored):
    with running(OncSettings(faults=(Fault("cut", every=3, operation=UPDATE, stored=stored),))) as server:
        prepared(server, 60)
        imported("first")
        changed(range(20))
        assert imported("second", *UPSERT)[:2] == (0, {"accepted": 20, "duplicate": 40})
        assert updates(server) > 20
        assert names(server) == {f"Zoé{row}" for row in range(20)}
        assert people(server) == everybody(60)


def test_an_update_that_never_gets_an_answer_is_in_doubt_and_taken_up_again():
    with running(OncSettings(faults=(Fault("html", operation=UPDATE, stored=False),))) as server:
        prepared(server, 20)
        imported("first")
        changed((5,))
        code, counts, _ = imported("second", *UPSERT, "--set", "delivery.attempts=2", "--set", "delivery.outage=60")
        assert (code, counts) == (4, {"in_doubt": 1, "duplicate": 19})
        [row] = ledger("second").filter(pl.col("status") == "in_doubt").to_dicts()
        assert row["reason"] == "its update got no answer: it is there, with the old content or the new"
        server.control(faults=[])
        assert call("resume", "second").code == 0
        assert names(server) == {"Zoé5"}
        assert call("verify", "second").code == 0


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_run_that_is_ended_while_it_updates_is_gone_on_with(number):
    with running(OncSettings(latency=0.01)) as server:
        prepared(server, 80)
        imported("first")
        changed(range(60))
        process = begun("second", *UPSERT)
        struck(server, process, 20, operation=UPDATE, by=number)
        assert call("resume", "second").code == 0
        assert set(ledger("second")["status"]) == {"accepted", "duplicate"}
        assert names(server) == {f"Zoé{row}" for row in range(60)}
        assert people(server) == everybody(80)
        assert call("verify", "second", "--against-target").code == 0
        assert imported("third")[:2] == (0, {"duplicate": 80})


def test_after_a_killed_update_nobody_knows_the_content_until_it_is_updated_again():
    with running(OncSettings(latency=0.01)) as server:
        prepared(server, 40)
        imported("first")
        old = Path("list.csv").read_text(encoding="utf-8")
        changed(range(40))
        process = begun("second", *UPSERT)
        struck(server, process, 10, operation=UPDATE)
        Path("list.csv").write_text(old, encoding="utf-8")  # and the old list is to be in force again
        code, counts, _ = imported("third", *UPSERT)
        assert (code, sum(counts.values())) == (0, 40)
        assert names(server) == set()
        assert people(server) == everybody(40)


def test_a_machine_without_state_updates_what_it_finds():
    with running() as server:
        prepared(server, 20)
        imported("first")
        changed((4,))
        elsewhere = ("--set", "state.directory=elsewhere")
        assert imported("second", *elsewhere, *UPSERT)[:2] == (0, {"accepted": 20})
        assert (updates(server), names(server), people(server)) == (20, {"Zoé4"}, everybody(20))
        assert imported("third", *elsewhere, *UPSERT)[:2] == (0, {"duplicate": 20})


def test_what_gives_ids_of_its_own_cannot_be_updated():
    with running(OncSettings(own_ids=True)) as server:
        prepared(server, 20)
        imported("first")
        changed((4,))
        code, counts, ended = imported("second", *UPSERT)
        assert (code, counts) == (1, {"changed": 1, "duplicate": 19})
        assert "upsert.impossible" in ended.err
        assert updates(server) == 0


def test_an_undo_leaves_what_was_only_updated():
    with running() as server:
        prepared(server, 40)
        imported("first")
        prepared(server, 60)
        changed((7,))
        imported("second", *UPSERT)
        assert call("undo", "second", "--yes").code == 0
        assert people(server) == everybody(40)
        assert names(server) == {"Zoé7"}


def test_a_run_is_gone_on_with_in_the_mode_in_which_it_was_begun():
    with running() as server:
        prepared(server, 20)
        imported("first", "--continue")
        ended = call("import", "list.csv", "--config", "config.toml", "--run-dir", "first", "--continue", *UPSERT)
        assert ended.code == 2
        assert "holds a run with another mode" in ended.err
