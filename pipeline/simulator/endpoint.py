"""The SOAP endpoint: one HTTP request becomes one call, and whatever fault it meets."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import anyio.lowlevel
from starlette.types import Receive, Scope, Send

from pipeline.simulator.contract import OPERATIONS, Contract
from pipeline.simulator.reader import Call, RequestReader, UnreadableRequestError, action_of
from pipeline.simulator.service import Service
from pipeline.simulator.settings import Fault
from pipeline.simulator.writer import AnswerWriter, FaultName

TRANSPORT = "simulator.transport"
"""Key of the connection's transport in the state of a request. The server puts it there; in memory there is none."""

_MEDIA_TYPES = {"text/xml": "1.1", "application/soap+xml": "1.2"}
_HTML = b"<!DOCTYPE html><html><head><title>Gateway</title></head><body><h1>Something went wrong</h1></body></html>"
_TEXTS: dict[str, str] = {
    "ActionNotSupported": "The message with Action '%s' cannot be processed at the receiver, due to a ContractFilter "
    "mismatch at the EndpointDispatcher.",
    "DeserializationFailed": "The formatter threw an exception while trying to deserialize the message: %s.",
    "InternalServiceFault": "The server was unable to process the request due to an internal error.%s",
}
_ASMX_TEXTS: dict[str, str] = {
    "ActionNotSupported": "Server did not recognize the value of HTTP Header SOAPAction: %s.",
    "DeserializationFailed": "Server was unable to read request. ---> There is an error in XML document. ---> %s.",
    "InternalServiceFault": "Server was unable to process request. ---> Object reference not set to an instance of "
    "an object.%s",
}
_OVERRUN = 65_536  # bytes beyond the limit that are read all the same, so that the client gets to see the answer


