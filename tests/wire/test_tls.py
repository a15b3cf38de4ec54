"""Servers that break off TLS at one of its own places: while hands are shaken, and beneath an open connection."""

import os
import ssl
import threading

import anyio
import httpx
import pytest
from wire import hostile, ways
from wire.ways import by_httpx, by_line, by_wire, result

from pipeline.errors import NotDelivered

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("way", [by_wire, by_line, by_httpx])
async def test_a_server_that_never_shakes_hands_delivered_nothing(way, trusting, monkeypatch):
    monkeypatch.setattr(ways, "_timeouts", lambda timeout: httpx.Timeout(timeout, connect=0.2))
    # The play ends only where the client hangs up.
    with hostile.serving(lambda connection: connection.until_gone()) as server:
        async with way(server.url.replace("http:", "https:"), tls=trusting) as post:
            assert (await result(post)).failure is NotDelivered


@pytest.mark.parametrize("way", [by_wire, by_line])
@pytest.mark.parametrize("turns", [False, True], ids=["before the loop turns", "the loop has noticed"])
@pytest.mark.parametrize("last", ["farewell", "garbage"])
async def test_a_connection_whose_tls_has_ended_is_replaced(way, turns, last, served, trusting):
    """The connection beneath stays open, and what was written there would never be answered."""

    def play(connection: hostile.Connection) -> None:
        connection.request()
        body = b"%d" % connection.number
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n" + body)
        if connection.number == 0:
            told.wait(hostile.PATIENCE)
            farewell(connection) if last == "farewell" else garbage(connection)
            sent.set()
        connection.until_gone()

    told, sent = threading.Event(), threading.Event()
    with hostile.serving(play, served) as server:
        async with way(server.url, tls=trusting) as post:
            assert (await result(post)).body == b"0"
            told.set()
            if turns:
                await anyio.to_thread.run_sync(server.wait, 0)  # the loop reads it, and ends the connection
            else:
                sent.wait(hostile.PATIENCE)  # blocks the loop: it lies in the socket, unread
            assert (await result(post)).body == b"1"


def farewell(connection: hostile.Connection) -> None:
    """End TLS, without waiting until the client does so too."""
    assert isinstance(connection.sock, ssl.SSLSocket)
    connection.sock.setblocking(False)
    with pytest.raises(ssl.SSLWantReadError):
        connection.sock.unwrap()
    connection.sock.settimeout(hostile.PATIENCE)


def garbage(connection: hostile.Connection) -> None:
    """Send what is no record of TLS."""
    os.write(connection.sock.fileno(), b"HTTP/1.1 500 No\r\n\r\n")
