"""`campaign contacts`: a campaign's contacts with their delivery status, and a run followed to its deliveries."""

import csv
import io
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from cli.kit import CONFIG, Ended
from loopback import Handler, serving

from pipeline.records import CHANNELS, DELIVERIES_SCHEMA, LEDGER_SCHEMA
from pipeline.simulator import Campaign, Fault, RunningSimulator

Command = Callable[..., Ended]
Serve = Callable[..., RunningSimulator]
Configured = Callable[..., Path]

FIRST = "11111111-1111-4111-8111-111111111111"
WORDS = [
    "do not try", "pending", "sending", "delivering", "success", "waiting for retry", "permanent failure", "cancelled",
]  # fmt: skip


def contact(number: int, **members: Any) -> str:
    """A contact of a list, with an SMS channel."""
    inner = "".join(f"<{name}>{value}</{name}>" for name, value in members.items())
    return (
        f"<OutboundNotificationContactInfo><Id>{number:08x}-0000-4000-8000-000000000000</Id>"
        f"<SMSCommInfo>{inner}</SMSCommInfo></OutboundNotificationContactInfo>"
    )


@contextmanager
def answering(contacts: Callable[[], Iterator[str]], *, whole: bool = True) -> Iterator[str]:
    """The address of a service whose campaign has these contacts; not `whole`: the list breaks off after them."""

    class Answering(Handler):
        protocol_version = "HTTP/1.0"  # an answer ends where the connection does

        def respond(self) -> None:
            operation = self.asked().headers["soapaction"].strip('"').rpartition("/")[2]
            self.send_response(200)
            self.send_header("Content-Type", "text/xml; charset=utf-8")
            self.end_headers()
            head, tail = (
                f'<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><{operation}Response>'
                f"<{operation}Result>",
                f"</{operation}Result></{operation}Response></s:Body></s:Envelope>",
            )
            self.wfile.write(head.encode())
            if operation == "GetCampaignContacts":
                for text in contacts():
                    self.wfile.write(text.encode())
                if not whole:
                    return
            else:
                self.wfile.write(
                    {
                        "OpenAPISession": "<ErrorCode>0</ErrorCode><SessionId>S</SessionId>",
                        "CloseAPISession": "<ErrorCode>0</ErrorCode>",
                        "GetCampaign": f"<ID>{FIRST}</ID>",
                        "GetCampaignListing": f"<guid>{FIRST}</guid>",
                    }[operation].encode()
                )
            self.wfile.write(tail.encode())

    with serving(Answering) as origin:
        yield f"{origin}/onc.svc"


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_statuses_are_words(command: Command, configured: Configured) -> None:
    def contacts() -> Iterator[str]:
        for status in range(9):
            yield contact(status, Destination=f"+1415555010{status}", StatusCode=status, LastDeliveryErrorCode=-status,
                          RetryCount=status, TextToSendOverwrite=" a,\n&quot;b&quot; ")  # fmt: skip
        yield contact(99)

    with answering(contacts) as url:
        ended = command("campaign", "contacts", FIRST, "--config", configured(url))
    assert (ended.code, ended.complaints) == (0, [])
    written = rows(ended.out)
    assert list(written[0]) == DELIVERIES_SCHEMA.names()
    assert [each["sms_status"] for each in written] == [*WORDS, "unknown (8)", ""]
    assert [each["sms_error"] for each in written] == [*(str(-status) for status in range(9)), ""]
    assert [each["sms_attempts_left"] for each in written] == [*map(str, range(9)), ""]
    assert written[4]["sms"] == "+14155550104"
    assert written[4]["sms_text"] == ' a,\n"b" '
    assert {each["voice_status"] + each["email"] for each in written} == {""}


