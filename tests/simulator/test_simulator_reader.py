"""Requests are read as strictly as the servers that are simulated read them."""

from collections.abc import Callable

import pytest
from simulator.soap_client import CAMPAIGN, CONTACT, SoapClient, fault_code, wrapped

IDS = f"<a:CampaignId>{CAMPAIGN}</a:CampaignId><a:Id>{CONTACT}</a:Id>"
DISPATCHER = "http://schemas.microsoft.com/net/2005/12/windowscommunicationfoundation/dispatcher"
UNREADABLE = f"{{{DISPATCHER}}}DeserializationFailed"
ACTION = "{http://schemas.microsoft.com/ws/2005/05/addressing/none}ActionNotSupported"


def sms(inner: str) -> str:
    return wrapped(f"{IDS}<a:SMSCommInfo>{inner}</a:SMSCommInfo>")


def test_a_member_behind_its_place_is_dropped_without_a_word(client: Callable[..., SoapClient]) -> None:
    soap = client()
    late = sms("<a:RetryCount>3</a:RetryCount><a:Destination>+15550100</a:Destination>")
    assert soap.code("AddCampaignContact", late) == 0
    (contact,) = soap.server.contacts()
    assert contact["sms"] == {"destination": None, "text": None, "status": 0, "last_error": 0, "retry_count": 3}
    assert soap.server.state()["skipped_members"] == {"Destination": 1}


def test_another_order_is_strict_too(client: Callable[..., SoapClient]) -> None:
    soap = client(member_order="documented")
    alphabetical = (
        "<a:Destination>+15550100</a:Destination><a:RetryCount>3</a:RetryCount>"
        "<a:TextToSendOverwrite>Hello</a:TextToSendOverwrite>"
    )
    contact = f"<a:Id>{CONTACT}</a:Id><a:CampaignId>{CAMPAIGN}</a:CampaignId>"
    inner = wrapped(f"{contact}<a:SMSCommInfo>{alphabetical}</a:SMSCommInfo>")
    assert soap.code("AddCampaignContact", inner) == 0
    (stored,) = soap.server.contacts()
    assert (stored["sms"]["destination"], stored["sms"]["text"]) == ("+15550100", None)


def test_a_dropped_campaign_id_makes_the_campaign_unknown(client: Callable[..., SoapClient]) -> None:
    soap = client()
    assert soap.add(f"<a:Id>{CONTACT}</a:Id><a:CampaignId>{CAMPAIGN}</a:CampaignId>") == 201


def test_lenient_reads_any_order(client: Callable[..., SoapClient]) -> None:
    soap = client(lenient=True)
    late = sms("<a:RetryCount>3</a:RetryCount><a:Destination>+15550100</a:Destination>")
    assert soap.code("AddCampaignContact", late) == 0
    assert soap.server.contacts()[0]["sms"]["destination"] == "+15550100"


@pytest.mark.parametrize(
    "inner",
    [
        "<Destination>+15550100</Destination>",
        '<b:Destination xmlns:b="urn:other">+15550100</b:Destination>',
        "<a:destination>+15550100</a:destination>",
        '<a:Destination i:nil="true"/>',
        "<a:Destination> \t\n</a:Destination>",
        "<a:Destination/>",
        "<a:Other><a:Destination>+15550100</a:Destination></a:Other>",
    ],
)
def test_no_destination_means_do_not_try(inner: str, client: Callable[..., SoapClient]) -> None:
    soap = client()
    assert soap.code("AddCampaignContact", sms(inner + "<a:RetryCount>3</a:RetryCount>")) == 0
    (contact,) = soap.server.contacts()
    assert contact["sms"]["status"] == 0
    assert contact["sms"]["retry_count"] == 3


def test_parameters_are_read_in_signature_order(client: Callable[..., SoapClient]) -> None:
    soap = client()
    turned = f"<campaignId>{CAMPAIGN}</campaignId><sessionId>{soap.session}</sessionId>"
    assert soap.result("DeleteCampaign", soap.post("DeleteCampaign", turned).content).text == "101"  # type: ignore[union-attr]
    assert list(soap.server.state()["campaigns"]) == [CAMPAIGN]


