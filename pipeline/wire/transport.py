"""An httpx transport over our own connections, kept open between requests: one client serves one session."""

import re
import ssl
from collections.abc import AsyncIterable, AsyncIterator, Awaitable
from typing import Final, TypeVar

import anyio
import httpx

from pipeline.wire.connecting import Origin, connect
from pipeline.wire.connection import Connection, Lost, State
from pipeline.wire.reading import Broken

T = TypeVar("T")

#: A piece of an answer's body is at most so large, for an encoded one unfolds to a thousand times its size.
_PIECE: Final = 64 * 1024

#: What may stand in a head (RFC 9110, 5.1 and 5.5; RFC 9112, 3.2): anything else could begin a line of its own.
_TOKEN: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE: Final = re.compile(rb"(?:[^\x00-\x20\x7f](?:[^\x00-\x08\x0a-\x1f\x7f]*[^\x00-\x20\x7f])?)?")
_TARGET: Final = re.compile(rb"[\x21-\x7e]+")

_PORTS: Final = {"http": 80, "https": 443}


class WireTransport(httpx.AsyncBaseTransport):
    """For one event loop. Raises as httpx's own transport does; where nothing was written it is a ConnectError, also
    where the server hung up before it was asked.
    """

    def __init__(self, tls: ssl.SSLContext) -> None:
        self._tls = tls
        self._idle: dict[Origin, list[Connection]] = {}
        self._open: list[Connection] = []
        self._closed = False
        self.reached: set[Origin] = set()  # where requests went through here, and not through a proxy
        self.cookies_set = 0  # how many answers to httpx have set cookies

    def idle(self, origin: Origin) -> Connection | None:
        """A connection for one request that is open already; one that the server has closed meanwhile is passed by."""
        idle = self._idle.get(origin)
        while idle:
            connection = idle.pop()
            if connection.ready():
                return connection
        return None

    async def connected(self, origin: Origin, within: float | None) -> Connection:
        """A new connection for one request. `within`: seconds to connect. Raises ConnectError or ConnectTimeout."""
        if self._closed:
            raise httpx.ConnectError("the client has been closed")
        try:
            with anyio.fail_after(within):
                connection = await connect(origin, self._tls)
        except TimeoutError:
            raise httpx.ConnectTimeout("no connection in time") from None
        except OSError as error:
            raise httpx.ConnectError(error.strerror or str(error)) from error
        self._admit(connection)
        return connection

    def _admit(self, connection: Connection) -> None:
        if self._closed or not connection.ready():
            connection.close()
            raise httpx.ConnectError("the connection was ended before anything was asked")
        self._open = [other for other in self._open if other.state is not State.CLOSED]
        self._open.append(connection)

    def give_back(self, origin: Origin, connection: Connection) -> None:
        """A request on a connection is over, whatever became of it."""
        if connection.state is State.IDLE:
            self._idle.setdefault(origin, []).append(connection)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and give the response once its head is there."""
        origin = origin_of(request.url)
        head = head_of(request)
        timeouts = request.extensions.get("timeout", {})
        self.reached.add(origin)
        connection = self.idle(origin) or await self.connected(origin, timeouts.get("connect"))
        try:
            connection.begin(to_head=request.method == "HEAD")
            await _write(connection, request, head, timeouts.get("write"))
            reading = await _read(connection.head(), timeouts.get("read"))
            self.cookies_set += reading.sets_cookies
        except BaseException:
            connection.close()
            raise
        return httpx.Response(
            reading.status,
            headers=reading.headers,
            stream=_Body(self, origin, connection, timeouts.get("read")),
            extensions={"http_version": b"HTTP/" + reading.version.encode()},
        )

    async def aclose(self) -> None:
        """Close all connections; whoever awaits an answer on one is told."""
        self._closed = True
        for connection in self._open:
            connection.close()
        self._open.clear()
        self._idle.clear()
        await anyio.lowlevel.checkpoint()  # the loop closes the sockets


class _Body(httpx.AsyncByteStream):
    """The body of a response."""

    def __init__(self, wire: WireTransport, origin: Origin, connection: Connection, patience: float | None) -> None:
        self._wire = wire
        self._origin = origin
        self._connection = connection
        self._patience = patience

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            while piece := await _read(self._connection.body(), self._patience):
                for at in range(0, len(piece), _PIECE):
                    yield piece[at : at + _PIECE]
        except BaseException:
            self._connection.close()
            raise

    async def aclose(self) -> None:
        """The answer is taken, or not wanted."""
        self._connection.finish()
        self._wire.give_back(self._origin, self._connection)


async def _write(connection: Connection, request: httpx.Request, head: bytes, patience: float | None) -> None:
    """Write a request until it has left, or the answer comes first."""
    chunked = b"chunked" in request.headers.get("transfer-encoding", "").encode()
    announced = request.headers.get("content-length")
    sent = 0
    connection.write(head)
    assert isinstance(request.stream, AsyncIterable)
    async for piece in request.stream:
        if not piece:
            continue
        sent += len(piece)
        if chunked:
            connection.write(b"%x\r\n" % len(piece))
        elif announced is None or sent > int(announced):
            raise httpx.LocalProtocolError("the body is longer than announced")
        connection.write(piece)
        if chunked:
            connection.write(b"\r\n")
        if not await _drained(connection, patience):
            return
    if chunked:
        connection.write(b"0\r\n\r\n")
    elif announced is not None and sent < int(announced):
        raise httpx.LocalProtocolError("the body is shorter than announced")
    connection.sent()
    await _drained(connection, patience)


async def _drained(connection: Connection, patience: float | None) -> bool:
    try:
        with anyio.fail_after(patience):
            return await connection.drain()
    except TimeoutError:
        raise httpx.WriteTimeout("the request could not be written in time") from None


async def _read(what: Awaitable[T], patience: float | None) -> T:
    """Something of an answer; `patience`: seconds to wait for it."""
    try:
        with anyio.fail_after(patience):
            return await what
    except TimeoutError:
        raise httpx.ReadTimeout("no answer in time") from None
    except Lost as error:
        raise httpx.ReadError(error.reason) from None
    except Broken as error:
        raise httpx.RemoteProtocolError(error.reason) from None


def origin_of(url: httpx.URL) -> Origin:
    """Where an address leads. Raises UnsupportedProtocol."""
    if url.scheme not in _PORTS:
        raise httpx.UnsupportedProtocol("the address is neither http nor https")
    return Origin(url.scheme, url.raw_host.decode("ascii"), url.port or _PORTS[url.scheme])


def head_of(request: httpx.Request) -> bytes:
    """The head of a request as it is written. Raises LocalProtocolError where it would not be one."""
    method, target = request.method.encode("ascii"), request.url.raw_path
    headers = request.headers.raw
    if not (
        _TOKEN.fullmatch(method)
        and _TARGET.fullmatch(target)
        and all(_TOKEN.fullmatch(name) and _VALUE.fullmatch(value) for name, value in headers)
    ):
        raise httpx.LocalProtocolError("the request's head holds what no head can hold")
    lines = [b"%b %b HTTP/1.1\r\n" % (method, target), *(b"%b: %b\r\n" % header for header in headers), b"\r\n"]
    return b"".join(lines)
