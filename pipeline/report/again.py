"""The commands to type next, from how a run was called: whole, and quoted so that they can be pasted."""

import json
import shlex
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from pipeline.ledger.rundirectory import RunDirectory

NAME: Final = "contact-pipeline"

#: Options that say what is sent where: they stand in the next command too. The others were for the one run.
_KEPT: Final = ("--config", "--set", "--campaign-id", "--sessions", "--wave", "--mode", "--delimiter", "--encoding")
_OF_SOURCES: Final = ("--sheet", "--limit")

#: Options without a value.
_FLAGS: Final = ("--continue", "--stream", "--yes", "--json", "--no-progress", "--activate", "--online")


def command(*words: str | Path) -> str:
    """A command of this package as it is typed."""
    return shlex.join([NAME, *map(str, words)])


def import_resubmit(directory: RunDirectory) -> str:
    """The import of the rows that were mended."""
    return command("import", directory.resubmit, *_options(_called(directory), _KEPT))


def import_checked(directory: RunDirectory) -> str | None:
    """The import of what was checked; None: it came by standard input, or it is not known how it was called."""
    called = _called(directory)
    sources = [word for option, word in called if not option]
    if not sources or "-" in sources:
        return None
    return command("import", *sources, *_options(called, (*_KEPT, *_OF_SOURCES)))


def _options(called: Sequence[tuple[str, str]], kept: Sequence[str]) -> list[str]:
    """Those that are kept, and what is to be filled in."""
    words = [word for option, value in called if option in kept for word in (option, value)]
    return words if "--config" in words else ["--config", "FILE", *words]


def _called(directory: RunDirectory) -> list[tuple[str, str]]:
    """How the run was called: options with their values, and words without an option ("")."""
    try:
        tables = tomllib.loads(directory.settings.read_text(encoding="utf-8"))
        words = shlex.split(str(tables.get("run", {}).get("command", "")))
    except (OSError, ValueError):
        return []
    return [
        (option, _setting(value, tables) if option == "--set" else value)
        for option, value in _parsed(words[2:])  # behind the names of the program and of its command
    ]


def _setting(given: str, tables: dict[str, Any]) -> str:
    """A setting with its value, which stands among the run's unless it is a secret: then dots are left for it."""
    key = given.partition("=")[0]
    value: Any = tables.get("settings", {})
    for name in key.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    if isinstance(value, bool | int | float):
        return f"{key}={json.dumps(value)}"
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
