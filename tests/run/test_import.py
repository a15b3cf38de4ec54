"""Whole imports over loopback into the simulator: what it holds is compared with the ledger, row by row."""

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import httpx
import polars as pl
import pytest

from pipeline import run
from pipeline.errors import Busy, NotDelivered, OutcomeUnknown, RunError, UsageError
from pipeline.ledger.disk import sync_directory
from pipeline.ledger.journal import Journal
from pipeline.records import Batch, Status
from pipeline.run import ImportOptions, Progress, Result, job
from pipeline.run.outcome import exit_code
from pipeline.simulator import Campaign, Codes, Fault, OncSettings, RunningSimulator, Simulator, running
from pipeline.stages.breaker import Breaker
from pipeline.values import Share

CAMPAIGN = OncSettings().campaigns[0].id
AREAS = (416, 647, 604, 250, 514, 403)

MAPPING = """
[contacts]
key = ["customer_id"]
region = "CA"
[contacts.sms]
destination = "{mobile}"
text = "Hi {first_name} & <co>"
retries = 7
[contacts.email]
destination = "{email}"
"""


def contact_list(path: Path, rows: int) -> Path:
    """A list whose rows can all be sent, each with destinations of its own."""
    with path.open("w", encoding="utf-8") as file:
        file.write("customer_id,first_name,mobile,email\n")
        for row in range(rows):
            number = f"+1 {AREAS[row // 100 % 6]} 555 {100 + row % 100:04}"
            file.write(f"c{row},Zoë{row},{number},p{row}@example.com\n")
    return path


def settings(path: Path, url: str, dialect: str = "wcf", **target: Any) -> Path:
    path.write_text(
        f"""
[target]
system = "onc"
endpoint = "{url}"
account_id = "account"
username = "user"
password = "password"
campaign_id = "{target.pop("campaign_id", CAMPAIGN)}"
dialect = "{dialect}"
[delivery]
late_effect = "200ms"
{MAPPING}"""
    )
    return path


class Imported:
    """One import and what both sides say of it."""

    def __init__(
        self,
        directory: Path,
        server: RunningSimulator,
        rows: int = 60,
        *overrides: str,
        options: ImportOptions | None = None,
        progress: Progress | None = None,
        dialect: str = "wcf",
        wsdl: str | None = None,
    ) -> None:
        config = settings(directory / "config.toml", server.url, dialect)
        more = [f'target.wsdl="{wsdl}"'] if wsdl else []
        source = contact_list(directory / "list.csv", rows)
        loaded, sources = run.load([config], [*overrides, *more], [str(source)])
        options = replace(options or ImportOptions(), run_dir=directory / "run")

        async def main() -> Result:
            with anyio.fail_after(60):
                return await run.import_contacts(loaded, sources, options, progress=progress)

        self.result = anyio.run(main)
        self.summary = self.result.summary
        self.counts = {status: count for status, count in self.summary.counts.items() if count}
        self.ledger = pl.read_parquet(directory / "run" / "ledger.parquet")
        self.contacts = list(server.contacts(CAMPAIGN))
        self.state = server.state()
        self.problems = run.verify_run(directory / "run")

    def rows(self, status: str) -> pl.DataFrame:
        return self.ledger.filter(pl.col("status") == status)

    def assert_agreement(self) -> None:
        """Accepted rows are there once and as sent; rows surely not sent or refused are not; nothing is unproven."""
        assert self.problems == []
        held = Counter(contact["id"] for contact in self.contacts)
        for row in self.ledger.iter_rows(named=True):
            if row["status"] == "accepted":
                assert held[row["contact_id"]] == 1, row
            elif row["status"] != "in_doubt":
                assert held[row["contact_id"]] == 0, row
            else:
                assert held[row["contact_id"]] <= 1, row
        assert set(held) <= set(self.ledger["contact_id"])
        sessions = self.state["sessions"]
        assert sessions["open"] == 0
        assert sessions["max_concurrent_calls"] == 1


