"""The same exchanges with servers that others wrote, over httpx's own transport and ours: the results are the same."""

import shutil
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field

import anyio
import httpx
import pytest
from wire.programs import HERE, STARTS_WITHIN, nginx, told_port
from wire.ways import client_of_ours

from pipeline.errors import PipelineError
from pipeline.wire import Line
from pipeline.wire.clients import WireClient
from pipeline.wire.exchange import told
from pipeline.wire.transport import origin_of

pytestmark = pytest.mark.anyio


@dataclass(frozen=True)
class Ask:
    """One request. `body` None: it is sent in pieces, of a length that is not announced."""

    path: str
    body: bytes | None = b"hello"
    method: str = "POST"
    headers: dict[str, str] = field(default_factory=dict)


LARGE = bytes(range(256)) * 4000

COMMON = [
    Ask("/length"), Ask("/length", b""), Ask("/length"), Ask("/length", LARGE), Ask("/length"), Ask("/close"),
    Ask("/length", method="GET", body=b""), Ask("/length", method="HEAD", body=b""), Ask("/length"), Ask("/cut"),
    Ask("/length"), Ask("/nothing"), Ask("/length"), Ask("/absent"), Ask("/length"),
]  # fmt: skip
ECHOING = [
    Ask("/chunks"), Ask("/chunks", LARGE), Ask("/chunks", b""), Ask("/length", None), Ask("/length"),
    Ask("/unchanged"), Ask("/length"), Ask("/early"), Ask("/length"),
]  # fmt: skip
ASKS = {
    "nginx": [
        *COMMON, Ask("/moved"), Ask("/fails"), Ask("/early", b"x" * 5000), Ask("/length"),
        Ask("/large", method="GET", body=b""), Ask("/gzip", method="GET", body=b""), Ask("/length"),
        Ask("/large", method="GET", body=b"", headers={"Range": "bytes=5-9"}), Ask("/length"),
    ],
    "node": [
        *COMMON, *ECHOING, Ask("/trailers"), Ask("/length"), Ask("/hints"), Ask("/length"), Ask("/gone"),
        Ask("/length"), Ask("/reset"), Ask("/length"), Ask("/length", headers={"Expect": "100-continue"}),
    ],
    "uvicorn-h11": [*COMMON, *ECHOING, Ask("/gzip"), Ask("/gzip", LARGE), Ask("/fails"), Ask("/length")],
    "uvicorn-httptools": [*COMMON, *ECHOING, Ask("/gzip"), Ask("/gzip", LARGE), Ask("/fails"), Ask("/length")],
}  # fmt: skip


@pytest.fixture(scope="module", params=ASKS)
def server(request, tmp_path_factory) -> Iterator[tuple[str, str]]:
    name = request.param
    if name == "nginx":
        if not shutil.which("nginx"):
            pytest.skip("nginx is not installed: apt-get install nginx-light")
        place = tmp_path_factory.mktemp("nginx")
        (place / "large").write_bytes(b"a line of text\n" * 20_000)
        running = nginx(place)
    elif name == "node":
        if not shutil.which("node"):
            pytest.skip("Node is not installed: apt-get install nodejs")
        running = told_port(["node", str(HERE / "node.js")])
    else:
        running = told_port([sys.executable, str(HERE / "asgi.py"), name.removeprefix("uvicorn-")])
    with running as place_of_it:
        yield name, f"http://{place_of_it}"


def seen(response: httpx.Response, body: bytes) -> object:
    kept = sorted((name, value) for name, value in response.headers.multi_items() if name != "date")
    return response.status_code, response.http_version, kept, body


async def pieces() -> AsyncIterator[bytes]:
    for size in (1, 0, 5, 70_000):
        yield b"x" * size


async def outcomes(client: httpx.AsyncClient, url: str, asks: list[Ask]) -> list[object]:
    results: list[object] = []
    for ask in asks:
        content = pieces() if ask.body is None else ask.body
        try:
            response = await client.request(ask.method, url + ask.path, content=content, headers=ask.headers)
            results.append(seen(response, response.content))
        except (httpx.TransportError, httpx.DecodingError) as error:
            results.append(type(told(error, url)))
    return results


async def test_a_server_tells_both_transports_the_same(server):
    name, url = server
    asks = ASKS[name]
    async with client_of_ours() as ours, httpx.AsyncClient(trust_env=False, verify=False) as theirs:
        results = await outcomes(ours, url, asks)
        expected = await outcomes(theirs, url, asks)
    for ask, result, wanted in zip(asks, results, expected, strict=True):
        assert result == wanted, ask
    assert sum(isinstance(result, tuple) for result in results) > len(asks) - 5, "most of it are answers"


async def test_a_server_tells_a_line_the_same(server):
    name, url = server
    asks = [ask for ask in ASKS[name] if ask.method == "POST" and ask.body is not None and not ask.headers]
    async with client_of_ours() as client, httpx.AsyncClient(trust_env=False, verify=False) as theirs:
        expected = await outcomes(theirs, url, asks)
        for ask, wanted in zip(asks, expected, strict=True):
            assert await by_line(client, url, ask) == wanted, ask


async def by_line(client: WireClient, url: str, ask: Ask) -> object:
    client.wire.reached.add(origin_of(httpx.URL(url)))
    line = Line(client, url + ask.path, {})
    assert ask.body is not None
    try:
        answer = await line.post([ask.body[:2], ask.body[2:]])
    except PipelineError as error:
        return type(error)
    return seen(httpx.Response(answer.status, headers=answer.headers), answer.body)


async def test_many_at_once(server):
    _, url = server
    async with client_of_ours(timeout=STARTS_WITHIN) as client:
        line = Line(client, url + "/length", {})
        first = (await line.post([b"an answer\n"])).body

        async def caller(number: int) -> None:
            body = first if first == b"an answer\n" else b"%d" % number
            for _ in range(20):
                assert (await line.post([body])).body == body

        async with anyio.create_task_group() as group:
            for number in range(10):
                group.start_soon(caller, number)
