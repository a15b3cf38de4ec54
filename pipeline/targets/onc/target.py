"""An ONC service as a target: what it offers, put together."""

import functools

from pipeline.config import ContactsSettings
from pipeline.targets import Target
from pipeline.targets.onc.campaigns import OncCampaigns
from pipeline.targets.onc.client import OncClient, OncSession
from pipeline.targets.onc.lookup import LISTS, OncLookup
from pipeline.targets.onc.rows import OncRows
from pipeline.targets.onc.settling import proof


class OncTarget(Target):
    """See `pipeline.targets.Target`. No limit of sessions is published; every call on one begins its idle time anew,
    and nothing else ends it (contract.md).
    """

    def __init__(self, client: OncClient, contacts: ContactsSettings) -> None:
        self.client = client
        self._contacts = contacts

    @functools.cached_property
    def rows(self) -> OncRows:
        """Contacts are added by AddCampaignContact. Raises ConfigError where the contract has no place for them."""
        return OncRows(self.client, self._contacts)

    @functools.cached_property
    def lookup(self) -> OncLookup | None:
        """Contacts are listed, and deleted by DeleteCampaignContact. None where the WSDL lacks the lists."""
        return OncLookup(self.client, self._contacts) if all(name in self.client.operations for name in LISTS) else None

    @functools.cached_property
    def campaigns(self) -> OncCampaigns:
        """Campaigns are listed, shown, added, changed and deleted."""
        return OncCampaigns(self.client.settings)

    async def open(self) -> OncSession:
        """Open a session; raises like `OncClient.open`."""
        return await self.client.open()

    async def prove(self, handle: OncSession) -> bool:
        """Ask for the list of campaigns: a session that is gone gets null. An empty list proves nothing without the
        campaign, where one is configured.
        """
        good, _ = await proof(handle, self.client.settings.campaign_id)
        return good

    async def close(self, handle: OncSession) -> None:
        """Close the session at the service, and its connection whatever happens. Raises Refused where the service does
        not close it.
        """
        await self.client.close(handle)

    def learnt(self) -> tuple[str, ...]:
        """What this run learnt about the service, as lines for the configuration."""
        return self.client.codes.learnt()