@pytest.mark.parametrize("dialect", ["wcf", "asmx"])
def test_what_the_target_holds_is_what_the_ledger_says(tmp_path, dialect):
    with running(OncSettings(dialect=dialect)) as server:
        done = Imported(tmp_path, server, 60, dialect=dialect)
    assert done.summary.exit_code == 0
    assert done.counts == {"accepted": 60}
    done.assert_agreement()
    by_id = {contact["id"]: contact for contact in done.contacts}
    for row in done.ledger.iter_rows(named=True):
        contact = by_id[row["contact_id"]]
        assert contact["sms"]["destination"] == row["sms"]
        assert contact["sms"]["text"] == f"Hi Zoë{row['row'] - 1} & <co>"
        assert contact["sms"]["retry_count"] == 7
        assert contact["sms"]["status"] == 1
        assert contact["email"]["destination"] == row["email"]
        assert contact["voice"] is None


def test_a_service_with_a_contract_of_its_own(tmp_path):
    face = OncSettings(
        namespace="urn:acme:outbound:v7",
        contract="ICampaigns",
        service="AcmeCampaigns",
        data_namespace="urn:acme:data",
        member_order="shuffled:5",
        split_wsdl=True,
    )
    with running(face) as server:
        done = Imported(tmp_path, server, 30, wsdl=f"{server.url}?wsdl")
    assert done.counts == {"accepted": 30}
    done.assert_agreement()
    assert done.state["skipped_members"] == {}


def test_sessions_that_expire_in_mid_run_cost_no_row(tmp_path):
    with running(OncSettings(expire_after_calls=7)) as server:
        done = Imported(tmp_path, server, 100, "delivery.sessions=4")
    assert done.counts == {"accepted": 100}
    done.assert_agreement()
    assert set(done.ledger["attempts"]) == {1}
    sessions = done.summary.sessions
    assert sessions.expired >= 4
    assert sessions.opened == sessions.closed + sessions.expired


def test_a_cap_on_sessions_only_caps_the_pool(tmp_path):
    with running(OncSettings(session_cap=2)) as server:
        done = Imported(tmp_path, server, 80, "delivery.sessions=8")
    assert done.counts == {"accepted": 80}
    done.assert_agreement()
    assert done.state["sessions"]["opened"] == 2
    assert done.state["sessions"]["refused"] == 1, "the target is asked once, not by every worker"


def test_one_code_for_everything(tmp_path):
    """Expired sessions and refused rows answer with the same code; no good row may be called refused."""
    face = OncSettings(codes=Codes.all(1), expire_after_calls=6, refuse={"5550(11|12)": None})
    with running(face) as server:
        done = Imported(tmp_path, server, 100, "delivery.sessions=3")
    assert done.counts == {"accepted": 80, "rejected": 20}
    done.assert_agreement()
    assert done.rows("rejected")["code"].unique().to_list() == ["1"]
    assert done.summary.exit_code == 1


def test_an_unlisted_code_that_means_gone_is_learnt_and_told(tmp_path):
    with running(OncSettings(expire_after_calls=5)) as server:
        done = Imported(tmp_path, server, 100, "delivery.sessions=2")
    assert done.counts == {"accepted": 100}
    proofs = done.state["calls"]["GetCampaignListing"]
    assert proofs <= 4, "asked about once or twice, then known"
    assert 'target.codes.session = ["101"]' in done.summary.learnt


def test_listed_codes_are_believed(tmp_path):
    faults = (Fault("busy", every=9),)
    codes = ("target.codes.transient=[901]", "target.codes.session=[101]")
    with running(OncSettings(faults=faults)) as server:
        done = Imported(tmp_path, server, 40, *codes, options=ImportOptions(canary=0))
    assert done.counts == {"accepted": 40}
    done.assert_agreement()
    assert done.ledger["attempts"].max() == 2
    assert "GetCampaignListing" not in done.state["calls"]


def test_fifty_refusals_in_a_row_prove_the_campaign(tmp_path):
    with running(OncSettings(refuse={"555": None})) as server:
        done = Imported(tmp_path, server, 120, "delivery.sessions=2", options=ImportOptions(canary=0))
    assert done.counts == {"rejected": 120}
    assert done.state["calls"]["GetCampaign"] == 2 + 2  # two before the first row


