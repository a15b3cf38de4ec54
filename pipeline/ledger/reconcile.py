"""Settles rows in doubt by asking the target what it holds: an id of ours that is found is proof, absence only with a
control.
"""

from collections.abc import AsyncIterable, Collection
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Answer:
    """What the target's list of ids told."""

    found: frozenset[str]  # of the ids in doubt
    proves_absence: bool  # every id of the control was in the same list, and there was a control


async def look_up(ids: AsyncIterable[str], doubtful: Collection[str], control: Collection[str]) -> Answer:
    """Read the target's list to its end. `control` are ids of rows that this run had accepted, recent ones among them:
    where the target shows those it keeps our ids and its list is not behind. Memory does not grow with the list.
    """
    wanted = frozenset(doubtful)
    missing = set(control)
    found: set[str] = set()
    async for contact_id in ids:
        if contact_id in wanted:
            found.add(contact_id)
        missing.discard(contact_id)
    return Answer(frozenset(found), proves_absence=bool(control) and not missing)
