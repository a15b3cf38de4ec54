"""Row calls: what each code, status and fault means for the row, and what is asked before it is settled."""

from collections import Counter
from typing import Any

import httpx
import pytest
from targets.onc_kit import (
    CAMPAIGN,
    CAMPAIGNS,
    OPENED,
    added,
    answering,
    contacts,
    fault,
    null,
    onc,
    operation_of,
    result,
    soap,
)

from pipeline.errors import (
    AlreadyThere,
    NotDelivered,
    OutcomeUnknown,
    PipelineError,
    PutOff,
    Refused,
    RowError,
    SessionExpired,
    TargetUnusable,
)
from pipeline.targets.onc.client import OncSession
from pipeline.targets.onc.target import OncTarget

pytestmark = pytest.mark.anyio

DESTINATION = "+15145550123"
BODY = onc().rows.encode(contacts([{"contact_id": CAMPAIGN, "sms": DESTINATION}]))[0]
NULL = null("GetCampaignListing")


class Peer:
    """A target whose answers are set from outside, with a count of what it was asked."""

    def __init__(self, code: int = 0, *, good: bool = True, campaign: bool = True) -> None:
        self.code = code
        self.good = good  # whether sessions are
        self.campaign = campaign
        self.asked: Counter[str] = Counter()
        self.proof: Any = None  # in place of the answer to a proof

    def __call__(self, request: httpx.Request) -> Any:
        operation = operation_of(request)
        self.asked[operation] += 1
        if operation == "OpenAPISession":
            return OPENED
        if operation == "AddCampaignContact":
            return added(self.code)
        if operation == "GetCampaignListing":
            return self.proof or (CAMPAIGNS if self.good else NULL)
        assert operation == "GetCampaign"
        return result(operation, "<ID/>") if self.campaign and self.good else null(operation)

    async def open(self, **given: Any) -> tuple[OncTarget, OncSession]:
        target = onc(answering(self), **given)
        return target, await target.open()


async def outcome(target: OncTarget, handle: OncSession) -> tuple[type[RowError] | None, str | None]:
    try:
        return None, await target.rows.send(handle, BODY)
    except RowError as error:
        return type(error), error.code


async def test_the_session_stands_in_the_envelope() -> None:
    seen: list[httpx.Request] = []

    def look(request: httpx.Request) -> str:
        seen.append(request)
        return added(0)

    target = onc(answering(OPENED, look))
    assert await target.rows.send(await target.open(), BODY) == "0"
    assert b"sessionId>S-1</" in seen[0].content
    assert seen[0].headers["content-type"] == "text/xml; charset=utf-8"
    assert seen[0].headers["soapaction"].endswith('/AddCampaignContact"')


@pytest.mark.parametrize(
    "answer",
    [
        added(0),
        soap("<x:Any xmlns:x='urn:x'><x:Before/><x:AddCampaignContactResult> 0\n</x:AddCampaignContactResult></x:Any>"),
        soap("<AddCampaignContactResult>0</AddCampaignContactResult>"),
    ],
)
async def test_accepted(answer: str) -> None:
    target = onc(answering(OPENED, answer))
    handle = await target.open()
    assert [await target.rows.send(handle, BODY) for _ in range(3)] == ["0", "0", "0"]


