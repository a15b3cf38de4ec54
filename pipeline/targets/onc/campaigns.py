"""Campaigns of an ONC service in terms that every system has: tables in, tables and frames out."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from datetime import date
from typing import Any, Final

import polars as pl

from pipeline.config import ContactsSettings
from pipeline.errors import NoList
from pipeline.records import CHANNELS, DELIVERIES_SCHEMA
from pipeline.targets.onc import campaign_tables
from pipeline.targets.onc.client import OncSession
from pipeline.targets.onc.settings import OncSettings
from pipeline.targets.onc.values import Campaign, CommunicationInfo, Contact, DeliveryStatus

#: The document names no zone, and no zone may be made up.
REMARK: Final = (
    "The zone of the active window is not documented: its dates and times are shown as the service tells them."
)

#: Contacts of a frame.
_FRAME: Final = 4096

_WORDS: Final = {int(status): status.name.lower().replace("_", " ") for status in DeliveryStatus}


class OncCampaigns:
    """See `pipeline.targets.Campaigns`. Campaigns have GUIDs for ids."""

    def __init__(self, settings: OncSettings) -> None:
        self._settings = settings

    @property
    def remark(self) -> str:
        """That nobody knows the zone."""
        return REMARK

    def mistakes(self, table: Mapping[str, Any], *, new: bool) -> list[tuple[str, str]]:
        """See `campaign_tables.mistakes`."""
        return campaign_tables.mistakes(table, new=new)

    def differences(self, wanted: Mapping[str, Any], there: Mapping[str, Any]) -> list[str]:
        """See `campaign_tables.differences`."""
        return campaign_tables.differences(wanted, there)

    async def listed(self, handle: OncSession) -> AsyncGenerator[dict[str, Any]]:
        """GetCampaigns: the active ones, which are all that the service tells of."""
        async with aclosing(handle.campaigns()) as campaigns:
            async for campaign in campaigns:
                yield campaign_tables.table_of(campaign)

    def outlook(self, table: Mapping[str, Any], contacts: ContactsSettings, today: date) -> list[str]:
        """See `campaign_tables.outlook`."""
        return campaign_tables.outlook(table, contacts, today)

    async def ids(self, handle: OncSession) -> set[str]:
        """GetCampaignListing."""
        async with aclosing(handle.campaign_ids()) as ids:
            return {campaign_id async for campaign_id in ids}

    async def show(self, handle: OncSession, campaign_id: str) -> dict[str, Any] | None:
        """GetCampaign."""
        campaign = await handle.campaign(campaign_tables.guid(campaign_id))
        return None if campaign is None else campaign_tables.table_of(campaign)

    async def add(self, handle: OncSession, table: Mapping[str, Any]) -> None:
        """AddCampaign. When it was created is for the service to say."""
        await handle.add_campaign(campaign_tables.applied({**table, "created": None}, Campaign()))

    async def update(self, handle: OncSession, campaign_id: str, changes: Mapping[str, Any]) -> bool:
        """GetCampaign, then UpdateCampaign with all that it told but for the changes."""
        held = await handle.campaign(campaign_id)
        if held is None:
            return False
        await handle.update_campaign(campaign_tables.applied(changes, held))
        return True

    async def delete(self, handle: OncSession, campaign_id: str) -> None:
        """DeleteCampaign."""
        await handle.delete_campaign(campaign_id)

    async def contacts(self, handle: OncSession, campaign_id: str) -> AsyncGenerator[pl.DataFrame]:
        """GetCampaignContacts as a stream of frames; memory stays flat."""
        rows: list[tuple[Any, ...]] = []
        empty = True
        async with aclosing(handle.contacts(campaign_id)) as contacts:
            async for contact in contacts:
                rows.append(_row(contact))
                if len(rows) >= _FRAME:
                    yield _frame(rows)
                    rows, empty = [], False
        if rows:
            yield _frame(rows)
        elif empty and not await handle.holds(campaign_id):
            # Some servers write null as an empty element.
            raise NoList("the campaign's list is empty, and the campaign is not there on this session")


def _row(contact: Contact) -> tuple[Any, ...]:
    return (contact.id, *(value for name in CHANNELS for value in _channel(getattr(contact, name))))


def _channel(channel: CommunicationInfo | None) -> tuple[Any, ...]:
    if channel is None:
        return (None, None, None, None, None)
    status = None if channel.status is None else _WORDS.get(channel.status, f"unknown ({channel.status})")
    return (channel.destination, status, channel.last_error, channel.retries, channel.text)


def _frame(rows: list[tuple[Any, ...]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=DELIVERIES_SCHEMA, orient="row")
