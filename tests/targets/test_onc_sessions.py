"""Sessions and questions: opened, proven, closed; what is said where it cannot be, and what is never said."""

import ssl
from contextlib import aclosing
from pathlib import Path
from typing import Any

import anyio
import httpx
import polars as pl
import pytest
from targets.onc_kit import (
    CAMPAIGN,
    CAMPAIGNS,
    CLOSED,
    OPENED,
    PASSWORD,
    answering,
    fault,
    null,
    onc,
    operation_of,
    result,
    soap,
)

from pipeline.errors import (
    ConfigError,
    NotDelivered,
    OpeningRefused,
    OutcomeUnknown,
    PipelineError,
    PutOff,
    Refused,
    SessionExpired,
    TargetUnusable,
)
from pipeline.stages.canary import Held, HeldChannel, ReadBackTooLarge
from pipeline.targets.onc.client import OncSession
from pipeline.targets.onc.target import OncTarget

pytestmark = pytest.mark.anyio


async def opened(*answers: Any, **given: Any) -> tuple[OncTarget, OncSession]:
    """A target with an open session; what comes after the opening is answered with `answers`."""
    target = onc(answering(OPENED, *answers), **given)
    return target, await target.open()


async def test_opening_tells_who_we_are_and_keeps_the_session_to_itself() -> None:
    seen: list[bytes] = []

    def answer(request: httpx.Request) -> str:
        seen.append(request.content)
        return OPENED.replace("S-1", " &lt;S&amp;1&gt;\n")

    target = onc(answering(answer), password="p<&>w", account_id="ä")
    handle = await target.open()
    assert b"<n0:accountId>\xc3\xa4</n0:accountId><n0:username>importer</n0:username>" in seen[0]
    assert b"<n0:password>p&lt;&amp;&gt;w</n0:password>" in seen[0]
    assert handle.token == b"&lt;S&amp;1&gt;"
    assert repr(handle) == str(handle) == "OncSession()"
    await handle.client.aclose()


