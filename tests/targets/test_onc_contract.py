"""WSDLs: what is loaded, from where, what is compiled, and what is said about those that will not do."""

import json
import re
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import loopback
import pytest
from loopback import Handler
from targets.onc_kit import CONTRACTS, DATA, ENDPOINT, contacts, onc

from pipeline.config import HttpSettings
from pipeline.errors import ConfigError, MachineFailed, RunError, TargetUnreachable, TargetUnusable
from pipeline.simulator import OncSettings as SimulatorSettings
from pipeline.simulator import running
from pipeline.targets.onc.operations import NEEDS
from pipeline.targets.onc.settings import OncSettings
from pipeline.targets.soap.contract import Contract
from pipeline.targets.soap.documents import Documents, documents
from pipeline.targets.soap.template import mark

ROW = [{"contact_id": "22222222-2222-4222-8222-222222222222", "sms": "+15145550123", "email_text": "x"}]
THIRTEEN = (
    *("OpenAPISession", "CloseAPISession", "GetCampaignListing", "GetCampaigns", "AddCampaign", "GetCampaign"),
    *("UpdateCampaign", "DeleteCampaign", "GetCampaignContactsListing", "GetCampaignContacts", "AddCampaignContact"),
    *("UpdateCampaignContact", "DeleteCampaignContact"),
)
CAMPAIGN_MEMBERS = {
    "ID": mark("id"),
    "CreationDateUtc": "2026-11-22T00:00:00",
    "ShortName": mark("name"),
    "Description": "d",
    "IsPaused": "true",
    "ActiveFromDate": "2026-11-22T00:00:00",
    "ActiveFromTime": "0001-01-01T08:00:00",
    "ActiveToDate": "2026-11-22T00:00:00",
    "ActiveToTime": "0001-01-01T18:00:00",
    "OutboundSMSNotificationInfo": {"Enabled": "true", "FromNumber": "1", "TextToSend": "t"},
    "OutboundVoiceNotificationInfo": {
        "Enabled": "false",
        "DialMsTimeout": "1",
        "CallingName": "n",
        "CallingNumber": "1",
        "TextToSpeak": "t",
        "TTSVoiceName": "v",
        "MaxTextPlays": "1",
        "MaxDeliveryRetries": "2",
        "RetryMinutesInterval": "3",
    },
    "OutboundEmailNotificationInfo": {"Enabled": "true", "FromEmail": "f", "Subject": "s", "HtmlContent": "h"},
    "AllowAddingContactsFromExternalApps": "true",
    "SmsNotificationRequired": "false",
    "VoiceNotificationRequired": "false",
    "EmailNotificationRequired": "false",
    "ProgressWSEndpoint": "p",
}


def load(path: Path) -> Contract:
    found = Documents("file:///contract/x.wsdl", "target.wsdl: x.wsdl", lambda location: path.read_bytes())
    return Contract.load(found, NEEDS)


@pytest.mark.parametrize("dialect", ["wcf", "asmx"])
def test_the_shipped_contracts_have_all_that_is_documented(dialect: str) -> None:
    contract = load(CONTRACTS[dialect])
    for operation in THIRTEEN:
        request = contract.request(operation, {}, [])
        assert request.result == f"{operation}Result"
        prefix = "http://tempuri.org/" + ("IOutboundNotifications/" if dialect == "wcf" else "")
        assert request.headers == {
            "Content-Type": "text/xml; charset=utf-8",
            "SOAPAction": f'"{prefix}{operation}"',
        }
    for operation in ("AddCampaign", "UpdateCampaign"):
        wanted: Any = {"sessionId": mark("session"), "campaign": CAMPAIGN_MEMBERS}
        assert set(contract.request(operation, wanted, ["session", "id", "name"]).template.names) == {
            "session",
            "id",
            "name",
        }


