"""The campaign commands against a service: what they print, change and end with."""

import json
import re
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cli.kit import Ended
from simulator.halting import struck

from pipeline.simulator import Campaign, Codes, Fault, RunningSimulator

Command = Callable[..., Ended]
Serve = Callable[..., RunningSimulator]

FIRST = "11111111-1111-4111-8111-111111111111"
EXAMPLE = Path(__file__).parents[2] / "configs" / "campaign.toml"
ZONE = "The zone of the active window is not documented: its dates and times are shown as the service tells them."

CONFIG = """\
[target]
system = "onc"
endpoint = "{endpoint}"
account_id = "account"
username = "user"
password = {{ env = "TEST_PASSWORD" }}
{more}
"""


@pytest.fixture
def bound(command: Command, desk: Path) -> Callable[..., Callable[..., Ended]]:
    """The campaign commands for a service; no list is mapped and no campaign is configured."""

    def bind(service: RunningSimulator, more: str = "") -> Callable[..., Ended]:
        Path("config.toml").write_text(CONFIG.format(endpoint=service.url, more=more), encoding="utf-8")
        return lambda *arguments: command("campaign", *arguments, "--config", "config.toml")

    return bind


def held(service: RunningSimulator, campaign_id: str) -> Any:
    """A campaign as the service holds it, member by member."""
    found = service.service.store.campaign(campaign_id)
    return None if found is None else found.info


def test_the_example_goes_in_and_comes_out_whole(bound: Any, serve: Serve) -> None:
    service = serve()
    campaign = bound(service)
    added = campaign("add", EXAMPLE)
    assert (added.code, added.complaints) == (0, [])
    new = added.out.strip()
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", new)
    info = held(service, new)
    assert (info.name, info.paused, info.from_date, info.to_time) == (
        "Spring reminders", True, "2026-12-01T00:00:00", "0001-01-01T20:30:00",
    )  # fmt: skip
    assert (info.sms.from_number, info.voice.dial_timeout, info.email.html) == (
        "+15145550100", 30_000, "<p>You have an appointment.</p>",
    )  # fmt: skip

    shown = campaign("show", new)
    assert shown.code == 0
    assert shown.out.startswith(f"# Campaign {new}.\n# {ZONE}\n")
    assert tomllib.loads(shown.out) == tomllib.loads(EXAMPLE.read_text(encoding="utf-8"))
    Path("again.toml").write_text(shown.out, encoding="utf-8")
    assert campaign("update", new, "again.toml").out == f"Campaign {new}: it is so already; nothing was sent.\n"
    second = campaign("add", "again.toml").out.strip()
    assert held(service, second)[2:] == info[2:]

    as_json = campaign("show", new, "--json")
    table = json.loads(as_json.out)
    assert (table["id"], table["active"]["from_date"], table["active"]["to_time"]) == (new, "2026-12-01", "20:30:00")
    assert as_json.complaints == [ZONE]
    Path("again.json").write_text(as_json.out, encoding="utf-8")
    assert campaign("update", new, "again.json").code == 0
    taken = campaign("add", "again.json")
    assert (taken.code, taken.out) == (2, "")
    assert taken.complaints == [
        "again.json: id: there is a campaign of this id already; leave it out to have a new one"
    ]


def test_every_key_of_the_example_is_documented_there(bound: Any, serve: Serve) -> None:
    from pipeline.targets.onc.campaign_tables import KEYS

    text = EXAMPLE.read_text(encoding="utf-8").replace("# id =", "id =").replace("# created =", "created =")
    text = text.replace('"7c9e6679-7425-40de-944b-e07fc1f90ae7"', '"{7C9E6679-7425-40DE-944B-E07FC1F90AE7}"')
    table = tomllib.loads(text)
    names = {name for name, value in table.items() if not isinstance(value, dict)}
    names |= {f"{name}.{key}" for name, value in table.items() if isinstance(value, dict) for key in value}
    assert names == {key.name for key in KEYS}
    Path("whole.toml").write_text(text, encoding="utf-8")
    added = bound(serve())("add", "whole.toml")
    assert (added.code, added.out, added.complaints) == (0, "7c9e6679-7425-40de-944b-e07fc1f90ae7\n", [])