async def test_secrets_are_read_anew_at_each_opening(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("one")
    seen: list[bytes] = []

    def answer(request: httpx.Request) -> str:
        seen.append(request.content)
        return OPENED

    target = onc(answering(answer), password={"file": str(secret)})
    await (await target.open()).client.aclose()
    secret.write_text("two")
    await (await target.open()).client.aclose()
    assert b"password>one<" in seen[0]
    assert b"password>two<" in seen[1]
    secret.unlink()
    with pytest.raises(ConfigError, match=r"target\.password: cannot read"):
        await target.open()
    secret.write_text("a\x01b")
    with pytest.raises(ConfigError, match=r"target\.password: holds a character that XML cannot carry"):
        await target.open()


OPEN = "OpenAPISession"


@pytest.mark.parametrize(
    ("answer", "kind", "message"),
    [
        (result(OPEN, "<ErrorCode>0</ErrorCode>"), TargetUnusable, "success without a session id"),
        (result(OPEN, "<ErrorCode>0</ErrorCode><SessionId> </SessionId>"), TargetUnusable, "without a session id"),
        (null(OPEN), OutcomeUnknown, "answers null"),
        (soap("<OpenAPISessionResponse/>"), OutcomeUnknown, "answers null"),
        (result(OPEN, "<ErrorCode>many</ErrorCode>"), OutcomeUnknown, "no number"),
        (
            httpx.Response(200, html="<!DOCTYPE html><html></html>"),
            TargetUnusable,
            "answers HTML, not SOAP: check target",
        ),
        (httpx.Response(200, json={"ok": True}), TargetUnusable, "answers something else, not SOAP"),
        (b"", TargetUnusable, "answers nothing, not SOAP"),
        (OPENED[:-5], OutcomeUnknown, "the answer is not XML"),
        (
            httpx.Response(302, headers={"Location": "/login"}),
            TargetUnusable,
            "answers HTTP 302 to a SOAP call: check t",
        ),
        (httpx.Response(400), TargetUnusable, "HTTP 400"),
        (
            httpx.Response(401),
            TargetUnusable,
            r"onc\.example\.com lets us in no further \(HTTP 401\): check credentials",
        ),
        (httpx.Response(403), TargetUnusable, "HTTP 403"),
        (httpx.Response(407), TargetUnusable, "the proxy lets us in no further"),
        (httpx.Response(404), TargetUnusable, r"onc\.example\.com answers HTTP 404 to a SOAP call: check target\.endp"),
        (httpx.Response(405), TargetUnusable, "HTTP 405"),
        (
            httpx.Response(415),
            TargetUnusable,
            r"does not read our messages \(HTTP 415\).*Set target\.wsdl to the servi",
        ),
        (httpx.Response(429), NotDelivered, "busy"),
        (httpx.Response(500), OutcomeUnknown, "HTTP 500"),
        (httpx.Response(502, html="<html></html>"), OutcomeUnknown, "HTTP 502"),
        (httpx.Response(503), NotDelivered, "busy"),
        (fault("a:ActionNotSupported"), TargetUnusable, r"fault ActionNotSupported.*or try the other target\.dialect"),
        (fault("a:DeserializationFailed", status=200), TargetUnusable, "fault DeserializationFailed"),
        (fault("s:VersionMismatch", status=400), TargetUnusable, "fault VersionMismatch"),
        (fault("a:InternalServiceFault"), OutcomeUnknown, r"fault \(InternalServiceFault\)"),
        (httpx.ConnectError("[Errno 111] refused"), NotDelivered, r"no connection to onc\.example\.com"),
        (httpx.ReadTimeout("x"), OutcomeUnknown, "no answer in time"),
    ],
)
async def test_what_is_said_of_a_session_that_does_not_open(
    answer: Any, kind: type[PipelineError], message: str
) -> None:
    with pytest.raises(kind, match=message) as caught:
        await onc(answering(answer)).open()
    assert PASSWORD not in str(caught.value)


async def test_tls_failure() -> None:
    error = httpx.ConnectError("failed")
    cause = ssl.SSLCertVerificationError(1, "certificate verify failed")
    cause.verify_message = "self-signed certificate"
    error.__cause__ = cause
    with pytest.raises(TargetUnusable, match=r"TLS to onc\.example\.com failed: self-signed certificate\."):
        await onc(answering(error)).open()


@pytest.mark.parametrize(
    ("description", "reason"),
    [
        ("The credentials are not valid.", "code 17: The credentials are not valid."),
        ("", "code 17"),
        (f"User IMPORTER with {PASSWORD.upper()} is unknown", "code 17: User *** with *** is unknown"),
        ("account acme is locked", "code 17: account *** is locked"),
        ("line\n  one\x85&#13;<![CDATA[<b>]]>", "code 17: line one b"),
        ("x" * 500, "code 17: " + "x" * 200),
    ],
)
async def test_a_refused_opening_says_what_the_target_said_but_no_secret(description: str, reason: str) -> None:
    refused = result(OPEN, f"<ErrorCode>17</ErrorCode><Description>{description}</Description>")
    with pytest.raises(OpeningRefused) as caught:
        await onc(answering(refused)).open()
    assert (caught.value.reason, caught.value.code) == (reason, "17")


async def test_a_failed_opening_closes_its_connection() -> None:
    made: list[httpx.AsyncClient] = []
    clients = answering(httpx.Response(500))

    def make() -> httpx.AsyncClient:
        made.append(clients())
        return made[-1]

    with pytest.raises(OutcomeUnknown):
        await onc(make).open()
    assert made[0].is_closed


async def test_proving() -> None:
    target, handle = await opened(
        CAMPAIGNS,
        result("GetCampaignListing", ""),
        result("GetCampaign", f"<ID>{CAMPAIGN}</ID>"),
        result("GetCampaignListing", ""),
        null("GetCampaign"),
        null("GetCampaignListing"),
        soap("<GetCampaignListingResponse/>"),
        httpx.Response(404),
        httpx.Response(400),
        fault("a:InternalServiceFault"),
        result("GetCampaignListing", "text"),
        httpx.Response(401),
    )
    assert [await target.prove(handle) for _ in range(5)] == [True, True, False, False, False]
    for kind in (NotDelivered, NotDelivered, OutcomeUnknown, OutcomeUnknown, TargetUnusable):
        with pytest.raises(kind):
            await target.prove(handle)
    await handle.client.aclose()


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (CLOSED, None),
        (result("CloseAPISession", ""), None),
        (result("CloseAPISession", "<ErrorCode>9</ErrorCode>"), Refused),
        (httpx.Response(503), NotDelivered),
        (httpx.ReadTimeout("x"), OutcomeUnknown),
    ],
)
async def test_closing_gives_the_connection_back_whatever_happens(answer: Any, kind: type[Exception] | None) -> None:
    target, handle = await opened(answer)
    if kind is None:
        await target.close(handle)
    else:
        with pytest.raises(kind):
            await target.close(handle)
    assert handle.client.is_closed


