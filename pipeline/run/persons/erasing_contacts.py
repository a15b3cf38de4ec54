"""The part of an erasure in which the target is on the line: contacts are deleted, until the target's list shows none.

Deleting is idempotent, so a deletion that is refused, put off or not answered is simply judged by the list, and sent
again as long as that shows the contact. A list may lag: it is believed when it shows the contact no more, or when it
shows it still so long after the deletion that it cannot lag any more.

A list that lags may not show yet what a run has just added. So what the runs tell is deleted too, whatever is listed;
and as long as a send of the last run may take effect yet, or be missing in the list, nobody counts as gone whom the
list does not show and the target has not surely deleted.
"""

from collections.abc import Collection, Sequence
from functools import partial
from time import time
from typing import Final
from uuid import UUID

import anyio
import anyio.to_thread

from pipeline.config import Settings
from pipeline.errors import TargetUnusable
from pipeline.ledger import campaign
from pipeline.ledger.state import State
from pipeline.logs import logger
from pipeline.records import Status
from pipeline.run import describing
from pipeline.run.campaign_desk import CampaignDesk, campaign_desk
from pipeline.run.persons.finding import Search
from pipeline.run.persons.receipt import Removed
from pipeline.wire import ClientFactory

#: A list that shows contacts still is read again with pauses that grow from the first to the last, in seconds.
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 10.0

_STILL_THERE: Final = (
    "the target lists {left} of {all} contacts still that were to be deleted: it refuses to, or they are added again. "
    "The runs were not touched. See what the target says of them with `campaign contacts`, then start again."
)


#: Why it takes longer than the calls do.
_LISTED: Final = "the target lists them still, so many seconds at most; they are deleted and looked for again"
_UNSURE: Final = "a run has just sent, and what it sent may take effect yet; they are deleted once more until then"


def brought(settings: Settings, contact_ids: Sequence[str]) -> int:
    """How many of these contacts runs have added, as the state knows; blocks."""
    target = settings.target
    with campaign.peek(describing.state_directory(settings), target.identity, target.campaign) as state:
        return 0 if state is None else len(state.brought(_packed(contact_ids), own=None))


async def remove(
    search: Search, contact_ids: Sequence[str], settings: Settings, state: State, clients: ClientFactory | None
) -> Removed:
    """Delete all contacts that `search` finds in the campaign, and let the state, which is held, forget them.

    Raises TargetUnusable where the target keeps some, TargetUnreachable where it does not answer, MachineFailed.
    """
    name = settings.target.campaign
    told = set(contact_ids)
    told |= {place.contact_id for place in search.places if place.campaign == name and place.contact_id}
    doubtful = {p.contact_id for p in search.places if p.campaign == name and p.status == Status.IN_DOUBT.value}
    there, deleted = set(contact_ids), set[str]()
    if told:
        async with campaign_desk(settings, clients, signals=True) as desk:
            listed, deleted = await _rounds(desk, search, settings, state, told, told & doubtful)
            there |= listed
    await anyio.to_thread.run_sync(state.forget, _packed(told | there))
    return Removed(name, len(there), 0, unlisted=len(deleted - there), done=True)


async def _rounds(
    desk: CampaignDesk, search: Search, settings: Settings, state: State, told: set[str], doubtful: set[str]
) -> tuple[set[str], set[str]]:
    """Delete and look, until nobody is there; all who were listed, and all who were deleted. `doubtful`: their addition
    may yet take effect, and must not do so behind its deletion.
    """
    name, late = settings.target.campaign, settings.delivery.late_effect

    def deleting(gone: Collection[str] | None) -> None:
        if gone is None:
            state.deleted(float("inf"))
        else:
            state.gone(_packed(gone), time())

    began = anyio.current_time()
    quiet = await anyio.to_thread.run_sync(partial(state.quiet_since, own=0))  # None: no run has sent anything
    quiet_in = 0.0 if quiet is None else min(late, max(0.0, quiet + late - time()))
    there, deleted = set[str](), set[str]()
    left, unsure, pause = told, doubtful, FIRST_PAUSE
    said = False
    while True:
        asked = anyio.current_time()
        gone = await desk.remove(sorted(left | unsure), deleting)
        deleted |= gone
        unsure = ((left | unsure) - gone) | doubtful
        listed = await search.listed(desk, name, settings.contacts.region)
        left = {place.contact_id for place in listed if place.contact_id}
        there |= left
        if not left and (not unsure or asked >= began + quiet_in):
            return there, deleted
        if left and asked > began + max(late, quiet_in):
            raise TargetUnusable(_STILL_THERE.format(left=len(left), all=len(there)))
        wait = began + (max(late, quiet_in) if left else quiet_in) - anyio.current_time()
        if not said and wait > FIRST_PAUSE:
            said = True
            reason = _LISTED if left else _UNSURE
            logger().info("erase.waits", reason=reason, contacts=len(left or unsure), seconds=round(wait, 1))
        await anyio.sleep(pause if left else min(pause, max(0.0, began + quiet_in - anyio.current_time())))
        pause = min(2 * pause, LONGEST_PAUSE)


def _packed(contact_ids: Collection[str]) -> list[bytes]:
    """The bytes of those that are ids of ours: a target may have others."""
    packed = []
    for each in contact_ids:
        try:
            packed.append(UUID(each).bytes)
        except ValueError:
            continue
    return packed
