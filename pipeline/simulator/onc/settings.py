"""Settings of the simulated ONC service: its face, its codes and its habits."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Literal, Self

from pipeline.simulator.settings import RESERVED, ServiceSettings, check_choices, check_patterns

Dialect = Literal["wcf", "asmx"]
NullStyle = Literal["dialect", "nil", "absent"]
DuplicateIds = Literal["add", "refuse"]


@dataclass(frozen=True, slots=True)
class Codes:
    """The result codes the service answers with. No table of them is published: give all one value to see a
    service that has a single code for everything."""

    bad_session: int = 101  # the session is unknown, closed or expired
    bad_credentials: int = 102  # OpenAPISession: account, user or password is wrong
    session_cap: int = 103  # OpenAPISession: the account has `session_cap` sessions open already
    unknown_campaign: int = 201  # no campaign has this id
    unknown_contact: int = 202  # no contact of the campaign has this id
    duplicate: int = 203  # the id is taken (campaigns always, contacts if `duplicate_ids` is "refuse")
    invalid: int = 204  # an argument is missing, or a RetryCount is outside 0..255
    refused: int = 301  # a destination matches `refuse` and the pattern has no code of its own
    busy: int = 901  # the fault "busy": nothing was stored, later it may work

    @classmethod
    def all(cls, code: int) -> Self:
        """One code for everything."""
        return cls(**{each.name: code for each in fields(cls)})


@dataclass(frozen=True, slots=True)
class Campaign:
    """A campaign that exists when the service starts."""

    id: str  # Guid
    name: str = ""  # ShortName
    contacts: int = 0  # how many contacts it holds already (made up, with ids derived from the campaign's)
    paused: bool = False  # IsPaused


@dataclass(frozen=True, slots=True)
class OncSettings(ServiceSettings):
    """What the simulated service looks like and how it behaves. Without arguments: a well-behaved WCF service."""

    runtime: ClassVar[Mapping[str, Callable[[Any], Any]]] = {
        **ServiceSettings.runtime,
        "drop_members": frozenset,
        "listing_lag": float,
        "duplicate_ids": str,
        "own_ids": bool,
        "refuse": dict,
        "null_style": str,
        "null_lists": bool,
        "foreign_namespace": str,
    }

    # The face: what ?wsdl says.
    dialect: Dialect = "wcf"  # "wcf": a DataContract service; "asmx": an XmlSerializer service
    namespace: str = "http://tempuri.org/"  # of the service: wrapper elements, parameters, SOAPAction
    contract: str = "IOutboundNotifications"  # name of the port type; wcf: a part of SOAPAction
    service: str = "OutboundNotifications"  # name of the service
    clr_namespace: str = "OutboundNotifications"  # wcf: where the data contracts live
    data_namespace: str = ""  # wcf: whole namespace of the data contracts; "" = made from clr_namespace
    member_order: str = ""  # "documented", "alphabetical", "reversed", "shuffled:SEED"; "" = as the dialect has it
    soap_versions: tuple[str, ...] = ("1.1",)  # "1.1", "1.2": accepted and shown as ports, in this order
    path: str = "/onc.svc"  # where the service is
    split_wsdl: bool = False  # schemas are imported from ?xsd=xsd0 ... instead of being embedded

    # Reading requests.
    lenient: bool = False  # wcf: members and parameters are read in any order
    drop_members: frozenset[str] = frozenset()  # members of CommunicationInfo that get lost on the way in

    # Writing answers.
    null_style: NullStyle = "dialect"  # how null is written; "dialect": nil in wcf, absent in asmx
    null_lists: bool = False  # every list is answered null, which means an error
    foreign_namespace: str = ""  # members of answers are put in this namespace instead of their own; "" = no

    # Who may do what.
    account: str = "account"  # OpenAPISession: accountId
    username: str = "user"  # OpenAPISession: username
    password: str = "password"  # noqa: S105 - a simulated one
    campaigns: tuple[Campaign, ...] = (Campaign("11111111-1111-4111-8111-111111111111", "Simulated"),)
    duplicate_ids: DuplicateIds = "add"  # an id that is taken: store a second contact, or codes.duplicate
    own_ids: bool = False  # contacts get ids of the service's own in place of ours
    refuse: Mapping[str, int | None] = field(
        default_factory=dict
    )  # regex on destinations -> code; None = codes.refused
    codes: Codes = field(default_factory=Codes)
    listing_lag: float = 0.0  # seconds until an added contact shows up in lists, and a deleted one leaves them

    def __post_init__(self) -> None:
        if not re.fullmatch(r"|documented|alphabetical|reversed|shuffled:\d+", self.member_order):
            raise ValueError(f"member_order {self.member_order!r} is unknown")
        check_choices(self, dialect=Dialect, null_style=NullStyle, duplicate_ids=DuplicateIds)
        check_patterns(self.refuse)
        if not self.soap_versions or set(self.soap_versions) - {"1.1", "1.2"}:
            raise ValueError("soap_versions holds 1.1, 1.2 or both")
        if not self.path.startswith("/") or self.path in RESERVED:
            raise ValueError(f"path {self.path!r} must start with / and be none of the simulator's own")
