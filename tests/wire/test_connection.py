"""One connection on a transport that is none: time is virtual, and whatever a loop may tell it comes when we say."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from simulation import virtual

from pipeline.wire.connection import HELD_LIMIT, IDLE_LIMIT, Connection, Late, Lost, State
from pipeline.wire.reading import Garbled

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Line:
    """A transport that keeps what is written. `unsent` is what it says is still to leave."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.unsent = 0
        self.reading = True
        self.aborted = False

    def get_extra_info(self, name: str) -> None:
        return None

    def is_closing(self) -> bool:
        return self.aborted

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def writelines(self, parts: list[bytes]) -> None:
        self.written.append(b"".join(parts))

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def abort(self) -> None:
        self.aborted = True


def connected() -> tuple[Connection, Line]:
    connection, line = Connection(asyncio.get_running_loop()), Line()
    connection.connection_made(line)  # type: ignore[arg-type]
    return connection, line


def in_virtual_time(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """Run a test on a loop whose time passes when there is nothing else to do."""

    def run() -> None:
        virtual.run(test, virtual.Clock())

    run.__name__ = test.__name__
    run.__doc__ = test.__doc__
    return run


def ask(connection: Connection, timeout: float = 30.0) -> "asyncio.Future[Any]":
    assert connection.ready()
    return connection.ask((b"head", b"body"), timeout, 1000)


@in_virtual_time
async def test_an_answer_in_time():
    connection, line = connected()
    answer = ask(connection)
    assert connection.written
    assert not connection.ready()
    connection.data_received(OK)
    assert (await answer).body == b"ok"
    assert line.written == [b"headbody"]
    assert connection.ready()
    assert not connection.written


@in_virtual_time
async def test_a_connection_that_was_idle_for_long_is_not_used_again():
    """The server may be closing it just then, or what lies between have forgotten it: the row would be in doubt."""
    connection, line = connected()
    answer = ask(connection)
    connection.data_received(OK)
    await answer
    await asyncio.sleep(IDLE_LIMIT - 0.1)
    answer = ask(connection)
    connection.data_received(OK)
    await answer
    await asyncio.sleep(IDLE_LIMIT - 0.1)
    assert connection.ready(), "each answer begins the time anew"
    await asyncio.sleep(0.2)
    assert not connection.ready()
    assert line.aborted
    assert not connection.written, "nothing left on it: another one is opened"


@in_virtual_time
async def test_the_deadline_is_that_of_the_answer_and_not_of_its_pieces():
    """A server that sends a byte now and then does not put it off."""
    connection, line = connected()
    loop = asyncio.get_running_loop()
    began = loop.time()
    answer = ask(connection)
    for at in range(30):
        loop.call_later(at, connection.data_received, OK[at : at + 1])
    with pytest.raises(Late):
        await answer
    assert loop.time() - began == pytest.approx(30.0)
    assert line.aborted
    assert connection.state is State.CLOSED
    assert connection.written, "the request has left, and nobody knows"


@in_virtual_time
async def test_an_answer_that_lies_in_the_socket_is_read_before_its_deadline_is_held_against_it():
    """uvloop runs timers before it reads: after a machine has slept everything would be late."""
    for answered in (True, False):
        connection, _ = connected()
        connection._look = lambda _: True
        loop = asyncio.get_running_loop()
        answer = connection.ask((b"request", b""), 30.0, 1000)
        began = loop.time()
        if answered:
            loop.call_at(began + 30.0, loop.call_soon, connection.data_received, OK)
            assert (await answer).body == b"ok"
        else:
            with pytest.raises(Late):
                await answer
        assert loop.time() - began == pytest.approx(30.0)


@in_virtual_time
async def test_one_timer_serves_all_answers():
    """It is set anew when it fires, so each answer has its whole time, however many came before."""
    connection, _ = connected()
    loop = asyncio.get_running_loop()
    for _ in range(5):
        answer = ask(connection)
        loop.call_later(20.0, connection.data_received, OK)
        await answer
    began = loop.time()
    answer = ask(connection)
    with pytest.raises(Late):
        await answer
    assert loop.time() - began == pytest.approx(30.0)


@in_virtual_time
async def test_an_idle_connection_is_not_late():
    connection, _ = connected()
    answer = ask(connection, 1.0)
    connection.data_received(OK)
    await answer
    await asyncio.sleep(2.0)
    assert connection.ready()


@in_virtual_time
async def test_a_shorter_deadline_after_a_longer_one():
    connection, _ = connected()
    answer = ask(connection, 300.0)
    connection.data_received(OK)
    await answer
    loop = asyncio.get_running_loop()
    began = loop.time()
    with pytest.raises(Late):
        await ask(connection, 1.0)
    assert loop.time() - began == pytest.approx(1.0)


@in_virtual_time
async def test_an_answer_before_the_request_has_left_is_the_last_one():
    """The rest of the request would be read as the next one."""
    for known in (False, True):
        connection, line = connected()
        if known:
            answer = ask(connection)
            connection.data_received(OK)
            await answer
        answer = ask(connection)
        line.unsent = 3
        connection.data_received(OK)
        assert (await answer).status == 200
        assert line.aborted
        assert not connection.ready()


@in_virtual_time
async def test_nothing_is_said_to_whoever_gave_up():
    connection, line = connected()
    answer = ask(connection)
    answer.cancel()
    connection.data_received(OK)
    assert connection.state is State.IDLE
    answer = ask(connection)
    answer.cancel()
    connection.close()
    assert line.aborted
    connection.connection_lost(None)


@in_virtual_time
async def test_each_end_of_a_connection_is_told_to_whoever_waits():
    for end, expected in (
        (Connection.eof_received, Garbled),
        (lambda it: it.connection_lost(None), Garbled),
        (lambda it: it.connection_lost(ConnectionResetError()), Lost),
        (Connection.close, Lost),
        (lambda it: it.data_received(b"\0\0"), Garbled),
    ):
        for before in (b"", OK[:10], OK[:25]):
            connection, line = connected()
            answer = ask(connection)
            if before:
                connection.data_received(before)
            end(connection)
            with pytest.raises(expected):
                await answer
            assert line.aborted
            assert connection.written
            connection.connection_lost(None)  # as the loop does in the end


@in_virtual_time
async def test_a_body_cut_short_is_no_answer():
    for end in (Connection.eof_received, lambda it: it.connection_lost(None)):
        connection, _ = connected()
        answer = ask(connection)
        connection.data_received(OK[:-1])
        end(connection)
        with pytest.raises(Garbled):
            await answer


@in_virtual_time
async def test_a_large_request_is_not_joined():
    connection, line = connected()
    large = b"x" * 100_000
    answer = connection.ask((b"head", large), 1.0, 1000)
    assert [id(part) for part in line.written].count(id(large)) == 1
    connection.data_received(OK)
    await answer


@in_virtual_time
async def test_reading_pauses_while_nobody_takes_what_came():
    connection, line = connected()
    connection.begin()
    connection.write(b"request")
    size = 10 * HELD_LIMIT
    connection.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
    assert (await connection.head()).status == 200
    sent = 0
    while line.reading:
        connection.data_received(b"x" * 50_000)
        sent += 50_000
    assert sent <= HELD_LIMIT + 50_000
    taken = 0
    while taken < sent:
        taken += len(await connection.body())
    assert line.reading
    connection.sent()
    connection.data_received(b"x" * (size - sent))
    while piece := await connection.body():
        taken += len(piece)
    assert taken == size
    connection.finish()
    assert connection.ready()


@in_virtual_time
async def test_an_answer_that_nobody_takes_ends_the_connection():
    connection, line = connected()
    connection.begin()
    connection.write(b"request")
    connection.data_received(OK[:-1])
    await connection.head()
    connection.finish()
    assert line.aborted
    connection.finish()  # harmless


@in_virtual_time
async def test_writing_waits_until_the_request_leaves_or_the_answer_is_there():
    for freed in (True, False):
        connection, line = connected()
        connection.begin()
        connection.write(b"some")
        connection.pause_writing()
        waiting = asyncio.ensure_future(connection.drain())
        await asyncio.sleep(1.0)
        assert not waiting.done()
        if freed:
            connection.resume_writing()
            assert await waiting
        else:
            line.unsent = 4
            connection.data_received(b"HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n")
            assert not await waiting
            assert (await connection.head()).status == 413
            assert await connection.body() == b""
            connection.finish()
            assert line.aborted, "the rest of the request was never written"


@in_virtual_time
async def test_a_connection_that_broke_is_told_to_whoever_writes():
    connection, _ = connected()
    connection.begin()
    connection.write(b"some")
    connection.pause_writing()
    waiting = asyncio.ensure_future(connection.drain())
    await asyncio.sleep(0)
    connection.connection_lost(BrokenPipeError())
    assert not await waiting
    with pytest.raises(Lost):
        await connection.head()
