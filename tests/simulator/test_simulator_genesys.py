"""The simulated Genesys Web Services: the document's samples, who may enter, sessions of agents, outbound records."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from simulator.clients import RECORD, GenesysClient

from pipeline.simulator import Device, Failure, Fault, GenesysSettings, Simulator, running

Agent = Callable[..., GenesysClient]

#: Requests and answers as the document prints them. It broke one line, which JSON would not: `read` mends that.
SAMPLES = [
    ('{\n   "operationName": "StartContactCenterSession",\n   "channels": [\n       "voice"\n   ]\n}',
     '{\n   "statusCode": 0\n}'),
    ('{\n    "operationName": "StartContactCenterSession",\n    "place": "SIP_5000",\n    "loginCode": "8000",\n'
     '    "queue": "9000",\n    "channels": [\n        "voice"\n    ]\n}',
     '{\n    "statusCode": 0\n}'),
    ('{\n    "operationName": "StartContactCenterSession",\n    "channels": ["voice"],\n    "place": "agent1",\n'
     '    "loginCode": "agent1",\n    "agentLoginPassword": "password"\n}',
     '{\n   "statusCode": 0\n}'),
    ('{\n    "operationName":"StartContactCenterSession",\n    "workmode": "ManualIn",\n    "channels":["voice"],\n'
     '    "place":"agentl@pizza.com"\n}',
     '{\n    "statusCode": 0\n}'),
    ('{\n    "operationName":"StartContactCenterSession",\n    "workmode": "aManualIn",\n    "channels":["voice"],\n'
     '    "place":"agentl@pizza.com"\n}',
     '{\n   "statusCode": 2,\n   "statusMessage": "Parameter \'workmode\' is invalid: \\"The specified value is not '
     'within\nvalid range\\""\n}'),
]  # fmt: skip


def read(text: str) -> Any:
    return json.loads(text.replace("within\nvalid", "within valid"))


@pytest.fixture
def agent(resources: ExitStack) -> Iterator[Agent]:
    """A user of a simulator with these settings, or another user of the same one."""
    servers: list[Any] = []

    def start(simulator: Simulator | None = None, user: str = "agent1", **settings: Any) -> GenesysClient:
        if simulator is not None or settings or not servers:
            servers.append(resources.enter_context(running(simulator or GenesysSettings(**settings))))
        client = GenesysClient(servers[-1], user)
        resources.callback(client.http.close)
        return client

    return start


@pytest.mark.parametrize(("request_text", "answer_text"), SAMPLES)
@pytest.mark.parametrize("resource", ["/api/v2/me", "/api/v2/me/"])
def test_the_samples_of_the_document(resource: str, request_text: str, answer_text: str, agent: Agent) -> None:
    client = agent()
    client.me()
    address = client.server.url + resource
    headers = {**client.headers, "Content-Type": "application/json"}
    answer = client.http.post(address, content=request_text, headers=headers)
    assert answer.status_code == 200
    assert answer.json() == read(answer_text)


def test_a_dynamic_phone_number_must_be_new(agent: Agent) -> None:
    client = agent(known_numbers=frozenset({"5001"}))
    assert client.open(dynamicPhoneNumber="5001")["statusCode"] == 2
    assert client.open(dynamicPhoneNumber="5002") == {"statusCode": 0}


# --- channels ---


@pytest.mark.parametrize("shape", ["nested", "flat", "list"])
def test_partial_success(shape: str, agent: Agent) -> None:
    failure = Failure(4, "Interaction Server is out of service")
    client = agent(failed_channels={"chat": failure}, partial_shape=shape)
    answer = client.open(channels=["voice", "chat"])
    bad = {"statusCode": 4, "statusMessage": "Interaction Server is out of service"}
    assert answer.pop("statusCode") == 7
    assert answer.pop("statusMessage")
    assert (
        answer
        == {
            "nested": {"channels": {"voice": {"statusCode": 0}, "chat": bad}},
            "flat": {"voice": {"statusCode": 0}, "chat": bad},
            "list": {"channels": [{"channel": "voice", "statusCode": 0}, {"channel": "chat", **bad}]},
        }[shape]
    )
    assert client.server.state()["sessions"]["open"] == 1


def test_where_all_channels_fail_only_one_is_told(agent: Agent) -> None:
    client = agent(failed_channels={"chat": Failure(4, "Out of service"), "email": Failure(6, "Unknown")})
    assert client.open(channels=["email", "chat"]) == {"statusCode": 6, "statusMessage": "Unknown"}
    state = client.server.state()["sessions"]
    assert (state["logins"], state["refused"], state["open"]) == (1, 1, 0)


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({"channels": None}, 1),
        ({"channels": []}, 1),
        ({"channels": "voice"}, 2),
        ({"channels": [7]}, 2),
        ({"workmode": "AutoIn"}, 0),
        ({"workmode": "autoin"}, 2),
        ({"place": 5}, 2),
        ({"place": "one device"}, 0),
        ({"place": "two extensions"}, 2),
        ({"place": "one position"}, 0),
        ({"place": "two positions"}, 2),
        ({"place": "two positions", "devicePath": "/devices/p2"}, 0),
        ({"place": "nowhere"}, 6),
        ({"devicePath": "/devices/none"}, 6),
        ({"loginCode": "8000"}, 0),
        ({"loginCode": "8001", "agentLoginPassword": "right"}, 0),
        ({"loginCode": "8001", "agentLoginPassword": "wrong"}, 2),
        ({"loginCode": "8009"}, 2),
        ({"agentLoginPassword": "without a code it is not looked at"}, 0),
        ({"queue": "9000"}, 0),
    ],
)
def test_parameters_of_a_session(parameters: dict[str, Any], code: int, agent: Agent) -> None:
    client = agent(
        places={
            "one device": (Device("e1"),),
            "two extensions": (Device("e1"), Device("e2")),
            "one position": (Device("e1"), Device("p1", acd_position=True)),
            "two positions": (Device("p1", acd_position=True), Device("p2", acd_position=True)),
        },
        login_codes={"8000": None, "8001": "right"},
    )
    answer = client.open(**parameters)
    assert answer["statusCode"] == code
    assert ("statusMessage" in answer) == (code != 0)
    assert client.server.state()["sessions"]["open"] == (code == 0)


def test_voice_alone_fails_where_the_switch_refuses(agent: Agent) -> None:
    client = agent(login_codes={})
    answer = client.open(channels=["voice", "email"], loginCode="8000")
    assert answer["statusCode"] == 7
    assert answer["channels"]["voice"]["statusCode"] == 2
    assert answer["channels"]["email"] == {"statusCode": 0}


# --- who may enter ---


@pytest.mark.parametrize("status", [401, 200])
def test_wrong_credentials(status: int, agent: Agent) -> None:
    client = agent(user="nobody", not_authenticated_status=status)
    for headers in (client.headers, {}, {"Authorization": "Basic ???"}, {"Authorization": "Bearer x"}):
        client.headers = headers
        answer = client.me()
        assert answer.status_code == status
        assert answer.json()["statusCode"] == 20
        assert ("www-authenticate" in answer.headers) == (status == 401)
    assert client.server.state()["bad_logins"] == 4


def test_the_token_is_needed(agent: Agent) -> None:
    client = agent(csrf_header="X-Own-Header")
    body = {"operationName": "StartContactCenterSession", "channels": ["voice"]}
    assert client.send(client.request(body)).status_code == 403
    answer = client.me()
    assert answer.json()["statusCode"] == 0
    assert answer.headers["x-csrf-header"] == "X-Own-Header"
    assert client.post(body) == {"statusCode": 0}
    client.headers["X-Own-Header"] = "another"
    assert client.send(client.row()).status_code == 403
    assert client.server.state()["rejected"] == {"403": 2}


def test_the_token_may_change(agent: Agent) -> None:
    client = agent(csrf_calls=2)
    client.open()
    assert client.add() == 0
    assert client.send(client.row()).status_code == 403
    client.me()
    assert client.add() == 0


def test_without_tokens(agent: Agent) -> None:
    client = agent(csrf=False)
    assert "x-csrf-token" not in client.me().headers
    assert client.open() == {"statusCode": 0}


def test_the_cookie_is_the_session(agent: Agent) -> None:
    client = agent()
    cookie = client.me().headers["set-cookie"]
    assert cookie.startswith("JSESSIONID=")
    assert "set-cookie" not in client.me().headers
    del client.headers["Authorization"]
    assert client.open() == {"statusCode": 0}
    assert client.close() == {"statusCode": 0}
    answer = client.me()
    assert (answer.status_code, answer.json()["statusCode"]) == (401, 20)


@pytest.mark.parametrize(("habit", "status"), [("refuse", 401), ("renew", 200)])
def test_a_void_cookie_with_good_credentials(habit: str, status: int, agent: Agent) -> None:
    client = agent(stale_cookie=habit)
    client.open()
    client.close()
    assert client.me().status_code == status


# --- sessions ---


def test_a_session_belongs_to_a_user(agent: Agent) -> None:
    first, second, other = agent(), agent(), agent(user="agent2")
    assert [each.open()["statusCode"] for each in (first, first, second, other)] == [0, 0, 0, 0]
    assert first.server.state()["sessions"]["opened"] == 2
    first.close()
    assert second.send(second.row()).json()["statusCode"] == 20
    assert other.add() == 0
    assert other.server.rows()[0]["user"] == "agent2"


def test_a_second_session_may_be_refused(agent: Agent) -> None:
    first, second = agent(second_session="refuse"), agent()
    assert [first.open()["statusCode"], first.open()["statusCode"], second.open()["statusCode"]] == [0, 0, 19]
    first.close()
    assert second.open() == {"statusCode": 0}


def test_only_so_many_sessions(agent: Agent) -> None:
    first, second = agent(session_cap=1), agent(user="agent2")
    assert [first.open()["statusCode"], second.open()["statusCode"]] == [0, 19]


def test_an_opening_may_ask_for_another_password(agent: Agent) -> None:
    assert agent(opening_code=8).open()["statusCode"] == 8


def test_sessions_expire(agent: Agent) -> None:
    now = [0.0]
    client = agent(Simulator(GenesysSettings(idle_limit=1200), clock=lambda: now[0]))
    client.open()
    now[0] += 1200
    assert client.add() == 0
    now[0] += 1200.1
    answer = client.send(client.row())
    assert (answer.status_code, answer.json()["statusCode"]) == (401, 20)
    client.http.cookies.clear()
    client.open()
    client.server.control(expire_sessions=True)
    assert client.send(client.row()).status_code == 401
    client.http.cookies.clear()
    client.server.control(expire_after_calls=2)
    client.open()
    assert [client.send(client.row()).status_code for _ in range(3)] == [200, 200, 401]
    state = client.server.state()
    assert (state["sessions"]["opened"], state["sessions"]["expired"], state["bad_session"]) == (3, 3, 3)


# --- records ---


def test_a_record_is_stored_as_it_was_sent(agent: Agent) -> None:
    client = agent()
    client.open()
    fields = {**RECORD, "otherFields": {"GSW_NAME": "Ann"}, "colour": "blue"}
    assert client.add(**fields) == 0
    (row,) = client.server.rows()
    del fields["operationName"], fields["colour"]
    assert row == {"id": 1, "user": "agent1", **fields}
    state = client.server.state()
    assert state["unknown_fields"] == {"colour": 1}
    assert state["adds"] == state["adds"] | {"received": 1, "stored": 1, "accepted": 1, "refused": 0}


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        *((name, None, 1) for name in list(RECORD)[1:10]),
        ("chainId", None, 0),
        ("referenceId", None, 0),
        ("phoneNumber", "", 1),
        ("phoneNumber", 15550100, 2),
        ("applicationId", "134", 2),
        ("applicationId", True, 2),
        ("chainId", "2", 2),
        ("otherFields", [], 2),
        ("from", -1, 2),
        ("until", 86_401, 2),
        ("campaignName", "Campaign2", 6),
    ],
)
def test_fields_of_a_record(name: str, value: Any, code: int, agent: Agent) -> None:
    client = agent(campaigns=frozenset({"Campaign1"}))
    client.open()
    assert client.add(**{name: value}) == code
    assert len(client.server.rows()) == (code == 0)


def test_refusals_and_duplicates(agent: Agent) -> None:
    client = agent(refuse={"00$": None, "19$": 19}, duplicates="refuse")
    client.open()
    numbers = ["+15550100", "+15550119", "+15550101", "+15550101"]
    assert [client.add(phoneNumber=each, referenceId=each) for each in numbers] == [10, 19, 0, 18]
    assert [(each["campaign"], each["contact"], each["code"]) for each in client.server.refused()] == [
        ("Campaign1", "+15550100", 10),
        ("Campaign1", "+15550119", 19),
        ("Campaign1", "+15550101", 18),
    ]
    client.server.control(duplicates="add")
    assert client.add(phoneNumber="+15550101") == 0
    assert client.server.state()["adds"]["duplicates"] == 1
    assert client.server.state()["adds"]["by_code"] == {"10": 1, "19": 1, "0": 2, "18": 1}


def test_a_record_needs_a_session(agent: Agent) -> None:
    client = agent()
    client.me()
    assert client.add() == 3
    client = agent(needs_session=False)
    client.me()
    assert client.add() == 0


@pytest.mark.parametrize("stored", [False, True])
def test_processing_incomplete(stored: bool, agent: Agent) -> None:
    client = agent(faults=(Fault("incomplete", every=2, stored=stored),))
    client.open()
    assert [client.add(), client.add(referenceId="r2")] == [0, 9]
    assert len(client.server.rows()) == 1 + stored
    assert [each["contact"] for each in client.server.swallowed()] == ["r2"] * stored


@pytest.mark.parametrize("code", [4, 19])
def test_busy(code: int, agent: Agent) -> None:
    client = agent(faults=(Fault("busy", every=2), Fault("busy", operation="GetMe", first=2)), busy=code)
    client.open()
    assert [client.add(), client.add()] == [0, code]
    assert client.me().json()["statusCode"] == code
    assert len(client.server.rows()) == 1


def test_errors_may_have_a_status_of_their_own(agent: Agent) -> None:
    client = agent(error_status=400)
    client.open()
    answer = client.send(client.row(phoneNumber=None))
    assert (answer.status_code, answer.json()["statusCode"]) == (400, 1)


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"content": b"{"}, 400),
        ({"content": b"[]"}, 400),
        ({"headers": {"Content-Type": "text/plain"}}, 415),
        ({"content": b" " * 70_000}, 413),
        ({"content": b'{"operationName":"DropTables"}'}, 200),
        ({"method": "PUT"}, 405),
    ],
)
def test_requests_that_are_no_calls(change: dict[str, Any], status: int, agent: Agent) -> None:
    client = agent()
    client.open()
    given: dict[str, Any] = {"method": "POST", "url": f"{client.server.url}/api/v2/me", "content": b"{}", **change}
    given["headers"] = {**client.headers, "Content-Type": "application/json", **change.get("headers", {})}
    answer = client.http.send(httpx.Request(**given))
    assert answer.status_code == status
    assert sum(client.server.state()["rejected"].values()) == 1


@pytest.mark.parametrize(
    "settings",
    [
        {"partial_shape": "tree"},
        {"second_session": "maybe"},
        {"duplicates": "replace"},
        {"stale_cookie": "eat"},
        {"refuse": {"(": None}},
        {"prefix": "gws"},
        {"users": {}},
        {"faults": (Fault("cut", operation="GetResult"),)},
    ],
)
def test_settings_that_make_no_sense(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        Simulator(GenesysSettings(**settings))


def test_it_may_stand_behind_a_prefix(agent: Agent) -> None:
    client = agent(prefix="/gws")
    assert client.server.url == client.server.origin + "/gws"
    assert client.open() == {"statusCode": 0}
    assert client.add() == 0
