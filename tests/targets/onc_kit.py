"""What the tests of the ONC target share: settings, contacts, contracts, and schemas to check envelopes with."""

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx
import polars as pl
from lxml import etree

from pipeline.config import HttpSettings, Settings
from pipeline.records import CONTACTS_SCHEMA
from pipeline.targets.onc import OncSettings, create
from pipeline.targets.onc.target import OncTarget

CAMPAIGN = "11111111-1111-4111-8111-111111111111"
ENDPOINT = "https://onc.example.com/onc.svc"
PASSWORD = "correct-horse"
DATA = Path(__file__).parent / "data"
SHIPPED = Path(create.__code__.co_filename).parent / "contracts"
FOREIGN = {
    "java": DATA / "java.wsdl",
    "bare": DATA / "bare.wsdl",
    "split": DATA / "split" / "service.wsdl",
    "rpc": DATA / "rpc.wsdl",
}
CONTRACTS = {"wcf": SHIPPED / "wcf.wsdl", "asmx": SHIPPED / "asmx.wsdl", **FOREIGN}

XS = "{http://www.w3.org/2001/XMLSchema}"
WSDL = "{http://schemas.xmlsoap.org/wsdl/}"


def settings(retries: Mapping[str, int] | None = None, **target: Any) -> Settings:
    """Settings with all three channels; `target` adds to and replaces what is needed of `[target]`."""
    whole = {
        "endpoint": ENDPOINT,
        "account_id": "acme",
        "username": "importer",
        "password": PASSWORD,
        "campaign_id": CAMPAIGN,
        **target,
    }
    counts = {"sms": 3, "voice": 4, "email": 5, **(retries or {})}
    return Settings.model_validate(
        {
            "target": OncSettings.model_validate(whole),
            "contacts": {name: {"destination": f"{{{name}}}", "retries": count} for name, count in counts.items()},
            "http": HttpSettings(),
        }
    )


def contacts(rows: Iterable[Mapping[str, Any]]) -> pl.DataFrame:
    """A frame with CONTACTS_SCHEMA; what a row does not give is null."""
    whole = [{name: row.get(name, [] if name == "fields" else None) for name in CONTACTS_SCHEMA} for row in rows]
    return pl.DataFrame(whole, schema=CONTACTS_SCHEMA)


def onc(
    clients: Callable[[], httpx.AsyncClient] | None = None, contract: Path | None = None, **given: Any
) -> OncTarget:
    """A target."""
    return create(settings(**given), clients, contract)


def answering(*answers: Any) -> Callable[[], httpx.AsyncClient]:
    """Clients that are given these answers one after the other; the last again and again. An answer is a body, a
    response, an exception to raise, or a function of the request.
    """
    waiting = list(answers)

    async def handle(request: httpx.Request) -> httpx.Response:
        answer = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        if callable(answer):
            answer = answer(request)
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, httpx.Response):
            return answer
        return httpx.Response(200, content=answer if isinstance(answer, bytes) else answer.encode())

    return lambda: httpx.AsyncClient(transport=httpx.MockTransport(handle))


def soap(inner: str) -> str:
    """An envelope of SOAP 1.1."""
    return f'<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>{inner}</s:Body></s:Envelope>'


def result(operation: str, inner: str, attributes: str = "") -> str:
    """The answer of an operation."""
    xsi = 'xmlns:i="http://www.w3.org/2001/XMLSchema-instance"'
    return soap(
        f'<{operation}Response xmlns="http://tempuri.org/" {xsi}>'
        f"<{operation}Result{attributes}>{inner}</{operation}Result></{operation}Response>"
    )


def null(operation: str) -> str:
    """The answer of an operation that gives null."""
    return result(operation, "", ' i:nil="true"')


def fault(code: str, text: str = "Something went wrong", status: int = 500) -> httpx.Response:
    """A fault of SOAP 1.1."""
    inner = f"<s:Fault><faultcode>{code}</faultcode><faultstring>{text}</faultstring></s:Fault>"
    return httpx.Response(status, content=soap(inner).encode())


