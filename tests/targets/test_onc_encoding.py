"""Every envelope that the encoder makes is valid by the schema of its WSDL, and says what the contact says."""

from itertools import product
from pathlib import Path
from typing import Any
from uuid import UUID

import polars as pl
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from lxml import etree
from targets.onc_kit import CAMPAIGN, CONTRACTS, Schemas, contacts, onc, schemas_of

from pipeline.errors import ConfigError
from pipeline.simulator import OncSettings as SimulatorSettings
from pipeline.simulator import Simulator
from pipeline.targets.onc.target import OncTarget

VALID = [name for name in CONTRACTS if name != "rpc"]  # the wrapper of rpc is in no schema
CHANNELS = {"sms": "SMSCommInfo", "voice": "VoiceCommInfo", "email": "EmailCommInfo"}
RETRIES = {"sms": "3", "voice": "4", "email": "5"}

#: What XML 1.0 can carry; carriage returns, markup, emoji and right-to-left text are likely.
TEXTS = st.text(
    st.one_of(
        st.sampled_from("&<>\"'\r\n\t]ab😀👩\u200d👧שלום مرحبا\u202e\u2028\u0085\ue0f0\ufeff"),
        st.characters(exclude_categories=("Cs",), exclude_characters="\ufffe\uffff").filter(
            lambda character: character >= " " or character in "\t\n\r"
        ),
    ),
    max_size=40,
)
ROWS = st.fixed_dictionaries(
    {
        "contact_id": st.uuids().map(str),
        **{name: st.none() | TEXTS.filter(bool) for name in CHANNELS},
        **{f"{name}_text": st.none() | TEXTS for name in CHANNELS},
    }
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[OncTarget, Schemas]]:
    """A target and the schemas of each contract."""
    return {
        name: (
            onc(wsdl=str(path), max_message=10_000_000),
            schemas_of(path, tmp_path_factory.mktemp(name)) if name in VALID else None,
        )
        for name, path in CONTRACTS.items()
    }  # type: ignore[return-value]


def find(element: etree._Element, *names: str) -> etree._Element | None:
    """The member below, by local name whatever its case."""
    for name in names:
        found = [each for each in element if etree.QName(each).localname.lower() == name.lower()]
        assert len(found) <= 1
        if not found:
            return None
        (element,) = found
    return element


def text(element: etree._Element | None) -> str | None:
    if element is None or element.get("{http://www.w3.org/2001/XMLSchema-instance}nil") == "true":
        return None
    return element.text or ""


def assert_says(payload: etree._Element, row: dict[str, Any], session: str) -> None:
    assert text(find(payload, "sessionId")) == session
    contact = find(payload, "contact")
    assert contact is not None
    assert text(find(contact, "Id")) == row["contact_id"]
    assert text(find(contact, "CampaignId")) == CAMPAIGN
    for name, member in CHANNELS.items():
        channel = find(contact, member)
        if row.get(name) is None:
            assert channel is None or text(channel) is None
            continue
        assert channel is not None
        assert text(find(channel, "Destination")) == row[name]
        assert text(find(channel, "TextToSendOverwrite")) == row.get(f"{name}_text")
        assert text(find(channel, "RetryCount")) == RETRIES[name]
        assert text(find(channel, "StatusCode")) in (None, "0")


def all_shapes() -> list[dict[str, Any]]:
    """A contact of every shape: each channel left out, without and with a text of its own."""
    rows = []
    for number, shape in enumerate(product((None, "plain", "text"), repeat=3)):
        row: dict[str, Any] = {"contact_id": str(UUID(int=number))}
        for name, kind in zip(CHANNELS, shape, strict=True):
            row[name] = f"{name} & <{number}>" if kind else None
            row[f"{name}_text"] = "Hi ]]> \r\n שלום 😀 &amp;" if kind == "text" else None
        rows.append(row)
    return rows


@pytest.mark.parametrize("name", CONTRACTS)
def test_every_shape_is_valid_and_whole(name: str, made: dict[str, tuple[OncTarget, Schemas]]) -> None:
    target, schemas = made[name]
    rows = all_shapes()
    bodies = target.rows.encode(contacts(rows))
    assert len(bodies) == 27
    for row, body in zip(rows, bodies, strict=True):
        assert len(body) == 2
        envelope = b"S&amp;1".join(body)
        payload = schemas.check(envelope) if schemas else etree.fromstring(envelope)[0][0]
        assert_says(payload, row, "S&1")


@pytest.mark.parametrize("name", CONTRACTS)
@given(rows=st.lists(ROWS, min_size=1, max_size=5))
@hypothesis_settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_any_text_arrives_as_it_was(
    name: str, rows: list[dict[str, Any]], made: dict[str, tuple[OncTarget, Schemas]]
) -> None:
    target, schemas = made[name]
    if name == "rpc":
        return
    for row, body in zip(rows, target.rows.encode(contacts(rows)), strict=True):
        assert_says(schemas.check(b"S".join(body)), row, "S")


