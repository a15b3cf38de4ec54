"""Answers of Web Services: status codes, the channels of a session, what is to be echoed, refusals in words."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal

from pipeline.targets.rest import Object, json_object, member
from pipeline.targets.words import shown
from pipeline.wire import Answer

SUCCESS: Final = "0"
PARTIAL_SUCCESS: Final = "7"
IN_USE: Final = "19"

#: A message that was cut off behind its code: one of the published answers is printed so.
_CODE_AT_LEAST: Final = re.compile(rb'\s*\{\s*"statusCode"\s*:\s*(\d+)\s*[\r\n,]')

_HEADER_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HEADER_VALUE: Final = re.compile(r"[\x21-\x7e]+(?:[ \t]+[\x21-\x7e]+)*")


def status_code(found: Mapping[str, Any]) -> str | None:
    """The `statusCode` of an object, in digits; None: it has none."""
    value = member(dict(found), "statusCode")
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, str) and re.fullmatch(r"\s*-?\d+\s*", value):
        return str(int(value))
    return None


def opening_answer(answer: Answer) -> Object | None:
    """The answer to the start of a session; where it is damaged, as much of it as its code. None: not even that.

    Only a session may be had so: the worst that can come of it is that its first call fails.
    """
    found = json_object(answer.body)
    if found is None and (code := _CODE_AT_LEAST.match(answer.body)):
        return {"statusCode": int(code[1])}
    return found


def csrf_header(answer: Answer) -> tuple[str, str] | None:
    """Name and value of the header that later calls must carry; None: the answer asks for none."""
    name = answer.headers.get("x-csrf-header", "").strip() or "X-CSRF-TOKEN"
    value = answer.headers.get("x-csrf-token", "").strip()
    if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
        return None
    return name, value


def message(found: Object, secrets: Iterable[str]) -> str:
    """The target's own words for a code, without secrets and destinations; empty: it has none."""
    said = member(found, "statusMessage")
    return shown(said, secrets) if isinstance(said, str) else ""


def in_words(code: str, found: Object, secrets: Iterable[str]) -> str:
    """A code with the target's words for it."""
    said = message(found, secrets)
    return f"code {code}: {said}" if said else f"code {code}"


# --- partial success ------------------------------------------------------------------------------------------


def lacking(
    found: Object, channels: Sequence[str], require: Literal["all"] | Sequence[str], secrets: Sequence[str]
) -> list[str]:
    """What a session that was opened in part lacks of what is required, in words; empty: nothing.

    How the failed channels stand in the answer is not published but for their own `statusCode` and `statusMessage`:
    every object is looked at, and belongs to the channel that a name on the way to it, or a text in it, names.
    """
    results = list(_results(found, channels, ()))
    failed = [_failure(channel, part, secrets) for channel, part in results if status_code(part) != SUCCESS]
    if require == "all":
        return failed or ["a channel that the answer does not name"]
    sure = {channel for channel, part in results if status_code(part) == SUCCESS}
    bad = {channel for channel, part in results if status_code(part) != SUCCESS}
    # A channel of which nothing is told is open only where all that failed is told by name.
    told = bad and None not in bad
    wanted = [channel for channel in require if channel in bad or not (told or channel in sure)]
    return [words for words in failed if any(words.startswith(name) for name in wanted)] or wanted


def _results(found: object, channels: Sequence[str], path: tuple[str, ...]) -> Iterator[tuple[str | None, Object]]:
    """The objects below the first that have a status code, with the channel of each; None: it cannot be told."""
    if isinstance(found, dict):
        texts = [value for name, value in found.items() if isinstance(value, str) and name != "statusMessage"]
        code = status_code(found)
        parts = [(name, value) for name, value in found.items() if isinstance(value, dict | list)]
        around = code == PARTIAL_SUCCESS and any(_tells(value) for _, value in parts)  # what is told within says more
        if path and code is not None and not around:
            named = _channel_of((*texts, *reversed(path)), channels)
            # What is told in words names what failed, or what did not: it only counts where nothing else does.
            yield named or _channel_of((str(found.get("statusMessage", "")),), channels), found
        for name, value in parts:
            yield from _results(value, channels, (*path, *texts, name))
    elif isinstance(found, list):
        for value in found:
            yield from _results(value, channels, (*path, ""))


def _tells(found: object) -> bool:
    """Whether any object in it has a status code."""
    if isinstance(found, dict):
        return status_code(found) is not None or any(map(_tells, found.values()))
    return isinstance(found, list) and any(map(_tells, found))


def _channel_of(names: Iterable[str], channels: Sequence[str]) -> str | None:
    """The channel that one of `names` is, or begins with: `chat`, `chatChannel`."""
    plain = {_plain(channel): channel for channel in sorted(channels, key=len)}
    for name in map(_plain, names):
        for known in reversed(plain):
            if name.startswith(known):
                return plain[known]
    return None


def _plain(name: str) -> str:
    return "".join(character for character in name.casefold() if character.isalnum())


def _failure(channel: str | None, part: Object, secrets: Sequence[str]) -> str:
    return f"{channel or 'a channel'} ({in_words(status_code(part) or '?', part, secrets)})"
