"""Dates and times of day, in whichever XSD type a WSDL has for them.

A contract may carry a time of day as a time, as a duration since midnight, or as a dateTime on some day or other, and a
date as a date or as a dateTime at midnight. What is written is what the type asks for; all of them are read. Zones are
taken as they stand and never converted: a date or a time of day is not a point in time.
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final

from zeep.xsd.types import builtins

from pipeline.targets.soap import answers
from pipeline.targets.soap.answers import Element, Unreadable

_DATE: Final = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})(T.*|Z|[+-][0-9]{2}:?[0-9]{2})?", re.DOTALL)
_TIME: Final = re.compile(
    r"((?:[0-9]{4}-[0-9]{2}-[0-9]{2}T)?)([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]{1,9}))?)?"
    r"(Z|[+-][0-9]{2}:?[0-9]{2})?"
)
_DURATION: Final = re.compile(r"P(?:([0-9]+)D)?(?:T(?:([0-9]+)H)?(?:([0-9]+)M)?(?:([0-9]+)(?:\.([0-9]{1,9}))?S)?)?")
_DAY: Final = timedelta(days=1)
_MIDNIGHT: Final = datetime(1, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class TimeOfDay:
    """A time of day to be written."""

    at: time
    day: date  # the day on which it stands where the type is a dateTime


def day(element: Element | None) -> date | None:
    """A date; None where it is null, blank or unset (year 1). Raises Unreadable."""
    value = (answers.text(element) or "").strip()
    if not value:
        return None
    match = _DATE.fullmatch(value)
    try:
        if match is None:
            raise ValueError
        found = date.fromisoformat(match[1]) if not match[1].startswith("0000") else date.min
    except ValueError:
        raise Unreadable("the answer holds no date where one should be") from None
    return None if found.year <= 1 else found


def time_of_day(element: Element | None) -> time | None:
    """A time of day; None where it is null, blank or unset, which for a dateTime is midnight in year 1. Raises
    Unreadable.
    """
    value = (answers.text(element) or "").strip()
    if not value:
        return None
    if match := _TIME.fullmatch(value):
        hour, minute, second = (int(part or 0) for part in match.groups()[1:4])
        since = timedelta(hours=hour, minutes=minute, seconds=second, microseconds=_microseconds(match[5]))
        unset = match[1][:4] in ("0000", "0001") and not since
    elif (match := _DURATION.fullmatch(value)) and value[-1] not in "PT":
        days, hours, minutes, seconds = (int(part or 0) for part in match.groups()[:4])
        if max(days, hours, minutes, seconds) > 86_400:
            raise Unreadable("the answer holds no time of day where one should be")
        since = timedelta(days, seconds, _microseconds(match[5]), minutes=minutes, hours=hours)
        unset = False
    else:
        raise Unreadable("the answer holds no time of day where one should be")
    if since > _DAY:
        raise Unreadable("the answer holds no time of day where one should be")
    return None if unset else (_MIDNIGHT + since).time()  # 24:00 is midnight


def written(value: object, xsd_type: Any) -> str:
    """A value as the text of an element of a simple type; text stays as it is."""
    if isinstance(value, TimeOfDay):
        if isinstance(xsd_type, builtins.DateTime):
            return f"{value.day.isoformat()}T{value.at.isoformat()}"
        if isinstance(xsd_type, builtins.Duration):
            second = f"{value.at.second}.{value.at.microsecond:06}" if value.at.microsecond else str(value.at.second)
            return f"PT{value.at.hour}H{value.at.minute}M{second}S"
        return value.at.isoformat()
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat() + ("T00:00:00" if isinstance(xsd_type, builtins.DateTime) else "")
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value)
    # zeep takes every text but two for true.
    return text.strip().lower() if isinstance(xsd_type, builtins.Boolean) else text


def moved_to(held: str, value: date | TimeOfDay) -> str | date | TimeOfDay:
    """A new date or time in the place of one that the target held: the rest of its text, zone or day, stays.

    Where nothing was set there is no rest to keep.
    """
    held = held.strip()
    if isinstance(value, TimeOfDay):
        match = _TIME.fullmatch(held)
        if match is None or held.startswith(("0001-01-01T00:00:00", "0000")):
            return value
        return f"{match[1]}{value.at.isoformat()}{match[6] or ''}"
    match = _DATE.fullmatch(held)
    if match is None or match[1][:4] in ("0000", "0001"):
        return value
    return f"{value.isoformat()}{match[2] or ''}"


def _microseconds(fraction: str | None) -> int:
    return int((fraction or "").ljust(6, "0")[:6])