async def test_an_accepted_answer_is_not_taken_for_another() -> None:
    """The answer that was read is remembered by its bytes; status and bytes both count."""
    target = onc(answering(OPENED, added(0), httpx.Response(500, content=added(0).encode()), added(0)))
    handle = await target.open()
    assert await outcome(target, handle) == (None, "0")
    assert await outcome(target, handle) == (OutcomeUnknown, None)
    assert await outcome(target, handle) == (None, "0")


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (null("AddCampaignContact"), OutcomeUnknown),
        (soap("<AddCampaignContactResponse/>"), OutcomeUnknown),
        (result("AddCampaignContact", ""), OutcomeUnknown),
        (result("AddCampaignContact", "ok"), OutcomeUnknown),
        (added(0)[:-3], OutcomeUnknown),
        (b"", OutcomeUnknown),
        (httpx.Response(200, html="<html></html>"), OutcomeUnknown),
        (b"x" * 2_000_000, OutcomeUnknown),
        (httpx.Response(202), OutcomeUnknown),
        (httpx.Response(302), NotDelivered),
        (httpx.Response(400), Refused),
        (fault("s:Client", status=400), Refused),
        (fault("a:DeserializationFailed", status=400), TargetUnusable),
        (httpx.Response(401), TargetUnusable),
        (httpx.Response(403), TargetUnusable),
        (httpx.Response(404), NotDelivered),
        (httpx.Response(405), NotDelivered),
        (httpx.Response(407), TargetUnusable),
        (httpx.Response(408), NotDelivered),
        (httpx.Response(410), NotDelivered),
        (httpx.Response(413), Refused),
        (httpx.Response(415), TargetUnusable),
        (httpx.Response(422), Refused),
        (httpx.Response(429), NotDelivered),
        (httpx.Response(500), OutcomeUnknown),
        (httpx.Response(502, html="<html></html>"), OutcomeUnknown),
        (httpx.Response(503), NotDelivered),
        (httpx.Response(504), OutcomeUnknown),
        (httpx.Response(599), OutcomeUnknown),
        (fault("a:InternalServiceFault"), OutcomeUnknown),
        (fault("a:InternalServiceFault", status=200), OutcomeUnknown),
        (fault("a:ActionNotSupported"), TargetUnusable),
        (fault("a:DeserializationFailed"), TargetUnusable),
        (fault("soap:Client", "Server did not recognize the value of HTTP Header SOAPAction: x."), TargetUnusable),
        (fault("soap:Client", "Server was unable to read request.", 200), TargetUnusable),
        (httpx.ConnectError("x"), NotDelivered),
        (httpx.ConnectTimeout("x"), NotDelivered),
        (httpx.ReadError("x"), OutcomeUnknown),
        (httpx.RemoteProtocolError("x"), OutcomeUnknown),
    ],
)
async def test_statuses_and_faults(answer: Any, kind: type[PipelineError]) -> None:
    target = onc(answering(OPENED, answer))
    with pytest.raises(kind) as caught:
        await target.rows.send(await target.open(), BODY)
    if kind is Refused:
        assert caught.value.code.startswith("HTTP 4")  # type: ignore[attr-defined]


async def test_a_fault_repeats_nothing_of_the_row() -> None:
    leaking = fault(f"a:{DESTINATION}", f"S-1 {DESTINATION}")
    target = onc(answering(OPENED, leaking))
    with pytest.raises(OutcomeUnknown) as caught:
        await target.rows.send(await target.open(), BODY)
    assert "S-1" not in str(caught.value)
    assert DESTINATION not in str(caught.value)


async def test_retry_after_is_handed_on() -> None:
    target = onc(answering(OPENED, httpx.Response(503, headers={"Retry-After": "7"})))
    with pytest.raises(NotDelivered) as caught:
        await target.rows.send(await target.open(), BODY)
    assert caught.value.retry_after == 7


async def test_listed_codes_are_believed() -> None:
    peer = Peer()
    target, handle = await peer.open(codes={"session": [1], "transient": [2], "duplicate": [3]})
    for peer.code, kind in ((1, SessionExpired), (2, PutOff), (3, AlreadyThere)):
        assert await outcome(target, handle) == (kind, str(peer.code))
    assert peer.asked["GetCampaignListing"] == 0
    assert target.learnt() == ()


async def test_every_unlisted_refusal_is_proven() -> None:
    peer = Peer(7)
    target, handle = await peer.open()
    for number in range(1, 6):
        assert await outcome(target, handle) == (Refused, "7")
        assert peer.asked["GetCampaignListing"] == number
    assert target.learnt() == ()


async def test_session_gone_is_learnt_and_used_without_asking() -> None:
    peer = Peer(17, good=False)
    target, handle = await peer.open(codes={"session": [4]})
    assert await outcome(target, handle) == (SessionExpired, "17")
    assert peer.asked["GetCampaignListing"] == 1
    assert target.learnt() == ('target.codes.session = ["4", "17"]',)

    # A fresh session is asked once more: the code might be one for everything.
    handle = await target.open()
    assert await outcome(target, handle) == (SessionExpired, "17")
    assert peer.asked["GetCampaignListing"] == 2

    # On one that has worked it is known.
    handle = await target.open()
    peer.code, peer.good = 0, True
    assert await outcome(target, handle) == (None, "0")
    peer.code, peer.good = 17, False
    assert await outcome(target, handle) == (SessionExpired, "17")
    assert peer.asked["GetCampaignListing"] == 2


