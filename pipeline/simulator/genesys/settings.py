"""Settings of the simulated Genesys Web Services: its users, its places and its habits."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, ClassVar, Literal, NamedTuple

from pipeline.simulator.settings import ServiceSettings, check_choices, check_patterns, check_prefix, optional_int

PartialShape = Literal["nested", "flat", "list"]
SecondSession = Literal["join", "refuse"]
DuplicateRecords = Literal["add", "refuse"]
StaleCookie = Literal["refuse", "renew"]


class Code(IntEnum):
    """The values of statusCode."""

    OK = 0
    MISSING_PARAMETER = 1
    INVALID_PARAMETER = 2
    FORBIDDEN = 3
    INTERNAL_ERROR = 4
    NO_PERMISSION = 5
    NOT_FOUND = 6
    PARTIAL_SUCCESS = 7
    CHANGE_PASSWORD = 8
    PROCESSING_INCOMPLETE = 9
    VALIDATION = 10
    READ_ONLY = 11
    ALREADY_EXISTS = 18
    IN_USE = 19
    NOT_AUTHENTICATED = 20


class Failure(NamedTuple):
    """Why something did not work, as an answer carries it."""

    code: int  # statusCode
    message: str  # statusMessage


class Device(NamedTuple):
    """A device at a place."""

    id: str  # its devicePath is /devices/ID
    acd_position: bool = False  # whether it is an ACDPosition


@dataclass(frozen=True, slots=True)
class GenesysSettings(ServiceSettings):
    """What the simulated service looks like and how it behaves. Without arguments it is well-behaved."""

    runtime: ClassVar[Mapping[str, Callable[[Any], Any]]] = {
        **ServiceSettings.runtime,
        "failed_channels": lambda value: {channel: Failure(*each) for channel, each in value.items()},
        "opening_code": int,
        "csrf": bool,
        "csrf_calls": optional_int,
        "second_session": str,
        "stale_cookie": str,
        "duplicates": str,
        "refuse": dict,
        "busy": int,
        "error_status": int,
        "not_authenticated_status": int,
        "partial_shape": str,
    }

    prefix: str = ""  # stands before /api/v2/me; the address for a configuration is origin and prefix

    # Who may do what. An agent user holds one contact centre session at most.
    users: Mapping[str, str] = field(
        default_factory=lambda: {f"agent{number}": "password" for number in range(1, 9)}
    )  # name -> password
    opening_code: int = 0  # statusCode of every StartContactCenterSession that would work; e.g. 8: change the password
    second_session: SecondSession = "join"  # the user has a session elsewhere: answer 0 and share it, or 19
    not_authenticated_status: int = 401  # HTTP status of statusCode 20; 200 is one that services have too
    error_status: int = 200  # HTTP status of every other error
    stale_cookie: StaleCookie = "refuse"  # a cookie that is void: statusCode 20, or a new one for good credentials
    csrf: bool = True  # POST needs the token that GET /api/v2/me tells
    csrf_header: str = "X-CSRF-TOKEN"  # the header for it; X-CSRF-HEADER tells its name
    csrf_calls: int | None = None  # calls after which a token is void and GET tells another; None = never

    # Contact centre sessions.
    failed_channels: Mapping[str, Failure] = field(default_factory=dict)  # channels that do not work
    partial_shape: PartialShape = "nested"  # where the channels stand in a partial success: in an object "channels",
    # beside statusCode, or in a list "channels"
    places: Mapping[str, tuple[Device, ...]] | None = None  # None = every place exists and has one device
    login_codes: Mapping[str, str | None] | None = None  # loginCode -> password, None = none; None = any will do
    known_numbers: frozenset[str] = frozenset()  # numbers of Configuration Server: no dynamicPhoneNumber may be one

    # Records.
    needs_session: bool = True  # AddRecord without a contact centre session is answered 3
    campaigns: frozenset[str] = frozenset()  # names; another one is answered 6; empty = any
    duplicates: DuplicateRecords = "add"  # a record that is there: store a second one, or 18
    duplicate_by: tuple[str, ...] = ("campaignName", "callingList", "phoneNumber")  # what makes two records the same
    refuse: Mapping[str, int | None] = field(default_factory=dict)  # regex on phoneNumber -> statusCode; None = 10
    busy: int = Code.INTERNAL_ERROR  # what the fault "busy" answers; 19 is another one that passes

    def __post_init__(self) -> None:
        check_choices(
            self,
            partial_shape=PartialShape,
            second_session=SecondSession,
            duplicates=DuplicateRecords,
            stale_cookie=StaleCookie,
        )
        check_patterns(self.refuse)
        check_prefix(self.prefix)
        if not self.users:
            raise ValueError("users: there must be one")
