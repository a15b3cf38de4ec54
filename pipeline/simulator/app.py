"""The simulator as an ASGI application: the SOAP endpoint, ?wsdl, /state and /control."""

import html
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import replace
from random import Random
from typing import Any, Protocol

import anyio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from pipeline.simulator.contract import Contract, contract_of
from pipeline.simulator.endpoint import SoapEndpoint
from pipeline.simulator.reader import RequestReader, guid
from pipeline.simulator.service import Service
from pipeline.simulator.settings import OUTAGES, RUNTIME_SETTINGS, Fault, FaultKind, OncSettings
from pipeline.simulator.writer import AnswerWriter
from pipeline.simulator.wsdl import WsdlWriter

_OUTAGE_KINDS: dict[str, FaultKind] = {"503": "unavailable", "hang": "hang", "cut": "cut"}


class Listener(Protocol):
    """What listens for the simulator, where a server does."""

    async def set_listening(self, listening: bool) -> None:
        """Refuse connections, or take them again."""


class Simulator:
    """An ONC service that lives in this process. An instance is an ASGI application.

    `clock` gives seconds and decides on everything but `latency`, which `sleep` waits for; `random` makes ids."""

    def __init__(
        self,
        settings: OncSettings | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        random: Random | None = None,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        settings = settings or OncSettings()
        self.contract: Contract = contract_of(settings)
        self.listener: Listener | None = None
        self._clock = clock
        self._advanced = 0.0
        self._outage: str | None = None
        # Ids need not be secret, only new: they may be foretold by whoever gives a seeded Random.
        self._service = Service(settings, self._now, random or Random())  # noqa: S311
        self._reader = RequestReader(self.contract, tolerant=settings.lenient, drop=settings.drop_members)
        self._endpoint = SoapEndpoint(
            self._service, self.contract, self._reader, _writer(self.contract, settings), sleep
        )
        self._wsdl = WsdlWriter(settings, self.contract)
        self._app = Starlette(
            routes=[
                Route("/", self._page),
                Route("/state", self._get_state),
                Route("/control", self._post_control, methods=["POST"]),
                Route(settings.path, self._service_page),
            ]
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request. Calls of the service skip the router: they are many."""
        if scope["type"] == "http" and scope["method"] == "POST" and scope["path"] == self.settings.path:
            await self._endpoint(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    @property
    def settings(self) -> OncSettings:
        """The settings as they are now."""
        return self._service.settings

    def wsdl(self, address: str) -> bytes:
        """The WSDL of the service at an address."""
        return self._wsdl.wsdl(address)

    def state(self) -> dict[str, Any]:
        """Everything counted so far, ready for JSON."""
        service = self._service
        record, sessions, store = service.record, service.sessions, service.store
        store.settle()
        open_now = sessions.count(service.settings.idle_limit)
        return {
            "sessions": {
                "logins": record.calls["OpenAPISession"],
                "opened": sessions.opened,
                "closed": sessions.closed,
                "expired": sessions.expired,
                "refused": record.refused_openings,
                "open": open_now,
                "max_concurrent_calls": sessions.max_in_flight,
            },
            "calls": dict(record.calls),
            "adds": {
                "received": record.calls["AddCampaignContact"],
                "stored": record.stored,
                "accepted": record.codes[0],
                "refused": record.codes.total() - record.codes[0],
                "swallowed": len(record.swallowed),
                "duplicates": record.duplicates,
                "late": store.late,
                "by_code": {str(code): count for code, count in sorted(record.codes.items())},
            },
            "bad_session": record.bad_session,
            "faults": dict(record.faults),
            "unavailable": record.faults["unavailable"],
            "rejected": dict(record.rejected),
            "skipped_members": dict(self._reader.skipped),
            "outage": self._outage,
            "campaigns": {
                key: {"name": campaign.info.name, "contacts": campaign.size}
                for key, campaign in store.campaigns.items()
            },
        }

    def contacts(self, campaign_id: str) -> Iterator[dict[str, Any]]:
        """The contacts that a campaign holds, shown in lists or not. Raises KeyError if there is no such campaign."""
        campaign = self._service.store.campaign(guid(campaign_id) or campaign_id)
        if campaign is None:
            raise KeyError(campaign_id)
        return (
            {
                "id": contact.id,
                **{
                    name: None if channel is None else channel._asdict()
                    for name, channel in (("sms", contact.sms), ("voice", contact.voice), ("email", contact.email))
                },
            }
            for contact in campaign.contacts()
        )

    def refused(self) -> list[dict[str, Any]]:
        """Each AddCampaignContact that was answered with another code than 0."""
        return [each._asdict() for each in self._service.record.refused]

    def swallowed(self) -> list[dict[str, Any]]:
        """Each AddCampaignContact that was stored while its result was never told."""
        return [each._asdict() for each in self._service.record.swallowed]

    async def control(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Change what happens from now on. Keys: `outage` ("503", "hang", "cut", "refuse" or None) with `stored`
        (calls take effect all the same), `expire_sessions` (true), `advance` (seconds the clock jumps ahead) and the
        settings in RUNTIME_SETTINGS. Raises ValueError, and then nothing was changed."""
        unknown = set(changes) - set(RUNTIME_SETTINGS) - {"outage", "stored", "expire_sessions", "advance"}
        if unknown:
            raise ValueError(f"unknown: {', '.join(sorted(unknown))}")
        outage = changes.get("outage")
        if outage is not None and outage not in OUTAGES:
            raise ValueError(f"outage is one of {', '.join(OUTAGES)} or null")
        if outage == "refuse" and self.listener is None:
            raise ValueError("only a server that listens can refuse connections")
        advance = float(changes.get("advance", 0))
        values = {name: read(changes[name]) for name, read in RUNTIME_SETTINGS.items() if name in changes}
        settings = replace(self.settings, **values)
        self._service.configure(settings)
        self._endpoint.writer = _writer(self.contract, settings)
        self._advanced += advance
        if changes.get("expire_sessions"):
            self._service.sessions.expire_all()
        if "outage" in changes:
            await self._set_outage(outage, bool(changes.get("stored")))
        return {"outage": self._outage, "changed": sorted(changes)}

    async def _set_outage(self, outage: str | None, stored: bool) -> None:
        kind = _OUTAGE_KINDS.get(outage or "")
        self._service.outage = None if kind is None else Fault(kind, operation="*", stored=stored)
        if self.listener is not None and (outage == "refuse") != (self._outage == "refuse"):
            await self.listener.set_listening(outage != "refuse")
        self._outage = outage

    def _now(self) -> float:
        return self._clock() + self._advanced

    async def _page(self, request: Request) -> Response:
        path = html.escape(self.settings.path)
        return HTMLResponse(
            f"<!DOCTYPE html><html><head><title>{html.escape(self.settings.service)}</title></head><body>"
            f'<h1>Simulated ONC service</h1><ul><li><a href="{path}?wsdl">{path}?wsdl</a></li>'
            f'<li><a href="/state">/state</a></li><li>/control (POST)</li></ul></body></html>'
        )

    async def _service_page(self, request: Request) -> Response:
        query = {name.lower(): value for name, value in request.query_params.items()}
        address = str(request.url.replace(query=""))
        if "wsdl" in query or "singlewsdl" in query:
            return Response(self.wsdl(address), media_type="text/xml")
        if "xsd" in query:
            schema = self._wsdl.schema(query["xsd"], address) if self.settings.split_wsdl else None
            return Response(schema, media_type="text/xml") if schema else Response(status_code=404)
        return await self._page(request)

    async def _get_state(self, request: Request) -> Response:
        query = request.query_params
        try:
            if "contacts" in query:
                return _lines(self.contacts(query["contacts"]))
        except KeyError:
            return PlainTextResponse("there is no such campaign", status_code=404)
        if "refused" in query:
            return _lines(iter(self.refused()))
        if "swallowed" in query:
            return _lines(iter(self.swallowed()))
        return JSONResponse(self.state())

    async def _post_control(self, request: Request) -> Response:
        try:
            changes = await request.json()
            if not isinstance(changes, dict):
                raise ValueError("the body must be a JSON object")
            if changes.get("outage") == "refuse":
                raise ValueError("over HTTP this could not be taken back; use the context manager")
            return JSONResponse(await self.control(changes))
        except (ValueError, TypeError) as error:
            return PlainTextResponse(str(error), status_code=400)


def _writer(contract: Contract, settings: OncSettings) -> AnswerWriter:
    nil = contract.dialect == "wcf" if settings.null_style == "dialect" else settings.null_style == "nil"
    return AnswerWriter(contract, nil=nil, foreign=settings.foreign_namespace)


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
