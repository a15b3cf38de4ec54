"""One suite of answers, good and bad, over httpx's own transport, ours under it, and a line for rows: what each makes
of them is the same. Where ours deliberately differs, a case says what httpx makes of it (`theirs`) and why.
"""

import gzip
import ssl
import threading
import zlib
from dataclasses import dataclass
from typing import Literal

import pytest
from wire import hostile, ways
from wire.ways import Result, by_httpx, by_line, by_wire

from pipeline.errors import NotDelivered, OutcomeUnknown, TargetUnusable

pytestmark = pytest.mark.anyio

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = b"Transfer-Encoding: chunked"
SMALL = OK + b"Content-Length: 2\r\n\r\nok"

Seen = tuple[int, bytes] | type[Exception]


def answer(*headers: bytes, body: bytes = b"", length: int | None = None) -> bytes:
    lines = [*headers]
    if CHUNKED not in headers:
        lines.append(b"Content-Length: %d" % (len(body) if length is None else length))
    return OK + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body


def raw(*headers: bytes, body: bytes = b"") -> bytes:
    return OK + b"".join(line + b"\r\n" for line in headers) + b"\r\n" + body


@dataclass(frozen=True)
class Case:
    """What a server sends, how it ends, and what is made of it."""

    data: bytes
    ours: Seen
    ends: Literal["by us", "orderly", "reset"] = "by us"
    theirs: Seen | None = None  # None: the same
    why: str = ""


GOOD = (200, b"ok")
BAD = OutcomeUnknown
zeros = gzip.compress(b"\0" * (4 << 20))
deflated = zlib.compress(b"ok")

