"""What simulated services do alike: count calls, meet faults, end calls by them, and give an account of it all."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import replace
from random import Random
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

from starlette.types import Receive, Scope, Send

from pipeline.simulator.exchange import Answer, Exchange, page, plain
from pipeline.simulator.late import LateEffects
from pipeline.simulator.record import Record
from pipeline.simulator.sessions import Session, Sessions
from pipeline.simulator.settings import FAULT_KINDS, Fault, FaultKind, ServiceSettings

_OUTAGE_KINDS: Mapping[str | None, FaultKind] = {"503": "unavailable", "hang": "hang", "cut": "cut"}

Effect = Callable[[str], Answer]
"""Lets a call take effect and gives its answer. Its argument is the kind of the fault that keeps the answer from the
caller, "" if none does."""

_Settings = TypeVar("_Settings", bound=ServiceSettings)


class Surroundings(NamedTuple):
    """What a service gets from outside."""

    clock: Callable[[], float]  # seconds
    random: Random  # makes ids
    sleep: Callable[[float], Awaitable[None]]  # waits for the latency


class Service(ABC, Generic[_Settings]):
    """One simulated service. It answers the requests for its paths. A subclass ends its `__init__` with `configure`."""

    system: ClassVar[str]  # its name, as configurations have it
    title: ClassVar[str]  # the same for a person
    operations: ClassVar[frozenset[str]]  # names that faults may have
    opening: ClassVar[str]  # the operation that opens a session
    kinds: ClassVar[frozenset[FaultKind]] = frozenset(FAULT_KINDS) - {"incomplete"}  # faults that it can have
    commands: ClassVar[frozenset[str]] = frozenset()  # what `command` can do
    row_call: ClassVar[str]  # the operation that adds a row; "" if there is none

    def __init__(self, settings: _Settings, surroundings: Surroundings) -> None:
        self.record = Record()
        self.sessions = Sessions(surroundings.clock, surroundings.random, settings.session_ids)
        self.late = LateEffects(surroundings.clock)
        self.settings = settings
        self.outage: str | None = None  # its name
        self._outage: Fault | None = None  # what befalls every call, before any of the settings' faults
        self._clock = surroundings.clock
        self._sleep = surroundings.sleep

    # --- what each service has of its own ---

    @property
    @abstractmethod
    def address(self) -> str:
        """What stands behind the origin in the address that a client is given."""

    @property
    @abstractmethod
    def paths(self) -> frozenset[str]:
        """The paths that it answers."""

    @property
    @abstractmethod
    def links(self) -> tuple[str, ...]:
        """Paths for a browser."""

    @abstractmethod
    def introduction(self, origin: str) -> tuple[str, ...]:
        """How to point a configuration at it, one line each: options of the command, then in words who may enter."""

    @abstractmethod
    async def answer(self, exchange: Exchange) -> None:
        """Answer one request."""

    @abstractmethod
    def unclassified(self, exchange: Exchange, status: int) -> Answer:
        """An error of the server as the system words it: what "fault" answers."""

    @abstractmethod
    def rows(self) -> Iterator[dict[str, Any]]:
        """Every row that it holds, ready for JSON."""

    def particulars(self) -> dict[str, Any]:
        """What `state` shows of this service alone."""
        return {}

    def check(self, settings: _Settings) -> None:
        """Raise ValueError where settings make no sense."""
        for fault in settings.faults:
            if not self.knows(fault):
                raise ValueError(f"fault {fault.kind}: no operation {fault.operation or 'of rows'} here has it")

    def configure(self, settings: _Settings) -> None:
        """Go on with these settings. What is stored already stays as it is. Raises ValueError, and changes nothing."""
        self.check(settings)
        self.settings = settings

    @classmethod
    def knows(cls, fault: Fault) -> bool:
        """Whether such a fault can happen here."""
        return fault.kind in cls.kinds and (fault.operation in ("", "*") or fault.operation in cls.operations)

    def command(self, name: str) -> None:
        """Do something once that is no setting."""
        raise KeyError(name)

    # --- what they have in common ---

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        await self.answer(Exchange(scope, receive, send))

    def changed(self, changes: Mapping[str, Any]) -> _Settings:
        """The settings with what of the changes is one. Raises ValueError or TypeError where they make no sense."""
        readers = self.settings.runtime.items()
        settings = replace(self.settings, **{name: read(changes[name]) for name, read in readers if name in changes})
        self.check(settings)
        return settings

    def set_outage(self, outage: str | None, stored: bool) -> None:
        """Let every call end as the outage says; `stored`: calls take effect all the same."""
        kind = _OUTAGE_KINDS.get(outage)
        self._outage = None if kind is None else Fault(kind, operation="*", stored=stored)
        self.outage = outage

    def arrive(self, operation: str) -> Fault | None:
        """Count a call; the fault that it meets, if any."""
        calls = self.record.calls
        calls[operation] += 1
        if operation == self.row_call:
            self.record.received += 1
        hit = self._outage
        if hit is None:
            for fault in self.settings.faults:
                if (fault.operation or self.row_call or self.opening) == operation:
                    number = calls[operation]
                elif fault.operation == "*":
                    number = calls.total()
                else:
                    continue
                if fault.hits(number):
                    hit = fault
                    break
        if hit is not None:
            self.record.faults[hit.kind] += 1
        return hit

    def use(self, session_id: str | None, fault: Fault | None) -> Session | None:
        """The session of a call that starts now; None if there is no such session."""
        if fault is not None and fault.kind == "expire":
            self.sessions.expire(session_id)
        return self.sessions.use(session_id, self.settings.idle_limit, self.settings.expire_after_calls)

    def full(self) -> bool:
        """Whether as many sessions are open as may be."""
        cap = self.settings.session_cap
        return cap is not None and self.sessions.count(self.settings.idle_limit) >= cap

    async def carry_out(self, exchange: Exchange, fault: Fault | None, session: Session | None, effect: Effect) -> None:
        """Let a call take effect as far as its fault lets it, and end it."""
        failure = None if fault is None or fault.answered else fault
        if session is not None:
            self.sessions.started(session)
        try:
            if self.settings.latency > 0:
                await self._sleep(self.settings.latency)
            answer = self._take_effect(failure, effect)
            if failure is None and answer is not None and not isinstance(answer.body, bytes):
                await exchange.send(answer)
                return
        finally:
            # Before the answer goes out: whoever has it may use the session again at once. So may whoever gives up
            # on a call that hangs.
            if session is not None:
                session.in_flight -= 1
        if failure is not None and (answer is None or failure.kind != "cut_answer"):
            await self.fail(exchange, failure)
        elif answer is not None:
            await (exchange.send(answer) if failure is None else exchange.send_half(answer))

    async def fail(self, exchange: Exchange, fault: Fault) -> None:
        """End a request as the fault says."""
        if fault.kind == "unavailable":
            more = [] if fault.retry_after is None else [(b"retry-after", str(fault.retry_after).encode())]
            await exchange.send(plain(503, "The service is unavailable.", more))
        elif fault.kind == "fault":
            await exchange.send(self.unclassified(exchange, fault.status))
        elif fault.kind == "html":
            await exchange.send(page("Something went wrong", (), fault.status))
        elif fault.kind == "hang":
            await exchange.until_gone()
        else:
            await exchange.cut()

    async def reject(self, exchange: Exchange, answer: Answer) -> None:
        """Answer a request that is no call."""
        self.record.rejected[str(answer.status)] += 1
        await exchange.send(answer)

    def state(self) -> dict[str, Any]:
        """Everything counted so far, ready for JSON. The keys mean the same for every service."""
        self.late.settle()
        record, sessions = self.record, self.sessions
        open_now = sessions.count(self.settings.idle_limit)
        return {
            "sessions": {
                "logins": record.calls[self.opening],
                "opened": sessions.opened,
                "closed": sessions.closed,
                "expired": sessions.expired,
                "refused": record.refused_openings,
                "open": open_now,
                "max_concurrent_calls": sessions.max_in_flight,
            },
            "calls": dict(record.calls),
            "adds": {
                "received": record.received,
                "stored": record.stored,
                "accepted": record.accepted,
                "refused": len(record.refused),
                "swallowed": len(record.swallowed),
                "duplicates": record.duplicates,
                "late": len(self.late),
                "by_code": {str(code): count for code, count in record.codes.items()},
            },
            "bad_session": record.bad_session,
            "faults": dict(record.faults),
            "unavailable": record.faults["unavailable"],
            "rejected": dict(record.rejected),
            "outage": self.outage,
            **self.particulars(),
        }

    def _take_effect(self, failure: Fault | None, effect: Effect) -> Answer | None:
        self.late.settle()
        if failure is None:
            return effect("")
        delay = self.settings.late_effect
        if failure.kind == "cut_answer" or delay <= 0:
            return effect(failure.kind)
        self.late.add(delay, lambda: effect(failure.kind))
        return None