def test_lost_answers_are_settled_before_the_run_ends(tmp_path):
    faults = (Fault("cut", every=10, stored=True), Fault("cut", every=7))
    with running(OncSettings(faults=faults)) as server:
        done = Imported(tmp_path, server, 60, "delivery.sessions=3")
    assert done.summary.exit_code == 0
    assert done.counts == {"accepted": 60}
    done.assert_agreement()
    again = done.ledger.filter(pl.col("attempts") > 1).height
    assert 4 <= again < done.state["adds"]["received"], "only what was not there was sent again"


def test_lost_answers_of_a_target_without_a_list_stay_in_doubt(tmp_path):
    faults = (Fault("cut", every=10, stored=True), Fault("cut", every=7))
    with running(OncSettings(faults=faults, null_lists=True)) as server:
        overrides = ("delivery.sessions=3", 'state.known=["state"]')
        done = Imported(tmp_path, server, 60, *overrides, options=ImportOptions(canary=0))
    assert done.summary.exit_code == 4
    doubtful = done.rows("in_doubt").height
    assert doubtful >= 8
    assert done.counts == {"accepted": 60 - doubtful, "in_doubt": doubtful}
    done.assert_agreement()
    assert done.state["adds"]["received"] == 60


@pytest.mark.parametrize("status", [200, 500])
@pytest.mark.parametrize("stored", [True, False])
def test_unclassified_faults_are_settled_by_asking(tmp_path, status, stored):
    faults = (Fault("fault", first=20, last=20, status=status, stored=stored),)
    with running(OncSettings(faults=faults)) as server:
        done = Imported(tmp_path, server, 40)
    assert done.counts == {"accepted": 40}
    done.assert_agreement()
    assert done.state["adds"]["received"] == 40 + (not stored)


def test_a_busy_target_is_waited_for(tmp_path):
    faults = (Fault("unavailable", first=10, last=14, retry_after=1), Fault("unavailable", every=23, retry_after=None))
    with running(OncSettings(faults=faults)) as server:
        done = Imported(tmp_path, server, 40, "delivery.sessions=3")
    assert done.counts == {"accepted": 40}
    done.assert_agreement()
    assert set(done.ledger["attempts"]) == {1}


def test_a_lost_connection_in_mid_run_is_waited_for(tmp_path, monkeypatch):
    """The port is closed after the canary and opened again when the run has noticed."""
    progress = Progress()
    noticed = anyio.Event()
    failed = Breaker.failed

    def noticing(breaker: Breaker, error: NotDelivered | OutcomeUnknown) -> None:
        noticed.set()
        failed(breaker, error)

    monkeypatch.setattr(Breaker, "failed", noticing)
    with running(OncSettings(latency=0.02)) as server:

        async def dark() -> None:
            while progress.sent < 30:  # noqa: ASYNC110 - progress is a plain object without events
                await anyio.sleep(0.005)
            assert progress.counts["accepted"] == progress.sent, "what was surveyed is not all that is told"
            await anyio.to_thread.run_sync(lambda: server.control(outage="refuse"))
            await noticed.wait()
            await anyio.to_thread.run_sync(lambda: server.control(outage=None))

        config = settings(tmp_path / "config.toml", server.url)
        source = contact_list(tmp_path / "list.csv", 150)
        loaded, sources = run.load([config], ["delivery.sessions=4"], [str(source)])

        async def main() -> Result:
            async with anyio.create_task_group() as group:
                group.start_soon(dark)
                result = await run.import_contacts(
                    loaded, sources, ImportOptions(run_dir=tmp_path / "run"), progress=progress
                )
                noticed.set()  # it may have been done before the port was closed
            return result

        result = anyio.run(main)
        counts = result.summary.counts
        held = Counter(contact["id"] for contact in server.contacts(CAMPAIGN))
    assert counts["accepted"] == 150
    ledger = pl.read_parquet(tmp_path / "run" / "ledger.parquet")
    assert held == Counter(ledger["contact_id"].to_list())


