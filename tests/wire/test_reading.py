"""One answer out of bytes: laws that hold for whatever comes, in whatever pieces."""

import gzip
from itertools import pairwise

import pytest
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st

from pipeline.wire.reading import HEAD_LIMIT, Garbled, Reading

LIMIT = 5000


def read(pieces: list[bytes], *, ends: bool = False, limit: int | None = LIMIT) -> object:
    """What is made of pieces: (status, headers, body) or None; as far as an answer is complete no more is read."""
    reading = Reading(limit=limit)
    try:
        for piece in pieces:
            reading.feed(piece)
            if reading.complete:
                break
        if ends:
            reading.end()
        if not reading.complete:
            return None
        answer = reading.answer()
    except Garbled:
        return "garbled"
    return answer.status, tuple(answer.raw_headers), answer.body


tokens = st.text("abcXYZ-019", min_size=1, max_size=8).map(str.encode)
values = st.text("abc xyz;=,/\"'", max_size=12).map(lambda text: text.strip().encode())
headers = st.lists(st.tuples(tokens.map(lambda name: b"X-" + name), values), max_size=4)
payloads = st.binary(max_size=200)


def block(lines: list[tuple[bytes, bytes]]) -> bytes:
    return b"".join(b"%b: %b\r\n" % line for line in lines)


@st.composite
def chunked(draw: st.DrawFn, body: bytes) -> bytes:
    """A body in chunks, with extensions and trailers."""
    parts = []
    while body:
        size = draw(st.integers(1, len(body)))
        extension = draw(st.sampled_from([b"", b";a", b";a=b", b';a="b c"']))
        parts.append(b"%x%b\r\n%b\r\n" % (size, extension, body[:size]))
        body = body[size:]
    return b"".join(parts) + b"0\r\n" + block(draw(headers)) + b"\r\n"


@st.composite
def answers(draw: st.DrawFn) -> tuple[bytes, object, bool]:
    """A valid answer: its bytes, what it says, and whether it ends with the connection."""
    interim = b"".join(
        b"HTTP/1.1 %d Wait\r\n%b\r\n" % (draw(st.sampled_from([100, 102, 103])), block(draw(headers)))
        for _ in range(draw(st.integers(0, 3)))
    )
    status = draw(st.sampled_from([200, 201, 204, 304, 400, 429, 500, 503]))
    version = draw(st.sampled_from([b"1.1", b"1.0"]))
    told, body = draw(headers), draw(payloads)
    framing = draw(st.sampled_from(["length", "chunks", "end"]))
    sent = gzip.compress(body) if (encoded := draw(st.booleans())) else body
    if encoded:
        told = [*told, (b"Content-Encoding", b"gzip")]
    bodiless = status in (204, 304)
    if framing == "length":
        told, tail = [*told, (b"Content-Length", b"%d" % len(sent))], sent
    elif framing == "chunks":
        told, tail = [*told, (b"Transfer-Encoding", b"chunked")], draw(chunked(sent))
    else:
        tail = sent
    data = interim + b"HTTP/%b %d Words\r\n%b\r\n" % (version, status, block(told)) + (b"" if bodiless else tail)
    return data, (status, tuple(told), b"" if bodiless else body), framing == "end" and not bodiless


@st.composite
def cuts(draw: st.DrawFn, data: bytes) -> list[bytes]:
    """`data` in pieces, of which some are single bytes."""
    places = sorted(draw(st.sets(st.integers(0, len(data)), max_size=12)))
    edges = [0, *places, len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_valid_answer_is_read_whole_in_whatever_pieces_it_comes(data):
    sent, expected, ends = data.draw(answers())
    assert read([sent], ends=ends) == expected
    assert read(data.draw(cuts(sent)), ends=ends) == expected
    assert read([sent[at : at + 1] for at in range(len(sent))], ends=ends) == expected


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_an_answer_that_breaks_off_is_none(data):
    sent, _, ends = data.draw(answers())
    assume(not ends)
    short = sent[: data.draw(st.integers(0, len(sent) - 1))]
    assert read([short]) in (None, "garbled")
    assert read(data.draw(cuts(short)), ends=True) == "garbled"


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """An answer with some bytes changed, taken out, or put in."""
    sent, _, _ = draw(answers())
    whole = bytearray(sent)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(whole)))
        match draw(st.sampled_from(["change", "remove", "insert", "repeat"])):
            case "change" if at < len(whole):
                whole[at] = draw(st.integers(0, 255))
            case "remove":
                del whole[at : at + draw(st.integers(1, 20))]
            case "insert":
                start = b"HTTP/1.1 200 OK\r\n"
                whole[at:at] = draw(st.sampled_from([b"\r\n", b"\n", b"\0", b"0", start, b": ", b" ", b"\r\n "]))
            case "repeat":
                whole[at:at] = whole[at : at + 40]
    return bytes(whole)


@settings(max_examples=200, deadline=None)
@given(st.one_of(damaged(), st.binary(max_size=300)), st.booleans(), st.data())
def test_whatever_comes_means_the_same_in_whatever_pieces(sent, ends, data):
    whole = read([sent], ends=ends)
    event("an answer" if isinstance(whole, tuple) else str(whole))
    assert read(data.draw(cuts(sent)), ends=ends) == whole
    assert read([sent[at : at + 1] for at in range(len(sent))], ends=ends) == whole


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400), st.data())
def test_no_bytes_that_are_no_answer_make_one(sent, data):
    assume(b"HTTP/1." not in sent)
    assert read(data.draw(cuts(sent)), ends=True) == "garbled"


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_what_follows_an_answer_changes_nothing_of_it(data):
    sent, expected, ends = data.draw(answers())
    assume(not ends)
    more = data.draw(st.one_of(payloads, answers().map(lambda other: other[0])))
    reading = Reading(limit=LIMIT)
    reading.feed(sent + more)
    answer = reading.answer()
    assert (answer.status, tuple(answer.raw_headers), answer.body) == expected
    # Blank lines are passed over by the parser; anything else is noticed.
    assert reading.surplus or not more.strip(b"\r\n")


@pytest.mark.parametrize("size", [1, 100, 4096, 1 << 20])
@pytest.mark.parametrize(
    "endless",
    [
        b"HTTP/1.1 200 " + b"x" * 700_000,
        b"HTTP/1.1 200 OK\r\n" + b"X" * 700_000,
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 700_000,
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100_000,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;" + b"x" * 700_000,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + b"X: y\r\n" * 100_000,
        b"HTTP/1.1 100 Continue\r\n\r\n" * 40_000,
    ],
    ids=["reason", "name", "value", "headers", "extension", "trailers", "interim"],
)
def test_what_never_ends_is_given_up_within_a_bound(endless, size):
    if size == 1:
        endless, size = endless[:500_000], 500
    reading, fed = Reading(), 0

    def feed_all() -> None:
        nonlocal fed
        for fed in range(0, len(endless), size):
            reading.feed(endless[fed : fed + size])

    with pytest.raises(Garbled):
        feed_all()
    assert fed <= 5 * HEAD_LIMIT


def test_an_answer_to_a_head_has_no_body():
    reading = Reading(to_head=True)
    reading.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
    assert reading.complete
    assert not reading.surplus
    assert reading.answer().body == b""
    reading = Reading(to_head=True)
    reading.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
    assert reading.surplus


def test_a_body_that_ends_with_the_connection_is_not_complete_before():
    reading = Reading()
    reading.feed(b"HTTP/1.1 200 OK\r\n\r\nbody")
    assert not reading.complete
    reading.end()
    assert reading.complete
    assert not reading.keep_alive
