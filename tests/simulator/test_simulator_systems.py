"""All systems in one process: each fault at each of them, one account of the same form, one port, one command."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from simulator.clients import CLIENTS, Client, GenesysClient, IntelliviewClient, PagosClient
from simulator.soap_client import SoapClient, wait_until

from pipeline.simulator import (
    SERVICES,
    Fault,
    GenesysSettings,
    IntelliviewSettings,
    OncSettings,
    PagosSettings,
    RunningSimulator,
    Simulator,
    running,
)

SETTINGS: dict[str, Any] = {service.system: settings for settings, service in SERVICES.items()}
OTHERS = list(CLIENTS)

Start = Callable[..., Client]


@pytest.fixture
def client(resources: ExitStack) -> Start:
    """A client of one system with these settings; its session is open where rows need one."""

    def start(system: str, **settings: Any) -> Client:
        server = resources.enter_context(running(SETTINGS[system](**settings)))
        made = CLIENTS[system](server)
        resources.callback(made.http.close)
        if system != "intelliview":
            made.open()
        return made

    return start


def effects(client: Client) -> int:
    """How often the call that faults befall has taken effect."""
    state = client.server.state()
    return int(state["sessions"]["opened"] if client.server.service.row_call == "" else state["adds"]["stored"])


def test_there_are_clients_of_all_systems() -> None:
    assert [*SETTINGS] == ["onc", *CLIENTS]


# --- faults ---


@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.parametrize("system", OTHERS)
def test_a_cut_connection(system: str, stored: bool, client: Start) -> None:
    made = client(system, faults=(Fault("cut", every=2, stored=stored),))
    assert made.send(made.row()).status_code == 200
    with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
        made.send(made.row())
    assert effects(made) == 1 + stored
    assert made.send(made.row()).status_code == 200, "another connection works"
    assert made.server.state()["faults"] == {"cut": 1}
    assert len(made.server.swallowed()) == (stored and system != "intelliview")


@pytest.mark.parametrize("system", OTHERS)
def test_an_answer_that_ends_in_the_middle(system: str, client: Start) -> None:
    made = client(system, faults=(Fault("cut_answer", last=1),))
    with pytest.raises(httpx.RemoteProtocolError, match="without sending complete message body"):
        made.send(made.row())
    assert effects(made) == 1


@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.parametrize("system", OTHERS)
def test_an_answer_that_never_comes(system: str, stored: bool, client: Start, resources: ExitStack) -> None:
    made = client(system, faults=(Fault("hang", last=1, stored=stored),))
    connection = resources.enter_context(made.send_raw(made.row()))
    wait_until(lambda: made.server.state()["faults"])
    made.send(made.row())  # comes after the hanging one: that one is done by then
    assert effects(made) == 1 + stored
    connection.setblocking(False)
    with pytest.raises(BlockingIOError):
        connection.recv(1)


@pytest.mark.parametrize(("retry_after", "header"), [(7, "7"), (None, None)])
@pytest.mark.parametrize("system", OTHERS)
def test_unavailable(system: str, retry_after: int | None, header: str | None, client: Start) -> None:
    made = client(system, faults=(Fault("unavailable", retry_after=retry_after, last=1),))
    answer = made.send(made.row())
    assert (answer.status_code, answer.headers.get("retry-after")) == (503, header)
    assert made.send(made.row()).status_code == 200
    assert (effects(made), made.server.state()["unavailable"]) == (1, 1)


@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.parametrize("status", [200, 500])
@pytest.mark.parametrize("system", OTHERS)
def test_an_error_of_the_server(system: str, status: int, stored: bool, client: Start) -> None:
    made = client(system, faults=(Fault("fault", status=status, stored=stored),))
    answer = made.send(made.row())
    assert answer.status_code == status
    if system == "intelliview":
        assert b"<faultcode>s:Server</faultcode>" in answer.content
    else:
        assert not {"statusCode", "Success"} & set(answer.json())
    assert effects(made) == stored


@pytest.mark.parametrize("status", [200, 502])
@pytest.mark.parametrize("system", OTHERS)
def test_a_page(system: str, status: int, client: Start) -> None:
    made = client(system, faults=(Fault("html", status=status),))
    answer = made.send(made.row())
    assert (answer.status_code, answer.headers["content-type"]) == (status, "text/html; charset=utf-8")


@pytest.mark.parametrize("system", OTHERS)
def test_busy_and_nothing_was_done(system: str, client: Start) -> None:
    made = client(system, faults=(Fault("busy", every=2),))
    first, second = made.send(made.row()), made.send(made.row())
    assert (first.status_code, second.status_code) == (200, 200)
    assert first.text != second.text
    assert effects(made) == 1


@pytest.mark.parametrize("system", ["genesys", "pagos"])
def test_a_session_that_expires_under_a_call(system: str, client: Start) -> None:
    made = client(system, faults=(Fault("expire", every=2),))
    made.send(made.row())
    made.send(made.row())
    state = made.server.state()
    assert state["adds"] == state["adds"] | {"received": 2, "accepted": 1, "refused": 1}
    assert (state["sessions"]["expired"], state["bad_session"]) == (1, 1)


@pytest.mark.parametrize("system", OTHERS)
def test_faults_of_other_operations(system: str, client: Start) -> None:
    made = client(system)
    opening = made.server.service.opening
    made.server.control(faults=[{"kind": "cut", "operation": opening, "stored": True}])
    before = made.server.state()["sessions"]["opened"]
    if system == "genesys":
        made = GenesysClient(made.server, "agent2")
    with made, pytest.raises(httpx.RemoteProtocolError):
        made.open()
    assert made.server.state()["sessions"]["opened"] == before + 1, "a session that nobody knows of"


@pytest.mark.parametrize("system", ["genesys", "pagos"])
def test_a_swallowed_call_may_take_effect_late(system: str, resources: ExitStack) -> None:
    now = [0.0]
    settings = SETTINGS[system](faults=(Fault("cut", stored=True, last=1),), late_effect=20.0)
    server = resources.enter_context(running(Simulator(settings, clock=lambda: now[0])))
    made = resources.enter_context(CLIENTS[system](server))
    made.open()
    with pytest.raises(httpx.RemoteProtocolError):
        made.send(made.row())
    assert server.state()["adds"] == server.state()["adds"] | {"late": 1, "stored": 0, "swallowed": 0}
    now[0] = 20.0
    assert len(server.rows()) == 1
    assert server.state()["adds"] == server.state()["adds"] | {"late": 0, "stored": 1, "swallowed": 1}


@pytest.mark.parametrize("system", OTHERS)
def test_latency_is_waited_for(system: str, resources: ExitStack) -> None:
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    server = resources.enter_context(running(Simulator(SETTINGS[system](latency=7.0), sleep=sleep)))
    made = resources.enter_context(CLIENTS[system](server))
    made.open()
    assert set(waited) == {7.0}


@pytest.mark.parametrize("system", OTHERS)
def test_calls_at_once_on_one_session_are_seen(system: str, client: Start, resources: ExitStack) -> None:
    made = client(system)
    if isinstance(made, IntelliviewClient):
        made.open()
    made.server.control(latency=3600)
    call = made.row()
    if isinstance(made, IntelliviewClient):
        call = made.request(
            "ivnCloseSession", SessionToken=made.token, CompanyID=23, UserName="user", Password="password"
        )
    if isinstance(made, GenesysClient):
        call.headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in made.http.cookies.items())
    before = sum(made.server.state()["calls"].values())
    for _ in range(3):
        resources.enter_context(made.send_raw(call))
    wait_until(lambda: sum(made.server.state()["calls"].values()) == before + 3)
    assert made.server.state()["sessions"]["max_concurrent_calls"] == 3


# --- one port ---


@pytest.fixture
def whole(resources: ExitStack) -> RunningSimulator:
    """A simulator of everything."""
    return resources.enter_context(running())


def used(server: RunningSimulator, resources: ExitStack) -> None:
    """Open a session and, where there are rows, add one, at each system."""
    soap = resources.enter_context(SoapClient(server.of("onc")))
    assert (soap.open(), soap.add()) == (0, 0)
    for system, kind in CLIENTS.items():
        made = resources.enter_context(kind(server.of(system)))
        made.open()
        if system != "intelliview":
            made.send(made.row())


def test_all_systems_on_one_port(whole: RunningSimulator, resources: ExitStack) -> None:
    assert [whole.of(system).url.removeprefix(whole.origin) for system in SETTINGS] == [
        "/onc.svc",
        "",
        "",
        "/intelliview.asmx",
    ]
    assert whole.url == whole.of("onc").url
    used(whole, resources)
    states = {system: whole.of(system).state() for system in SETTINGS}
    common = set.intersection(*map(set, states.values()))
    assert common == {"sessions", "calls", "adds", "bad_session", "faults", "unavailable", "rejected", "outage"}
    for system, state in states.items():
        rows = system != "intelliview"
        assert list(state["sessions"]) == list(states["onc"]["sessions"])
        assert list(state["adds"]) == list(states["onc"]["adds"])
        assert state["sessions"] == state["sessions"] | {"logins": 1, "opened": 1, "open": 1, "refused": 0}
        assert state["adds"] == state["adds"] | {"received": rows, "stored": rows, "accepted": rows, "refused": 0}
        assert len(whole.of(system).rows()) == rows
    assert whole.of("onc").rows()[0]["campaign"] == "11111111-1111-4111-8111-111111111111"


def test_the_state_over_http(whole: RunningSimulator, resources: ExitStack) -> None:
    used(whole, resources)
    with httpx.Client(base_url=whole.origin, trust_env=False) as http:
        states = http.get("/state").json()
        assert states == {system: whole.of(system).state() for system in SETTINGS}
        assert http.get("/state/pagos").json() == states["pagos"]
        (row,) = http.get("/state/genesys?rows").text.splitlines()
        assert json.loads(row) == whole.of("genesys").rows()[0]
        assert http.get("/state/other").status_code == http.post("/control/other", json={}).status_code == 404
        for link in ("/onc.svc?wsdl", "/api/v2/me", "/intelliview.asmx?wsdl", "/state"):
            assert link in http.get("/").text


def test_control_of_one_and_of_all(whole: RunningSimulator, resources: ExitStack) -> None:
    used(whole, resources)
    with httpx.Client(base_url=whole.origin, trust_env=False) as http:
        assert http.post("/control/pagos", json={"outage": "503"}).json()["outage"] == "503"
        assert [whole.of(system).state()["outage"] for system in SETTINGS] == [None, None, "503", None]
        assert http.post("/control", json={"outage": None, "expire_sessions": True}).status_code == 200
        assert [whole.of(system).state()["sessions"]["expired"] for system in SETTINGS] == [1, 1, 1, 1]
        for changes in ({"own_ids": True}, {"faults": ["cut:operation=AddRecord"]}, {"revoke_tokens": True}):
            assert http.post("/control", json={"latency": 1.0, **changes}).status_code == 400
        assert {service.settings.latency for service in whole.simulator.services.values()} == {0.0}
        assert http.post("/control/genesys", json={"faults": ["incomplete"]}).status_code == 200
        assert http.post("/control", json={"latency": 1.0}).status_code == 200
        assert {service.settings.latency for service in whole.simulator.services.values()} == {1.0}


def test_refused_connections(whole: RunningSimulator) -> None:
    genesys = whole.of("genesys")
    with GenesysClient(genesys) as made:
        for _ in range(2):
            genesys.control(outage="refuse")
            with pytest.raises(httpx.ConnectError):
                made.me()
            genesys.control(outage=None)
            assert made.me().status_code == 200


@pytest.mark.parametrize(
    "settings",
    [
        (PagosSettings(), PagosSettings(prefix="/other")),
        (OncSettings(path="/x.asmx"), IntelliviewSettings(path="/x.asmx")),
        (GenesysSettings(), OncSettings(path="/api/v2/me")),
    ],
)
def test_services_that_stand_in_each_others_way(settings: Any) -> None:
    with pytest.raises(ValueError):
        Simulator(*settings)


def test_the_first_is_the_one_that_is_meant(resources: ExitStack) -> None:
    server = resources.enter_context(running(PagosSettings(), OncSettings()))
    made = resources.enter_context(PagosClient(server))
    made.open()
    assert server.state()["sessions"]["opened"] == 1
    assert server.of("onc").state()["sessions"]["opened"] == 0
    assert server.contacts() == []
    with pytest.raises(KeyError):
        server.of("genesys")


# --- the command ---


def simulated(resources: ExitStack, *options: str) -> tuple[str, str]:
    """The address that `simulate` writes, and everything else that it says until it is stopped."""
    command = [sys.executable, "-m", "pipeline", "simulate", *options]
    process = resources.enter_context(
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    )
    assert process.stdout is not None
    address = process.stdout.readline().strip()
    try:
        if address:
            origin = "/".join(address.split("/")[:3])
            httpx.post(origin + "/control", json={"latency": 0}, trust_env=False).raise_for_status()
    finally:
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
    assert out == "", "one line is promised"
    return address, err


def test_the_command_tells_how_to_reach_each(resources: ExitStack) -> None:
    address, said = simulated(resources, "--fault", "cut:operation=AddRecord", "--fault", "busy")
    origin = address.removesuffix("/onc.svc")
    assert address == origin + "/onc.svc"
    for words in (
        f"--set target.system=onc --set target.endpoint={origin}/onc.svc --set target.dialect=wcf\n",
        'account "account", user "user", password "password", campaign 11111111-1111-4111-8111-111111111111\n',
        f"--set target.system=genesys --set target.endpoint={origin}\n",
        'users "agent1", "agent2",',
        f"--set target.system=pagos --set target.endpoint={origin}\n",
        'application key "a4dcfb4f0464453b928ce1d6bcfb6aa3", token "Do3l_2l3uLdmYX76u-BufLzuuhFPOE-nRZDyU0adiFk1"\n',
        f'{origin}/oauth/token for client "client", secret "secret"\n',
        f"--set target.system=intelliview --set target.endpoint={origin}/intelliview.asmx\n",
        'company "company", user "user", password "password"\n',
    ):
        assert words in said


def test_the_command_for_one_system(resources: ExitStack) -> None:
    address, said = simulated(resources, "--system", "intelliview", "--system", "genesys", "--idle-limit", "60")
    assert address.endswith("/intelliview.asmx")
    assert "target.system=genesys" in said
    assert "target.system=pagos" not in said


@pytest.mark.parametrize(
    "options",
    [
        ("--system", "other"),
        ("--system", "pagos", "--fault", "incomplete"),
        ("--fault", "cut:operation=Nothing"),
        ("--refuse", "("),
    ],
)
def test_what_the_command_cannot_simulate(options: tuple[str, ...]) -> None:
    command = [sys.executable, "-m", "pipeline", "simulate", *options]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (ended.returncode, ended.stdout, len(ended.stderr.splitlines())) == (2, "", 1)
