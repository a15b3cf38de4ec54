"""Clients of a few lines for the systems beside ONC: each sends what a test wrote and gives the raw answer."""

import base64
import html
import socket
import uuid
from typing import Any
from urllib.parse import urlsplit

import httpx
from lxml import etree

from pipeline.simulator import RunningSimulator

RECORD: dict[str, Any] = {
    "operationName": "AddRecord",
    "applicationId": 134,
    "campaignName": "Campaign1",
    "callingList": "CallingList1",
    "phoneNumber": "+15550100",
    "phoneType": "Mobile",
    "timeZone": "GMT",
    "from": 0,
    "until": 86339,
    "devicePath": "/devices/42e3a1c6",
    "chainId": 2,
    "referenceId": "r1",
}


class Client:
    """Calls a running simulator over loopback; a context manager."""

    def __init__(self, server: RunningSimulator) -> None:
        self.server = server
        self.http = httpx.Client(trust_env=False, verify=False)  # plain HTTP: no certificates to load

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def row(self) -> httpx.Request:
        """A call that adds a row, or where there is none, that opens a session."""
        raise NotImplementedError

    def open(self) -> Any:
        """Open a session and keep it."""
        raise NotImplementedError

    def send(self, request: httpx.Request) -> httpx.Response:
        """Send a call as it is."""
        return self.http.send(request)

    def send_raw(self, request: httpx.Request) -> socket.socket:
        """Send a call over a connection of its own, and do not wait for the answer."""
        url = urlsplit(str(request.url))
        head = f"{request.method} {url.path} HTTP/1.1\r\n"
        lines = [f"{name}: {value}\r\n" for name, value in request.headers.items()]
        connection = socket.create_connection((url.hostname or "", url.port or 0))
        connection.sendall("".join([head, *lines, "\r\n"]).encode() + request.read())
        return connection


class GenesysClient(Client):
    """An agent user."""

    def __init__(self, server: RunningSimulator, user: str = "agent1", password: str = "password") -> None:
        super().__init__(server)
        self.headers = {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}

    def me(self) -> httpx.Response:
        """GET /api/v2/me, keeping the CSRF token."""
        answer = self.http.get(f"{self.server.url}/api/v2/me", headers=self.headers)
        if "x-csrf-header" in answer.headers:
            self.headers[answer.headers["x-csrf-header"]] = answer.headers["x-csrf-token"]
        return answer

    def request(self, body: Any, resource: str = "/api/v2/me") -> httpx.Request:
        """A POST of an object."""
        return self.http.build_request("POST", self.server.url + resource, json=body, headers=self.headers)

    def post(self, body: Any, resource: str = "/api/v2/me") -> Any:
        """What a POST is answered with HTTP status 200."""
        answer = self.send(self.request(body, resource))
        assert answer.status_code == 200, answer.text
        return answer.json()

    def open(self, **parameters: Any) -> Any:
        """Start a contact centre session; the answer."""
        self.me()
        return self.post({"operationName": "StartContactCenterSession", "channels": ["voice"], **parameters})

    def close(self) -> Any:
        """End the contact centre session; the answer."""
        return self.post({"operationName": "EndContactCenterSession"})

    def row(self, **fields: Any) -> httpx.Request:
        given = {"referenceId": str(uuid.uuid4()), **fields}
        return self.request({**RECORD, **given}, "/api/v2/me/outbound-records")

    def add(self, **fields: Any) -> int:
        """AddRecord; the statusCode."""
        answer = self.send(self.row(**fields))
        assert answer.status_code == 200, answer.text
        return int(answer.json()["statusCode"])


