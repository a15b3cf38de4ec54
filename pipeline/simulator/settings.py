"""Settings that every simulated service has: its limits, and what goes wrong when."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self, get_args

FaultKind = Literal["unavailable", "cut", "cut_answer", "hang", "fault", "html", "busy", "incomplete", "expire"]
Outage = Literal["503", "hang", "cut", "refuse"]

FAULT_KINDS: tuple[FaultKind, ...] = get_args(FaultKind)
OUTAGES: tuple[Outage, ...] = get_args(Outage)

RESERVED = ("/", "/state", "/control")
"""Paths of the simulator's own; what begins with one of the last two and a slash is too."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that goes wrong on certain calls, chosen by counting them: the n-th call of the operation is hit
    when `first <= n <= last` and n is a multiple of `every`. Calls are numbered from 1 in order of arrival.

    Kinds: "unavailable" (HTTP 503 with Retry-After), "cut" (the connection ends without an answer), "cut_answer"
    (it ends in the middle of the answer), "hang" (no answer until the client gives up), "fault" (an error of the
    server in the form that the system has for it, of no class that a client knows), "html" (a page that is no answer
    at all), "busy" (the call is answered with the code or message that means: later it may work), "incomplete" (with
    the code that means: it was begun; only Genesys has one), "expire" (the session of the call ends just before it is
    looked up)."""

    kind: FaultKind
    every: int = 1  # calls; 1 = each
    first: int = 1  # number of the first call that may be hit
    last: int | None = None  # number of the last one; None = no end
    stored: bool = False  # whether the call takes effect all the same ("cut_answer": always; "busy": never)
    status: int = 500  # HTTP status of "fault" and "html"
    retry_after: int | None = 1  # seconds, in the answer of "unavailable"; None = no such header
    operation: str = (
        ""  # whose calls are counted; "" = the one for rows, or where there is none for sessions; "*" = all
    )

    def __post_init__(self) -> None:
        if self.kind not in FAULT_KINDS:
            raise ValueError(f"fault kind {self.kind!r} is none of {', '.join(FAULT_KINDS)}")
        if self.every < 1 or self.first < 1:
            raise ValueError("a fault needs every >= 1 and first >= 1")

    @property
    def answered(self) -> bool:
        """Whether the call is answered as a call, with a result."""
        return self.kind in ("busy", "incomplete", "expire")

    @property
    def unseen(self) -> bool:
        """Whether nothing of the call is looked at, so that it cannot take effect."""
        return not self.stored and not self.answered and self.kind != "cut_answer"

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


def check_choices(settings: object, **choices: Any) -> None:
    """Raise ValueError where a setting is none of its literals. `choices`: by name, the Literal type."""
    for name, choice in choices.items():
        if getattr(settings, name) not in get_args(choice):
            raise ValueError(f"{name} is one of {', '.join(get_args(choice))}")


def check_patterns(patterns: Iterable[str]) -> None:
    """Raise ValueError where one of what rows are refused by is no regular expression."""
    for pattern in patterns:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"refuse: {pattern!r} is no pattern: {error}") from None


def check_prefix(prefix: str) -> None:
    """Raise ValueError where documented paths cannot follow this."""
    if prefix and not re.fullmatch(r"(/[^/]+)+", prefix):
        raise ValueError(f"prefix {prefix!r} must start with / and not end with it")


def optional_int(value: Any) -> int | None:
    """A whole number, or None."""
    return None if value is None else int(value)


def _faults(values: Any) -> tuple[Fault, ...]:
    return tuple(
        each if isinstance(each, Fault) else Fault.parse(each) if isinstance(each, str) else Fault(**each)
        for each in values
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSettings:
    """What every service has. Without arguments a service is well-behaved."""

    runtime: ClassVar[Mapping[str, Callable[[Any], Any]]] = {
        "latency": float,
        "late_effect": float,
        "idle_limit": float,
        "expire_after_calls": optional_int,
        "session_cap": optional_int,
        "max_request_bytes": int,
        "faults": _faults,
    }
    """Settings that may change while the service runs, with what makes a value out of one that came as JSON."""

    # Sessions and limits.
    session_ids: tuple[str, ...] = ()  # ids of the first sessions; those of further ones are made up
    idle_limit: float = 1200.0  # seconds without a call after which a session ends; every call starts it anew
    expire_after_calls: int | None = None  # calls after which a session ends; None = no such limit
    session_cap: int | None = None  # sessions that may be open at once; None = any number
    max_request_bytes: int = 65_536  # a longer body is answered with 413

    # Time and faults.
    latency: float = 0.0  # seconds between arrival and effect of every call
    late_effect: float = 0.0  # seconds until a call that will not be answered takes effect
    faults: tuple[Fault, ...] = ()  # the first that hits a call counts
