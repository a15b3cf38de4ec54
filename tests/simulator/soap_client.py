"""A SOAP client of a few lines: it sends exactly what a test wrote, and reads answers with lxml."""

import re
import socket
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import httpx
from lxml import etree

from pipeline.simulator import RunningSimulator
from pipeline.simulator.onc.contract import Contract

CAMPAIGN = "11111111-1111-4111-8111-111111111111"
CONTACT = "22222222-2222-4222-8222-222222222222"
NIL = "{http://www.w3.org/2001/XMLSchema-instance}nil"


class SoapClient:
    """Calls a running simulator over loopback; a context manager."""

    def __init__(self, server: RunningSimulator) -> None:
        self.server = server
        self.contract: Contract = server.service.contract
        self.http = httpx.Client(trust_env=False, verify=False)  # plain HTTP: no certificates to load
        self.session = ""

    def __enter__(self) -> "SoapClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def request(self, operation: str, inner: str) -> tuple[dict[str, str], bytes]:
        """Headers and body of a call; `inner` stands in the wrapper, a: is the namespace of the data contracts."""
        namespace, data = self.contract.namespace, self.contract.data_namespace
        headers = {
            "Content-Type": "text/xml; charset=utf-8",
            "SOAPAction": f'"{self.contract.actions[operation]}"',
        }
        body = (
            '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>'
            f'<{operation} xmlns="{namespace}" xmlns:a="{data}" '
            f'xmlns:i="http://www.w3.org/2001/XMLSchema-instance">{inner}</{operation}></s:Body></s:Envelope>'
        )
        return headers, body.encode()

    def post(self, operation: str, inner: str, **headers: str) -> httpx.Response:
        """Send a call as it is."""
        given, body = self.request(operation, inner)
        given.update({name.replace("_", "-"): value for name, value in headers.items()})
        return self.http.post(self.server.url, content=body, headers=given)

    def call(self, operation: str, inner: str = "") -> etree._Element | None:
        """Call with the session; the result element, None if it is absent."""
        answer = self.post(operation, f"<sessionId>{self.session}</sessionId>{inner}")
        assert answer.status_code == 200, answer.text
        return self.result(operation, answer.content)

    def result(self, operation: str, content: bytes) -> etree._Element | None:
        """The result element of an answer."""
        response = etree.fromstring(content)[0][0]
        assert response.tag == f"{{{self.contract.namespace}}}{operation}Response"
        return response[0] if len(response) else None

    def open(self, account: str = "account", username: str = "user", password: str = "password") -> int:
        """Open a session and keep it; the ErrorCode."""
        answer = self.post(
            "OpenAPISession",
            f"<accountId>{account}</accountId><username>{username}</username><password>{password}</password>",
        )
        result = self.result("OpenAPISession", answer.content)
        assert result is not None
        fields = {etree.QName(child).localname: child.text or "" for child in result}
        self.session = fields["SessionId"]
        return int(fields["ErrorCode"])

    def close(self) -> int:
        """Close the session; the ErrorCode."""
        result = self.call("CloseAPISession")
        assert result is not None
        return int(result.findtext("{*}ErrorCode", ""))

    def code(self, operation: str, inner: str = "") -> int:
        """The code that an operation answers."""
        result = self.call(operation, inner)
        assert result is not None
        return int(result.text or "")

    def add(self, contact: str | None = None, **values: Any) -> int:
        """AddCampaignContact; the code. `contact` is the content of its element."""
        return self.code("AddCampaignContact", self.contact(**values) if contact is None else wrapped(contact))

    def contact(
        self, contact_id: str = CONTACT, campaign: str = CAMPAIGN, destination: str = "+15550100", retries: int = 3
    ) -> str:
        """The element of a contact with an SMS channel, members in the order of the contract."""
        channel = {
            "Destination": destination,
            "LastDeliveryErrorCode": "9",
            "RetryCount": str(retries),
            "StatusCode": "5",
            "TextToSendOverwrite": "Hello",
        }
        inner = "".join(
            f"<a:{name}>{channel[name]}</a:{name}>" for name, _ in self.contract.members("CommunicationInfo")
        )
        members = {"Id": contact_id, "CampaignId": campaign, "SMSCommInfo": inner}
        return wrapped(
            "".join(
                f"<a:{name}>{members[name]}</a:{name}>"
                for name, _ in self.contract.members("OutboundNotificationContactInfo")
                if name in members
            )
        )

    def send_raw(self, operation: str, inner: str) -> socket.socket:
        """Send a call over a connection of its own, and do not wait for the answer."""
        headers, body = self.request(operation, inner)
        url = urlsplit(self.server.url)
        lines = [f"POST {url.path} HTTP/1.1", f"Host: {url.netloc}", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        connection = socket.create_connection((url.hostname or "", url.port or 0))
        connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        return connection


def wait_until(condition: Callable[[], object]) -> None:
    """Ask until the simulator has got that far. Asking is a turn of its event loop: no sleep is needed."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "this did not happen"


def wrapped(contact: str) -> str:
    """The content of a contact as a parameter."""
    return f"<contact>{contact}</contact>"


def fault_code(answer: httpx.Response) -> str:
    """The code of a SOAP 1.1 fault, with its namespace."""
    code = etree.fromstring(answer.content).find(".//faultcode")
    assert code is not None
    prefix, name = re.fullmatch(r"(\w+):(\w+)", code.text or "").groups()  # type: ignore[union-attr]
    return f"{{{code.nsmap[prefix]}}}{name}"
