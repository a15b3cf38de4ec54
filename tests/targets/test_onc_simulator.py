"""The whole target against a service over a real connection: both dialects, foreign contracts, and faults."""

import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, aclosing, asynccontextmanager
from typing import Any
from uuid import UUID

import polars as pl
import pytest
from targets.onc_kit import CAMPAIGN, contacts, onc

from pipeline.config import HttpSettings
from pipeline.errors import (
    AlreadyThere,
    NotDelivered,
    OpeningRefused,
    OutcomeUnknown,
    PipelineError,
    PutOff,
    Refused,
    SessionExpired,
    TargetUnusable,
)
from pipeline.simulator import Codes, Fault, OncSettings, RunningSimulator, running
from pipeline.targets.onc.client import OncSession
from pipeline.targets.onc.target import OncTarget
from pipeline.wire import client_factory

pytestmark = pytest.mark.anyio

ROWS = [
    {"contact_id": str(UUID(int=1)), "sms": "+15145550101", "sms_text": "Hi & <b>bye</b>\r\n😀 שלום ]]>"},
    {"contact_id": str(UUID(int=2)), "voice": "+15145550102", "voice_text": ""},
    {"contact_id": str(UUID(int=3)), "email": "a&b@example.com", "sms": "+15145550103"},
]
STRANGE = {
    "namespace": "urn:strange:service",
    "contract": "IStrange",
    "service": "Strange",
    "clr_namespace": "Strange.Data",
    "path": "/a/b.svc",
    "foreign_namespace": "http://other.example.com/",
}


@pytest.fixture
def serve() -> Iterator[Callable[..., RunningSimulator]]:
    with ExitStack() as stack:
        yield lambda **settings: stack.enter_context(running(OncSettings(**settings)))


def made(simulator: RunningSimulator, **given: Any) -> OncTarget:
    """A target for a simulator, with the credentials it knows."""
    whole = {"endpoint": simulator.url, "account_id": "account", "username": "user", "password": "password", **given}
    return onc(client_factory(HttpSettings(), 5.0), **whole)


@asynccontextmanager
async def session(target: OncTarget) -> AsyncIterator[OncSession]:
    handle = await target.open()
    try:
        yield handle
    finally:
        await target.close(handle)


@pytest.mark.parametrize("dialect", ["wcf", "asmx"])
@pytest.mark.parametrize(
    "face",
    [
        {},
        {"null_style": "nil"},
        {"null_style": "absent"},
        {"foreign_namespace": "urn:not:the:wsdl"},
        {**STRANGE, "member_order": "shuffled:1"},
        {**STRANGE, "member_order": "shuffled:2", "split_wsdl": True},
        {**STRANGE, "member_order": "reversed", "soap_versions": ("1.2",)},
        {**STRANGE, "member_order": "documented", "soap_versions": ("1.2", "1.1")},
        {**STRANGE, "member_order": "alphabetical", "data_namespace": "urn:strange:service"},
    ],
    ids=lambda face: "-".join(str(value) for key, value in face.items() if key not in STRANGE) or "plain",
)
async def test_all_of_it(dialect: str, face: dict[str, Any], serve: Callable[..., RunningSimulator]) -> None:
    simulator = serve(dialect=dialect, **face)
    contract = {"wsdl": f"{simulator.url}?wsdl", "endpoint": None} if "namespace" in face else {"dialect": dialect}
    target = made(simulator, **contract)
    async with session(target) as handle:
        await target.rows.prepare(handle)
        assert [each async for each in target.lookup.contact_ids(handle)] == []
        for body in target.rows.encode(contacts(ROWS)):
            assert await target.rows.send(handle, body) == "0"
        assert {each async for each in target.lookup.contact_ids(handle)} == {row["contact_id"] for row in ROWS}
        back = {held.contact_id: held.channels async for held in target.lookup.read_back(handle, limit=1_000_000)}
        for row in ROWS:
            channels = back[row["contact_id"]]
            assert set(channels) == {name for name in ("sms", "voice", "email") if name in row}
            for name, channel in channels.items():
                assert channel.destination == row[name]
                assert (channel.text or None) == (row.get(f"{name}_text") or None)
                assert channel.retries == {"sms": 3, "voice": 4, "email": 5}[name]
                assert channel.tries
                assert channel.untouched
        assert await target.prove(handle)
        [removal] = target.lookup.encode_removal(pl.Series([ROWS[0]["contact_id"]]))
        assert await target.lookup.remove(handle, removal) == "0"
        with pytest.raises(Refused):
            await target.lookup.remove(handle, removal)
    stored = {each["id"]: each for each in simulator.contacts()}
    assert set(stored) == {row["contact_id"] for row in ROWS[1:]}
    assert stored[ROWS[2]["contact_id"]]["email"]["destination"] == "a&b@example.com"
    state = simulator.state()
    assert (state["rejected"], state["bad_session"], state["skipped_members"]) == ({}, 0, {})
    assert (state["sessions"]["opened"], state["sessions"]["closed"]) == (1, 1)


