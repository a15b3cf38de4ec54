"""The line between us and a system: passes calls on, counts them by what they are for, and does damage where told to.

Every system meets the same damage in this way, whatever its own simulator can do.
"""

import http.client
import re
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias
from urllib.parse import urlsplit

from loopback import Asked, Handler, serving

#: What a call is for. "login": it says who we are, where a session is opened by another call.
Purpose: TypeAlias = Literal["login", "open", "row", "close", "other"]

#: What may happen to a call. The system never sees it: "busy" (503), "refused" (429), "lost" (the line is cut). It has
#: acted, and the answer is another: "cut" (the line is, before it), "error" (500), "cut_answer" (the line is, in the
#: middle of it), "half" (half of it, as if that were all), "garbage", "empty", "html", "too_large".
Damage: TypeAlias = Literal[
    "busy", "lost", "refused", "cut", "error", "cut_answer", "half", "garbage", "empty", "html", "too_large"
]
UNSENT: Final[tuple[Damage, ...]] = ("busy", "lost", "refused")
UNREADABLE: Final[tuple[Damage, ...]] = ("cut_answer", "half", "garbage", "empty", "html", "too_large")

#: What the line writes itself.
_OWN: Final = ("content-length", "transfer-encoding", "connection", "keep-alive", "server", "date")

_HTML: Final = [("Content-Type", "text/html")]
_PAGE: Final = b"<!DOCTYPE html><html><body>Under maintenance</body></html>"


@dataclass(frozen=True)
class Strike:
    """Damage to the calls of one purpose with certain numbers, counted from 1 in order of arrival."""

    damage: Damage
    purpose: Purpose
    first: int = 1
    last: int = 1_000_000
    every: int = 1

    def hits(self, purpose: Purpose, number: int) -> bool:
        return purpose == self.purpose and self.first <= number <= self.last and number % self.every == 0


@dataclass
class Line:
    """What has passed. `on_call` hears of each call before it is passed on, and may keep it waiting."""

    upstream: str  # scheme, host and port of the system
    purpose_of: Callable[[Asked], Purpose]
    token: str  # a pattern whose groups find the session's secrets in the head and body of an answer
    strikes: tuple[Strike, ...] = ()
    on_call: Callable[[Purpose, int], None] | None = None
    origin: str = ""  # where we are reached
    calls: Counter[Purpose] = field(default_factory=Counter)
    good: Counter[Purpose] = field(default_factory=Counter)  # of them those that were passed on and answered unharmed
    tokens: set[str] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def arrived(self, asked: Asked) -> tuple[Purpose, Damage | None]:
        purpose = self.purpose_of(asked)
        with self.lock:
            self.calls[purpose] += 1
            number = self.calls[purpose]
        if self.on_call is not None:
            self.on_call(purpose, number)
        return purpose, next((each.damage for each in self.strikes if each.hits(purpose, number)), None)

    def answered(self, purpose: Purpose, head: str, body: bytes, *, well: bool) -> None:
        with self.lock:
            self.good[purpose] += well
            for found in re.finditer(self.token, head + body.decode("utf-8", "replace")):
                self.tokens.update(filter(None, found.groups()))


@contextmanager
def line_to(upstream: str, purpose_of: Callable[[Asked], Purpose], token: str, *strikes: Strike) -> Iterator[Line]:
    """A line over loopback until the block ends."""
    parts = urlsplit(upstream)
    line = Line(f"{parts.scheme}://{parts.netloc}", purpose_of, token, strikes)

    class Passing(_Passing):
        pass

    Passing.line = line
    with serving(Passing) as line.origin:
        yield line


class _Passing(Handler):
    """One connection of ours, and one of the system's for it."""

    line: Line

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        parts = urlsplit(self.line.upstream)
        self.upstream = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=60)

    def finish(self) -> None:
        self.upstream.close()
        super().finish()

    def respond(self) -> None:
        asked = self.asked()
        purpose, damage = self.line.arrived(asked)
        if damage == "busy":
            self.answer(503, [("Retry-After", "0")], b"")
        elif damage == "refused":
            self.answer(429, [("Retry-After", "0")], b"")
        elif damage == "lost":
            self.hang_up()
        else:
            self.pass_on(purpose, damage, asked)

    def pass_on(self, purpose: Purpose, damage: Damage | None, asked: Asked) -> None:
        kept = {name: value for name, value in asked.headers.items() if name not in ("host", "connection")}
        try:
            self.upstream.request(asked.method, asked.path, asked.body, kept)
            got = self.upstream.getresponse()
            answer = got.read()
        except (OSError, http.client.HTTPException):  # the system itself did the damage
            self.hang_up()
            return
        head = [(name, value) for name, value in got.getheaders() if name.lower() not in _OWN]
        self.line.answered(purpose, "".join(f"{n}: {v}\n" for n, v in head), answer, well=damage is None)
        kind = [("Content-Type", got.getheader("Content-Type", ""))]
        if damage is None:
            self.answer(got.status, head, answer)
        elif damage == "cut":
            self.hang_up()
        elif damage == "error":
            self.answer(500, _HTML, _PAGE)
        elif damage == "cut_answer":
            self.answer(got.status, head, answer[: len(answer) // 2], length=len(answer))
            self.hang_up()
        elif damage == "half":
            self.answer(200, kind, answer[: len(answer) // 2])
        elif damage == "garbage":
            self.answer(200, kind, bytes(range(256)))
        elif damage == "empty":
            self.answer(200, kind, b"")
        elif damage == "html":
            self.answer(200, _HTML, _PAGE)
        else:
            self.answer(200, kind, answer + b" " * (3 << 20))
