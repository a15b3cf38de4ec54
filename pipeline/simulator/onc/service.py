"""The ONC service behind its path: one POST becomes one call; a GET shows the WSDL."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl

from pipeline.simulator.exchange import Answer, Exchange, page, plain
from pipeline.simulator.onc.contract import OPERATIONS, Contract, contract_of
from pipeline.simulator.onc.operations import Operations
from pipeline.simulator.onc.reader import Call, RequestReader, guid
from pipeline.simulator.onc.settings import OncSettings
from pipeline.simulator.onc.store import CampaignStore, Store
from pipeline.simulator.onc.writer import AnswerWriter
from pipeline.simulator.onc.wsdl import WsdlWriter
from pipeline.simulator.service import Service, Surroundings
from pipeline.simulator.settings import Fault
from pipeline.simulator.soap import (
    ASMX_TEXTS,
    CONTENT_TYPES,
    FaultName,
    UnreadableRequestError,
    action_of,
    version_of,
)

_WCF_TEXTS: dict[FaultName, str] = {
    "ActionNotSupported": "The message with Action '%s' cannot be processed at the receiver, due to a ContractFilter "
    "mismatch at the EndpointDispatcher.",
    "DeserializationFailed": "The formatter threw an exception while trying to deserialize the message: %s.",
    "InternalServiceFault": "The server was unable to process the request due to an internal error.%s",
}


class OncService(Service[OncSettings]):
    """Outbound Notifications Campaigns."""

    system = "onc"
    title = "Simulated ONC service"
    operations = frozenset(OPERATIONS)
    opening = "OpenAPISession"
    row_call = "AddCampaignContact"

    def __init__(self, settings: OncSettings, surroundings: Surroundings) -> None:
        super().__init__(settings, surroundings)
        self.contract: Contract = contract_of(settings)
        self.store = Store(settings.campaigns, self.late, self.sessions.new_id)
        self._calls = Operations(self.store, self.sessions, self.record, self._clock, self.full)
        self._reader = self._made_reader(settings)
        self._wsdl = WsdlWriter(settings, self.contract)
        self._names = {action: name for name, action in self.contract.actions.items()}
        self._texts = _WCF_TEXTS if self.contract.dialect == "wcf" else ASMX_TEXTS
        self.configure(settings)

    @property
    def address(self) -> str:
        """The path of the service."""
        return self.settings.path

    @property
    def paths(self) -> frozenset[str]:
        """The path of the service."""
        return frozenset({self.settings.path})

    @property
    def links(self) -> tuple[str, ...]:
        """The WSDL."""
        return (f"{self.settings.path}?wsdl",)

    def introduction(self, origin: str) -> tuple[str, ...]:
        """Address and dialect; account, user, password and campaigns."""
        settings = self.settings
        campaigns = ", ".join(each.id for each in settings.campaigns)
        return (
            f"--set target.endpoint={origin}{self.address} --set target.dialect={settings.dialect}",
            f'account "{settings.account}", user "{settings.username}", password "{settings.password}", '
            f"campaign {campaigns or 'none'}",
        )

    def _made_reader(self, settings: OncSettings) -> RequestReader:
        return RequestReader(self.contract, tolerant=settings.lenient, drop=settings.drop_members)

    def configure(self, settings: OncSettings) -> None:
        """Go on with these settings."""
        reader = self._reader if settings.drop_members == self.settings.drop_members else self._made_reader(settings)
        super().configure(settings)
        self._reader = reader
        self._calls.configure(settings)
        nil = self.contract.dialect == "wcf" if settings.null_style == "dialect" else settings.null_style == "nil"
        self._writer = AnswerWriter(self.contract, nil=nil, foreign=settings.foreign_namespace)

    def wsdl(self, address: str) -> bytes:
        """The WSDL of the service at an address."""
        return self._wsdl.wsdl(address)

    def contacts(self, campaign_id: str) -> Iterator[dict[str, Any]]:
        """The contacts that a campaign holds, shown in lists or not. Raises KeyError if there is no such campaign."""
        campaign = self.store.campaign(guid(campaign_id) or campaign_id)
        if campaign is None:
            raise KeyError(campaign_id)
        return _shown(campaign)

    def rows(self) -> Iterator[dict[str, Any]]:
        """The contacts of all campaigns."""
        self.late.settle()
        for campaign in list(self.store.campaigns.values()):
            for contact in _shown(campaign):
                yield {"campaign": campaign.info.id, **contact}

    def particulars(self) -> dict[str, Any]:
        """Members that were skipped without a word, and the campaigns with how much they hold."""
        return {
            "skipped_members": dict(self._reader.skipped),
            "campaigns": {
                key: {"name": campaign.info.name, "contacts": campaign.size}
                for key, campaign in self.store.campaigns.items()
            },
        }

    async def answer(self, exchange: Exchange) -> None:
        """Answer one request."""
        if exchange.method != "POST":
            await exchange.send(self._document(exchange))
            return
        version = version_of(exchange.headers)
        if version not in self.settings.soap_versions:
            await self.reject(exchange, plain(415, "Cannot process the message because of its content type."))
            return
        assert version is not None
        body = await exchange.body(self.settings.max_request_bytes)
        if body is None:
            await self.reject(exchange, plain(413, "The maximum message size quota for incoming messages is exceeded."))
            return
        action = action_of(exchange.headers, version)
        operation = self._names.get(action or "")
        if operation is None:
            await self._soap_fault(exchange, "ActionNotSupported", action or "", version)
            return
        fault = self.arrive(operation)
        if fault is not None and fault.unseen:
            await self.fail(exchange, fault)
            return
        try:
            call = self._reader.read(body, operation)
            if call.soap_version != version:
                raise UnreadableRequestError("the envelope is of another SOAP version than the content type")
        except UnreadableRequestError as error:
            await self._soap_fault(exchange, "DeserializationFailed", str(error), version)
            return
        await self._call(exchange, operation, call, fault)

    def unclassified(self, exchange: Exchange, status: int) -> Answer:
        """A fault that blames the server."""
        version = version_of(exchange.headers) or "1.1"
        name: FaultName = "InternalServiceFault"
        return Answer(CONTENT_TYPES[version], self._writer.fault(name, self._texts[name] % "", version), status)

    async def _call(self, exchange: Exchange, operation: str, call: Call, fault: Fault | None) -> None:
        version, arguments = call.soap_version, call.arguments
        session = None if operation == self.opening else self.use(arguments[0], fault)

        def effect(unanswered: str) -> Answer:
            if fault is not None and fault.kind == "busy":
                result = self._calls.busy(operation, arguments)
            else:
                result = self._calls.perform(operation, session, arguments, unanswered)
            if result is not None and OPERATIONS[operation].is_list:
                return Answer(CONTENT_TYPES[version], self._writer.stream(operation, result, version))
            return Answer(CONTENT_TYPES[version], self._writer.answer(operation, result, version))

        await self.carry_out(exchange, fault, session, effect)

    async def _soap_fault(self, exchange: Exchange, name: FaultName, detail: str, version: str) -> None:
        self.record.rejected[name] += 1
        text = self._writer.fault(name, self._texts[name] % detail, version)
        await exchange.send(Answer(CONTENT_TYPES[version], text, 500))

    def _document(self, exchange: Exchange) -> Answer:
        query = {name.lower(): value for name, value in parse_qsl(exchange.query, keep_blank_values=True)}
        if "wsdl" in query or "singlewsdl" in query:
            return Answer(b"text/xml; charset=utf-8", self.wsdl(exchange.address))
        if "xsd" in query:
            schema = self._wsdl.schema(query["xsd"], exchange.address) if self.settings.split_wsdl else None
            return plain(404, "There is no such schema.") if schema is None else Answer(b"text/xml", schema)
        return page(self.title, self.links)


def _shown(campaign: CampaignStore) -> Iterator[dict[str, Any]]:
    return (
        {
            "id": contact.id,
            **{
                name: None if channel is None else channel._asdict()
                for name, channel in (("sms", contact.sms), ("voice", contact.voice), ("email", contact.email))
            },
        }
        for contact in campaign.contacts()
    )