class SoapEndpoint:
    """Answers POST requests. `writer` may be replaced while it runs; `sleep` waits for the latency."""

    def __init__(
        self,
        service: Service,
        contract: Contract,
        reader: RequestReader,
        writer: AnswerWriter,
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self.writer = writer
        self._service = service
        self._reader = reader
        self._sleep = sleep
        self._operations = {action: name for name, action in contract.actions.items()}
        self._texts = _TEXTS if contract.dialect == "wcf" else _ASMX_TEXTS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        headers = dict(scope["headers"])
        version = self._version(headers)
        if version is None:
            await self._reject(send, 415, "Cannot process the message because of its content type.")
            return
        body = await _body(receive, headers, self._service.settings.max_request_bytes)
        if body is None:
            await self._reject(send, 413, "The maximum message size quota for incoming messages is exceeded.")
            return
        action = action_of(headers, version)
        operation = self._operations.get(action or "")
        if operation is None:
            await self._soap_fault(send, "ActionNotSupported", action or "", version)
            return
        fault = self._service.arrive(operation)
        if fault is not None and not fault.stored and not fault.answered and fault.kind != "cut_answer":
            # Nothing of the request was looked at.
            await self._fail(fault, version, scope, receive, send)
            return
        try:
            call = self._reader.read(body, operation)
            if call.soap_version != version:
                raise UnreadableRequestError("the envelope is of another SOAP version than the content type")
        except UnreadableRequestError as error:
            await self._soap_fault(send, "DeserializationFailed", str(error), version)
            return
        await self._call(operation, call, fault, scope, receive, send)

    async def _call(
        self, operation: str, call: Call, fault: Fault | None, scope: Scope, receive: Receive, send: Send
    ) -> None:
        service, arguments, version = self._service, call.arguments, call.soap_version
        session = service.lease(operation, arguments, fault)
        failure = None if fault is None or fault.answered else fault
        if session is not None:
            service.sessions.started(session)
        try:
            if service.settings.latency > 0:
                await self._sleep(service.settings.latency)
            result = service.perform(operation, session, arguments, fault)
            if failure is None and result is not None and OPERATIONS[operation].is_list:
                await self._stream(send, operation, result, version)
                return
        finally:
            # Before the answer goes out: whoever has it may use the session again at once. So may whoever gives up
            # on a call that hangs.
            if session is not None:
                session.in_flight -= 1
        if failure is None:
            answer = self.writer.answer(operation, result, version)
            await _respond(send, 200, self.writer.content_type(version), answer)
        elif failure.kind == "cut_answer":
            await self._cut_answer(operation, result, version, scope, receive, send)
        else:
            await self._fail(failure, version, scope, receive, send)

    def _version(self, headers: dict[bytes, bytes]) -> str | None:
        """The SOAP version of a request by its content type; None if the service does not take it."""
        media_type, *parameters = headers.get(b"content-type", b"").decode("latin-1").lower().split(";")
        version = _MEDIA_TYPES.get(media_type.strip())
        for parameter in parameters:
            name, _, value = parameter.partition("=")
            if name.strip() == "charset" and value.strip().strip('"') not in ("utf-8", "utf8"):
                return None
        return version if version in self._service.settings.soap_versions else None

    async def _reject(self, send: Send, status: int, text: str) -> None:
        self._service.record.rejected[str(status)] += 1
        await _respond(send, status, b"text/plain; charset=utf-8", text.encode())

    async def _soap_fault(self, send: Send, name: FaultName, detail: str, version: str) -> None:
        self._service.record.rejected[name] += 1
        answer = self.writer.fault(name, self._texts[name] % detail, version)
        await _respond(send, 500, self.writer.content_type(version), answer)

    async def _fail(self, fault: Fault, version: str, scope: Scope, receive: Receive, send: Send) -> None:
        """End a request as the fault says."""
        if fault.kind == "unavailable":
            more = [] if fault.retry_after is None else [(b"retry-after", str(fault.retry_after).encode())]
            await _respond(send, 503, b"text/plain; charset=utf-8", b"The service is unavailable.", more)
        elif fault.kind == "fault":
            answer = self.writer.fault("InternalServiceFault", self._texts["InternalServiceFault"] % "", version)
            await _respond(send, fault.status, self.writer.content_type(version), answer)
        elif fault.kind == "html":
            await _respond(send, fault.status, b"text/html; charset=utf-8", _HTML)
        elif fault.kind == "hang":
            await _until_gone(receive)
        else:
            await _cut(scope, receive)

    async def _cut_answer(
        self, operation: str, result: Any, version: str, scope: Scope, receive: Receive, send: Send
    ) -> None:
        answer = self.writer.answer(operation, result, version)
        await send(_start(200, self.writer.content_type(version), len(answer)))
        await send({"type": "http.response.body", "body": answer[: len(answer) // 2], "more_body": True})
        await _cut(scope, receive)

    async def _stream(self, send: Send, operation: str, result: Any, version: str) -> None:
        """Send a list while it is written: it may be longer than memory is large."""
        await send(_start(200, self.writer.content_type(version), None))
        for chunk in self.writer.stream(operation, result, version):
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await anyio.lowlevel.checkpoint()  # other calls go on meanwhile
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _body(receive: Receive, headers: dict[bytes, bytes], limit: int) -> bytes | None:
    """The body of a request; None if it is longer than the limit."""
    body, length = b"", 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        part: bytes = message.get("body", b"")
        length += len(part)
        if length <= limit:
            body = body + part if body else part
        elif length > limit + _OVERRUN:
            return None
        if not message.get("more_body", False):
            return body if length <= limit else None


async def _until_gone(receive: Callable[[], Awaitable[MutableMapping[str, Any]]]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _cut(scope: Scope, receive: Receive) -> None:
    """End the connection of a request, whatever was sent of the answer. Raises ConnectionResetError in memory."""
    transport = scope.get("state", {}).get(TRANSPORT)
    if transport is None:
        raise ConnectionResetError("the simulated service has cut the connection")
    # What was written goes out, then the stream ends: to the client a server that died.
    transport.close()
    await _until_gone(receive)


def _start(
    status: int, content_type: bytes, length: int | None, more: list[tuple[bytes, bytes]] | None = None
) -> dict[str, Any]:
    headers = [(b"content-type", content_type), *(more or [])]
    if length is not None:
        headers.append((b"content-length", str(length).encode()))
    return {"type": "http.response.start", "status": status, "headers": headers}


async def _respond(
    send: Send, status: int, content_type: bytes, body: bytes, more: list[tuple[bytes, bytes]] | None = None
) -> None:
    await send(_start(status, content_type, len(body), more))
    await send({"type": "http.response.body", "body": body, "more_body": False})
