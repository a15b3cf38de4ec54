"""A client of an ONC service: all thirteen documented operations, typed.

It is usable by itself:

    client = OncClient.connect(settings)
    async with client.session() as session:
        async for campaign in session.campaigns():
            ...

and the target is built upon it. Every call raises NotDelivered, OutcomeUnknown or TargetUnusable where no answer can be
had, and ConfigError where the WSDL lacks the operation. A result code other than 0 raises by its meaning (`settle`). A
null list is NoList, which is an OutcomeUnknown; lists are streams: close one that is not read to its end
(`contextlib.aclosing`).
"""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Final

import anyio
import httpx

from pipeline.config import HttpSettings
from pipeline.errors import ConfigError, PipelineError, Refused, SessionExpired
from pipeline.logs import logger
from pipeline.targets.addresses import is_address, is_plain_abroad
from pipeline.targets.onc.codes import CodeBook
from pipeline.targets.onc.members import campaign_of, campaign_wanted, contact_of, contact_wanted
from pipeline.targets.onc.operations import NEEDS, SESSION_OPERATIONS, Operations
from pipeline.targets.onc.replies import error_code, listed_id, session_token
from pipeline.targets.onc.settings import OncSettings
from pipeline.targets.onc.settling import settle
from pipeline.targets.onc.values import Campaign, Contact
from pipeline.targets.soap import answers
from pipeline.targets.soap.answers import Element, Presence
from pipeline.targets.soap.calls import Caller, Purpose, number, presence
from pipeline.targets.soap.contract import Contract, Request
from pipeline.targets.soap.credentials import carried, opened
from pipeline.targets.soap.documents import documents
from pipeline.targets.soap.members import Value
from pipeline.wire import ANSWER_LIMIT, ClientFactory, Line, client_factory, hang_up, host

#: A list of campaigns, or one campaign, larger than this is not read whole; no account is near a million of them.
_CAMPAIGNS_LIMIT: Final = 64 * 1024 * 1024


class OncClient:
    """A service and our account there. `clients` None: nothing is sent."""

    def __init__(self, settings: OncSettings, contract: Contract, clients: ClientFactory | None) -> None:
        address = settings.endpoint or contract.address
        if address is None or not is_address(address):
            raise ConfigError(["target.endpoint: is missing, and the WSDL names no http address: set it"])
        if clients is not None and is_plain_abroad(address):
            logger().warning("target.plain_http", host=host(address), advice="credentials and contacts go in clear")
        self.settings = settings
        self.contract = contract
        self.operations = Operations(contract)
        self.caller = Caller(address, advice=", or try the other target.dialect")
        self.codes = CodeBook(settings.codes)
        self._clients = clients
        for operation in SESSION_OPERATIONS:  # a WSDL that will not do is found before anything is sent
            _ = self.operations[operation]

    @classmethod
    def connect(cls, settings: OncSettings, http: HttpSettings | None = None, *, timeout: float = 30.0) -> "OncClient":
        """A client by itself; blocking (it reads the WSDL, or fetches it). `timeout`: seconds for one answer.

        Raises ConfigError where the WSDL cannot be used, TargetUnreachable or TargetUnusable where it cannot be
        fetched.
        """
        http = http or HttpSettings()
        return cls(settings, load_contract(settings, http, None), client_factory(http, timeout))

    @asynccontextmanager
    async def session(self) -> AsyncIterator["OncSession"]:
        """An open session, closed at the end whatever happens. Raises like `open`; that it could not be closed is
        logged, for what was done on it stands.
        """
        session = await self.open()
        try:
            yield session
        finally:
            with anyio.CancelScope(shield=True):
                try:
                    await self.close(session)
                except PipelineError as error:
                    logger().info("session.close_failed", error=type(error).__name__)

    async def open(self) -> "OncSession":
        """OpenAPISession, on a connection of its own. Secrets are read anew, and a value that changed meanwhile is
        tried before the service's no counts.

        Raises OpeningRefused where the service answers no, ConfigError where a secret cannot be read.
        """
        return await opened(self._credentials, self._open)

    def _credentials(self) -> dict[str, str]:
        settings = self.settings
        return {
            "account": carried(settings.account_id),
            "user": carried(settings.username),
            "password": carried(settings.password),
        }

    async def _open(self, credentials: dict[str, str]) -> "OncSession":
        assert self._clients is not None, "this client was made to send nothing"
        opening = self.operations["OpenAPISession"]
        connection = self._clients()
        try:
            envelope = opening.template.fill(credentials)
            payload = await self.caller.call(connection, opening, envelope, Purpose.OPENING)
            return OncSession(self, connection, session_token(payload, opening, tuple(credentials.values())))
        except BaseException:
            await hang_up(connection)
            raise

    async def close(self, session: "OncSession") -> None:
        """CloseAPISession, and its connection whatever happens. Raises Refused where the service does not close it."""
        try:
            code = error_code(await session.ask("CloseAPISession", limit=ANSWER_LIMIT))
        finally:
            await hang_up(session.client)
        if code:
            raise Refused(f"the target did not close the session (code {code})", code=str(code))


