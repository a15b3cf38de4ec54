"""Row calls: what is written, when httpx makes them instead, and what a call that is given up leaves behind."""

import threading

import anyio
import anyio.lowlevel
import httpx
import pytest
from wire import hostile
from wire.ways import by_httpx, by_line, by_wire, client_of_ours, result

from pipeline.config import HttpSettings
from pipeline.errors import NotDelivered, OutcomeUnknown, TargetUnusable
from pipeline.wire import Answer, Line, client_factory, exchange, hang_up
from pipeline.wire.transport import WireTransport, origin_of

pytestmark = pytest.mark.anyio

HEADERS = {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": '"urn:add"', "Authorization": "Bearer x"}


def kept(requests: list[bytes], *answers: bytes) -> hostile.Play:
    """A play that keeps what it is asked and gives one answer after the other, the last one over and over."""

    def play(connection: hostile.Connection) -> None:
        while True:
            requests.append(connection.request())
            connection.send(answers[min(len(requests), len(answers)) - 1])

    return play


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


async def test_a_line_writes_what_httpx_would():
    requests: list[bytes] = []
    with hostile.serving(kept(requests, OK)) as server:
        client = client_of_ours()
        url = server.url + "a path/%C3%A9?q=1&r"
        line = Line(client, url, HEADERS)
        for parts in ([b"one", b"", b"message"], [b"one", b"message"], [b"onemess", b"age"]):
            assert (await line.post(parts)).body == b"ok"
        assert line._direct
        await client.aclose()
        assert len(server.over) == 1
        async with httpx.AsyncClient(verify=False) as theirs:
            await theirs.post(url, headers=HEADERS, content=b"onemessage")
    ours, second, third, expected = map(lines, requests)
    assert second == third == ours == expected


def lines(request: bytes) -> tuple[bytes, set[bytes], bytes]:
    head, _, body = request.partition(b"\r\n\r\n")
    first, *headers = head.split(b"\r\n")
    assert len(set(headers)) == len(headers)
    return first, set(headers), body


async def test_cookies_go_back_as_httpx_would_send_them():
    requests: list[bytes] = []
    answers = (
        b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1; Path=/\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nSet-Cookie: b=2; Path=/\r\nContent-Length: 2\r\n\r\nok",
        OK,
        b"HTTP/1.1 200 OK\r\nSet-Cookie: a=; Max-Age=0; Path=/\r\nContent-Length: 2\r\n\r\nok",
        OK,
    )
    with hostile.serving(kept(requests, *answers)) as server:
        async with client_of_ours() as client:
            line = Line(client, server.url, HEADERS)
            for _ in answers:
                await line.post([b"x"])
    told = [next((h for h in lines(request)[1] if h.startswith(b"Cookie")), b"") for request in requests]
    assert told == [b"", b"Cookie: a=1", b"Cookie: a=1; b=2", b"Cookie: a=1; b=2", b"Cookie: b=2"]


async def test_a_cookie_is_kept_as_long_as_the_last_answer_says():
    """Also where that answer is byte for byte the one before."""
    requests: list[bytes] = []
    answer = b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1; Path=/\r\nContent-Length: 2\r\n\r\nok"
    with hostile.serving(kept(requests, answer)) as server:
        async with client_of_ours() as client:
            line = Line(client, server.url, HEADERS)
            for _ in range(3):
                await line.post([b"x"])
            client.cookies.clear()
            await line.post([b"x"])
            assert dict(client.cookies) == {"a": "1"}


async def test_a_line_of_many_lengths():
    requests: list[bytes] = []
    with hostile.serving(kept(requests, OK)) as server:
        async with client_of_ours() as client:
            line = Line(client, server.url, HEADERS)
            for length in (0, 1, 9, 10, 99, 100, 70_000, 300_000, 10):
                assert (await line.post([b"x" * length])).body == b"ok"
                assert len(lines(requests[-1])[2]) == length
        assert len(server.over) == 1


@pytest.mark.parametrize("header", [{"X": "a\r\nY: b"}, {"X": "a\nb"}, {"X": "a\0b"}, {"X\r\nY": "b"}, {"": "b"}])
async def test_a_header_that_would_begin_a_line_of_its_own_is_not_written(header):
    requests: list[bytes] = []
    with hostile.serving(kept(requests, OK)) as server:
        async with client_of_ours() as client:
            with pytest.raises(httpx.LocalProtocolError):
                await client.post(server.url, headers=header)
            with pytest.raises(httpx.LocalProtocolError):
                Line(client, server.url, header)
    assert requests == []


async def test_rows_go_through_the_proxy_of_the_environment_by_httpx(monkeypatch, caplog):
    caplog.set_level("INFO")
    requests: list[bytes] = []
    with hostile.serving(kept(requests, OK)) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.delenv("no_proxy", raising=False)
        clients = client_factory(HttpSettings(), 5.0)
        for _ in range(2):
            client = clients()
            line = Line(client, "http://target.invalid/rows", HEADERS)
            for _ in range(2):
                assert (await line.post([b"a", b"row"])).body == b"ok"
            await hang_up(client)
    assert [request.partition(b"\r\n")[0] for request in requests] == [b"POST http://target.invalid/rows HTTP/1.1"] * 4
    assert caplog.text.count("wire.detour") == 1, "it is said once"


async def test_rows_go_through_a_configured_proxy_by_httpx(caplog):
    caplog.set_level("INFO")
    requests: list[bytes] = []
    with hostile.serving(kept(requests, OK)) as proxy:
        clients = client_factory(HttpSettings(proxy=proxy.url), 5.0)
        for _ in range(2):
            client = clients()
            line = Line(client, "http://target.invalid/rows", HEADERS)
            assert (await line.post([b"a", b"row"])).body == b"ok"
            await hang_up(client)
    assert [request.partition(b"\r\n")[0] for request in requests] == [b"POST http://target.invalid/rows HTTP/1.1"] * 2
    assert caplog.text.count("wire.detour") == 1


ENVIRONMENTS = [
    {},
    {"http_proxy": "http://proxy:1"},
    {"https_proxy": "proxy:1"},
    {"all_proxy": "http://proxy:1"},
    {"http_proxy": "http://proxy:1", "https_proxy": "http://other:2", "no_proxy": "example.com"},
    {"all_proxy": "http://proxy:1", "no_proxy": ".example.com, localhost,127.0.0.1 ,::1,192.168.0.0/16"},
    {"all_proxy": "http://proxy:1", "no_proxy": "*"},
    {"all_proxy": "http://proxy:1", "no_proxy": "http://example.com"},
    {"no_proxy": "example.com"},
]
ADDRESSES = [
    "http://example.com/", "https://example.com/", "https://www.example.com:8443/", "http://wwwexample.com/",
    "http://localhost/", "http://127.0.0.1:1/", "http://[::1]/", "http://192.168.0.1/", "http://elsewhere.org/",
]  # fmt: skip


@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=lambda given: " ".join(given.values()) or "none")
async def test_what_goes_through_a_proxy_is_what_httpx_would_send_there(environment, monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    ours = client_factory(HttpSettings(), 1.0)()
    theirs = httpx.AsyncClient(verify=False)
    for address in map(httpx.URL, ADDRESSES):
        straight = theirs._transport_for_url(address) is theirs._transport
        assert isinstance(ours._transport_for_url(address), WireTransport) is straight, address
    await ours.aclose()
    await theirs.aclose()


async def test_a_client_with_a_way_of_its_own_to_log_in_makes_the_calls_by_httpx():
    requests: list[bytes] = []
    with hostile.serving(kept(requests, OK)) as server:
        async with client_of_ours() as client:
            client.auth = httpx.BasicAuth("user", "password")
            line = Line(client, server.url, HEADERS)
            for _ in range(3):
                await line.post([b"x"])
            assert not line._direct
    assert all(b"Authorization: Basic" in request for request in requests)


async def test_an_answer_before_all_of_a_request_was_written_is_the_connections_last():
    """Whatever is written next would be read as the rest of that request."""
    given = threading.Event()

    async def pieces():
        yield b"x" * 1000
        await anyio.to_thread.run_sync(given.wait)
        for _ in range(3):
            await anyio.lowlevel.checkpoint()
        yield b"x" * 1000
        yield b"never written"

    def play(connection: hostile.Connection) -> None:
        connection.request()
        if connection.number == 0:
            connection.send(b"HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n")
            given.set()
            connection.until_gone()
            assert b"never" not in connection._buffer
            assert b"POST" not in connection._buffer
        else:
            connection.send(OK)
            connection.until_gone()

    with hostile.serving(play) as server:
        async with client_of_ours() as client:
            assert (await client.post(server.url, content=pieces())).status_code == 413
            assert (await client.post(server.url, content=b"y")).status_code == 200


async def test_a_body_that_is_not_as_long_as_announced_ends_the_connection():
    async def pieces():
        yield b"four"

    with hostile.serving(kept([], OK)) as server:
        async with client_of_ours() as client:
            for length in ("3", "5"):
                with pytest.raises(httpx.LocalProtocolError):
                    await client.post(server.url, content=pieces(), headers={"Content-Length": length})
            assert (await client.post(server.url, content=b"y")).status_code == 200
        assert len(server.over) == 3


@pytest.mark.parametrize("way", [by_wire, by_line, by_httpx])
async def test_a_call_that_is_given_up_ends_its_connection(way):
    """The answer to it comes late, and must not meet another request."""
    asked, given_up = threading.Event(), threading.Event()

    def play(connection: hostile.Connection) -> None:
        connection.request()
        if connection.number == 0:
            asked.set()
            given_up.wait(hostile.PATIENCE)
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate")
        else:
            connection.send(OK)
        connection.until_gone()
        assert connection._buffer == b""

    with hostile.serving(play) as server:
        async with way(server.url) as post:
            async with anyio.create_task_group() as group:
                group.start_soon(post, b"x")
                await anyio.to_thread.run_sync(asked.wait)
                group.cancel_scope.cancel()
            given_up.set()
            assert (await result(post)).body == b"ok"


@pytest.mark.parametrize("way", [by_wire, by_line])
async def test_a_call_may_be_given_up_at_any_step(way):
    """Whatever was cut off, the next call has its own answer, and nothing stays open."""

    def play(connection: hostile.Connection) -> None:
        while True:
            body = connection.request().partition(b"\r\n\r\n")[2]
            head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
            connection.send(head[:20], head[20:], body[:1], body[1:])

    with hostile.serving(play) as server:
        async with way(server.url) as post:
            for steps in range(40):
                with anyio.CancelScope() as scope:
                    async with anyio.create_task_group() as group:
                        group.start_soon(cancel_after, scope, steps)
                        await post(b"given up %d" % steps)
                        group.cancel_scope.cancel()
                body = b"wanted %d" % steps
                assert (await result(post, body)).body == body


async def cancel_after(scope: anyio.CancelScope, steps: int) -> None:
    for _ in range(steps):
        await anyio.lowlevel.checkpoint()
    scope.cancel()


async def test_a_line_goes_its_own_way_at_once_where_the_session_was_opened_so():
    requests: list[bytes] = []
    with hostile.serving(kept(requests, OK)) as server:
        async with client_of_ours() as client:
            await client.post(server.url + "open")
            assert Line(client, server.url + "rows", HEADERS)._direct
            assert not Line(client, "http://127.0.0.1:1/", HEADERS)._direct


async def test_a_closed_client_makes_no_call():
    with hostile.serving(kept([], OK)) as server:
        client = client_of_ours()
        line = Line(client, server.url, HEADERS)
        await line.post([b"x"])
        await hang_up(client)
        with pytest.raises(NotDelivered):
            await line.post([b"x"])


@pytest.mark.parametrize("direct", [False, True])
async def test_closing_a_client_tells_whoever_waits(direct):
    asked = threading.Event()

    def play(connection: hostile.Connection) -> None:
        connection.request()
        asked.set()
        connection.until_gone()

    with hostile.serving(play) as server:
        client = client_of_ours()
        if direct:
            client.wire.reached.add(origin_of(httpx.URL(server.url)))
        line = Line(client, server.url, HEADERS)
        async with anyio.create_task_group() as group:
            group.start_soon(expecting_doubt, line)
            await anyio.to_thread.run_sync(asked.wait)
            await hang_up(client)


async def expecting_doubt(line: Line) -> None:
    with pytest.raises(OutcomeUnknown):
        await line.post([b"x"])


async def test_an_address_of_another_scheme():
    async with client_of_ours() as client:
        with pytest.raises(httpx.UnsupportedProtocol):
            Line(client, "ftp://localhost/", {})
        with pytest.raises(TargetUnusable):
            await exchange(client, "ftp://localhost/", {}, b"")


REFUSED = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno"
LAST = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"


async def test_messages_follow_each_other_on_one_connection_until_none_is_given():
    requests: list[bytes] = []
    left, heard = [(b"<", b">%d" % n) for n in (2, 3)], []

    def follow(answer: Answer) -> tuple[bytes, bytes] | None:
        heard.append(answer)
        return left.pop(0) if left else None

    with hostile.serving(kept(requests, OK, OK, REFUSED)) as server:
        async with client_of_ours() as client:
            line = Line(client, server.url, HEADERS, token=b"token")
            await line.post((b"<", b">0"))
            assert (await line.post((b"<", b">1"), follow)).body == b"no"
        assert len(server.over) == 1
    assert [request.partition(b"\r\n\r\n")[2] for request in requests] == [b"<token>%d" % n for n in range(4)]
    assert [answer.body for answer in heard] == [b"ok", b"no", b"no"]
    assert left == []


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(LAST, id="an answer that ends the connection"),
        pytest.param(OK + b"HTTP/1.1 200", id="an answer with more behind it"),
        pytest.param(b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nContent-Length: 2\r\n\r\nok", id="a cookie"),
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\nok", id="an answer that ends with the connection"),
    ],
)
async def test_nothing_follows_where_the_connection_or_the_head_is_not_the_same_any_more(answer: bytes):
    requests: list[bytes] = []

    def play(connection: hostile.Connection) -> None:
        requests.append(connection.request())
        connection.send(OK)
        requests.append(connection.request())
        connection.send(answer)
        if b"\r\n\r\nok" in answer and b"Content-Length" not in answer:
            connection.end()
        while True:
            requests.append(connection.request())

    with hostile.serving(play) as server:
        async with client_of_ours() as client:
            line = Line(client, server.url, HEADERS)
            await line.post([b"0"])
            assert (await line.post([b"1"], lambda _: [b"2"])).body == b"ok"
    assert len(requests) == 2


