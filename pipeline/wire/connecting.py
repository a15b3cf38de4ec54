"""Connects: the addresses of a host one after the other, the next where one is slow or refuses, then TLS."""

import asyncio
import os
import socket
import ssl
from typing import Any, Final, NamedTuple

import anyio

from pipeline.wire.connection import Connection

#: An address that does not answer within so many seconds gets company (RFC 8305, 5).
_NEXT_AFTER: Final = 0.25


class Origin(NamedTuple):
    """What a connection is to."""

    scheme: str  # http or https
    host: str  # in ASCII, an IPv6 address without brackets
    port: int


async def connect(origin: Origin, tls: ssl.SSLContext) -> Connection:
    """A connection that is ready for a request. Raises OSError, which includes ssl.SSLError."""
    loop = asyncio.get_running_loop()
    addresses = await loop.getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM)
    connected = await _first(_in_turn(addresses))
    secure = origin.scheme == "https"
    _, connection = await loop.create_connection(
        lambda: Connection(loop),
        sock=connected,
        ssl=tls if secure else None,
        server_hostname=origin.host if secure else None,
    )
    return connection


def _in_turn(addresses: list[Any]) -> list[Any]:
    """The addresses as the system orders them, but a second family has its turn second (RFC 8305, 4)."""
    other = next((at for at, address in enumerate(addresses) if address[0] != addresses[0][0]), None)
    if other is not None:
        addresses.insert(1, addresses.pop(other))
    return addresses


async def _first(addresses: list[Any]) -> socket.socket:
    """A socket connected to the first address that takes us. Raises OSError: what the first one to fail said."""
    connected: list[socket.socket] = []
    failures: list[OSError] = []

    async def attempt(address: Any, over: anyio.Event) -> None:
        try:
            sock = await _connected(address)
        except OSError as error:
            failures.append(error)
        else:
            if connected:
                sock.close()
            else:
                connected.append(sock)
                group.cancel_scope.cancel()
        over.set()

    try:
        async with anyio.create_task_group() as group:
            for address in addresses:
                over = anyio.Event()
                group.start_soon(attempt, address, over)
                with anyio.move_on_after(_NEXT_AFTER):
                    await over.wait()
    except BaseException:  # given up just when one had connected
        for sock in connected:
            sock.close()
        raise
    if connected:
        return connected[0]
    number = failures[0].errno
    raise type(failures[0])(number, os.strerror(number)) if number else failures[0]


async def _connected(address: Any) -> socket.socket:
    family, kind, protocol, _, place = address
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, place)
    except BaseException:
        sock.close()
        raise
    return sock
