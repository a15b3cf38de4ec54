"""Reads one HTTP/1.1 answer (RFC 9112) out of bytes, in whatever pieces they come; it does no input or output.

The parser is httptools' (llhttp), strict but for folded headers. What it leaves open is decided here: which answers end
with the connection, interim answers, how large a head may be, that no header holds a NUL, and that nothing beyond an
answer's end is ever part of it.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import httpx
from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

#: An answer's head may hold so many bytes; a header counts as 32 more than it holds, which bounds their number too.
HEAD_LIMIT: Final = 100 * 1024
_PER_HEADER: Final = 32

#: What is neither body nor counted head (chunk sizes and extensions, an endless first line) may hold so many bytes
#: for a start, and 16 for each byte of body: as much as chunks of one byte with a short extension.
_OVERHEAD_LIMIT: Final = 4 * HEAD_LIMIT
_OVERHEAD_PER_BYTE: Final = 16

#: So many interim answers (100, 103) may precede the answer.
INTERIM_LIMIT: Final = 100

#: An encoded body is decoded in pieces of so many bytes: one of zeros unfolds to a thousand times its size.
_DECODED_AT_ONCE: Final = 4096


class Broken(Exception):
    """The connection ended before the answer was whole; `reason` is fit to be shown."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class Garbled(Broken):
    """What came is no answer of HTTP/1.1, or it broke off."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer, read whole."""

    status: int
    raw_headers: Sequence[tuple[bytes, bytes]]  # as they came; without trailers
    body: bytes
    sets_cookies: bool = False

    @property
    def headers(self) -> httpx.Headers:
        """Values by name, whose case does not matter; made anew with every call."""
        return httpx.Headers(self.raw_headers)


