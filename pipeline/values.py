"""The types of single values in a configuration: durations, paths, secrets, addresses, shares of rows."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, ValidationInfo, WithJsonSchema

from pipeline.errors import ConfigError

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)")
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def seconds(value: object) -> float:
    """A duration in seconds: a number, or text such as "90s", "20m", "1h"."""
    if isinstance(value, bool):
        raise ValueError("a duration is a number of seconds or text such as '20m'")
    if isinstance(value, int | float):
        result = float(value)
    elif isinstance(value, str) and (match := _DURATION.fullmatch(value.strip())):
        result = float(match[1]) * _SECONDS[match[2]]
    else:
        raise ValueError("a duration is a number of seconds or text such as '90s', '20m', '1h'")
    if not 0 <= result < 1e9:
        raise ValueError("a duration is not negative")
    return result


def _durations(bound: dict[str, Any], lead: str = "") -> WithJsonSchema:
    """What the JSON Schema says of durations: numbers with this bound, or text that begins so."""
    number = {"type": "number", **bound, "exclusiveMaximum": 1e9}
    return WithJsonSchema({"anyOf": [number, {"type": "string", "pattern": rf"^\s*{lead}{_DURATION.pattern}\s*$"}]})


Duration = Annotated[float, BeforeValidator(seconds), _durations({"minimum": 0})]
PositiveDuration = Annotated[
    float, BeforeValidator(seconds), Field(gt=0), _durations({"exclusiveMinimum": 0}, r"(?=[\d.]*[1-9])")
]


def _resolve(value: object, info: ValidationInfo) -> object:
    """A path in a config file is relative to that file."""
    if isinstance(value, str | Path):
        base = (info.context or {}).get("base", Path())
        return Path(base) / Path(value).expanduser()
    return value


ConfigPath = Annotated[Path, BeforeValidator(_resolve)]


#: How a configuration says where a secret is, for the JSON Schema.
_REFERENCES: Final = [
    {"type": "object", "properties": {name: way}, "required": [name], "additionalProperties": False}
    for name, way in {
        "env": {"type": "string", "minLength": 1},
        "file": {"type": "string", "minLength": 1},
        "prompt": {"const": True},
    }.items()
]


@dataclass(frozen=True, slots=True)
class Secret:
    """A value that is read when it is needed and never shown: literal, from the environment, from a file or asked for.

    `read` raises ConfigError when there is nothing to read.
    """

    place: str  # the dotted key, for messages
    literal: str | None = None
    env: str | None = None
    file: Path | None = None
    prompt: bool = False
    public: bool = False  # a name: its literal stands in the configuration for all to read, and may in run.toml

    @classmethod
    def __get_pydantic_json_schema__(cls, _: Any, __: Any) -> dict[str, Any]:
        """How it is written in a configuration."""
        return {"anyOf": [{"type": "string", "minLength": 1}, *_REFERENCES]}

    def __repr__(self) -> str:
        return f"Secret({self.origin})"

    @property
    def told(self) -> str:
        """The value if it can be had without asking anybody, else where it comes from."""
        try:
            return self.origin if self.prompt else self.read()
        except ConfigError:
            return self.origin

    __str__ = __repr__

    @property
    def origin(self) -> str:
        """Where the value comes from, without the value."""
        if self.env:
            return f"env {self.env}"
        if self.file:
            return f"file {self.file}"
        return "prompt" if self.prompt else "config"

    def read(self) -> str:
        """The value as it is now (a rotated secret is read anew)."""
        if self.literal is not None:
            return self.literal
        if self.env:
            if value := os.environ.get(self.env):
                return value
            raise ConfigError([f"{self.place}: the environment variable {self.env} is not set"])
        if self.file:
            try:
                return self.file.read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                reason = getattr(error, "strerror", None) or "it is not text"
                raise ConfigError([f"{self.place}: cannot read {self.file}: {reason}"]) from None
        return _prompted(self.place)


_ANSWERS: dict[str, str] = {}  # one question a secret, however often it is read


def _prompted(place: str) -> str:
    import getpass
    import sys

    if place not in _ANSWERS:
        if not sys.stdin.isatty():
            raise ConfigError([f'{place}: prompt = true needs a terminal; use {{ env = "NAME" }} here'])
        _ANSWERS[place] = getpass.getpass(f"{place}: ")
    return _ANSWERS[place]


def _secret(value: object, info: ValidationInfo) -> object:
    return secret_at(f"target.{info.field_name}", value, info)


def secret_at(place: str, value: object, info: ValidationInfo) -> object:
    """A secret at `place`, the dotted key, as it is written in a configuration; raises ValueError."""
    if isinstance(value, str):
        if not value:
            raise ValueError("is empty")
        return Secret(place, literal=value)
    if isinstance(value, Mapping) and len(value) == 1:
        kind, given = next(iter(value.items()))
        if kind == "env" and isinstance(given, str) and given:
            return Secret(place, env=given)
        if kind == "file" and isinstance(given, str) and given:
            path = _resolve(given, info)
            assert isinstance(path, Path)
            return Secret(place, file=path)
        if kind == "prompt" and given is True:
            return Secret(place, prompt=True)
    if isinstance(value, Secret):
        return value
    raise ValueError('takes text, { env = "NAME" }, { file = "PATH" } or { prompt = true }')


def _name(value: object, info: ValidationInfo) -> object:
    made = _secret(value, info)
    return replace(made, public=True) if isinstance(made, Secret) else made


def _secret_or_none(value: object, info: ValidationInfo) -> object:
    return None if value is None else _secret(value, info)


def address(place: str, value: object, info: ValidationInfo, *, such: str) -> object:
    """An address by HTTP at `place`, the dotted key: written into the configuration it is no secret. `such` is an
    example. Raises ValueError.
    """
    if isinstance(value, str):
        try:
            parts = urlsplit(value)
        except ValueError:
            parts = urlsplit("")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"is an http or https address such as {such}")
        if "@" in parts.netloc:
            raise ValueError('holds a user name or password: keep the address in { env = "NAME" }')
    made = None if value is None else secret_at(place, value, info)
    return replace(made, public=True) if isinstance(made, Secret) else made


def _name_or_none(value: object, info: ValidationInfo) -> object:
    return None if value is None else _name(value, info)


#: Passwords and keys.
SecretText = Annotated[Secret, BeforeValidator(_secret)]
OptionalSecret = Annotated[Secret | None, BeforeValidator(_secret_or_none)]

#: Account ids and user names: taken in the same ways, but no secrets.
NameText = Annotated[Secret, BeforeValidator(_name)]
OptionalName = Annotated[Secret | None, BeforeValidator(_name_or_none)]

#: An address that may be one; empty text is none.
OptionalAddress = Annotated[Secret | None, WithJsonSchema({"anyOf": [{"type": "string"}, *_REFERENCES]})]


@dataclass(frozen=True, slots=True)
class Share:
    """A number of rows, or a percentage of the rows settled so far."""

    count: int | None = None
    percent: float | None = None

    #: A percentage of very few rows says nothing.
    ROWS_BEFORE_PERCENT: ClassVar[int] = 1000

    @classmethod
    def parse(cls, text: str) -> "Share":
        """Read "50" or "5%"; raises ValueError."""
        text = text.strip()
        try:
            if text.endswith("%"):
                percent = float(text[:-1])
                if 0 <= percent <= 100:
                    return cls(percent=percent)
            elif (count := int(text)) >= 0:
                return cls(count=count)
        except ValueError:
            pass
        raise ValueError(f"{text!r} is neither a number of rows (50) nor a percentage (5%)")

    def __str__(self) -> str:
        """As `parse` reads it."""
        return f"{self.percent:g}%" if self.count is None else str(self.count)

    def exceeded(self, bad: int, rows: int, *, final: bool = False) -> bool:
        """Whether `bad` of `rows` is more than this; `final`: all rows are known, so a percentage counts at once."""
        if self.count is not None:
            return bad > self.count
        assert self.percent is not None
        if rows < self.ROWS_BEFORE_PERCENT and not final:
            return False
        return bad * 100 > self.percent * rows