def test_an_outage_without_end_stops_the_run(tmp_path):
    faults = (Fault("unavailable", first=20, retry_after=None),)
    with running(OncSettings(faults=faults)) as server:
        done = Imported(tmp_path, server, 60, "delivery.outage=1")
    assert done.summary.exit_code == 5
    assert "Try again later" in done.result.error
    assert done.counts == {"accepted": 19, "pending": 41}
    done.assert_agreement()


# --- the canary ---


@pytest.mark.parametrize(
    ("member", "words"),
    [("Destination", "destination"), ("RetryCount", "retry count")],
)
def test_a_member_that_gets_lost_stops_the_run_at_the_canary(tmp_path, member, words):
    with running(OncSettings(drop_members=frozenset({member}))) as server:
        done = Imported(tmp_path, server, 60)
    assert done.summary.exit_code == 6
    assert words in done.result.error
    assert done.state["adds"]["received"] == 5, "nothing but the canary's rows has left"
    assert done.contacts == [], "and they were taken back"
    assert done.counts == {"pending": 60}
    done.assert_agreement()


def test_a_wrong_contract_stops_the_run_at_the_canary_or_before(tmp_path):
    """The shipped contract's order is not this service's: members are lost without a word."""
    with running(OncSettings(member_order="reversed")) as server:
        done = Imported(tmp_path, server, 60)
    assert done.summary.exit_code == 6
    assert done.state["adds"]["received"] <= 5
    assert "target.wsdl" in done.result.error


def test_a_target_with_ids_of_its_own_passes_the_canary(tmp_path):
    with running(OncSettings(own_ids=True)) as server:
        done = Imported(tmp_path, server, 60)
    assert done.counts == {"accepted": 60}
    assert len(done.contacts) == 60
    assert "target.keeps_ids = false" in done.summary.learnt


def test_own_ids_and_a_lost_destination_fail_the_canary(tmp_path):
    with running(OncSettings(own_ids=True, drop_members=frozenset({"Destination"}))) as server:
        done = Imported(tmp_path, server, 60)
    assert done.summary.exit_code == 6
    assert done.state["adds"]["received"] == 5
    assert done.counts == {"accepted": 5, "pending": 55}


def test_a_campaign_too_large_to_be_read_back_is_unproven_and_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.stages.canary.READ_LIMIT", 100_000)
    crowded = (Campaign(CAMPAIGN, "Crowded", contacts=5000),)
    with running(OncSettings(campaigns=crowded)) as server:
        config = settings(tmp_path / "config.toml", server.url)
        source = contact_list(tmp_path / "list.csv", 40)
        loaded, sources = run.load([config], [], [str(source)])
        options = ImportOptions(run_dir=tmp_path / "run")
        result = anyio.run(run.import_contacts, loaded, sources, options)
    assert result.summary.counts["accepted"] == 40
    assert "unproven" in (tmp_path / "run" / "journal.jsonl").read_text()


def test_a_list_that_lags_is_read_again(tmp_path):
    with running(OncSettings(listing_lag=1.0)) as server:
        done = Imported(tmp_path, server, 40, "delivery.late_effect=2")
    assert done.counts == {"accepted": 40}
    assert done.state["calls"]["GetCampaignContacts"] > 2


def test_a_canary_of_refused_rows_is_followed_by_another(tmp_path):
    face = OncSettings(refuse={"55501(00|01|02|03|04|05|06)": None}, drop_members=frozenset({"RetryCount"}))
    with running(face) as server:
        done = Imported(tmp_path, server, 60)
    assert done.summary.exit_code == 6
    assert done.state["adds"]["received"] == 10


def test_fewer_rows_than_the_canary(tmp_path):
    with running() as server:
        done = Imported(tmp_path, server, 3)
    assert done.counts == {"accepted": 3}
    assert done.state["calls"]["GetCampaignContacts"] == 2, "before the first row, and after the canary"


def test_without_canary_nothing_is_read_back(tmp_path):
    with running() as server:
        done = Imported(tmp_path, server, 30, options=ImportOptions(canary=0))
    assert done.counts == {"accepted": 30}
    assert done.state["calls"]["GetCampaignContacts"] == 1, "what is there before the first row"


