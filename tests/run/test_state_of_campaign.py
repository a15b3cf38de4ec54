"""What is in a campaign outlives the runs: nothing is sent twice by whoever comes next, however the last one ended."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import anyio
import anyio.to_thread
import polars as pl
import pytest
from cli.kit import Ended
from cli.kit import run as call
from simulator.halting import ADD, halted, struck, wait_for

from pipeline import run
from pipeline.cli import contacts
from pipeline.ledger import campaign
from pipeline.ledger.recovery import recover
from pipeline.simulator import Campaign, Fault, OncSettings, RunningSimulator, running

from .test_import import CAMPAIGN, MAPPING, contact_list

posix = pytest.mark.skipif(sys.platform == "win32", reason="signals are those of POSIX")
own_ids = pytest.mark.parametrize("own_ids", [False, True], ids=["keeps_ids", "own_ids"])

ANOTHER = "33333333-3333-4333-8333-333333333333"

CONFIG = """
[target]
system = "onc"
endpoint = "{url}"
account_id = "account"
username = "user"
password = {{ env = "TEST_PASSWORD" }}
campaign_id = "{campaign}"
[delivery]
late_effect = 0.2
sessions = 4
"""


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory; the state of its campaigns is the one of the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TEST_PASSWORD", "password")
    return tmp_path


def configured(server: RunningSimulator) -> None:
    Path("config.toml").write_text(CONFIG.format(url=server.url, campaign=CAMPAIGN) + MAPPING, encoding="utf-8")


def prepared(server: RunningSimulator, rows: int) -> None:
    """A configuration for this server, and a list."""
    configured(server)
    contact_list(Path("list.csv"), rows)


def arguments(run_dir: str, *more: str, source: str = "list.csv") -> list[str]:
    return ["import", source, "--config", "config.toml", "--run-dir", run_dir, "--no-progress", *more]


def imported(run_dir: str, *more: str, source: str = "list.csv") -> tuple[int, dict[str, int], Ended]:
    """Exit code, rows by status, and all that was written."""
    ended = call(*arguments(run_dir, "--json", *more, source=source))
    return ended.code, told(ended), ended


def told(ended: Ended) -> dict[str, int]:
    return {status: rows for status, rows in json.loads(ended.out)["counts"].items() if rows}


def killed(server: RunningSimulator, run_dir: str, sent: int, *more: str, number: int = signal.SIGKILL) -> None:
    """An import that was ended by a signal when the target had received so many rows."""
    process = begun(run_dir, *more)
    struck(server, process, sent, by=number)


def begun(run_dir: str, *more: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "pipeline", *arguments(run_dir, *more)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def received(server: RunningSimulator) -> int:
    return int(server.state()["adds"]["received"])


def people(server: RunningSimulator) -> Counter[str]:
    """How often each person is in the campaign, whoever gave the ids."""
    return Counter(contact["email"]["destination"] for contact in server.contacts(CAMPAIGN))


def everybody(rows: int, times: int = 1) -> Counter[str]:
    return Counter({f"p{row}@example.com": times for row in range(rows)})


def ledger(run_dir: str) -> pl.DataFrame:
    return pl.read_parquet(Path(run_dir, "ledger.parquet"))


# --- the same list once more ---


@own_ids
def test_a_second_import_of_a_list_sends_nothing(desk, own_ids):
    with running(OncSettings(own_ids=own_ids)) as server:
        prepared(server, 120)
        assert imported("first")[:2] == (0, {"accepted": 120})
        calls = server.state()["calls"]
        assert imported("second")[:2] == (0, {"duplicate": 120})
        assert server.state()["calls"] == calls, "not even a session is opened"
        assert call("verify", "second").code == 0
        assert set(ledger("second")["reason"]) == {"it is in the campaign already, with the same content"}


def test_mended_rows_are_sent_and_changed_ones_are_told(desk):
    with running() as server:
        prepared(server, 60)
        whole = Path("list.csv").read_text(encoding="utf-8")
        bad = {row: f"c{row},Zoë{row},n/a,p{row}\n" for row in range(20)}
        lines = whole.splitlines(keepends=True)
        Path("list.csv").write_text(
            "".join([lines[0], *(bad.get(row, line) for row, line in enumerate(lines[1:]))]), encoding="utf-8"
        )
        assert imported("first")[:2] == (1, {"accepted": 40, "invalid": 20})
        changed = whole.replace("Zoë30,", "Zoé30,").replace("p31@", "q31@")
        Path("list.csv").write_text(changed, encoding="utf-8")
        before = received(server)
        assert imported("second")[:2] == (1, {"accepted": 20, "duplicate": 38, "changed": 2})
        assert received(server) == before + 20
        resubmit = pl.read_csv("second/resubmit.csv", infer_schema=False)
        assert resubmit["customer_id"].to_list() == ["c30", "c31"]
        assert set(resubmit["_status"]) == {"changed"}
        assert set(resubmit["_reason"]) == {"it is in the campaign already, with other content"}
        assert people(server) == everybody(60), "what is there stays as it is"
        calls = server.state()["calls"]
        assert imported("third")[:2] == (1, {"duplicate": 58, "changed": 2})
        assert server.state()["calls"] == calls


# --- without the state ---


def test_a_machine_that_remembers_nothing_asks_the_target(desk):
    with running() as server:
        prepared(server, 60)
        imported("first")
        before = received(server)
        contact_list(Path("list.csv"), 70)
        code, counts, _ = imported("second", "--set", "state.directory=elsewhere")
        assert (code, counts) == (0, {"accepted": 10, "duplicate": 60})
        assert received(server) == before + 10
        assert people(server) == everybody(70)
        told_of = ledger("second").filter(pl.col("status") == "duplicate")
        assert set(told_of["reason"]) == {"it is in the campaign already: the target lists it"}
        assert call("verify", "second").code == 0


def test_where_neither_remembers_a_warning_says_so(desk):
    with running(OncSettings(own_ids=True)) as server:
        prepared(server, 20)
        imported("first")
        # Told by the canary of the first; on another machine by the configuration.
        keeps_none = ("--set", "target.keeps_ids=false")
        code, counts, ended = imported("second", *keeps_none)
        assert (code, counts) == (0, {"duplicate": 20})
        assert "repeats.unseen" not in ended.err
        code, counts, ended = imported("third", *keeps_none, "--set", "state.directory=elsewhere")
        assert (code, counts) == (0, {"accepted": 20})
        assert "repeats.unseen" in ended.err
        assert people(server) == everybody(20, times=2)


@pytest.mark.parametrize("canary", ["5", "0"])
def test_where_nothing_is_remembered_nothing_is_sent_until_the_list_can_be_read(desk, canary):
    elsewhere = ("--set", "state.directory=elsewhere", "--canary", canary)
    with running() as server:
        prepared(server, 20)
        imported("first")
        before = received(server)
        server.control(null_lists=True)
        code, counts, ended = imported("second", *elsewhere)
        assert (code, counts) == (5, {"pending": 20}), ended.err
        assert "Try again later" in ended.err
        assert received(server) == before
        server.control(null_lists=False)
        assert imported("second", "--continue", *elsewhere)[:2] == (0, {"duplicate": 20})
        assert imported("third", *elsewhere)[:2] == (0, {"duplicate": 20})
        assert received(server) == before
        assert people(server) == everybody(20)


def test_a_list_that_is_null_for_a_moment_stops_nobody(desk):
    with running() as server:
        prepared(server, 20)
        imported("first")
        read = server.state()["calls"]["GetCampaignContacts"]
        null = Fault("busy", first=read + 1, last=read + 2, operation="GetCampaignContacts")
        server.control(faults=[null])
        code, counts, ended = imported("second", "--set", "state.directory=elsewhere")
        assert (code, counts) == (0, {"duplicate": 20}), ended.err
        assert server.state()["faults"]["busy"] == 2


@pytest.mark.parametrize("chosen", ['state.known=["state"]', "target.keeps_ids=false"])
def test_who_does_not_ask_the_list_goes_on_without_it(desk, chosen):
    with running() as server:
        prepared(server, 20)
        imported("first")
        server.control(null_lists=True)
        code, counts, ended = imported("second", "--set", chosen, "--set", "state.directory=elsewhere", "--canary", "0")
        assert (code, counts) == (0, {"accepted": 20}), ended.err
        assert "repeats.unseen" in ended.err
        assert people(server) == everybody(20, times=2)


# --- after a kill ---


@posix
@own_ids
def test_what_a_killed_run_left_is_settled_by_the_next(desk, own_ids):
    with running(OncSettings(own_ids=own_ids, latency=0.01)) as server:
        prepared(server, 200)
        killed(server, "first", 60)
        code, counts, ended = imported("second")
        assert code == 0, ended.err
        assert set(counts) == {"accepted", "duplicate"}
        assert sum(counts.values()) == 200
        assert counts["duplicate"] >= 50
        assert people(server) == everybody(200)
        assert run.status_of(Path("first")).begun == 0, "the journal of the first knows of every row that it began"
        before = received(server)
        resumed = call("resume", "first", "--json")
        assert resumed.code == 0, resumed.err
        assert set(told(resumed)) == {"accepted", "duplicate"}
        assert told(resumed)["accepted"] == counts["duplicate"]
        assert received(server) == before
        assert [call("verify", name).code for name in ("first", "second")] == [0, 0]
        assert [call("verify", name, "--against-target").code for name in ("first", "second")] == [0, 0]


def lost(_: Path) -> None:
    """The directory of the killed run is deleted."""
    shutil.rmtree("first")


def changed(_: Path) -> None:
    """The list of the killed run is another now."""
    with Path("list.csv").open("a", encoding="utf-8") as file:
        file.write("new,Ann,+1 416 555 0199,new@example.com\n")


@posix
@pytest.mark.parametrize("how", [lost, changed])
def test_a_killed_run_that_is_lost_is_settled_by_the_targets_list(desk, how: Callable[[Path], None]):
    with running(OncSettings(latency=0.01)) as server:
        prepared(server, 160)
        killed(server, "first", 60)
        how(desk)
        code, counts, ended = imported("second")
        assert code == 0, ended.err
        assert "earlier_run.lost" in ended.err
        assert set(counts) == {"accepted", "duplicate"}
        assert people(server) == everybody(160) + Counter(["new@example.com"] if how is changed else [])
        assert call("verify", "second", "--against-target").code == 0
        calls = server.state()["calls"]
        code, counts, ended = imported("third")
        assert (code, set(counts)) == (0, {"duplicate"})
        assert "earlier_run.lost" not in ended.err, "it is settled for good"
        assert server.state()["calls"] == calls
        if how is changed:
            ended = call("resume", "first")
            assert ended.code == 2
            assert "is not the file that the run has read" in ended.err


@posix
@pytest.mark.parametrize("how", [lost, changed])
def test_what_cannot_be_told_of_a_lost_run_stays_in_doubt(desk, how: Callable[[Path], None]):
    with running(OncSettings(own_ids=True, latency=0.01)) as server:
        prepared(server, 160)
        killed(server, "first", 60)
        how(desk)
        before = received(server)
        code, counts, ended = imported("second")
        assert code == 4, ended.err
        if how is changed:  # the journal tells which rows were answered
            assert counts.pop("accepted") == 1
            assert 0 < counts.pop("duplicate") <= 60 + 8
            assert counts["in_doubt"] >= 160 - 60 - 8
        else:
            assert counts == {"in_doubt": 160}
        assert received(server) == before + (how is changed)
        assert max(people(server).values()) == 1
        assert call("verify", "second").code == 0
        assert imported("third")[0] == 4
        assert received(server) == before + (how is changed)


# --- one at a time ---


@posix
def test_one_run_of_a_campaign_at_a_time(desk):
    with running() as server:
        prepared(server, 60)
        holder = begun("first")
        with halted(server, ADD, 10, holder):
            ended = call(*arguments("second"))
            assert (ended.code, ended.out) == (7, "")
            [complaint] = ended.complaints
            assert complaint.startswith(f"another run holds campaign {CAMPAIGN} (lock: ")
            assert not Path("second").exists(), "nothing was begun"
            ended = call("resume", "first")
            assert (ended.code, ended.complaints) == (
                7,
                ["first: another process is at work on this run; nothing was sent"],
            )
            ended = call(*arguments("first", "--continue"))
            assert ended.code == 7
            assert call("status", "first").code == 0, "who only looks does not wait"
            assert call("check", "list.csv", "--config", "config.toml", "--run-dir", "checked").code == 0
            assert holder.poll() is None
            holder.kill()
            holder.communicate()
        assert imported("second")[0] == 0
        assert people(server) == everybody(60)


# --- waves ---


@own_ids
def test_a_wave_sends_the_same_people_once_more_and_is_repeatable(desk, own_ids):
    with running(OncSettings(own_ids=own_ids)) as server:
        prepared(server, 40)
        assert imported("first")[:2] == (0, {"accepted": 40})
        assert imported("second", "--wave", "spring")[:2] == (0, {"accepted": 40})
        assert people(server) == everybody(40, times=2)
        calls = server.state()["calls"]
        assert imported("third", "--wave", "spring")[:2] == (0, {"duplicate": 40})
        assert imported("fourth")[:2] == (0, {"duplicate": 40})
        assert server.state()["calls"] == calls
        assert imported("fifth", "--wave", "autumn")[:2] == (0, {"accepted": 40})
        assert people(server) == everybody(40, times=3)


# --- import --continue ---


def test_continue_starts_a_run_and_repeats_its_verdict(desk):
    with running() as server:
        prepared(server, 20)
        with Path("list.csv").open("a", encoding="utf-8") as file:
            file.write("bad,Ann,n/a,n/a\n")
        first = imported("run", "--continue")
        assert first[:2] == (1, {"accepted": 20, "invalid": 1})
        calls, journal = server.state()["calls"], Path("run/journal.jsonl").read_bytes()
        again = imported("run", "--continue")
        assert again[:2] == first[:2]
        assert again[2].out == first[2].out
        assert server.state()["calls"] == calls
        assert Path("run/journal.jsonl").read_bytes() == journal


@posix
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_continue_goes_on_with_what_was_stopped(desk, number):
    with running(OncSettings(latency=0.01)) as server:
        prepared(server, 160)
        killed(server, "run", 60, "--continue", number=number)
        assert received(server) < 160
        code, counts, ended = imported("run", "--continue")
        assert (code, counts) == (0, {"accepted": 160}), ended.err
        assert people(server) == everybody(160)
        assert call("verify", "run", "--against-target").code == 0


@pytest.mark.parametrize("part", [0.0, 0.5])
def test_continue_starts_anew_where_nothing_was_begun(desk, part):
    with running() as server:
        prepared(server, 20)
        call("check", "list.csv", "--config", "config.toml", "--run-dir", "another")
        header = Path("another/journal.jsonl").read_bytes().splitlines()[0]
        Path("run").mkdir()
        Path("run/journal.jsonl").write_bytes(header[: int(len(header) * part)])
        assert imported("run", "--continue")[:2] == (0, {"accepted": 20})
        assert call("verify", "run").code == 0


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (["--set", "contacts.sms.retries=4"], "holds a run with another mapping"),
        (["--campaign-id", ANOTHER], "holds a run with another campaign"),
        (["--set", "target.endpoint=http://127.0.0.1:9/onc.svc"], "holds a run with another target"),
        (["--wave", "spring"], "holds a run with another wave"),
        (["--limit", "7"], "holds a run with another limit"),
        (["more.csv"], "holds a run with another number of sources"),
    ],
)
def test_continue_refuses_what_is_another_run(desk, given, reason):
    with running() as server:
        prepared(server, 20)
        contact_list(Path("more.csv"), 3)
        imported("run", "--continue")
        calls, journal = server.state()["calls"], Path("run/journal.jsonl").read_bytes()
        ended = call(*arguments("run", "--continue"), *given)
        assert (ended.code, ended.out) == (2, "")
        assert ended.complaints == [f"run: {reason}: choose another directory for this one"]
        assert server.state()["calls"] == calls
        assert Path("run/journal.jsonl").read_bytes() == journal


def test_continue_refuses_another_content_of_the_source(desk):
    with running() as server:
        prepared(server, 20)
        imported("run", "--continue")
        contact_list(Path("list.csv"), 21)
        ended = call(*arguments("run", "--continue"))
        assert ended.code == 2
        assert ended.complaints == [
            "list.csv: is not the file that the run in run has read; put that back, or choose another directory"
        ]


def test_continue_wants_a_directory(desk):
    with running() as server:
        prepared(server, 20)
        ended = call("import", "list.csv", "--config", "config.toml", "--continue")
        assert ended.code == 2
        assert ended.complaints == ["--continue: goes on with the run in --run-dir: name that"]


def test_continue_judges_the_whole_list_each_time(desk):
    """The bad rows are those that a walk meets last; the scheduler that starts the line again sends nothing either."""
    with running() as server:
        prepared(server, 20)
        head = Path("list.csv").read_text(encoding="utf-8").splitlines()[0]
        bad = "".join(f"x{row},Ann,n/a,n/a\n" for row in range(101))
        Path("bad.csv").write_text(f"{head}\n{bad}", encoding="utf-8")
        line = ("bad.csv", "--continue", "--max-bad", "100")
        first = imported("run", *line)
        assert first[:2] == (3, {"pending": 20, "invalid": 101}), first[2].err
        again = imported("run", *line)
        assert again[:2] == first[:2], again[2].err
        assert received(server) == 0
        # Whoever types this has seen the rows.
        resumed = call("resume", "run", "--json")
        assert (resumed.code, told(resumed)) == (1, {"accepted": 20, "invalid": 101}), resumed.err
        assert people(server) == everybody(20)


# --- check ---


def test_check_tells_what_is_there_and_takes_no_lock(desk):
    with running() as server:
        prepared(server, 30)
        imported("first", "--limit", "20")
        calls = server.state()["calls"]
        whole = Path("list.csv").read_text(encoding="utf-8")
        Path("list.csv").write_text(whole.replace("Zoë3,", "Zoé3,"), encoding="utf-8")
        loaded = run.load_settings([Path("config.toml")], [])
        with campaign.held(Path(os.environ["CONTACT_PIPELINE_STATE"]), loaded.target.identity, CAMPAIGN):
            ended = call("check", "list.csv", "--config", "config.toml", "--run-dir", "checked", "--json")
        assert ended.code == 1
        assert told(ended) == {"duplicate": 19, "changed": 1, "pending": 10}
        assert server.state()["calls"] == calls
        assert call("verify", "checked").code == 0


@pytest.mark.parametrize("killed", [False, True])
def test_what_was_only_checked_is_no_run_to_go_on_with(desk, killed):
    with running() as server:
        prepared(server, 20)
        assert call("check", "list.csv", "--config", "config.toml", "--run-dir", "checked").code == 0
        journal = Path("checked/journal.jsonl")
        if killed:  # behind the first line of its journal
            journal.write_bytes(journal.read_bytes().splitlines(keepends=True)[0])
            for path in Path("checked").iterdir():
                if path.name.startswith(("ledger", "resubmit", "summary")):
                    path.unlink()
        before = journal.read_bytes()
        for command in (
            ["resume", "checked"],
            ["undo", "checked", "--yes"],
            arguments("checked", "--continue"),
        ):
            ended = call(*command)
            assert (ended.code, ended.out) == (2, ""), command
            [complaint] = ended.complaints
            assert complaint.startswith("checked: ")
            assert "check" in complaint.removeprefix("checked: ")
        assert server.state()["calls"] == {}
        assert journal.read_bytes() == before
        assert not Path("checked/undo").exists()
        assert call("verify", "checked").code == int(killed)
        assert call("status", "checked").code == 0


def test_check_makes_no_state(desk):
    contact_list(Path("list.csv"), 10)
    Path("config.toml").write_text(
        CONFIG.format(url="http://127.0.0.1:9/", campaign=CAMPAIGN) + MAPPING, encoding="utf-8"
    )
    ended = call(
        "check", "list.csv", "--config", "config.toml", "--run-dir", "checked", "--set", "state.directory=state"
    )
    assert ended.code == 0
    assert not Path("state").exists()
    assert list(Path(os.environ["CONTACT_PIPELINE_STATE"]).iterdir()) == []


# --- a large campaign ---


def test_doubtful_rows_are_told_in_a_campaign_of_300_000(desk):
    crowded = (Campaign(CAMPAIGN, "Crowded", contacts=300_000),)
    # Every tenth is there without an answer, others are lost.
    faults = (Fault("cut", every=10, last=60, stored=True), Fault("cut", every=7, last=60))
    with running(OncSettings(campaigns=crowded, faults=faults)) as server:
        prepared(server, 60)
        code, counts, ended = imported("run", "--set", "target.keeps_ids=true", "--canary", "0")
        assert (code, counts) == (0, {"accepted": 60}), ended.err
        assert server.state()["adds"]["duplicates"] == 0
        assert server.state()["adds"]["stored"] == 60
        assert server.state()["campaigns"][CAMPAIGN]["contacts"] == 300_060
        again = ledger("run").filter(pl.col("attempts") > 1).height
        assert received(server) == 60 + again
        assert again == 8
        assert call("verify", "run", "--against-target").code == 0


# --- an outage ---


def doubted(run_dir: str, rows: int) -> int:
    """How many rows were ever in doubt."""
    history = recover(Path(run_dir, "journal.jsonl")).history(0, rows)
    return history.filter(pl.col("status") == "in_doubt")["position"].n_unique()


def went_dark(server: RunningSimulator, outage: str, *, back: bool, overrides: tuple[str, ...]) -> run.Result:
    """An import during which the target goes dark after 40 rows, and comes back when the run has noticed, or not."""
    loaded, sources = run.load([Path("config.toml")], ["delivery.timeout=1", *overrides], ["list.csv"])
    options = run.ImportOptions(run_dir=Path("run"))

    def disturb() -> None:
        listing = "GetCampaignListing"
        with halted(server, ADD, 40):
            asked = server.state()["calls"].get(listing, 0)
            server.control(outage=outage, stored=outage != "503")
        if back:
            # Sending pauses: what is asked then is whether the sessions are good.
            wait_for(server, listing, asked + 2)
            server.control(outage=None)

    async def main() -> run.Result:
        results: list[run.Result] = []

        async def work() -> None:
            results.append(await run.import_contacts(loaded, sources, options))

        with anyio.fail_after(50):
            async with anyio.create_task_group() as group:
                group.start_soon(anyio.to_thread.run_sync, disturb)
                group.start_soon(work)
        return results[0]

    return anyio.run(main)


@pytest.mark.parametrize("outage", ["hang", "cut"])
def test_a_run_goes_on_by_itself_when_the_target_is_back(desk, outage):
    with running(OncSettings(latency=0.005)) as server:
        prepared(server, 160)
        result = went_dark(server, outage, back=True, overrides=())
        assert result.summary.exit_code == 0, result.error
        assert result.summary.counts["accepted"] == 160
        assert people(server) == everybody(160)
        assert 1 <= doubted("run", 160) <= 4, "one row for each call in flight"


@pytest.mark.parametrize("outage", ["hang", "cut", "503"])
def test_an_outage_that_lasts_ends_the_run_and_it_is_resumed_later(desk, outage):
    with running(OncSettings(latency=0.005)) as server:
        prepared(server, 160)
        result = went_dark(server, outage, back=False, overrides=("delivery.outage=1",))
        counts = result.summary.counts
        assert result.summary.exit_code == 5
        assert "Try again" in (result.error or "")
        assert counts["in_doubt"] <= 4
        assert counts["accepted"] >= 30
        assert counts["accepted"] + counts["in_doubt"] + counts["pending"] == 160
        assert call("verify", "run").code == 0
        server.control(outage=None)
        ended = call("resume", "run", "--json")
        assert (ended.code, told(ended)) == (0, {"accepted": 160}), ended.err
        assert people(server) == everybody(160)
        assert call("verify", "run", "--against-target").code == 0


# --- what a person sees ---


def test_plan_and_summary_say_what_is_there_already(desk, monkeypatch):
    asked: list[str] = []

    async def agreed(question: str, *, piped: bool) -> bool:
        asked.append(question)
        return True

    monkeypatch.setattr(contacts, "interactive", lambda *, piped: True)
    monkeypatch.setattr(contacts, "agreed", agreed)
    with running() as server:
        prepared(server, 30)
        call(*arguments("first", "--limit", "20", "--yes"))
        whole = Path("list.csv").read_text(encoding="utf-8")
        Path("list.csv").write_text(whole.replace("Zoë3,", "Zoé3,"), encoding="utf-8")
        ended = call(*arguments("second"))
        assert ended.code == 1
        assert asked == [f"Send 10 rows to campaign {CAMPAIGN} at {urlsplit(server.url).netloc}?"]
        assert (
            f"30 rows read, 10 can be sent to campaign {CAMPAIGN}.\nNot sent: duplicate 19, changed 1.\n" in ended.err
        )
        assert "19  it is in the campaign already, with the same content (first in line 2)" in ended.err
        assert " 1  it is in the campaign already, with other content (first in line 5)" in ended.err
        lines = ended.out.splitlines()
        assert lines[:5] == [
            "Finished; some rows need a look.",
            "  10  accepted",
            "  19  duplicate",
            "   1  changed",
            "  30  rows in all",
        ]
        assert "  19  it is in the campaign already, with the same content" in lines
        assert "   1  it is in the campaign already, with other content" in lines
        assert "Resubmit: second/resubmit.csv (1 row to mend and import again)" in lines
        ended = call(*arguments("third"))
        assert len(asked) == 1, "where nothing is sent there is nothing to ask"
        assert ended.out.splitlines()[:2] == ["Finished; some rows need a look.", "  29  duplicate"]


def test_what_the_state_knows_of_the_target_is_not_told_as_new(desk):
    with running() as server:
        prepared(server, 20)
        assert "Learnt about the target" in call(*arguments("first")).out
        contact_list(Path("list.csv"), 30)
        ended = call(*arguments("second"))
        assert ended.code == 0
        assert "  10  accepted" in ended.out
        assert "Learnt about the target" not in ended.out
        assert json.loads(Path("second/summary.json").read_bytes())["learnt"] == []


def test_verify_tells_that_an_undo_is_proven_too(desk):
    with running() as server:
        prepared(server, 20)
        imported("run")
        assert "undo" not in call("verify", "run").out
        assert call("undo", "run", "--yes").code == 0
        ended = call("verify", "run")
        assert (ended.code, ended.complaints) == (0, [])
        assert ended.out.startswith("proven: every source row stands in the ledger exactly once")
        assert "undo" in ended.out
        assert ended.out.endswith(" Run: run\n")
        ledger = Path("run/undo/ledger.csv")
        ledger.write_text("".join(ledger.read_text(encoding="utf-8").splitlines(keepends=True)[:-1]), encoding="utf-8")
        assert call("verify", "run").code == 1


@posix
def test_status_and_summary_do_not_warn_of_what_cannot_happen(desk):
    """A stopped run may be resumed, or its list imported anew: nothing would be sent twice."""
    with running(OncSettings(latency=0.01)) as server:
        prepared(server, 160)
        process = begun("first")
        out, _ = struck(server, process, 40, by=signal.SIGTERM)
        assert process.returncode == 143
        assert "Go on with: contact-pipeline resume first\n" in out
        assert "would be sent twice" not in out
