"""JSON in bodies: objects read from requests, answers made of objects."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.simulator.exchange import Answer, Exchange

CONTENT_TYPE = b"application/json; charset=utf-8"


class UnreadableBodyError(Exception):
    """The body is no JSON object; the text says why."""


def is_json(exchange: Exchange) -> bool:
    """Whether the request says that its body is JSON."""
    return exchange.header("content-type").partition(";")[0].strip().lower() == "application/json"


def read_object(body: bytes) -> dict[str, Any]:
    """The object that a body holds. Raises UnreadableBodyError."""
    try:
        value = json.loads(body)
    except ValueError:
        raise UnreadableBodyError("The body is no JSON.") from None
    if not isinstance(value, dict):
        raise UnreadableBodyError("The body is no JSON object.")
    return value


def json_answer(value: Mapping[str, Any], status: int = 200, headers: Sequence[tuple[bytes, bytes]] = ()) -> Answer:
    """An object as an answer."""
    return Answer(CONTENT_TYPE, json.dumps(value, ensure_ascii=False).encode(), status, headers)