def test_listing(bound: Any, serve: Serve) -> None:
    name = "Long\tname " + "x" * 300
    campaign = bound(serve(campaigns=(Campaign(FIRST, name, paused=True),)))
    new = campaign("add", EXAMPLE).out.strip()
    listed = campaign("list")
    assert (listed.code, listed.complaints) == (0, [ZONE])
    assert listed.out.splitlines() == [
        "\t".join((FIRST, "paused", "", "", "", "", "sms,voice,email", name.replace("\t", " "))),
        "\t".join((new, "paused", "2026-12-01", "2026-12-24", "09:00:00", "20:30:00", "sms,email", "Spring reminders")),
    ]
    assert [each["id"] for each in json.loads(campaign("list", "--json").out)] == [FIRST, new]


def test_no_campaign_at_all(bound: Any, serve: Serve) -> None:
    campaign = bound(serve(campaigns=()))
    listed = campaign("list")
    assert (listed.code, listed.out, listed.complaints) == (0, "", ["The target tells of no campaign."])
    assert campaign("add", "--set", "name=First").code == 0
    assert len(campaign("list").out.splitlines()) == 1


def test_an_update_changes_what_it_names_and_nothing_else(bound: Any, serve: Serve) -> None:
    service = serve()
    campaign = bound(service, f'campaign_id = "{FIRST}"')
    store = service.service.store.campaign(FIRST)
    assert store is not None
    campaign("update", EXAMPLE)
    odd = "  <b>&amp;\r\n\t ü "
    store.info = before = store.info._replace(
        name=odd, description=None, progress="", from_date="2026-12-01T07:08:09.1234567-05:00",
        from_time="1999-09-09T09:00:00", created="2024-01-01T00:00:00.5Z",
        sms=store.info.sms._replace(text=odd, from_number=None), email=store.info.email._replace(subject=""),
    )  # fmt: skip
    Path("change.toml").write_text("[voice]\nmax_plays = 9\n", encoding="utf-8")
    ended = campaign("update", "change.toml", "--set", "active.to_date=2027-01-31", "--set", "sms.enabled=false")
    assert (ended.code, ended.complaints) == (0, [])
    assert ended.out == f"Campaign {FIRST}: changed active.to_date, sms.enabled, voice.max_plays.\n"
    assert held(service, FIRST) == before._replace(
        to_date="2027-01-31T00:00:00", sms=before.sms._replace(enabled=False), voice=before.voice._replace(plays=9)
    )

    for name, paused in (("start", False), ("pause", True)):
        assert campaign(name).out == f"Campaign {FIRST} is {'paused' if paused else 'running'}.\n"
        assert held(service, FIRST).paused is paused
    assert campaign("pause").out == f"Campaign {FIRST} is paused already.\n"
    assert held(service, FIRST) == before._replace(
        paused=True, to_date="2027-01-31T00:00:00", sms=before.sms._replace(enabled=False),
        voice=before.voice._replace(plays=9),
    )  # fmt: skip
    Path("null.json").write_text('{"name": null, "email": null, "sms": {"text": ""}}', encoding="utf-8")
    assert campaign("update", "null.json", "--set", "active.from_time=").code == 0
    info = held(service, FIRST)
    assert (info.name, info.email, info.sms.text, info.from_time) == (None, None, "", "0001-01-01T00:00:00")