def test_asmx_reads_members_in_any_order(client: Callable[..., SoapClient]) -> None:
    soap = client(dialect="asmx")
    inner = "<StatusCode>5</StatusCode><RetryCount>3</RetryCount><LastDeliveryErrorCode>0</LastDeliveryErrorCode>"
    ids = f"<CampaignId>{CAMPAIGN}</CampaignId><Id>{CONTACT}</Id>"
    channel = f"<SMSCommInfo>{inner}<Destination>+15550100</Destination></SMSCommInfo>"
    assert soap.code("AddCampaignContact", wrapped(channel + ids)) == 0
    assert soap.server.contacts()[0]["sms"]["destination"] == "+15550100"


@pytest.mark.parametrize("missing", ["Id", "CampaignId", "StatusCode", "RetryCount", "LastDeliveryErrorCode"])
def test_asmx_requires_values(missing: str, client: Callable[..., SoapClient]) -> None:
    soap = client(dialect="asmx")
    whole = soap.contact()
    start, end = whole.index(f"<a:{missing}>"), whole.index(f"</a:{missing}>") + len(f"</a:{missing}>")
    answer = soap.post("AddCampaignContact", f"<sessionId>{soap.session}</sessionId>{whole[:start]}{whole[end:]}")
    assert answer.status_code == 500
    assert fault_code(answer) == "{http://schemas.xmlsoap.org/soap/envelope/}Client"
    assert missing in answer.text
    assert soap.server.state()["rejected"] == {"DeserializationFailed": 1}


@pytest.mark.parametrize(
    "contact",
    [
        "<a:Id>not a guid</a:Id>",
        "<a:Id/>",
        '<a:Id i:nil="true"/>',
        "<a:Id>{22222222-2222-4222-8222-222222222222</a:Id>",
        "<a:SMSCommInfo><a:RetryCount>many</a:RetryCount></a:SMSCommInfo>",
        "<a:SMSCommInfo><a:RetryCount></a:RetryCount></a:SMSCommInfo>",
        "<a:SMSCommInfo><a:RetryCount>2147483648</a:RetryCount></a:SMSCommInfo>",
        "<a:SMSCommInfo><a:Destination><a:b/></a:Destination></a:SMSCommInfo>",
    ],
)
def test_what_does_not_fit_its_type_is_a_fault(contact: str, client: Callable[..., SoapClient]) -> None:
    soap = client()
    answer = soap.post("AddCampaignContact", f"<sessionId>{soap.session}</sessionId>{wrapped(contact)}")
    assert answer.status_code == 500
    assert fault_code(answer) == UNREADABLE
    assert soap.server.state()["adds"]["stored"] == 0


@pytest.mark.parametrize(
    ("member", "value"),
    [("CreationDateUtc", "yesterday"), ("CreationDateUtc", "2030-13-01T00:00:00"), ("IsPaused", "True")],
)
def test_times_and_booleans_are_strict(member: str, value: str, client: Callable[..., SoapClient]) -> None:
    soap = client()
    inner = f"<sessionId>{soap.session}</sessionId><campaign><a:{member}>{value}</a:{member}></campaign>"
    assert fault_code(soap.post("AddCampaign", inner)) == UNREADABLE


@pytest.mark.parametrize("value", ["2030-01-02T03:04:05", "2030-01-02T03:04:05.1234567Z", "2030-01-02T03:04:05+02:00"])
def test_times_with_and_without_fraction_and_zone(value: str, client: Callable[..., SoapClient]) -> None:
    soap = client()
    assert soap.code("AddCampaign", f"<campaign><a:ActiveFromDate>{value}</a:ActiveFromDate></campaign>") == 0


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<a>",
        b"<a/>",
        b'<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"/>',
        b'<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body/></s:Envelope>',
        b'<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body/></s:Envelope>',
        b'<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>'
        b'<GetCampaigns xmlns="urn:other"/></s:Body></s:Envelope>',
        b'<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>'
        b'<GetCampaignListing xmlns="http://tempuri.org/"/></s:Body></s:Envelope>',
    ],
)
def test_what_is_no_envelope_of_the_operation_is_a_fault(body: bytes, client: Callable[..., SoapClient]) -> None:
    soap = client()
    headers, _ = soap.request("GetCampaigns", "")
    answer = soap.http.post(soap.server.url, content=body, headers=headers)
    assert answer.status_code == 500
    assert fault_code(answer) == UNREADABLE