@pytest.mark.parametrize(
    ("name", "address", "media_type"),
    [
        ("java", "http://notify.example.com/eleven", "text/xml"),
        ("bare", "https://example.com/bare", "application/soap+xml"),
        ("split", "http://example.com/split", "text/xml"),
        ("rpc", "http://example.com/rpc", "text/xml"),
    ],
)
def test_the_wsdl_rules(name: str, address: str, media_type: str, tmp_path: Path) -> None:
    settings = OncSettings.model_validate(_target(wsdl=str(CONTRACTS[name])))
    with documents(settings.wsdl, CONTRACTS[name], HttpSettings(), None) as found:
        contract = Contract.load(found, NEEDS)
    assert contract.address == address
    headers = contract.request("AddCampaignContact", {}, []).headers
    assert headers["Content-Type"].startswith(media_type)
    assert ("SOAPAction" in headers) is (media_type == "text/xml")


def _target(**given: Any) -> dict[str, Any]:
    return {
        "endpoint": ENDPOINT,
        "account_id": "a",
        "username": "u",
        "password": "p",
        "campaign_id": "11111111-1111-4111-8111-111111111111",
        **given,
    }


def edited(tmp_path: Path, name: str, *edits: tuple[str, str]) -> Path:
    text = CONTRACTS[name].read_text()
    for pattern, replacement in edits:
        text, count = re.subn(pattern, replacement, text, flags=re.DOTALL)
        assert count, pattern
    path = tmp_path / "contract.wsdl"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("edits", "message"),
    [
        (
            [(r'<wsdl:operation name="(AddCampaignContact|GetCampaign)">.*?</wsdl:operation>', "")],
            r"lacks GetCampaign, AddCampaignContact: it must be the WSDL of the Outbound Notifications service",
        ),
        ([(r"<wsdl:service.*</wsdl:service>", "")], r"names no SOAP service over HTTP"),
        ([(r"<wsdl:binding .*</wsdl:binding>", "")], r"names no SOAP service over HTTP"),
        ([(r"^.*$", "<html><body>Service</body></html>")], r"(is no WSDL that can be read|names no SOAP service)"),
        (
            [(r"^.*$", "You have created a service.")],
            r"is no WSDL that can be read.*\(for the address of a service add",
        ),
        ([(r"^.*$", "")], r"is no WSDL that can be read"),
        ([(r"<wsdl:types>", "<wsdl:types><broken>")], r"is no WSDL that can be read"),
        ([(r'type="d:CommunicationInfo"', 'type="d:Missing"')], r"is no WSDL that can be read"),
        ([(r"<wsdl:definitions", "<!DOCTYPE a><wsdl:definitions")], r"is no WSDL that can be read: .*DTD"),
        (
            [(r"<wsdl:definitions", '<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/passwd">]><wsdl:definitions')],
            r"is no WSDL that can be read",
        ),
        ([(r'name="TextToSendOverwrite"', 'name="Text"')], r"has no member TextToSendOverwrite, which we send"),
        (
            [
                (
                    r'(<xs:element name="GetCampaignListing)Result"([^>]*>)',
                    r'\1One"\2<xs:element name="Two" type="xs:int"/>',
                )
            ],
            r"does not say which member of its answer is the result of GetCampaignListing",
        ),
        ([(r'name="sessionId"', 'name="token"')], r"has no member sessionId, which we send"),
        ([(r'name="Destination" type="xs:string"', 'name="Destination" type="xs:boolean"')], r"do not carry text"),
        (
            [(r'name="Destination" type="xs:string"', 'name="Destination" type="d:OpenAPISessionResponse"')],
            r"has no mem",
        ),
        (
            [(r"<wsdl:types>", '<wsdl:import namespace="urn:x" location="http://127.0.0.1:9/x.wsdl"/><wsdl:types>')],
            r"refers to http://127.0.0.1:9/x.wsdl, which is not a file beside or below it: download it to there",
        ),
        (
            [(r"<wsdl:types>", '<wsdl:import namespace="urn:x" location="../x.wsdl"/><wsdl:types>')],
            r"not a file beside",
        ),
        (
            [(r"<wsdl:types>", '<wsdl:import namespace="urn:x" location="/etc/passwd"/><wsdl:types>')],
            r"not a file beside",
        ),
        (
            [(r"<wsdl:types>", '<wsdl:import namespace="urn:x" location="%2e%2e/x.wsdl"/><wsdl:types>')],
            r"not a file beside",
        ),
        (
            [(r"<wsdl:types>", '<wsdl:import namespace="urn:x" location="more.wsdl"/><wsdl:types>')],
            r"refers to more.wsdl, which cannot be read: No such file",
        ),
    ],
)
def test_what_is_said_of_a_wsdl_that_will_not_do(edits: list[tuple[str, str]], message: str, tmp_path: Path) -> None:
    wsdl = edited(tmp_path, "wcf", *edits)
    with pytest.raises(ConfigError) as caught:
        _ = onc(wsdl=str(wsdl)).rows
    (problem,) = caught.value.problems
    assert problem.startswith(f"target.wsdl: {wsdl}")
    assert re.search(message, problem, re.DOTALL)
    assert "\n" not in problem


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    shutil.copytree(DATA / "split", inside)
    shutil.move(inside / "types", outside)
    (inside / "types").symlink_to(outside)
    with pytest.raises(ConfigError, match="not a file beside or below it"):
        onc(wsdl=str(inside / "service.wsdl"))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none.wsdl: cannot be read: No such file"):
        onc(wsdl=str(tmp_path / "none.wsdl"))


