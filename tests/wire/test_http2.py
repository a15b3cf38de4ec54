"""HTTP/2, where a target asks for it: by httpx, and it is said once."""

import logging
import shutil
import sys
from collections.abc import Iterator

import pytest
import trustme
from wire.programs import nginx

from pipeline.config import HttpSettings
from pipeline.errors import ConfigError, NotDelivered, OutcomeUnknown
from pipeline.wire import Line, client_factory

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[tuple[str, HttpSettings]]:
    """An address, and the settings to reach it."""
    if not shutil.which("nginx"):
        pytest.skip("nginx is not installed: apt-get install nginx-light")
    place = tmp_path_factory.mktemp("http2")
    ca = trustme.CA()
    ca.cert_pem.write_to_path(place / "ca.pem")
    ca.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(place / "server.pem")
    with nginx(place, "http2.conf") as address:
        yield f"https://{address}", HttpSettings(ca=place / "ca.pem", http2=True)


async def test_rows_go_as_http2_and_that_is_said_once(server, caplog):
    url, http = server
    clients = client_factory(http, 5.0)
    with caplog.at_level(logging.INFO):
        for _ in range(2):
            async with clients() as client:
                line = Line(client, f"{url}/rows", {"Content-Type": "text/plain"}, token=b"t")
                for _ in range(3):
                    assert (await line.post([b"a", b"b"])).body == b"HTTP/2.0"
    assert caplog.text.count("wire.detour") == 1
    assert "HTTP/2" in caplog.text


async def test_without_being_asked_for_it_is_not_offered(server):
    url, http = server
    async with client_factory(http.model_copy(update={"http2": False}), 5.0)() as client:
        assert (await Line(client, f"{url}/rows", {}).post([b"a"])).body == b"HTTP/1.1"


async def test_answers_and_failures_mean_what_they_mean_otherwise(server):
    url, http = server
    async with client_factory(http, 5.0)() as client:
        busy = await Line(client, f"{url}/busy", {}).post([b"a"])
        assert (busy.status, busy.headers["retry-after"]) == (503, "7")
        with pytest.raises(OutcomeUnknown):
            await Line(client, f"{url}/cut", {}).post([b"a"])
        assert (await Line(client, f"{url}/rows", {}).post([b"a"])).status == 200, "on a new connection"
        with pytest.raises(NotDelivered):
            await Line(client, "https://127.0.0.1:1/", {}).post([b"a"])


def test_without_the_extra_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "h2", None)
    with pytest.raises(ConfigError, match="http.http2.*pip install"):
        client_factory(HttpSettings(http2=True), 5.0)
