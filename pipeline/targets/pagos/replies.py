"""Answers of SpreadsheetWEB: success or not, whether for the token's sake, and why in words."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from pipeline.targets.rest import Object, member
from pipeline.targets.words import shown

#: What stands for a session id where there is none (documented).
_NONE: Final = UUID(int=0)

_SESSION_ID: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,256}")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an answer, or a part of one, says."""

    success: bool  # what does not say so is none
    invalid_token: bool  # a failure for the token's sake; what does not say so is none
    messages: tuple[str, ...] = field(repr=False)  # as they came: they may hold anything

    @classmethod
    def of(cls, found: Object) -> "Verdict":
        """Read it."""
        success = member(found, "Success") is True
        messages = member(found, "Messages")
        if not isinstance(messages, list):
            messages = [messages]
        return cls(
            success,
            not success and member(found, "InvalidToken") is True,
            tuple(message for message in messages if isinstance(message, str)),
        )

    def in_words(self, secrets: Iterable[str]) -> str:
        """The messages, without secrets and destinations; where there are none, that there are none."""
        return shown(" ".join(self.messages), secrets) or "no message says why"

    def holds(self, parts: Iterable[str]) -> bool:
        """Whether a message holds one of these, which are in lower case."""
        said = " ".join(self.messages).casefold()
        return any(part in said for part in parts)


def session_id(found: Object) -> str | None:
    """The id of a session that was opened; None: there is none that a message could carry."""
    value = member(found, "SessionId")
    if not isinstance(value, str) or not _SESSION_ID.fullmatch(value.strip()):
        return None
    try:
        return None if UUID(value.strip()) == _NONE else value.strip()
    except ValueError:
        return value.strip()


def results(found: Object) -> dict[int, Verdict | None]:
    """The parts of an answer to a batch by their ids; None in the place of a part that came twice. The verdict stands
    beside the id, or in an object beside it.
    """
    told: dict[int, Verdict | None] = {}
    for value in found.values():
        for part in value if isinstance(value, list) else ():
            number = _number(member(part, "Id")) if isinstance(part, dict) else None
            if number is None:
                continue
            inner = [part, *(each for each in part.values() if isinstance(each, dict))]
            holder = next((each for each in inner if isinstance(member(each, "Success"), bool)), part)
            told[number] = None if number in told else Verdict.of(holder)
    return told


def _number(value: Any) -> int | None:
    if isinstance(value, str) and value.strip().isascii() and value.strip().isdigit():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None
