"""Clients that nobody here wrote speak to the simulator, and its answers fit its own schemas."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import zeep
from lxml import etree
from simulator.soap_client import CAMPAIGN, CONTACT, SoapClient
from zeep.transports import Transport

from pipeline.simulator import Campaign, OncSettings, RunningSimulator, Simulator
from pipeline.simulator.onc.contract import OPERATIONS, TYPES, contract_of
from pipeline.simulator.onc.wsdl import XS

STRANGE: dict[str, Any] = {
    "namespace": "urn-like://strange.example/service",
    "contract": "IStrange",
    "service": "Strange",
    "clr_namespace": "Strange.Contracts",
    "member_order": "shuffled:7",
}
FACES: dict[str, dict[str, Any]] = {
    "wcf": {"dialect": "wcf"},
    "asmx": {"dialect": "asmx"},
    "wcf-split": {"dialect": "wcf", "split_wsdl": True},
    "asmx-split": {"dialect": "asmx", "split_wsdl": True},
    "wcf-documented": {"dialect": "wcf", "member_order": "documented"},
    "asmx-reversed": {"dialect": "asmx", "member_order": "reversed"},
    "wcf-strange": {"dialect": "wcf", **STRANGE},
    "asmx-strange": {"dialect": "asmx", **STRANGE},
    "wcf-strange-split": {"dialect": "wcf", "split_wsdl": True, **STRANGE},
    "wcf-soap12": {"dialect": "wcf", "soap_versions": ("1.2",)},
    "asmx-both": {"dialect": "asmx", "soap_versions": ("1.1", "1.2")},
    "wcf-own-data": {"dialect": "wcf", "data_namespace": "http://tempuri.org/"},
}


@pytest.fixture
def stranger(
    serve: Callable[..., RunningSimulator], resources: ExitStack
) -> Iterator[Callable[..., tuple[RunningSimulator, Any]]]:
    """A zeep client that knows no more than ?wsdl says."""

    def start(**settings: Any) -> tuple[RunningSimulator, Any]:
        server = serve(**settings)
        transport = Transport(timeout=20)
        transport.session.trust_env = False
        resources.callback(transport.session.close)
        return server, zeep.Client(server.url + "?wsdl", transport=transport).service

    return start


def campaign_info(campaign_id: str, name: str) -> dict[str, Any]:
    """A campaign with every member that either dialect requires."""
    moment = datetime(2030, 1, 2, 3, 4, 5)  # noqa: DTZ001 - the contract's times have no zone
    return {
        "ID": campaign_id,
        "CreationDateUtc": moment,
        "ShortName": name,
        "Description": "Sommerfest & <mehr>",
        "IsPaused": True,
        "ActiveFromDate": moment,
        "ActiveFromTime": moment,
        "ActiveToDate": moment,
        "ActiveToTime": moment,
        "OutboundVoiceNotificationInfo": {
            "Enabled": True,
            "DialMsTimeout": 30_000,
            "CallingName": "Clinic",
            "MaxTextPlays": 2,
            "MaxDeliveryRetries": 3,
            "RetryMinutesInterval": 10,
        },
        "AllowAddingContactsFromExternalApps": True,
        "SmsNotificationRequired": False,
        "VoiceNotificationRequired": True,
        "EmailNotificationRequired": False,
        "ProgressWSEndpoint": "http://127.0.0.1/progress",
    }


def contact_info(contact_id: str, campaign_id: str, destination: str) -> dict[str, Any]:
    """A contact with an SMS and an email channel."""
    ignored = {"StatusCode": 6, "LastDeliveryErrorCode": 99}
    return {
        "Id": contact_id,
        "CampaignId": campaign_id,
        "SMSCommInfo": {
            "Destination": destination,
            "TextToSendOverwrite": "a\r\n<b> & ü 🎉",
            "RetryCount": 3,
            **ignored,
        },
        "EmailCommInfo": {"Destination": "", "RetryCount": 0, **ignored},
    }


@pytest.mark.parametrize("face", FACES)
def test_zeep_calls_all_thirteen_operations(face: str, stranger: Callable[..., Any]) -> None:
    server, service = stranger(**FACES[face])
    campaign_id, contact_id = str(uuid.uuid4()), str(uuid.uuid4())

    refused = service.OpenAPISession("account", "user", "wrong")
    assert refused.ErrorCode == 102
    assert refused.Description
    assert not refused.SessionId
    opened = service.OpenAPISession("account", "user", "password")
    assert opened.ErrorCode == 0
    session = opened.SessionId

    assert service.GetCampaignListing(session) == [CAMPAIGN]
    assert service.AddCampaign(session, campaign_info(campaign_id, "First")) == 0
    assert service.GetCampaignListing(session) == [CAMPAIGN, campaign_id]
    assert service.UpdateCampaign(session, campaign_info(campaign_id, "Second")) == 0
    assert [each.ShortName for each in service.GetCampaigns(session)] == ["Simulated", "Second"]
    campaign = service.GetCampaign(session, campaign_id)
    for name, value in campaign_info(campaign_id, "Second").items():
        if not isinstance(value, dict):
            assert campaign[name] == value, name
    voice = campaign.OutboundVoiceNotificationInfo
    assert (voice.Enabled, voice.DialMsTimeout, voice.CallingName, voice.MaxTextPlays) == (True, 30_000, "Clinic", 2)

    assert service.AddCampaignContact(session, contact_info(contact_id, campaign_id, "+15550100")) == 0
    assert service.GetCampaignContactsListing(session, campaign_id) == [contact_id]
    (contact,) = service.GetCampaignContacts(session, campaign_id)
    assert (contact.Id, contact.CampaignId) == (contact_id, campaign_id)
    sms, email = contact.SMSCommInfo, contact.EmailCommInfo
    assert (sms.Destination, sms.TextToSendOverwrite, sms.RetryCount) == ("+15550100", "a\r\n<b> & ü 🎉", 3)
    assert (sms.StatusCode, sms.LastDeliveryErrorCode) == (1, 0)
    assert (email.StatusCode, email.LastDeliveryErrorCode) == (0, 0)

    assert service.UpdateCampaignContact(session, contact_info(contact_id, campaign_id, "+15550199")) == 0
    assert service.GetCampaignContacts(session, campaign_id)[0].SMSCommInfo.Destination == "+15550199"
    assert service.DeleteCampaignContact(session, campaign_id, contact_id) == 0
    assert not service.GetCampaignContactsListing(session, campaign_id)
    assert service.DeleteCampaign(session, campaign_id) == 0
    assert service.GetCampaignListing(session) == [CAMPAIGN]
    assert service.CloseAPISession(session).ErrorCode == 0
    assert service.CloseAPISession(session).ErrorCode == 101

    state = server.state()
    assert set(state["calls"]) == set(OPERATIONS)
    assert state["sessions"] | {"max_concurrent_calls": 1} == state["sessions"]
    assert (state["sessions"]["opened"], state["sessions"]["closed"], state["sessions"]["refused"]) == (1, 1, 1)
    assert state["skipped_members"] == {}
    assert state["rejected"] == {}


@pytest.mark.parametrize("face", FACES)
def test_answers_fit_the_schemas_of_the_wsdl(face: str, client: Callable[..., SoapClient], tmp_path: Path) -> None:
    soap = client(**FACES[face] | {"soap_versions": ("1.1",), "split_wsdl": True})
    soap.add()
    soap.add(destination="", contact_id=str(uuid.uuid4()))
    schema = _schema(soap, tmp_path)
    campaign = f"<campaignId>{CAMPAIGN}</campaignId>"
    for operation, inner in (
        ("GetCampaignListing", ""),
        ("GetCampaigns", ""),
        ("GetCampaign", campaign),
        ("GetCampaign", f"<campaignId>{CONTACT}</campaignId>"),
        ("GetCampaignContactsListing", campaign),
        ("GetCampaignContacts", campaign),
        ("GetCampaignContacts", f"<campaignId>{CONTACT}</campaignId>"),
        ("DeleteCampaign", f"<campaignId>{CONTACT}</campaignId>"),
        ("CloseAPISession", ""),
    ):
        answer = soap.post(operation, f"<sessionId>{soap.session}</sessionId>{inner}")
        schema.assertValid(etree.fromstring(answer.content)[0][0])


def _schema(soap: SoapClient, directory: Path) -> etree.XMLSchema:
    wsdl = etree.fromstring(soap.http.get(soap.server.url + "?wsdl").content)
    names = []
    for element in wsdl.iter(f"{{{XS}}}import"):
        address = element.get("schemaLocation", "")
        text = soap.http.get(address).text.replace(soap.server.url + "?xsd=", "")
        names.append(address.rpartition("=")[2])
        (directory / names[-1]).write_text(text, encoding="utf-8")
    return etree.XMLSchema(etree.parse(directory / names[0]))


def test_the_orders_are_different_and_the_wsdl_follows_them() -> None:
    documented = [member.name for member in TYPES["OutboundNotificationContactInfo"].members]
    orders = {}
    for order in ("", "documented", "alphabetical", "reversed", "shuffled:1", "shuffled:2"):
        settings = OncSettings(member_order=order)
        orders[order] = [m.name for m in contract_of(settings).members("OutboundNotificationContactInfo")]
        tree = etree.fromstring(Simulator(settings).service().wsdl("http://127.0.0.1/onc.svc"))
        elements = tree.findall(f".//{{{XS}}}complexType[@name='OutboundNotificationContactInfo']//{{{XS}}}element")
        assert [element.get("name") for element in elements] == orders[order]
    assert orders[""] == orders["alphabetical"] == sorted(documented)
    assert orders["documented"] == documented == orders["reversed"][::-1]
    assert len({tuple(order) for order in orders.values()}) == 5


def test_the_alphabetical_order_is_ordinal() -> None:
    names = [member.name for member in contract_of(OncSettings()).members("OutboundNotificationContactInfo")]
    assert names == ["CampaignId", "EmailCommInfo", "Id", "SMSCommInfo", "VoiceCommInfo"]


def test_actions_of_both_dialects() -> None:
    actions = [contract_of(OncSettings(dialect=dialect)).actions["GetCampaign"] for dialect in ("wcf", "asmx")]
    assert actions == ["http://tempuri.org/IOutboundNotifications/GetCampaign", "http://tempuri.org/GetCampaign"]


def test_pages_and_missing_schemas(client: Callable[..., SoapClient]) -> None:
    soap = client()
    for page in (soap.server.origin + "/", soap.server.url):
        answer = soap.http.get(page)
        assert answer.headers["content-type"].startswith("text/html")
        assert "?wsdl" in answer.text
    assert soap.http.get(soap.server.url + "?xsd=xsd0").status_code == 404
    assert soap.http.get(soap.server.url + "?WSDL").headers["content-type"].startswith("text/xml")


@pytest.mark.parametrize("dialect", ["wcf", "asmx"])
def test_null_and_empty_lists_are_different(dialect: str, client: Callable[..., SoapClient]) -> None:
    soap = client(dialect=dialect)
    listing = "GetCampaignContactsListing"
    empty = soap.call(listing, f"<campaignId>{CAMPAIGN}</campaignId>")
    assert empty is not None
    assert len(empty) == 0
    assert empty.attrib == {}
    _assert_null(soap.call(listing, f"<campaignId>{CONTACT}</campaignId>"), dialect)
    soap.session = "no session"
    for operation in ("GetCampaignListing", "GetCampaigns", listing, "GetCampaignContacts", "GetCampaign"):
        _assert_null(soap.call(operation, f"<campaignId>{CAMPAIGN}</campaignId>"), dialect)


def _assert_null(result: etree._Element | None, dialect: str) -> None:
    if dialect == "asmx":
        assert result is None
    else:
        assert result is not None
        assert dict(result.attrib) == {"{http://www.w3.org/2001/XMLSchema-instance}nil": "true"}


@pytest.mark.parametrize(("dialect", "style"), [("wcf", "absent"), ("asmx", "nil")])
def test_null_may_be_written_as_the_other_dialect_does(
    dialect: str, style: str, client: Callable[..., SoapClient]
) -> None:
    soap = client(dialect=dialect, null_style=style)
    _assert_null(
        soap.call("GetCampaign", f"<campaignId>{CONTACT}</campaignId>"), "asmx" if style == "absent" else "wcf"
    )


def test_null_lists_and_foreign_namespaces_on_demand(client: Callable[..., SoapClient]) -> None:
    soap = client()
    soap.add()
    soap.server.control(foreign_namespace="urn:elsewhere")
    result = soap.call("GetCampaignContacts", f"<campaignId>{CAMPAIGN}</campaignId>")
    assert result is not None
    assert {etree.QName(element).namespace for element in result.iterdescendants()} == {"urn:elsewhere"}
    assert result.findtext(".//{*}Destination") == "+15550100"
    soap.server.control(null_lists=True)
    _assert_null(soap.call("GetCampaignContacts", f"<campaignId>{CAMPAIGN}</campaignId>"), "wcf")
    campaign = soap.call("GetCampaign", f"<campaignId>{CAMPAIGN}</campaignId>")
    assert campaign is not None
    assert len(campaign)


def test_a_big_campaign_is_streamed(client: Callable[..., SoapClient]) -> None:
    soap = client(campaigns=(Campaign(CAMPAIGN, contacts=30_000),))
    for operation, path in (("GetCampaignContactsListing", "{*}guid"), ("GetCampaignContacts", "{*}*/{*}Id")):
        answer = soap.post(operation, f"<sessionId>{soap.session}</sessionId><campaignId>{CAMPAIGN}</campaignId>")
        assert answer.headers["transfer-encoding"] == "chunked"
        result = soap.result(operation, answer.content)
        assert result is not None
        assert len({element.text for element in result.findall(path)}) == 30_000
    with soap.http.stream("GET", soap.server.origin + "/state", params={"contacts": CAMPAIGN}) as lines:
        assert sum(1 for _ in lines.iter_lines()) == 30_000


def test_an_envelope_written_by_hand(client: Callable[..., SoapClient]) -> None:
    """Names, namespaces and order stand here once more, independent of the tables that everything else is made of."""
    soap = client()
    answer = soap.http.post(
        soap.server.url,
        headers={
            "Content-Type": "text/xml",
            "SOAPAction": '"http://tempuri.org/IOutboundNotifications/AddCampaignContact"',
        },
        content=f"""<?xml version="1.0" encoding="utf-8"?>
<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"><soapenv:Header/><soapenv:Body>
 <AddCampaignContact xmlns="http://tempuri.org/">
  <sessionId>{soap.session}</sessionId>
  <contact xmlns:d="http://schemas.datacontract.org/2004/07/OutboundNotifications">
   <d:CampaignId>{{{CAMPAIGN.upper()}}}</d:CampaignId><!-- braces and capitals are allowed in a Guid -->
   <d:Id>{CONTACT.replace("-", "")}</d:Id>
   <d:VoiceCommInfo><d:Destination>+15550100</d:Destination><d:RetryCount> 7 </d:RetryCount></d:VoiceCommInfo>
  </contact>
 </AddCampaignContact></soapenv:Body></soapenv:Envelope>""",
    )
    assert answer.status_code == 200
    assert b">0<" in answer.content
    (contact,) = soap.server.contacts()
    assert contact["id"] == CONTACT
    assert contact["sms"] is None
    assert contact["voice"] == {
        "destination": "+15550100",
        "text": None,
        "status": 1,
        "last_error": 0,
        "retry_count": 7,
    }
