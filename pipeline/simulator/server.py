"""Serves the simulator over loopback with uvicorn, in the foreground or beside a test."""

import asyncio
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from pipeline.simulator.app import Simulator
from pipeline.simulator.exchange import TRANSPORT
from pipeline.simulator.settings import ServiceSettings

_T = TypeVar("_T")
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class _Protocol(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
    """uvicorn's protocol, which lets the application have the transport: it must be able to cut a connection."""

    app_state: dict[str, Any]

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        # The state is copied into each request's scope.
        self.app_state = {**self.app_state, TRANSPORT: transport}


class _Server(uvicorn.Server):
    """uvicorn without its polling: starts, stops and stops listening at once."""

    def __init__(self, simulator: Simulator, listening: socket.socket, ready: Callable[[str], None]) -> None:
        super().__init__(
            uvicorn.Config(
                self._application,
                http=_Protocol,
                ws="none",
                lifespan="off",
                interface="asgi3",
                proxy_headers=False,
                log_config=None,
                log_level="error",
                access_log=False,
                date_header=False,
                server_header=False,
                timeout_keep_alive=3600,
            )
        )
        simulator.listener = self
        self._simulator = simulator
        self._listening = listening
        self._address: tuple[str, int] = listening.getsockname()[:2]
        self._ready = ready
        self.loop: asyncio.AbstractEventLoop | None = None
        self._stopped = asyncio.Event()

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        return f"http://{self._address[0]}:{self._address[1]}"

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen."""
        self.loop = asyncio.get_running_loop()
        await super().startup(sockets=[self._listening])

    async def main_loop(self) -> None:
        """Serve until told to stop."""
        self._ready(self._simulator.url())
        await self._stopped.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End all connections. Nothing is waited for: a client must bear that anyway."""
        for server in self.servers:
            server.close()
        self._abort_connections()
        self._listening.close()
        for task in self.server_state.tasks:
            task.cancel()
        if self.server_state.tasks:
            await asyncio.wait(self.server_state.tasks, timeout=5)

    async def set_listening(self, listening: bool) -> None:
        """Refuse connections and end those that are open, or listen again at the same address."""
        if listening:
            self._listening = _bind(*self._address)
            self.servers = [await asyncio.get_running_loop().create_server(self._protocol, sock=self._listening)]
            return
        for server in self.servers:
            server.close()
        self.servers = []
        self._abort_connections()

    def stop(self) -> None:
        """Stop serving. May be called from any thread and from signal handlers."""
        self.should_exit = True
        if self.loop is not None:
            self.loop.call_soon_threadsafe(self._stopped.set)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """SIGINT and SIGTERM stop the server; unlike uvicorn, it does not raise them again afterwards."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        former = {number: signal.signal(number, lambda *_: self.stop()) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)

    async def _application(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._simulator(scope, receive, send)
        except asyncio.CancelledError:
            # The server stops, and the connection is gone: there is nothing that uvicorn should report.
            if not self._stopped.is_set():
                raise

    def _protocol(self) -> asyncio.Protocol:
        protocol: asyncio.Protocol = _Protocol(config=self.config, server_state=self.server_state, app_state={})
        return protocol

    def _abort_connections(self) -> None:
        for connection in list(self.server_state.connections):
            connection.transport.abort()


class RunningSimulator:
    """A simulator that serves in another thread, seen as one of its services."""

    def __init__(self, simulator: Simulator, server: _Server, system: str | None = None) -> None:
        self.url = simulator.url(system)  # of the service, as a configuration wants it
        self.origin = server.origin  # scheme, host and port; /state and /control are there
        self.simulator = simulator
        self.service = simulator.service(system)
        self._server = server

    def of(self, system: str) -> "RunningSimulator":
        """The same simulator, seen as another of its services."""
        return RunningSimulator(self.simulator, self._server, system)

    def state(self) -> dict[str, Any]:
        """What /state shows of the service."""
        return self._in_loop(lambda: self.simulator.state(self.service.system))

    def rows(self) -> list[dict[str, Any]]:
        """What the service holds."""
        return self._in_loop(lambda: list(self.simulator.rows(self.service.system)))

    def contacts(self, campaign_id: str | None = None) -> list[dict[str, Any]]:
        """What a campaign of the ONC service holds; None = the first of the settings."""
        key = campaign_id or self.simulator.service("onc").settings.campaigns[0].id
        return self._in_loop(lambda: list(self.simulator.contacts(key)))

    def refused(self) -> list[dict[str, Any]]:
        """What was refused: campaign, contact and code of each."""
        return self._in_loop(lambda: self.simulator.refused(self.service.system))

    def swallowed(self) -> list[dict[str, Any]]:
        """What was stored and not answered: campaign, contact and how."""
        return self._in_loop(lambda: self.simulator.swallowed(self.service.system))

    def control(self, **changes: Any) -> dict[str, Any]:
        """What /control does, at the service, and `outage="refuse"` beside it: the port is closed until the outage is
        lifted."""
        assert self._server.loop is not None
        changing = self.simulator.control(changes, self.service.system)
        return asyncio.run_coroutine_threadsafe(changing, self._server.loop).result()

    def _in_loop(self, call: Callable[[], _T]) -> _T:
        async def run() -> _T:
            return call()

        assert self._server.loop is not None
        return asyncio.run_coroutine_threadsafe(run(), self._server.loop).result()


def serve(
    simulated: ServiceSettings | Simulator | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
    ready: Callable[[str], None] = lambda url: None,
) -> None:
    """Serve until SIGINT or SIGTERM (in the main thread). `ready` gets the URL of the first service once it listens;
    port 0 is any free one. Raises OSError if the address cannot be had."""
    with _bind(host, port) as listening:
        _Server(_simulator(simulated), listening, ready).run()


def run(simulated: ServiceSettings | Simulator | None, port: int, announce: Callable[[str], None]) -> None:
    """Serve on a port of loopback until SIGINT or SIGTERM; `announce` gets the URL of the first service."""
    serve(simulated, port=port, ready=announce)


@contextmanager
def running(*simulated: ServiceSettings | Simulator, port: int = 0) -> Iterator[RunningSimulator]:
    """Serve one simulator, or one made from settings (of none: all services), in another thread for as long as the
    context lasts; it begins when the port is open."""
    simulator = _simulator(*simulated)
    with _bind("127.0.0.1", port) as listening:
        started = threading.Event()
        server = _Server(simulator, listening, lambda url: started.set())
        failures: list[BaseException] = []

        def work() -> None:
            try:
                server.run()
            except BaseException as error:  # noqa: BLE001 - it is raised where the context was entered
                failures.append(error)
            finally:
                started.set()

        thread = threading.Thread(target=work, name="simulator", daemon=True)
        thread.start()
        started.wait()
        if failures:
            raise failures[0]
        try:
            yield RunningSimulator(simulator, server)
        finally:
            server.stop()
            thread.join()


def _simulator(*simulated: ServiceSettings | Simulator | None) -> Simulator:
    if len(simulated) == 1 and isinstance(simulated[0], Simulator):
        return simulated[0]
    settings = [each for each in simulated if isinstance(each, ServiceSettings)]
    return Simulator(*settings)


def _bind(host: str, port: int) -> socket.socket:
    return socket.create_server((host, port), backlog=2048)
