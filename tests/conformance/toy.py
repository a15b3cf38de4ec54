"""A system that takes telephone numbers by HTTP and JSON, and cannot be asked what it holds."""

import json
from typing import Any, Literal

import polars as pl

from pipeline.config import TargetSettings
from pipeline.errors import NotDelivered, OpeningRefused, OutcomeUnknown, PutOff, Refused, SessionExpired
from pipeline.targets import Rows, Target
from pipeline.values import SecretText
from pipeline.wire import exchange

ERRORS = {"wrong key": OpeningRefused, "no session": SessionExpired, "later": PutOff, "refused": Refused}


class ToySettings(TargetSettings):
    system: Literal["toy"] = "toy"
    endpoint: str
    key: SecretText


class Toy(Target, Rows):
    def __init__(self, settings: Any, clients: Any, contract: Any) -> None:
        self.target, self.clients = settings.target, clients

    async def call(self, client: Any, path: str, body: bytes = b"{}") -> Any:
        answer = await exchange(client, self.target.endpoint + path, {"Content-Type": "application/json"}, body)
        if answer.status in (429, 503):
            raise NotDelivered("the system is busy")
        try:
            told = json.loads(answer.body)
            if (result := told["result"]) == "ok":
                return told
            error = ERRORS[result](f"it says: {result}", code=result)
        except (ValueError, TypeError, KeyError):
            raise OutcomeUnknown(f"its answer cannot be read (HTTP {answer.status})") from None
        raise error

    async def open(self) -> Any:
        client = self.clients()  # it is the handle: each call on it carries the session
        try:
            told = await self.call(client, "/open", json.dumps({"key": self.target.key.read()}).encode())
            client.headers["Session"] = told["session"]
        except BaseException:
            await client.aclose()
            raise
        return client

    async def prove(self, handle: Any) -> bool:
        try:
            return bool(await self.call(handle, "/prove"))
        except SessionExpired:
            return False

    async def close(self, handle: Any) -> None:
        try:
            await self.call(handle, "/close")
        finally:
            await handle.aclose()

    rows = property(lambda self: self)

    def unfit(self, contacts: pl.DataFrame) -> pl.Series:
        reason = pl.lit("it has no number, and the system takes nothing else")
        return contacts.select(pl.when(pl.col("sms").is_null()).then(reason)).to_series()

    def encode(self, contacts: pl.DataFrame) -> list[tuple[bytes, ...]]:
        return [(json.dumps({"number": number}).encode(),) for number in contacts["sms"]]

    async def send(self, handle: Any, body: tuple[bytes, ...]) -> str:
        return str((await self.call(handle, "/add", body[0]))["result"])


TARGET_SETTINGS, create = ToySettings, Toy