def test_null_lists_are_an_error_and_not_an_empty_campaign(tmp_path):
    with running(OncSettings(null_lists=True)) as server:
        done = Imported(tmp_path, server, 30, 'state.known=["state"]')
    assert done.summary.exit_code == 6
    assert "cannot be read back" in done.result.error
    assert done.state["adds"]["received"] <= 5


# --- thresholds ---


def test_too_many_bad_rows_in_the_survey_send_nothing(tmp_path):
    with running() as server:
        config = settings(tmp_path / "config.toml", server.url)
        source = contact_list(tmp_path / "list.csv", 30)
        source.write_text(source.read_text() + "x1,A,12,a\nx2,B,13,b\n")
        loaded, sources = run.load([config], [], [str(source)])
        options = ImportOptions(run_dir=tmp_path / "run", max_bad=Share.parse("1"))
        result = anyio.run(run.import_contacts, loaded, sources, options)
        assert server.state()["calls"] == {}
    assert result.summary.exit_code == 3
    assert result.summary.counts["pending"] == 30
    assert run.verify_run(tmp_path / "run") == []


def test_too_many_refused_rows_stop_the_run(tmp_path):
    with running(OncSettings(refuse={"5550(12|13|14)": None})) as server:
        options = ImportOptions(max_bad=Share.parse("4"))
        done = Imported(tmp_path, server, 300, "delivery.sessions=2", options=options)
    assert done.summary.exit_code == 3
    assert 5 <= done.counts["rejected"] <= 6
    assert done.counts["pending"] > 200
    done.assert_agreement()


def test_stream_sends_without_a_survey(tmp_path):
    with running() as server:
        done = Imported(tmp_path, server, 60, options=ImportOptions(stream=True))
    assert done.counts == {"accepted": 60}
    assert done.result.survey is None
    done.assert_agreement()


def test_tolerated_bad_rows_still_end_with_success(tmp_path):
    with running(OncSettings(refuse={"555010[01]": None})) as server:
        done = Imported(tmp_path, server, 60, options=ImportOptions(tolerate=Share.parse("5%")))
    assert done.counts == {"accepted": 58, "rejected": 2}
    assert done.summary.exit_code == 0


@pytest.mark.parametrize("failure", [Busy("another run"), UsageError("this cannot be done")])
def test_bad_rows_do_not_hide_that_nothing_was_sent(failure: RunError):
    counts = Counter({Status.INVALID: 3, Status.PENDING: 7})
    assert exit_code(counts, failure=failure, received=None, tolerate=None) == failure.exit_code


def test_limit_takes_the_first_rows(tmp_path):
    with running() as server:
        done = Imported(tmp_path, server, 60, options=ImportOptions(limit=12))
    assert done.counts == {"accepted": 12}
    done.assert_agreement()


# --- without a network ---


def test_clients_can_be_injected(tmp_path):
    """The same import in memory: no socket is opened."""
    simulator = Simulator(OncSettings())
    config = settings(tmp_path / "config.toml", "http://simulator/onc.svc")
    source = contact_list(tmp_path / "list.csv", 30)
    loaded, sources = run.load([config], [], [str(source)])

    async def main() -> Result:
        return await run.import_contacts(
            loaded,
            sources,
            ImportOptions(run_dir=tmp_path / "run"),
            surroundings=run.Surroundings(clients=lambda: httpx.AsyncClient(transport=httpx.ASGITransport(simulator))),
        )

    result = anyio.run(main)
    assert result.summary.counts["accepted"] == 30
    assert simulator.state()["adds"]["stored"] == 30
    assert simulator.state()["sessions"]["open"] == 0


# --- what a second look found ---


