"""What a result code other than 0 means, found out by asking where it is not known (contract.md)."""

from typing import NoReturn, Protocol

from pipeline.errors import (
    AlreadyThere,
    NotDelivered,
    OutcomeUnknown,
    PutOff,
    Refused,
    SessionExpired,
    TargetUnusable,
)
from pipeline.targets.onc.codes import CodeBook, Meaning
from pipeline.targets.soap.answers import Presence


class Asked(Protocol):
    """A session as far as it can be asked whether it is good."""

    trusted: bool  # whether a call has succeeded on it

    async def listed(self) -> Presence:
        """What stands where the list of campaigns should be."""

    async def holds(self, campaign_id: str) -> bool:
        """Whether the campaign is known."""


async def proof(session: Asked, campaign_id: str | None) -> tuple[bool, Presence]:
    """Whether a session is good, and what stood where the list of campaigns should be.

    Where the list is empty the campaign decides; None: there is none to ask for.
    """
    found = await session.listed()
    good = found is Presence.ITEMS or (
        found is Presence.EMPTY and (not campaign_id or await session.holds(campaign_id))
    )
    session.trusted = session.trusted or good
    return good, found


async def settle(
    session: Asked, codes: CodeBook, code: str, campaign_id: str | None, *, operation: str = ""
) -> NoReturn:
    """Raise what a code means: SessionExpired, PutOff, AlreadyThere or Refused.

    `campaign_id` is the campaign that the call was about contacts of; None: it was about campaigns themselves, which
    may not be there. `operation` names the call in the message. A code whose meaning cannot be asked is NotDelivered:
    non-zero is documented as not processed. TargetUnusable where the campaign is not known to the target.
    """
    meaning = codes.meaning(code, trusted=session.trusted)
    if meaning is Meaning.TRANSIENT:
        raise PutOff(f"the target put it off (code {code})", code=code)
    if meaning is Meaning.DUPLICATE:
        raise AlreadyThere(f"the target has it already (code {code})", code=code)
    gone = f"the session is gone (code {code})"
    if meaning is Meaning.SESSION_GONE:
        raise SessionExpired(gone, code=code)
    try:
        good, listed = await proof(session, campaign_id)
        if not good:
            if not session.trusted and listed is Presence.EMPTY and campaign_id:
                raise no_campaign(campaign_id)  # a session that was only just opened is not gone
            codes.session_was_gone(code)
            raise SessionExpired(gone, code=code)
        if codes.row_was_refused(code) and campaign_id and not await session.holds(campaign_id):
            if (await proof(session, campaign_id))[0]:
                raise no_campaign(campaign_id)
            raise SessionExpired(gone, code=code)
    except (NotDelivered, OutcomeUnknown) as error:
        raise NotDelivered(
            f"the target answered code {code}, and what it means could not be asked: {error.reason}",
            retry_after=getattr(error, "retry_after", None),
        ) from None
    raise Refused(f"the target refused {operation or 'it'} (code {code})", code=code)


def no_campaign(campaign_id: str) -> TargetUnusable:
    """What is said of a campaign that is not there."""
    return TargetUnusable(
        f"campaign {campaign_id} is not known to the target: set target.campaign_id to one of the account's active "
        "campaigns."
    )
