"""A campaign as a table of TOML or JSON: its keys, what may stand in each, and the way from and to `Campaign`.

A key that is left out is null in a new campaign and unchanged in an update; JSON can say null itself. An empty text is
a text. Dates and times are TOML's own or text as ISO 8601 has it; where one is an empty text it is unset.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID

from pipeline.config import ContactsSettings
from pipeline.targets.addresses import checked_address
from pipeline.targets.onc.values import Campaign, EmailInfo, SmsInfo, VoiceInfo
from pipeline.targets.soap.template import escape

#: xs:int, which the documented integers are in both dialects.
_MOST: Final = 2**31 - 1

#: The blocks of the table that are values of their own: null where the table is left out.
_BLOCKS: Final[dict[str, type[Any]]] = {"sms": SmsInfo, "voice": VoiceInfo, "email": EmailInfo}


class Key(NamedTuple):
    """One key of the table."""

    name: str  # dotted
    field: str  # of Campaign, or of the block that the first part of the name names
    read: Callable[[object], Any]  # a value as `Campaign` holds it; raises ValueError, whose text is for a person


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("is text: write it in quotes")
    escape(value)  # raises ValueError for characters that XML cannot carry
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("is true or false")
    return value


def _number(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MOST:
        raise ValueError(f"is a whole number from 0 to {_MOST}")
    return value


def _date(value: object) -> date | None:
    if value == "":
        return None
    try:
        if isinstance(value, str):
            value = date.fromisoformat(value)
        if isinstance(value, date) and not isinstance(value, datetime) and value.year > 1:
            return value
    except ValueError:
        pass
    raise ValueError("is a date such as 2026-12-24, without a time")


def _time(value: object) -> time | None:
    if value == "":
        return None
    try:
        if isinstance(value, str):
            value = time.fromisoformat(value)
        if isinstance(value, time) and value.tzinfo is None:
            return value
    except ValueError:
        pass
    raise ValueError("is a time of day such as 09:30:00, without a zone")


def _moment(value: object) -> datetime | None:
    try:
        if isinstance(value, str):
            value = datetime.fromisoformat(value)
    except ValueError:
        pass
    if not isinstance(value, datetime):
        raise ValueError("is a date with a time such as 2026-12-24T09:30:00Z")
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def guid(value: object) -> str:
    """A GUID in lower case, without braces. Raises ValueError."""
    try:
        return str(UUID(_text(value).strip()))
    except ValueError:
        raise ValueError("is no GUID such as 7c9e6679-7425-40de-944b-e07fc1f90ae7") from None


def _address(value: object) -> str:
    text = _text(value)
    return checked_address(text) if text else text


def _sender(value: object) -> str:
    text = _text(value)
    if text and not (text.count("@") == 1 and all(part.strip() for part in text.split("@"))):
        raise ValueError("is a mail address such as office@example.com")
    return text


KEYS: Final = (
    Key("id", "id", guid),
    Key("created", "created", _moment),
    Key("name", "name", _text),
    Key("description", "description", _text),
    Key("paused", "paused", _flag),
    Key("progress_endpoint", "progress_endpoint", _address),
    Key("active.from_date", "from_date", _date),
    Key("active.from_time", "from_time", _time),
    Key("active.to_date", "to_date", _date),
    Key("active.to_time", "to_time", _time),
    Key("external.contacts", "external_contacts", _flag),
    Key("external.sms_required", "sms_required", _flag),
    Key("external.voice_required", "voice_required", _flag),
    Key("external.email_required", "email_required", _flag),
    Key("sms.enabled", "enabled", _flag),
    Key("sms.from_number", "from_number", _text),
    Key("sms.text", "text", _text),
    Key("voice.enabled", "enabled", _flag),
    Key("voice.dial_timeout_ms", "dial_timeout_ms", _number),
    Key("voice.calling_name", "calling_name", _text),
    Key("voice.calling_number", "calling_number", _text),
    Key("voice.text", "text", _text),
    Key("voice.voice_name", "voice_name", _text),
    Key("voice.max_plays", "max_plays", _number),
    Key("voice.max_retries", "max_retries", _number),
    Key("voice.retry_minutes", "retry_minutes", _number),
    Key("email.enabled", "enabled", _flag),
    Key("email.from_address", "from_address", _sender),
    Key("email.subject", "subject", _text),
    Key("email.html", "html", _text),
)
_BY_NAME: Final = {key.name: key for key in KEYS}
_TABLES: Final = tuple(dict.fromkeys(key.name.partition(".")[0] for key in KEYS if "." in key.name))

#: Values that cannot be null: a key that is null says nothing that could be sent.
_NEVER_NULL: Final = (_flag, _number)


def mistakes(table: Mapping[str, Any], *, new: bool) -> list[tuple[str, str]]:
    """What is wrong with a table: dotted key and, in words, what. `new`: it is a whole campaign, not changes alone."""
    found: list[tuple[str, str]] = []
    for name, value in _flat(table, found).items():
        key = _BY_NAME[name]
        try:
            if value is not None:
                key.read(value)
            elif key.read in _NEVER_NULL:
                raise ValueError("cannot be null")
        except ValueError as error:
            found.append((name, str(error)))
    if new and not str(table.get("name") or "").strip() and not any(name == "name" for name, _ in found):
        found.append(("name", "is missing: a campaign has a name"))
    return found or _out_of_order(_values(table))


def _out_of_order(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """A window that ends before it begins. From evening to morning is a window too: times are for each day."""
    start, end = values.get("active.from_date"), values.get("active.to_date")
    if start is not None and end is not None and end < start:
        return [("active.to_date", f"is {end}, before active.from_date ({start})")]
    return []


def _flat(table: Mapping[str, Any], found: list[tuple[str, str]] | None = None) -> dict[str, Any]:
    """The known keys with their values; what is not known is added to `found`."""
    values: dict[str, Any] = {}
    unknown: list[tuple[str, str]] = []
    for name, value in table.items():
        if name in _TABLES:
            inner = tuple(key.name for key in KEYS if key.name.startswith(f"{name}."))
            if isinstance(value, Mapping):
                for part, given in value.items():
                    if f"{name}.{part}" in inner:
                        values[f"{name}.{part}"] = given
                    else:
                        known = ", ".join(each.partition(".")[2] for each in inner)
                        unknown.append((f"{name}.{part}", f"there is no such key; known here: {known}"))
            elif value is not None or name not in _BLOCKS:
                unknown.append((name, "is a table"))
        elif name in _BY_NAME and "." not in name:
            values[name] = value
        else:
            alone = (key.name for key in KEYS if "." not in key.name)
            unknown.append((name, f"there is no such key; known are {', '.join((*alone, *_TABLES))}"))
    if found is not None:
        found += unknown
    return values


def _values(table: Mapping[str, Any]) -> dict[str, Any]:
    return {name: None if value is None else _BY_NAME[name].read(value) for name, value in _flat(table).items()}


def applied(table: Mapping[str, Any], campaign: Campaign) -> Campaign:
    """A campaign with what a table without mistakes says of it; what it does not name stays."""
    fields: dict[str, Any] = {}
    blocks: dict[str, dict[str, Any]] = {}
    for name, value in _values(table).items():
        block, dot, _ = name.partition(".")
        if dot and block in _BLOCKS:
            blocks.setdefault(block, {})[_BY_NAME[name].field] = value
        else:
            fields[_BY_NAME[name].field] = value
    for block, kind in _BLOCKS.items():
        if block in table and table[block] is None:
            fields[block] = None
        elif block in table:
            fields[block] = replace(getattr(campaign, block) or kind(), **blocks.get(block, {}))
    return replace(campaign, **fields)


def table_of(campaign: Campaign) -> dict[str, Any]:
    """The whole campaign as a table; what is null is left out."""
    table: dict[str, Any] = {}
    for key in KEYS:
        name, dot, part = key.name.partition(".")
        holder = getattr(campaign, name) if name in _BLOCKS else campaign
        if holder is None:
            continue
        value = getattr(holder, key.field)
        inner = table.setdefault(name, {}) if dot else table
        if value is not None:
            inner[part or name] = value
    return {name: value for name, value in table.items() if value != {} or name in _BLOCKS}


def outlook(table: Mapping[str, Any], contacts: ContactsSettings, today: date) -> list[str]:
    """What a campaign would not do with contacts of a mapping, in sentences. In which zone its window stands is not
    documented, so a day that has only just passed somewhere counts as today.
    """
    values = _values(table)
    sentences = []
    if values.get("paused"):
        sentences.append("It is paused: nobody is contacted before it is started (`campaign start`).")
    end = values.get("active.to_date")
    if end is not None and end < today - timedelta(days=1):
        sentences.append(f"It is over: its last day was {end}, so nobody is contacted.")
    for name, channel in contacts.channels.items():
        text = values.get("email.html" if name == "email" else f"{name}.text")
        if not values.get(f"{name}.enabled"):
            sentences.append(f"It does not deliver by {name}: that channel is not enabled in it.")
        elif channel.text is None and not (text or "").strip():
            sentences.append(f"It has no text for {name}, and the mapping gives none (contacts.{name}.text).")
    return sentences


def differences(wanted: Mapping[str, Any], there: Mapping[str, Any]) -> list[str]:
    """The dotted keys in which two tables differ, in order; `created` is the service's own.

    A block that is not there is the same as one without a value, and midnight the same as no time: the service may not
    tell them apart.
    """
    one, other = _values(wanted), _values(there)
    return [
        key.name for key in KEYS if key.name != "created" and _plain(one.get(key.name)) != _plain(other.get(key.name))
    ]


def _plain(value: Any) -> Any:
    # False and 0 are what the members of a block have that was never filled.
    return None if value == time() or (isinstance(value, int) and not value) else value
