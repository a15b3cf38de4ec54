"""One SOAP call over HTTP: what each status and each fault means for whoever made it."""

from collections.abc import AsyncGenerator, Mapping
from enum import Enum
from typing import NoReturn

import httpx

from pipeline.errors import NoList, NotDelivered, OutcomeUnknown, PipelineError, Refused, TargetUnusable
from pipeline.targets.soap import answers
from pipeline.targets.soap.answers import Element, Presence, SoapFault, Unreadable
from pipeline.targets.soap.contract import Request
from pipeline.targets.soap.listing import ListReader
from pipeline.wire import ANSWER_LIMIT, Answer, Line, exchange, host, retry_after, streamed


class Purpose(Enum):
    """What a call is for decides what its failure means."""

    OPENING = "opening"  # a person is there to mend what is wrong with the configuration
    ASKING = "asking"  # changes nothing: can be asked again
    ROW = "row"  # may have changed something


class AnswerTooLarge(PipelineError):
    """A list is larger than the caller wants to read."""


class Caller:
    """Makes calls to one endpoint. Every method raises NotDelivered, OutcomeUnknown and TargetUnusable; a ROW call also
    Refused. `advice` is what else to try where the target does not read our messages.
    """

    def __init__(self, url: str, *, advice: str = "") -> None:
        self._url = url
        self._advice = advice
        self._host = host(url)
        self._parser = answers.parser()

    async def call(
        self,
        client: httpx.AsyncClient,
        request: Request,
        envelope: bytes,
        purpose: Purpose,
        *,
        limit: int = ANSWER_LIMIT,
    ) -> Element:
        """Make a call; gives the element in the answer's Body."""
        return self.read(await self.post(client, request, envelope, limit=limit), purpose)

    async def post(
        self, client: httpx.AsyncClient, request: Request, envelope: bytes, *, limit: int = ANSWER_LIMIT
    ) -> Answer:
        """Make a call; gives the answer unread."""
        return await exchange(client, self._url, request.headers, envelope, limit=limit)

    def line(self, client: httpx.AsyncClient, request: Request, token: bytes) -> Line:
        """A client's way for many calls of one operation, whose envelopes are cut where `token` goes."""
        return Line(client, self._url, request.headers, token=token)

    def read(self, answer: Answer, purpose: Purpose) -> Element:
        """The element in an answer's Body."""
        if not 200 <= answer.status < 300:
            self._raise_status(answer.status, answer.headers, answer.body, purpose)
        try:
            return answers.envelope_payload(answer.body, self._parser)
        except SoapFault as fault:
            self._raise_fault(fault)
        except Unreadable as error:
            if purpose is Purpose.OPENING and not _looks_like_xml(answer.body):
                raise TargetUnusable(
                    f"{self._host} answers {_kind(answer)}, not SOAP: check target.endpoint."
                ) from None
            raise OutcomeUnknown(str(error)) from None

    async def items(
        self, client: httpx.AsyncClient, request: Request, envelope: bytes, *, limit: int | None
    ) -> AsyncGenerator[Element]:
        """The items of a list, each valid until the next is asked for. Close the iterator where it is not read to its
        end (`contextlib.aclosing`). A null list is OutcomeUnknown, and so is one that breaks off, after its items;
        AnswerTooLarge beyond `limit` bytes.
        """
        reader = ListReader(request.result)
        taken = 0
        async with streamed(client, self._url, request.headers, envelope) as response:
            if not 200 <= response.status_code < 300:
                body = b""
                async for chunk in response.aiter_bytes():
                    body += chunk
                    if len(body) > ANSWER_LIMIT:
                        break
                self._raise_status(response.status_code, response.headers, body, Purpose.ASKING)
            try:
                async for chunk in response.aiter_bytes():
                    taken += len(chunk)
                    if limit is not None and taken > limit:
                        raise AnswerTooLarge(f"the list is larger than {limit:,} bytes")
                    for item in reader.feed(chunk):
                        yield item
                for item in reader.close():
                    yield item
            except SoapFault as fault:
                self._raise_fault(fault)
            except Unreadable as error:
                raise OutcomeUnknown(str(error)) from None
        if reader.presence.null:
            raise NoList(f"{request.operation} answers null, which means an error")

    def _raise_status(self, status: int, headers: Mapping[str, str], body: bytes, purpose: Purpose) -> NoReturn:
        """Raise what an HTTP status other than success means."""
        code = f"HTTP {status}"
        if status in (429, 503):
            raise NotDelivered(f"the target is busy ({code})", retry_after=retry_after(headers))
        if status in (401, 403, 407):
            who = "the proxy" if status == 407 else self._host
            raise TargetUnusable(f"{who} lets us in no further ({code}): check credentials and access rights.")
        if status == 415:
            raise TargetUnusable(self._mismatch(code))
        if status == 400 or status >= 500:
            try:
                answers.envelope_payload(body, self._parser)
            except SoapFault as fault:
                if fault.mismatch or status >= 500:
                    self._raise_fault(fault)
            except Unreadable:
                pass
        if status >= 500:
            raise OutcomeUnknown(f"the target answered {code}")
        if purpose is Purpose.OPENING:
            raise TargetUnusable(f"{self._host} answers {code} to a SOAP call: check target.endpoint.")
        if purpose is Purpose.ROW and status in (400, 413, 422):
            raise Refused(f"the target takes no such message ({code})", code=code)
        raise NotDelivered(f"the target answered {code}")

    def _raise_fault(self, fault: SoapFault) -> NoReturn:
        if fault.mismatch:
            raise TargetUnusable(self._mismatch(f"fault {fault.code}"))
        raise OutcomeUnknown(f"the target answered with a fault ({fault.code})")

    def _mismatch(self, what: str) -> str:
        return (
            f"{self._host} does not read our messages ({what}): the contract is not the target's. Set target.wsdl to "
            f"the service's own WSDL (its address with ?wsdl){self._advice}."
        )


def number(payload: Element, request: Request) -> int:
    """The result code of an operation that answers one. Raises OutcomeUnknown."""
    try:
        value = answers.integer(answers.result(payload, request.result))
    except Unreadable as error:
        raise OutcomeUnknown(str(error)) from None
    if value is None:
        raise OutcomeUnknown("the answer holds no result code")
    return value


def presence(payload: Element, request: Request) -> Presence:
    """What stands where the result should be. Raises OutcomeUnknown."""
    try:
        return answers.presence(answers.result(payload, request.result))
    except Unreadable as error:
        raise OutcomeUnknown(str(error)) from None


def _looks_like_xml(body: bytes) -> bool:
    start = body[:512].lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n").replace(b"\0", b"").lower()
    return start.startswith(b"<") and not start.startswith((b"<!doctype", b"<html"))


def _kind(answer: Answer) -> str:
    if b"<html" in answer.body[:1024].lower() or "html" in answer.headers.get("content-type", ""):
        return "HTML"
    return "something else" if answer.body.strip() else "nothing"
