"""The simulator as an ASGI application: its services on one port, with /state and /control beside them."""

import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from random import Random
from typing import Any, Protocol

import anyio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from pipeline.simulator.exchange import Exchange, page
from pipeline.simulator.genesys.service import GenesysService
from pipeline.simulator.genesys.settings import GenesysSettings
from pipeline.simulator.intelliview.service import IntelliviewService
from pipeline.simulator.intelliview.settings import IntelliviewSettings
from pipeline.simulator.onc.service import OncService
from pipeline.simulator.onc.settings import OncSettings
from pipeline.simulator.pagos.service import PagosService
from pipeline.simulator.pagos.settings import PagosSettings
from pipeline.simulator.service import Service, Surroundings
from pipeline.simulator.settings import OUTAGES, RESERVED, ServiceSettings

SERVICES: Mapping[type[ServiceSettings], type[Service[Any]]] = {
    OncSettings: OncService,
    GenesysSettings: GenesysService,
    PagosSettings: PagosService,
    IntelliviewSettings: IntelliviewService,
}
"""The services, by their settings, in the order in which a simulator without settings has them."""

_COMMANDS = {"outage", "stored", "expire_sessions", "advance"}


class Listener(Protocol):
    """What listens for the simulator, where a server does."""

    @property
    def origin(self) -> str:
        """Scheme, host and port."""

    async def set_listening(self, listening: bool) -> None:
        """Refuse connections, or take them again."""


