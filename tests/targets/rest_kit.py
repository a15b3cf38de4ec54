"""A small HTTP server on loopback whose answers a test gives, and what it was asked."""

import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx

from pipeline.config import HttpSettings
from pipeline.wire import ClientFactory, client_factory


@dataclass(frozen=True)
class Asked:
    """One request."""

    method: str
    path: str
    headers: Mapping[str, str]  # names in lower case
    body: bytes

    @property
    def message(self) -> Any:
        """Its JSON; None: it has no body."""
        return json.loads(self.body) if self.body else None


@dataclass(frozen=True)
class Told:
    """One answer. `body` may be an object, which is written as JSON."""

    body: Any = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    length: int | None = None  # what Content-Length says, where that is not the truth


#: In place of an answer: the connection is cut.
CUT = Told(status=0)

Answers = Callable[[Asked], Told]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "_Server"

    def handle_any(self) -> None:
        size = int(self.headers.get("content-length") or 0)
        headers = {name.lower(): value for name, value in self.headers.items()}
        asked = Asked(self.command, self.path, headers, self.rfile.read(size))
        self.server.asked.append(asked)
        told = self.server.answers(asked)
        if not told.status:
            self.close_connection = True
            return
        body = told.body if isinstance(told.body, bytes) else json.dumps(told.body).encode()
        self.send_response(told.status)
        for name, value in told.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if told.length is None else told.length))
        self.end_headers()
        self.wfile.write(body)
        if told.length is not None:
            self.close_connection = True

    do_GET = do_POST = handle_any  # noqa: N815 - the names that the library looks for

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, answers: Answers) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers = answers
        self.asked: list[Asked] = []

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is no failure of the test."""


@dataclass(frozen=True)
class Served:
    """A server at work."""

    url: str
    asked: list[Asked]


@contextmanager
def serving(answers: Answers) -> Iterator[Served]:
    """Serve until the block ends. `answers` is called from several threads."""
    server = _Server(answers)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield Served(f"http://127.0.0.1:{server.server_address[1]}", server.asked)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@asynccontextmanager
async def clients(timeout: float = 5.0) -> AsyncIterator[ClientFactory]:
    """Clients over real sockets, all closed when the block ends, whatever the target did."""
    make = client_factory(HttpSettings(), timeout)
    made: list[httpx.AsyncClient] = []

    def keep() -> httpx.AsyncClient:
        made.append(make())
        return made[-1]

    try:
        yield keep
    finally:
        for client in made:
            await client.aclose()
