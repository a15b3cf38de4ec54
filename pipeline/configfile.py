"""Configuration files: TOML to settings with every mistake reported at once, and settings back to tables.

A target brings its own settings model; `load` asks the caller for it by the name in `target.system`.
"""

import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from pipeline.config import (
    ContactsSettings,
    DeliverySettings,
    HttpSettings,
    LedgerSettings,
    NotifySettings,
    Section,
    SessionsSettings,
    Settings,
    StateSettings,
    TargetSettings,
)
from pipeline.tables import Places, merge, merge_overrides
from pipeline.values import Secret

_SECTIONS: Final[dict[str, type[Section]]] = {
    "http": HttpSettings,
    "contacts": ContactsSettings,
    "delivery": DeliverySettings,
    "sessions": SessionsSettings,
    "state": StateSettings,
    "ledger": LedgerSettings,
    "notify": NotifySettings,
}


@dataclass(frozen=True, slots=True)
class Loaded:
    """What came of reading the configuration: either settings, or problems, or - for a check of the columns - both."""

    settings: Settings | None  # None where there are problems
    contacts: ContactsSettings | None  # the mapping alone, if at least that is right
    problems: tuple[str, ...]  # one line each: place, what is wrong, what to do


def load(
    files: Sequence[Path],
    overrides: Sequence[str],
    target_model: Callable[[str], type[TargetSettings]],
    *,
    inline: Mapping[str, Any] | None = None,
    mapped: bool = True,
) -> Loaded:
    """Read `files` (later ones win) and `overrides` ("dotted.key=VALUE"), and collect every mistake.

    `target_model` gives the model for a `target.system`; it raises KeyError, whose text names the known ones, for an
    unknown one. `inline` is merged between files and overrides, for options of the command line. `mapped`: a list is
    to be read, so there must be a mapping.
    """
    problems: list[str] = []
    merged: dict[str, Any] = {}
    base = Path()
    for file in files:
        try:
            read = tomllib.loads(file.read_text(encoding="utf-8-sig"))
        except OSError as error:
            problems.append(f"{file}: cannot be read: {error.strerror}")
        except UnicodeDecodeError:
            problems.append(f"{file}: is not UTF-8 text; TOML is")
        except tomllib.TOMLDecodeError as error:
            problems.append(f"{file}: is not TOML: {error}")
        else:
            base = file.parent
            merge(merged, _absolute(read, base))
    if inline:
        merge(merged, dict(inline))
    merge_overrides(merged, overrides, problems)
    if problems:
        return Loaded(None, None, tuple(problems))
    return _validate(merged, {"base": base, "mapped": mapped}, target_model, Places(files, overrides), mapped=mapped)


def _absolute(read: dict[str, Any], base: Path) -> dict[str, Any]:
    """Fix relative paths to their own file before files are merged: later files may lie elsewhere."""
    here = base.absolute()

    def fix(table: Any, *names: str) -> None:
        for name in names:
            if isinstance(table, dict) and isinstance(table.get(name), str) and table[name]:
                table[name] = str(here / Path(table[name]).expanduser())

    fix(read.get("http"), "ca", "cert", "key")
    fix(read.get("state"), "directory")
    target = read.get("target")
    if isinstance(target, dict):
        if isinstance(target.get("wsdl"), str) and "://" not in target["wsdl"]:
            fix(target, "wsdl")
        for value in target.values():
            fix(value, "file")
            for table in value if isinstance(value, list) else ():
                for each in table.values() if isinstance(table, dict) else ():
                    fix(each, "file")
    notify = read.get("notify")
    if isinstance(notify, dict):
        headers = notify.get("headers")
        for value in (notify.get("url"), *(headers.values() if isinstance(headers, dict) else ())):
            fix(value, "file")
    contacts = read.get("contacts")
    if isinstance(contacts, dict) and isinstance(contacts.get("suppress"), list):
        contacts["suppress"] = [str(here / Path(p)) if isinstance(p, str) else p for p in contacts["suppress"]]
    return read