def test_without_any_address(tmp_path: Path) -> None:
    wsdl = edited(tmp_path, "wcf")
    with pytest.raises(ConfigError, match=r"target\.endpoint: is missing, and the WSDL names no http address: set it"):
        onc(wsdl=str(wsdl), endpoint=None)
    onc(wsdl=str(CONTRACTS["split"]), endpoint=None)


def test_the_run_keeps_a_copy_and_reads_it_alone(tmp_path: Path) -> None:
    folder = tmp_path / "spaces and ümlauts"
    shutil.copytree(DATA / "split", folder)
    copy = tmp_path / "run" / "contract"
    first = onc(wsdl=str(folder / "service.wsdl"), contract=copy).rows.encode(contacts(ROW))
    shutil.rmtree(folder)
    assert onc(wsdl=str(folder / "service.wsdl"), contract=copy).rows.encode(contacts(ROW)) == first
    # A package that ships another contract, another dialect: the run goes on with its own.
    assert onc(contract=copy).rows.encode(contacts(ROW)) == first
    assert stat.S_IMODE(copy.stat().st_mode) == 0o700
    files = sorted(copy.iterdir())
    assert [each.name for each in files] == [
        "00.wsdl", "01.xsd", "02.xsd", "03.xsd", "04.xsd", "index.json",
    ]  # fmt: skip
    assert {stat.S_IMODE(each.stat().st_mode) for each in files} == {0o600}
    assert str(tmp_path) not in (copy / "index.json").read_text()


def test_the_shipped_contract_is_copied_too(tmp_path: Path) -> None:
    body = onc(dialect="asmx", contract=tmp_path).rows.encode(contacts(ROW))
    assert onc(dialect="wcf", contract=tmp_path).rows.encode(contacts(ROW)) == body


