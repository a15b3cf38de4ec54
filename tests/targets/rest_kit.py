"""A small HTTP server on loopback whose answers a test gives, and what it was asked."""

import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import loopback
from loopback import Asked, Handler

from pipeline.config import HttpSettings, Settings
from pipeline.wire import ClientFactory, client_factory


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


@dataclass
class Served:
    """A server at work."""

    url: str
    asked: list[Asked]


@contextmanager
def serving(answers: Answers) -> Iterator[Served]:
    """Serve until the block ends. `answers` is called from several threads."""
    served = Served("", [])

    class Answering(Handler):
        def respond(self) -> None:
            asked = self.asked()
            served.asked.append(asked)
            told = answers(asked)
            if not told.status:
                self.hang_up()
                return
            body = told.body if isinstance(told.body, bytes) else json.dumps(told.body).encode()
            self.answer(told.status, told.headers.items(), body, length=told.length)
            if told.length is not None:
                self.hang_up()

    with loopback.serving(Answering) as served.url:
        yield served


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


@asynccontextmanager
async def at_work(
    answers: Answers, create: Callable[..., Any], settings: Callable[..., Settings], **given: Any
) -> AsyncIterator[tuple[Any, Served]]:
    """A target for a service, which is served until the block ends; `given` is for `settings`."""
    with serving(answers) as served:
        async with clients() as factory:
            yield create(settings(served.url, **given), factory, None), served
