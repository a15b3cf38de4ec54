"""The simulator starts and stops promptly, in a thread, in a process of its own and in memory."""

import signal
import socket
import subprocess
import sys
import threading
from urllib.parse import urlsplit

import httpx
import pytest
from simulator.soap_client import SoapClient, wait_until

from pipeline.simulator import Fault, OncSettings, RunningSimulator, Simulator, running

PROGRAM = """
from pipeline.simulator import OncSettings, run
run(OncSettings(latency=3600), 0, lambda url: print(url, flush=True))
print("stopped", flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_it_cleanly(number: signal.Signals) -> None:
    command = [sys.executable, "-W", "error", "-c", PROGRAM]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        url = process.stdout.readline().strip()
        assert httpx.get(url + "?wsdl", trust_env=False).status_code == 200
        address = urlsplit(url)
        with socket.create_connection((address.hostname or "", address.port or 0)):
            process.send_signal(number)
            assert process.stdout.read() == "stopped\n"
            assert process.wait(20) == 0
            assert process.stderr.read() == ""


def test_an_address_in_use_is_told_to_the_caller() -> None:
    with running() as server, pytest.raises(OSError), running(port=urlsplit(server.url).port or 0):
        pass


def test_leaving_ends_calls_that_wait(capfd: pytest.CaptureFixture[str]) -> None:
    with running(OncSettings(faults=(Fault("hang"),))) as server, SoapClient(server) as soap:
        soap.open()
        inner = f"<sessionId>{soap.session}</sessionId>{soap.contact()}"
        hanging = soap.send_raw("AddCampaignContact", inner)
        server.control(latency=3600)
        waiting = soap.send_raw("GetCampaigns", f"<sessionId>{soap.session}</sessionId>")
        wait_until(lambda: len(server.state()["calls"]) == 3)
    for connection in (hanging, waiting):
        with connection:
            assert connection.recv(1) == b""
    assert capfd.readouterr().err == ""
    assert "simulator" not in [thread.name for thread in threading.enumerate()]


def test_two_run_side_by_side() -> None:
    with running() as one, running(OncSettings(dialect="asmx")) as other, SoapClient(other) as soap:
        assert soap.open() == 0
        assert one.state()["sessions"]["opened"] == 0
        assert other.state()["sessions"]["opened"] == 1


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.anyio
async def test_in_memory_a_cut_raises() -> None:
    simulator = Simulator(OncSettings(faults=(Fault("cut", operation="GetCampaigns"),)))
    headers = {
        "Content-Type": "text/xml",
        "SOAPAction": '"http://tempuri.org/IOutboundNotifications/GetCampaigns"',
    }
    async with httpx.AsyncClient(transport=httpx.ASGITransport(simulator), base_url="http://simulator") as http:
        assert (await http.get("/onc.svc?wsdl")).status_code == 200
        with pytest.raises(ConnectionResetError):
            await http.post("/onc.svc", headers=headers)
        assert (await http.post("/control", json={"outage": "503"})).status_code == 200
        assert (await http.post("/onc.svc", headers=headers)).status_code == 503
        with pytest.raises(ValueError, match="listens"):
            await simulator.control({"outage": "refuse"})


def test_the_url_is_that_of_the_service() -> None:
    with running(OncSettings(path="/services/other.asmx")) as server:
        assert isinstance(server, RunningSimulator)
        assert server.url == server.origin + "/services/other.asmx"
        assert httpx.get(server.url + "?wsdl", trust_env=False).status_code == 200
        assert httpx.get(server.origin + "/onc.svc", trust_env=False).status_code == 404
