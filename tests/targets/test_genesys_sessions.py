"""Sessions of agents: the document's samples read literally, what is echoed, users, and what refuses a session."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from loopback import Asked
from targets.genesys_kit import ME, OK, PASSWORD, Service, at_work, code, contact
from targets.rest_kit import CUT, Told

from pipeline.errors import (
    ConfigError,
    NotDelivered,
    OpeningRefused,
    OutcomeUnknown,
    Refused,
    SessionExpired,
    TargetUnusable,
)

pytestmark = pytest.mark.anyio


def starts(asked: list[Asked]) -> list[Any]:
    """The messages that start sessions."""
    return [each.message for each in asked if each.body and "Start" in each.message["operationName"]]


def when(operation: str, told: Told) -> Callable[[Asked], Told | None]:
    """A rule: what this operation is answered."""
    return lambda asked: told if asked.body and asked.message["operationName"] == operation else None


def at_start(told: Told) -> Callable[[Asked], Told | None]:
    return when("StartContactCenterSession", told)


SAMPLES = {
    "sample 1": ({}, '{ "operationName": "StartContactCenterSession", "channels": [ "voice" ] }'),
    "sample 2": (
        {"place": "SIP_5000", "login_code": "8000", "queue": "9000"},
        '{"operationName": "StartContactCenterSession", "place": "SIP_5000", "loginCode": "8000", "queue": "9000",'
        ' "channels": ["voice"]}',
    ),
    "sample 3": (
        {"place": "agent1", "login_code": "agent1", "agent_login_password": "password"},
        '{"operationName": "StartContactCenterSession", "channels": ["voice"], "place": "agent1",'
        ' "loginCode": "agent1", "agentLoginPassword": "password"}',
    ),
    "sample 4": (
        {"channels": ["voice", "chat"]},
        '{"channels":["voice", "chat"], "operationName":"StartContactCenterSession"}',
    ),
    "sample 5": (
        {"workmode": "ManualIn", "place": "agentl@pizza.com"},
        '{"operationName":"StartContactCenterSession", "workmode": "ManualIn", "channels":["voice"],'
        ' "place":"agentl@pizza.com"}',
    ),
    "the rest": (
        {"device_path": "/devices/1", "dynamic_phone_number": "5005"},
        '{"operationName":"StartContactCenterSession", "channels":["voice"], "devicePath": "/devices/1",'
        ' "dynamicPhoneNumber": "5005"}',
    ),
}


@pytest.mark.parametrize("sample", SAMPLES)
async def test_the_documents_requests(sample: str) -> None:
    given, printed = SAMPLES[sample]
    service = Service()
    async with at_work(service, **given) as (target, served):
        await target.close(await target.open())
    assert starts(served.asked) == [json.loads(printed)]
    assert [asked.method for asked in served.asked] == ["GET", "POST", "POST"]
    assert {asked.path for asked in served.asked} == {ME}
    assert service.ended == ["agent1"]
    assert not service.cookies, "the end of the session is the last call: it ends the HTTP session too"


@pytest.mark.parametrize("printed", ['{\n    "statusCode": 0\n}', '{\n    "statusCode": 0\ni\n'])
async def test_the_documents_answers_of_success(printed: str) -> None:
    """The second is damaged, in the document itself."""
    service = Service()
    service.rules.append(at_start(Told(printed.encode())))
    async with at_work(service) as (target, _):
        await target.open()


async def test_the_documents_answer_to_a_wrong_workmode() -> None:
    """It holds a line break inside a string, which strict JSON does not."""
    printed = (
        '{\n   "statusCode": 2,\n   "statusMessage": "Parameter \'workmode\' is invalid: \\"The specified value is not '
        'within\nvalid range\\""\n}'
    )
    service = Service()
    service.rules.append(at_start(Told(printed.encode())))
    async with at_work(service) as (target, _):
        with pytest.raises(OpeningRefused, match="code 2: Parameter 'workmode' is invalid.*within valid range") as info:
            await target.open()
    assert info.value.code == "2"


async def test_what_a_user_has_of_its_own() -> None:
    own = [
        {"username": "agent1", "password": PASSWORD, "place": "p1", "device_path": "/d/1"},
        {"username": "agent2", "password": PASSWORD, "login_code": "8002", "agent_login_password": "secret-2"},
    ]
    async with at_work(Service(2), users=own, place="p0", login_code="8000") as (target, served):
        assert target.most_sessions == 2
        await target.open()
        await target.open()
    first, second = starts(served.asked)
    assert (first["place"], first["devicePath"], first["loginCode"]) == ("p1", "/d/1", "8000")
    assert (second["place"], second["loginCode"], second["agentLoginPassword"]) == ("p0", "8002", "secret-2")
    assert "devicePath" not in second


# --- partial success ------------------------------------------------------------------------------------------

FAILED = {"statusCode": 4, "statusMessage": "Interaction Server is out of service"}
PARTIAL = {
    "by name": {"voice": {"statusCode": 0}, "chat": FAILED},
    "by longer names": {"results": {"voiceChannel": {"statusCode": 0}, "chatChannel": FAILED}},
    "in a list": {"channels": [{"channel": "voice", "statusCode": 0}, {"channel": "chat", **FAILED}]},
    "deeper": {"channels": {"chat": {"result": FAILED}}},
    "the failed one alone": {"errors": [{"name": "Chat", **FAILED}]},
}


@pytest.mark.parametrize("form", PARTIAL)
@pytest.mark.parametrize(("require", "opens"), [("all", False), (["voice"], True), (["chat"], False), ([], True)])
async def test_partial_success_is_a_matter_of_policy(form: str, require: Any, *, opens: bool) -> None:
    service = Service()
    service.rules.append(at_start(Told({"statusCode": 7, **PARTIAL[form]})))
    async with at_work(service, channels=["voice", "chat"], require=require) as (target, _):
        if opens:
            await target.open()
            return
        service.started["agent1"] = "in part"
        with pytest.raises(OpeningRefused, match="lacks chat .code 4: Interaction Server is out of service") as info:
            await target.open()
    assert info.value.code == "7"
    assert service.ended == ["agent1"], "what was opened of it is ended"


@pytest.mark.parametrize("more", [{}, {"parts": [FAILED]}])
async def test_a_required_channel_of_which_nothing_is_told_is_not_there(more: Any) -> None:
    service = Service()
    service.started["agent1"] = "in part"
    service.rules.append(at_start(Told({"statusCode": 7, **more})))
    async with at_work(service, channels=["voice", "chat"], require=["voice"]) as (target, _):
        with pytest.raises(OpeningRefused, match="lacks voice"):
            await target.open()


# --- what is echoed -------------------------------------------------------------------------------------------


async def test_token_and_cookie_are_echoed_and_the_token_taken_anew() -> None:
    service = Service()
    async with at_work(service) as (target, served):
        session = await target.open()
        service.token = "token-2"
        assert await target.send(session, target.encode(contact())[0]) == "0"
        service.token = "token-3"
        await target.close(session)
    assert len(service.records) == 1
    assert [asked.headers.get("x-echo") for asked in served.asked] == [
        None,
        "token-1",
        "token-1",  # refused
        "token-1",  # the question for another
        "token-2",
        "token-2",
        "token-2",
        "token-3",
    ]
    assert {asked.headers.get("cookie") for asked in served.asked[1:]} == {"JSESSIONID=cookie-1"}


async def test_a_service_without_tokens() -> None:
    def plain(asked: Asked) -> Told:
        return OK

    async with at_work(plain) as (target, served):
        session = await target.open()
        assert await target.prove(session)
        await target.send(session, target.encode(contact())[0])
        await target.close(session)
    assert not any("csrf" in name for asked in served.asked for name in asked.headers)


async def test_forbidden_for_good_is_for_a_person() -> None:
    service = Service()
    async with at_work(service) as (target, _):
        session = await target.open()
        service.rules.append(lambda asked: Told(b"no", 403) if asked.method == "POST" else None)
        with pytest.raises(TargetUnusable, match="HTTP 403"):
            await target.send(session, target.encode(contact())[0])


# --- no session -----------------------------------------------------------------------------------------------


async def test_a_wrong_password_is_told_and_a_changed_one_tried(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("wrong-horse")
    service = Service()

    def mend(asked: Asked) -> None:
        file.write_text(PASSWORD if mending else "wrong-horse")

    mending = False
    service.rules.append(mend)
    async with at_work(service, users=[{"username": "agent1", "password": {"file": str(file)}}]) as (target, served):
        with pytest.raises(OpeningRefused, match="HTTP 401") as info:
            await target.open()
        assert len(served.asked) == 1, "the same password is not tried twice"
        assert "horse" not in str(info.value)
        mending = True
        await target.open()
    assert len(served.asked) == 4


@pytest.mark.parametrize("number", [3, 5, 6, 8, 10, 19, 42, 20])
async def test_codes_that_refuse_a_session(number: int) -> None:
    service = Service()
    service.rules.append(at_start(code(number, f"{PASSWORD} must be changed by agent1")))
    async with at_work(service) as (target, _):
        with pytest.raises(OpeningRefused, match=rf"code {number}: \*\*\* must be changed by \*\*\*") as info:
            await target.open()
    assert info.value.code == str(number)


@pytest.mark.parametrize(
    ("told", "kind"),
    [
        (code(4), NotDelivered),
        (code(9), OutcomeUnknown),
        (Told({}), OutcomeUnknown),
        (Told(b'{"statusC'), OutcomeUnknown),
        (Told(b"x" * (1 << 20 | 1)), OutcomeUnknown),
        (CUT, OutcomeUnknown),
        (Told(b"down", 500), OutcomeUnknown),
        (Told(b"busy", 503), NotDelivered),
        (code(4, status=500), NotDelivered),
        (code(8, status=403), OpeningRefused),
        (Told(b"<html>who are you?</html>"), TargetUnusable),
        (Told(b"gone", 404), TargetUnusable),
        (Told(b"", 302, {"Location": "/login"}), TargetUnusable),
    ],
)
async def test_other_ends_of_an_opening(told: Told, kind: type[Exception]) -> None:
    service = Service()
    service.rules.append(at_start(told))
    service.started["agent1"] = "perhaps"
    async with at_work(service) as (target, _):
        with pytest.raises(kind):
            await target.open()
    assert (service.ended == ["agent1"]) == (kind is OutcomeUnknown), "what may be open is ended"


@pytest.mark.parametrize("told", [Told(b"<html></html>"), Told(b"", 404), code(8, "change it")])
async def test_where_nobody_says_who_we_are(told: Told) -> None:
    async with at_work(lambda asked: told) as (target, _):
        with pytest.raises((TargetUnusable, OpeningRefused), match=r"target.endpoint|code 8: change it"):
            await target.open()


async def test_a_secret_that_cannot_be_read_is_named() -> None:
    async with at_work(Service(), users=[{"username": "agent1", "password": {"env": "NO_SUCH"}}]) as (target, _):
        with pytest.raises(ConfigError, match=r"target.users.password .user 1.: the environment variable NO_SUCH"):
            await target.open()


# --- users ----------------------------------------------------------------------------------------------------


async def test_a_user_is_in_one_session_and_given_back_at_its_end() -> None:
    service = Service(2)
    async with at_work(service, users=2) as (target, _):
        first, second = await target.open(), await target.open()
        assert set(service.started) == {"agent1", "agent2"}
        await target.close(second)
        third = await target.open()
        assert service.twice == []
        await target.close(first)
        await target.close(third)
    assert service.ended == ["agent2", "agent1", "agent2"]


async def test_a_session_that_is_gone_gives_its_user_back_and_is_not_ended() -> None:
    """The end of a session is the end of whatever session its user has by then."""
    service = Service()
    async with at_work(service) as (target, _):
        old = await target.open()
        service.expire()
        with pytest.raises(SessionExpired):
            await target.send(old, target.encode(contact())[0])
        new = await target.open()
        with pytest.raises(SessionExpired):
            await target.send(old, target.encode(contact())[0])
        assert not await target.prove(old)
        await target.close(old)
        assert service.ended == []
        assert await target.prove(new)
        await target.send(new, target.encode(contact())[0])
        await target.close(new)
    assert service.ended == ["agent1"]


async def test_a_user_at_work_is_taken_from_the_session_that_rests_longest() -> None:
    """Sessions that are replaced may wait for answers of other calls while the new one is opened."""
    service = Service()
    async with at_work(service) as (target, _):
        old = await target.open()
        new = await target.open()
        await target.close(old)
        assert service.ended == []
        await target.send(new, target.encode(contact())[0])
        await target.close(new)
    assert service.ended == ["agent1"]


async def test_a_refused_user_is_taken_last() -> None:
    service = Service(2)
    service.users["agent1"] = "another"
    async with at_work(service, users=2) as (target, _):
        with pytest.raises(OpeningRefused):
            await target.open()
        session = await target.open()
        await target.close(session)
        await target.open()
    assert list(service.started) == ["agent2"]


async def test_sessions_that_are_gone_at_once_are_not_opened_for_ever() -> None:
    service = Service()
    service.rules.append(when("AddRecord", code(20)))
    async with at_work(service) as (target, _):
        for kind in [*[SessionExpired] * 9, TargetUnusable]:
            session = await target.open()
            with pytest.raises(kind, match=r"the session is gone|10 sessions in a row were gone"):
                await target.send(session, target.encode(contact())[0])
            service.expire()
            await target.close(session)


@pytest.mark.parametrize("times", [1, 2])
async def test_a_login_that_is_lost_at_once_is_tried_once_more(times: int) -> None:
    """The target's sessions may end between the two calls of an opening; the credentials were let in."""
    service = Service()
    lost: list[Asked] = []

    def lose(asked: Asked) -> None:
        if asked.method == "POST" and len(lost) < times:
            lost.append(asked)
            service.expire()

    service.rules.append(lose)
    async with at_work(service) as (target, served):
        if times == 1:
            await target.close(await target.open())
        else:
            with pytest.raises(OpeningRefused, match="HTTP 401"):
                await target.open()
    assert len(starts(served.asked)) == 2


