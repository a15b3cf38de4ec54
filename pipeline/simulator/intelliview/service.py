"""Intelliview NXT over HTTP: one POST opens or closes a session; a GET shows the WSDL."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.simulator.exchange import Answer, Exchange, page, plain
from pipeline.simulator.intelliview import messages
from pipeline.simulator.intelliview.contract import OPERATIONS, actions, read_call, wsdl
from pipeline.simulator.intelliview.messages import Message
from pipeline.simulator.intelliview.settings import IntelliviewSettings
from pipeline.simulator.service import Service, Surroundings
from pipeline.simulator.sessions import Session
from pipeline.simulator.settings import Fault
from pipeline.simulator.soap import (
    ASMX_TEXTS,
    CONTENT_TYPES,
    ENVELOPE_OF,
    FaultName,
    UnreadableRequestError,
    action_of,
    escape,
    escape_attribute,
    fault_envelope,
    opened,
    secure_parser,
    version_of,
)

NEW_COMPANY = "NEW"
"""CompanyShortName of whoever is about to create a company. There is no id of it yet: 0 is told."""

_SOAP = "1.1"


class IntelliviewService(Service[IntelliviewSettings]):
    """Intelliview NXT. It has no operation for rows."""

    system = "intelliview"
    title = "Simulated Intelliview NXT"
    operations = frozenset(OPERATIONS)
    opening = "ivnInitializeSession"
    row_call = ""

    def __init__(self, settings: IntelliviewSettings, surroundings: Surroundings) -> None:
        super().__init__(settings, surroundings)
        self._parser = secure_parser()
        self._names = actions(settings.namespace)
        self._companies: dict[str, int] = {}  # session -> CompanyID that it was told
        self.configure(settings)

    @property
    def address(self) -> str:
        """The path of the service."""
        return self.settings.path

    @property
    def paths(self) -> frozenset[str]:
        """The path of the service."""
        return frozenset({self.settings.path})

    @property
    def links(self) -> tuple[str, ...]:
        """The WSDL."""
        return (f"{self.settings.path}?wsdl",)

    def introduction(self, origin: str) -> tuple[str, ...]:
        """Address; company, user and password."""
        settings = self.settings
        return (
            f"--set target.endpoint={origin}{self.address}",
            f'company "{settings.company}", user "{settings.username}", password "{settings.password}"',
        )

    def rows(self) -> Iterator[dict[str, Any]]:
        """Nothing: it takes no rows."""
        return iter(())

    def wsdl(self, address: str) -> bytes:
        """The WSDL of the service at an address."""
        return wsdl(self.settings, address)

    async def answer(self, exchange: Exchange) -> None:
        """Answer one request."""
        if exchange.method != "POST":
            shown = exchange.query.lower().partition("&")[0] in ("wsdl", "singlewsdl")
            document = Answer(CONTENT_TYPES[_SOAP], self.wsdl(exchange.address)) if shown else None
            await exchange.send(document or page(self.title, self.links))
            return
        if version_of(exchange.headers) != _SOAP:
            await self.reject(exchange, plain(415, "Cannot process the message because of its content type."))
            return
        body = await exchange.body(self.settings.max_request_bytes)
        if body is None:
            await self.reject(exchange, plain(413, "Maximum request length exceeded."))
            return
        action = action_of(exchange.headers, _SOAP)
        operation = self._names.get(action or "")
        if operation is None:
            await self._soap_fault(exchange, "ActionNotSupported", action or "")
            return
        fault = self.arrive(operation)
        if fault is not None and fault.unseen:
            await self.fail(exchange, fault)
            return
        try:
            version, wrapper = opened(body, self._parser)
            if version != _SOAP:
                raise UnreadableRequestError("the envelope is of another SOAP version than the content type")
            arguments = read_call(wrapper, operation, self.settings.namespace)
        except UnreadableRequestError as error:
            await self._soap_fault(exchange, "DeserializationFailed", str(error))
            return
        await self._call(exchange, operation, arguments, fault)

    def unclassified(self, exchange: Exchange, status: int) -> Answer:
        """A fault that blames the server."""
        name: FaultName = "InternalServiceFault"
        return Answer(CONTENT_TYPES[_SOAP], fault_envelope(name, ASMX_TEXTS[name] % "", _SOAP), status)

    async def _call(
        self, exchange: Exchange, operation: str, arguments: Mapping[str, Any], fault: Fault | None
    ) -> None:
        session = None if operation == self.opening else self.use(arguments["SessionToken"], fault)

        def effect(unanswered: str) -> Answer:
            if fault is not None and fault.kind == "busy":
                self.record.refused_openings += operation == self.opening
                text = self._error(messages.EXCEPTION)
            elif operation == self.opening:
                text = self._open(arguments)
            else:
                text = self._close(session, arguments)
            return self._envelope(operation, messages.distorted(text, self.settings.quirks))

        await self.carry_out(exchange, fault, session, effect)

    def _open(self, arguments: Mapping[str, Any]) -> str:
        message = self._refusal(arguments)
        if message is not None:
            self.record.refused_openings += 1
            return self._error(message)
        minutes: int = arguments["Timeout"]
        token = self.sessions.open(min(minutes * 60 if minutes > 0 else math.inf, self.settings.idle_limit))
        company = 0 if arguments["CompanyShortName"] == NEW_COMPANY else self.settings.company_id
        self._companies[token] = company
        return messages.success(messages.OPENED, self.settings.version, token, company)

    def _refusal(self, arguments: Mapping[str, Any]) -> Message | None:
        """Why no session is opened."""
        settings = self.settings
        if arguments["CompanyShortName"] not in (settings.company, NEW_COMPANY):
            return messages.COMPANY
        if arguments["AuthType"] not in settings.auth_types:
            return messages.AUTH_TYPE
        if arguments["ApplicationType"] not in settings.application_types:
            return messages.APPLICATION_TYPE
        if not self._known(arguments):
            return messages.CREDENTIALS
        return messages.EXCEPTION if self.full() else None

    def _close(self, session: Session | None, arguments: Mapping[str, Any]) -> str:
        if not self._known(arguments):
            return self._error(messages.CREDENTIALS)
        if session is None:
            self.record.bad_session += 1
            gone = messages.NOT_INITIALIZED if self.settings.lost_session == 7507 else messages.NOT_VALID
            return self._error(gone)
        if arguments["CompanyID"] != self._companies[session.id] or not self.sessions.close(session):
            self.record.bad_session += 1
            return self._error(messages.NOT_VALID)
        return messages.success(Message(self.settings.close_id, self.settings.close_message), self.settings.version)

    def _known(self, arguments: Mapping[str, Any]) -> bool:
        """Whether the credentials are good."""
        given = (arguments["UserName"], arguments["Password"])
        return given == (self.settings.username, self.settings.password)

    def _error(self, message: Message) -> str:
        if message is messages.EXCEPTION:
            message = message._replace(id=self.settings.exception_id)
        return messages.error(message, self.settings.version)

    def _envelope(self, operation: str, text: str) -> Answer:
        if self.settings.declared:
            text = '<?xml version="1.0" encoding="utf-8"?>\n' + text
        inner = escape(text) if self.settings.result_form == "escaped" else f"<![CDATA[{text}]]>"
        namespace = escape_attribute(self.settings.namespace)
        whole = (
            f'<?xml version="1.0" encoding="utf-8"?><soap:Envelope xmlns:soap="{ENVELOPE_OF[_SOAP]}"><soap:Body>'
            f'<{operation}Response xmlns="{namespace}"><{operation}Result>{inner}</{operation}Result>'
            f"</{operation}Response></soap:Body></soap:Envelope>"
        )
        return Answer(CONTENT_TYPES[_SOAP], whole.encode())

    async def _soap_fault(self, exchange: Exchange, name: FaultName, detail: str) -> None:
        self.record.rejected[name] += 1
        await exchange.send(Answer(CONTENT_TYPES[_SOAP], fault_envelope(name, ASMX_TEXTS[name] % detail, _SOAP), 500))