async def test_the_wrong_dialect_is_found_out(serve: Callable[..., RunningSimulator]) -> None:
    for dialect, other in (("wcf", "asmx"), ("asmx", "wcf")):
        with pytest.raises(TargetUnusable, match="does not read our messages"):
            await made(serve(dialect=dialect), dialect=other).open()


async def test_lost_members_show_in_what_is_read_back(serve: Callable[..., RunningSimulator]) -> None:
    target = made(serve(drop_members=frozenset({"Destination"})))
    async with session(target) as handle:
        assert await target.rows.send(handle, target.rows.encode(contacts(ROWS[:1]))[0]) == "0"
        async with aclosing(target.lookup.read_back(handle, limit=1_000_000)) as stream:
            held = await anext(stream)
    assert not held.channels["sms"].destination
    assert not held.channels["sms"].tries


async def test_wrong_password_unknown_campaign_too_many_sessions(serve: Callable[..., RunningSimulator]) -> None:
    simulator = serve(session_cap=1)
    with pytest.raises(OpeningRefused) as caught:
        await made(simulator, password="wrong").open()
    assert (caught.value.reason, caught.value.code) == ("code 102: The credentials are not valid.", "102")
    target = made(simulator, campaign_id=str(UUID(int=9)))
    async with session(target) as handle:
        with pytest.raises(TargetUnusable, match=r"is not known to the target: set target\.campaign_id"):
            await target.rows.prepare(handle)
        with pytest.raises(OpeningRefused, match=r"code 103: The \*\*\* has too many sessions"):
            await target.open()


@pytest.mark.parametrize(
    ("fault", "kind", "stored"),
    [
        (Fault("unavailable"), NotDelivered, False),
        (Fault("cut"), OutcomeUnknown, False),
        (Fault("cut", stored=True), OutcomeUnknown, True),
        (Fault("cut_answer", stored=True), OutcomeUnknown, True),
        (Fault("fault"), OutcomeUnknown, False),
        (Fault("fault", status=200, stored=True), OutcomeUnknown, True),
        (Fault("html", status=502), OutcomeUnknown, False),
        (Fault("html", status=200, stored=True), OutcomeUnknown, True),
        (Fault("html", status=404), NotDelivered, False),
        (Fault("busy"), PutOff, False),
        (Fault("expire"), SessionExpired, False),
    ],
    ids=lambda value: f"{value.kind}-{value.status}-{value.stored}" if isinstance(value, Fault) else None,
)
async def test_faults(
    fault: Fault, kind: type[PipelineError], stored: bool, serve: Callable[..., RunningSimulator]
) -> None:
    simulator = serve(faults=(fault,))
    target = made(simulator, codes={"transient": [901]})
    handle = await target.open()
    with pytest.raises(kind):
        await target.rows.send(handle, target.rows.encode(contacts(ROWS[:1]))[0])
    assert len(simulator.contacts()) == stored
    await handle.client.aclose()


async def test_hanging_calls_end_in_time(serve: Callable[..., RunningSimulator]) -> None:
    simulator = serve(faults=(Fault("hang"),))
    given = {"endpoint": simulator.url, "account_id": "account", "username": "user", "password": "password"}
    target = onc(client_factory(HttpSettings(), 0.2), **given)
    handle = await target.open()
    with pytest.raises(OutcomeUnknown, match="no answer in time"):
        await target.rows.send(handle, target.rows.encode(contacts(ROWS[:1]))[0])
    await handle.client.aclose()


