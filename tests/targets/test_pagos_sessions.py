"""Dedicated sessions and the bearer token: the document's samples, one renewal for all, and when it is final."""

import json
from pathlib import Path
from typing import Any

import anyio
import pytest
from loopback import Asked
from targets.pagos_kit import (
    APPLICATION,
    NO_TOKEN,
    NONE,
    SECRET,
    TOKEN,
    Service,
    at,
    at_work,
    contacts,
    failure,
)
from targets.rest_kit import CUT, Told

from pipeline.errors import ConfigError, NotDelivered, OpeningRefused, OutcomeUnknown, Refused, TargetUnusable

pytestmark = pytest.mark.anyio

SUCCESS = b"""{
       "SessionId": "25eae3ae-755e-4b3c-aa48-d7f096f6a2a7",
       "Success": true,
       "Messages": []
}"""
NOT_VALID_TOKEN = b"""{
       "SessionId": "00000000-0000-0000-0000-000000000000",
       "Success": false,
       "InvalidToken": true,
       "Messages": [
             "The requested resource is restricted and your request did not provide a valid token."
       ]
}"""
NOT_VALID_APPLICATION = b"""{
       "SessionId": "00000000-0000-0000-0000-000000000000",
       "Success": false,
       "InvalidToken": false,
       "Messages": [
             "The requested application is invalid."
       ]
}"""


# --- the document's samples -----------------------------------------------------------------------------------


async def test_success() -> None:
    def answers(asked: Asked) -> Told:
        return Told(SUCCESS, headers={"Content-Type": "application/json; charset=utf-8"})

    async with at_work(answers) as (target, served):
        session = await target.open()
        await target.close(session)
    opened, closed = served.asked
    assert (opened.method, opened.path) == ("POST", "/Api/Applications/OpenDedicatedSession")
    assert opened.headers["authorization"] == f"Bearer {TOKEN}"
    assert opened.headers["content-type"] == "application/json"
    assert opened.message == json.loads('{"ApplicationKey": "a4dcfb4f0464453b928ce1d6bcfb6aa3"}')
    assert closed.path == "/Api/Applications/CloseDedicatedSession"
    assert closed.message == {"SessionId": "25eae3ae-755e-4b3c-aa48-d7f096f6a2a7", "ApplicationKey": APPLICATION}
    assert "25eae3ae" not in repr(session)


async def test_a_token_that_is_not_valid_is_final() -> None:
    async with at_work(lambda asked: Told(NOT_VALID_TOKEN)) as (target, served):
        for _ in range(3):
            with pytest.raises(TargetUnusable, match=r"your request did not provide a valid token. Check target.token"):
                await target.open()
    assert len(served.asked) == 1, "a login that failed is not repeated"


async def test_an_application_that_is_not_valid() -> None:
    async with at_work(lambda asked: Told(NOT_VALID_APPLICATION)) as (target, _):
        with pytest.raises(OpeningRefused, match=r"^The requested application is invalid.$"):
            await target.open()


# --- other answers to an opening ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "kind"),
    [
        (Told({"SessionId": "25eae3ae-755e-4b3c-aa48-d7f096f6a2a7"}), OpeningRefused),
        (Told({"Success": "true", "SessionId": "25eae3ae-755e-4b3c-aa48-d7f096f6a2a7"}), OpeningRefused),
        (Told({"Success": False, "Messages": None}), OpeningRefused),
        (Told({"Success": True, "SessionId": NONE}), TargetUnusable),
        (Told({"Success": True}), TargetUnusable),
        (Told({"Success": True, "SessionId": 'x"y'}), TargetUnusable),
        (Told(b"<html>"), TargetUnusable),
        (Told(b""), TargetUnusable),
        (Told(b'{"Success": tr'), OutcomeUnknown),
        (Told(b"no", 404), TargetUnusable),
        (Told(b"no", 403), TargetUnusable),
        (Told(b"", 401), TargetUnusable),
        (Told(b"", 500), OutcomeUnknown),
        (Told(b"", 503), NotDelivered),
        (CUT, OutcomeUnknown),
    ],
)
async def test_other_ends_of_an_opening(told: Told, kind: type[Exception]) -> None:
    async with at_work(at("OpenDedicatedSession", told)) as (target, _):
        with pytest.raises(kind):
            await target.open()


