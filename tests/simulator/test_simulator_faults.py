"""Each fault does to the caller what it says, and /state tells what became of the call."""

import uuid
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from simulator.soap_client import CAMPAIGN, CONTACT, SoapClient, fault_code, wait_until

from pipeline.simulator import Fault, OncSettings, Simulator

Client = Callable[..., SoapClient]


def add(soap: SoapClient, contact_id: str | None = None) -> httpx.Response:
    contact = soap.contact(contact_id=contact_id or str(uuid.uuid4()))
    return soap.post("AddCampaignContact", f"<sessionId>{soap.session}</sessionId>{contact}")


def outcome(soap: SoapClient) -> str:
    try:
        answer = add(soap)
    except httpx.RemoteProtocolError:
        return "cut"
    return str(answer.status_code)


@pytest.mark.parametrize(
    ("fault", "hit"),
    [
        (Fault("cut", every=3), [3, 6, 9]),
        (Fault("cut", every=3, first=4), [6, 9]),
        (Fault("cut", first=2, last=4), [2, 3, 4]),
        (Fault("cut", every=4, last=4), [4]),
        (Fault("cut", first=11), []),
    ],
)
def test_the_schedule_counts_calls(fault: Fault, hit: list[int], client: Client) -> None:
    soap = client(faults=(fault,))
    outcomes = [outcome(soap) for _ in range(10)]
    assert [number for number, each in enumerate(outcomes, 1) if each == "cut"] == hit
    state = soap.server.state()
    assert state["adds"]["stored"] == 10 - len(hit)
    assert state["adds"]["swallowed"] == 0
    assert state["faults"].get("cut", 0) == len(hit)


@pytest.mark.parametrize("stored", [False, True])
def test_a_cut_connection(stored: bool, client: Client) -> None:
    soap = client(faults=(Fault("cut", every=2, stored=stored),))
    assert add(soap).status_code == 200
    with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
        add(soap, CONTACT)
    assert [each["id"] for each in soap.server.contacts()][1:] == ([CONTACT] if stored else [])
    swallowed = [{"campaign": CAMPAIGN, "contact": CONTACT, "how": "cut"}] if stored else []
    assert soap.server.swallowed() == swallowed
    assert soap.server.state()["adds"]["swallowed"] == len(swallowed)
    assert add(soap).status_code == 200, "another connection works"


def test_an_answer_that_ends_in_the_middle(client: Client) -> None:
    soap = client(faults=(Fault("cut_answer", first=1, last=1),))
    with pytest.raises(httpx.RemoteProtocolError, match="without sending complete message body"):
        add(soap, CONTACT)
    assert soap.server.swallowed() == [{"campaign": CAMPAIGN, "contact": CONTACT, "how": "cut_answer"}]


@pytest.mark.parametrize("stored", [False, True])
def test_an_answer_that_never_comes(stored: bool, client: Client, resources: ExitStack) -> None:
    soap = client(faults=(Fault("hang", stored=stored),))
    inner = f"<sessionId>{soap.session}</sessionId>{soap.contact()}"
    connection = resources.enter_context(soap.send_raw("AddCampaignContact", inner))
    wait_until(lambda: soap.server.state()["faults"])
    assert add_over_a_list(soap) == (1 if stored else 0)
    connection.setblocking(False)
    with pytest.raises(BlockingIOError):
        connection.recv(1)
    assert soap.server.state()["adds"]["swallowed"] == (1 if stored else 0)


def add_over_a_list(soap: SoapClient) -> int:
    """How many contacts the list shows. The call comes after the hanging one: that one is done by then."""
    result = soap.call("GetCampaignContactsListing", f"<campaignId>{CAMPAIGN}</campaignId>")
    assert result is not None
    return len(result)


@pytest.mark.parametrize(("retry_after", "header"), [(7, "7"), (None, None)])
def test_unavailable(retry_after: int | None, header: str | None, client: Client) -> None:
    soap = client(faults=(Fault("unavailable", retry_after=retry_after, last=1),))
    answer = add(soap)
    assert answer.status_code == 503
    assert answer.headers.get("retry-after") == header
    assert add(soap).status_code == 200
    state = soap.server.state()
    assert state["unavailable"] == 1
    assert state["adds"] == state["adds"] | {"received": 2, "stored": 1}


@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.parametrize("status", [200, 500])
def test_a_soap_fault(status: int, stored: bool, client: Client) -> None:
    soap = client(faults=(Fault("fault", status=status, stored=stored),))
    answer = add(soap)
    assert answer.status_code == status
    assert fault_code(answer).endswith("}InternalServiceFault")
    assert len(soap.server.contacts()) == len(soap.server.swallowed()) == stored
    soap = client(faults=(Fault("fault", status=status, stored=stored),), dialect="asmx")
    answer = add(soap)
    assert answer.status_code == status
    assert fault_code(answer).endswith("}Server")


@pytest.mark.parametrize("status", [200, 502])
def test_an_answer_that_is_no_soap(status: int, client: Client) -> None:
    soap = client(faults=(Fault("html", status=status),))
    answer = add(soap)
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("text/html")


def test_busy_is_a_code(client: Client) -> None:
    soap = client(faults=(Fault("busy", every=2),))
    assert [soap.add(contact_id=str(uuid.uuid4())) for _ in range(4)] == [0, 901, 0, 901]
    state = soap.server.state()
    assert state["adds"]["by_code"] == {"0": 2, "901": 2}
    assert state["adds"]["stored"] == 2


def test_a_session_that_expires_under_a_call(client: Client) -> None:
    soap = client(faults=(Fault("expire", every=2),))
    assert [soap.add(), soap.add(), soap.add()] == [0, 101, 101]
    assert soap.server.state()["sessions"]["expired"] == 1


