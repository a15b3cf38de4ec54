"""Settings of the simulated ONC service: its dialect, its limits and its faults."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, Self, get_args

Dialect = Literal["wcf", "asmx"]
NullStyle = Literal["dialect", "nil", "absent"]
DuplicateIds = Literal["add", "refuse"]
FaultKind = Literal["unavailable", "cut", "cut_answer", "hang", "fault", "html", "busy", "expire"]
Outage = Literal["503", "hang", "cut", "refuse"]

FAULT_KINDS: tuple[FaultKind, ...] = get_args(FaultKind)
OUTAGES: tuple[Outage, ...] = get_args(Outage)


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
class Fault:
    """Something that goes wrong on certain calls, chosen by counting them: the n-th call of the operation is hit
    when `first <= n <= last` and n is a multiple of `every`. Calls are numbered from 1 in order of arrival.

    Kinds: "unavailable" (HTTP 503 with Retry-After), "cut" (the connection ends without an answer), "cut_answer"
    (it ends in the middle of the answer), "hang" (no answer until the client gives up), "fault" (an unclassified SOAP
    fault), "html" (a page that is no SOAP at all), "busy" (the call answers `codes.busy`), "expire" (the session
    of the call ends just before it is looked up)."""

    kind: FaultKind
    every: int = 1  # calls; 1 = each
    first: int = 1  # number of the first call that may be hit
    last: int | None = None  # number of the last one; None = no end
    stored: bool = False  # whether the call takes effect all the same ("cut_answer": always; "busy": never)
    status: int = 500  # HTTP status of "fault" and "html"
    retry_after: int | None = 1  # seconds, in the answer of "unavailable"; None = no such header
    operation: str = "AddCampaignContact"  # the operation whose calls are counted; "*" = all of them together

    def __post_init__(self) -> None:
        if self.kind not in FAULT_KINDS:
            raise ValueError(f"fault kind {self.kind!r} is none of {', '.join(FAULT_KINDS)}")
        if self.every < 1 or self.first < 1:
            raise ValueError("a fault needs every >= 1 and first >= 1")

    @property
    def answered(self) -> bool:
        """Whether the call is answered as a call, with a result."""
        return self.kind in ("busy", "expire")

    def hits(self, number: int) -> bool:
        """Whether the call with this number is hit."""
        return number % self.every == 0 and number >= self.first and (self.last is None or number <= self.last)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `KIND[:NAME=VALUE,...]`, e.g. `cut:every=50,stored` or `fault:every=10,status=200`.

        Raises ValueError when it is not of this form."""
        kind, _, rest = text.partition(":")
        values: dict[str, Any] = {"kind": kind.strip()}
        readers = {"every": int, "first": int, "last": int, "status": int, "retry_after": int, "operation": str}
        for part in filter(None, (part.strip() for part in rest.split(","))):
            name, _, value = part.partition("=")
            if name == "stored":
                values[name] = value in ("", "true", "1")
            elif name in readers:
                values[name] = readers[name](value)
            else:
                raise ValueError(f"fault {text!r}: unknown setting {name!r}")
        return cls(**values)


@dataclass(frozen=True, slots=True)
class Campaign:
    """A campaign that exists when the service starts."""

    id: str  # Guid
    name: str = ""  # ShortName
    contacts: int = 0  # how many contacts it holds already (made up, with ids derived from the campaign's)
    paused: bool = False  # IsPaused


@dataclass(frozen=True, slots=True)
class OncSettings:
    """What the simulated service looks like and how it behaves. Without arguments: a well-behaved WCF service."""

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
    max_request_bytes: int = 65_536  # a longer envelope is answered with 413

    # Writing answers.
    null_style: NullStyle = "dialect"  # how null is written; "dialect": nil in wcf, absent in asmx
    null_lists: bool = False  # every list is answered null, which means an error
    foreign_namespace: str = ""  # members of answers are put in this namespace instead of their own; "" = no

    # Who may do what.
    account: str = "account"  # OpenAPISession: accountId
    username: str = "user"  # OpenAPISession: username
    password: str = "password"  # noqa: S105 - a simulated one
    campaigns: tuple[Campaign, ...] = (Campaign("11111111-1111-4111-8111-111111111111", "Simulated"),)
    idle_limit: float = 1200.0  # seconds without a call after which a session ends; every call starts it anew
    expire_after_calls: int | None = None  # calls after which a session ends; None = no such limit
    session_cap: int | None = None  # sessions that may be open at once; None = any number
    duplicate_ids: DuplicateIds = "add"  # an id that is taken: store a second contact, or codes.duplicate
    own_ids: bool = False  # contacts get ids of the service's own in place of ours
    refuse: Mapping[str, int | None] = field(
        default_factory=dict
    )  # regex on destinations -> code; None = codes.refused
    codes: Codes = field(default_factory=Codes)

    # Time and faults.
    latency: float = 0.0  # seconds between arrival and effect of every call
    listing_lag: float = 0.0  # seconds until an added contact shows up in lists, and a deleted one leaves them
    late_effect: float = 0.0  # seconds until a call that will not be answered takes effect
    faults: tuple[Fault, ...] = ()  # the first that hits a call counts

    def __post_init__(self) -> None:
        if self.dialect not in get_args(Dialect):
            raise ValueError(f"dialect {self.dialect!r} is neither wcf nor asmx")
        if not re.fullmatch(r"|documented|alphabetical|reversed|shuffled:\d+", self.member_order):
            raise ValueError(f"member_order {self.member_order!r} is unknown")
        for name, allowed in (("null_style", NullStyle), ("duplicate_ids", DuplicateIds)):
            if getattr(self, name) not in get_args(allowed):
                raise ValueError(f"{name} is one of {', '.join(get_args(allowed))}")
        for pattern in self.refuse:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"refuse: {pattern!r} is no pattern: {error}") from None
        if not self.soap_versions or set(self.soap_versions) - {"1.1", "1.2"}:
            raise ValueError("soap_versions holds 1.1, 1.2 or both")
        if not self.path.startswith("/") or self.path in ("/", "/state", "/control"):
            raise ValueError(f"path {self.path!r} must start with / and be none of the simulator's own")


def _optional_int(value: Any) -> int | None:
    return None if value is None else int(value)


def _faults(values: Any) -> tuple[Fault, ...]:
    return tuple(
        each if isinstance(each, Fault) else Fault.parse(each) if isinstance(each, str) else Fault(**each)
        for each in values
    )


RUNTIME_SETTINGS: Mapping[str, Callable[[Any], Any]] = {
    "latency": float,
    "listing_lag": float,
    "late_effect": float,
    "idle_limit": float,
    "expire_after_calls": _optional_int,
    "session_cap": _optional_int,
    "duplicate_ids": str,
    "own_ids": bool,
    "refuse": dict,
    "null_style": str,
    "null_lists": bool,
    "foreign_namespace": str,
    "max_request_bytes": int,
    "faults": _faults,
}
"""Settings that may change while the service runs, with what makes a value out of one that came as JSON."""