@pytest.mark.parametrize(
    "doctype",
    [
        '<!DOCTYPE x [<!ENTITY e "+15550100">]>',
        '<!DOCTYPE x SYSTEM "file:///etc/hostname">',
        '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/hostname">]>',
    ],
)
def test_a_doctype_is_refused(doctype: str, client: Callable[..., SoapClient]) -> None:
    soap = client()
    inner = "<a:Destination>&e;</a:Destination>" if "ENTITY" in doctype else "<a:Destination>+15550100</a:Destination>"
    headers, body = soap.request("AddCampaignContact", f"<sessionId>{soap.session}</sessionId>{sms(inner)}")
    answer = soap.http.post(soap.server.url, content=doctype.encode() + body, headers=headers)
    assert fault_code(answer) == UNREADABLE
    assert "DTD" in answer.text
    assert soap.server.contacts() == []


@pytest.mark.parametrize(
    "action",
    [
        "",
        '""',
        "http://tempuri.org/IOutboundNotifications/GetCampaigns",
        '"http://tempuri.org/GetCampaigns"',
        '"http://tempuri.org/IOutboundNotifications/GetCampaign"',
        '"http://tempuri.org/IOutboundNotifications/getcampaigns"',
    ],
)
def test_the_action_must_be_that_of_the_operation(action: str, client: Callable[..., SoapClient]) -> None:
    soap = client()
    answer = soap.post("GetCampaigns", f"<sessionId>{soap.session}</sessionId>", SOAPAction=action)
    assert answer.status_code == 500
    # The action of another operation is supported, but then the body is not the one that belongs to it.
    assert fault_code(answer) == (UNREADABLE if action.endswith('GetCampaign"') else ACTION)


def test_asmx_words_its_faults_in_its_own_way(client: Callable[..., SoapClient]) -> None:
    soap = client(dialect="asmx")
    wcf = '"http://tempuri.org/IOutboundNotifications/GetCampaigns"'
    answer = soap.post("GetCampaigns", f"<sessionId>{soap.session}</sessionId>", SOAPAction=wcf)
    assert answer.status_code == 500
    assert fault_code(answer) == "{http://schemas.xmlsoap.org/soap/envelope/}Client"
    assert "did not recognize the value of HTTP Header SOAPAction" in answer.text
    assert soap.server.state()["rejected"] == {"ActionNotSupported": 1}


@pytest.mark.parametrize(
    "content_type", ["application/json", "", "application/soap+xml", "text/xml; charset=iso-8859-1", "text/xmlx"]
)
def test_another_content_type_is_415(content_type: str, client: Callable[..., SoapClient]) -> None:
    soap = client()
    assert soap.post("GetCampaigns", "", Content_Type=content_type).status_code == 415
    assert soap.server.state()["rejected"] == {"415": 1}


def test_a_message_above_the_limit_is_413(client: Callable[..., SoapClient]) -> None:
    soap = client(max_request_bytes=2000)
    assert soap.add() == 0
    for size in (2000, 500_000):
        answer = soap.post("AddCampaignContact", sms(f"<a:Destination>{'1' * size}</a:Destination>"))
        assert answer.status_code == 413
    assert soap.server.state()["rejected"] == {"413": 2}
    assert soap.add() == 0


def test_members_can_be_made_to_get_lost(client: Callable[..., SoapClient]) -> None:
    soap = client(drop_members=frozenset({"RetryCount"}))
    assert soap.add() == 0
    assert soap.server.contacts()[0]["sms"]["retry_count"] == 0
    soap = client(drop_members=frozenset({"Destination"}), dialect="asmx")
    assert soap.add() == 0
    assert soap.server.contacts()[0]["sms"]["status"] == 0