def test_no_copy_of_what_could_not_be_used(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    wsdl = edited(tmp_path, "wcf", (r"<wsdl:service.*</wsdl:service>", ""))
    with pytest.raises(ConfigError):
        onc(wsdl=str(wsdl), contract=copy)
    assert not copy.exists()
    wsdl.write_bytes(CONTRACTS["wcf"].read_bytes())
    onc(wsdl=str(wsdl), contract=copy)


@pytest.mark.parametrize(
    "damage",
    [
        lambda copy: (copy / "index.json").write_text("{"),
        lambda copy: (copy / "index.json").write_text("[]"),
        lambda copy: (copy / "00.wsdl").unlink(),
        lambda copy: (copy / "index.json").write_text(
            json.dumps({"root": "a", "documents": {"a": "../../../../etc/passwd"}})
        ),
    ],
)
def test_a_damaged_copy(damage: Callable[[Path], Any], tmp_path: Path) -> None:
    onc(contract=tmp_path)
    damage(tmp_path)
    with pytest.raises(MachineFailed, match=r"is damaged\. Start a new run."):
        onc(contract=tmp_path)


def test_documents_without_end() -> None:
    counter = iter(range(1000))

    def endless(location: str) -> bytes:
        return (
            CONTRACTS["wcf"]
            .read_bytes()
            .replace(
                b"<wsdl:types>",
                b'<wsdl:import namespace="urn:%d" location="%d.wsdl"/><wsdl:types>' % ((next(counter),) * 2),
            )
        )

    with pytest.raises(ConfigError, match="is made of more than 64 documents"):
        Contract.load(Documents("file:///contract/x.wsdl", "x", endless), NEEDS)
    with pytest.raises(ConfigError, match="larger than 8,388,608 bytes"):
        Contract.load(Documents("file:///contract/x.wsdl", "x", lambda location: b" " * (8 * 1024 * 1024 + 1)), NEEDS)


def test_soap_encoding_is_not_fetched(tmp_path: Path) -> None:
    """zeep asks for this schema by itself."""
    wsdl = edited(
        tmp_path,
        "wcf",
        (r'name="FromNumber" type="xs:string"', 'name="FromNumber" type="e:string"'),
        (r"<wsdl:definitions", '<wsdl:definitions xmlns:e="http://schemas.xmlsoap.org/soap/encoding/"'),
    )
    with pytest.raises(ConfigError, match=r"refers to http://schemas\.xmlsoap.org/soap/encoding/, which is not a file"):
        onc(wsdl=str(wsdl))


# --- by URL ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("split", [False, True])
def test_a_wsdl_by_url_gives_the_address_too(split: bool, tmp_path: Path) -> None:
    with running(SimulatorSettings(split_wsdl=split, namespace="urn:far", path="/deep/onc.svc")) as simulator:
        target = onc(wsdl=f"{simulator.url}?wsdl", endpoint=None, contract=tmp_path)
        body = target.rows.encode(contacts(ROW))
    assert len(list(tmp_path.iterdir())) == (6 if split else 2)
    # The server is gone: what is left is the copy.
    assert onc(wsdl=f"{simulator.url}?wsdl", endpoint=None, contract=tmp_path).rows.encode(contacts(ROW)) == body
    with pytest.raises(TargetUnreachable, match=r"no connection to 127.0.0.1:\d+: .*Try again later."):
        onc(wsdl=f"{simulator.url}?wsdl")


@contextmanager
def web(status: int, content: bytes = b"", headers: dict[str, str] | None = None) -> Iterator[str]:
    class Answering(Handler):
        def respond(self) -> None:
            where = self.asked().path == "/wsdl"
            body = content if where else CONTRACTS["wcf"].read_bytes()
            self.answer(status if where else 200, (headers or {}).items(), body)

    with loopback.serving(Answering) as origin:
        yield f"{origin}/wsdl"


@pytest.mark.parametrize(
    ("status", "kind", "message"),
    [
        (401, TargetUnusable, r"is not given to us \(HTTP 401\): save it as a file and set target.wsdl to that"),
        (404, ConfigError, r"is not there \(HTTP 404\): check the address"),
        (503, TargetUnreachable, r"cannot be had now \(HTTP 503\). Try again later."),
    ],
)
def test_a_wsdl_that_is_not_given(status: int, kind: type[RunError], message: str) -> None:
    with web(status) as url, pytest.raises(kind, match=message):
        onc(wsdl=url)


def test_a_wsdl_that_has_moved() -> None:
    with web(302, headers={"Location": "/elsewhere"}) as url:
        onc(wsdl=url)


def test_a_wsdl_from_the_web_refers_to_no_file() -> None:
    content = CONTRACTS["wcf"].read_bytes()
    imported = b'<wsdl:import namespace="urn:x" location="file:///etc/passwd"/><wsdl:types>'
    with (
        web(200, content.replace(b"<wsdl:types>", imported)) as url,
        pytest.raises(ConfigError, match="refers to file:///etc/passwd, which is no http address"),
    ):
        onc(wsdl=url)
