"""An ONC service as a target: sessions, row calls, reading back, taking back."""

import functools
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final, NoReturn

import anyio
import httpx
import polars as pl

from pipeline.config import Secret, Settings
from pipeline.errors import (
    AlreadyThere,
    ConfigError,
    NoList,
    NotDelivered,
    OpeningRefused,
    OutcomeUnknown,
    PutOff,
    Refused,
    SessionExpired,
    TargetUnusable,
)
from pipeline.logs import logger
from pipeline.stages.canary import Held, ReadBackTooLarge
from pipeline.stages.encode import Body
from pipeline.targets.addresses import is_address, is_plain_abroad
from pipeline.targets.onc.codes import CodeBook, Meaning
from pipeline.targets.onc.encoder import ContactEncoder
from pipeline.targets.onc.replies import error_code, held, listed_id, session_token
from pipeline.targets.onc.settings import OncSettings
from pipeline.targets.soap.answers import Element, Presence
from pipeline.targets.soap.calls import AnswerTooLarge, Caller, Purpose, number, presence
from pipeline.targets.soap.contract import Contract, Needs
from pipeline.targets.soap.members import Wanted
from pipeline.targets.soap.template import escape, mark
from pipeline.wire import ANSWER_LIMIT, ClientFactory, host

#: What is called, by documented names.
NEEDS: Final = Needs(
    service="the Outbound Notifications service",
    operations=(
        "OpenAPISession",
        "CloseAPISession",
        "GetCampaignListing",
        "GetCampaign",
        "GetCampaignContactsListing",
        "GetCampaignContacts",
        "AddCampaignContact",
        "DeleteCampaignContact",
    ),
    bare_with={"OpenAPISession": "ErrorCode", "CloseAPISession": "ErrorCode", "GetCampaign": "ID"},
)

#: A list of campaigns larger than this is not read whole; no account is near a million of them.
_CAMPAIGNS_LIMIT: Final = 64 * 1024 * 1024


class OncSession:
    """An open session and its connection. `token` is the session id as it stands in an envelope; it is never shown."""

    __slots__ = ("client", "token", "trusted")

    def __init__(self, client: httpx.AsyncClient, token: bytes) -> None:
        self.client = client
        self.token = token
        self.trusted = False  # whether a call has succeeded on it

    def __repr__(self) -> str:
        return "OncSession()"


class _Call:
    """An operation of which all is known but the session id."""

    __slots__ = ("body", "request")

    def __init__(self, contract: Contract, operation: str, wanted: Wanted) -> None:
        self.request = contract.request(operation, {"sessionId": mark("session"), **wanted}, ["session"])
        self.body: Body = self.request.template.bind({})


