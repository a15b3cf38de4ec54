"""Campaigns as a person or a script reads them: TOML that can be given back, JSON, and lines."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, time
from typing import Any, Final

import tomli_w

from pipeline.records import CHANNELS
from pipeline.report.text import contacts, line, number

#: The columns of a listing. The name is last: it may hold anything.
HEADINGS: Final = ("id", "state", "from_date", "to_date", "from_time", "to_time", "channels", "name")

#: What is shown of a value at most, in characters.
_SHOWN: Final = 60


def state(table: Mapping[str, Any]) -> str:
    """Whether it is paused, in a word."""
    return "paused" if table.get("paused") else "running"


def columns(table: Mapping[str, Any]) -> tuple[str, ...]:
    """A campaign on one line, by HEADINGS: whole, without control characters; what it does not have is empty."""
    active = table.get("active", {})
    enabled = [name for name in CHANNELS if table.get(name, {}).get("enabled")]
    window = (active.get(name) for name in ("from_date", "to_date", "from_time", "to_time"))
    given = (table.get("id"), state(table), *window, ",".join(enabled), table.get("name"))
    return tuple("" if each is None else line(str(each)) for each in given)


def toml(table: Mapping[str, Any], remark: str) -> str:
    """The campaign as a file that `campaign add` and `campaign update` take; what the target sets is a comment."""
    created = table.get("created")
    when = f", created {_moment(created)}" if created else ""
    head = [f"# Campaign {line(str(table.get('id', '')))}{when}.", *([f"# {remark}"] if remark else [])]
    return (
        "\n".join(head) + "\n" + tomli_w.dumps({name: table[name] for name in table if name not in ("id", "created")})
    )


def as_json(shown: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> str:
    """One campaign or several as JSON; dates and times as ISO 8601 has them."""
    return json.dumps(shown, indent=2, ensure_ascii=False, default=_iso)


def changed(campaign_id: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """What is another than it was, in a sentence."""
    was, now = dict(_flat(before)), dict(_flat(after))
    names = [name for name in (was | now) if was.get(name) != now.get(name)]
    return (
        f"Campaign {line(campaign_id)}: changed {', '.join(names)}."
        if names
        else f"Campaign {line(campaign_id)}: is as it was."
    )


def unchanged(campaign_id: str) -> str:
    """That there was nothing to do."""
    return f"Campaign {line(campaign_id)}: it is so already; nothing was sent."


def differences(names: Sequence[str], wanted: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    """For each key in which the target holds something else than was sent, a sentence."""
    sent, held = dict(_flat(wanted)), dict(_flat(after))
    for name in names:
        yield f"{name}: the target holds {_value(held.get(name))}; sent was {_value(sent.get(name))}"


def matched(by: str, rows: int, others: int, repeated: int) -> Iterator[str]:
    """How a run's rows were matched with contacts, in sentences."""
    how = {
        "id": "by id",
        "destination": "by destinations, as none of this run's ids is in the target's list",
    }
    yield f"{number(rows)} of the run's rows have a contact, matched {how[by]}."
    if others:
        yield f"{contacts(others)} of the campaign left out: not of this run."
    if repeated:
        yield f"{contacts(repeated)} left out: listed more than once with one id."


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        elif value is not None:
            yield f"{prefix}{name}", value


def _value(value: Any) -> str:
    if value is None:
        return "nothing"
    text = json.dumps(value, ensure_ascii=False, default=_iso)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}... ({len(text):,} characters)"


def _iso(value: object) -> str:
    if isinstance(value, date | time):
        return value.isoformat()
    raise TypeError(type(value).__name__)


def _moment(value: object) -> str:
    return f"{value:%Y-%m-%d %H:%M:%S} UTC" if isinstance(value, datetime) else str(value)