OPENED = result("OpenAPISession", "<ErrorCode>0</ErrorCode><Description/><SessionId>S-1</SessionId>")
CLOSED = result("CloseAPISession", "<ErrorCode>0</ErrorCode>")
CAMPAIGNS = result("GetCampaignListing", f"<guid>{CAMPAIGN}</guid>")


def added(code: int) -> str:
    """The answer of AddCampaignContact."""
    return result("AddCampaignContact", str(code))


def operation_of(request: httpx.Request) -> str:
    """Which operation a request calls."""
    return request.headers["soapaction"].strip('"').rpartition("/")[2]


class Schemas:
    """The schemas of a WSDL for lxml's own validator, which shares nothing with what wrote the envelopes.

    `documents` gives a document by its address.
    """

    def __init__(self, wsdl: str, documents: Callable[[str], bytes], folder: Path) -> None:
        self._documents = documents
        self._folder = folder
        self._files: dict[str, Path] = {}
        self._by_namespace: dict[str, Path] = {}
        roots = self._of_wsdl(wsdl)
        imports = "".join(
            f'<xs:import namespace="{namespace}" schemaLocation="{path.name}"/>' for namespace, path in roots
        )
        whole = folder / "whole.xsd"
        whole.write_text(f'<xs:schema xmlns:xs="{XS[1:-1]}" targetNamespace="urn:whole">{imports}</xs:schema>')
        self._schema = etree.XMLSchema(etree.parse(str(whole)))

    def check(self, envelope: bytes) -> etree._Element:
        """The payload of an envelope, which must be valid; the envelope must be SOAP 1.1 or 1.2."""
        root = etree.fromstring(envelope)
        assert re.fullmatch(
            r"\{http://(schemas\.xmlsoap\.org/soap/envelope/|www\.w3\.org/2003/05/soap-envelope)\}Envelope", root.tag
        )
        (body,) = root
        assert body.tag == root.tag.replace("Envelope", "Body")
        (payload,) = body
        alone = etree.fromstring(etree.tostring(payload))
        self._schema.assertValid(alone)
        return alone

    def _of_wsdl(self, location: str) -> list[tuple[str, Path]]:
        root = etree.fromstring(self._documents(location))
        schemas = list(root.iterfind(f"{WSDL}types/{XS}schema"))
        for number, schema in enumerate(schemas):
            if namespace := schema.get("targetNamespace"):
                self._by_namespace[namespace] = self._folder / f"embedded{number}.xsd"
        found = []
        for number, schema in enumerate(schemas):
            self._link(schema, location)
            if namespace := schema.get("targetNamespace"):
                path = self._folder / f"embedded{number}.xsd"
                path.write_bytes(etree.tostring(schema))
                found.append((namespace, path))
            found += [
                (each.get("namespace"), self._folder / each.get("schemaLocation"))
                for each in schema.iterfind(f"{XS}import")
                if each.get("schemaLocation")
            ]
        for each in root.iterfind(f"{WSDL}import"):
            found += self._of_wsdl(urljoin(location, each.get("location")))
        return found

    def _link(self, schema: etree._Element, base: str) -> None:
        """Let imports and includes name files in our folder."""
        for each in [*schema.iterfind(f"{XS}import"), *schema.iterfind(f"{XS}include")]:
            if location := each.get("schemaLocation"):
                each.set("schemaLocation", self._fetch(urljoin(base, location)).name)
            elif (path := self._by_namespace.get(each.get("namespace"))) is not None:
                each.set("schemaLocation", path.name)

    def _fetch(self, location: str) -> Path:
        if location not in self._files:
            path = self._files[location] = self._folder / f"loaded{len(self._files)}.xsd"
            schema = etree.fromstring(self._documents(location))
            self._link(schema, location)
            path.write_bytes(etree.tostring(schema))
        return self._files[location]


def schemas_of(wsdl: Path, folder: Path) -> Schemas:
    """The schemas of a WSDL in a file."""
    return Schemas(wsdl.as_uri(), lambda location: Path(location.removeprefix("file://")).read_bytes(), folder)
