"""What the toy target calls: sessions and a list of numbers, by HTTP and JSON."""

import json
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import loopback
from conformance.line import Purpose
from conformance.system import REFUSED, Service, System, Wants
from loopback import Asked, Handler

KEY = "planted-toy-key-51"


class Toys:
    """What the server holds. Answers one call at a time."""

    def __init__(self, wants: Wants) -> None:
        self.wants = wants
        self.key = "another" if wants.wrong_credentials else KEY
        self.sessions: dict[str, int] = {}  # calls that each has served
        self.numbers: list[str] = []
        self._adds = 0
        self._lock = threading.Lock()

    def answer(self, path: str, session: str, told: dict[str, str]) -> dict[str, str]:
        with self._lock:
            if path == "/open":
                return self._open(told)
            if session not in self.sessions:
                return {"result": "no session"}
            if path == "/close":
                del self.sessions[session]
                return {"result": "ok"}
            self.sessions[session] += 1
            if self.wants.expire_after is not None and self.sessions[session] > self.wants.expire_after:
                del self.sessions[session]
                return {"result": "no session"}
            return {"result": "ok" if path == "/prove" else self._add(told["number"])}

    def _open(self, told: dict[str, str]) -> dict[str, str]:
        if told["key"] != self.key:
            return {"result": "wrong key"}
        session = secrets.token_hex(16)
        self.sessions[session] = 0
        return {"result": "ok", "session": session}

    def _add(self, number: str) -> str:
        self._adds += 1
        if self.wants.transient and self._adds % 9 == 0:
            return "later"
        if self.wants.refuse and number.endswith(REFUSED):
            return "refused"
        self.numbers.append(number)
        return "ok"


@contextmanager
def serve(wants: Wants) -> Iterator[Service]:
    """Serve over loopback until the block ends."""
    toys = Toys(wants)

    class Answering(Handler):
        def respond(self) -> None:
            asked = self.asked()
            answer = toys.answer(asked.path, asked.headers.get("session", ""), asked.message)
            self.answer(200, [("Content-Type", "application/json")], json.dumps(answer).encode())

    with loopback.serving(Answering) as origin:
        yield Service(
            origin,
            open=lambda: len(toys.sessions),
            expire=toys.sessions.clear,
            held=lambda: list(toys.numbers),
        )


def _purpose(asked: Asked) -> Purpose:
    purposes: dict[str, Purpose] = {"/open": "open", "/close": "close", "/add": "row"}
    return purposes.get(asked.path, "other")


TOY = System(
    name="toy",
    serve=serve,
    target="""
system = "toy"
endpoint = "{origin}"
key = { env = "TOY_TEST_KEY" }
""",
    secrets={"TOY_TEST_KEY": KEY},
    purpose_of=_purpose,
    token='"session": "([^"]+)"',
    lookup=False,
)
