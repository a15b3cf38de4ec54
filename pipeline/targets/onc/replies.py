"""Answers to what the rest of the package deals in: session ids, contacts as held, refusals in words."""

from collections.abc import Iterable
from typing import Final

from pipeline.errors import OpeningRefused, OutcomeUnknown, TargetUnusable
from pipeline.stages.canary import Held, HeldChannel
from pipeline.targets.onc.encoder import MEMBERS
from pipeline.targets.soap import answers
from pipeline.targets.soap.answers import Element, Unreadable
from pipeline.targets.soap.contract import Request
from pipeline.targets.soap.template import escape
from pipeline.targets.words import shown

#: Statuses of a channel (documented): 0 is "do not try", 1 is "pending".
_DO_NOT_TRY: Final = 0
_PENDING: Final = 1


def error_code(payload: Element) -> int:
    """The ErrorCode that stands with a Description; left out it has its default, 0 (contract.md).

    Raises OutcomeUnknown.
    """
    try:
        return answers.integer(answers.descendant(payload, "ErrorCode")) or 0
    except Unreadable as error:
        raise OutcomeUnknown(str(error)) from None


def session_token(payload: Element, request: Request, secrets: Iterable[str]) -> bytes:
    """The session id that OpenAPISession answered, ready for an envelope.

    Raises OpeningRefused for a non-zero code (documented), OutcomeUnknown where the answer cannot be read or is null,
    TargetUnusable for success without a session id.
    """
    code = error_code(payload)
    try:
        # The wrapper may be there or not; the documented members are looked for wherever they stand.
        description = answers.text(answers.descendant(payload, "Description")) or ""
        session = (answers.text(answers.descendant(payload, "SessionId")) or "").strip()
        there = answers.presence(answers.result(payload, request.result))
    except Unreadable as error:
        raise OutcomeUnknown(str(error)) from None
    if not code and not session and there.null:
        raise OutcomeUnknown("OpenAPISession answers null")
    if code:
        said = shown(description, secrets)
        raise OpeningRefused(f"code {code}{f': {said}' if said else ''}", code=str(code))
    if not session:
        raise TargetUnusable(
            "OpenAPISession answers success without a session id: check target.endpoint and target.wsdl."
        )
    try:
        return escape(session).encode()
    except ValueError:
        raise TargetUnusable("OpenAPISession answers a session id that XML cannot carry.") from None


def listed_id(element: Element) -> str:
    """An item of a list of ids, lower case. Raises OutcomeUnknown."""
    try:
        value = answers.guid(element)
    except Unreadable as error:
        raise OutcomeUnknown(str(error)) from None
    if value is None:
        raise OutcomeUnknown("the answer holds null where an id should be")
    return value


def held(element: Element) -> Held:
    """An item of the list of contacts. Raises OutcomeUnknown."""
    try:
        channels = {}
        for name, member in MEMBERS.items():
            channel = answers.child(element, member)
            if channel is not None and not answers.is_nil(channel):
                channels[name] = _channel(channel)
        return Held(contact_id=answers.guid(answers.child(element, "Id")), channels=channels)
    except Unreadable as error:
        raise OutcomeUnknown(str(error)) from None


def _channel(channel: Element) -> HeldChannel:
    # A member that is not there was not told (contract.md: nil and absent both mean null), which is no sign of loss.
    status = answers.integer(answers.child(channel, "StatusCode"))
    return HeldChannel(
        destination=answers.text(answers.child(channel, "Destination")),
        text=answers.text(answers.child(channel, "TextToSendOverwrite")),
        retries=answers.integer(answers.child(channel, "RetryCount")),
        tries=status != _DO_NOT_TRY,
        untouched=status == _PENDING,
    )