def test_files_are_for_their_owner_alone(command: Command, configured: Configured, serve: Serve) -> None:
    service = serve(campaigns=(Campaign(FIRST, contacts=10_000),))
    config = configured(service)
    before = os.umask(0)
    try:
        for name in ("all.csv", "all.parquet"):
            ended = command("campaign", "contacts", "--config", config, "--output", name)
            assert (ended.code, ended.out) == (0, f"10,000 contacts written to {name}.\n")
            assert Path(name).stat().st_mode & 0o777 == 0o600
    finally:
        os.umask(before)
    frame = pl.read_parquet("all.parquet")
    assert frame.schema == DELIVERIES_SCHEMA
    assert frame["contact_id"].sort().to_list() == sorted(each["id"] for each in service.contacts())
    assert frame["sms_status"].unique().to_list() == ["pending"]
    assert Path("all.csv").read_text() == command("campaign", "contacts", "--config", config).out
    assert command("campaign", "contacts", "--config", config, "--output", "x", "--format", "parquet").code == 0
    assert pl.read_parquet("x").equals(frame)
    assert sorted(each.name for each in Path().iterdir() if ".part" in each.name) == []


def test_where_it_cannot_go(command: Command, configured: Configured) -> None:
    config = configured()
    for arguments in (("--format", "parquet"), ("--output", "no/where.csv"), ("--output", ".")):
        assert command("campaign", "contacts", "--config", config, *arguments).code == 2


def test_a_list_that_breaks_off_leaves_no_file(command: Command, configured: Configured) -> None:
    with answering(lambda: (contact(number) for number in range(9_000)), whole=False) as url:
        config = configured(url)
        Path("old.csv").write_text("old")
        for arguments in (("--output", "old.csv"), ("--output", "new.parquet"), ()):
            ended = command("campaign", "contacts", "--config", config, *arguments)
            assert ended.code == 5
            assert "broke off after" in ended.err
    assert Path("old.csv").read_text() == "old"
    assert not Path("new.parquet").exists()
    assert [each.name for each in Path().iterdir() if ".part" in each.name] == []


def test_an_empty_campaign_and_a_null_list(command: Command, configured: Configured, serve: Serve) -> None:
    service = serve()
    config = configured(service)
    ended = command("campaign", "contacts", "--config", config)
    assert (ended.code, ended.out) == (0, ",".join(DELIVERIES_SCHEMA.names()) + "\n")
    service.control(null_lists=True)
    ended = command("campaign", "contacts", "--config", config)
    assert (ended.code, ended.out) == (5, "")


# --- following a run ------------------------------------------------------------------------------------------


@pytest.fixture
def ran(command: Command, serve: Serve, configured: Configured) -> Callable[..., RunningSimulator]:
    """A run in r, and the service that it went to, where other contacts are as well."""

    def run(*arguments: str, **settings: Any) -> RunningSimulator:
        service = serve(campaigns=(Campaign(FIRST, contacts=2),), **settings)
        assert command("import", "list.csv", "--config", configured(service), "--run-dir", "r", *arguments).code == 1
        return service

    return run


def told(service: RunningSimulator, status: int, error: int, left: int) -> None:
    """What the service tells of the SMS of every contact from now on."""
    store = service.service.store.campaign(FIRST)
    assert store is not None
    for key, held in store._contacts.items():
        assert not isinstance(held, list)
        if held.sms is not None:
            sms = held.sms._replace(status=status, last_error=error, retry_count=left)
            store._contacts[key] = held._replace(sms=sms)


@pytest.mark.parametrize("own_ids", [False, True])
def test_a_run_is_followed(command: Command, ran: Any, *, own_ids: bool) -> None:
    service = ran(own_ids=own_ids)
    told(service, 5, 486, 2)
    for name in ("followed.parquet", "followed.csv"):
        ended = command("campaign", "contacts", "--config", "config.toml", "--run", "r", "--output", name)
        assert (ended.code, ended.out) == (0, f"5 rows written to {name}.\n")
        by = "by destinations, as none of this run's ids is in the target's list" if own_ids else "by id"
        # The fifth row repeats the first: it is the same person, whose contact has the same id.
        assert ended.complaints == [
            f"{3 if own_ids else 4} of the run's rows have a contact, matched {by}.",
            "2 contacts of the campaign left out: not of this run.",
        ]
        assert Path(name).stat().st_mode & 0o777 == 0o600
    frame = pl.read_parquet("followed.parquet")
    ledger = pl.read_parquet("r/ledger.parquet")
    assert frame.select(LEDGER_SCHEMA.names()).equals(ledger)
    assert frame.columns[len(LEDGER_SCHEMA) :] == [
        f"{channel}_{what}" for channel in CHANNELS for what in ("status", "error", "attempts_left")
    ]
    waiting = ["waiting for retry", "waiting for retry", None, None]
    assert frame["sms_status"].to_list()[:4] == waiting
    assert frame["sms_error"].to_list()[:4] == [486, 486, None, None]
    assert frame["sms_attempts_left"].to_list()[:4] == [2, 2, None, None]
    assert frame["email_status"].to_list()[:4] == ["pending", None, None, "pending"]
    assert frame["sms_status"][4] == (None if own_ids else "waiting for retry")
    assert [each["sms_status"] for each in rows(Path("followed.csv").read_text())][:2] == waiting[:2]
    on_stdout = command("campaign", "contacts", "--config", "config.toml", "--run", "r")
    assert on_stdout.out == Path("followed.csv").read_text()


