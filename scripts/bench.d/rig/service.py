"""A service that takes its time, which nginx cannot: every answer after a fixed latency, and with a knee if wanted.

With `slots` so many rows are worked at once, the others wait for their turn; above `waiting` of those a row is answered
with 503. It is a process of its own without an event loop, since those are late by up to a millisecond: it sleeps until
shortly before an answer is due and then looks at the clock. A row's time counts from when the kernel had it, where the
kernel tells: what the service itself does for a row is within its latency then. What it has seen stands at /told.
"""

import argparse
import heapq
import json
import selectors
import signal
import socket
import struct
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, time
from typing import Any
from urllib.request import urlopen

#: Seconds that one count of answers spans.
SPAN = 0.1

#: Linux: a connection tells with its bytes when they came, as seconds and nanoseconds of the day's clock.
_TELLS_WHEN = 35
_WHEN = struct.Struct("@ll")

#: So many seconds before an answer is due the service stops sleeping: selectors sleep whole milliseconds.
_AWAKE = 0.002


@dataclass(frozen=True, slots=True)
class Told:
    """What the service has seen."""

    first: float  # moment of the first row on the monotonic clock, which all processes of a machine share
    counts: list[int]  # rows accepted in each SPAN since then
    refused: int  # rows that were answered with 503
    latency: float  # seconds from when a row had come to its answer, on average

    def rate(self, after: float = 0.0, before: float = float("inf")) -> float:
        """Rows a second between two moments, in seconds since the first row; the last span is never whole."""
        some = self.counts[round(after / SPAN) : -1][: round(min(before - after, 1e6) / SPAN)]
        return sum(some) / len(some) / SPAN if some else 0.0

    def reached(self, rate: float) -> float | None:
        """After how many seconds a whole second first had this rate; None: never."""
        width = round(1 / SPAN)
        for at in range(len(self.counts) - width + 1):
            if sum(self.counts[at : at + width]) >= rate:
                return at * SPAN
        return None


class Running:
    """The service, seen from outside."""

    def __init__(self, origin: str) -> None:
        self._origin = origin
        self.url = f"{origin}/onc.svc"

    def told(self) -> Told:
        """What it has seen so far."""
        with urlopen(f"{self._origin}/told") as answer:  # noqa: S310 - our own
            return Told(**json.load(answer))


