"""How the campaign's contacts are listed, read back, changed and deleted."""

import functools
from collections.abc import AsyncGenerator
from contextlib import aclosing

import polars as pl

from pipeline.config import ContactsSettings
from pipeline.errors import AlreadyThere, NoList, Refused
from pipeline.stages.canary import Held, ReadBackTooLarge
from pipeline.stages.encode import Body
from pipeline.targets.onc.client import OncClient, OncSession
from pipeline.targets.onc.encoder import ContactEncoder
from pipeline.targets.onc.replies import held
from pipeline.targets.onc.settling import proof, settle
from pipeline.targets.soap.calls import AnswerTooLarge, Purpose, number
from pipeline.targets.soap.contract import Request

#: Without these the service cannot be asked what it holds.
LISTS = ("GetCampaignContactsListing", "GetCampaignContacts")


class OncLookup:
    """See `pipeline.targets.Lookup`."""

    def __init__(self, client: OncClient, contacts: ContactsSettings) -> None:
        self._client = client
        self._contacts = contacts
        self._campaign_id = client.settings.campaign_id
        for operation in LISTS:  # what the contract has no place for is found before anything is sent
            _ = client.operations[operation]

    async def contact_ids(self, handle: OncSession) -> AsyncGenerator[str]:
        """The ids of the campaign's contacts, lower case, as a stream; memory stays flat.

        A null list raises OutcomeUnknown, and so does one that breaks off, after its ids: that an id is not among them
        says something only where the iterator has come to its end.
        """
        empty = True
        async with aclosing(handle.contact_ids(self._campaign_id)) as ids:
            async for contact_id in ids:
                empty = False
                yield contact_id
        if empty and not (await proof(handle, self._campaign_id))[0]:
            raise NoList("the campaign's list is empty, and so is every answer on this session")

    async def read_back(self, handle: OncSession, *, limit: int | None) -> AsyncGenerator[Held]:
        """The campaign's contacts as a stream. Raises ReadBackTooLarge after `limit` bytes, and like `contact_ids`."""
        try:
            listed = handle.items("GetCampaignContacts", limit=limit, campaign=self._campaign_id)
            async with aclosing(listed) as items:
                async for item in items:
                    yield held(item)
        except AnswerTooLarge as error:
            raise ReadBackTooLarge(str(error)) from None

    @functools.cached_property
    def _updating(self) -> ContactEncoder:
        settings = self._client.settings
        return ContactEncoder(
            self._client.contract,
            self._contacts,
            settings.campaign_id,
            settings.max_message,
            operation="UpdateCampaignContact",
        )

    def encode_update(self, contacts: pl.DataFrame) -> list[Body]:
        """One UpdateCampaignContact envelope per row, cut where the session id goes."""
        return self._updating.encode(contacts)

    async def update(self, handle: OncSession, body: Body) -> str:
        """Update a contact; gives "0". Raises as `remove`."""
        return await self._changed(handle, self._updating.request, body)

    def encode_removal(self, contact_ids: pl.Series) -> list[Body]:
        """One DeleteCampaignContact envelope per id, cut where the session id goes."""
        template = self._client.operations["DeleteCampaignContact"].template
        return [template.bind({"campaign": self._campaign_id, "contact": contact_id}) for contact_id in contact_ids]

    async def remove(self, handle: OncSession, body: Body) -> str:
        """Delete a contact; gives "0". Raises SessionExpired, PutOff or Refused by the code's meaning, as `send`."""
        return await self._changed(handle, self._client.operations["DeleteCampaignContact"], body)

    async def _changed(self, handle: OncSession, request: Request, body: Body) -> str:
        client = self._client
        payload = await client.caller.call(handle.client, request, handle.token.join(body), Purpose.ROW)
        code = number(payload, request)
        if code != 0:
            try:
                await settle(handle, client.codes, str(code), self._campaign_id)
            except AlreadyThere:  # means nothing here but that it was not done
                raise Refused(f"the target refused it (code {code})", code=str(code)) from None
        handle.trusted = True
        client.codes.accepted()
        return "0"
