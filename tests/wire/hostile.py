"""A server that does what it is told, on blocking sockets: each connection is played by a function in a thread."""

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

#: A play that waits for a client longer than this, in seconds, is a mistake of the test.
PATIENCE = 20.0


class Gone(Exception):
    """The client has ended the connection."""


class Connection:
    """One connection, as a play sees it. `number` counts the connections from 0."""

    def __init__(self, sock: socket.socket, number: int) -> None:
        self.sock = sock
        self.number = number
        self._buffer = b""

    def request(self) -> bytes:
        """One whole request: its head and as much body as that announces. Raises Gone."""
        while b"\r\n\r\n" not in self._buffer:
            self._more()
        head, _, rest = self._buffer.partition(b"\r\n\r\n")
        length = 0
        for line in head.split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        while len(rest) < length:
            self._more()
            rest = self._buffer.partition(b"\r\n\r\n")[2]
        self._buffer = rest[length:]
        return head + b"\r\n\r\n" + rest[:length]

    def _more(self) -> None:
        try:
            data = self.sock.recv(1 << 16)
        except ConnectionError:
            data = b""
        if not data:
            raise Gone
        self._buffer += data

    def send(self, *pieces: bytes) -> None:
        """Send pieces, each in a call of its own."""
        try:
            for piece in pieces:
                self.sock.sendall(piece)
        except (ConnectionError, ssl.SSLError):
            raise Gone from None

    def end(self) -> None:
        """Say that nothing more will come, and go on reading."""
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:  # the client was faster
            raise Gone from None

    def reset(self) -> None:
        """End the connection with a reset instead of an orderly end."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def until_gone(self) -> None:
        """Read until the client has ended the connection."""
        with contextlib.suppress(Gone):
            while True:
                self._more()


Play = Callable[[Connection], None]


@dataclass
class Server:
    """A server at work."""

    url: str
    over: "list[threading.Event]" = field(default_factory=list)  # per connection: its play has ended, it is closed
    failures: "list[Exception]" = field(default_factory=list)

    def wait(self, number: int) -> None:
        """Block until the play of a connection is over: what it sent, and its end, lie in the client's socket."""
        assert self.over[number].wait(PATIENCE)


@contextmanager
def serving(play: Play, tls: ssl.SSLContext | None = None) -> Iterator[Server]:
    """Serve on a free port until the block ends. What a play raises, but Gone, is raised at the end of the block."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = Server(f"http{'s' if tls else ''}://localhost:{listener.getsockname()[1]}/")
    threads: list[threading.Thread] = []
    ended = threading.Event()

    def played(sock: socket.socket, number: int) -> None:
        sock.settimeout(PATIENCE)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if tls:
                sock = tls.wrap_socket(sock, server_side=True)
            play(Connection(sock, number))
        except (Gone, ConnectionError, ssl.SSLError):
            pass
        except Exception as error:  # noqa: BLE001 - it would be lost with the thread
            server.failures.append(error)
        finally:
            sock.close()
            server.over[number].set()

    def accept() -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            if ended.is_set():
                sock.close()
                return
            server.over.append(threading.Event())
            thread = threading.Thread(target=played, args=(sock, len(server.over) - 1), daemon=True)
            threads.append(thread)
            thread.start()

    acceptor = threading.Thread(target=accept, daemon=True)
    acceptor.start()
    try:
        yield server
    finally:
        ended.set()
        with contextlib.suppress(OSError):
            socket.create_connection(listener.getsockname(), PATIENCE).close()  # wakes `accept`
        acceptor.join(PATIENCE)
        listener.close()
        for thread in threads:
            thread.join(PATIENCE)
            assert not thread.is_alive(), "a play goes on although its client has had its answer"
    if server.failures:
        raise server.failures[0]
