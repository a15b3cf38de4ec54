"""One HTTP/1.1 connection with one request in flight.

    IDLE ──ask──────► ASKED ──the whole answer───────────────► IDLE, or CLOSED where it is the connection's last
                      └──┘ follow gives the next request
      └────begin────► STREAMED ──the answer taken, finish────►   "
    any ──close, the server ends it, it breaks, too late──────► CLOSED

An answer belongs to the request that was written last, and to no other: nothing is written while something unread lies
in the socket, and what comes while nothing is asked, or after an answer's end, ends the connection.
"""

import asyncio
import select
from collections.abc import Callable
from enum import Enum
from math import inf
from typing import Any, Final, TypeAlias, cast

from pipeline.logs import logger
from pipeline.wire.reading import Answer, Broken, Garbled, Reading

#: More of a body than this, held and not taken, pauses reading until it is taken.
HELD_LIMIT: Final = 256 * 1024

#: Up to so many bytes a body is written together with its head, which spares a segment; a larger one is not copied.
_JOINED_LIMIT: Final = 64 * 1024

#: A connection on which nothing went for so many seconds is not used again. Servers close theirs after 5 (Node, Apache,
#: uvicorn) or more, and what is sent just then is in doubt; what lies between forgets a silent one within minutes.
IDLE_LIMIT: Final = 4.0

#: A request as it is written: its head and its body.
Request: TypeAlias = tuple[bytes, bytes]

#: Hears of an answer and gives the request that goes out at once; None: no further one now.
Follow: TypeAlias = Callable[[Answer], Request | None]

#: What lies in a socket, unread, or that it has ended; called with 0, for it must not wait.
_Look: TypeAlias = Callable[[int], Any]


class Lost(Broken):
    """The connection was reset, or closed by us."""


class Late(Broken):
    """The deadline has passed."""


class State(Enum):
    """What a connection is doing."""

    IDLE = "idle"  # a request may be written
    ASKED = "asked"  # awaits a whole answer
    STREAMED = "streamed"  # a request is written and its answer taken piece by piece
    CLOSED = "closed"