async def test_an_end_that_is_refused() -> None:
    service = Service()
    service.rules.append(when("EndContactCenterSession", code(6)))
    async with at_work(service) as (target, _):
        session = await target.open()
        with pytest.raises(Refused, match="did not end the session .code 6"):
            await target.close(session)
        await target.open()


@pytest.mark.parametrize(
    ("told", "good"), [(OK, True), (Told({}), True), (code(20), False), (code(20, "", 401), False)]
)
async def test_proof(told: Told, *, good: bool) -> None:
    service = Service()
    async with at_work(service) as (target, served):
        session = await target.open()
        service.rules.append(lambda asked: told if asked.method == "GET" else None)
        assert await target.prove(session) is good
        if not good:
            assert await target.prove(session) is False
            assert len(served.asked) == 3, "one that is gone is not asked again"


@pytest.mark.parametrize(
    ("told", "kind"), [(code(4), NotDelivered), (CUT, OutcomeUnknown), (Told(b"", 403), TargetUnusable)]
)
async def test_proof_without_an_answer(told: Told, kind: type[Exception]) -> None:
    service = Service()
    async with at_work(service) as (target, _):
        session = await target.open()
        service.rules.append(lambda asked: told)
        with pytest.raises(kind):
            await target.prove(session)


async def test_nothing_told_in_confidence_is_seen() -> None:
    service = Service()
    async with at_work(service) as (target, _):
        session = await target.open()
    shown = f"{session!r} {session}"
    assert not re.search("agent1|horse|cookie|token", shown)
    assert not re.search("agent1|horse", repr(session.credentials))
    assert replace(session.credentials, password="x") != session.credentials