def test_all_mistakes_are_told_at_once_and_nothing_is_sent(bound: Any, serve: Serve) -> None:
    service = serve()
    campaign = bound(service)
    Path("bad.toml").write_text(
        'name = " "\nfoo = 1\npaused = "yes"\nsms = 1\nprogress_endpoint = "somewhere"\n[active]\n'
        "from_date = 2026-12-01T09:00:00\nto_time = 09:00:00\nfrom_time = 25\n[voice]\nmax_plays = -1\nvolume = 3\n"
        'dial_timeout_ms = true\n[email]\nfrom_address = "office"\nsubject = "a\\u0001"\n',
        encoding="utf-8",
    )
    ended = campaign("add", "bad.toml")
    assert (ended.code, ended.out) == (2, "")
    places = [re.sub(r"^bad.toml:(\d+): ([\w.]+): .*", r"\1 \2", each) for each in ended.complaints]
    assert sorted(places) == sorted(
        [
            "1 name", "2 foo", "3 paused", "4 sms", "5 progress_endpoint", "7 active.from_date", "9 active.from_time",
            "11 voice.max_plays", "12 voice.volume", "13 voice.dial_timeout_ms", "15 email.from_address",
            "16 email.subject",
        ]
    )  # fmt: skip
    assert "AddCampaign" not in service.state()["calls"]
    ended = campaign("update", FIRST, "--set", "active.from_date=2026-12-02", "--set", "active.to_date=2026-12-01")
    assert ended.complaints == ["--set active.to_date: is 2026-12-01, before active.from_date (2026-12-02)"]
    campaign("update", FIRST, "--set", "active.to_date=2026-12-01")
    ended = campaign("update", FIRST, "--set", "active.from_date=2026-12-02")
    assert ended.code == 2, "a change is judged together with what is there"
    assert "before active.from_date (2026-12-02)" in ended.err
    assert campaign("update", FIRST, "--set", "id=22222222-2222-4222-8222-222222222222").code == 2
    for text, words in (("name = ", "is not TOML"), ("", "name: is missing")):
        Path("bad.toml").write_text(text, encoding="utf-8")
        assert words in campaign("add", "bad.toml").err
    Path("bad.json").write_text("[1]", encoding="utf-8")
    assert campaign("add", "bad.json").complaints == ["bad.json: holds no table"]
    assert campaign("add", "none.toml").complaints == ["none.toml: cannot be read: No such file or directory"]
    for name in ("add", "update"):
        assert campaign(name).code == 2
    assert service.state()["calls"]["UpdateCampaign"] == 1


def test_delete_wants_yes(bound: Any, serve: Serve) -> None:
    service = serve(campaigns=(Campaign(FIRST, "Old", contacts=3),))
    campaign = bound(service)
    refused = campaign("delete", FIRST)
    assert (refused.code, refused.out) == (2, "")
    assert refused.complaints == [
        f'This would delete campaign {FIRST} "Old" and all its contacts, and there is no terminal to ask on: give '
        "--yes."
    ]
    assert held(service, FIRST) is not None
    ended = campaign("delete", FIRST, "--yes")
    assert (ended.code, ended.out) == (0, f"Campaign {FIRST} is deleted.\n")
    assert held(service, FIRST) is None
    gone = campaign("delete", FIRST, "--yes")
    assert (gone.code, gone.complaints) == (
        6, [f"campaign {FIRST} is not known to the target: `campaign list` shows which are."],
    )  # fmt: skip


def test_a_deleted_campaign_is_forgotten(
    bound: Any, serve: Serve, command: Command, configured: Callable[..., Path]
) -> None:
    service = serve()
    config = configured(service)
    assert command("import", "list.csv", "--config", config, "--tolerate", "9").code == 0
    assert command("campaign", "delete", "--config", config, "--yes").code == 0
    assert command("campaign", "add", "--config", config, "--set", "name=New", "--set", f"id={FIRST}").code == 0
    soon = ("--set", "delivery.late_effect=0.1")  # a list may show what was deleted for so long
    again = command("import", "list.csv", "--config", config, "--tolerate", "9", "--json", *soon)
    assert json.loads(again.out)["counts"]["accepted"] == 3
    assert len(service.contacts()) == 3