class Connection(asyncio.Protocol):
    """Made by `connect`. Its methods are for the loop's own thread; none but `drain`, `head` and `body` wait.

    `written` says whether something of a request may have left whose answer is not whole: after a failure or a
    cancellation it tells "surely not delivered" from "nobody knows".
    """

    __slots__ = (
        "_answered_by",
        "_deadline",
        "_failure",
        "_fires",
        "_follow",
        "_full",
        "_held_back",
        "_idle_until",
        "_judged",
        "_known",
        "_known_bytes",
        "_limit",
        "_look",
        "_loop",
        "_reading",
        "_reprieved",
        "_sent",
        "_state",
        "_timeout",
        "_timer",
        "_transport",
        "_waiter",
        "written",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._transport: asyncio.Transport
        self._look: _Look
        self._judged = True  # whether what lies in the socket counts
        self._state = State.IDLE
        self._idle_until = 0.0  # so long it may be used, on the loop's clock
        self._reading: Reading | None = None
        self._answered_by: asyncio.Future[Answer] | None = None  # ASKED: who awaits the answer
        self._follow: Follow | None = None  # ASKED: who may have a further request
        self._timeout = 0.0  # seconds for an answer
        self._waiter: asyncio.Future[None] | None = None  # STREAMED: who awaits that something comes
        self._full = False  # whether much of what was written waits to leave
        self._failure: Exception | None = None
        self._held_back = False  # whether reading is paused
        self._known_bytes = b""  # the last answer that came in one piece, for the next may be the same
        self._known: Answer | None = None  # what it says
        self._limit = 0  # bytes of the answer that is awaited
        self._deadline = 0.0  # of the answer that is awaited, on the loop's clock
        self._timer: asyncio.TimerHandle | None = None
        self._fires = inf  # when the timer does
        self._reprieved = False  # whether the answer that is awaited had a further look
        self._sent = False  # STREAMED: whether all of the request was written
        self.written = False

    @property
    def state(self) -> State:
        """What it is doing now."""
        return self._state

    def ready(self) -> bool:
        """Whether a request can be written on it now. One on which something came unasked is closed, as is one that was
        idle for long.

        What lies in the socket unread would be taken for the next answer, so it is looked into. A fresh connection
        under TLS is not judged by that: what ends the handshake may lie there.
        """
        if self._state is not State.IDLE or self._transport.is_closing():
            return False
        if self._loop.time() > self._idle_until or (self._judged and self._look(0)):
            self.close()
            return False
        return True

    def _rest(self) -> None:
        self._state = State.IDLE
        self._idle_until = self._loop.time() + IDLE_LIMIT

    def close(self) -> None:
        """End it at once, whatever is in flight."""
        if self._state is not State.CLOSED:
            self._fail(Lost("the connection was closed"))

    # --- a whole answer ---------------------------------------------------------------------------------------------

    def ask(
        self, request: Request, timeout: float, limit: int, follow: Follow | None = None
    ) -> "asyncio.Future[Answer]":
        """Write a request; gives its answer, at most `limit` bytes long, within `timeout` seconds, or raises Broken.

        Where `follow` gives a further request at the answer, that one is written at once and it is its answer, or the
        one after it, that is awaited: at full speed a row costs no more than this. `follow` is not asked after the
        connection's last answer.

        To be called where `ready` has just said so. Whoever gives up waiting must close the connection.
        """
        assert self._state is State.IDLE
        self._state = State.ASKED
        self._judged = True
        self._answered_by = answered_by = self._loop.create_future()
        self._follow = follow
        self._timeout = timeout
        self._limit = limit
        self._put(request)
        return answered_by

    def _put(self, request: Request) -> None:
        self._reading = None
        self._reprieved = False
        self._deadline = deadline = self._loop.time() + self._timeout
        if deadline < self._fires:
            self._wind(deadline)
        self.written = True
        head, body = request
        if len(body) <= _JOINED_LIMIT:
            self._transport.write(head + body)
        else:
            self._transport.write(head)
            self._transport.write(body)

    def _look_at_clock(self) -> None:
        """One timer serves all requests: it is set anew only when it fires while an answer is awaited.

        After a machine has slept, or the loop was kept from turning, an answer may lie in the socket that came in time:
        it is read before the deadline is held against it, once.
        """
        self._fires = inf
        if self._state is not State.ASKED:
            return
        if self._loop.time() < self._deadline:
            self._wind(self._deadline)
        elif not self._reprieved and self._look(0):
            self._reprieved = True
            self._wind(self._loop.time())
        else:
            self._fail(Late("no answer in time"))

    def _wind(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._fires = at
        self._timer = self._loop.call_at(at, self._look_at_clock)

    # --- an answer by pieces ----------------------------------------------------------------------------------------

    def begin(self, *, to_head: bool = False) -> None:
        """A request is about to be written, whose answer is taken piece by piece."""
        assert self._state is State.IDLE
        self._state = State.STREAMED
        self._judged = True
        self._sent = False
        self._reading = Reading(to_head=to_head)

    def write(self, data: bytes) -> None:
        """Write a piece of the request."""
        if self._state is State.STREAMED:
            self.written = True
            self._transport.write(data)

    def sent(self) -> None:
        """All of the request was written."""
        self._sent = True

    async def drain(self) -> bool:
        """Wait until little of what was written is left here; whether more of the request is wanted: not where the
        connection is closed or the answer has come already.
        """
        while self._full and self._wants_request():
            await self._something()
        return self._wants_request()

    async def head(self) -> Reading:
        """The answer, once status and headers are there. Raises Broken."""
        reading = self._reading
        assert reading is not None
        while not reading.has_head:
            self._raise_failure()
            await self._something()
        return reading

    async def body(self) -> bytes:
        """The next piece of the answer's body, b"" at its end. Raises Broken."""
        reading = self._reading
        assert reading is not None
        while not reading.pieces and not reading.complete:
            self._raise_failure()
            await self._something()
        piece = reading.take()
        if self._held_back and reading.held <= HELD_LIMIT:
            self._held_back = False
            self._transport.resume_reading()
        return piece

    def finish(self) -> None:
        """No more of the answer will be taken."""
        reading, self._reading = self._reading, None
        if reading is None:
            return
        if reading.complete:
            self.written = False
        if self._state is State.STREAMED:
            if reading.complete and self._sent and not self._held_back and self._goes_on(reading):
                self._rest()
            else:
                self.close()

    def _wants_request(self) -> bool:
        return self._state is State.STREAMED and self._reading is not None and not self._reading.has_head

    async def _something(self) -> None:
        """Wait until something has come, or can be written again, or the connection has ended."""
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _stir(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure
        if self._state is State.CLOSED:
            raise Lost("the connection was closed")

    # --- what the loop calls ----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection stands, TLS included."""
        self._transport = cast("asyncio.Transport", transport)
        self._look = _look_into(transport.get_extra_info("socket"))
        self._judged = transport.get_extra_info("sslcontext") is None
        self._rest()

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
        if self._state is State.ASKED:
            if data == self._known_bytes and self._reading is None:
                assert self._known is not None
                self._settle(self._known, idle=not self._transport.get_write_buffer_size())
                return
            first = self._reading is None
            reading = self._reading = self._reading or Reading(limit=self._limit)
            if self._feed(reading, data) and reading.complete:
                self._answer(reading, data if first else b"")
        elif self._state is State.STREAMED:
            assert self._reading is not None
            self._feed(self._reading, data)
            if self._reading.held > HELD_LIMIT and not self._held_back:
                self._held_back = True
                self._transport.pause_reading()
            self._stir()
        elif self._state is State.IDLE:
            self._unasked()
            self.close()

    def eof_received(self) -> None:
        """The server will send no more; giving None closes the connection."""
        self._ended(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._ended(exc)

    def pause_writing(self) -> None:
        """Much of what was written waits to leave."""
        self._full = True

    def resume_writing(self) -> None:
        """Little of it is left."""
        self._full = False
        self._stir()

    # --- ends -------------------------------------------------------------------------------------------------------

    def _feed(self, reading: Reading, data: bytes) -> bool:
        """Read what has come; whether it is an answer so far."""
        known = reading.surplus
        if reading.complete:
            reading.surplus = True
        else:
            try:
                reading.feed(data)
            except Garbled as error:
                self._fail(error)
                return False
        if reading.surplus and not known:
            self._unasked()
        return True

    def _answer(self, reading: Reading, whole: bytes) -> None:
        """The answer that was awaited is complete; `whole` is all of it where it came in one piece."""
        try:
            answer = reading.answer()
        except Garbled as error:
            self._fail(error)
            return
        idle = self._goes_on(reading)
        if idle:
            self._known_bytes, self._known = whole, answer
        self._settle(answer, idle=idle)

    def _settle(self, answer: Answer, *, idle: bool) -> None:
        follow, answered_by = self._follow, self._answered_by
        assert answered_by is not None
        if follow is not None and idle and not answered_by.done() and not self._look(0):
            try:
                following = follow(answer)
            except Exception as error:  # noqa: BLE001 - whoever awaits the answer is told, not the loop
                self._fail(error)
                return
            if following is not None:
                self._put(following)
                return
        self._answered_by = self._follow = self._reading = None
        self.written = False
        if idle:
            self._rest()
        else:
            self.close()
        if not answered_by.done():
            answered_by.set_result(answer)

    def _goes_on(self, reading: Reading) -> bool:
        """Whether the connection serves a further request after this answer: the server keeps it, the request had left
        whole, and nothing came beyond the answer.
        """
        return (
            reading.keep_alive
            and not reading.surplus
            and not self._transport.get_write_buffer_size()
            and not self._transport.is_closing()
        )

    def _ended(self, exc: Exception | None) -> None:
        """The server has ended the connection, or it broke."""
        if self._state is State.CLOSED:
            return
        reading = self._reading
        if exc is not None:
            self._fail(Lost(f"the connection broke before the answer was whole ({type(exc).__name__})"))
            return
        if self._state is State.IDLE or (reading is not None and reading.complete):
            self.close()
            return
        try:
            (reading or Reading()).end()
        except Garbled as error:
            self._fail(error)
            return
        assert reading is not None
        if self._state is State.ASKED:
            self._answer(reading, b"")
        else:
            self.close()

    def _fail(self, error: Exception) -> None:
        self._state = State.CLOSED
        self._failure = error
        self._follow = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._transport.abort()
        answered_by, self._answered_by = self._answered_by, None
        if answered_by is not None and not answered_by.done():
            answered_by.set_exception(error)
        self._stir()

    def _unasked(self) -> None:
        """Say that the server sends what nobody asked for: if that came a moment later, it would be taken for the next
        answer, and whoever answers so may have done it before.
        """
        logger().warning("connection.unasked", advice="the target sent more than answers; its answers may be mixed up")


def _look_into(sock: Any) -> _Look:
    """How to look into a socket; a look costs less than a microsecond where there is `poll`."""
    if sock is None:
        return lambda _: False
    if hasattr(select, "poll"):
        poller = select.poll()
        poller.register(sock.fileno(), select.POLLIN)
        return poller.poll
    return lambda timeout: select.select([sock], [], [], timeout)[0]
