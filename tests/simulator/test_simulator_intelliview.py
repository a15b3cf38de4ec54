"""The simulated Intelliview NXT: the document's samples, every message of its table, its WSDL read by zeep."""

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest
import zeep
from lxml import etree
from simulator.clients import IntelliviewClient, number
from simulator.soap_client import fault_code
from zeep.transports import Transport

from pipeline.simulator import Fault, IntelliviewSettings, Simulator, running

Open = Callable[..., IntelliviewClient]

#: As the document prints them; it has an empty line between all of them.
SUCCESS = """<ResponseMessage>
<Message ID='SYN_REP_INFO_7503'/>
<Response Message='Intelliview NXT session initialization is successful'/> <Session Token='aa773e46-61d6-4597-ad35-e69f0666dbd1'/>
<Company ID='23'/>
<Version No='1.3.1.1' />
</ResponseMessage>"""  # noqa: E501
ERROR = """<ResponseMessage>
<Message ID='SYN_REP_ERROR_7509'/>
<Response Message= 'Company short name is not valid'/>
<Version No='1.3.1.1'/>
</ResponseMessage>"""

#: The table of the document.
TABLE = {
    "SYN_REPO_ERROR_5035": "Exception has occurred. Contact your Administrator",
    "SYN_REP_ERROR_5086": "Invalid user name/password",
    "SYN_REP_ERROR_7501": "Intelliview NXT session is expired or not initialized or not valid.",
    "SYN_REP_INFO_7503": "Intelliview NXT session initialization is successful",
    "SYN_REP_ERROR_7507": "Intelliview NXT session is not initialized / expired.",
    "SYN_REP_ERROR_7509": "Company short name is not valid",
    "SYN_REP_ERROR_7538": "Authentication type is not valid",
    "SYN_REP_ERROR_7539": "Application type is not valid",
}


@pytest.fixture
def client(resources: ExitStack) -> Open:
    """A client of a simulator with these settings."""

    def start(simulator: Simulator | None = None, **settings: Any) -> IntelliviewClient:
        server = resources.enter_context(running(simulator or IntelliviewSettings(**settings)))
        made = IntelliviewClient(server)
        resources.callback(made.http.close)
        return made

    return start


def said(made: IntelliviewClient, **arguments: Any) -> str:
    """The string that an opening is answered."""
    answer = etree.fromstring(made.send(made.row(**arguments)).content)
    return answer.findtext(".//{http://tempuri.org/}ivnInitializeSessionResult") or ""


@pytest.mark.parametrize(("company", "answered"), [("company", SUCCESS), ("another", ERROR)])
@pytest.mark.parametrize("form", ["escaped", "cdata"])
def test_the_samples_of_the_document(form: str, company: str, answered: str, client: Open) -> None:
    made = client(result_form=form)
    assert said(made, CompanyShortName=company) == answered
    answer = made.send(made.row(CompanyShortName="another"))
    assert (b"&lt;Message" in answer.content) == (form == "escaped")
    assert (b"<![CDATA[<ResponseMessage>" in answer.content) == (form == "cdata")


def test_every_message_of_the_table(client: Open) -> None:
    made = client()
    answers = [
        said(made),
        said(made, Password="wrong"),
        said(made, CompanyShortName="another"),
        said(made, AuthType=2),
        said(made, ApplicationType=2),
    ]
    made.open()
    closing = {"SessionToken": made.token, "CompanyID": 24, "UserName": "user", "Password": "password"}
    answers.append(made.call("ivnCloseSession", **closing))
    answers.append(made.call("ivnCloseSession", **{**closing, "SessionToken": "unknown"}))
    made.server.control(faults=["busy"])
    answers.append(said(made))
    told = {}
    for each in map(etree.fromstring, answers):
        message, response = each.find("Message"), each.find("Response")
        assert message is not None
        assert response is not None
        told[message.get("ID")] = response.get("Message")
    assert told == TABLE


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "7503"),
        ({"CompanyShortName": "NEW"}, "7503"),
        ({"Timeout": None, "Language": None, "ExtraParam": None}, "7503"),
        ({"UserName": "another"}, "5086"),
        ({"Password": None}, "5086"),
        ({"CompanyShortName": None}, "7509"),
    ],
)
def test_who_may_open_a_session(arguments: dict[str, Any], message: str, client: Open) -> None:
    made = client()
    assert made.open(**arguments) == message
    state = made.server.state()["sessions"]
    assert (state["logins"], state["open"], state["refused"]) == (1, message == "7503", message != "7503")


def test_closing(client: Open) -> None:
    made = client()
    made.open()
    assert made.close(Password="wrong") == "5086"
    assert made.close() == "7540"
    assert made.close() == "7507"
    made.server.control(lost_session=7501)
    assert made.close() == "7501"
    state = made.server.state()
    assert (state["sessions"]["closed"], state["bad_session"]) == (1, 2)
    assert made.server.rows() == []