def test_a_campaign_that_a_run_holds_is_not_deleted(
    bound: Any, serve: Serve, command: Command, configured: Callable[..., Path]
) -> None:
    from pipeline.ledger import campaign as state
    from pipeline.run import load_settings
    from pipeline.run.describing import state_directory

    service = serve()
    config = configured(service)
    settings = load_settings([config], ())
    with state.held(state_directory(settings), settings.target.identity, FIRST):
        ended = command("campaign", "delete", "--config", config, "--yes")
    assert ended.code == 7
    assert held(service, FIRST) is not None


@pytest.mark.parametrize(
    ("fault", "arguments"),
    [
        (Fault("expire", operation="GetCampaign", last=1), ("show", FIRST)),
        (Fault("expire", operation="GetCampaigns", last=1), ("list",)),
        (Fault("expire", operation="UpdateCampaign", last=1), ("pause", FIRST)),
        (Fault("expire", operation="AddCampaign", last=1), ("add", "--set", "name=New")),
        (Fault("expire", operation="DeleteCampaign", last=1), ("delete", FIRST, "--yes")),
        (Fault("expire", operation="GetCampaignContacts", last=1), ("contacts", FIRST)),
        (Fault("busy", operation="AddCampaign", last=1), ("add", "--set", "name=New")),
        (Fault("busy", operation="UpdateCampaign", last=1), ("pause", FIRST)),
        (Fault("unavailable", operation="AddCampaign", last=1, retry_after=0), ("add", "--set", "name=New")),
        (Fault("cut", operation="UpdateCampaign", last=1, stored=True), ("pause", FIRST)),
        (Fault("cut", operation="AddCampaign", last=1, stored=True), ("add", "--set", "name=New")),
        (Fault("cut", operation="DeleteCampaign", last=1, stored=True), ("delete", FIRST, "--yes")),
        (Fault("cut_answer", operation="GetCampaigns", last=1), ("list",)),
    ],
    ids=lambda value: f"{value.kind}-{value.operation}" if isinstance(value, Fault) else "",
)
def test_what_is_harmless_is_asked_again(bound: Any, serve: Serve, fault: Fault, arguments: tuple[str, ...]) -> None:
    service = serve(faults=(fault,), campaigns=(Campaign(FIRST, "Old", contacts=3),))
    ended = bound(service, "codes.transient = [901]")(*arguments)
    assert (ended.code, ended.complaints) == (0, [])
    state = service.state()
    assert state["faults"] == {fault.kind: 1}
    assert state["sessions"]["open"] == 0
    added = arguments[0] == "add"
    deleted = arguments[0] == "delete"
    assert len(state["campaigns"]) == 1 + added - deleted, "nothing is added twice"


def test_an_addition_that_was_lost_is_not_repeated(bound: Any, serve: Serve) -> None:
    service = serve(faults=(Fault("cut", operation="AddCampaign"),))
    ended = bound(service)("add", "--set", "name=New")
    assert (ended.code, ended.out) == (5, "")
    assert "It may come late: look with `campaign list` before you add it again." in ended.err
    assert service.state()["calls"]["AddCampaign"] == 1


def test_what_the_target_refuses(bound: Any, serve: Serve) -> None:
    service = serve(codes=Codes(invalid=17), null_lists=True)
    ended = bound(service)("list")
    assert (ended.code, ended.out) == (5, "")
    assert "gives no list" in ended.err
    service.control(null_lists=False, max_request_bytes=900)
    ended = bound(service)("add", EXAMPLE)
    assert (ended.code, ended.complaints) == (
        6, ["the target takes no such message (HTTP 413). Nothing was changed."],
    )  # fmt: skip


