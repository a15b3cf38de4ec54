"""The documented members of campaigns and contacts: how each is read from an answer and written into a request."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, time
from typing import Any, Final, NamedTuple

from pipeline.errors import OutcomeUnknown
from pipeline.targets.onc.values import (
    Campaign,
    CommunicationInfo,
    Contact,
    EmailInfo,
    Held,
    SmsInfo,
    VoiceInfo,
)
from pipeline.targets.soap import answers, moments
from pipeline.targets.soap.answers import Element, Unreadable
from pipeline.targets.soap.copies import Copy, Node
from pipeline.targets.soap.members import Value, Wanted
from pipeline.targets.soap.moments import TimeOfDay


class _Member(NamedTuple):
    """A member of a type."""

    field: str  # of our value
    name: str  # as documented
    read: Callable[[Element | None], Any]


class _Type(NamedTuple):
    """A documented type."""

    value: type[Any]  # ours
    members: tuple["_Member | _Nested", ...]


class _Nested(NamedTuple):
    """A member of a type that has members itself."""

    field: str
    name: str
    type: _Type


def _flag(element: Element | None) -> bool:
    return answers.boolean(element) or False  # left out it has its default (contract.md)


def _number(element: Element | None) -> int:
    return answers.integer(element) or 0


def _utc(element: Element | None) -> datetime | None:
    found = answers.moment(element)
    return found.replace(tzinfo=UTC) if found is not None and found.tzinfo is None else found  # documented


_SMS: Final = _Type(
    SmsInfo,
    (
        _Member("enabled", "Enabled", _flag),
        _Member("from_number", "FromNumber", answers.text),
        _Member("text", "TextToSend", answers.text),
    ),
)
_VOICE: Final = _Type(
    VoiceInfo,
    (
        _Member("enabled", "Enabled", _flag),
        _Member("dial_timeout_ms", "DialMsTimeout", _number),
        _Member("calling_name", "CallingName", answers.text),
        _Member("calling_number", "CallingNumber", answers.text),
        _Member("text", "TextToSpeak", answers.text),
        _Member("voice_name", "TTSVoiceName", answers.text),
        _Member("max_plays", "MaxTextPlays", _number),
        _Member("max_retries", "MaxDeliveryRetries", _number),
        _Member("retry_minutes", "RetryMinutesInterval", _number),
    ),
)
_EMAIL: Final = _Type(
    EmailInfo,
    (
        _Member("enabled", "Enabled", _flag),
        _Member("from_address", "FromEmail", answers.text),
        _Member("subject", "Subject", answers.text),
        _Member("html", "HtmlContent", answers.text),
    ),
)
_CAMPAIGN: Final = _Type(
    Campaign,
    (
        _Member("id", "ID", answers.guid),
        _Member("created", "CreationDateUtc", _utc),
        _Member("name", "ShortName", answers.text),
        _Member("description", "Description", answers.text),
        _Member("paused", "IsPaused", _flag),
        _Member("from_date", "ActiveFromDate", moments.day),
        _Member("from_time", "ActiveFromTime", moments.time_of_day),
        _Member("to_date", "ActiveToDate", moments.day),
        _Member("to_time", "ActiveToTime", moments.time_of_day),
        _Nested("sms", "OutboundSMSNotificationInfo", _SMS),
        _Nested("voice", "OutboundVoiceNotificationInfo", _VOICE),
        _Nested("email", "OutboundEmailNotificationInfo", _EMAIL),
        _Member("external_contacts", "AllowAddingContactsFromExternalApps", _flag),
        _Member("sms_required", "SmsNotificationRequired", _flag),
        _Member("voice_required", "VoiceNotificationRequired", _flag),
        _Member("email_required", "EmailNotificationRequired", _flag),
        _Member("progress_endpoint", "ProgressWSEndpoint", answers.text),
    ),
)
_COMMUNICATION: Final = _Type(
    CommunicationInfo,
    (
        _Member("destination", "Destination", answers.text),
        _Member("text", "TextToSendOverwrite", answers.text),
        _Member("status", "StatusCode", answers.integer),
        _Member("last_error", "LastDeliveryErrorCode", answers.integer),
        _Member("retries", "RetryCount", answers.integer),
    ),
)
_CONTACT: Final = _Type(
    Contact,
    (
        _Member("id", "Id", answers.guid),
        _Member("campaign_id", "CampaignId", answers.guid),
        _Nested("sms", "SMSCommInfo", _COMMUNICATION),
        _Nested("voice", "VoiceCommInfo", _COMMUNICATION),
        _Nested("email", "EmailCommInfo", _COMMUNICATION),
    ),
)


# --- reading --------------------------------------------------------------------------------------------------------


def campaign_of(element: Element) -> Campaign:
    """A campaign as an answer tells it. Raises OutcomeUnknown where it cannot be read."""
    campaign: Campaign = _read(element, _CAMPAIGN)
    return replace(campaign, held=Held(Node.of(element), campaign))


def contact_of(element: Element) -> Contact:
    """A contact as an answer tells it. Raises OutcomeUnknown where it cannot be read."""
    contact: Contact = _read(element, _CONTACT)
    return contact


def _read(element: Element, kind: _Type) -> Any:
    try:
        return _value(element, kind)
    except Unreadable as error:
        raise OutcomeUnknown(str(error)) from None


def _value(element: Element, kind: _Type) -> Any:
    values: dict[str, Any] = {}
    told = _told(element)
    for member in kind.members:
        found = told.get(member.name)
        if found is None and member.name.lower() in told:
            found = answers.child(element, member.name)
        if isinstance(member, _Nested):
            there = found is not None and not answers.is_nil(found)
            values[member.field] = _value(found, member.type) if found is not None and there else None
        else:
            try:
                values[member.field] = member.read(found)
            except Unreadable as error:
                raise Unreadable(f"{error} ({member.name})") from None
    return kind.value(**values)


def _told(element: Element) -> dict[str, Element]:
    """The first child of each local name, and of each in lower case: millions of contacts are looked into."""
    told: dict[str, Element] = {}
    for each in answers.children(element):
        name = answers.local_name(each)
        told.setdefault(name, each)
        told.setdefault(name.lower(), each)
    return told


# --- writing --------------------------------------------------------------------------------------------------------


def campaign_wanted(campaign: Campaign, time_day: date) -> Value:
    """What to send for a campaign: a new one whole, one that was told with what has changed since.

    `time_day` is the day on which times of day stand where the WSDL has a dateTime for them.
    """
    if campaign.held is None:
        return _wanted(campaign, _CAMPAIGN, time_day)
    return _changed(campaign.held.node, campaign.held.campaign, campaign, _CAMPAIGN, time_day)


def contact_wanted(contact: Contact) -> Wanted:
    """What to send for a contact."""
    return _wanted(contact, _CONTACT, date.min)


def _wanted(value: Any, kind: _Type, time_day: date) -> Wanted:
    """Every member that is not null; the others may be left out, or the WSDL says what stands for null."""
    wanted: dict[str, Value] = {}
    for member in kind.members:
        given = getattr(value, member.field)
        if given is None:
            continue
        if isinstance(member, _Nested):
            wanted[member.name] = _wanted(given, member.type, time_day)
        else:
            wanted[member.name] = _leaf(given, time_day)
    return wanted


def _changed(node: Node, before: Any, after: Any, kind: _Type, time_day: date) -> Copy:
    changes: dict[str, Value] = {}
    for member in kind.members:
        was, given = getattr(before, member.field), getattr(after, member.field)
        if was == given:
            continue
        told = node.child(member.name)
        if isinstance(member, _Nested) and given is not None:
            if was is None or told is None:
                changes[member.name] = _wanted(given, member.type, time_day)
            else:
                changes[member.name] = _changed(told, was, given, member.type, time_day)
        else:
            leaf = _leaf(given, time_day)
            if told is not None and isinstance(leaf, date | TimeOfDay):
                leaf = moments.moved_to(told.text, leaf)
            changes[member.name] = leaf
    return Copy(node, changes)


def _leaf(given: Any, time_day: date) -> Value:
    leaf: Value = TimeOfDay(given, time_day) if isinstance(given, time) else given
    return leaf