async def test_what_is_lost_is_the_message_that_followed_last():
    left = [[b"2"], [b"3"], [b"4"]]

    def play(connection: hostile.Connection) -> None:
        while b"\r\n\r\n3" not in connection.request():
            connection.send(OK)

    with hostile.serving(play) as server:
        async with client_of_ours() as client:
            line = Line(client, server.url, HEADERS)
            await line.post([b"0"])
            with pytest.raises(OutcomeUnknown, match="without an answer"):
                await line.post([b"1"], lambda _: left.pop(0))
    assert left == [[b"4"]]


async def test_a_deadline_is_each_answers_own():
    release = threading.Event()

    def play(connection: hostile.Connection) -> None:
        for _ in range(3):
            connection.request()
            connection.send(OK)
        connection.request()
        release.wait(hostile.PATIENCE)

    with hostile.serving(play) as server:
        client = client_factory(HttpSettings(), 1.0)()
        line = Line(client, server.url, HEADERS)
        await line.post([b"0"])
        left = [[b"2"], [b"3"]]
        with pytest.raises(OutcomeUnknown, match="no answer in time"):
            await line.post([b"1"], lambda _: left.pop(0) if left else None)
        assert left == []
        release.set()
        await client.aclose()


async def test_what_the_follower_raises_reaches_the_caller():
    def follow(_: Answer) -> None:
        raise ZeroDivisionError

    with hostile.serving(kept([], OK)) as server:
        async with client_of_ours() as client:
            line = Line(client, server.url, HEADERS)
            await line.post([b"0"])
            with pytest.raises(ZeroDivisionError):
                await line.post([b"1"], follow)
            assert (await line.post([b"2"])).body == b"ok"


async def test_through_httpx_nothing_follows():
    with hostile.serving(kept([], OK)) as server:
        async with httpx.AsyncClient() as client:
            assert (await Line(client, server.url, HEADERS).post([b"0"], lambda _: [b"1"])).body == b"ok"
