"""Answers: null in its forms and "none" kept apart, whatever namespaces, orders and spaces a peer answers with."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree
from targets.onc_kit import soap

from pipeline.targets.soap import answers
from pipeline.targets.soap.answers import Presence, SoapFault, Unreadable
from pipeline.targets.soap.listing import ListReader

NAME = "GetCampaignListingResult"
XSI = 'xmlns:i="http://www.w3.org/2001/XMLSchema-instance"'
IDS = ["11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"]


def payload(inner: str) -> "etree._Element":
    return answers.envelope_payload(soap(f'<R xmlns="urn:any" {XSI}>{inner}</R>').encode(), answers.parser())


def value(text: str, attributes: str = "") -> "etree._Element":
    found = answers.result(payload(f"<V{attributes}>{text}</V>"), "V")
    assert found is not None
    return found


PRESENCES = [
    ("", Presence.ABSENT),
    (f"<Other/><{NAME}Not/>", Presence.ABSENT),
    (f'<{NAME} i:nil="true"/>', Presence.NIL),
    (f'<{NAME} i:nil=" 1 "></{NAME}>', Presence.NIL),
    (f'<{NAME} xmlns:z="urn:wrong" z:nil="true"/>', Presence.NIL),
    (f"<{NAME}/>", Presence.EMPTY),
    (f'<{NAME} i:nil="false"/>', Presence.EMPTY),
    (f"<{NAME}>\n  \t</{NAME}>", Presence.EMPTY),
    (f"<{NAME}><!-- none --></{NAME}>", Presence.EMPTY),
    (f"<{NAME}><guid>{IDS[0]}</guid></{NAME}>", Presence.ITEMS),
    (f'<Before/><x:{NAME} xmlns:x="urn:strange"> <x:guid>{IDS[0]}</x:guid></x:{NAME}><After/>', Presence.ITEMS),
    (f"<{NAME.lower()}><guid>{IDS[0]}</guid></{NAME.lower()}>", Presence.ITEMS),
]


@pytest.mark.parametrize(("inner", "expected"), PRESENCES)
def test_null_and_none_are_four_things(inner: str, expected: Presence) -> None:
    assert answers.presence(answers.result(payload(inner), NAME)) is expected
    assert read(soap(f'<R xmlns="urn:any" {XSI}>{inner}</R>').encode())[1] is expected


def test_only_nil_and_absent_are_null() -> None:
    assert [each for each in Presence if each.null] == [Presence.NIL, Presence.ABSENT]


def test_text_in_place_of_a_list_is_neither() -> None:
    with pytest.raises(Unreadable, match="text where a list"):
        answers.presence(answers.result(payload(f"<{NAME}>none</{NAME}>"), NAME))
    with pytest.raises(Unreadable, match="text where a list"):
        read(soap(f"<R><{NAME}>none</{NAME}></R>").encode())


def test_a_bare_answer_is_the_result_itself() -> None:
    bare = answers.envelope_payload(soap(f"<{NAME}><guid>x</guid></{NAME}>").encode(), answers.parser())
    assert answers.result(bare, None) is bare
    assert answers.result(bare, NAME) is bare


@pytest.mark.parametrize(
    ("text", "expected"), [("0", 0), (" 17\n", 17), ("-2147483648", -2147483648), ("+5", 5), ("007", 7)]
)
def test_integers(text: str, expected: int) -> None:
    assert answers.integer(value(text)) == expected


@pytest.mark.parametrize("text", ["", "one", "1.0", "0x1", "1 2", "٣", "12345678901", "<a>1</a>", "1<a/>"])
def test_what_is_no_integer(text: str) -> None:
    with pytest.raises(Unreadable):
        answers.integer(value(text))


@pytest.mark.parametrize(
    ("text", "expected"), [("true", True), ("1", True), ("false", False), (" 0 ", False), ("True", True)]
)
def test_booleans(text: str, expected: bool) -> None:
    assert answers.boolean(value(text)) is expected
    with pytest.raises(Unreadable):
        answers.boolean(value("yes"))


@given(st.uuids(), st.booleans(), st.sampled_from(["{%s}", "%s", " %s\n"]), st.booleans())
def test_guids(guid: object, upper: bool, form: str, hyphens: bool) -> None:
    text = str(guid) if hyphens else str(guid).replace("-", "")
    assert answers.guid(value(form % (text.upper() if upper else text))) == str(guid)


@pytest.mark.parametrize("text", ["", "x", IDS[0][:-1], "{" + IDS[0], IDS[0].replace("-", "", 1), IDS[0] + "0"])
def test_what_is_no_guid(text: str) -> None:
    with pytest.raises(Unreadable):
        answers.guid(value(text))


@given(
    st.datetimes(min_value=datetime(2, 1, 1)),  # noqa: DTZ001 - zones come below
    st.integers(0, 7),
    st.sampled_from([None, "Z", "+05:30", "-08:00"]),
)
def test_dates(moment: datetime, digits: int, zone: str | None) -> None:
    fraction = f"{moment.microsecond:06}3"[:digits]
    text = moment.strftime("%Y").rjust(4, "0") + moment.strftime("-%m-%dT%H:%M:%S")
    text += (f".{fraction}" if fraction else "") + (zone or "")
    kept = int(fraction[:6].ljust(6, "0")) if fraction else 0
    offsets = {"Z": UTC, "+05:30": timezone(timedelta(hours=5, minutes=30)), "-08:00": timezone(-timedelta(hours=8))}
    expected = moment.replace(microsecond=kept, tzinfo=offsets.get(zone or ""))
    assert answers.moment(value(text)) == expected


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00", "0001-01-01T00:00:00Z", "0001-01-01T08:30:00.0000000+14:00"])
def test_the_year_one_is_unset(text: str) -> None:
    assert answers.moment(value(text)) is None


@pytest.mark.parametrize(
    "text", ["", "today", "2026-13-01T00:00:00", "2026-11-22T25:00:00", "2026-11-22T10:00:00.12345678"]
)
def test_what_is_no_date(text: str) -> None:
    with pytest.raises(Unreadable):
        answers.moment(value(text))


def test_null_values() -> None:
    nil = value("", ' i:nil="true"')
    for read_value in (answers.text, answers.integer, answers.boolean, answers.guid, answers.moment):
        assert read_value(None) is None
        assert read_value(nil) is None
    assert answers.text(value("")) == ""
    assert answers.text(value(" a&amp;&#13;<![CDATA[<b>]]> ")) == " a&\r<b> "


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nothing",
        b"<html><body/></html>",
        b"<Envelope/>",
        b"<Envelope><Body/></Envelope>",
        soap("<R/>").encode()[:-3],
        b"\xff\xfe\x00",
        b"<!DOCTYPE Envelope>" + soap("<R/>").encode(),
        b'<!DOCTYPE a [<!ENTITY e "x">]>' + soap("<R>&e;</R>").encode(),
        b'<!DOCTYPE a SYSTEM "file:///etc/passwd">' + soap("<R/>").encode(),
    ],
)
def test_what_is_no_soap(body: bytes) -> None:
    with pytest.raises(Unreadable):
        answers.envelope_payload(body, answers.parser())
    with pytest.raises(Unreadable):
        read(body)


def test_other_encodings_are_read() -> None:
    text = f'<?xml version="1.0" encoding="utf-16"?>{soap("<R><V>7</V></R>")}'
    found = answers.envelope_payload(text.encode("utf-16"), answers.parser())
    assert answers.integer(answers.result(found, "V")) == 7


ELEVEN = "<s:Fault><faultcode{}>{}</faultcode><faultstring>{}</faultstring></s:Fault>"
TWELVE = (
    "<s:Fault><s:Code><s:Value>s:Sender</s:Value><s:Subcode><s:Value>{}</s:Value></s:Subcode></s:Code>"
    "<s:Reason><s:Text>{}</s:Text></s:Reason>"
    "<s:Detail><Value>a:ActionNotSupported</Value></s:Detail></s:Fault>"
)


@pytest.mark.parametrize(
    ("fault", "code", "mismatch"),
    [
        (ELEVEN.format("", "a:ActionNotSupported", ""), "ActionNotSupported", True),
        (ELEVEN.format("", "a:DeserializationFailed", ""), "DeserializationFailed", True),
        (ELEVEN.format("", "s:VersionMismatch", ""), "VersionMismatch", True),
        (ELEVEN.format("", "s:MustUnderstand", ""), "MustUnderstand", True),
        (ELEVEN.format("", "a:InternalServiceFault", "ActionNotSupported"), "InternalServiceFault", False),
        (ELEVEN.format("", "s:Client", "It went wrong"), "Client", False),
        (
            ELEVEN.format("", "soap:Client", "Server did not recognize the value of HTTP Header SOAPAction: x."),
            "Client",
            True,
        ),
        (ELEVEN.format("", "soap:Client", "Server was unable to read request. ---&gt; x"), "Client", True),
        (ELEVEN.format("", "soap:Server", "Server was unable to process request."), "Server", False),
        (ELEVEN.format("", "a:+1514&lt;b&gt;5550123 x" + "y" * 200, ""), ("1514b5550123x" + "y" * 200)[:80], False),
        ("<s:Fault/>", "unnamed", False),
        (TWELVE.format("a:DeserializationFailed", ""), "DeserializationFailed", True),
        (TWELVE.format("a:Busy", "ActionNotSupported"), "Busy", False),
    ],
)
def test_faults(fault: str, code: str, mismatch: bool) -> None:
    for call in (lambda body: answers.envelope_payload(body, answers.parser()), read):
        with pytest.raises(SoapFault) as caught:
            call(soap(fault).encode())
        assert (caught.value.code, caught.value.mismatch) == (code, mismatch)
        assert str(caught.value) == code


# --- lists as a stream ----------------------------------------------------------------------------------------


def read(body: bytes, name: str | None = NAME, size: int = 7) -> tuple[list[str | None], Presence]:
    """A list, read in pieces of `size` bytes."""
    reader = ListReader(name)
    items: list[str | None] = []
    for start in range(0, len(body), size):
        items += [answers.text(item) for item in reader.feed(body[start : start + size])]
    items += [answers.text(item) for item in reader.close()]
    return items, reader.presence


@given(st.lists(st.uuids().map(str), max_size=20), st.integers(1, 200), st.sampled_from(["", "\n    "]))
def test_a_list_in_pieces(ids: list[str], size: int, space: str) -> None:
    items = "".join(f"{space}<a:guid>{each}</a:guid>" for each in ids)
    body = soap(
        f'<s:R>{space}<Noise><guid>no</guid></Noise><{NAME} xmlns:a="urn:a">{items}{space}</{NAME}>{space}</s:R>{space}'
    )
    body = body.replace("<s:Body>", f"<s:Header><{NAME}><guid>no</guid></{NAME}></s:Header>{space}<s:Body>")
    assert read(body.encode(), size=size) == (ids, Presence.ITEMS if ids else Presence.EMPTY)


def test_a_list_that_is_the_answer_itself() -> None:
    assert read(soap("<R><guid>1</guid><guid>2</guid></R>").encode(), None) == (["1", "2"], Presence.ITEMS)
    assert read(soap("<R/>").encode(), None) == ([], Presence.EMPTY)
    assert read(soap(f'<R {XSI} i:nil="true"/>').encode(), None) == ([], Presence.NIL)


@given(st.integers(0, 399))
def test_a_list_that_breaks_off_is_never_whole(cut: int) -> None:
    body = soap(f"<R><{NAME}>{''.join(f'<guid>{each}</guid>' for each in IDS)}</{NAME}></R>").encode()
    if cut < len(body):
        with pytest.raises(Unreadable):
            read(body[:cut])


def test_two_lists_are_none() -> None:
    with pytest.raises(Unreadable, match="more than one list"):
        read(soap(f"<R><{NAME}/><{NAME}/></R>").encode())


def test_a_null_list_with_items_is_none() -> None:
    for items in ("<guid>1</guid>", "<guid>1</guid>" * 3):
        with pytest.raises(Unreadable, match="null list with items"):
            read(soap(f'<R {XSI}><{NAME} i:nil="true">{items}</{NAME}></R>').encode())


def test_an_envelope_somewhere_else_is_none() -> None:
    for body in (f"<html>{soap(f'<R><{NAME}/></R>')}</html>", "<html>" + "x" * 100_000):
        with pytest.raises(Unreadable, match="not SOAP"):
            read(body.encode(), size=1000)


def test_a_list_of_any_length_takes_no_memory() -> None:
    """Counted in elements of the tree that are still there."""
    reader = ListReader(NAME)
    head, _, tail = soap(f"<R><{NAME}>|</{NAME}></R>").partition("|")
    list(reader.feed(head.encode()))
    found = 0
    for _ in range(100):
        for item in reader.feed(b" <guid>11111111-1111-4111-8111-111111111111</guid>" * 50):
            found += 1
            parent = item.getparent()
            assert parent is not None
            assert len(parent) <= 51  # what one piece held, and the last of the piece before
    list(reader.feed(tail.encode()))
    assert found + len(list(reader.close())) == 5000
