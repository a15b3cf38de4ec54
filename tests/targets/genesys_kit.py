"""A hand-made Web Services: users, cookies, a token to be echoed, sessions, records; and a target for it."""

import base64
import itertools
import threading
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import polars as pl
from loopback import Asked
from targets import rest_kit
from targets.rest_kit import Answers, Served, Told

from pipeline.config import Settings
from pipeline.records import CONTACTS_SCHEMA
from pipeline.targets.genesys import GenesysSettings, create
from pipeline.targets.genesys.target import GenesysTarget

PASSWORD = "correct-horse"
ME = "/api/v2/me"
RECORDS = "/api/v2/me/outbound-records"

#: What a record needs beside campaign and list.
FIELDS = {
    "applicationId": "134",
    "phoneType": "Mobile",
    "timeZone": "GMT",
    "from": "0",
    "until": "86339",
    "devicePath": "/devices/7",
}

OK = Told({"statusCode": 0})


def code(number: int, message: str = "", status: int = 200, **more: Any) -> Told:
    """An answer with a status code."""
    said = {"statusMessage": message} if message else {}
    return Told({"statusCode": number, **said, **more}, status)


class Service:
    """Answers as Web Services do. `rules` come first: each looks at a request and may answer it."""

    def __init__(self, users: int = 1) -> None:
        self.users = {f"agent{number}": PASSWORD for number in range(1, users + 1)}
        self.cookies: dict[str, str] = {}  # HTTP sessions: the user of each
        self.started: dict[str, Any] = {}  # contact centre sessions: how each user's was started
        self.ended: list[str] = []  # users, in order
        self.twice: list[str] = []  # users whose session was started while another was open
        self.records: list[Any] = []
        self.token = "token-1"
        self.rules: list[Callable[[Asked], Told | None]] = []
        self.lock = threading.Lock()
        self._numbers = itertools.count(1)

    def __call__(self, asked: Asked) -> Told:
        with self.lock:
            for rule in self.rules:
                if (told := rule(asked)) is not None:
                    return told
            return self.answer(asked)

    def expire(self) -> None:
        """End all HTTP sessions; what the contact centre thinks of its agents is not changed by that."""
        self.cookies.clear()
        self.started.clear()

    def answer(self, asked: Asked) -> Told:
        """The answer where no rule gives one."""
        given = base64.b64decode(asked.headers.get("authorization", "Basic ").removeprefix("Basic ")).decode()
        user, _, password = given.partition(":")
        if self.users.get(user) != password:
            return code(20, "not authenticated", 401)
        cookie = asked.headers.get("cookie", "").removeprefix("JSESSIONID=")
        if asked.method == "GET":
            if cookie and cookie not in self.cookies:
                return code(20, "not authenticated", 401)
            headers = {"X-CSRF-HEADER": "X-Echo", "X-CSRF-TOKEN": self.token}
            if not cookie:
                name = f"cookie-{next(self._numbers)}"
                self.cookies[name] = user
                headers["Set-Cookie"] = f"JSESSIONID={name}; Path=/; HttpOnly"
            return Told({"statusCode": 0, "user": {"userName": user}}, headers=headers)
        if self.cookies.get(cookie) != user:
            return code(20, "not authenticated", 401)
        if asked.headers.get("x-echo") != self.token:
            return Told(b"<html>Forbidden</html>", 403)
        return self._posted(asked, user, cookie)

    def _posted(self, asked: Asked, user: str, cookie: str) -> Told:
        operation = asked.message["operationName"]
        if (asked.path, operation) == (ME, "StartContactCenterSession"):
            if user in self.started:
                self.twice.append(user)
            self.started[user] = asked.message
        elif (asked.path, operation) == (ME, "EndContactCenterSession"):
            self.ended.append(user)
            self.started.pop(user)
            del self.cookies[cookie]
        else:
            assert (asked.path, operation) == (RECORDS, "AddRecord")
            if user not in self.started:
                return code(20, "not authenticated")
            self.records.append(asked.message)
        return OK


def settings(url: str, users: int | list[Any] = 1, fields: dict[str, str] | None = None, **target: Any) -> Settings:
    """Settings for a service at this address; `users` are these, or so many."""
    if isinstance(users, int):
        users = [{"username": f"agent{number}", "password": PASSWORD} for number in range(1, users + 1)]
    whole = {
        "endpoint": url,
        "users": users,
        "campaign_name": "Spring",
        "calling_list": "List 1",
        **target,
    }
    return Settings.model_validate(
        {
            "target": GenesysSettings.model_validate(whole),
            "contacts": {"sms": {"destination": "{mobile}"}, "fields": FIELDS if fields is None else fields},
        }
    )


def at_work(answers: Answers, **given: Any) -> AbstractAsyncContextManager[tuple[GenesysTarget, Served]]:
    """A target for this service, which is served until the block ends."""
    return rest_kit.at_work(answers, create, settings, **given)


def contact(*values: str, number: str = "+15145550123") -> pl.DataFrame:
    """One contact; `values` in place of FIELDS."""
    row = dict.fromkeys(CONTACTS_SCHEMA)
    fields = list(values or FIELDS.values())
    return pl.DataFrame([{**row, "warnings": [], "sms": number, "fields": fields}], schema=CONTACTS_SCHEMA)
