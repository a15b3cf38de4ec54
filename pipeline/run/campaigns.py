"""What the campaign commands do: list, show, add, change and delete the campaigns of a target.

A change is told from what the target holds afterwards, never from its answer alone: the campaign is read back and
compared.
"""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from copy import deepcopy
from dataclasses import dataclass
from time import time
from typing import Any
from uuid import uuid4

import anyio.to_thread

from pipeline.config import Settings
from pipeline.errors import (
    AlreadyThere,
    ConfigError,
    OutcomeUnknown,
    Refused,
    TargetUnreachable,
    TargetUnusable,
    UsageError,
)
from pipeline.ledger import campaign as campaign_state
from pipeline.run import describing
from pipeline.run.campaign_desk import CampaignDesk, campaign_desk, named
from pipeline.tables import merge
from pipeline.wire import ClientFactory

#: Names the place of a dotted key, with the key.
Place = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Shown:
    """A campaign as the target holds it."""

    table: dict[str, Any]
    remark: str  # what must be known of it, as a sentence; empty: nothing


@dataclass(frozen=True, slots=True)
class Changed:
    """A campaign after something was done to it."""

    before: dict[str, Any] | None  # as it was; None: it was not there
    wanted: dict[str, Any]  # as it was to be
    after: dict[str, Any]  # as it was read back
    sent: bool  # whether anything was changed at all
    differences: tuple[str, ...]  # dotted keys in which it is not as it was to be
    new_id: bool = False  # the target put an id of its own in the place of ours

    @property
    def id(self) -> str:
        """Its id at the target."""
        return str(self.after.get("id", ""))


async def list_campaigns(
    settings: Settings, *, clients: ClientFactory | None = None, signals: bool = False
) -> list[Shown]:
    """All campaigns that the target tells of. Raises RunError."""

    async def listed(handle: Any) -> list[Shown]:
        async with aclosing(desk.campaigns.listed(handle)) as tables:
            return [Shown(table, desk.campaigns.remark) async for table in tables]

    async with campaign_desk(settings, clients, signals=signals) as desk:
        return await desk.ask(listed)


async def show_campaign(settings: Settings, *, clients: ClientFactory | None = None, signals: bool = False) -> Shown:
    """The campaign that the settings name. Raises RunError, UsageError where they name none."""
    campaign_id = named(settings)
    async with campaign_desk(settings, clients, signals=signals) as desk:
        return Shown(await desk.held(campaign_id), desk.campaigns.remark)


async def add_campaign(
    settings: Settings,
    table: Mapping[str, Any],
    place: Place = str,
    *,
    clients: ClientFactory | None = None,
    signals: bool = False,
) -> Changed:
    """Add a campaign, read it back and compare. Its id is that of the table, else a new one of ours; the target may put
    one of its own in its place.

    Adding is not known to be harmless when it is repeated, so where no answer comes the list is looked at instead.
    Raises ConfigError with every mistake in the table, UsageError where the id is taken, else RunError.
    """
    async with campaign_desk(settings, clients, signals=signals) as desk:
        campaigns = desk.campaigns
        _refuse(campaigns.mistakes(table, new=True), place)
        wanted = {"id": str(uuid4()), **{name: value for name, value in table.items() if value is not None}}
        before = await desk.ask(campaigns.ids)
        if "id" in table and await desk.ask(lambda handle: campaigns.show(handle, wanted["id"])) is not None:
            raise UsageError(f"{place('id')}: there is a campaign of this id already; leave it out to have a new one")

        async def adding(handle: Any) -> str | None:
            try:
                await campaigns.add(handle, wanted)
            except OutcomeUnknown as error:
                return error.reason  # not to be sent again
            return None

        unanswered = await desk.change(adding)
        after = await _found(desk, wanted, before)
        if after is None:
            if unanswered:
                raise TargetUnreachable(
                    f"adding the campaign got no answer ({unanswered}), and it is not there now. It may come late: "
                    "look with `campaign list` before you add it again."
                )
            raise TargetUnusable(
                "the target answered success, but the campaign is not there: look with `campaign list`."
            )
        differing = campaigns.differences(wanted, after)
        others = tuple(key for key in differing if key != "id")
        return Changed(None, wanted, after, True, others, new_id="id" in differing)