class Simulator:
    """Services that live in this process, one for each of the settings; without settings all of them. An instance is
    an ASGI application.

    `clock` gives seconds and decides on everything but `latency`, which `sleep` waits for; `random` makes ids.
    Where a method takes a system, None means the first."""

    def __init__(
        self,
        *settings: ServiceSettings,
        clock: Callable[[], float] = time.monotonic,
        random: Random | None = None,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        self.listener: Listener | None = None
        self._clock = clock
        self._advanced = 0.0
        self._listening = True
        # Ids need not be secret, only new: they may be foretold by whoever gives a seeded Random.
        surroundings = Surroundings(self._now, random or Random(), sleep)  # noqa: S311
        self.services: dict[str, Service[Any]] = {}  # by system
        self._paths: dict[str, Service[Any]] = {}
        for each in settings or tuple(kind() for kind in SERVICES):
            self._add(SERVICES[type(each)](each, surroundings))
        self._app = Starlette(
            routes=[
                Route("/state", self._get_state),
                Route("/state/{system}", self._get_state),
                Route("/control", self._post_control, methods=["POST"]),
                Route("/control/{system}", self._post_control, methods=["POST"]),
            ]
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request. Calls of the services skip the router: they are many."""
        service = self._paths.get(scope["path"]) if scope["type"] == "http" else None
        if service is not None:
            await service(scope, receive, send)
        elif scope["type"] == "http" and scope["path"] == "/":
            links = [link for each in self.services.values() for link in each.links]
            await Exchange(scope, receive, send).send(page("Simulated services", [*links, "/state", "/control"]))
        else:
            await self._app(scope, receive, send)

    @property
    def settings(self) -> Any:
        """The settings of the first service as they are now."""
        return self.service().settings

    def service(self, system: str | None = None) -> Any:
        """A service. Raises KeyError if there is none of this system."""
        return self.services[system] if system is not None else next(iter(self.services.values()))

    def url(self, system: str | None = None) -> str:
        """The address of a service, as a configuration wants it. Something must listen."""
        assert self.listener is not None
        address: str = self.service(system).address
        return self.listener.origin + address

    def state(self, system: str | None = None) -> dict[str, Any]:
        """Everything that a service has counted so far, ready for JSON."""
        counted: dict[str, Any] = self.service(system).state()
        return counted

    def rows(self, system: str | None = None) -> Iterator[dict[str, Any]]:
        """Everything that a service holds."""
        rows: Iterator[dict[str, Any]] = self.service(system).rows()
        return rows

    def contacts(self, campaign_id: str) -> Iterator[dict[str, Any]]:
        """The contacts that a campaign of the ONC service holds, shown in lists or not. Raises KeyError if there is no
        such campaign."""
        service: OncService = self.service("onc")
        return service.contacts(campaign_id)

    def refused(self, system: str | None = None) -> list[dict[str, Any]]:
        """Each row that was answered with no."""
        return [each._asdict() for each in self.service(system).record.refused]

    def swallowed(self, system: str | None = None) -> list[dict[str, Any]]:
        """Each row that was stored while its result was never told."""
        return [each._asdict() for each in self.service(system).record.swallowed]

    async def control(self, changes: Mapping[str, Any], system: str | None = None) -> dict[str, Any]:
        """Change what happens from now on, at one service, or with None at all of them. Keys: `outage` ("503", "hang",
        "cut", "refuse" or None) with `stored` (calls take effect all the same), `expire_sessions` (true), `advance`
        (seconds the clock jumps ahead), what a service's `commands` name (true) and the settings that may change while
        it runs (`ServiceSettings.runtime`). The clock is common to all services, and so is the port: "refuse" befalls
        them all.
        Raises ValueError or TypeError, and then nothing was changed."""
        services = list(self.services.values()) if system is None else [self.service(system)]
        for service in services:
            if unknown := set(changes) - _COMMANDS - service.commands - set(service.settings.runtime):
                raise ValueError(f"unknown: {', '.join(sorted(unknown))}")
        outage = changes.get("outage")
        if outage is not None and outage not in OUTAGES:
            raise ValueError(f"outage is one of {', '.join(OUTAGES)} or null")
        if outage == "refuse" and self.listener is None:
            raise ValueError("only a server that listens can refuse connections")
        advance = float(changes.get("advance", 0))
        settings = [service.changed(changes) for service in services]
        self._advanced += advance
        for service, wanted in zip(services, settings, strict=True):
            service.configure(wanted)
            if changes.get("expire_sessions"):
                service.sessions.expire_all()
            for name in sorted(service.commands):
                if changes.get(name):
                    service.command(name)
        if "outage" in changes:
            for service in services:
                service.set_outage(outage, bool(changes.get("stored")))
            await self._listen(outage != "refuse")
        return {"outage": outage if "outage" in changes else services[0].outage, "changed": sorted(changes)}

    async def _listen(self, listening: bool) -> None:
        if self.listener is not None and listening != self._listening:
            await self.listener.set_listening(listening)
            self._listening = listening

    def _add(self, service: Service[Any]) -> None:
        if service.system in self.services:
            raise ValueError(f"there are two services of the system {service.system}")
        for path in service.paths:
            if path in self._paths or path in RESERVED or path.startswith(tuple(f"{each}/" for each in RESERVED[1:])):
                raise ValueError(f"the path {path} is taken")
            self._paths[path] = service
        self.services[service.system] = service

    def _now(self) -> float:
        return self._clock() + self._advanced

    async def _get_state(self, request: Request) -> Response:
        query, system = request.query_params, request.path_params.get("system")
        try:
            if "contacts" in query:
                return _lines(self.contacts(query["contacts"]))
            for name in ("rows", "refused", "swallowed"):
                if name in query:
                    return _lines(iter(getattr(self, name)(system)))
            if system is not None or len(self.services) == 1:
                return JSONResponse(self.state(system))
            return JSONResponse({each: self.state(each) for each in self.services})
        except KeyError:
            return PlainTextResponse("there is no such campaign or system", status_code=404)

    async def _post_control(self, request: Request) -> Response:
        try:
            changes = await request.json()
            if not isinstance(changes, dict):
                raise ValueError("the body must be a JSON object")
            if changes.get("outage") == "refuse":
                raise ValueError("over HTTP this could not be taken back; use the context manager")
            return JSONResponse(await self.control(changes, request.path_params.get("system")))
        except KeyError:
            return PlainTextResponse("there is no such system", status_code=404)
        except (ValueError, TypeError) as error:
            return PlainTextResponse(str(error), status_code=400)


def _lines(rows: Iterator[dict[str, Any]]) -> Response:
    """Rows as lines of JSON, in chunks."""

    def chunks() -> Iterator[str]:
        pieces: list[str] = []
        for row in rows:
            pieces.append(json.dumps(row, ensure_ascii=False))
            if len(pieces) == 500:
                yield "\n".join(pieces) + "\n"
                pieces = []
        if pieces:
            yield "\n".join(pieces) + "\n"

    async def stream() -> AsyncIterator[str]:
        for chunk in chunks():
            yield chunk

    return StreamingResponse(stream(), media_type="application/x-ndjson")
