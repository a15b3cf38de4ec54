"""The settings of a run as run.toml holds them, in words, without what rows may hold."""

from collections.abc import Iterator, Mapping
from typing import Any


def flat(section: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    """Dotted keys and what is told of their values."""
    for key, value in section.items():
        name = f"{before}{key}"
        if isinstance(value, Mapping):
            match dict(value):
                case {"env": variable, **rest} if not rest:
                    yield name, f"from the environment: {variable}"
                case {"file": path, **rest} if not rest:
                    yield name, f"from the file {path}"
                case {"prompt": True, **rest} if not rest:
                    yield name, "asked for"
                case _:
                    yield from flat(value, f"{name}.")
        elif key == "in":  # values of cells: keys or destinations, perhaps
            yield name, f"{len(value)} values" if len(value) != 1 else "1 value"
        else:
            yield name, _value(value)


def _value(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case float():
            return f"{value:g}"
        case list():
            return ", ".join(map(_value, value)) or "none"
        case "":
            return '""'
        case _:
            return str(value)
