"""Intelliview NXT over loopback: sessions opened, proven as far as that goes, closed; and what is said where not."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from lxml import etree
from pydantic import ValidationError
from targets.intelliview_server import CLOSED, COMPANY, FAILED, OPENED, PASSWORD, USER, Habits, serving
from targets.onc_kit import answering, fault, schemas_of, soap

from pipeline.config import ContactsSettings, Settings
from pipeline.errors import (
    ConfigError,
    NotDelivered,
    OpeningRefused,
    OutcomeUnknown,
    PipelineError,
    Refused,
    TargetUnusable,
)
from pipeline.sessions import SessionPool
from pipeline.targets import module
from pipeline.targets.intelliview.settings import IntelliviewSettings
from pipeline.targets.intelliview.target import IntelliviewSession, IntelliviewTarget
from pipeline.wire import client_factory

pytestmark = pytest.mark.anyio

SHIPPED = Path(module("intelliview").create.__code__.co_filename).parent / "contracts" / "asmx.wsdl"
NEEDED = {"endpoint": "http://127.0.0.1:9/ivn.asmx", "company": COMPANY, "username": USER, "password": PASSWORD}


def settings(**target: Any) -> Settings:
    made = IntelliviewSettings.model_validate({**NEEDED, **target})
    return Settings.model_validate({"target": made, "contacts": ContactsSettings.unmapped()})


def ivn(clients: Callable[[], httpx.AsyncClient] | None = None, **target: Any) -> IntelliviewTarget:
    given = settings(**target)
    made = module("intelliview").create(given, clients or client_factory(given.http, 10.0), None)
    assert isinstance(made, IntelliviewTarget)
    return made


def answer(told: str, operation: str = "ivnInitializeSession") -> str:
    escaped = told.replace("&", "&amp;").replace("<", "&lt;")
    return soap(f"<{operation}Response><{operation}Result>{escaped}</{operation}Result></{operation}Response>")


#: Words that tell back what we told in confidence.
TOLD_BACK = f"{PASSWORD.replace('&', '&amp;').replace('<', '&lt;')} of {USER}"

OPEN = answer(OPENED.replace("{token}", "T-1"))


# --- sessions -----------------------------------------------------------------------------------------------------


HABITS = {
    "as shipped": Habits(),
    "cdata": Habits(wrapping="cdata"),
    "cdata and a declaration": Habits(wrapping="cdata", declaration='<?xml version="1.0" encoding="utf-16"?>\r\n'),
    "declaration": Habits(declaration='<?xml version="1.0"?>'),
    "another namespace": Habits(namespace="urn:ivn:services:v3", prefix="ns2"),
    "escaped twice": Habits(wrapping="twice"),
    "elements": Habits(wrapping="elements"),
    "another order": Habits(
        opened="<ResponseMessage><Version No='2'/><Company Name='x' ID='23'/><Session Token='{token}'/><Later/>"
        "<Response Message=''/><Message ID='SYN_REP_INFO_7503'/></ResponseMessage>"
    ),
    "malformed": Habits(
        opened=OPENED.replace("</ResponseMessage>", "").replace("successful", "successful & <fine>"),
        closed=CLOSED.replace("<ResponseMessage>", ""),
    ),
}


@pytest.mark.parametrize("habits", HABITS.values(), ids=HABITS)
async def test_a_session_is_opened_and_closed(habits: Habits) -> None:
    with serving(habits) as service:
        target = ivn(endpoint=service.url)
        handle = await target.open()
        assert service.sessions == {handle.token} == set(service.tokens)
        assert await target.prove(handle)
        await target.close(handle)
        assert service.sessions == set()
        assert handle.client.is_closed
    assert repr(handle) == str(handle) == "IntelliviewSession()"
    opening = {"CompanyShortName": COMPANY, "UserName": USER, "Password": PASSWORD, "Timeout": "20"}
    opening |= {"AuthType": "1", "ApplicationType": "1", "Language": "en"}
    closing = {"SessionToken": handle.token, "CompanyID": "23", "UserName": USER, "Password": PASSWORD}
    assert service.requests == [("ivnInitializeSession", opening), ("ivnCloseSession", closing)]
    assert [headers["soapaction"] for headers in service.headers] == [
        '"http://tempuri.org/ivnInitializeSession"',
        '"http://tempuri.org/ivnCloseSession"',
    ]


async def test_what_is_sent_is_valid_by_the_contract(tmp_path: Path) -> None:
    schemas = schemas_of(SHIPPED, tmp_path)
    with serving() as service:
        target = ivn(endpoint=service.url, extra_param="x", timeout=0, language="fr")
        await target.close(await target.open())
    opening, _ = [schemas.check(envelope.encode()) for envelope in service.envelopes]
    assert [etree.QName(member).localname for member in opening] == [
        "CompanyShortName",
        "UserName",
        "Password",
        "Timeout",
        "AuthType",
        "ApplicationType",
        "Language",
        "ExtraParam",
    ]
    assert [member.text for member in opening][3:] == ["0", "1", "1", "fr", "x"]


async def test_the_services_own_wsdl_decides_how_messages_look(tmp_path: Path) -> None:
    """Another namespace, SOAP 1.2, parameters in another order and an address."""
    with serving(Habits(namespace="urn:ivn:own", prefix="q", version="1.2")) as service:
        text = SHIPPED.read_text(encoding="utf-8").replace("http://tempuri.org/", "urn:ivn:own")
        text = text.replace("http://schemas.xmlsoap.org/wsdl/soap/", "http://schemas.xmlsoap.org/wsdl/soap12/")
        text = text.replace('location=""', f'location="{service.url}"')
        language = re.search(r' *<xs:element name="Language".*\n', text)
        assert language is not None
        text = text.replace(language[0], "").replace("<xs:sequence>\n", f"<xs:sequence>\n{language[0]}", 1)
        (tmp_path / "own.wsdl").write_text(text, encoding="utf-8")
        target = ivn(endpoint=None, wsdl=str(tmp_path / "own.wsdl"))
        await target.close(await target.open())
    assert next(iter(service.requests[0][1])) == "Language"
    assert service.headers[0]["content-type"].startswith("application/soap+xml")
    assert 'xmlns:n0="urn:ivn:own"' in service.envelopes[0]


async def test_the_close_as_the_document_spells_it(tmp_path: Path) -> None:
    with serving() as service:
        own = tmp_path / "own.wsdl"
        own.write_text(
            SHIPPED.read_text(encoding="utf-8").replace("ivnCloseSession", "ivnCloseSesion"), encoding="utf-8"
        )
        target = ivn(endpoint=service.url, wsdl=str(own))
        await target.close(await target.open())
        assert service.sessions == set()
    assert service.requests[1][0] == "ivnCloseSesion"


async def test_secrets_are_read_anew_and_a_changed_one_is_tried_once(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("old")
    seen: list[str] = []

    def refuse(request: httpx.Request) -> str:
        seen.append(request.content.decode())
        secret.write_text("new")
        return answer(FAILED.format(number=5086, words="no"))

    handle = await ivn(answering(refuse, OPEN), password={"file": str(secret)}).open()
    assert handle.credentials["password"] == "new"
    assert ">old<" in seen[0]
    await handle.client.aclose()
    with pytest.raises(OpeningRefused, match=r"^SYN_REP_ERROR_5086: no$") as caught:
        await ivn(answering(refuse), password={"file": str(secret)}).open()
    assert caught.value.code == "SYN_REP_ERROR_5086"
    assert len(seen) == 2, "the same password is not tried again"


async def test_a_password_that_changed_meanwhile_closes_the_session(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text(PASSWORD)
    with serving() as service:
        target = ivn(endpoint=service.url, password={"file": str(secret)})
        handle = await target.open()
        service.password = "next"
        secret.write_text("next")
        await target.close(handle)
        assert service.sessions == set()


@pytest.mark.parametrize(
    ("told", "kind", "message"),
    [
        (FAILED.format(number=5035, words="Oh."), OutcomeUnknown, r"exception \(SYN_REP_ERROR_5035: Oh\)"),
        (FAILED.replace("REP_", "REPO_").format(number=5035, words="x"), OutcomeUnknown, "SYN_REPO_ERROR_5035"),
        (FAILED.format(number=5086, words="Invalid user"), OpeningRefused, "5086: Invalid user"),
        (FAILED.format(number=7501, words="x"), NotDelivered, "7501"),
        (FAILED.format(number=7507, words="x"), NotDelivered, "7507"),
        (FAILED.format(number=7509, words="Not valid."), TargetUnusable, r"7509: Not valid\): set target\.company\."),
        (FAILED.format(number=7538, words=""), TargetUnusable, r"target\.auth_type"),
        (FAILED.format(number=7539, words=""), TargetUnusable, r"target\.application_type"),
        (FAILED.format(number=1234, words="New"), OpeningRefused, "1234: New"),
        (OPENED.replace("INFO", "ERROR"), OpeningRefused, "SYN_REP_ERROR_7503"),
        (OPENED.replace("'{token}'", "''"), TargetUnusable, "success without a session token and a company id"),
        (OPENED.replace("<Company ID='23'/>", ""), TargetUnusable, "success without a session token and a company id"),
        ("<ResponseMessage/>", OutcomeUnknown, "no id"),
        ("", OutcomeUnknown, "empty"),
        ("x" * 70_000, OutcomeUnknown, "longer"),
        (FAILED.format(number=5086, words=TOLD_BACK), OpeningRefused, r"\*\*\* of \*\*\*"),
    ],
)
async def test_what_is_said_of_a_session_that_does_not_open(told: str, kind: type[PipelineError], message: str) -> None:
    with pytest.raises(kind, match=message) as caught:
        await ivn(answering(answer(told))).open()
    assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "kind", "message"),
    [
        (soap("<ivnInitializeSessionResponse/>"), OutcomeUnknown, "answers null"),
        (OPEN[:-9], OutcomeUnknown, "not XML"),
        (httpx.Response(200, html="<html></html>"), TargetUnusable, "answers HTML, not SOAP"),
        (httpx.Response(404), TargetUnusable, "HTTP 404"),
        (httpx.Response(503), NotDelivered, "busy"),
        (fault("soap:Client", "Bad value of HTTP Header SOAPAction"), TargetUnusable, "target.wsdl"),
        (fault("soap:Server"), OutcomeUnknown, "fault"),
        (httpx.ReadTimeout("x"), OutcomeUnknown, "no answer in time"),
        (b"x" * (2 << 20), OutcomeUnknown, "larger than"),
    ],
)
async def test_what_is_said_of_an_answer_that_is_none(given: Any, kind: type[PipelineError], message: str) -> None:
    with pytest.raises(kind, match=message):
        await ivn(answering(given)).open()


@pytest.mark.parametrize(
    ("told", "kind"),
    [
        (FAILED.format(number=7501, words="expired"), Refused),
        (FAILED.format(number=7507, words="expired"), Refused),
        (FAILED.format(number=5086, words="no"), Refused),
        (FAILED.format(number=5035, words="oops"), OutcomeUnknown),
        ("garbage", OutcomeUnknown),
    ],
)
async def test_a_session_that_is_not_closed(told: str, kind: type[PipelineError]) -> None:
    target = ivn(answering(OPEN, answer(told, "ivnCloseSession")))
    handle = await target.open()
    with pytest.raises(kind) as caught:
        await target.close(handle)
    assert handle.client.is_closed
    assert "T-1" not in str(caught.value)


async def test_a_session_counts_as_good_until_its_time_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [1000.0]
    target, endless = ivn(answering(OPEN), timeout="1h"), ivn(answering(OPEN), timeout=0)
    monkeypatch.setattr("pipeline.targets.intelliview.target.anyio.current_time", lambda: clock[0])
    handle, other = await target.open(), await endless.open()
    clock[0] += 3599
    assert await target.prove(handle)
    clock[0] += 1
    assert not await target.prove(handle)
    assert await endless.prove(other)
    await handle.client.aclose()
    await other.client.aclose()


async def test_the_pool_replaces_a_session_before_its_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as service:
        given = settings(endpoint=service.url, timeout=10)
        target = ivn(endpoint=service.url, timeout=10)
        pool: SessionPool[IntelliviewSession] = SessionPool(target, 1, 1, given.sessions)
        async with pool.lease() as lease:
            assert lease is not None
            first = await lease.handle()
            now = anyio.current_time()
            monkeypatch.setattr("pipeline.sessions.anyio.current_time", lambda: now + 7.9 * 60)
            assert await lease.handle() is first
            monkeypatch.setattr("pipeline.sessions.anyio.current_time", lambda: now + 8 * 60)
            second = await lease.handle()
            assert service.sessions == {second.token}
        await pool.aclose()
        assert service.sessions == set()
    assert (pool.counts.opened, pool.counts.renewed, pool.counts.closed) == (2, 1, 2)


async def test_a_session_that_had_expired_is_told_when_it_is_closed() -> None:
    with serving() as service:
        pool = SessionPool(ivn(endpoint=service.url), 1, 1, settings().sessions)
        async with pool.lease():
            service.expire()
        await pool.aclose()
    assert (pool.counts.opened, pool.counts.closed, pool.counts.expired) == (1, 0, 1)


async def test_a_session_without_end_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    ivn(timeout=0)
    assert "sessions.never_end" in caplog.text
    caplog.clear()
    ivn()
    assert caplog.text == ""


# --- settings -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"timeout": -1}, "greater than or equal to 0"),
        ({"timeout": "90s"}, "whole number of minutes"),
        ({"timeout": "soon"}, "a duration is"),
        ({"timeout": 1.5}, "integer"),
        ({"auth_type": "one"}, "integer"),
        ({"language": "English"}, "pattern"),
        ({"company": ""}, "is empty"),
        ({"endpoint": "ivn.example.com"}, "http or https address"),
        ({"endpoint": None}, "endpoint is missing: set target.endpoint"),
        ({"campaign_id": "x"}, "Extra inputs"),
    ],
)
def test_mistakes(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        settings(**given)


def test_an_address_must_stand_somewhere() -> None:
    with pytest.raises(ConfigError, match=r"target\.endpoint: is missing"):
        ivn(endpoint=None, wsdl=str(SHIPPED))


def test_a_secret_that_xml_cannot_carry_is_named() -> None:
    with pytest.raises(ConfigError, match=r"target\.password: holds a character"):
        anyio.run(ivn(password="a\x01").open)