class OncTarget:
    """See `pipeline.targets.Target`. Row calls and questions raise NotDelivered, OutcomeUnknown or TargetUnusable where
    no answer can be had; what else each raises stands with it.
    """

    def __init__(
        self, settings: Settings, target: OncSettings, contract: Contract, clients: ClientFactory | None
    ) -> None:
        address = target.endpoint or contract.address
        if address is None or not is_address(address):
            raise ConfigError(["target.endpoint: is missing, and the WSDL names no http address: set it"])
        if clients is not None and is_plain_abroad(address):
            logger().warning("target.plain_http", host=host(address), advice="credentials and contacts go in clear")
        self._target = target
        self._clients = clients
        self._caller = Caller(address, advice=", or try the other target.dialect")
        self._codes = CodeBook(target.codes)
        self._make_encoder = functools.partial(
            ContactEncoder, contract, settings.contacts, target.campaign_id, target.max_message
        )
        self._accepted: bytes | None = None
        campaign: Wanted = {"campaignId": target.campaign_id}
        self._opening = contract.request(
            "OpenAPISession",
            {"accountId": mark("account"), "username": mark("user"), "password": mark("password")},
            ("account", "user", "password"),
        )
        self._closing = _Call(contract, "CloseAPISession", {})
        self._campaigns = _Call(contract, "GetCampaignListing", {})
        self._campaign = _Call(contract, "GetCampaign", campaign)
        self._listing = _Call(contract, "GetCampaignContactsListing", campaign)
        self._contacts = _Call(contract, "GetCampaignContacts", campaign)
        self._deleting = contract.request(
            "DeleteCampaignContact",
            {"sessionId": mark("session"), "contactId": mark("id"), **campaign},
            ("session", "id"),
        )

    @property
    def most_sessions(self) -> None:
        """No limit is published."""

    @property
    def session_life(self) -> None:
        """Every call begins the idle time anew, and nothing else ends a session (contract.md)."""

    @property
    def rows(self) -> "OncTarget":
        """Contacts are added by AddCampaignContact. Raises ConfigError where the contract has no place for them."""
        _ = self._encoder
        return self

    @property
    def lookup(self) -> "OncTarget":
        """Contacts are listed, and deleted by DeleteCampaignContact."""
        return self

    @functools.cached_property
    def _encoder(self) -> ContactEncoder:
        return self._make_encoder()

    # --- encoding ---------------------------------------------------------------------------------------------

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

    # --- sessions ---------------------------------------------------------------------------------------------

    async def open(self) -> OncSession:
        """Open a session on a connection of its own; secrets are read anew, and a value that changed meanwhile is tried
        before the target's no counts.

        Raises OpeningRefused where the target answers no, ConfigError where a secret cannot be read.
        """
        given = self._credentials()
        try:
            return await self._open(given)
        except OpeningRefused:
            changed = self._credentials()
            if changed == given:
                raise
            return await self._open(changed)

    def _credentials(self) -> dict[str, str]:
        target = self._target
        return {
            "account": _read(target.account_id),
            "user": _read(target.username),
            "password": _read(target.password),
        }

    async def _open(self, credentials: dict[str, str]) -> OncSession:
        assert self._clients is not None, "this target was made to send nothing"
        client = self._clients()
        try:
            envelope = self._opening.template.fill(credentials)
            payload = await self._caller.call(client, self._opening, envelope, Purpose.OPENING)
            return OncSession(client, session_token(payload, self._opening, tuple(credentials.values())))
        except BaseException:
            await _close(client)
            raise

    async def prove(self, handle: OncSession) -> bool:
        """Ask for the list of campaigns: a session that is gone gets null (documented: null is an error). Some SOAP
        servers write null as an empty element, so an empty list proves nothing without the campaign.
        """
        good, _ = await self._proof(handle)
        return good

    async def _proof(self, handle: OncSession) -> tuple[bool, Presence]:
        """Whether the session is good, and what stood where the list of campaigns should be."""
        found = await self._listed(handle)
        good = found is Presence.ITEMS or (found is Presence.EMPTY and await self._campaign_is_there(handle))
        handle.trusted = handle.trusted or good
        return good, found

    async def close(self, handle: OncSession) -> None:
        """Close the session at the target, and its connection whatever happens. Raises Refused where the target does
        not close it.
        """
        try:
            code = error_code(await self._ask(handle, self._closing, limit=ANSWER_LIMIT))
        finally:
            await _close(handle.client)
        if code:
            raise Refused(f"the target did not close the session (code {code})", code=str(code))

    async def prepare(self, handle: OncSession) -> None:
        """Prove that the campaign is there. Raises TargetUnusable where it is not."""
        if await self._campaign_is_there(handle):
            return
        if (await self._listed(handle)).null:
            raise TargetUnusable(
                "the target answers null to GetCampaign and GetCampaignListing on a session just opened: the account "
                "may lack the right to use campaigns."
            )
        self._raise_no_campaign()

    # --- rows -------------------------------------------------------------------------------------------------

    async def send(self, handle: OncSession, body: Body) -> str:
        """Add a contact; gives "0".

        Raises SessionExpired, PutOff, AlreadyThere or Refused by the code's meaning. A code whose meaning cannot be
        asked is NotDelivered: non-zero is documented as not processed.
        """
        answer = await self._caller.post(handle.client, self._encoder.request, handle.token.join(body))
        # Acceptance looks the same for every row: what has been read once need not be parsed again.
        if answer.body != self._accepted or answer.status != 200:
            code = number(self._caller.read(answer, Purpose.ROW), self._encoder.request)
            if code != 0:
                await self._settle(handle, str(code))
            if answer.status == 200:
                self._accepted = answer.body
        handle.trusted = True
        self._codes.accepted()
        return "0"

    async def _settle(self, handle: OncSession, code: str) -> None:
        """Raise what a non-zero code means."""
        meaning = self._codes.meaning(code, trusted=handle.trusted)
        if meaning is Meaning.TRANSIENT:
            raise PutOff(f"the target put it off (code {code})", code=code)
        if meaning is Meaning.DUPLICATE:
            raise AlreadyThere(f"the target has it already (code {code})", code=code)
        gone = f"the session is gone (code {code})"
        if meaning is Meaning.SESSION_GONE:
            raise SessionExpired(gone, code=code)
        try:
            good, listed = await self._proof(handle)
            if not good:
                if not handle.trusted and listed is Presence.EMPTY:
                    self._raise_no_campaign()  # a session that was only just opened is not gone
                self._codes.session_was_gone(code)
                raise SessionExpired(gone, code=code)
            if self._codes.row_was_refused(code) and not await self._campaign_is_there(handle):
                if await self.prove(handle):
                    self._raise_no_campaign()
                raise SessionExpired(gone, code=code)
        except (NotDelivered, OutcomeUnknown) as error:
            raise NotDelivered(
                f"the target answered code {code}, and what it means could not be asked: {error.reason}",
                retry_after=getattr(error, "retry_after", None),
            ) from None
        raise Refused(f"the target refused it (code {code})", code=code)

    def learnt(self) -> tuple[str, ...]:
        """What this run learnt about the target, as lines for the configuration."""
        return self._codes.learnt()

    # --- what the target holds --------------------------------------------------------------------------------

    async def contact_ids(self, handle: OncSession) -> AsyncGenerator[str]:
        """The ids of the campaign's contacts, lower case, as a stream; memory stays flat.

        A null list raises OutcomeUnknown, and so does one that breaks off, after its ids: that an id is not among them
        says something only where the iterator has come to its end.
        """
        empty = True
        async for item in self._items(handle, self._listing, limit=None):
            empty = False
            yield listed_id(item)
        if empty and not await self.prove(handle):
            raise NoList("the campaign's list is empty, and so is every answer on this session")

    async def read_back(self, handle: OncSession, *, limit: int | None) -> AsyncGenerator[Held]:
        """The campaign's contacts as a stream. Raises ReadBackTooLarge after `limit` bytes, and like `contact_ids`."""
        try:
            async for item in self._items(handle, self._contacts, limit=limit):
                yield held(item)
        except AnswerTooLarge as error:
            raise ReadBackTooLarge(str(error)) from None

    # --- taking back ------------------------------------------------------------------------------------------

    def encode_removal(self, contact_ids: pl.Series) -> list[Body]:
        """One DeleteCampaignContact envelope per id, cut where the session id goes."""
        return [self._deleting.template.bind({"id": contact_id}) for contact_id in contact_ids]

    async def remove(self, handle: OncSession, body: Body) -> str:
        """Delete a contact; gives "0". Raises SessionExpired, PutOff or Refused by the code's meaning, as `send`."""
        payload = await self._caller.call(handle.client, self._deleting, handle.token.join(body), Purpose.ROW)
        code = number(payload, self._deleting)
        if code != 0:
            try:
                await self._settle(handle, str(code))
            except AlreadyThere:  # means nothing for a deletion but that it was not done
                raise Refused(f"the target refused it (code {code})", code=str(code)) from None
        handle.trusted = True
        self._codes.accepted()
        return "0"

    # --- calls ------------------------------------------------------------------------------------------------

    async def _ask(self, handle: OncSession, call: _Call, *, limit: int) -> Element:
        return await self._caller.call(
            handle.client, call.request, handle.token.join(call.body), Purpose.ASKING, limit=limit
        )

    async def _listed(self, handle: OncSession) -> Presence:
        payload = await self._ask(handle, self._campaigns, limit=_CAMPAIGNS_LIMIT)
        return presence(payload, self._campaigns.request)

    async def _campaign_is_there(self, handle: OncSession) -> bool:
        payload = await self._ask(handle, self._campaign, limit=_CAMPAIGNS_LIMIT)
        there = presence(payload, self._campaign.request) is Presence.ITEMS  # a campaign has its id at least
        handle.trusted = handle.trusted or there
        return there

    async def _items(self, handle: OncSession, call: _Call, *, limit: int | None) -> AsyncGenerator[Element]:
        envelope = handle.token.join(call.body)
        async with aclosing(self._caller.items(handle.client, call.request, envelope, limit=limit)) as items:
            async for item in items:
                yield item

    def _raise_no_campaign(self) -> NoReturn:
        raise TargetUnusable(
            f"campaign {self._target.campaign_id} is not known to the target: set target.campaign_id to one of the "
            "account's active campaigns."
        )


async def _close(client: httpx.AsyncClient) -> None:
    with anyio.CancelScope(shield=True):
        await client.aclose()


def _read(secret: Secret) -> str:
    value = secret.read()
    try:
        escape(value)
    except ValueError as error:
        raise ConfigError([f"{secret.place}: {error}"]) from None
    return value