async def test_names_in_another_case_are_read() -> None:
    told = Told({"success": True, "sessionId": "abc", "messages": []})
    async with at_work(at("OpenDedicatedSession", told)) as (target, _):
        assert (await target.open()).token == b"abc"


async def test_messages_are_shown_without_secrets() -> None:
    told = Told(failure(f"{TOKEN} may not use {APPLICATION}, call +1 514 555 0123 or a@example.com"))
    async with at_work(at("OpenDedicatedSession", told)) as (target, _):
        with pytest.raises(OpeningRefused, match=r"^\*\*\* may not use \*\*\*, call \[number\] or \[mail\]$"):
            await target.open()


async def test_messages_that_put_an_opening_off() -> None:
    told = Told(failure("Too many users, try again later"))
    async with at_work(at("OpenDedicatedSession", told), messages={"transient": ["TOO many"]}) as (target, _):
        with pytest.raises(NotDelivered):
            await target.open()


async def test_a_close_that_is_refused() -> None:
    service = Service()
    async with at_work(service) as (target, _):
        session = await target.open()
        service.sessions.clear()
        with pytest.raises(Refused, match="did not close the session .The requested session is invalid"):
            await target.close(session)


# --- the token ------------------------------------------------------------------------------------------------


async def test_a_token_that_is_given_is_read_anew(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("old\n")
    service = Service()
    async with at_work(service, token={"file": str(file)}) as (target, served):

        def mend(asked: Asked) -> None:
            file.write_text(f"{TOKEN}\n")

        service.rules.append(mend)
        await target.open()
        service.rules.clear()
        assert [asked.headers["authorization"] for asked in served.asked] == ["Bearer old", f"Bearer {TOKEN}"]
        file.write_text("newer")
        service.tokens = {"newer"}
        await target.open()
        assert len(served.asked) == 3, "it is read at every opening"
        file.write_text("a b")
        with pytest.raises(ConfigError, match=r"target.token: holds a character that no header can carry"):
            await target.open()


@pytest.mark.parametrize("client_auth", ["body", "basic"])
async def test_a_token_is_fetched_once_for_all(client_auth: str) -> None:
    service = Service()
    seen: list[Asked] = []

    def look(asked: Asked) -> Told | None:
        if asked.path != "/connect/token":
            return None
        seen.append(asked)
        if client_auth == "basic":
            service.tokens.add("t")
            return Told({"access_token": "t"})
        return None

    service.rules.append(look)
    given = {"fetches": True, "scope": "api", "client_auth": client_auth}
    async with at_work(service, **given) as (target, _), anyio.create_task_group() as group:
        for _ in range(8):
            group.start_soon(target.open)
    [asked] = seen
    assert asked.headers["content-type"] == "application/x-www-form-urlencoded"
    if client_auth == "body":
        assert service.fetched == [
            {"grant_type": "client_credentials", "scope": "api", "client_id": "importer", "client_secret": SECRET}
        ]
    else:
        assert asked.headers["authorization"] == "Basic aW1wb3J0ZXI6Y29ycmVjdC1ob3JzZQ=="
        assert SECRET.encode() not in asked.body
    assert len(service.sessions) == 8


async def test_one_renewal_however_many_notice() -> None:
    service = Service()
    async with at_work(service, fetches=True) as (target, _):
        sessions = [await target.open() for _ in range(8)]
        bodies = target.encode(contacts(*([f"+1514555{n:04}", "Ann"] for n in range(8))))
        for renewals in (2, 3):
            service.tokens.clear()
            async with anyio.create_task_group() as group:
                for session, body in zip(sessions, bodies, strict=True):
                    group.start_soon(target.send, session, body)
            assert len(service.fetched) == renewals
    assert len(service.records) == 16, "no row is lost by it"


async def test_a_token_that_was_renewed_and_is_not_taken_is_final() -> None:
    service = Service()
    async with at_work(service, fetches=True) as (target, served):
        session = await target.open()
        service.rules.append(lambda asked: Told(NO_TOKEN) if "/Api/" in asked.path else None)
        [body] = target.encode(contacts(["+15145550123", "Ann"]))
        with pytest.raises(TargetUnusable, match=r"only just renewed .*target.client_id and target.client_secret"):
            await target.send(session, body)
        asked = len(served.asked)
        for call in (target.send(session, body), target.prove(session), target.open()):
            with pytest.raises(TargetUnusable):
                await call
        assert len(served.asked) == asked, "nothing is asked any more"
    assert len(service.fetched) == 2


async def test_client_credentials_that_are_refused_are_final() -> None:
    service = Service()
    async with at_work(service, fetches=True, client_secret="wrong-horse") as (target, _):
        for _ in range(3):
            with pytest.raises(TargetUnusable, match=r"refuses our client credentials .invalid_client") as info:
                await target.open()
            assert "horse" not in str(info.value)
    assert len(service.fetched) == 1


async def test_client_credentials_that_changed_are_tried(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("wrong-horse")
    service = Service()

    def mend(asked: Asked) -> None:
        file.write_text(SECRET)

    service.rules.append(mend)
    async with at_work(service, fetches=True, client_secret={"file": str(file)}) as (target, _):
        await target.open()
    assert [form["client_secret"] for form in service.fetched] == ["wrong-horse", SECRET]


@pytest.mark.parametrize(
    ("told", "kind"),
    [
        (Told(b"", 503, {"Retry-After": "3"}), NotDelivered),
        (Told(b"", 500), NotDelivered),
        (CUT, NotDelivered),
        (Told(b"<html>"), TargetUnusable),
        (Told({"access_token": ""}), TargetUnusable),
        (Told({"access_token": "a\nb"}), TargetUnusable),
        (Told(b"", 404), TargetUnusable),
    ],
)
async def test_other_ends_of_a_fetch(told: Told, kind: type[Exception]) -> None:
    service = Service()
    service.rules.append(at("token", told))
    async with at_work(service, fetches=True) as (target, _):
        with pytest.raises(kind) as info:
            await target.open()
        assert getattr(info.value, "retry_after", None) == (3 if told.status == 503 else None)
        service.rules.clear()
        if kind is NotDelivered:
            await target.open()


# --- proof ----------------------------------------------------------------------------------------------------


async def test_proof_calculates_and_saves_nothing() -> None:
    service = Service()
    async with at_work(service) as (target, served):
        session = await target.open()
        await target.prepare(session)
        assert await target.prove(session)
        service.sessions.clear()
        assert not await target.prove(session)
    assert served.asked[-1].message == {
        "ApplicationKey": APPLICATION,
        "SessionId": service.opened[0],
        "Inputs": [],
        "Outputs": [],
        "SaveInformation": {"Save": False},
    }
    assert service.records == []


@pytest.mark.parametrize("given", [{}, {"proof": False}])
async def test_where_proof_tells_nothing_it_proves_nothing(given: Any) -> None:
    service = Service(idles=False)
    async with at_work(service, **given) as (target, served):
        session = await target.open()
        await target.prepare(session)
        assert await target.prove(session)
    assert len(served.asked) == (1 if given else 3)


async def test_proof_without_an_answer() -> None:
    service = Service()
    async with at_work(service) as (target, _):
        session = await target.open()
        service.rules.append(at("GetResult", CUT))
        with pytest.raises(OutcomeUnknown):
            await target.prove(session)
