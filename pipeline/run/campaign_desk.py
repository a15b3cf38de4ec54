"""A target's campaigns on the line: one session on which they are asked and changed, and closed at the end."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

import anyio.to_thread

from pipeline import targets
from pipeline.config import Settings
from pipeline.errors import (
    AlreadyThere,
    Interrupted,
    NoList,
    NotDelivered,
    PutOff,
    Refused,
    RowError,
    SessionExpired,
    TargetUnreachable,
    TargetUnusable,
    UsageError,
)
from pipeline.run.asking import ATTEMPTS, Deleting, ask, removed
from pipeline.run.stopping import Stopping
from pipeline.sessions import Lease, SessionPool
from pipeline.targets import Campaigns, Lookup
from pipeline.wire import ClientFactory, client_factory

T = TypeVar("T")

#: What is told where a signal has come.
UNTOLD: Final = "Stopped by a signal. If something was to be changed, `campaign show` tells whether it was."


class CampaignDesk:
    """A target's campaigns, asked on one session that is renewed as often as need be."""

    def __init__(self, campaigns: Campaigns, lease: Lease[Any], lookup: Lookup | None = None) -> None:
        self.campaigns = campaigns
        self.lookup = lookup  # of the contacts of the campaign that the settings name; None: it cannot be had
        self._lease = lease

    async def remove(self, contact_ids: Sequence[str], deleting: Deleting) -> set[str]:
        """Delete contacts from the campaign that the settings name; the ids of those that are surely gone."""
        assert self.lookup is not None
        return await removed(self.lookup, self._lease, contact_ids, deleting)

    async def ask(self, call: Callable[[Any], Awaitable[T]]) -> T:
        """`call` on the session, again and again where that is harmless. Raises Refused and AlreadyThere, and RunError
        for what else does not end in an answer.
        """
        expired = 0

        async def once(handle: Any) -> T:
            nonlocal expired
            try:
                return await call(handle)
            except SessionExpired:
                expired += 1
                raise
            except PutOff as error:  # not processed
                raise NotDelivered(error.reason) from None

        try:
            return await ask(self._lease, once)
        except (Refused, AlreadyThere):
            raise
        except NoList as error:
            raise TargetUnreachable(f"the target gives no list: {error.reason}. Try again later.") from None
        except RowError as error:
            if expired >= ATTEMPTS:
                raise TargetUnusable(
                    f"every session is answered as if it were gone: {error.reason}. The account may lack the right to "
                    "use campaigns."
                ) from None
            raise TargetUnreachable(f"the target does not answer: {error.reason}. Try again later.") from None

    async def change(self, call: Callable[[Any], Awaitable[T]]) -> T:
        """`ask` for a change: a refusal ends the command."""
        try:
            return await self.ask(call)
        except (Refused, AlreadyThere) as error:
            raise TargetUnusable(f"{error.reason}. Nothing was changed.") from None

    async def held(self, campaign_id: str) -> dict[str, Any]:
        """A campaign. Raises TargetUnusable where there is none of this id."""
        found = await self.ask(lambda handle: self.campaigns.show(handle, campaign_id))
        if found is None:
            raise TargetUnusable(f"campaign {campaign_id} is not known to the target: `campaign list` shows which are.")
        return found


@asynccontextmanager
async def campaign_desk(
    settings: Settings, clients: ClientFactory | None = None, *, signals: bool = False
) -> AsyncIterator[CampaignDesk]:
    """The campaigns of the target that the settings name; its session is closed at the end, and with `signals` on
    SIGINT and SIGTERM too.

    Raises UsageError where the system has no calls for campaigns, else RunError.
    """
    clients = clients or client_factory(settings.http, settings.delivery.timeout)
    module = targets.module(settings.target.system)
    target = await anyio.to_thread.run_sync(module.create, settings, clients, None)
    campaigns = target.campaigns
    if campaigns is None:
        raise UsageError(f"A target of system {settings.target.system} has no calls for campaigns.")
    pool: SessionPool[Any] = SessionPool(target, 1, 1, settings.sessions, open_within=2 * settings.delivery.timeout)
    stopping = Stopping()
    try:
        async with stopping.watching(signals=signals):
            with stopping.cancelling():
                async with pool.lease() as lease:
                    assert lease is not None, "the first lease of a pool is always given"
                    yield CampaignDesk(campaigns, lease, target.lookup)
            if stopping.received is not None:
                raise Interrupted(stopping.received, UNTOLD)
    finally:
        await pool.aclose()


def named(settings: Settings) -> str:
    """The campaign that the settings name. Raises UsageError where they name none."""
    if not settings.target.campaign:
        raise UsageError("No campaign is named: give its ID, or set target.campaign_id.")
    return settings.target.campaign