def test_a_percentage_of_bad_rows_is_of_the_whole_input(tmp_path):
    with running(OncSettings(refuse={"5550101": None})) as server:
        config = settings(tmp_path / "config.toml", server.url)
        source = contact_list(tmp_path / "list.csv", 100)
        bad = "".join(f"bad{row},A,12,a\n" for row in range(1100))
        source.write_text(source.read_text() + bad)
        loaded, sources = run.load([config], [], [str(source)])
        options = ImportOptions(run_dir=tmp_path / "run", max_bad=Share.parse("92%"))
        result = anyio.run(run.import_contacts, loaded, sources, options)
    assert result.summary.exit_code == 1, "1,101 of 1,200 rows are 91.75 per cent, however few were sent first"
    assert result.summary.counts["accepted"] == 99


def test_several_calls_on_a_session_that_expires(tmp_path):
    with running(OncSettings(expire_after_calls=40, latency=0.002)) as server:
        done = Imported(tmp_path, server, 300, "delivery.sessions=2", "delivery.calls_per_session=4")
    assert done.counts == {"accepted": 300}
    assert done.problems == []
    assert done.state["sessions"]["open"] == 0
    assert done.summary.sessions.opened == done.summary.sessions.closed + done.summary.sessions.expired


def test_contacts_of_an_earlier_run_are_not_the_canarys_to_judge_or_take_back(tmp_path):
    with running() as server:
        config = settings(tmp_path / "config.toml", server.url)
        source = contact_list(tmp_path / "list.csv", 8)
        loaded, sources = run.load([config], [], [str(source)])
        anyio.run(run.import_contacts, loaded, sources, ImportOptions(run_dir=tmp_path / "first"))
        source.write_text(source.read_text().replace("p1@", "q1@"))
        loaded, sources = run.load([config], [], [str(source)])
        result = anyio.run(run.import_contacts, loaded, sources, ImportOptions(run_dir=tmp_path / "second"))
        assert "DeleteCampaignContact" not in server.state()["calls"]
        assert len(list(server.contacts(CAMPAIGN))) == 8
    assert result.summary.counts["changed"] == 1
    assert result.summary.counts["duplicate"] == 7


def test_without_canary_memory_does_not_hold_outcomes(tmp_path, monkeypatch):
    def never(*_: object) -> None:
        raise AssertionError("the gate is not asked")

    monkeypatch.setattr("pipeline.run.canary.CanaryGate.settled", never)
    with running() as server:
        done = Imported(tmp_path, server, 30, options=ImportOptions(canary=0))
    assert done.counts == {"accepted": 30}


def test_a_mistake_of_ours_still_leaves_an_account(tmp_path, monkeypatch):
    with running() as server:
        config = settings(tmp_path / "config.toml", server.url)
        source = contact_list(tmp_path / "list.csv", 40)
        loaded, sources = run.load([config], [], [str(source)])

        def broken(*_: object) -> None:
            raise ZeroDivisionError("+14165550100")

        monkeypatch.setattr("pipeline.run.canary.CanaryGate.prove", broken)
        result = anyio.run(run.import_contacts, loaded, sources, ImportOptions(run_dir=tmp_path / "run"))
        assert server.state()["sessions"]["open"] == 0
    assert result.summary.exit_code == 8
    assert "ZeroDivisionError" in result.error
    assert "4165550100" not in result.error
    assert run.verify_run(tmp_path / "run") == []


@pytest.mark.skipif(os.name == "nt", reason="there is no such call there")
def test_names_of_new_directories_are_durable_before_anything_is_sent(tmp_path, monkeypatch):
    """A directory whose own name is lost with the power takes everything in it along."""
    synced: set[Path] = set()
    before: list[set[Path]] = []  # what was synced when the first row left

    def sync(path: Path) -> None:
        synced.add(Path(path).absolute())
        sync_directory(path)

    begin = Journal.begin

    def begin_noted(self: Journal, *told: Any) -> int:
        before.append(synced.copy())
        return begin(self, *told)

    for name, module in list(sys.modules.items()):
        if name.startswith("pipeline") and "sync_directory" in vars(module):
            monkeypatch.setattr(module, "sync_directory", sync)
    monkeypatch.setattr(Journal, "begin", begin_noted)
    monkeypatch.setenv("CONTACT_PIPELINE_STATE", str(tmp_path / "kept" / "state"))
    with running() as server:
        config = settings(tmp_path / "config.toml", server.url)
        loaded, sources = run.load([config], [], [str(contact_list(tmp_path / "list.csv", 4))])
        options = ImportOptions(run_dir=tmp_path / "runs" / "today" / "run")
        result = anyio.run(run.import_contacts, loaded, sources, options)
    assert result.summary.exit_code == 0
    parents = {tmp_path / name for name in ("runs/today/run", "runs/today", "runs", "kept/state", "kept", ".")}
    assert parents - before[0] == set()


