"""The contract of the simulated ONC service: its types and operations, and the names they get on the wire."""

from dataclasses import dataclass
from random import Random
from typing import Any, NamedTuple

from pipeline.simulator.onc.settings import OncSettings

SERIALIZATION = "http://schemas.microsoft.com/2003/10/Serialization/"
ARRAYS = "http://schemas.microsoft.com/2003/10/Serialization/Arrays"
ASMX_TYPES = "http://microsoft.com/wsdl/types/"
DATA_CONTRACTS = "http://schemas.datacontract.org/2004/07/"

ZERO_GUID = "00000000-0000-0000-0000-000000000000"
UNSET_TIME = "0001-01-01T00:00:00"

VALUE_DEFAULTS: dict[str, Any] = {"int": 0, "boolean": False, "guid": ZERO_GUID, "dateTime": UNSET_TIME}
"""Kinds that cannot be null, with the value they have when nothing was sent. All other kinds default to None."""


class Member(NamedTuple):
    """A member of a type, or a parameter of an operation."""

    name: str
    kind: str  # "string", a key of VALUE_DEFAULTS or the name of a complex type


class SmsInfo(NamedTuple):
    """OutboundSMSNotificationInfo."""

    enabled: bool = False
    from_number: str | None = None
    text: str | None = None


class VoiceInfo(NamedTuple):
    """OutboundVoiceNotificationInfo."""

    enabled: bool = False
    dial_timeout: int = 0
    calling_name: str | None = None
    calling_number: str | None = None
    text: str | None = None
    voice: str | None = None
    plays: int = 0
    retries: int = 0
    retry_interval: int = 0


class EmailInfo(NamedTuple):
    """OutboundEmailNotificationInfo."""

    enabled: bool = False
    from_email: str | None = None
    subject: str | None = None
    html: str | None = None


class CampaignInfo(NamedTuple):
    """OutboundNotificationCampaignInfo."""

    id: str = ZERO_GUID
    created: str = UNSET_TIME
    name: str | None = None
    description: str | None = None
    paused: bool = False
    from_date: str = UNSET_TIME
    from_time: str = UNSET_TIME
    to_date: str = UNSET_TIME
    to_time: str = UNSET_TIME
    sms: SmsInfo | None = None
    voice: VoiceInfo | None = None
    email: EmailInfo | None = None
    external: bool = False
    sms_required: bool = False
    voice_required: bool = False
    email_required: bool = False
    progress: str | None = None


class CommunicationInfo(NamedTuple):
    """CommunicationInfo."""

    destination: str | None = None
    text: str | None = None
    status: int = 0
    last_error: int = 0
    retry_count: int = 0


class Contact(NamedTuple):
    """OutboundNotificationContactInfo."""

    id: str = ZERO_GUID
    campaign_id: str = ZERO_GUID
    sms: CommunicationInfo | None = None
    voice: CommunicationInfo | None = None
    email: CommunicationInfo | None = None


class Opened(NamedTuple):
    """OpenAPISessionResponse."""

    code: int
    description: str
    session: str


class Closed(NamedTuple):
    """CloseAPISessionResponse."""

    code: int
    description: str


class Type(NamedTuple):
    """A complex type. A value of it is a `value` with its fields in the order of `members`, as documented."""

    name: str
    value: type[Any]
    members: tuple[Member, ...]


class Operation(NamedTuple):
    """An operation with its parameters in signature order; `result` is a kind, for a list that of its items."""

    name: str
    parameters: tuple[Member, ...]
    result: str
    is_list: bool = False


def _members(text: str) -> tuple[Member, ...]:
    pairs = (part.split(":") for part in text.split())
    return tuple(Member(name, kind) for name, kind in pairs)


TYPES = {
    each.name: each
    for each in (
        Type("OpenAPISessionResponse", Opened, _members("ErrorCode:int Description:string SessionId:string")),
        Type("CloseAPISessionResponse", Closed, _members("ErrorCode:int Description:string")),
        Type(
            "OutboundSMSNotificationInfo",
            SmsInfo,
            _members("Enabled:boolean FromNumber:string TextToSend:string"),
        ),
        Type(
            "OutboundVoiceNotificationInfo",
            VoiceInfo,
            _members(
                "Enabled:boolean DialMsTimeout:int CallingName:string CallingNumber:string TextToSpeak:string "
                "TTSVoiceName:string MaxTextPlays:int MaxDeliveryRetries:int RetryMinutesInterval:int"
            ),
        ),
        Type(
            "OutboundEmailNotificationInfo",
            EmailInfo,
            _members("Enabled:boolean FromEmail:string Subject:string HtmlContent:string"),
        ),
        Type(
            "OutboundNotificationCampaignInfo",
            CampaignInfo,
            _members(
                "ID:guid CreationDateUtc:dateTime ShortName:string Description:string IsPaused:boolean "
                "ActiveFromDate:dateTime ActiveFromTime:dateTime ActiveToDate:dateTime ActiveToTime:dateTime "
                "OutboundSMSNotificationInfo:OutboundSMSNotificationInfo "
                "OutboundVoiceNotificationInfo:OutboundVoiceNotificationInfo "
                "OutboundEmailNotificationInfo:OutboundEmailNotificationInfo "
                "AllowAddingContactsFromExternalApps:boolean SmsNotificationRequired:boolean "
                "VoiceNotificationRequired:boolean EmailNotificationRequired:boolean ProgressWSEndpoint:string"
            ),
        ),
        Type(
            "CommunicationInfo",
            CommunicationInfo,
            _members(
                "Destination:string TextToSendOverwrite:string StatusCode:int LastDeliveryErrorCode:int RetryCount:int"
            ),
        ),
        Type(
            "OutboundNotificationContactInfo",
            Contact,
            _members(
                "Id:guid CampaignId:guid SMSCommInfo:CommunicationInfo VoiceCommInfo:CommunicationInfo "
                "EmailCommInfo:CommunicationInfo"
            ),
        ),
    )
}

