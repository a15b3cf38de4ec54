"""Tables of TOML and JSON: read from files and `--set`, merged, and where each of their keys stands."""

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.errors import ConfigError


def read_table(file: Path | None, overrides: Sequence[str]) -> tuple[dict[str, Any], "Places"]:
    """The table that a file (JSON by its suffix, else TOML) and `overrides` hold, and what tells where its keys stand.
    Raises ConfigError with every mistake.
    """
    problems: list[str] = []
    table: dict[str, Any] = {}
    if file is not None:
        try:
            text = file.read_text(encoding="utf-8-sig")
            read = json.loads(text) if file.suffix.lower() == ".json" else tomllib.loads(text)
        except OSError as error:
            problems.append(f"{file}: cannot be read: {error.strerror}")
        except UnicodeDecodeError:
            problems.append(f"{file}: is not UTF-8 text")
        except tomllib.TOMLDecodeError as error:
            problems.append(f"{file}: is not TOML: {error}")
        except ValueError as error:
            problems.append(f"{file}: is not JSON: {error}")
        else:
            if isinstance(read, dict):
                table = read
            else:
                problems.append(f"{file}: holds no table")
    merge_overrides(table, overrides, problems)
    if problems:
        raise ConfigError(problems)
    return table, Places([file] if file is not None else [], overrides)


def merge(into: dict[str, Any], new: Mapping[str, Any]) -> None:
    """Put the keys of `new` into `into`, table by table."""
    for key, value in new.items():
        if isinstance(value, Mapping) and isinstance(into.get(key), dict) and not _is_reference(value):
            merge(into[key], value)
        else:
            into[key] = dict(value) if isinstance(value, Mapping) else value


def _is_reference(value: Mapping[str, Any]) -> bool:
    return len(value) == 1 and next(iter(value)) in ("env", "file", "prompt")


def merge_overrides(table: dict[str, Any], overrides: Sequence[str], problems: list[str]) -> None:
    """Put into `table` what `overrides` ("dotted.key=VALUE") say; what is wrong with them is added to `problems`."""
    for each in overrides:
        try:
            merge(table, _parsed(each))
        except ValueError as error:
            problems.append(f"--set {each.split('=')[0]}: {error}")


def _parsed(override: str) -> dict[str, Any]:
    """What "dotted.key=VALUE" says, as a table: TOML if the value is that, else text. Raises ValueError."""
    key, equals, text = override.partition("=")
    names = [name.strip() for name in key.split(".")]
    if not equals or not all(names):
        raise ValueError("is written as dotted.key=VALUE")
    try:
        value: Any = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    for name in reversed(names):
        value = {name: value}
    assert isinstance(value, dict)
    return value


class Places:
    """Says where a dotted key stands: the file and, where it can be found, the line."""

    def __init__(self, files: Sequence[Path], overrides: Sequence[str]) -> None:
        self._files = files
        self._overrides = {override.partition("=")[0].strip() for override in overrides}

    def name(self, dotted: str) -> str:
        """The place of a key, with the key."""
        if dotted in self._overrides or any(name.startswith(f"{dotted}.") for name in self._overrides):
            return f"--set {dotted}"
        for file in reversed(self._files):
            if line := self._line(file, dotted):
                return f"{file}:{line}: {dotted}"
        return f"{self._files[-1]}: {dotted}" if self._files else dotted

    @staticmethod
    def _line(file: Path, dotted: str) -> int | None:
        table = ""
        for number, line in enumerate(file.read_text(encoding="utf-8-sig").splitlines(), 1):
            text = line.strip()
            if header := re.match(r"\[+\s*([^\[\]]+?)\s*\]+", text):
                table = header[1]
                if table == dotted:
                    return number
            elif key := re.match(r"([\w.\-\"]+)\s*=", text):
                full = f"{table}.{key[1]}" if table else key[1]
                if dotted == full or dotted.startswith(full + "."):
                    return number
        return None
