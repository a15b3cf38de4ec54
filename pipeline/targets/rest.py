"""One JSON call over HTTP: what each status and each unreadable answer means for whoever made it."""

import json
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any, Final, NoReturn, TypeAlias

from pipeline.errors import NotDelivered, OutcomeUnknown, Refused, TargetUnusable
from pipeline.wire import Answer, retry_after

#: An object of JSON.
Object: TypeAlias = dict[str, Any]

#: There is no such operation, or it does not read what we write: no other row will fare better.
_MISMATCHES: Final = (404, 405, 406, 410, 415, 501)

#: The target read the message and wants none of it.
_REFUSALS: Final = (400, 409, 413, 414, 422, 431)


class Purpose(Enum):
    """What a call is for decides what its failure means."""

    OPENING = "opening"  # a person is there to mend what is wrong with the configuration
    ASKING = "asking"  # changes nothing: can be asked again
    ROW = "row"  # may have changed something


def succeeded(answer: Answer) -> bool:
    """Whether an answer's status is one of success."""
    return 200 <= answer.status < 300


def json_object(body: bytes) -> Object | None:
    """The object that an answer consists of; None: it is none. Line breaks inside strings are borne: JSON does not
    allow them, and published samples hold them.
    """
    try:
        found = json.loads(body, strict=False)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def member(found: Object, name: str) -> Any:
    """A member of an object; where there is none of this name, one of the same name in another case. None: neither."""
    if name in found:
        return found[name]
    return next((value for key, value in found.items() if key.casefold() == name.casefold()), None)


def read(answer: Answer, purpose: Purpose, host: str) -> Object:
    """The object of an answer of success. Raises NotDelivered, OutcomeUnknown and TargetUnusable; for a ROW Refused."""
    if not succeeded(answer):
        raise_status(answer, purpose, host)
    found = json_object(answer.body)
    if found is not None:
        return found
    if purpose is Purpose.OPENING and not answer.body.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
        raise TargetUnusable(f"{host} answers {_kind(answer)}, not JSON: check target.endpoint.")
    raise OutcomeUnknown("the answer is not a JSON object")


def raise_status(answer: Answer, purpose: Purpose, host: str) -> NoReturn:
    """Raise what an HTTP status other than success means."""
    status = answer.status
    code = f"HTTP {status}"
    if status in (429, 503):
        raise NotDelivered(f"the target is busy ({code})", retry_after=retry_after(answer.headers))
    if status in (401, 403, 407):
        who = "the proxy" if status == 407 else host
        raise TargetUnusable(f"{who} lets us in no further ({code}): check credentials and access rights.")
    if status in _MISMATCHES:
        raise TargetUnusable(f"{host} has no such operation ({code}): check target.endpoint.")
    if status >= 500:
        raise OutcomeUnknown(f"the target answered {code}")
    if purpose is Purpose.OPENING:
        raise TargetUnusable(f"{host} answers {code} to our call: check target.endpoint.")
    if purpose is Purpose.ROW and status in _REFUSALS:
        raise Refused(f"the target takes no such message ({code})", code=code)
    raise NotDelivered(f"the target answered {code}")


def texts(found: object) -> Iterator[str]:
    """Every text value in what was read or is to be sent, however deep."""
    if isinstance(found, str):
        yield found
    elif isinstance(found, Mapping):
        for value in found.values():
            yield from texts(value)
    elif isinstance(found, list):
        for value in found:
            yield from texts(value)


def _kind(answer: Answer) -> str:
    if b"<html" in answer.body[:1024].lower() or "html" in answer.headers.get("content-type", ""):
        return "HTML"
    return "something else" if answer.body.strip() else "nothing"