async def test_closing_gives_the_connection_back_when_cancelled() -> None:
    asked = anyio.Event()

    async def hang(request: httpx.Request) -> httpx.Response:
        if operation_of(request) == "CloseAPISession":
            asked.set()
            await anyio.sleep_forever()
        return httpx.Response(200, content=OPENED.encode())

    target = onc(lambda: httpx.AsyncClient(transport=httpx.MockTransport(hang)))
    handle = await target.open()
    async with anyio.create_task_group() as group:
        group.start_soon(target.close, handle)
        await asked.wait()
        group.cancel_scope.cancel()
    assert handle.client.is_closed


async def test_preparing() -> None:
    there = result("GetCampaign", f"<ID>{CAMPAIGN}</ID>")
    target, handle = await opened(there)
    await target.rows.prepare(handle)
    # Some servers write null as an empty element.
    target, handle = await opened(result("GetCampaign", ""), CAMPAIGNS)
    with pytest.raises(TargetUnusable, match="is not known to the target"):
        await target.rows.prepare(handle)
    target, handle = await opened(null("GetCampaign"), CAMPAIGNS)
    with pytest.raises(TargetUnusable, match=f"campaign {CAMPAIGN} is not known to the target: set target.campaign_id"):
        await target.rows.prepare(handle)
    target, handle = await opened(null("GetCampaign"), null("GetCampaignListing"))
    with pytest.raises(TargetUnusable, match="may lack the right"):
        await target.rows.prepare(handle)


# --- what the target holds ------------------------------------------------------------------------------------

LISTING = "GetCampaignContactsListing"
CONTACTS = "GetCampaignContacts"
ID = "AAAAAAAA-1111-4111-8111-111111111111"


async def ids(*answers: Any) -> list[str]:
    target, handle = await opened(*answers)
    async with aclosing(target.lookup.contact_ids(handle)) as stream:
        return [contact_id async for contact_id in stream]