def _validate(
    merged: dict[str, Any],
    context: dict[str, Any],
    target_model: Callable[[str], type[TargetSettings]],
    places: Places,
    *,
    mapped: bool,
) -> Loaded:
    problems: list[str] = []
    made: dict[str, Section] = {}
    problems.extend(
        f"{places.name(name)}: there is no such section; known are target, {', '.join(_SECTIONS)}"
        for name in merged
        if name not in _SECTIONS and name != "target"
    )
    for name, model in _SECTIONS.items():
        if name == "contacts" and name not in merged:
            if mapped:
                problems.append(f"{places.name('contacts')}: is missing: it maps the columns of the list")
            made[name] = ContactsSettings.unmapped()
            continue
        made |= _section(name, model, merged.get(name, {}), context, places, problems)
    target = merged.get("target")
    if not isinstance(target, dict) or not isinstance(target.get("system"), str):
        problems.append(f"{places.name('target.system')}: is missing: it names the system to import into")
    else:
        try:
            model = target_model(target["system"])
        except KeyError as error:
            problems.append(f"{places.name('target.system')}: {error.args[0]}")
        else:
            if mapped and model.rowless:
                return Loaded(None, None, (f"{places.name('target.system')}: {model.rowless}",))
            made |= _section("target", model, target, context, places, problems)
    contacts = made.get("contacts")
    assert contacts is None or isinstance(contacts, ContactsSettings)
    settings = made.get("target")
    if contacts is not None and contacts.channels and isinstance(settings, TargetSettings):
        problems.extend(f"{places.name(place)}: {words}" for place, words in settings.misfits(contacts))
    if problems:
        return Loaded(None, contacts if contacts is not None and contacts.channels else None, tuple(problems))
    # Every section is valid by itself; to look at them again would miss a mapping where none is needed.
    sections: Any = made
    return Loaded(Settings.model_construct(**sections), contacts, ())


def _section(
    name: str,
    model: type[Section],
    data: object,
    context: dict[str, Any],
    places: Places,
    problems: list[str],
) -> dict[str, Section]:
    try:
        return {name: model.model_validate(data, context=context)}
    except ValidationError as error:
        for detail in error.errors(include_url=False, include_input=False):
            dotted = ".".join([name, *(str(part) for part in detail["loc"] if isinstance(part, str))])
            problems.append(f"{places.name(dotted)}: {_words(detail, model)}")
    return {}


def _words(detail: Any, model: type[Section]) -> str:
    """pydantic's finding in words; the value itself is never repeated, it may be a secret."""
    kind = detail["type"]
    if kind == "extra_forbidden":
        known = ", ".join(f.alias or n for n, f in model.model_fields.items()) if len(detail["loc"]) == 1 else ""
        return "there is no such key" + (f"; known here: {known}" if known else "")
    if kind == "missing":
        return "is missing"
    text: str = detail["msg"]
    return text.removeprefix("Value error, ").removeprefix("Input ").replace("should be", "must be")


# --- writing --------------------------------------------------------------------------------------------------------


def dump(settings: Settings) -> dict[str, Any]:
    """The settings as plain tables for TOML: defaults included, secrets by reference, literal passwords left out."""
    plain = _plain(settings)
    assert isinstance(plain, dict)
    return plain


def _plain(value: object) -> object:
    if isinstance(value, Section):
        named = ((field.alias or name, getattr(value, name)) for name, field in type(value).model_fields.items())
        return {name: plain for name, item in named if (plain := _plain(item)) is not None}
    if isinstance(value, Secret):
        if value.public and value.literal is not None:
            return value.literal
        if value.env:
            return {"env": value.env}
        if value.file:
            return {"file": str(value.file)}
        return {"prompt": True} if value.prompt else None
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): plain for key, item in value.items() if (plain := _plain(item)) is not None}
    if isinstance(value, Path):
        return str(value)
    return value
