"""A hand-made SpreadsheetWEB: bearer tokens and where they are fetched, dedicated sessions, records; and a target."""

import itertools
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any
from urllib.parse import parse_qs

import polars as pl
from loopback import Asked
from targets import rest_kit
from targets.rest_kit import Answers, Served, Told

from pipeline.config import Settings
from pipeline.records import CONTACTS_SCHEMA
from pipeline.targets.pagos import PagosSettings, create
from pipeline.targets.pagos.target import PagosTarget

APPLICATION = "a4dcfb4f0464453b928ce1d6bcfb6aa3"
TOKEN = "Do3l_2l3uLdmYX76u-BufLzuuhFPOE-nRZDyU0adiFk1"
SECRET = "correct-horse"
NONE = "00000000-0000-0000-0000-000000000000"
FIELDS = {"Sheet1!A5": "{contact.sms}", "Name": "{name}"}
CONTACT_ID = "7c9e6679-7425-40de-944b-e07fc1f90ae7"

OK = {"Success": True, "Messages": []}


def failure(*messages: str, **more: Any) -> dict[str, Any]:
    """What is answered where something did not succeed."""
    return {"Success": False, "InvalidToken": False, "Messages": list(messages), **more}


NO_TOKEN = failure(
    "The requested resource is restricted and your request did not provide a valid token.",
    SessionId=NONE,
    InvalidToken=True,
)


class Service:
    """Answers as SpreadsheetWEB does. `rules` come first: each looks at a request and may answer it."""

    def __init__(self, *, idles: bool = True) -> None:
        self.idles = idles  # whether a calculation without inputs succeeds
        self.tokens = {TOKEN}
        self.fetched: list[dict[str, str]] = []  # what was told to get a token
        self.sessions: set[str] = set()
        self.opened: list[str] = []
        self.records: list[Any] = []
        self.refusals: dict[str, str] = {}  # why a record with this value is refused
        self.rules: list[Callable[[Asked], Told | None]] = []
        self.lock = threading.Lock()
        self._numbers = itertools.count(1)

    def __call__(self, asked: Asked) -> Told:
        with self.lock:
            for rule in self.rules:
                if (told := rule(asked)) is not None:
                    return told
            return self.answer(asked)

    def answer(self, asked: Asked) -> Told:
        """The answer where no rule gives one."""
        if asked.path == "/connect/token":
            return self._token(asked)
        if asked.headers.get("authorization", "").removeprefix("Bearer ") not in self.tokens:
            return Told(NO_TOKEN)
        operation = asked.path.removeprefix("/Api/Applications/")
        message = asked.message
        if operation == "GetBatchResults":
            parts = [{"Id": part["Id"], "Result": self._result(part["Request"])} for part in message["Requests"]]
            return Told({"Success": True, "Results": parts[::-1]})
        if operation == "GetResult":
            return Told(self._result(message))
        if message["ApplicationKey"] != APPLICATION:
            return Told(failure("The requested application is invalid.", SessionId=NONE))
        if operation == "OpenDedicatedSession":
            self.opened.append(f"25eae3ae-755e-4b3c-aa48-{next(self._numbers):012}")
            self.sessions.add(self.opened[-1])
            return Told({**OK, "SessionId": self.opened[-1]})
        assert operation == "CloseDedicatedSession"
        if message["SessionId"] not in self.sessions:
            return Told(failure("The requested session is invalid."))
        self.sessions.remove(message["SessionId"])
        return Told(OK)

    def _token(self, asked: Asked) -> Told:
        form = {name: values[0] for name, values in parse_qs(asked.body.decode()).items()}
        self.fetched.append(form)
        if form.get("client_secret") != SECRET:
            return Told({"error": "invalid_client"}, 400)
        token = f"fetched-{len(self.fetched)}"
        self.tokens.add(token)
        return Told({"access_token": token, "token_type": "Bearer", "expires_in": 3600})

    def _result(self, message: Any) -> dict[str, Any]:
        if message["SessionId"] not in self.sessions or message["ApplicationKey"] != APPLICATION:
            return failure("The request could not be processed.")
        assert message["Outputs"] == []
        if not message["SaveInformation"]["Save"]:
            return OK if self.idles else failure("Inputs are missing.")
        for value in self.values(message):
            if value in self.refusals:
                return failure(self.refusals[value])
        self.records.append(message)
        return OK

    @staticmethod
    def values(message: Any) -> list[str]:
        """The values of a record."""
        return [each["Value"][0][0]["Value"] for each in message["Inputs"]]


def settings(url: str, fields: dict[str, str] | None = None, **target: Any) -> Settings:
    """Settings for a service at this address; with `fetches`, the token is fetched there."""
    whole = {"endpoint": url, "application_key": APPLICATION, **target}
    if whole.pop("fetches", False):
        whole |= {"token_url": f"{url}/connect/token", "client_id": "importer"}
        whole.setdefault("client_secret", SECRET)
    else:
        whole.setdefault("token", TOKEN)
    return Settings.model_validate(
        {
            "target": PagosSettings.model_validate(whole),
            "contacts": {"sms": {"destination": "{mobile}"}, "fields": FIELDS if fields is None else fields},
        }
    )


def at_work(answers: Answers, **given: Any) -> AbstractAsyncContextManager[tuple[PagosTarget, Served]]:
    """A target for this service, which is served until the block ends."""
    return rest_kit.at_work(answers, create, settings, **given)


def contacts(*rows: Sequence[str]) -> pl.DataFrame:
    """Contacts with these values of their fields."""
    whole = dict.fromkeys(CONTACTS_SCHEMA)
    made = [{**whole, "contact_id": CONTACT_ID, "warnings": [], "fields": list(row)} for row in rows]
    return pl.DataFrame(made, schema=CONTACTS_SCHEMA)


def at(operation: str, told: Told) -> Callable[[Asked], Told | None]:
    """A rule: what this operation is answered."""
    return lambda asked: told if asked.path.endswith(f"/{operation}") else None