CASES = {
    "length": Case(SMALL, GOOD),
    "chunks": Case(answer(CHUNKED, body=b"1\r\no\r\n1\r\nk\r\n0\r\n\r\n"), GOOD),
    "chunk extensions": Case(answer(CHUNKED, body=b'2;a=b;c="d"\r\nok\r\n0;x\r\n\r\n'), GOOD),
    "chunk size padded": Case(answer(CHUNKED, body=b"2  \r\nok\r\n0\r\n\r\n"), GOOD),
    "trailers": Case(answer(CHUNKED, body=b"2\r\nok\r\n0\r\nX-T: 1\r\nSet-Cookie: a=b\r\n\r\n"), GOOD),
    "empty": Case(answer(), (200, b"")),
    "until the end": Case(raw(body=b"ok"), GOOD, "orderly"),
    "1.0 until the end": Case(b"HTTP/1.0 200 OK\r\n\r\nok", GOOD, "orderly"),
    "1.0": Case(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", GOOD),
    "connection close": Case(answer(b"Connection: close", body=b"ok"), GOOD),
    "continue": Case(b"HTTP/1.1 100 Continue\r\n\r\n" + SMALL, GOOD),
    "early hints": Case(b"HTTP/1.1 103 Hints\r\nLink: x\r\nSet-Cookie: a=b\r\n\r\n" + SMALL, GOOD),
    "continue often": Case(b"HTTP/1.1 100 Continue\r\n\r\n" * 100 + SMALL, GOOD),
    "204": Case(b"HTTP/1.1 204 No\r\n\r\n", (204, b"")),
    "204 with a length": Case(b"HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\n", (204, b"")),
    "304 with a length": Case(b"HTTP/1.1 304 No\r\nContent-Length: 5\r\n\r\n", (304, b"")),
    "304 in chunks": Case(b"HTTP/1.1 304 No\r\nTransfer-Encoding: chunked\r\n\r\n", (304, b"")),
    "500": Case(b"HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\nno", (500, b"no")),
    "status of no class": Case(b"HTTP/1.1 600 No\r\nContent-Length: 2\r\n\r\nno", (600, b"no")),
    "no reason": Case(b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok", GOOD),
    "header beyond ASCII": Case(answer(b"X: \xe9", body=b"ok"), GOOD),
    "header empty": Case(answer(b"X:", body=b"ok"), GOOD),
    "header spaced": Case(answer(b"X: \t  a b \t ", body=b"ok"), GOOD),
    "header folded": Case(answer(b"X: a\r\n b\r\n c", body=b"ok"), GOOD),
    "length folded": Case(raw(b"Content-Length:\r\n 2", body=b"ok"), GOOD),
    "encoding folded": Case(raw(b"Transfer-Encoding:\r\n\tchunked", body=b"2\r\nok\r\n0\r\n\r\n"), GOOD),
    "trailer folded": Case(answer(CHUNKED, body=b"2\r\nok\r\n0\r\nX: a\r\n b\r\n\r\n"), GOOD),
    "control character within a header": Case(answer(b"X: a\x01b", body=b"ok"), GOOD),
    "headers repeated": Case(answer(b"X: a", b"X: b", b"Set-Cookie: a=b", b"Set-Cookie: c=d", body=b"ok"), GOOD),
    "headers many": Case(answer(*[b"X: y"] * 2000, body=b"ok"), GOOD),
    "head large": Case(answer(b"X: " + b"x" * 90_000, body=b"ok"), GOOD),
    "upgrade offered": Case(answer(b"Upgrade: h2", b"Connection: Upgrade", body=b"ok"), GOOD),
    "gzip": Case(answer(b"Content-Encoding: gzip", body=gzip.compress(b"ok")), GOOD),
    "deflate": Case(answer(b"Content-Encoding: deflate", body=deflated), GOOD),
    "gzip in chunks": Case(
        answer(CHUNKED, b"Content-Encoding: gzip", body=b"16\r\n" + gzip.compress(b"ok") + b"\r\n0\r\n\r\n"), GOOD
    ),
    "identity": Case(answer(b"Content-Encoding: identity", body=b"ok"), GOOD),
    "unknown encoding": Case(answer(b"Content-Encoding: foo", body=b"ok"), GOOD),
    "large": Case(answer(body=b"x" * (1 << 20)), (200, b"x" * (1 << 20))),
    # --- an answer, and more
    "two answers": Case(SMALL * 2, GOOD),
    "length too short": Case(answer(body=b"okok", length=2), GOOD),
    "204 with a body": Case(b"HTTP/1.1 204 No\r\n\r\nbody", (204, b"")),
    # --- no answer
    "nothing": Case(b"", BAD, "orderly"),
    "nothing, reset": Case(b"", BAD, "reset"),
    "half a head": Case(OK + b"Content-Le", BAD, "orderly"),
    "half a head, reset": Case(OK + b"Content-Le", BAD, "reset"),
    "half a body": Case(answer(body=b"half", length=10), BAD, "orderly"),
    "half a body, reset": Case(answer(body=b"half", length=10), BAD, "reset"),
    "half a chunk": Case(answer(CHUNKED, body=b"5\r\nok"), BAD, "orderly"),
    "no last chunk": Case(answer(CHUNKED, body=b"2\r\nok\r\n"), BAD, "orderly"),
    "no end after the last chunk": Case(answer(CHUNKED, body=b"2\r\nok\r\n0\r\n"), BAD, "orderly"),
    "continue and no more": Case(b"HTTP/1.1 100 Continue\r\n\r\n", BAD, "orderly"),
    "unsized, reset": Case(raw(body=b"ok"), BAD, "reset"),
    "too large": Case(answer(body=b"x" * ((1 << 20) + 1)), BAD),
    "too large in chunks": Case(answer(CHUNKED, body=(b"10000\r\n" + b"x" * 0x10000 + b"\r\n") * 17), BAD),
    "gzip of too much": Case(answer(b"Content-Encoding: gzip", body=zeros), BAD),
    "gzip that is none": Case(answer(b"Content-Encoding: gzip", body=b"ok"), BAD),
    # --- no HTTP
    "garbage": Case(b"nonsense\r\n\r\n", BAD),
    "a page": Case(b"<html></html>\r\n\r\n", BAD),
    "a TLS alert": Case(b"\x15\x03\x01\x00\x02\x02\x46", BAD, "orderly"),
    "another protocol": Case(b"RTSP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", BAD),
    "a blank line first": Case(b"\r\n" + SMALL, BAD),
    "lower case": Case(b"http/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", BAD),
    "status too small": Case(b"HTTP/1.1 099 No\r\nContent-Length: 2\r\n\r\nok", BAD),
    "status too large": Case(b"HTTP/1.1 1000 No\r\nContent-Length: 2\r\n\r\nok", BAD),
    "upgrade unasked": Case(b"HTTP/1.1 101 No\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n", BAD),
    "CR within a header": Case(answer(b"X: a\rY: b", body=b"ok"), BAD),
    "NUL within a header": Case(answer(b"X: a\0b", body=b"ok"), BAD),
    "NUL within a trailer": Case(answer(CHUNKED, body=b"2\r\nok\r\n0\r\nX: a\0b\r\n\r\n"), BAD),
    "length folded apart": Case(raw(b"Content-Length: 2\r\n 3", body=b"ok"), BAD),
    "space before a colon": Case(answer(b"X : a", body=b"ok"), BAD),
    "no colon": Case(answer(b"X", body=b"ok"), BAD),
    "no name": Case(answer(b": x", body=b"ok"), BAD),
    "head too large": Case(answer(b"X: " + b"x" * 200_000, body=b"ok"), BAD),
    "headers too many": Case(answer(*[b"X-%d: y" % number for number in range(20_000)], body=b"ok"), BAD),
    "first line too long": Case(b"HTTP/1.1 200 " + b"x" * 600_000 + b"\r\nContent-Length: 2\r\n\r\nok", BAD),
    "extension too large": Case(answer(CHUNKED, body=b"2;" + b"x" * 600_000 + b"\r\nok\r\n0\r\n\r\n"), BAD),
    "trailers too large": Case(answer(CHUNKED, body=b"2\r\nok\r\n0\r\nX: " + b"x" * 200_000 + b"\r\n\r\n"), BAD),
    "trailer garbage": Case(answer(CHUNKED, body=b"2\r\nok\r\n0\r\nbad trailer\r\n\r\n"), BAD),
    "length negative": Case(raw(b"Content-Length: -2", body=b"ok"), BAD),
    "length signed": Case(raw(b"Content-Length: +2", body=b"ok"), BAD),
    "length hexadecimal": Case(raw(b"Content-Length: 0x2", body=b"ok"), BAD),
    "length empty": Case(raw(b"Content-Length:", body=b"ok"), BAD),
    "length beyond all": Case(raw(b"Content-Length: 99999999999999999999999", body=b"ok"), BAD),
    "lengths that differ": Case(raw(b"Content-Length: 2", b"Content-Length: 3", body=b"ok"), BAD),
    "encoding gzip": Case(raw(b"Transfer-Encoding: gzip", body=b"ok"), BAD),
    "encoding gzip, chunked": Case(raw(b"Transfer-Encoding: gzip, chunked", body=b"2\r\nok\r\n0\r\n\r\n"), BAD),
    "encoding identity": Case(raw(b"Transfer-Encoding: identity", body=b"ok"), BAD),
    "encoding chunked twice": Case(raw(CHUNKED, CHUNKED, body=b"2\r\nok\r\n0\r\n\r\n"), BAD),
    "chunk size garbage": Case(answer(CHUNKED, body=b"zz\r\nok\r\n0\r\n\r\n"), BAD),
    "chunk size negative": Case(answer(CHUNKED, body=b"-2\r\nok\r\n0\r\n\r\n"), BAD),
    "chunk size prefixed": Case(answer(CHUNKED, body=b"0x2\r\nok\r\n0\r\n\r\n"), BAD),
    "chunk size empty": Case(answer(CHUNKED, body=b"\r\nok\r\n0\r\n\r\n"), BAD),
    "chunk size beyond all": Case(answer(CHUNKED, body=b"fffffffffffffffffffff\r\nok\r\n0\r\n\r\n"), BAD),
    "chunk too long": Case(answer(CHUNKED, body=b"2\r\nokk\r\n0\r\n\r\n"), BAD),
    "chunks with bare line feeds": Case(answer(CHUNKED, body=b"2\nok\n0\n\n"), BAD),
    # --- where we differ from httpx
    "bare line feeds": Case(b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", BAD, theirs=GOOD, why="lines end in CR LF"),
    "space before the first header": Case(answer(b" X: a", body=b"ok"), GOOD, theirs=BAD, why="taken for a fold"),
    "length and chunks": Case(
        raw(b"Content-Length: 2", CHUNKED, body=b"2\r\nok\r\n0\r\n\r\n"), BAD, theirs=GOOD, why="its end is a guess"
    ),
    "chunks and length": Case(
        raw(CHUNKED, b"Content-Length: 2", body=b"2\r\nok\r\n0\r\n\r\n"), BAD, theirs=GOOD, why="its end is a guess"
    ),
    "length twice": Case(
        raw(b"Content-Length: 2", b"Content-Length: 2", body=b"ok"), BAD, theirs=GOOD, why="the parser is strict"
    ),
    "lengths in a list": Case(raw(b"Content-Length: 2, 2", body=b"ok"), BAD, theirs=GOOD, why="the parser is strict"),
    "length among trailers": Case(
        answer(CHUNKED, body=b"2\r\nok\r\n0\r\nContent-Length: 2\r\n\r\n"), BAD, theirs=GOOD, why="RFC 9110, 6.5.1"
    ),
    "chunk extension spaced": Case(
        answer(CHUNKED, body=b"2; a=b\r\nok\r\n0\r\n\r\n"), BAD, theirs=GOOD, why="the parser is strict"
    ),
    "version 2.0": Case(b"HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok", BAD, theirs=GOOD, why="it is not ours"),
    "version 0.9": Case(b"HTTP/0.9 200 OK\r\nContent-Length: 2\r\n\r\nok", BAD, theirs=GOOD, why="it is not ours"),
    "continue without end": Case(
        b"HTTP/1.1 100 Continue\r\n\r\n" * 101 + SMALL, BAD, theirs=GOOD, why="a flood is no answer"
    ),
}  # fmt: skip


def seen(result: Result) -> Seen:
    return result.failure or (result.status, result.body)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
@pytest.mark.parametrize("cut", [0, 1], ids=["whole", "bytes"])
async def test_each_way_makes_the_same_of_an_answer(case, cut):
    if cut and len(case.data) > 1000:
        cut = len(case.data) // 100

    def play(connection: hostile.Connection) -> None:
        connection.request()
        size = cut or len(case.data) or 1
        connection.send(*(case.data[at : at + size] for at in range(0, len(case.data), size)))
        if case.ends == "orderly":
            connection.end()
        elif case.ends == "reset":
            connection.reset()
            return
        connection.until_gone()

    # Some of what is no answer is waited for to go on, and to wait in vain comes to the same: so not for long.
    patience = 0.5 if case.ours is BAD and case.theirs is None else 5.0
    with hostile.serving(play) as server:
        results = []
        for way in (by_wire, by_line, by_httpx):
            async with way(server.url, timeout=patience) as post:
                results.append(await ways.result(post))
    ours, line, theirs = results
    assert seen(ours) == case.ours
    assert line == ours
    if case.theirs is None:
        assert theirs == ours
    else:
        assert case.why
        assert seen(theirs) == case.theirs != case.ours


@pytest.mark.parametrize("way", [by_wire, by_line, by_httpx])
@pytest.mark.parametrize("sent", [b"", OK, answer(body=b"half", length=10)], ids=["nothing", "head", "half"])
async def test_an_answer_that_does_not_come_in_time_leaves_the_outcome_unknown(way, sent):
    def play(connection: hostile.Connection) -> None:
        connection.request()
        connection.send(sent)
        connection.until_gone()

    with hostile.serving(play) as server:
        async with way(server.url, timeout=0.1) as post:
            assert seen(await ways.result(post)) is OutcomeUnknown


@pytest.mark.parametrize("way", [by_wire, by_line, by_httpx])
async def test_a_request_that_nobody_reads_leaves_the_outcome_unknown(way):
    def play(connection: hostile.Connection) -> None:
        over.wait(hostile.PATIENCE)

    over = threading.Event()
    with hostile.serving(play) as server:
        async with way(server.url, timeout=0.2) as post:
            assert seen(await ways.result(post, b"x" * (32 << 20))) is OutcomeUnknown
        over.set()


@pytest.mark.parametrize("way", [by_wire, by_line])
async def test_an_answer_before_the_request_is_read_is_not_lost_with_the_connection(way):
    """What is left unread ends the connection with a reset. httpx often loses the answer by that."""

    def play(connection: hostile.Connection) -> None:
        connection.sock.recv(1 << 16)
        connection.send(b"HTTP/1.1 413 No\r\nConnection: close\r\nContent-Length: 4\r\n\r\nfull")

    with hostile.serving(play) as server:
        async with way(server.url) as post:
            assert seen(await ways.result(post, b"x" * (4 << 20))) == (413, b"full")


@pytest.mark.parametrize("way", [by_wire, by_line, by_httpx])
async def test_a_refused_connection_delivered_nothing(way):
    with hostile.serving(lambda connection: None) as server:
        url = server.url
    async with way(url) as post:
        assert seen(await ways.result(post)) is NotDelivered


@pytest.mark.parametrize("way", [by_wire, by_line, by_httpx])
async def test_a_name_that_is_not_known_delivered_nothing(way):
    async with way("http://nowhere.invalid/") as post:
        assert seen(await ways.result(post)) is NotDelivered


@pytest.mark.parametrize("way", [by_wire, by_line, by_httpx])
@pytest.mark.parametrize(
    ("data", "ends", "expected"),
    [
        (SMALL, False, (200, b"ok")),
        (raw(body=b"ok"), True, (200, b"ok")),
        (b"", True, OutcomeUnknown),
        (answer(body=b"half", length=10), True, OutcomeUnknown),
    ],
    ids=["length", "until the end", "nothing", "half"],
)
async def test_answers_under_tls(way, data, ends, expected, served, trusting):
    def play(connection: hostile.Connection) -> None:
        connection.request()
        connection.send(data)
        if not ends:
            connection.until_gone()

    with hostile.serving(play, served) as server:
        async with way(server.url, tls=trusting) as post:
            assert seen(await ways.result(post)) == expected


@pytest.mark.parametrize("way", [by_wire, by_line, by_httpx])
async def test_a_connection_under_tls_is_used_again(way, served, trusting):
    def play(connection: hostile.Connection) -> None:
        for number in range(3):
            connection.request()
            connection.send(answer(body=b"%d %d" % (connection.number, number)))
        connection.until_gone()

    with hostile.serving(play, served) as server:
        async with way(server.url, tls=trusting) as post:
            assert [(await ways.result(post)).body for _ in range(3)] == [b"0 0", b"0 1", b"0 2"]


@pytest.mark.parametrize("way", [by_wire, by_line, by_httpx])
@pytest.mark.parametrize("wrong", ["authority", "name", "no TLS"])
async def test_a_server_that_is_not_who_it_should_be(way, wrong, served, trusting):
    def play(connection: hostile.Connection) -> None:
        if wrong == "no TLS":
            connection.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        connection.until_gone()

    with hostile.serving(play, None if wrong == "no TLS" else served) as server:
        url = server.url.replace("http:", "https:")
        if wrong == "name":
            url = url.replace("localhost", "127.0.0.1")
        async with way(url, tls=ssl.create_default_context() if wrong == "authority" else trusting) as post:
            assert seen(await ways.result(post)) is TargetUnusable