def test_members_that_get_lost_are_told(bound: Any, serve: Serve) -> None:
    """A strict reader skips members in another order than its own, and answers success."""
    service = serve(member_order="reversed")
    ended = bound(service)("add", EXAMPLE)
    assert ended.code == 6
    assert len(ended.out.splitlines()) == 1, "the id of what is there now"
    assert ended.out.strip() in service.state()["campaigns"]
    assert 'name: the target holds nothing; sent was "Spring reminders"' in ended.complaints
    assert 'active.to_time: the target holds nothing; sent was "20:30:00"' in ended.complaints


@pytest.mark.parametrize("lost", [False, True])
def test_a_target_that_gives_ids_of_its_own(bound: Any, serve: Serve, *, lost: bool) -> None:
    service = serve(faults=(Fault("cut", operation="AddCampaign", stored=True),) if lost else ())
    operations = service.service._calls._operations
    add = operations["AddCampaign"]
    operations["AddCampaign"] = lambda info: add(info._replace(id="00000000-0000-0000-0000-000000000000"))
    ended = bound(service)("add", EXAMPLE)
    assert (ended.code, ended.complaints) == (0, ["The target gave the campaign an id of its own."])
    assert set(service.state()["campaigns"]) == {FIRST, ended.out.strip()}


def test_an_update_that_has_no_effect_is_told(bound: Any, serve: Serve) -> None:
    service = serve(dialect="asmx", campaigns=(Campaign(FIRST, "Old", paused=True),))
    service.service._calls._operations["UpdateCampaign"] = lambda info: 0
    ended = bound(service, 'dialect = "asmx"')("start", FIRST)
    assert (ended.code, ended.out) == (6, f"Campaign {FIRST} is paused.\n")
    assert ended.complaints == ["paused: the target holds true; sent was false"]


def test_a_wrong_password_and_nobody_there(bound: Any, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    service = serve()
    campaign = bound(service)
    monkeypatch.setenv("TEST_PASSWORD", "wrong")
    ended = campaign("list")
    assert ended.code == 6
    assert "wrong" not in ended.err
    monkeypatch.setenv("TEST_PASSWORD", "password")
    service.control(outage="refuse")
    assert campaign("show", FIRST).code == 5


def test_which_campaign(bound: Any, serve: Serve) -> None:
    service = serve()
    campaign = bound(service)
    assert campaign("show").complaints == ["No campaign is named: give its ID, or set target.campaign_id."]
    assert campaign("show", "spring").complaints == ["ID: is no GUID such as 7c9e6679-7425-40de-944b-e07fc1f90ae7"]
    assert campaign("show", f"{{{FIRST.upper()}}}").code == 0
    campaign = bound(service, f'campaign_id = "{FIRST}"')
    assert campaign("show").code == 0
    assert campaign("show", "22222222-2222-4222-8222-222222222222").code == 6


def test_help_says_what_each_is_for(command: Command) -> None:
    ended = command("campaign", "--help")
    listed = [line.split()[0] for line in ended.out.partition("Commands:")[2].splitlines() if line]
    assert listed == ["list", "show", "add", "update", "delete", "pause", "start", "contacts"]


@pytest.mark.skipif(sys.platform == "win32", reason="signals are those of POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(("words", "operation"), [(["show"], "GetCampaign"), (["pause"], "UpdateCampaign")])
def test_a_signal_closes_the_session(number: int, words: list[str], operation: str, desk: Path, serve: Serve) -> None:
    service = serve(faults=(Fault("hang", operation=operation),))
    Path("signal.toml").write_text(
        CONFIG.format(endpoint=service.url, more=f'campaign_id = "{FIRST}"'), encoding="utf-8"
    )
    command = [sys.executable, "-m", "pipeline", "campaign", *words, "--config", "signal.toml"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    _, err = struck(service, process, 1, operation=operation, by=number)
    assert (process.returncode, "Stopped by a signal" in err) == (128 + number, True), err
    sessions = service.state()["sessions"]
    assert (sessions["opened"], sessions["closed"]) == (1, 1)
