"""The typed client: all thirteen operations over a real connection, in both dialects and in strange ones."""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, aclosing
from dataclasses import replace
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from targets.onc_kit import CLOSED, OPENED, SHIPPED, answering, null, operation_of, result
from targets.onc_kit import settings as made_settings

from pipeline.errors import ConfigError, NoList, OutcomeUnknown, Refused, SessionExpired, TargetUnusable
from pipeline.simulator import Fault, RunningSimulator, running
from pipeline.simulator import OncSettings as SimulatorSettings
from pipeline.targets.onc import (
    Campaign,
    CommunicationInfo,
    Contact,
    DeliveryStatus,
    EmailInfo,
    OncClient,
    OncSettings,
    SmsInfo,
    VoiceInfo,
    create,
)

pytestmark = pytest.mark.anyio

CAMPAIGN = "11111111-1111-4111-8111-111111111111"
NEW = "22222222-2222-4222-8222-222222222222"
TEXT = "  Grüße & <b>bye</b>\r\n\tשלום ]]> "

WHOLE = Campaign(
    id=NEW,
    name="Spring",
    description=TEXT,
    paused=True,
    from_date=date(2026, 12, 1),
    from_time=time(9, 30),
    to_date=date(2026, 12, 24),
    to_time=time(20, 0, 15),
    sms=SmsInfo(enabled=True, from_number="+15145550100", text=TEXT),
    voice=VoiceInfo(
        enabled=True, dial_timeout_ms=30_000, calling_name="Clinic", calling_number="+15145550100", text="",
        voice_name="Clara", max_plays=2, max_retries=3, retry_minutes=15,
    ),
    email=EmailInfo(enabled=False, from_address="office@example.com", subject="", html="<p>a &amp; b</p>"),
    external_contacts=True,
    sms_required=True,
    voice_required=False,
    email_required=True,
    progress_endpoint="https://example.com/progress?a=1&b=2",
)  # fmt: skip

STRANGE = {
    "namespace": "urn:strange:service",
    "contract": "IStrange",
    "clr_namespace": "Strange.Data",
    "path": "/a/b.svc",
    "foreign_namespace": "http://other.example.com/",
}


@pytest.fixture
def serve() -> Iterator[Callable[..., RunningSimulator]]:
    with ExitStack() as stack:
        yield lambda **settings: stack.enter_context(running(SimulatorSettings(**settings)))


def connected(simulator: RunningSimulator, **given: Any) -> OncClient:
    """A client for a simulator, with the credentials that it knows; no campaign is configured."""
    whole = {"endpoint": simulator.url, "account_id": "account", "username": "user", "password": "password", **given}
    return OncClient.connect(OncSettings.model_validate(whole), timeout=5.0)


@pytest.mark.parametrize("dialect", ["wcf", "asmx"])
@pytest.mark.parametrize(
    "face",
    [
        {},
        {"null_style": "nil"},
        {"null_style": "absent"},
        {**STRANGE, "member_order": "shuffled:7", "split_wsdl": True},
        {**STRANGE, "member_order": "reversed", "soap_versions": ("1.2",)},
    ],
    ids=["plain", "nil", "absent", "shuffled", "reversed"],
)
async def test_all_thirteen(dialect: str, face: dict[str, Any], serve: Callable[..., RunningSimulator]) -> None:
    simulator = serve(dialect=dialect, **face)
    contract = {"wsdl": f"{simulator.url}?wsdl"} if "namespace" in face else {"dialect": dialect}
    client = connected(simulator, **contract)
    async with client.session() as session:
        assert [each async for each in session.campaign_ids()] == [CAMPAIGN]
        await session.add_campaign(WHOLE)
        assert {each async for each in session.campaign_ids()} == {CAMPAIGN, NEW}
        assert await session.campaign(NEW) == WHOLE
        assert await session.campaign("33333333-3333-4333-8333-333333333333") is None
        listed = {each.id: each async for each in session.campaigns()}
        assert listed[NEW] == WHOLE
        there = listed[CAMPAIGN]
        assert (there.name, there.description, there.from_date) == ("Simulated", None, None)
        assert there.sms is not None
        assert (there.sms.enabled, there.sms.from_number) == (True, None)

        changed = replace(listed[NEW], description=None, voice=None, to_time=None, sms=replace(WHOLE.sms, text=""))
        await session.update_campaign(changed)
        assert await session.campaign(NEW) == changed

        contact = Contact(
            id=str(UUID(int=5)),
            campaign_id=NEW,
            sms=CommunicationInfo(destination="+15145550101", text=TEXT, retries=255),
            email=CommunicationInfo(destination="a&b@example.com", retries=0),
        )
        await session.add_contact(contact)
        assert [each async for each in session.contact_ids(NEW)] == [contact.id]
        pending = {"status": DeliveryStatus.PENDING, "last_error": 0}
        held = replace(contact, sms=replace(contact.sms, **pending), email=replace(contact.email, **pending))
        assert [each async for each in session.contacts(NEW)] == [held]
        await session.update_contact(replace(held, email=None, sms=replace(held.sms, retries=1)))
        assert [(each.email, each.sms.retries) async for each in session.contacts(NEW) if each.sms] == [(None, 1)]
        await session.delete_contact(NEW, contact.id)
        assert [each async for each in session.contacts(NEW)] == []
        await session.delete_campaign(NEW)
        assert await session.campaign(NEW) is None
    state = simulator.state()
    assert (state["rejected"], state["bad_session"], state["skipped_members"]) == ({}, 0, {})
    assert len(state["calls"]) == 13
    assert (state["sessions"]["opened"], state["sessions"]["closed"]) == (1, 1)


