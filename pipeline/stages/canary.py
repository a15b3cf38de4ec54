"""The canary: a few rows go first, and are read back whole before the rest may follow.

Some targets answer success and lose a member on the way (contract.md, "Traps"); reading back is the only way to see it.
"""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from enum import Enum
from typing import Protocol, TypeVar

from pipeline.errors import PipelineError

H_contra = TypeVar("H_contra", contravariant=True)

#: Reading back stops here; a campaign that holds more stays unproven.
READ_LIMIT = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class HeldChannel:
    """One channel of a contact as the target holds it."""

    destination: str | None
    text: str | None
    retries: int | None  # None: the target did not say
    tries: bool  # whether the target means to deliver at all
    untouched: bool  # whether no delivery was begun yet, so that `retries` is as it was given


@dataclass(frozen=True, slots=True)
class Held:
    """One contact as the target holds it."""

    contact_id: str | None  # lower case, without braces
    channels: Mapping[str, HeldChannel]  # by the names of CHANNELS; a channel that is not there is absent


@dataclass(frozen=True, slots=True)
class Sent:
    """One contact as we sent it and the target accepted it."""

    position: int
    contact_id: str
    channels: Mapping[str, tuple[str, int]]  # destination and retries, by channel


class ReadBackTooLarge(PipelineError):
    """The campaign holds more than may be read."""


class ReadBack(Protocol[H_contra]):
    """What the canary needs of a target."""

    def read_back(self, handle: H_contra, *, limit: int | None) -> AsyncGenerator[Held, None]:
        """The campaign's contacts as a stream, in no particular order.

        Raises ReadBackTooLarge after `limit` bytes, NoList for a null list, another RowError or TargetUnusable where it
        cannot be read.
        """

    def contact_ids(self, handle: H_contra) -> AsyncGenerator[str, None]:
        """The ids of the campaign's contacts as a stream: lower case, without braces. Raises like `read_back`."""


class Verdict(Enum):
    """What reading back told."""

    PASSED = "passed"  # every canary row is there, whole
    FAILED = "failed"  # a member was lost: nothing more may be sent
    MISSING = "missing"  # a row is not in the list (yet)
    UNPROVEN = "unproven"  # nothing can be told: the rest goes, and that is said


@dataclass(frozen=True, slots=True)
class Finding:
    """What reading back told."""

    verdict: Verdict
    keeps_ids: bool | None  # whether the target keeps the ids that we send; None: not told
    words: str | None  # what was lost, or why nothing is proven; None: all is well


async def read_back(
    target: ReadBack[H_contra], handle: H_contra, sent: Sequence[Sent], *, stood_before: Callable[[Held], bool]
) -> Finding:
    """Look for every row of `sent` in the campaign, by id, else by its destinations; stop when all are seen whole.

    None of the rows was in the campaign before, as far as is known; a target may still hold several contacts of one id.
    `stood_before` tells of a contact that it was there before: it is none of `sent`, whatever it looks like.
    """
    waiting: dict[str, list[Sent]] = {}  # rows may share an id
    for row in sent:
        waiting.setdefault(row.contact_id, []).append(row)
    seen = 0
    damaged: dict[str, str] = {}  # what was lost, by id
    strangers: list[Held] = []  # candidates, should the target give ids of its own
    by_destination = {_destinations(row.channels): row for row in sent}
    try:
        async with aclosing(target.read_back(handle, limit=READ_LIMIT)) as contacts:
            async for held in contacts:
                rows = waiting.get(held.contact_id or "")
                if not rows:
                    if _might_be_ours(held, by_destination) and not stood_before(held):
                        strangers.append(held)
                    continue
                losses = [_lost(row, held) for row in rows]
                if None in losses:
                    damaged.pop(rows.pop(losses.index(None)).contact_id, None)
                    seen += 1
                    if seen == len(sent):
                        return Finding(Verdict.PASSED, True, None)
                else:
                    damaged[rows[0].contact_id] = losses[0] or ""
    except ReadBackTooLarge:
        if damaged:
            return Finding(Verdict.FAILED, True, next(iter(damaged.values())))
        kept = True if seen else None
        return Finding(Verdict.UNPROVEN, kept, "the campaign holds too much to be read back")
    if damaged:
        return Finding(Verdict.FAILED, True, next(iter(damaged.values())))
    if seen:
        return Finding(Verdict.MISSING, True, "some accepted rows are not in the campaign's list")
    return _match_strangers(sent, strangers)


def _match_strangers(rows: Sequence[Sent], strangers: list[Held]) -> Finding:
    """The target gives ids of its own: find each row by its destinations, as often as it was sent."""
    unmatched = []
    for row in rows:
        for index, held in enumerate(strangers):
            if _held_destinations(held) == _destinations(row.channels) and not _lost(row, held):
                del strangers[index]
                break
        else:
            unmatched.append(row)
    if not unmatched:
        return Finding(Verdict.PASSED, False, None)
    # Something like ours is there, but not whole: say what is missing of the nearest.
    for row in unmatched:
        for held in strangers:
            if lost := _lost(row, held):
                return Finding(Verdict.FAILED, None, lost)
    return Finding(Verdict.MISSING, None, "accepted rows are not in the campaign's list")


def _lost(row: Sent, held: Held) -> str | None:
    """The first member of `row` that `held` does not have as it was sent."""
    for channel, (destination, retries) in row.channels.items():
        there = held.channels.get(channel)
        if there is None or not there.destination:
            return f"the destination of {channel} is missing"
        if plain(there.destination) != plain(destination):
            return f"the destination of {channel} is another than was sent"
        if not there.tries:
            return f"{channel} is marked 'do not try'"
        if there.retries is not None and (there.retries > retries or (there.untouched and there.retries != retries)):
            return f"the retry count of {channel} is {there.retries}, sent was {retries}"
    return None


def _might_be_ours(held: Held, ours: Mapping[frozenset[str], Sent]) -> bool:
    """A contact with one of our sets of destinations, or one that lost its own."""
    destinations = _held_destinations(held)
    return destinations in ours or not destinations or any(destinations < whole for whole in ours)


def _destinations(channels: Mapping[str, tuple[str, int]]) -> frozenset[str]:
    return frozenset(f"{channel}:{plain(destination)}" for channel, (destination, _) in channels.items())


def _held_destinations(held: Held) -> frozenset[str]:
    return frozenset(f"{name}:{plain(c.destination)}" for name, c in held.channels.items() if c.destination)


def plain(destination: str) -> str:
    """Digits of a phone, or the mail without case: targets write both in their own way."""
    if "@" in destination:
        return destination.strip().lower()
    return "".join(character for character in destination if character.isdigit())
