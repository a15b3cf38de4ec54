"""A service that opens and closes sessions as the document of Intelliview NXT has it, with habits of its own.

Written from the document alone: it shares no code with the target.
"""

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import escape, unescape
from typing import Literal

import loopback
from loopback import Handler

COMPANY, USER, PASSWORD = "acme-short", "ivn-user-31", "p&<ss>-ivn-32"

OPENED = (
    "<ResponseMessage>\n<Message ID='SYN_REP_INFO_7503'/>\n"
    "<Response Message='Intelliview NXT session initialization is successful'/> <Session Token='{token}'/>\n"
    "<Company ID='23'/>\n<Version No='1.3.1.1' />\n</ResponseMessage>"
)
CLOSED = (
    "<ResponseMessage><Message ID='SYN_REP_INFO_7540'/><Response Message='Session is closed'/>"
    "<Version No='1.3.1.1'/></ResponseMessage>"
)
FAILED = (
    "<ResponseMessage>\n<Message ID='SYN_REP_ERROR_{number}'/>\n<Response Message= '{words}'/>\n"
    "<Version No='1.3.1.1'/>\n</ResponseMessage>"
)
WORDS = {
    5086: "Invalid user name/password",
    7501: "Intelliview NXT session is expired or not initialized or not valid.",
    7509: "Company short name is not valid",
    7538: "Authentication type is not valid",
    7539: "Application type is not valid",
}


@dataclass
class Habits:
    """How a service writes, where the document leaves it open."""

    namespace: str = "http://tempuri.org/"
    prefix: str = ""  # of the answer's elements
    wrapping: Literal["escaped", "cdata", "twice", "elements"] = "escaped"  # how the string stands in the answer
    declaration: str = ""  # of XML, at the beginning of the string
    version: Literal["1.1", "1.2"] = "1.1"  # of SOAP
    opened: str = OPENED
    closed: str = CLOSED


@dataclass
class IntelliviewServer:
    """What a running service was asked and what it holds."""

    habits: Habits = field(default_factory=Habits)
    password: str = PASSWORD
    url: str = ""
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)  # operation and parameters, as they came
    envelopes: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)  # names in lower case
    sessions: set[str] = field(default_factory=set)  # open now
    tokens: list[str] = field(default_factory=list)  # all that were given out

    def expire(self) -> None:
        """End all sessions."""
        self.sessions.clear()

    def answer(self, envelope: str, headers: dict[str, str]) -> str:
        body = re.search(r"<(?:[\w-]+:)?Body>\s*<(?:[\w-]+:)?(\w+)[^>]*>(.*)</(?:[\w-]+:)?\1>", envelope, re.DOTALL)
        assert body is not None, envelope
        operation = body[1]
        given = {
            name: unescape(value)
            for name, value in re.findall(r"<(?:[\w-]+:)?(\w+)(?:\s[^>]*)?>([^<]*)</", body[2])
            if value
        }
        self.requests.append((operation, given))
        self.envelopes.append(envelope)
        self.headers.append(headers)
        return self._wrapped(operation, getattr(self, f"_{operation}")(given))

    def _ivnInitializeSession(self, given: dict[str, str]) -> str:  # noqa: N802 - the operation's name
        if given["CompanyShortName"] != COMPANY:
            return self._failed(7509)
        if given["UserName"] != USER or given["Password"] != self.password:
            return self._failed(5086)
        if given["AuthType"] != "1":
            return self._failed(7538)
        if given["ApplicationType"] != "1":
            return self._failed(7539)
        token = secrets.token_hex(16)
        self.sessions.add(token)
        self.tokens.append(token)
        return self.habits.opened.replace("{token}", token)

    def _ivnCloseSession(self, given: dict[str, str]) -> str:  # noqa: N802 - the operation's name
        if given["UserName"] != USER or given["Password"] != self.password:
            return self._failed(5086)
        if given["SessionToken"] not in self.sessions or given["CompanyID"] != "23":
            return self._failed(7501)
        self.sessions.remove(given["SessionToken"])
        return self.habits.closed

    _ivnCloseSesion = _ivnCloseSession  # noqa: N815 - so the document heads the section

    def _failed(self, number: int) -> str:
        return FAILED.format(number=number, words=WORDS[number])

    def _wrapped(self, operation: str, told: str) -> str:
        habits = self.habits
        text = habits.declaration + told
        inner = {
            "escaped": escape(text, quote=False),
            "twice": escape(escape(text, quote=False), quote=False),
            "cdata": f"<![CDATA[{text}]]>",
            "elements": told,
        }[habits.wrapping]
        soap = {"1.1": "http://schemas.xmlsoap.org/soap/envelope/", "1.2": "http://www.w3.org/2003/05/soap-envelope"}
        p = f"{habits.prefix}:" if habits.prefix else ""
        xmlns = f"xmlns:{habits.prefix}" if habits.prefix else "xmlns"
        return (
            f'<?xml version="1.0" encoding="utf-8"?><soap:Envelope xmlns:soap="{soap[habits.version]}"><soap:Header/>'
            f'<soap:Body><{p}{operation}Response {xmlns}="{habits.namespace}"><{p}{operation}Result>{inner}'
            f"</{p}{operation}Result></{p}{operation}Response></soap:Body></soap:Envelope>"
        )


@contextmanager
def serving(
    habits: Habits | None = None, *, password: str = PASSWORD, kind: type[IntelliviewServer] = IntelliviewServer
) -> Iterator[IntelliviewServer]:
    """Serve over loopback until the block ends."""
    service = kind(habits or Habits(), password)

    class Answering(Handler):
        def respond(self) -> None:
            asked = self.asked()
            answer = service.answer(asked.body.decode(), dict(asked.headers)).encode()
            self.answer(200, [("Content-Type", "text/xml; charset=utf-8")], answer)

    with loopback.serving(Answering) as origin:
        service.url = f"{origin}/ivn.asmx"
        yield service