async def test_codes_other_than_0_are_errors(serve: Callable[..., RunningSimulator]) -> None:
    simulator = serve()
    async with connected(simulator).session() as session:
        with pytest.raises(Refused, match=r"refused DeleteCampaign \(code 201\)"):
            await session.delete_campaign(NEW)
        with pytest.raises(Refused, match=r"refused AddCampaign \(code 203\)"):
            await session.add_campaign(Campaign(id=CAMPAIGN))
        # Every fiftieth refusal in a row proves the campaign too; two came before.
        for _ in range(47):
            with pytest.raises(Refused, match="code 201"):
                await session.add_contact(Contact(id=NEW, campaign_id=NEW))
        with pytest.raises(TargetUnusable, match="is not known to the target"):
            await session.add_contact(Contact(id=NEW, campaign_id=NEW))
        simulator.control(expire_sessions=True)
        with pytest.raises(SessionExpired):
            await session.update_campaign(Campaign(id=CAMPAIGN))
        with pytest.raises(SessionExpired):
            await session.campaign(CAMPAIGN)
        with pytest.raises(NoList):
            _ = [each async for each in session.campaigns()]
    assert simulator.state()["sessions"]["open"] == 0


async def test_a_session_is_closed_whatever_happens(serve: Callable[..., RunningSimulator]) -> None:
    simulator = serve()
    with pytest.raises(ZeroDivisionError):
        async with connected(simulator).session():
            raise ZeroDivisionError
    assert simulator.state()["sessions"]["closed"] == 1


async def test_lists_are_none_empty_or_broken(serve: Callable[..., RunningSimulator]) -> None:
    client = create(made_settings(), answering(OPENED, result("GetCampaigns", ""), null("GetCampaigns"),
                    result("GetCampaigns", "<x><ID>no</ID></x>"), CLOSED), None).client  # fmt: skip
    async with client.session() as session:
        assert [each async for each in session.campaigns()] == []
        with pytest.raises(NoList):
            _ = [each async for each in session.campaigns()]
        with pytest.raises(OutcomeUnknown, match=r"no GUID where one should be \(ID\)"):
            _ = [each async for each in session.campaigns()]
    simulator = serve(faults=(Fault("cut_answer", operation="GetCampaignContacts"),))
    async with connected(simulator).session() as session:
        with pytest.raises(OutcomeUnknown):
            async with aclosing(session.contacts(CAMPAIGN)) as contacts:
                _ = [each async for each in contacts]


async def test_an_operation_that_the_wsdl_lacks_is_missed_when_it_is_called(tmp_path: Path) -> None:
    text = (SHIPPED / "wcf.wsdl").read_text()
    for operation in ("GetCampaigns", "UpdateCampaign", "GetCampaignContacts", "AddCampaignContact"):
        text, count = re.subn(rf'<wsdl:operation name="{operation}">.*?</wsdl:operation>', "", text, flags=re.DOTALL)
        assert count == 2
    wsdl = tmp_path / "short.wsdl"
    wsdl.write_text(text)
    target = create(made_settings(wsdl=str(wsdl)), answering(OPENED, result("GetCampaign", f"<ID>{NEW}</ID>"), CLOSED),
                    None)  # fmt: skip
    assert target.lookup is None
    with pytest.raises(ConfigError, match="lacks AddCampaignContact, which is needed for this"):
        _ = target.rows
    async with target.client.session() as session:
        held = await session.campaign(NEW)
        assert held is not None
        with pytest.raises(ConfigError, match="short.wsdl: lacks UpdateCampaign"):
            await session.update_campaign(replace(held, paused=True))
        with pytest.raises(ConfigError, match="lacks GetCampaigns"):
            _ = [each async for each in session.campaigns()]


async def test_a_campaign_that_is_too_large_is_not_sent() -> None:
    sent: list[str] = []

    def answer(request: Any) -> str:
        sent.append(operation_of(request))
        return OPENED if sent[-1] == "OpenAPISession" else CLOSED

    client = create(made_settings(max_message=2_000), answering(answer), None).client
    async with client.session() as session:
        with pytest.raises(Refused, match=r"bytes; the target takes 2,000 \(target.max_message\)"):
            await session.add_campaign(Campaign(name="x" * 2_000))
    assert sent == ["OpenAPISession", "CloseAPISession"]


async def test_creation_is_utc_and_a_session_that_cannot_be_closed_hides_nothing() -> None:
    told = f"<ID>{NEW}</ID><CreationDateUtc>2026-01-02T03:04:05</CreationDateUtc>"
    client = create(made_settings(), answering(OPENED, result("GetCampaign", told), "<html/>"), None).client
    async with client.session() as session:
        held = await session.campaign(NEW)
    assert held is not None
    assert held.created == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert session.client.is_closed