class PagosClient(Client):
    """A client with the bearer token of the document."""

    key = "a4dcfb4f0464453b928ce1d6bcfb6aa3"

    def __init__(self, server: RunningSimulator) -> None:
        super().__init__(server)
        self.token = "Do3l_2l3uLdmYX76u-BufLzuuhFPOE-nRZDyU0adiFk1"
        self.session = ""

    def request(self, operation: str, body: Any) -> httpx.Request:
        """A call."""
        address = f"{self.server.url}/Api/Applications/{operation}"
        return self.http.build_request("POST", address, json=body, headers={"Authorization": f"Bearer {self.token}"})

    def post(self, operation: str, **body: Any) -> Any:
        """What a call with key and session is answered; the HTTP status is always 200."""
        whole = {"ApplicationKey": self.key, "SessionId": self.session, **body}
        answer = self.send(self.request(operation, whole))
        assert answer.status_code == 200, answer.text
        return answer.json()

    def open(self) -> Any:
        answer = self.post("OpenDedicatedSession")
        self.session = answer["SessionId"]
        return answer

    def login(self, **form: str) -> httpx.Response:
        """Ask for a token and keep it."""
        given = {"grant_type": "client_credentials", "client_id": "client", "client_secret": "secret", **form}
        answer = self.http.post(f"{self.server.origin}/oauth/token", data=given)
        self.token = answer.json().get("access_token", self.token)
        return answer

    @staticmethod
    def inputs(record_id: str | None = None, value: str = "+15550100") -> dict[str, Any]:
        """What a GetResult says beside key and session."""
        return {
            "Inputs": [{"Ref": "Sheet1!A5", "Value": [[{"Value": value}]]}],
            "Outputs": [],
            "SaveInformation": {"Save": True, "RecordId": record_id or str(uuid.uuid4())},
        }

    def row(self) -> httpx.Request:
        whole = {"ApplicationKey": self.key, "SessionId": self.session, **self.inputs()}
        return self.request("GetResult", whole)

    def save(self, record_id: str | None = None, value: str = "+15550100") -> Any:
        """GetResult that saves a record; the answer."""
        return self.post("GetResult", **self.inputs(record_id, value))


class IntelliviewClient(Client):
    """A SOAP client that writes its envelopes by hand."""

    def __init__(self, server: RunningSimulator) -> None:
        super().__init__(server)
        self.token = ""

    def request(self, operation: str, **arguments: Any) -> httpx.Request:
        """A call; an argument that is None is left out."""
        inner = "".join(
            f"<{name}>{html.escape(str(value))}</{name}>" for name, value in arguments.items() if value is not None
        )
        body = (
            '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>'
            f'<{operation} xmlns="http://tempuri.org/">{inner}</{operation}></s:Body></s:Envelope>'
        )
        headers = {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": f'"http://tempuri.org/{operation}"'}
        return self.http.build_request("POST", self.server.url, content=body.encode(), headers=headers)

    def call(self, operation: str, **arguments: Any) -> str:
        """The string that a call is answered."""
        answer = self.send(self.request(operation, **arguments))
        assert answer.status_code == 200, answer.text
        result = etree.fromstring(answer.content).find(f".//{{http://tempuri.org/}}{operation}Result")
        assert result is not None
        return result.text or ""

    def row(self, **arguments: Any) -> httpx.Request:
        given = {
            "CompanyShortName": "company",
            "UserName": "user",
            "Password": "password",
            "Timeout": 20,
            "AuthType": 1,
            "ApplicationType": 1,
            "Language": "en",
            "ExtraParam": "",
            **arguments,
        }
        return self.request("ivnInitializeSession", **given)

    def open(self, **arguments: Any) -> str:
        """Open a session; the number of the message."""
        answer = etree.fromstring(self.send(self.row(**arguments)).content)[0][0][0].text or ""
        whole = etree.fromstring(answer)
        session = whole.find("Session")
        self.token = "" if session is None else session.get("Token", "")
        return number(answer)

    def close(self, **arguments: Any) -> str:
        """Close the session; the number of the message."""
        given = {"SessionToken": self.token, "CompanyID": 23, "UserName": "user", "Password": "password", **arguments}
        return number(self.call("ivnCloseSession", **given))


def number(answer: str) -> str:
    """The number in the id of an answer's message."""
    message = etree.fromstring(answer).find("Message")
    assert message is not None
    return message.get("ID", "").rpartition("_")[2]


CLIENTS: dict[str, type[Client]] = {
    "genesys": GenesysClient,
    "pagos": PagosClient,
    "intelliview": IntelliviewClient,
}