def test_a_directory_of_the_users_is_left_alone(tmp_path):
    (tmp_path / "mine" / "contract").mkdir(parents=True)
    (tmp_path / "mine" / "contract" / "my.wsdl").write_text("x")
    config = settings(tmp_path / "config.toml", "http://127.0.0.1:9/onc.svc")
    source = contact_list(tmp_path / "list.csv", 4)
    loaded, sources = run.load([config], [], [str(source)])
    with pytest.raises(UsageError, match="is not empty"):
        anyio.run(run.import_contacts, loaded, sources, ImportOptions(run_dir=tmp_path / "mine"))
    assert (tmp_path / "mine" / "contract" / "my.wsdl").read_text() == "x"


@pytest.mark.parametrize("left", [(), ("suppress/01",), ("suppress/01", "contract"), ("contract", "run.toml")])
def test_what_was_killed_before_it_began_can_be_begun_again(tmp_path, left):
    directory = tmp_path / "run"
    directory.mkdir()
    for name in (".lock", *left):
        if "." in name:
            (directory / name).touch()
        else:
            (directory / name).mkdir(parents=True)
    with running() as server:
        config = settings(tmp_path / "config.toml", server.url)
        loaded, sources = run.load([config], [], [str(contact_list(tmp_path / "list.csv", 4))])
        result = anyio.run(run.import_contacts, loaded, sources, ImportOptions(run_dir=directory))
    assert result.summary.counts["accepted"] == 4


# --- the resubmit file ---


def test_an_unmended_resubmit_file_sends_nothing_and_a_mended_one_completes_the_job(tmp_path):
    with running() as server:
        config = settings(tmp_path / "config.toml", server.url)
        source = contact_list(tmp_path / "list.csv", 20)
        broken = (
            "x1,=cmd,12,bad\nx2,Ann,+1 416 555 0199\nx3,Bob,+1 416 555 0198,b@example.com,more\n'x4,Cid,n/a,also bad\n"
        )
        source.write_text(source.read_text() + broken)
        loaded, _ = run.load([config], [], [str(source)])

        def again(name: str, path: Path) -> dict[str, int]:
            opened = run.load([config], [], [str(path)])[1]
            result = anyio.run(run.import_contacts, loaded, opened, ImportOptions(run_dir=tmp_path / name))
            assert run.verify_run(tmp_path / name) == []
            return {status: count for status, count in result.summary.counts.items() if count}

        assert again("first", source) == {"accepted": 20, "invalid": 4}
        unmended = tmp_path / "first" / "resubmit.csv"
        assert again("second", unmended) == {"invalid": 4}
        ledger = pl.read_parquet(tmp_path / "second" / "ledger.parquet")
        assert ledger["key"].to_list() == ["x1", None, None, "'x4"], "keys are as the source had them"
        text = unmended.read_text("utf-8-sig")
        assert "'=cmd" in text, "a spreadsheet runs no formula"
        mended = text.replace(",12,bad", ",+1 416 555 0197,good@example.com").replace(
            ",n/a,also bad", ",,c@example.com"
        )
        assert mended.count("mend the cells of this row") == 2
        mended = mended.replace("0199,,", "0199,y@example.com,")
        mended = mended.replace('"b@example.com,more"', "b@example.com")
        (tmp_path / "mended.csv").write_text(mended, "utf-8-sig")
        assert again("third", tmp_path / "mended.csv") == {"accepted": 4}
        assert server.state()["adds"]["stored"] == 24


# --- a source that changes ---


