"""How contacts are added: batches become envelopes at once, and an answer is read once where all look the same."""

import polars as pl

from pipeline.config import ContactsSettings
from pipeline.errors import TargetUnusable
from pipeline.stages.encode import Body
from pipeline.targets import Rows
from pipeline.targets.onc.client import OncClient, OncSession
from pipeline.targets.onc.encoder import ContactEncoder
from pipeline.targets.onc.settling import no_campaign, settle
from pipeline.targets.soap.calls import Purpose, number
from pipeline.wire import Answer, Line


class OncRows(Rows):
    """See `pipeline.targets.Rows`. Contacts are added by AddCampaignContact.

    Raises ConfigError where the contract has no place for them. Row calls and questions raise NotDelivered,
    OutcomeUnknown or TargetUnusable where no answer can be had.
    """

    def __init__(self, client: OncClient, contacts: ContactsSettings) -> None:
        settings = client.settings
        self._client = client
        self._caller = client.caller
        self._codes = client.codes
        self._campaign_id = settings.campaign_id
        self._encoder = ContactEncoder(client.contract, contacts, settings.campaign_id, settings.max_message)
        self._request = self._encoder.request

    @property
    def forbidden(self) -> str:
        """A regular expression of the characters that XML 1.0 cannot carry."""
        return self._encoder.forbidden

    def unfit(self, contacts: pl.DataFrame) -> pl.Series:
        """Per row, why its envelope is larger than `target.max_message`; null where it is not."""
        return self._encoder.unfit(contacts)

    def encode(self, contacts: pl.DataFrame) -> list[Body]:
        """One AddCampaignContact envelope per row, cut where the session id goes."""
        return self._encoder.encode(contacts)

    async def prepare(self, handle: OncSession) -> None:
        """Prove that the campaign is there. Raises TargetUnusable where it is not."""
        if await handle.holds(self._campaign_id):
            return
        if (await handle.listed()).null:
            raise TargetUnusable(
                "the target answers null to GetCampaign and GetCampaignListing on a session just opened: the account "
                "may lack the right to use campaigns."
            )
        raise no_campaign(self._campaign_id)

    def line(self, handle: OncSession) -> Line:
        """The session's way for AddCampaignContact."""
        if handle.line is None:
            handle.line = self._caller.line(handle.client, self._request, handle.token)
        return handle.line

    async def judge(self, handle: OncSession, body: Body, answer: Answer) -> str:
        """Whether a contact was added; gives "0".

        Raises SessionExpired, PutOff, AlreadyThere or Refused by the code's meaning. A code whose meaning cannot be
        asked is NotDelivered: non-zero is documented as not processed.
        """
        code = number(self._caller.read(answer, Purpose.ROW), self._request)
        if code != 0:
            await settle(handle, self._codes, str(code), self._campaign_id)
        self.accepted(handle)
        return "0"

    def accepted(self, handle: OncSession) -> None:
        """Contacts were added on this session."""
        handle.trusted = True
        self._codes.accepted()
