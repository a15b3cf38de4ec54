"""One exchange over real sockets, and what each way to fail says about whether the target may have acted."""

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio
import pytest
import trustme
from anyio.abc import ByteStream
from anyio.streams.tls import TLSListener

from pipeline.config import HttpSettings
from pipeline.errors import ConfigError, NotDelivered, OutcomeUnknown, TargetUnusable
from pipeline.wire import client_factory, exchange, retry_after

pytestmark = pytest.mark.anyio

Handler = Callable[[ByteStream], Awaitable[None]]


@asynccontextmanager
async def serving(handler: Handler, context: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """A server on loopback that gives each connection to `handler` once a request's head has come."""

    async def connection(stream: ByteStream) -> None:
        async with stream:
            try:
                head = b""
                while b"\r\n\r\n" not in head:
                    head += await stream.receive()
                await handler(stream)
            except (anyio.EndOfStream, anyio.BrokenResourceError, ssl.SSLError):
                pass

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(anyio.abc.SocketAttribute.local_port)
    served = TLSListener(listener, context, standard_compatible=False) if context else listener
    async with listener, anyio.create_task_group() as group:
        group.start_soon(served.serve, connection)
        yield f"http{'s' if context else ''}://localhost:{port}/"
        group.cancel_scope.cancel()


async def post(url: str, http: HttpSettings | None = None, *, timeout: float = 5.0, limit: int = 1 << 20) -> bytes:
    async with client_factory(http or HttpSettings(), timeout)() as client:
        return (await exchange(client, url, {"Content-Type": "text/plain"}, b"hello", limit=limit)).body


def answering(data: bytes) -> Handler:
    async def handler(stream: ByteStream) -> None:
        await stream.send(data)

    return handler


async def test_an_answer_whole():
    async with serving(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")) as url:
        assert await post(url) == b"ok"


async def test_a_refused_connection_delivered_nothing():
    async with serving(answering(b"")) as url:
        pass
    with pytest.raises(NotDelivered, match="no connection to localhost"):
        await post(url)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nhalf",
    ],
    ids=["nothing", "half", "garbage", "undecodable"],
)
async def test_an_answer_that_breaks_off_leaves_the_outcome_unknown(data):
    async with serving(answering(data)) as url:
        with pytest.raises(OutcomeUnknown):
            await post(url)


async def test_no_answer_in_time():
    async def silent(stream: ByteStream) -> None:
        await anyio.sleep_forever()

    async with serving(silent) as url:
        with pytest.raises(OutcomeUnknown, match="in time"):
            await post(url, timeout=1.0)


async def test_an_answer_that_trickles_ends_too():
    async def trickle(stream: ByteStream) -> None:
        await stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while True:
            await stream.send(b"x")
            await anyio.sleep(0.05)

    async with serving(trickle) as url:
        with pytest.raises(OutcomeUnknown, match="in time"):
            await post(url, timeout=1.0)


async def test_an_answer_over_the_limit():
    async with serving(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + b"x" * 100)) as url:
        with pytest.raises(OutcomeUnknown, match="larger than 99"):
            await post(url, limit=99)


async def test_certificates(tmp_path):
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    answer = answering(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    async with serving(answer, context) as url:
        with pytest.raises(TargetUnusable, match=r"TLS to localhost:\d+ failed: .*http\.ca"):
            await post(url)
        assert await post(url, HttpSettings(ca=tmp_path / "ca.pem")) == b"ok"
        with pytest.raises(TargetUnusable, match="TLS to 127"):
            await post(url.replace("localhost", "127.0.0.1"), HttpSettings(ca=tmp_path / "ca.pem"))


async def test_client_certificates(tmp_path):
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    ours = authority.issue_cert("importer")
    ours.private_key_and_cert_chain_pem.write_to_path(tmp_path / "ours.pem")
    answer = answering(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    async with serving(answer, context) as url:
        known = HttpSettings(ca=tmp_path / "ca.pem", cert=tmp_path / "ours.pem")
        assert await post(url, known) == b"ok"


async def test_files_that_are_no_certificates(tmp_path):
    (tmp_path / "ca.pem").write_text("no certificate")
    with pytest.raises(ConfigError, match=r"http\.ca: .*ca\.pem cannot be used"):
        client_factory(HttpSettings(ca=tmp_path / "ca.pem"), 1.0)
    with pytest.raises(ConfigError, match=r"http\.cert: .*none\.pem cannot be used"):
        client_factory(HttpSettings(cert=tmp_path / "none.pem"), 1.0)


async def test_retry_after():
    assert retry_after({"retry-after": "7"}) == 7
    assert retry_after({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0
    assert retry_after({"retry-after": "soon"}) is None
    assert retry_after({}) is None