class OncSession:
    """An open session and its connection. `token` is the session id as it stands in an envelope; it is never shown."""

    __slots__ = ("client", "line", "service", "token", "trusted")

    def __init__(self, service: OncClient, client: httpx.AsyncClient, token: bytes) -> None:
        self.service = service
        self.client = client
        self.token = token
        self.line: Line | None = None  # for contacts that are added, once there are any
        self.trusted = False  # whether a call has succeeded on it

    def __repr__(self) -> str:
        return "OncSession()"

    # --- campaigns --------------------------------------------------------------------------------------------

    async def campaign_ids(self) -> AsyncGenerator[str]:
        """GetCampaignListing: the GUIDs of the active campaigns, lower case."""
        async with aclosing(self.items("GetCampaignListing")) as items:
            async for item in items:
                yield listed_id(item)

    async def campaigns(self) -> AsyncGenerator[Campaign]:
        """GetCampaigns: the active campaigns."""
        async with aclosing(self.items("GetCampaigns")) as items:
            async for item in items:
                yield campaign_of(item)

    async def campaign(self, campaign_id: str) -> Campaign | None:
        """GetCampaign; None: the service knows no such campaign.

        It answers the same for a session that is gone, so null is proven: raises SessionExpired.
        """
        payload = await self.ask("GetCampaign", campaign=campaign_id)
        request = self.service.operations["GetCampaign"]
        if presence(payload, request) is not Presence.ITEMS:  # a campaign has its id at least
            if (await self.listed()).null:
                raise SessionExpired("every question is answered null on this session")
            return None
        found = answers.result(payload, request.result)
        assert found is not None
        self.trusted = True
        return campaign_of(found)

    async def add_campaign(self, campaign: Campaign) -> None:
        """AddCampaign. Not known to be harmless when it is called twice, but for one with an id of its own."""
        await self._carry("AddCampaign", "campaign", campaign_wanted(campaign, self.service.settings.time_day))

    async def update_campaign(self, campaign: Campaign) -> None:
        """UpdateCampaign: as it was told but for what has been changed since, if it is from an answer."""
        await self._carry("UpdateCampaign", "campaign", campaign_wanted(campaign, self.service.settings.time_day))

    async def delete_campaign(self, campaign_id: str) -> None:
        """DeleteCampaign."""
        await self._do("DeleteCampaign", campaign=campaign_id)

    # --- contacts ---------------------------------------------------------------------------------------------

    async def contact_ids(self, campaign_id: str) -> AsyncGenerator[str]:
        """GetCampaignContactsListing: the GUIDs of a campaign's contacts, lower case."""
        async with aclosing(self.items("GetCampaignContactsListing", campaign=campaign_id)) as items:
            async for item in items:
                yield listed_id(item)

    async def contacts(self, campaign_id: str) -> AsyncGenerator[Contact]:
        """GetCampaignContacts."""
        async with aclosing(self.items("GetCampaignContacts", campaign=campaign_id)) as items:
            async for item in items:
                yield contact_of(item)

    async def add_contact(self, contact: Contact) -> None:
        """AddCampaignContact. Status and last error are ignored by the service (documented)."""
        await self._carry("AddCampaignContact", "contact", contact_wanted(contact), contact.campaign_id)

    async def update_contact(self, contact: Contact) -> None:
        """UpdateCampaignContact. Status and last error may be ignored by the service (documented)."""
        await self._carry("UpdateCampaignContact", "contact", contact_wanted(contact), contact.campaign_id)

    async def delete_contact(self, campaign_id: str, contact_id: str) -> None:
        """DeleteCampaignContact."""
        await self._do("DeleteCampaignContact", within=campaign_id, campaign=campaign_id, contact=contact_id)

    # --- calls ------------------------------------------------------------------------------------------------

    async def ask(self, operation: str, *, limit: int = _CAMPAIGNS_LIMIT, **values: str) -> Element:
        """The answer of a call that changes nothing, or the same thing once more; `values` by the marks' names."""
        request = self.service.operations[operation]
        return await self.service.caller.call(
            self.client, request, self._envelope(request, values), Purpose.ASKING, limit=limit
        )

    async def items(self, operation: str, *, limit: int | None = None, **values: str) -> AsyncGenerator[Element]:
        """The items of a list; AnswerTooLarge beyond `limit` bytes."""
        request = self.service.operations[operation]
        envelope = self._envelope(request, values)
        async with aclosing(self.service.caller.items(self.client, request, envelope, limit=limit)) as items:
            async for item in items:
                yield item

    async def listed(self) -> Presence:
        """What stands where the list of campaigns should be: null says that the session is gone (documented: null is
        an error). Some SOAP servers write null as an empty element, so EMPTY proves nothing without a campaign.
        """
        payload = await self.ask("GetCampaignListing")
        return presence(payload, self.service.operations["GetCampaignListing"])

    async def holds(self, campaign_id: str) -> bool:
        """Whether GetCampaign answers a campaign, unread."""
        payload = await self.ask("GetCampaign", campaign=campaign_id)
        there = presence(payload, self.service.operations["GetCampaign"]) is Presence.ITEMS
        self.trusted = self.trusted or there
        return there

    async def _carry(self, operation: str, parameter: str, value: Value, within: str | None = None) -> None:
        request = self.service.operations.carrying(operation, parameter, value)
        envelope = self._envelope(request, {})
        if len(envelope) > (most := self.service.settings.max_message):
            raise Refused(f"the message is {len(envelope):,} bytes; the target takes {most:,} (target.max_message)")
        await self._changed(request, envelope, within)

    async def _do(self, operation: str, *, within: str | None = None, **values: str) -> None:
        request = self.service.operations[operation]
        await self._changed(request, self._envelope(request, values), within)

    async def _changed(self, request: Request, envelope: bytes, within: str | None) -> None:
        """Make a call that changes something; raise what a result code other than 0 means."""
        code = number(await self.service.caller.call(self.client, request, envelope, Purpose.ROW), request)
        if code:
            await settle(self, self.service.codes, str(code), within, operation=request.operation)
        self.trusted = True

    def _envelope(self, request: Request, values: dict[str, str]) -> bytes:
        return self.token.join(request.template.bind(values))


def load_contract(settings: OncSettings, http: HttpSettings, copy: Path | None) -> Contract:
    """The contract in force: the user's WSDL, else one that ships with the package; blocking.

    `copy` is a directory that keeps a copy of the WSDL: filled on the first use, read instead of it afterwards. Raises
    ConfigError where the WSDL cannot be used, TargetUnreachable or TargetUnusable where it cannot be fetched.
    """
    shipped = Path(__file__).parent / "contracts" / f"{settings.dialect}.wsdl"
    with documents(settings.wsdl, shipped, http, copy) as found:
        return Contract.load(found, NEEDS)
