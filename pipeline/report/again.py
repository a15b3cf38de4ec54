"""The commands to type next, from how a run was called: whole, and quoted so that they can be pasted."""

import json
import shlex
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from pipeline.ledger.rundirectory import RunDirectory

NAME: Final = "contact-pipeline"

#: Options that say what is sent where: they stand in the next command too. The others were for the one run.
_KEPT: Final = ("--config", "--set", "--campaign-id", "--sessions", "--wave", "--mode", "--delimiter", "--encoding")
_OF_SOURCES: Final = ("--sheet", "--limit")

#: Settings that may name an account or hold a secret address, and those of them that do not.
_PRIVATE: Final = ("target.", "notify.", "http.proxy")
_PUBLIC: Final = (
    "target.endpoint",
    "target.campaign_id",
    "target.wsdl",
    "target.dialect",
    "target.keeps_ids",
    "target.codes.",
)

#: Options without a value.
_FLAGS: Final = ("--continue", "--stream", "--yes", "--json", "--no-progress", "--activate", "--online")


def command(*words: str | Path) -> str:
    """A command of this package as it is typed."""
    return shlex.join([NAME, *map(str, words)])


def import_resubmit(directory: RunDirectory) -> str:
    """The import of the rows that were mended."""
    return command("import", directory.resubmit, *options(_record(directory)))


def import_checked(directory: RunDirectory) -> str | None:
    """The import of what was checked; None: it came by standard input, or it is not known how it was called."""
    record = _record(directory)
    called = _called(record)
    sources = [word for option, word in called if not option]
    if not sources or "-" in sources:
        return None
    return command("import", *sources, *options(record, (*_KEPT, *_OF_SOURCES)))


def options(record: Mapping[str, Any], kept: Sequence[str] = _KEPT) -> list[str]:
    """Those of a run, by its run.toml, that a further command on the same list is given too, and what is to be filled
    in.
    """
    words = [word for option, value in _called(record) if option in kept for word in (option, value)]
    return words if "--config" in words else ["--config", "FILE", *words]


def _record(directory: RunDirectory) -> dict[str, Any]:
    try:
        return tomllib.loads(directory.settings.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _called(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    """How the run was called: options with their values, and words without an option ("")."""
    try:
        words = shlex.split(str(record.get("run", {}).get("command", "")))
    except ValueError:  # of an earlier version, which did not quote
        return []
    return [
        (option, _setting(value, record) if option == "--set" else value)
        for option, value in _parsed(words[2:])  # behind the names of the program and of its command
    ]


def _setting(given: str, record: Mapping[str, Any]) -> str:
    """A setting with its value, which stands among the run's; dots are left for what is secret or names who we are."""
    key = given.partition("=")[0]
    if key.startswith(_PRIVATE) and not key.startswith(_PUBLIC):
        return f"{key}=..."
    value: Any = record.get("settings", {})
    for name in key.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    if isinstance(value, bool | int | float):
        return f"{key}={json.dumps(value)}"
    if isinstance(value, list) and not key.endswith(".in") and all(isinstance(each, str | int) for each in value):
        return f"{key}={json.dumps(value, ensure_ascii=False)}"  # what stands under `in` may name people
    if isinstance(value, str):
        return f"{key}={json.dumps(value) if _is_toml(value) else value}"
    return f"{key}=..."


def _is_toml(text: str) -> bool:
    try:
        tomllib.loads(f"value = {text}")
    except ValueError:
        return False
    return True


def _parsed(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    left = iter(words)
    for word in left:
        option, equals, value = word.partition("=")
        if not word.startswith("--"):
            yield "", word
        elif equals:
            yield option, value
        elif word not in _FLAGS:
            yield word, next(left, "")