@contextmanager
def serving(recording: Any, place: Path, *, latency: float, slots: int = 0, waiting: int = 0) -> Iterator[Running]:
    """Serve the answers of a Recording on the server's core for as long as the block lasts; `latency` is in seconds."""
    from rig.cores import SERVER, pinned

    answers = {each.action: [each.content_type, each.answer.decode()] for each in recording.exchanges.values()}
    (place / "answers.json").write_text(json.dumps({"row": recording.row.action, "answers": answers}))
    command = [*pinned(SERVER), sys.executable, __file__, str(place / "answers.json"), str(latency)]
    command += [str(slots), str(waiting)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own
        try:
            assert process.stdout is not None
            yield Running(f"http://127.0.0.1:{int(process.stdout.readline())}")
        finally:
            process.terminate()


class _Service:
    def __init__(self, answers: dict[str, Any], row: str, latency: float, slots: int, waiting: int) -> None:
        self._row = row
        self._answers = {action: _answer("200 OK", *answer) for action, answer in answers.items()}
        self._busy = _answer("503 Service Unavailable", "text/plain", "busy")
        self._latency = latency
        self._most = slots + waiting if slots else sys.maxsize
        self._ends: deque[float] = deque(maxlen=slots)  # when each slot is free again
        self._due: list[tuple[float, int, socket.socket, bytes, float]] = []  # rows in work or waiting, and other calls
        self._rows = 0  # of them
        self._number = 0
        self._first = 0.0
        self._counts: list[int] = []
        self._refused = 0
        self._late = 0.0
        self._halves: dict[socket.socket, bytes] = {}
        self._heads: dict[bytes, tuple[int, str]] = {}  # length and SOAPAction; "" asks for what it has seen
        self._selector = selectors.DefaultSelector()

    def run(self) -> None:
        with socket.create_server(("127.0.0.1", 0), backlog=4096) as listening:
            print(listening.getsockname()[1], flush=True)
            self._selector.register(listening, selectors.EVENT_READ)
            while True:
                left = self._due[0][0] - monotonic() if self._due else None
                for key, _ in self._selector.select(None if left is None else max(0.0, left - _AWAKE)):
                    if key.fileobj is listening:
                        self._accept(listening)
                    else:
                        self._read(key.fileobj)  # type: ignore[arg-type]
                self._answer_due()

    def _accept(self, listening: socket.socket) -> None:
        connection, _ = listening.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if sys.platform == "linux":
            connection.setsockopt(socket.SOL_SOCKET, _TELLS_WHEN, 1)
        self._halves[connection] = b""
        self._selector.register(connection, selectors.EVENT_READ)

    def _read(self, connection: socket.socket) -> None:
        try:
            data, told, _, _ = connection.recvmsg(1 << 18, 64)
        except ConnectionError:
            data, told = b"", []
        if not data:
            self._selector.unregister(connection)
            del self._halves[connection]
            connection.close()
            return
        data = self._halves[connection] + data
        head, end, body = data.partition(b"\r\n\r\n")
        length, action = (self._heads.get(head) or self._head(head)) if end else (0, "")
        if not end or len(body) < length:
            self._halves[connection] = data
            return
        self._halves[connection] = b""
        if action:
            seconds, nanoseconds = _WHEN.unpack(told[0][2]) if told else (time(), 0)
            self._asked(connection, action, monotonic() - (time() - seconds - nanoseconds / 1e9))
            return
        seen = {"first": self._first, "counts": self._counts, "refused": self._refused}
        seen["latency"] = self._late / max(1, sum(self._counts))
        connection.sendall(_answer("200 OK", "application/json", json.dumps(seen)))

    def _head(self, head: bytes) -> tuple[int, str]:
        """What a head says; few differ."""
        lines = [line.partition(":") for line in head.decode("latin-1").split("\r\n")]
        headers = {name.lower(): value.strip() for name, _, value in lines}
        told = self._heads[head] = int(headers.get("content-length", "0")), headers.get("soapaction", "")
        return told

    def _asked(self, connection: socket.socket, action: str, now: float) -> None:
        due = now
        if action == self._row:
            self._first = self._first or now
            if self._rows >= self._most:
                self._refused += 1
                connection.sendall(self._busy)
                return
            if len(self._ends) == self._ends.maxlen and self._ends:
                due = max(now, self._ends[0])
            self._ends.append(due + self._latency)
            self._rows += 1
        self._number += 1
        heapq.heappush(self._due, (due + self._latency, self._number, connection, self._answers[action], now))

    def _answer_due(self) -> None:
        while self._due and self._due[0][0] <= (now := monotonic()):
            _, _, connection, answer, asked = heapq.heappop(self._due)
            row = answer is self._answers[self._row]
            self._rows -= row
            try:
                connection.sendall(answer)
            except OSError:  # whoever asked is gone
                continue
            if row:
                self._late += now - asked
                at = int((now - self._first) / SPAN)
                self._counts.extend([0] * (at + 1 - len(self._counts)))
                self._counts[at] += 1


def _answer(status: str, content_type: str, body: str) -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body.encode())}\r\n\r\n"
    return (head + body).encode()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # without a trace: whoever started us ends too
    parser = argparse.ArgumentParser()
    parser.add_argument("answers", type=Path)
    parser.add_argument("latency", type=float)
    parser.add_argument("slots", type=int)
    parser.add_argument("waiting", type=int)
    given = parser.parse_args()
    known = json.loads(given.answers.read_text())
    _Service(known["answers"], known["row"], given.latency, given.slots, given.waiting).run()