def test_a_source_that_changes_while_it_is_sent_is_told_and_not_covered_up(tmp_path):
    progress = Progress()
    with running(OncSettings(latency=0.01)) as server:
        config = settings(tmp_path / "config.toml", server.url)
        source = contact_list(tmp_path / "list.csv", 100)
        loaded, sources = run.load([config], [], [str(source)])

        async def change() -> None:
            while progress.sent < 20:  # noqa: ASYNC110 - progress is a plain object without events
                await anyio.sleep(0.005)
            source.write_text(source.read_text().replace("p7@", "q7@"))

        async def main() -> Result:
            async with anyio.create_task_group() as group:
                group.start_soon(change)
                options = ImportOptions(run_dir=tmp_path / "run")
                return await run.import_contacts(loaded, sources, options, progress=progress)
            raise AssertionError

        result = anyio.run(main)
    assert result.summary.exit_code == 8
    assert "list.csv changed while the run went on" in result.error
    assert result.summary.counts["accepted"] == 100, "the journal knows"
    assert not (tmp_path / "run" / "ledger.parquet").exists(), "no ledger is better than a wrong one"
    assert any("is not the file that the run has read" in problem for problem in run.verify_run(tmp_path / "run"))


def test_a_source_that_changes_before_it_is_sent_sends_nothing(tmp_path):
    with running() as server:
        config = settings(tmp_path / "config.toml", server.url)
        source = contact_list(tmp_path / "list.csv", 100)
        loaded, sources = run.load([config], [], [str(source)])

        async def look(_: object) -> bool:
            source.write_text(source.read_text().replace("p7@", "q7@"))
            return True

        async def main() -> Result:
            options = ImportOptions(run_dir=tmp_path / "run")
            return await run.import_contacts(loaded, sources, options, confirm=look)

        result = anyio.run(main)
        assert result.summary.exit_code == 8
        assert "AddCampaignContact" not in server.state()["calls"]


def reading(monkeypatch: pytest.MonkeyPatch, asked: Callable[[], None]) -> None:
    """Whoever reads the list, `asked` is called before each batch."""
    original = job.batches

    def batches(*args: Any, **options: Any) -> Iterator[Batch]:
        walk = original(*args, **options)
        while True:
            asked()
            if (batch := next(walk, None)) is None:
                return
            yield batch

    monkeypatch.setattr(job, "batches", batches)


@pytest.mark.parametrize("stream", [True, False])
def test_a_source_that_changes_while_the_account_is_made_makes_no_ledger(tmp_path, monkeypatch, stream):
    """All of it is read again where nothing was kept of it, else what is to be mended."""
    progress = Progress()
    with running(OncSettings(refuse={"p7@": None})) as server:
        config = settings(tmp_path / "config.toml", server.url)
        source = contact_list(tmp_path / "list.csv", 60)
        loaded, sources = run.load([config], [], [str(source)])

        def change() -> None:
            if progress.phase == "writing":
                source.write_text(source.read_text().replace("p7@", "q7@"))

        reading(monkeypatch, change)
        options = ImportOptions(run_dir=tmp_path / "run", stream=stream)
        result = anyio.run(partial(run.import_contacts, loaded, sources, options, progress=progress))
    assert result.summary.exit_code == 8
    assert "list.csv changed while the run went on" in result.error
    assert result.summary.counts["accepted"] == 59, "the journal knows"
    assert not list((tmp_path / "run").glob("ledger.*")), "no ledger is better than a wrong one"
    assert not (tmp_path / "run" / "resubmit.csv").exists()


@pytest.mark.parametrize(("refused", "again"), [({}, 0), ({"p7@": None}, 1)])
def test_the_list_is_parsed_once_and_once_more_only_where_rows_are_to_be_mended(tmp_path, monkeypatch, refused, again):
    progress = Progress()
    phases: Counter[str] = Counter()
    reading(monkeypatch, lambda: phases.update([str(progress.phase)]))
    with running(OncSettings(refuse=refused)) as server:
        done = Imported(tmp_path, server, 60, progress=progress)
    done.assert_agreement()
    assert phases == Counter(surveying=2, writing=again), "the one batch of the survey, and its end"