async def test_contact_ids() -> None:
    assert await ids(result(LISTING, f"<guid>{{{ID}}}</guid><guid> {ID.lower()} </guid>")) == [ID.lower()] * 2
    assert await ids(result(LISTING, ""), CAMPAIGNS) == []
    with pytest.raises(OutcomeUnknown):  # some servers write null as an empty element
        await ids(result(LISTING, ""), null("GetCampaignListing"))


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (null(LISTING), OutcomeUnknown),
        (soap(f"<{LISTING}Response/>"), OutcomeUnknown),
        (result(LISTING, f"<guid>{ID}</guid>")[:-9], OutcomeUnknown),
        (result(LISTING, "<guid>x</guid>"), OutcomeUnknown),
        (result(LISTING, '<guid i:nil="true"/>'), OutcomeUnknown),
        (b"<html/>", OutcomeUnknown),
        (fault("a:InternalServiceFault"), OutcomeUnknown),
        (fault("a:InternalServiceFault", status=200), OutcomeUnknown),
        (fault("a:ActionNotSupported", status=200), TargetUnusable),
        (httpx.Response(503), NotDelivered),
        (httpx.Response(500, content=b"x" * 3_000_000), OutcomeUnknown),
        (httpx.Response(404), NotDelivered),
    ],
)
async def test_a_list_that_is_no_list_is_never_empty(answer: Any, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        await ids(answer)


HELD = f"""
<a:OutboundNotificationContactInfo xmlns:a="urn:strange">
  <a:VoiceCommInfo i:nil="true"/>
  <a:New>1</a:New>
  <a:EmailCommInfo>
    <a:StatusCode>0</a:StatusCode><a:RetryCount>2</a:RetryCount><a:Destination/>
  </a:EmailCommInfo>
  <a:Id>{{{ID}}}</a:Id>
  <a:SMSCommInfo>
    <a:Destination>+1 (514) 555-0123</a:Destination><a:RetryCount> 3 </a:RetryCount><a:StatusCode>1</a:StatusCode>
    <a:TextToSendOverwrite>Hi &amp; bye</a:TextToSendOverwrite>
  </a:SMSCommInfo>
</a:OutboundNotificationContactInfo>
<x><SMSCommInfo><Destination>1</Destination><StatusCode>5</StatusCode></SMSCommInfo><VoiceCommInfo/></x>"""


async def held(answer: Any, limit: int = 1_000_000) -> list[Held]:
    target, handle = await opened(answer)
    return [each async for each in target.lookup.read_back(handle, limit=limit)]


async def test_reading_back() -> None:
    assert await held(result(CONTACTS, HELD)) == [
        Held(
            contact_id=ID.lower(),
            channels={
                "sms": HeldChannel("+1 (514) 555-0123", "Hi & bye", 3, tries=True, untouched=True),
                "email": HeldChannel("", None, 2, tries=False, untouched=False),
            },
        ),
        Held(
            contact_id=None,
            channels={
                "sms": HeldChannel("1", None, None, tries=True, untouched=False),
                "voice": HeldChannel(None, None, None, tries=True, untouched=False),
            },
        ),
    ]
    assert await held(result(CONTACTS, "")) == []


async def test_reading_back_stops_at_its_limit() -> None:
    answer = result(CONTACTS, HELD)
    assert len(await held(answer, limit=len(answer))) == 2
    with pytest.raises(ReadBackTooLarge, match="larger than"):
        await held(answer, limit=len(answer) - 1)


@pytest.mark.parametrize(
    "answer",
    [
        null(CONTACTS),
        result(CONTACTS, "<x><Id>none</Id></x>"),
        result(CONTACTS, "<x><SMSCommInfo><StatusCode>a</StatusCode></SMSCommInfo></x>"),
    ],
)
async def test_what_cannot_be_read_back(answer: str) -> None:
    with pytest.raises(OutcomeUnknown):
        await held(answer)


@pytest.mark.parametrize(
    ("answer", "raised"),
    [
        (result("DeleteCampaignContact", "0"), None),
        (result("DeleteCampaignContact", "3"), Refused),
        (result("DeleteCampaignContact", "2"), PutOff),
        (result("DeleteCampaignContact", "1"), SessionExpired),
        (null("DeleteCampaignContact"), OutcomeUnknown),
        (httpx.Response(503), NotDelivered),
        (httpx.Response(413), Refused),
        (httpx.ReadTimeout("x"), OutcomeUnknown),
    ],
)
async def test_taking_back(answer: Any, raised: type[Exception] | None) -> None:
    seen: list[bytes] = []

    def look(request: httpx.Request) -> Any:
        seen.append(request.content)
        return answer

    target, handle = await opened(look, codes={"session": [1], "transient": [2], "duplicate": [3]})
    handle.trusted = True
    [body] = target.lookup.encode_removal(pl.Series([ID.lower()]))
    if raised is None:
        assert await target.lookup.remove(handle, body) == "0"
    else:
        with pytest.raises(raised):
            await target.lookup.remove(handle, body)
    assert b"contactId>" + ID.lower().encode() in seen[0]
    assert b"campaignId>" + CAMPAIGN.encode() in seen[0]
    assert b"sessionId>S-1<" in seen[0]


async def test_a_password_that_changed_meanwhile_is_tried_before_no_counts(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("old")
    asked: list[bytes] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.content)
        if b"old" in request.content:
            secret.write_text("new")
            return httpx.Response(200, content=result("OpenAPISession", "<ErrorCode>5</ErrorCode>").encode())
        return httpx.Response(200, content=OPENED.encode())

    target = onc(lambda: httpx.AsyncClient(transport=httpx.MockTransport(answer)), password={"file": str(secret)})
    handle = await target.open()
    await handle.client.aclose()
    assert len(asked) == 2