def test_a_ledger_of_csv_alone_and_contacts_of_one_id(command: Command, ran: Any) -> None:
    service = ran("--set", 'ledger.formats=["csv"]', faults=(Fault("expire", every=2),))
    store = service.service.store.campaign(FIRST)
    again = next(each for each in store.contacts() if each.email is not None)
    store.add(again._replace(voice=None))
    ended = command("campaign", "contacts", "--config", "config.toml", "--run", "r", "--output", "f.parquet")
    assert ended.code == 0
    assert "1 contact left out: listed more than once with one id." in ended.complaints
    assert pl.read_parquet("f.parquet").height == 5


def test_which_run(command: Command, ran: Any) -> None:
    ran()
    other = "22222222-2222-4222-8222-222222222222"
    arguments = ("campaign", "contacts", "--config", "config.toml", "--run")
    assert command(*arguments, "nowhere").complaints == ["nowhere: there is no run here"]
    ended = command("campaign", "contacts", other, "--config", "config.toml", "--run", "r")
    assert (ended.code, ended.complaints) == (2, [f"r: this run is of campaign {FIRST}, not of {other}"])
    Path("r/ledger.parquet").unlink()
    Path("r/ledger.csv").unlink()
    ended = command(*arguments, "r")
    assert (ended.code, ended.complaints) == (
        2, ["r: there is no ledger yet; it is written when the run ends or stops"],
    )  # fmt: skip


# --- a process of its own -------------------------------------------------------------------------------------


def process(*arguments: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "pipeline", "campaign", "contacts", "--config", "config.toml", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


@pytest.mark.skipif(sys.platform == "win32", reason="a process's peak cannot be asked for here")
def test_memory_does_not_grow_with_the_campaign(configured: Configured) -> None:
    peaks = []
    for number in (5_000, 60_000):

        def contacts(number: int = number) -> Iterator[str]:
            text = "x" * 2_000
            for each in range(number):
                yield contact(each, Destination="+14155550101", StatusCode=1, TextToSendOverwrite=text)

        with answering(contacts) as url:
            configured(url)
            with process("--output", "all.csv") as running:
                _, status, usage = os.wait4(running.pid, 0)
                running.returncode = os.waitstatus_to_exitcode(status)
            assert running.returncode == 0
            peaks.append(usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024))
    assert Path("all.csv").stat().st_size > 120_000_000
    assert peaks[1] - peaks[0] < 60_000_000


def test_a_reader_that_leaves_and_a_signal(configured: Configured, desk: Path) -> None:
    gone = threading.Event()

    def endless() -> Iterator[str]:
        number = 0
        try:
            while True:
                number += 1
                yield "".join(contact(number * 100 + each, StatusCode=1) for each in range(100))
        finally:
            gone.set()

    with answering(endless) as url:
        (desk / "config.toml").write_text(CONFIG.format(endpoint=url), encoding="utf-8")
        with process() as running:
            assert running.stdout is not None
            assert running.stderr is not None
            assert running.stdout.readline().startswith(b"contact_id,")
            running.stdout.close()
            errors = running.stderr.read()
        assert running.returncode == 0
        assert b"Traceback" not in errors
        assert gone.wait(30)
        with process("--output", "all.csv") as running:
            part = desk / ".all.csv.part"
            while not (part.exists() and part.stat().st_size > 10_000):
                assert running.poll() is None
            running.send_signal(signal.SIGTERM)
            running.communicate(timeout=60)
        assert running.returncode == 143
        assert not part.exists()
        assert not Path("all.csv").exists()