class Reading:
    """An answer on its way. `limit`: its body may hold so many bytes. `to_head`: it answers a HEAD, and has no body."""

    __slots__ = (
        "_body_size",
        "_ends_with_connection",
        "_fault",
        "_fed",
        "_framed",
        "_head_size",
        "_interim",
        "_limit",
        "_parser",
        "_start",
        "_to_head",
        "complete",
        "encoded",
        "has_head",
        "headers",
        "held",
        "keep_alive",
        "pieces",
        "sets_cookies",
        "status",
        "surplus",
        "version",
    )

    def __init__(self, *, limit: int | None = None, to_head: bool = False) -> None:
        parser = HttpResponseParser(self)
        # Some servers pad chunk sizes, and headers may be folded (RFC 9112, 5.2).
        parser.set_dangerous_leniencies(lenient_spaces_after_chunk_size=True, lenient_headers=True)
        self._parser: HttpResponseParser | None = parser
        self._limit = limit
        self._to_head = to_head
        self._start: bytes | None = b""  # the first bytes, until they are enough to be judged
        self._fed = 0
        self._head_size = 0
        self._body_size = 0
        self._interim = 0
        self._fault: str | None = None
        self._framed = False  # whether the answer says where it ends
        self._ends_with_connection = False
        self.status = 0
        self.version = ""
        self.headers: list[tuple[bytes, bytes]] = []
        self.pieces: deque[bytes] = deque()  # of the body, as far as nobody took them
        self.held = 0  # bytes in them
        self.encoded = False
        self.sets_cookies = False
        self.has_head = False  # whether status and headers are whole
        self.complete = False
        self.surplus = False  # whether anything came after the answer's end
        self.keep_alive = False  # whether the server keeps the connection open

    def feed(self, data: bytes) -> None:
        """Take what came next; not to be called once the answer is complete. Raises Garbled.

        What is an answer in one piece is one in any pieces, and what is none is none.
        """
        if self._start is not None:
            self._begin(data)
        self._fed += len(data)
        assert self._parser is not None
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            if self.complete:
                self.surplus = True
            else:
                self._fault = self._fault or f"the answer is not HTTP/1.1 ({error})"
        if not self.surplus and self._fed - self._body_size > _OVERHEAD_LIMIT + _OVERHEAD_PER_BYTE * self._body_size:
            self._fault = "the answer holds more about itself than it says"
        if self.complete or self._fault is not None:
            self._parser = None  # it refers to us: together they would live until the next collection
        if self._fault is not None:
            self.has_head = self.complete = False
            raise Garbled(self._fault)

    def end(self) -> None:
        """The server has ended the connection. Raises Garbled where the answer is not whole by that."""
        self._parser = None
        if self.complete:
            return
        if not self._ends_with_connection:
            within = "within its answer" if self._fed else "without an answer"
            raise Garbled(f"the target ended the connection {within}")
        self.complete = True

    def take(self) -> bytes:
        """The next piece of the body; b"" where none is there now."""
        if not self.pieces:
            return b""
        piece = self.pieces.popleft()
        self.held -= len(piece)
        return piece

    def answer(self) -> Answer:
        """The answer, decoded where its content is encoded (we ask for none, but a server may). Raises Garbled."""
        body = b"".join(_decoded(self.headers, self.pieces, self._limit) if self.encoded else self.pieces)
        return Answer(self.status, self.headers, body, self.sets_cookies)

    def _begin(self, data: bytes) -> None:
        """The parser knows protocols that are not ours, and takes blank lines before an answer."""
        assert self._start is not None
        start = self._start + data[:5]
        if start[:5] != b"HTTP/"[: len(start)]:
            raise Garbled("the answer is not HTTP/1.1")
        self._start = start if len(start) < 5 else None

    # --- what the parser calls ----------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """An answer begins: this one, the one after an interim one, or one too many."""
        if self.complete:
            self.surplus = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or after the head a trailer, which is dropped."""
        if self.complete:
            return
        value = value.rstrip(b" \t")
        self._head_size += len(name) + len(value) + _PER_HEADER
        if self._head_size > HEAD_LIMIT:
            self._fault = "the answer's head is too large"
        elif 0 in value:
            self._fault = "the answer has a NUL within a header"
        if self.has_head or self._fault is not None:
            return
        self.headers.append((name, value))
        name = name.lower()
        if name == b"content-length":
            self._framed = True
        elif name == b"transfer-encoding":
            if self._framed or value.lower() != b"chunked":
                self._fault = "the answer has a transfer encoding other than chunked"
            self._framed = True
        elif name == b"content-encoding":
            self.encoded = True
        elif name == b"set-cookie":
            self.sets_cookies = True

    def on_headers_complete(self) -> None:
        """Status and headers are whole, maybe of an interim answer."""
        if self.complete:
            return
        assert self._parser is not None
        self.status = self._parser.get_status_code()
        self.version = self._parser.get_http_version()
        if not self.version.startswith("1."):
            self._fault = "the answer is not HTTP/1.1"
        elif self.status == 101:
            self._fault = "the target changes to another protocol, which nobody asked for"
        elif self.status >= 200:
            self.has_head = True
            if self._to_head:
                self._finish()
            else:
                self._ends_with_connection = not self._framed and self.status not in (204, 304)

    def on_body(self, data: bytes) -> None:
        """A piece of the body."""
        if self.complete:
            self.surplus = True
            return
        self._body_size += len(data)
        if self._limit is not None and self._body_size > self._limit:
            self._fault = _too_large(self._limit)
        if self._fault is None:
            self.pieces.append(data)
            self.held += len(data)

    def on_message_complete(self) -> None:
        """The answer's end, or that of an interim one."""
        if self.complete:
            return
        if self.has_head:
            self._finish()
            return
        self._interim += 1
        if self._interim > INTERIM_LIMIT:
            self._fault = "the answer is preceded by too many interim answers"
        self.headers = []
        self._framed = self.encoded = self.sets_cookies = False

    def _finish(self) -> None:
        assert self._parser is not None
        self.complete = True
        self.keep_alive = self._parser.should_keep_alive()


def _decoded(headers: Sequence[tuple[bytes, bytes]], pieces: Sequence[bytes], limit: int | None) -> Iterator[bytes]:
    """A body without its content encoding, read as httpx reads it. Raises Garbled."""
    small = (piece[at : at + _DECODED_AT_ONCE] for piece in pieces for at in range(0, len(piece), _DECODED_AT_ONCE))
    taken = 0
    try:
        for chunk in httpx.Response(200, headers=headers, content=small).iter_bytes():
            taken += len(chunk)
            if limit is not None and taken > limit:
                raise Garbled(_too_large(limit))
            yield chunk
    except httpx.DecodingError:
        raise Garbled("the answer's content encoding cannot be read") from None


def _too_large(limit: int) -> str:
    return f"the target's answer is larger than {limit} bytes"
