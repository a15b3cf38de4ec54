"""A run that is gone on with after others have sent, deleted or changed: nothing of that is forgotten or undone."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cli.kit import run as call
from simulator.halting import struck

from pipeline.simulator import Fault, OncSettings, RunningSimulator, running

from .test_import import CAMPAIGN
from .test_run_campaign import MAKE, made, paused, ready
from .test_state_of_campaign import arguments, begun, desk, everybody, imported, people, prepared, received  # noqa: F401
from .test_updating import UPDATE, UPSERT, changed, names

pytestmark = [
    pytest.mark.usefixtures("desk"),
    pytest.mark.skipif(sys.platform == "win32", reason="signals are those of POSIX"),
]

LIST = Path("list.csv")
LISTS = ("GetCampaignContacts", "GetCampaignContactsListing")


def unlisted() -> tuple[Fault, ...]:
    """From now on no list is to be had but null."""
    return tuple(Fault("busy", operation=operation) for operation in LISTS)


@contextmanager
def kept(path: Path) -> Iterator[None]:
    """Put a file's content back in the end."""
    content = path.read_bytes()
    try:
        yield
    finally:
        path.write_bytes(content)


def damaged(server: RunningSimulator) -> int:
    return sum(not (contact["sms"] or {}).get("destination") for contact in server.contacts(CAMPAIGN))


def killed_while_it_updates(server: RunningSimulator, run_dir: str, updates: int, source: str = "list.csv") -> None:
    command = [sys.executable, "-m", "pipeline", *arguments(run_dir, *UPSERT, source=source)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    struck(server, process, updates, operation=UPDATE)


def test_a_machine_that_only_tried_knows_nothing_yet():
    with running() as server:
        prepared(server, 30)
        imported("first")
        elsewhere = ("--set", "state.directory=elsewhere")
        server.control(faults=list(unlisted()))
        for attempt in ("second", "third"):
            assert imported(attempt, *elsewhere)[0] == 5
        assert received(server) == 30
        server.control(faults=[])
        assert imported("fourth", *elsewhere)[:2] == (0, {"duplicate": 30})


def test_an_upsert_does_not_bring_back_into_the_state_what_an_undo_has_deleted():
    with running(OncSettings(latency=0.01)) as server:
        prepared(server, 20)
        imported("first")
        with kept(LIST):
            changed(range(20))
            Path("new.csv").write_bytes(LIST.read_bytes())
        killed_while_it_updates(server, "second", 5, source="new.csv")
        assert call("undo", "first", "--yes").code == 0
        assert people(server) == everybody(0)
        assert call("resume", "second").code == 1  # there is nothing to be updated any more
        assert imported("third", source="new.csv")[:2] == (0, {"accepted": 20})
        assert people(server) == everybody(20)


def test_a_campaign_that_was_made_anew_holds_nothing_of_its_old_runs():
    with running(OncSettings(latency=0.01)) as server:
        prepared(server, 60)
        process = begun("first")
        struck(server, process, 20, by=signal.SIGTERM)
        shown = call("campaign", "show", "--config", "config.toml").out
        Path("again.toml").write_text(f'id = "{CAMPAIGN}"\n{shown}', encoding="utf-8")
        assert call("campaign", "delete", "--config", "config.toml", "--yes").code == 0
        assert call("campaign", "add", "again.toml", "--config", "config.toml").code == 0
        for refused in (("resume", "first"), ("undo", "first", "--yes")):
            ended = call(*refused)
            assert (ended.code, "campaign was deleted" in ended.err) == (2, True)
        assert imported("second")[:2] == (0, {"accepted": 60})
        assert people(server) == everybody(60)
        assert call("undo", "first", "--yes").code == 2
        assert people(server) == everybody(60)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_the_canary_of_a_run_that_ended_is_read_back_by_the_next(number):
    with running(OncSettings(drop_members=frozenset({"Destination"}), listing_lag=600)) as server:
        prepared(server, 40)
        process = begun("first", "--set", "delivery.late_effect=600")
        struck(server, process, 2, operation=LISTS[0], by=number)
        assert damaged(server) == 5
        server.control(listing_lag=0, advance=600, drop_members=())
        assert imported("second")[0] == 6
        assert imported("third")[0] == 0
        assert damaged(server) == 0
        assert people(server) == everybody(40)


def test_a_run_that_is_to_start_its_campaign_is_not_finished_by_another():
    with running() as server:
        ready(server)
        server.control(faults=[Fault("cut", first=10, last=10, stored=True), *unlisted()])
        blind = ("--canary", "0", "--set", 'state.known=["state"]', "--set", "delivery.outage=1")
        assert imported("first", *MAKE, "--activate", *blind)[0] in (4, 5)
        [campaign_id] = made(server)
        server.control(faults=[])
        assert imported("second", "--campaign-id", campaign_id)[0] == 0
        assert paused(campaign_id)
        assert call("resume", "first").code == 0
        assert not paused(campaign_id)


def test_an_upsert_that_was_overtaken_writes_nothing_over_what_is_newer():
    with running(OncSettings(latency=0.01)) as server:
        prepared(server, 40)
        imported("first")
        with kept(LIST):
            changed(range(40))
            Path("older.csv").write_bytes(LIST.read_bytes())
        Path("newer.csv").write_text(LIST.read_text().replace(",Zoë", ",New"), encoding="utf-8")
        killed_while_it_updates(server, "second", 10, source="older.csv")
        assert imported("third", *UPSERT, source="newer.csv")[0] == 0
        resumed = call("resume", "second")
        assert "upsert.overtaken" in resumed.err
        assert names(server) == set()
        assert imported("fourth", source="newer.csv")[:2] == (0, {"duplicate": 40})