@pytest.mark.parametrize(("timeout", "after", "message"), [(20, 1200, "7540"), (20, 1201, "7507"), (0, 10**8, "7540")])
def test_the_timeout_is_in_minutes(timeout: int, after: int, message: str, client: Open) -> None:
    now = [0.0]
    made = client(Simulator(IntelliviewSettings(), clock=lambda: now[0]))
    made.open(Timeout=timeout)
    now[0] = after
    assert made.close() == message
    assert made.server.state()["sessions"]["expired"] == (message == "7507")


def test_the_service_may_end_sessions_sooner(client: Open) -> None:
    made = client(idle_limit=60, session_cap=1)
    made.open(Timeout=0)
    assert made.open() == "5035"
    made.server.control(advance=61)
    assert made.open() == "7503"
    made.server.control(faults=["expire:operation=ivnCloseSession"])
    assert made.close() == "7507"


@pytest.mark.parametrize(
    ("quirk", "broken"),
    [("unquoted", "<Company ID=23/>"), ("stray", "<Version No='1.3.1.1' Build/>"), ("open", "1.3.1.1' />")],
)
def test_malformed_answers(quirk: str, broken: str, client: Open) -> None:
    made = client(quirks=frozenset({quirk}))
    answer = said(made)
    assert broken in answer
    assert "Token='aa773e46-61d6-4597-ad35-e69f0666dbd1'" in answer
    with pytest.raises(etree.XMLSyntaxError):
        etree.fromstring(answer)
    with pytest.raises(etree.XMLSyntaxError):
        etree.fromstring(said(made, AuthType=9))
    made.server.control(quirks=[])
    assert number(said(made)) == "7503"


@pytest.mark.parametrize("exception", ["SYN_REPO_ERROR_5035", "SYN_REP_ERROR_5035"])
def test_an_exception_has_two_names(exception: str, client: Open) -> None:
    made = client(exception_id=exception, faults=(Fault("busy"),))
    assert f"<Message ID='{exception}'/>" in said(made)


def test_a_declaration_within_the_string(client: Open) -> None:
    assert said(client(declared=True)).startswith('<?xml version="1.0" encoding="utf-8"?>\n<ResponseMessage>')


@pytest.mark.parametrize("namespace", ["http://tempuri.org/", "urn:syn", "http://syn.example/ivn"])
def test_a_client_that_knows_only_the_wsdl(namespace: str, client: Open, resources: ExitStack) -> None:
    made = client(namespace=namespace, path="/ivn/service.asmx", service="Other")
    transport = Transport(timeout=20)
    transport.session.trust_env = False
    resources.callback(transport.session.close)
    service = zeep.Client(made.server.url + "?wsdl", transport=transport).service
    answer = service.ivnInitializeSession("company", "user", "password", 20, 1, 1, "en", None)
    assert answer == SUCCESS
    token = "aa773e46-61d6-4597-ad35-e69f0666dbd1"
    assert number(service.ivnCloseSession(token, 23, "user", "password")) == "7540"
    assert made.server.state()["rejected"] == {}


def test_requests_that_are_no_calls(client: Open) -> None:
    made = client()
    for operation, arguments in (
        ("ivnInitializeSession", {"Timeout": 20, "AuthType": 1}),
        ("ivnInitializeSession", {"AuthType": "one", "ApplicationType": 1}),
        ("ivnCloseSession", {"SessionToken": "x"}),
    ):
        answer = made.send(made.request(operation, **arguments))
        assert answer.status_code == 500
        assert fault_code(answer).endswith("}Client")
    assert made.send(made.request("ivnGetReport")).status_code == 500
    whole = {"Content-Type": "text/xml", "SOAPAction": made.row().headers["SOAPAction"]}
    for headers, content in (
        ({"Content-Type": "application/json"}, b"{}"),
        ({}, b" " * 70_000),
        ({}, b"<!DOCTYPE a><a/>"),
        ({}, b"<a"),
    ):
        made.http.post(made.server.url, content=content, headers={**whole, **headers})
    assert made.server.state()["rejected"] == {
        "DeserializationFailed": 5,
        "ActionNotSupported": 1,
        "415": 1,
        "413": 1,
    }
    assert made.server.state()["sessions"]["open"] == 0


def test_pages(client: Open) -> None:
    made = client()
    for address in (made.server.url, made.server.origin):
        answer = made.http.get(address)
        assert answer.headers["content-type"].startswith("text/html")
        assert "/intelliview.asmx?wsdl" in answer.text


@pytest.mark.parametrize(
    "settings",
    [
        {"quirks": frozenset({"odd"})},
        {"lost_session": 7500},
        {"result_form": "json"},
        {"exception_id": "SYN_ERROR"},
        {"path": "ivn"},
        {"path": "/control/x"},
        {"faults": (Fault("cut", operation="AddRecord"),)},
    ],
)
def test_settings_that_make_no_sense(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        Simulator(IntelliviewSettings(**settings))