async def test_a_session_that_proved_good_is_trusted() -> None:
    peer = Peer(17, good=False)
    target, handle = await peer.open()
    assert await outcome(target, handle) == (SessionExpired, "17")
    handle = await target.open()
    peer.good = True
    assert await target.prove(handle)
    peer.good = False
    assert await outcome(target, handle) == (SessionExpired, "17")
    assert peer.asked["GetCampaignListing"] == 2  # the first refusal and our own proof


async def test_one_code_for_everything() -> None:
    """No row is rejected for a session that was gone, none is sent for ever, and nothing false is learnt."""
    peer = Peer()
    target, handle = await peer.open()
    assert await outcome(target, handle) == (None, "0")
    peer.code, peer.good = 1, False
    assert await outcome(target, handle) == (SessionExpired, "1")  # asked
    handle = await target.open()
    peer.good = True
    assert await outcome(target, handle) == (Refused, "1")  # a row that is refused, on a fresh session: asked
    assert peer.asked["GetCampaignListing"] == 2
    assert target.learnt() == ()
    peer.good = False
    assert await outcome(target, handle) == (SessionExpired, "1")  # now the code says nothing: asked
    peer.good = True
    assert await outcome(target, handle) == (Refused, "1")
    assert peer.asked["GetCampaignListing"] == 4
    assert target.learnt() == ()


async def test_a_wrong_lesson_is_unlearnt() -> None:
    """A row was refused while its session died: the next refusal renews once, and is then seen for what it is."""
    peer = Peer(5, good=False)
    target, handle = await peer.open()
    assert await outcome(target, handle) == (SessionExpired, "5")
    peer.code, peer.good = 0, True
    handle = await target.open()
    await target.rows.send(handle, BODY)
    peer.code = 5
    assert await outcome(target, handle) == (SessionExpired, "5")
    handle = await target.open()
    assert await outcome(target, handle) == (Refused, "5")
    assert await outcome(target, handle) == (Refused, "5")
    assert target.learnt() == ()


async def test_every_fiftieth_refusal_in_a_row_proves_the_campaign() -> None:
    peer = Peer(7)
    target, handle = await peer.open()
    for _ in range(49):
        await outcome(target, handle)
    assert peer.asked["GetCampaign"] == 0
    peer.code = 0
    await outcome(target, handle)
    peer.code = 7
    for _ in range(49):
        await outcome(target, handle)
    assert peer.asked["GetCampaign"] == 0
    assert await outcome(target, handle) == (Refused, "7")
    assert peer.asked["GetCampaign"] == 1
    peer.campaign = False
    for _ in range(49):
        await outcome(target, handle)
    with pytest.raises(TargetUnusable, match=f"campaign {CAMPAIGN} is not known to the target"):
        await target.rows.send(handle, BODY)


async def test_a_campaign_that_cannot_be_asked_for_on_a_dead_session() -> None:
    peer = Peer(7)
    target, handle = await peer.open()
    for _ in range(49):
        await outcome(target, handle)
    proofs = iter([CAMPAIGNS, NULL])
    peer.campaign = False
    peer.proof = Sequence(proofs)
    assert await outcome(target, handle) == (SessionExpired, "7")


class Sequence:
    """Answers one after the other."""

    def __init__(self, answers: Any) -> None:
        self._answers = answers

    def encode(self) -> bytes:
        return str(next(self._answers)).encode()


@pytest.mark.parametrize(
    "proof", [httpx.Response(503, headers={"Retry-After": "3"}), httpx.ReadTimeout("x"), fault("a:Busy")]
)
async def test_a_code_that_cannot_be_asked_about_is_sent_again(proof: Any) -> None:
    """Non-zero is documented as not processed: such a row is surely not there."""
    peer = Peer(7)
    peer.proof = proof
    target, handle = await peer.open()
    with pytest.raises(NotDelivered, match="code 7, and what it means could not be asked") as caught:
        await target.rows.send(handle, BODY)
    assert caught.value.retry_after == (3 if isinstance(proof, httpx.Response) and proof.status_code == 503 else None)
    peer.proof = httpx.Response(401)
    with pytest.raises(TargetUnusable):
        await target.rows.send(handle, BODY)