_CAMPAIGN = "OutboundNotificationCampaignInfo"
_CONTACT = "OutboundNotificationContactInfo"

OPERATIONS = {
    each.name: each
    for each in (
        Operation(
            "OpenAPISession",
            _members("accountId:string username:string password:string"),
            "OpenAPISessionResponse",
        ),
        Operation("CloseAPISession", _members("sessionId:string"), "CloseAPISessionResponse"),
        Operation("GetCampaignListing", _members("sessionId:string"), "guid", is_list=True),
        Operation("GetCampaigns", _members("sessionId:string"), _CAMPAIGN, is_list=True),
        Operation("AddCampaign", _members(f"sessionId:string campaign:{_CAMPAIGN}"), "int"),
        Operation("GetCampaign", _members("sessionId:string campaignId:guid"), _CAMPAIGN),
        Operation("UpdateCampaign", _members(f"sessionId:string campaign:{_CAMPAIGN}"), "int"),
        Operation("DeleteCampaign", _members("sessionId:string campaignId:guid"), "int"),
        Operation("GetCampaignContactsListing", _members("sessionId:string campaignId:guid"), "guid", is_list=True),
        Operation("GetCampaignContacts", _members("sessionId:string campaignId:guid"), _CONTACT, is_list=True),
        Operation("AddCampaignContact", _members(f"sessionId:string contact:{_CONTACT}"), "int"),
        Operation("UpdateCampaignContact", _members(f"sessionId:string contact:{_CONTACT}"), "int"),
        Operation("DeleteCampaignContact", _members("sessionId:string campaignId:guid contactId:guid"), "int"),
    )
}


@dataclass(frozen=True, slots=True)
class Contract:
    """Where the tables meet the settings: names, namespaces and orders as they are on the wire."""

    dialect: str
    namespace: str  # of wrapper elements and parameters
    data_namespace: str  # of the members of complex types
    arrays_namespace: str  # of the items of a list of Guid
    guid_namespace: str  # of the type guid
    orders: dict[str, tuple[int, ...]]  # type name -> places in the documented order, as they follow on the wire
    actions: dict[str, str]  # operation name -> SOAPAction without quotes

    def members(self, type_name: str) -> list[Member]:
        """The members of a type in the order they have on the wire."""
        documented = TYPES[type_name].members
        return [documented[place] for place in self.orders[type_name]]


def contract_of(settings: OncSettings) -> Contract:
    """The contract of a service with these settings."""
    wcf = settings.dialect == "wcf"
    order = settings.member_order or ("alphabetical" if wcf else "documented")
    # An ASMX action is the namespace and the operation; with wcf the contract stands in between.
    prefix = settings.namespace if settings.namespace.endswith("/") else settings.namespace + "/"
    action = prefix + (f"{settings.contract}/" if wcf else "")
    return Contract(
        dialect=settings.dialect,
        namespace=settings.namespace,
        data_namespace=(
            (settings.data_namespace or DATA_CONTRACTS + settings.clr_namespace) if wcf else settings.namespace
        ),
        arrays_namespace=ARRAYS if wcf else settings.namespace,
        guid_namespace=SERIALIZATION if wcf else ASMX_TYPES,
        orders={each.name: _places(each, order) for each in TYPES.values()},
        actions={name: action + name for name in OPERATIONS},
    )


def _places(type_: Type, order: str) -> tuple[int, ...]:
    places = list(range(len(type_.members)))
    if order == "alphabetical":
        places.sort(key=lambda place: type_.members[place].name)
    elif order == "reversed":
        places.reverse()
    elif order.startswith("shuffled:"):
        # Seeded with the type's name too, so that no two types are shuffled alike.
        Random(f"{order}:{type_.name}").shuffle(places)  # noqa: S311 - a test pattern, no secret
    return tuple(places)
