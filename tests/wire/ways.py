"""The ways of a request to a server, made comparable: httpx's own transport, ours under httpx, and a line for rows."""

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import httpx

from pipeline.errors import NotDelivered, OutcomeUnknown, PipelineError, TargetUnusable
from pipeline.wire import Answer, Line, exchange
from pipeline.wire.clients import WireClient
from pipeline.wire.transport import WireTransport, origin_of

HEADERS = {"Content-Type": "text/plain"}

#: Headers that differ from one moment to the next.
_FLEETING = ("date",)


@dataclass(frozen=True)
class Result:
    """What became of one request: an answer, or how the failure is to be recovered from."""

    status: int = 0
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    failure: type[PipelineError] | None = None


class Post(Protocol):
    """POSTs a body; raises like `exchange`."""

    async def __call__(self, body: bytes) -> Answer: ...


Way = Callable[..., Any]


#: For what is not under TLS: the system's certificates take 50 ms to load.
_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _timeouts(timeout: float) -> httpx.Timeout:
    return httpx.Timeout(timeout, connect=5.0)


def client_of_ours(tls: ssl.SSLContext | None = None, timeout: float = 5.0) -> WireClient:
    wire = WireTransport(tls or _NO_TLS)
    return WireClient(wire, lambda: None, proxies={}, timeout=_timeouts(timeout), headers={})


@asynccontextmanager
async def by_httpx(url: str, *, tls: ssl.SSLContext | None = None, timeout: float = 5.0) -> AsyncIterator[Post]:
    transport = httpx.AsyncHTTPTransport(verify=tls or _NO_TLS)
    async with httpx.AsyncClient(transport=transport, timeout=_timeouts(timeout)) as client:
        yield lambda body: exchange(client, url, HEADERS, body)


@asynccontextmanager
async def by_wire(url: str, *, tls: ssl.SSLContext | None = None, timeout: float = 5.0) -> AsyncIterator[Post]:
    async with client_of_ours(tls, timeout) as client:
        yield lambda body: exchange(client, url, HEADERS, body)


@asynccontextmanager
async def by_line(url: str, *, tls: ssl.SSLContext | None = None, timeout: float = 5.0) -> AsyncIterator[Post]:
    """A line that goes its own way from the first call."""
    async with client_of_ours(tls, timeout) as client:
        client.wire.reached.add(origin_of(httpx.URL(url)))
        line = Line(client, url, HEADERS)

        async def post(body: bytes) -> Answer:
            middle = len(body) // 2
            return await line.post([body[:middle], body[middle:]])

        yield post


async def result(post: Post, body: bytes = b"hello") -> Result:
    """What becomes of a POST."""
    try:
        answer = await post(body)
    except (NotDelivered, OutcomeUnknown, TargetUnusable) as error:
        return Result(failure=type(error))
    told = sorted((name.lower(), value) for name, value in answer.headers.multi_items())
    return Result(answer.status, tuple(pair for pair in told if pair[0] not in _FLEETING), answer.body)
