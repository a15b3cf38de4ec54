"""What is sent to change one member of a campaign: everything else as the service had told it, along any WSDL."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date, time
from pathlib import Path
from typing import Any

import httpx
import pytest
from lxml import etree
from targets.onc_kit import CAMPAIGN, CLOSED, OPENED, SHIPPED, answering, operation_of, result, schemas_of, settings

from pipeline.targets.onc import Campaign, SmsInfo, create
from pipeline.targets.soap.answers import Unreadable
from pipeline.targets.soap.moments import day, time_of_day

pytestmark = pytest.mark.anyio

#: Members that no document knows, as a service may have grown them.
GROWN = (
    '<xs:element name="ProgressWSEndpoint" type="xs:string" minOccurs="0" {nil}/>',
    '<xs:element name="ProgressWSEndpoint" type="xs:string" minOccurs="0" {nil}/>'
    '<xs:element name="Priority" type="xs:int" minOccurs="0"/>'
    '<xs:element name="Tags" type="{p}:Tags" minOccurs="0" {nil}/>'
    '<xs:element name="Owner" type="{p}:Owner" minOccurs="0" {nil}/>'
    '<xs:element name="Zone" type="xs:string" minOccurs="0" {nil}/>'
    '<xs:element name="Note" type="xs:string" minOccurs="0" {nil}/>',
)
TYPES = (
    '<xs:complexType name="Tags"><xs:sequence><xs:element name="string" type="xs:string" minOccurs="0" '
    'maxOccurs="unbounded"/></xs:sequence></xs:complexType>'
    '<xs:complexType name="Owner"><xs:sequence><xs:element name="Name" type="xs:string" minOccurs="0"/>'
    '<xs:element name="Since" type="xs:date" minOccurs="0"/></xs:sequence></xs:complexType>'
)

#: As a service may tell it: its own order and namespaces, zones, blanks, entities, null, empty and untold members.
TOLD = (
    f"<ID>{CAMPAIGN}</ID><CreationDateUtc>2026-01-02T03:04:05.1234567Z</CreationDateUtc>"
    "<ShortName>  Spring &amp; &lt;co&gt;&#13;\n 2026 </ShortName><Description/>"
    "<IsPaused>false</IsPaused>"
    "<ActiveFromDate>2026-12-01T00:00:00-05:00</ActiveFromDate><ActiveFromTime>1900-01-01T09:00:00.5</ActiveFromTime>"
    "<ActiveToDate>2026-12-24T00:00:00</ActiveToDate><ActiveToTime>0001-01-01T00:00:00</ActiveToTime>"
    '<OutboundSMSNotificationInfo><Enabled>true</Enabled><FromNumber i:nil="true"/><TextToSend> Hi </TextToSend>'
    "</OutboundSMSNotificationInfo>"
    '<OutboundVoiceNotificationInfo i:nil="true"/>'
    "<OutboundEmailNotificationInfo><Enabled>true</Enabled><Subject></Subject>"
    "<HtmlContent>&lt;p&gt;a &amp;amp; b&lt;/p&gt;</HtmlContent></OutboundEmailNotificationInfo>"
    "<Priority>7</Priority><Tags><string> a </string><string/><string>b&amp;c</string></Tags>"
    '<Owner><Since>2020-02-02+01:00</Since><Name>Ö</Name></Owner><Zone i:nil="true"/>'
    "<Unheard>of</Unheard>"
)


def grown(folder: Path, dialect: str, *edits: tuple[str, str]) -> Path:
    """A contract of the package with more members."""
    text = (SHIPPED / f"{dialect}.wsdl").read_text()
    nil, prefix = ('nillable="true"', "d") if dialect == "wcf" else ('maxOccurs="1"', "tns")
    before, after = (each.format(nil=nil, p=prefix) for each in GROWN)
    types = '<xs:complexType name="OutboundNotificationCampaignInfo">'
    for old, new in ((before, after), (types, TYPES + types), *edits):
        assert old in text, old
        text = text.replace(old, new)
    path = folder / f"{dialect}.wsdl"
    path.write_text(text)
    return path


async def updated(wsdl: Path, told: str, change: Callable[[Campaign], Campaign], **given: Any) -> bytes:
    """The envelope of UpdateCampaign after this change of what was told."""
    sent: list[bytes] = []

    def answer(request: httpx.Request) -> str:
        operation = operation_of(request)
        if operation == "UpdateCampaign":
            sent.append(request.content)
            return result(operation, "0")
        return {"OpenAPISession": OPENED, "CloseAPISession": CLOSED}.get(operation) or result("GetCampaign", told)

    target = create(settings(wsdl=str(wsdl), **given), answering(answer), None)
    async with target.client.session() as session:
        held = await session.campaign(CAMPAIGN)
        assert held is not None
        await session.update_campaign(change(held))
    [envelope] = sent
    return envelope


def plain(element: Any) -> Any:
    """An element without namespaces: text, None for nil, or members by name, in no order."""
    if any(etree.QName(name).localname == "nil" and value == "true" for name, value in element.attrib.items()):
        return None
    if not len(element):
        return element.text or ""
    names = [etree.QName(each).localname for each in element]
    if len(set(names)) < len(names):
        return [(name, plain(each)) for name, each in zip(names, element, strict=True)]
    return dict(zip(names, map(plain, element), strict=True))


def as_told(told: str = TOLD) -> dict[str, Any]:
    found = plain(etree.fromstring(f'<x xmlns:i="http://www.w3.org/2001/XMLSchema-instance">{told}</x>'))
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("dialect", ["wcf", "asmx"])
async def test_nothing_else_is_changed(dialect: str, tmp_path: Path) -> None:
    wsdl = grown(tmp_path, dialect)
    envelope = await updated(wsdl, TOLD, lambda held: replace(held, paused=True))
    payload = schemas_of(wsdl, tmp_path).check(envelope)
    sent = plain(payload[1])
    expected = as_told() | {"IsPaused": "true"}
    del expected["Unheard"]  # the WSDL has no place for it
    if dialect == "asmx":  # null is what is left out there, and these are required
        for gone in ("OutboundVoiceNotificationInfo", "Zone"):
            del expected[gone]
        del expected["OutboundSMSNotificationInfo"]["FromNumber"]
        expected |= dict.fromkeys(
            ("AllowAddingContactsFromExternalApps", "SmsNotificationRequired", "VoiceNotificationRequired",
             "EmailNotificationRequired"), "false",
        )  # fmt: skip
    assert sent == expected
    assert list(sent)[:2] == (["ActiveFromDate", "ActiveFromTime"] if dialect == "wcf" else ["ID", "CreationDateUtc"])


async def test_what_is_changed(tmp_path: Path) -> None:
    def change(held: Campaign) -> Campaign:
        assert held.sms is not None
        return replace(
            held,
            name=None,
            from_date=date(2027, 1, 2),
            from_time=time(8),
            to_date=None,
            to_time=time(21, 15),
            sms=replace(held.sms, from_number="", text=None),
            email=None,
        )

    sent = plain(etree.fromstring(await updated(grown(tmp_path, "wcf"), TOLD, change))[0][0][1])
    expected = as_told() | {
        "ShortName": None,
        "ActiveFromDate": "2027-01-02T00:00:00-05:00",  # the zone that it had
        "ActiveFromTime": "1900-01-01T08:00:00",  # the day that it had
        "ActiveToTime": "0001-01-01T21:15:00",
        "OutboundSMSNotificationInfo": {"Enabled": "true", "FromNumber": "", "TextToSend": None},
        "OutboundEmailNotificationInfo": None,
    }
    del expected["Unheard"], expected["ActiveToDate"]  # left out it is not set
    assert sent == expected


async def test_a_block_that_was_null(tmp_path: Path) -> None:
    told = f'<ID>{CAMPAIGN}</ID><OutboundSMSNotificationInfo i:nil="true"/>'
    envelope = await updated(
        grown(tmp_path, "wcf"), told, lambda held: replace(held, sms=SmsInfo(enabled=True, text="Hi"))
    )
    assert plain(etree.fromstring(envelope)[0][0][1]) == {
        "ID": CAMPAIGN,
        "OutboundSMSNotificationInfo": {"Enabled": "true", "TextToSend": "Hi"},
    }


@pytest.mark.parametrize(
    ("xsd", "written", "unset"),
    [
        (("dateTime", "dateTime"), ("2026-12-01T00:00:00", "0001-01-01T09:30:00"), None),
        (("date", "time"), ("2026-12-01", "09:30:00"), None),
        (("date", "duration"), ("2026-12-01", "PT9H30M"), None),
        (("string", "string"), ("2026-12-01", "09:30:00"), None),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else "",
)
async def test_dates_and_times_as_the_wsdl_has_them(
    xsd: tuple[str, str], written: tuple[str, str], unset: None, tmp_path: Path
) -> None:
    edits = [
        (f'name="Active{which}{what}" type="xs:dateTime"', f'name="Active{which}{what}" type="xs:{kind}"')
        for which in ("From", "To")
        for what, kind in zip(("Date", "Time"), xsd, strict=True)
    ]
    wsdl = grown(tmp_path, "wcf", *edits)
    told = f"<ID>{CAMPAIGN}</ID>"

    def change(held: Campaign) -> Campaign:
        assert (held.from_date, held.from_time) == (unset, unset)
        return replace(held, from_date=date(2026, 12, 1), from_time=time(9, 30))

    envelope = await updated(wsdl, told, change)
    assert plain(schemas_of(wsdl, tmp_path).check(envelope)[1]) == {
        "ID": CAMPAIGN, "ActiveFromDate": written[0], "ActiveFromTime": written[1]
    }  # fmt: skip
    told += f"<ActiveFromDate>{written[0]}</ActiveFromDate><ActiveFromTime>{written[1]}</ActiveFromTime>"

    def again(held: Campaign) -> Campaign:
        assert (held.from_date, held.from_time) == (date(2026, 12, 1), time(9, 30))
        return replace(held, from_time=time(10, 0, 1))

    envelope = await updated(wsdl, told, again)
    sent = plain(schemas_of(wsdl, tmp_path).check(envelope)[1])
    assert sent["ActiveFromDate"] == written[0]
    assert time_of_day(_element(sent["ActiveFromTime"])) == time(10, 0, 1)


async def test_the_day_of_a_time_is_a_setting(tmp_path: Path) -> None:
    envelope = await updated(
        grown(tmp_path, "wcf"),
        f"<ID>{CAMPAIGN}</ID>",
        lambda held: replace(held, to_time=time(0)),
        time_day="1900-01-01",
    )
    assert plain(etree.fromstring(envelope)[0][0][1])["ActiveToTime"] == "1900-01-01T00:00:00"


def _element(text: str) -> Any:
    element = etree.Element("x")
    element.text = text
    return element


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("09:30:00", time(9, 30)),
        ("09:30", time(9, 30)),
        (" 09:30:00.25Z ", time(9, 30, 0, 250_000)),
        ("09:30:00-05:00", time(9, 30)),
        ("24:00:00", time(0)),
        ("2026-12-01T09:30:00.1234567", time(9, 30, 0, 123_456)),
        ("0001-01-01T09:30:00", time(9, 30)),
        ("0001-01-01T00:00:00", None),
        ("0001-01-01T00:00:00.0000000Z", None),
        ("1900-01-01T00:00:00", time(0)),
        ("PT9H30M", time(9, 30)),
        ("PT34200S", time(9, 30)),
        ("PT0S", time(0)),
        ("P1D", time(0)),
        ("", None),
        ("P", Unreadable),
        ("PT", Unreadable),
        ("PT25H", Unreadable),
        ("-PT1H", Unreadable),
        ("25:00:00", Unreadable),
        ("noon", Unreadable),
    ],
)
def test_times_of_day_are_read(text: str, found: Any) -> None:
    if found is Unreadable:
        with pytest.raises(Unreadable):
            time_of_day(_element(text))
    else:
        assert time_of_day(_element(text)) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("2026-12-01", date(2026, 12, 1)),
        ("2026-12-01Z", date(2026, 12, 1)),
        ("2026-12-01T23:59:59-11:00", date(2026, 12, 1)),
        (" 2026-12-01T00:00:00 ", date(2026, 12, 1)),
        ("0001-01-01T00:00:00", None),
        ("0001-01-01", None),
        ("", None),
        ("2026-13-01", Unreadable),
        ("1.12.2026", Unreadable),
    ],
)
def test_dates_are_read(text: str, found: Any) -> None:
    if found is Unreadable:
        with pytest.raises(Unreadable):
            day(_element(text))
    else:
        assert day(_element(text)) == found