async def _found(desk: CampaignDesk, wanted: Mapping[str, Any], before: set[str]) -> dict[str, Any] | None:
    """The campaign that was just added: by the id that we gave it, else the one new one of its name, else the one new
    one: a target that loses the id may lose the name, too.
    """
    campaigns = desk.campaigns
    if (after := await desk.ask(lambda handle: campaigns.show(handle, wanted["id"]))) is not None:
        return after
    new = []
    for campaign_id in await desk.ask(campaigns.ids) - before:
        table = await desk.ask(lambda handle, each=campaign_id: campaigns.show(handle, each))  # type: ignore[misc]
        if table is not None:
            new.append(table)
    alike = [table for table in new if table.get("name") == wanted.get("name")]
    return next((found[0] for found in (alike, new) if len(found) == 1), None)


async def update_campaign(
    settings: Settings,
    changes: Mapping[str, Any],
    place: Place = str,
    *,
    clients: ClientFactory | None = None,
    signals: bool = False,
) -> Changed:
    """Change what `changes` names of the campaign that the settings name, and nothing else; read it back and compare.

    Where it is so already nothing is sent. Raises ConfigError with every mistake in the changes, else RunError.
    """
    campaign_id = named(settings)
    async with campaign_desk(settings, clients, signals=signals) as desk:
        campaigns = desk.campaigns
        _refuse(campaigns.mistakes(changes, new=False), place)
        before = await desk.held(campaign_id)
        if campaigns.differences({"id": changes.get("id", before.get("id"))}, {"id": before.get("id")}):
            raise ConfigError([f"{place('id')}: cannot be changed"])
        # A shown campaign has both; neither is for us to set.
        changes = {name: value for name, value in changes.items() if name not in ("id", "created")}
        wanted = deepcopy(before)
        merge(wanted, deepcopy(changes))
        held_already = campaigns.mistakes(before, new=False)
        _refuse([each for each in campaigns.mistakes(wanted, new=False) if each not in held_already], place)
        if not campaigns.differences(wanted, before):
            return Changed(before, wanted, before, False, ())
        await desk.change(lambda handle: campaigns.update(handle, campaign_id, changes))
        after = await desk.held(campaign_id)
        return Changed(before, wanted, after, True, tuple(campaigns.differences(wanted, after)))


async def delete_campaign(
    settings: Settings,
    confirm: Callable[[Mapping[str, Any]], Awaitable[bool]] | None = None,
    *,
    clients: ClientFactory | None = None,
    signals: bool = False,
) -> dict[str, Any]:
    """Delete the campaign that the settings name, while no run holds it; gives it as it was.

    What is remembered of its contacts is forgotten. Raises UsageError where `confirm` says no, Busy, else RunError.
    """
    campaign_id = named(settings)
    async with campaign_desk(settings, clients, signals=signals) as desk:
        before = await desk.held(campaign_id)
        if confirm is not None and not await confirm(before):
            raise UsageError("Stopped at the question: nothing was deleted.")
        base = describing.state_directory(settings)
        with campaign_state.held(base, settings.target.identity, settings.target.campaign) as state:
            refusal = None
            try:
                await desk.ask(lambda handle: desk.campaigns.delete(handle, campaign_id))
            except (Refused, AlreadyThere) as error:
                refusal = error.reason  # one that was sent twice is refused because it is gone
            if await desk.ask(lambda handle: desk.campaigns.show(handle, campaign_id)) is not None:
                raise TargetUnusable(f"{refusal or 'the target answered success'}, and the campaign is still there.")
            await anyio.to_thread.run_sync(state.emptied, time())
    return before


def _refuse(mistakes: list[tuple[str, str]], place: Place) -> None:
    if mistakes:
        raise ConfigError([f"{place(name)}: {words}" for name, words in mistakes])