def test_faults_of_other_operations(client: Client) -> None:
    soap = client(faults=(Fault("html", operation="GetCampaignListing"), Fault("busy", first=5, operation="*")))
    assert soap.post("GetCampaignListing", f"<sessionId>{soap.session}</sessionId>").status_code == 500
    assert [soap.add(), soap.add(), soap.add(), soap.open()] == [0, 0, 901, 901]
    assert soap.server.state()["sessions"]["refused"] == 1
    assert soap.close() == 901
    soap.server.control(faults=[{"kind": "cut", "operation": "OpenAPISession", "stored": True}])
    with pytest.raises(httpx.RemoteProtocolError):
        soap.open()
    assert soap.server.state()["sessions"]["open"] == 2, "a session that nobody knows of"


def test_a_swallowed_call_may_take_effect_late(client: Client) -> None:
    now = [0.0]
    soap = client(
        Simulator(OncSettings(faults=(Fault("cut", stored=True, last=1),), late_effect=20.0), clock=lambda: now[0])
    )
    with pytest.raises(httpx.RemoteProtocolError):
        add(soap, CONTACT)
    assert add(soap).status_code == 200
    now[0] = 19.9
    assert len(soap.server.contacts()) == 1
    assert soap.server.state()["adds"] == soap.server.state()["adds"] | {"late": 1, "stored": 1, "swallowed": 0}
    now[0] = 20.0
    assert [each["id"] for each in soap.server.contacts()][1:] == [CONTACT]
    assert soap.server.state()["adds"] == soap.server.state()["adds"] | {"late": 0, "stored": 2, "swallowed": 1}


@pytest.mark.parametrize("stored", [False, True])
def test_an_outage_is_switched_on_and_off(stored: bool, client: Client) -> None:
    soap = client()
    control = soap.server.origin + "/control"
    assert soap.http.post(control, json={"outage": "503", "stored": stored}).json()["outage"] == "503"
    assert soap.server.state()["outage"] == "503"
    assert [add(soap).status_code, soap.post("GetCampaigns", "").status_code] == [503, 503]
    soap.http.post(control, json={"outage": "cut", "stored": stored})
    with pytest.raises(httpx.RemoteProtocolError):
        add(soap)
    soap.http.post(control, json={"outage": None})
    assert add(soap).status_code == 200
    assert soap.server.state()["adds"]["stored"] == (3 if stored else 1)
    assert soap.server.state()["adds"]["swallowed"] == (2 if stored else 0)


def test_an_outage_that_hangs(client: Client, resources: ExitStack) -> None:
    soap = client()
    soap.server.control(outage="hang")
    connection = resources.enter_context(soap.send_raw("GetCampaigns", ""))
    wait_until(lambda: soap.server.state()["faults"])
    connection.setblocking(False)
    with pytest.raises(BlockingIOError):
        connection.recv(1)


def test_refused_connections(client: Client) -> None:
    soap = client()
    for _ in range(2):
        soap.server.control(outage="refuse")
        with pytest.raises(httpx.ConnectError):
            add(soap)
        soap.server.control(outage=None)
        assert add(soap).status_code == 200
    assert len(soap.server.contacts()) == 2


@pytest.mark.parametrize(
    "changes",
    [
        {"outages": "503"},
        {"outage": "503s"},
        {"outage": "refuse"},
        {"refuse": {"(": 1}, "latency": 3},
        {"latency": "slow"},
        {"null_style": "none"},
        {"faults": ["cut:often"]},
        {"faults": [{"kind": "cut", "every": 0}]},
        {"faults": [{"sort": "cut"}]},
        {"faults": ["cut:operation=AddContact"]},
        {"member_order": "reversed"},
        ["outage"],
    ],
)
def test_a_mistake_changes_nothing(changes: Any, client: Client) -> None:
    soap = client()
    before = soap.server.simulator.settings
    answer = soap.http.post(soap.server.origin + "/control", json=changes)
    assert answer.status_code == 400
    assert answer.text
    assert soap.server.simulator.settings == before


def test_settings_change_while_it_runs(client: Client) -> None:
    soap = client()
    soap.http.post(soap.server.origin + "/control", json={"refuse": {"5550": None}, "faults": ["busy:every=2"]})
    assert [soap.add(), soap.add(), soap.add()] == [301, 901, 301]


def test_faults_are_read_from_text() -> None:
    assert Fault.parse("cut") == Fault("cut")
    assert Fault.parse("cut: every=50, stored") == Fault("cut", every=50, stored=True)
    assert Fault.parse("fault:status=200,first=3,last=9") == Fault("fault", status=200, first=3, last=9)
    assert Fault.parse("unavailable:retry_after=30,operation=GetCampaigns") == Fault(
        "unavailable", retry_after=30, operation="GetCampaigns"
    )
    for wrong in ("", "cat", "cut:every", "cut:every=x", "cut:sometimes"):
        with pytest.raises(ValueError):
            Fault.parse(wrong)


@pytest.mark.parametrize(
    "settings",
    [
        {"dialect": "rest"},
        {"member_order": "random"},
        {"soap_versions": ()},
        {"soap_versions": ("1.3",)},
        {"path": "onc"},
        {"path": "/state"},
        {"refuse": {"(": None}},
        {"duplicate_ids": "replace"},
        {"drop_members": frozenset({"Retries"})},
        {"faults": (Fault("cut", operation="AddContact"),)},
    ],
)
def test_settings_that_make_no_sense(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        Simulator(OncSettings(**settings))