async def test_one_code_for_everything(serve: Callable[..., RunningSimulator]) -> None:
    """Sessions end every fourth call and every third row is refused, all with one code: nothing is mistaken."""
    simulator = serve(codes=Codes.all(1), expire_after_calls=4, refuse={"00$": None})
    target = made(simulator)
    rows = [
        {"contact_id": str(UUID(int=number)), "sms": f"+1514555{number:02}{'00' if number % 3 == 0 else '01'}"}
        for number in range(1, 41)
    ]
    refused, accepted, opened = [], [], 1
    handle = await target.open()
    for row, body in zip(rows, target.rows.encode(contacts(rows)), strict=True):
        while True:
            try:
                await target.rows.send(handle, body)
                accepted.append(row["contact_id"])
            except Refused:
                refused.append(row["contact_id"])
            except SessionExpired:
                await handle.client.aclose()
                handle = await target.open()
                opened += 1
                continue
            break
    await handle.client.aclose()
    assert refused == [row["contact_id"] for row in rows if row["sms"].endswith("00")]
    assert accepted == [row["contact_id"] for row in rows if not row["sms"].endswith("00")]
    assert [each["id"] for each in simulator.contacts()] == accepted
    assert opened < 40
    assert target.learnt() == ()


async def test_what_is_learnt_is_told(serve: Callable[..., RunningSimulator]) -> None:
    simulator = serve(duplicate_ids="refuse", refuse={"9$": None})
    target = made(simulator)
    bodies = target.rows.encode(contacts([*ROWS[:2], ROWS[0] | {"sms": "+15145550109"}]))
    async with session(target) as handle:
        assert await target.rows.send(handle, bodies[0]) == "0"
        with pytest.raises(Refused):
            await target.rows.send(handle, bodies[0])
        with pytest.raises(Refused):
            await target.rows.send(handle, bodies[2])
    handle = await target.open()
    simulator.control(expire_sessions=True)
    with pytest.raises(SessionExpired):
        await target.rows.send(handle, bodies[1])
    await handle.client.aclose()
    assert target.learnt() == ('target.codes.session = ["101"]',)

    asked = simulator.state()["calls"]["GetCampaignListing"]
    target = made(simulator, codes={"session": ["101"], "duplicate": [203]})
    async with session(target) as handle:
        with pytest.raises(AlreadyThere):
            await target.rows.send(handle, bodies[0])
    assert simulator.state()["calls"]["GetCampaignListing"] == asked


async def test_null_lists(serve: Callable[..., RunningSimulator]) -> None:
    for style in ("nil", "absent"):
        target = made(serve(null_lists=True, null_style=style))
        async with session(target) as handle:
            assert not await target.prove(handle)
            with pytest.raises(OutcomeUnknown, match="answers null, which means an error"):
                [each async for each in target.lookup.contact_ids(handle)]


async def test_unreachable_and_not_tls() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    clients = client_factory(HttpSettings(), 5.0)
    with pytest.raises(NotDelivered, match=f"no connection to 127.0.0.1:{port}"):
        await onc(clients, endpoint=f"http://127.0.0.1:{port}/onc.svc").open()


async def test_tls_is_asked_of_a_server_that_has_none(serve: Callable[..., RunningSimulator]) -> None:
    simulator = serve()
    target = made(simulator, endpoint=simulator.url.replace("http:", "https:"))
    with pytest.raises((TargetUnusable, NotDelivered)):
        await target.open()


async def test_a_page_instead_of_a_service(serve: Callable[..., RunningSimulator]) -> None:
    simulator = serve(faults=(Fault("html", status=200, operation="OpenAPISession"),))
    with pytest.raises(TargetUnusable, match=r"answers HTML, not SOAP: check target\.endpoint"):
        await made(simulator).open()
    with pytest.raises(TargetUnusable, match=r"answers HTTP 40\d to a SOAP call: check target\.endpoint"):
        await made(simulator, endpoint=f"{simulator.origin}/elsewhere").open()


async def test_a_long_list_is_read_as_a_stream(serve: Callable[..., RunningSimulator]) -> None:
    from pipeline.simulator import Campaign

    target = made(serve(campaigns=(Campaign(CAMPAIGN, "Full", contacts=20_000),)))
    async with session(target) as handle:
        assert len({each async for each in target.lookup.contact_ids(handle)}) == 20_000