@given(character=st.characters())
def test_forbidden_is_what_the_parser_refuses(character: str) -> None:
    """Checked against libxml2, which knows XML 1.0 better than we do."""
    assert character.encode("utf-8", "surrogatepass")
    if "\ud800" <= character <= "\udfff":
        return
    assert_forbidden_agrees(character)


@pytest.mark.parametrize(
    "number", [0, 8, 9, 10, 11, 13, 14, 31, 32, 127, 133, 0xFFFD, 0xFFFE, 0xFFFF, 0x1FFFE, 0x10FFFF]
)
def test_forbidden_at_the_edges(number: int) -> None:
    assert_forbidden_agrees(chr(number))


def assert_forbidden_agrees(character: str) -> None:
    from pipeline.targets.soap.template import FORBIDDEN, escape

    try:
        etree.fromstring(f"<a>{'&amp;' if character == '&' else '&lt;' if character == '<' else character}</a>")
        allowed = True
    except (etree.XMLSyntaxError, ValueError):
        allowed = False
    assert pl.Series([character]).str.contains(FORBIDDEN).to_list() == [not allowed]
    try:
        escape(character)
        escaped = True
    except ValueError:
        escaped = False
    assert escaped is allowed


@pytest.mark.parametrize("dialect", ["wcf", "asmx"])
@pytest.mark.parametrize("seed", range(4))
def test_foreign_names_and_orders(dialect: Any, seed: int, tmp_path: Path) -> None:
    """WSDLs that the simulator writes: other namespaces, names and orders, whole and split."""
    simulator = Simulator(
        SimulatorSettings(
            dialect=dialect,
            namespace=f"urn:number:{seed}",
            contract=f"IContract{seed}",
            service=f"Service{seed}",
            clr_namespace=f"Vendor.Part{seed}",
            member_order=f"shuffled:{seed}",
        )
    )
    wsdl = tmp_path / "contract.wsdl"
    wsdl.write_bytes(simulator.service().wsdl("http://127.0.0.1/onc.svc"))
    target, schemas = onc(wsdl=str(wsdl)), schemas_of(wsdl, tmp_path)
    rows = all_shapes()
    for row, body in zip(rows, target.rows.encode(contacts(rows)), strict=True):
        assert_says(schemas.check(b"S".join(body)), row, "S")


def test_rows_keep_their_order() -> None:
    target = onc()
    rows = [all_shapes()[1 + number % 26] | {"contact_id": str(UUID(int=number))} for number in range(500)]
    for row, body in zip(rows, target.rows.encode(contacts(rows)), strict=True):
        assert row["contact_id"].encode() in body[1]
    assert target.rows.encode(contacts([])) == []


def test_status_is_sent_only_where_the_contract_insists() -> None:
    body = b"".join(onc().rows.encode(contacts(all_shapes()[-1:]))[0])
    assert b"StatusCode" not in body
    assert b"LastDeliveryErrorCode" not in body
    body = b"".join(onc(dialect="asmx").rows.encode(contacts(all_shapes()[-1:]))[0])
    assert body.count(b"StatusCode>0</") == 3
    assert body.count(b"LastDeliveryErrorCode>0</") == 3


def test_wcf_members_stand_in_ordinal_order() -> None:
    payload = etree.fromstring(b"S".join(onc().rows.encode(contacts(all_shapes()[-1:]))[0]))[0][0]
    contact = find(payload, "contact")
    assert contact is not None
    names = [etree.QName(each).localname for each in contact]
    assert names == ["CampaignId", "EmailCommInfo", "Id", "SMSCommInfo", "VoiceCommInfo"]
    assert [etree.QName(each).localname for each in contact[1]] == ["Destination", "RetryCount", "TextToSendOverwrite"]


def test_oversize_is_measured_in_bytes_of_the_envelope() -> None:
    target = onc(max_message=2_000)
    one = contacts([{"contact_id": str(UUID(int=1)), "sms": "+15145550123", "sms_text": ""}])
    room = 2_000 - 256 - len(b"".join(target.rows.encode(one)[0]))
    rows = [
        {"contact_id": str(UUID(int=1)), "sms": "+15145550123", "sms_text": text}
        for text in ("a" * room, "a" * (room + 1), "é" * (room // 2 + 1), "&" * (room // 5 + 1), "&" * (room // 5))
    ]
    frame = contacts([*rows, {}, {"sms_text": "x" * 5000}])
    reasons = target.rows.unfit(frame)
    assert reasons.dtype == pl.String
    assert reasons.len() == frame.height
    assert reasons.is_null().to_list() == [True, False, False, False, True, True, True]
    assert reasons[1] == "the message is 2,001 bytes; the target takes 2,000 (target.max_message)"
    assert onc().rows.unfit(frame).null_count() == frame.height
    assert onc().rows.unfit(contacts([])).len() == 0


def test_a_member_that_the_contract_lacks_is_named(tmp_path: Path) -> None:
    wsdl = tmp_path / "lacking.wsdl"
    wsdl.write_text(CONTRACTS["wcf"].read_text().replace('name="RetryCount"', 'name="Attempts"'))
    with pytest.raises(ConfigError, match=r"AddCampaignContact/contact/\w+CommInfo has no member RetryCount"):
        _ = onc(wsdl=str(wsdl)).rows
