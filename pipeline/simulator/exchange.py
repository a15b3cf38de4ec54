"""One HTTP exchange: reading its body, answering it, and the ways of not answering it."""

import html
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import anyio.lowlevel
from starlette.types import Receive, Scope, Send

TRANSPORT = "simulator.transport"
"""Key of the connection's transport in the state of a request. The server puts it there; in memory there is none."""

_OVERRUN = 65_536  # bytes beyond the limit that are read all the same, so that the client gets to see the answer


class Answer(NamedTuple):
    """An answer before it is sent."""

    content_type: bytes
    body: bytes | Iterator[bytes]  # an iterator is sent while it is made: it may be longer than memory is large
    status: int = 200
    headers: Sequence[tuple[bytes, bytes]] = ()  # beside Content-Type and Content-Length, names in lower case


class Exchange:
    """A request and the way to answer it."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.headers: dict[bytes, bytes] = dict(scope["headers"])  # names in lower case
        self._scope = scope
        self._receive = receive
        self._send = send

    @property
    def address(self) -> str:
        """The address that was asked for, without a query."""
        host = self.header("host") or "localhost"
        return f"{self._scope.get('scheme', 'http')}://{host}{self.path}"

    @property
    def query(self) -> str:
        """The query, as it came."""
        query: bytes = self._scope.get("query_string", b"")
        return query.decode("latin-1")

    def header(self, name: str) -> str:
        """A header of the request; "" if there is none."""
        return self.headers.get(name.lower().encode(), b"").decode("latin-1").strip()

    async def body(self, limit: int) -> bytes | None:
        """The body of the request; None if it is longer than so many bytes."""
        body, length = b"", 0
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                return None
            part: bytes = message.get("body", b"")
            length += len(part)
            if length <= limit:
                body = body + part if body else part
            elif length > limit + _OVERRUN:
                return None
            if not message.get("more_body", False):
                return body if length <= limit else None

    async def send(self, answer: Answer) -> None:
        """Answer."""
        if isinstance(answer.body, bytes):
            await self._send(_start(answer, len(answer.body)))
            await self._send({"type": "http.response.body", "body": answer.body, "more_body": False})
            return
        await self._send(_start(answer, None))
        for chunk in answer.body:
            await self._send({"type": "http.response.body", "body": chunk, "more_body": True})
            await anyio.lowlevel.checkpoint()  # other calls go on meanwhile
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def send_half(self, answer: Answer) -> None:
        """Promise a whole answer, send the first half of it and end the connection."""
        whole = answer.body if isinstance(answer.body, bytes) else b"".join(answer.body)
        await self._send(_start(answer, len(whole)))
        await self._send({"type": "http.response.body", "body": whole[: len(whole) // 2], "more_body": True})
        await self.cut()

    async def cut(self) -> None:
        """End the connection, whatever was sent of the answer. Raises ConnectionResetError in memory."""
        transport = self._scope.get("state", {}).get(TRANSPORT)
        if transport is None:
            raise ConnectionResetError("the simulated service has cut the connection")
        # What was written goes out, then the stream ends: to the client a server that died.
        transport.close()
        await self.until_gone()

    async def until_gone(self) -> None:
        """Wait until the client gives up."""
        while (await self._receive())["type"] != "http.disconnect":
            pass


def plain(status: int, text: str, headers: Sequence[tuple[bytes, bytes]] = ()) -> Answer:
    """An answer in words."""
    return Answer(b"text/plain; charset=utf-8", text.encode(), status, headers)


def page(title: str, links: Sequence[str], status: int = 200) -> Answer:
    """A page with a heading and links."""
    heading = html.escape(title)
    items = "".join(f'<li><a href="{html.escape(each)}">{html.escape(each)}</a></li>' for each in links)
    text = f"<!DOCTYPE html><html><head><title>{heading}</title></head><body><h1>{heading}</h1>"
    return Answer(b"text/html; charset=utf-8", f"{text}<ul>{items}</ul></body></html>".encode(), status)


def _start(answer: Answer, length: int | None) -> dict[str, Any]:
    headers = [(b"content-type", answer.content_type), *answer.headers]
    if length is not None:
        headers.append((b"content-length", str(length).encode()))
    return {"type": "http.response.start", "status": answer.status, "headers": headers}
