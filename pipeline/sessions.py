"""Sessions and their pool: bounded, opened when first needed, renewed before and after they expire, all closed at last.

State changes are synchronous; only opening, proving and closing wait. One renewal serves all who notice an expiry:
a lease remembers the generation of the session that it used, and `renew` does nothing where a newer one stands already.
"""

import functools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from math import inf
from typing import Generic, Protocol, TypeVar

import anyio
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter

from pipeline.config import SessionsSettings
from pipeline.errors import (
    NotDelivered,
    OpeningRefused,
    OutcomeUnknown,
    PipelineError,
    Refused,
    SessionExpired,
    TargetUnreachable,
    TargetUnusable,
    UsageError,
)
from pipeline.logs import logger

H = TypeVar("H")

#: Closing all sessions on the way out may take so long, in seconds.
CLOSE_WITHIN = 10.0

#: The first opening is tried so often where the target does not answer. Later ones are the breaker's business.
FIRST_OPENING_ATTEMPTS = 3


class SessionProvider(Protocol[H]):
    """How a target's sessions are had. `H` is the target's own handle on an open session.

    What has a body here is what is usual: whoever names the protocol as a base class inherits it.
    """

    @property
    def most_sessions(self) -> int | None:
        """So many can be open at once, as far as the configuration tells; None: it does not."""
        return None

    @property
    def session_life(self) -> float | None:
        """Seconds after which the target ends a session, used or not; None: it lives as long as it is used."""
        return None

    async def open(self) -> H:
        """Open a session.

        Raises NotDelivered or OutcomeUnknown (not reached, no readable answer), OpeningRefused (the target answered
        no), TargetUnusable (no further attempt can help).
        """

    async def prove(self, handle: H) -> bool:
        """Ask the target whether the session is still good; raises NotDelivered or OutcomeUnknown without an answer."""

    async def close(self, handle: H) -> None:
        """Close the session at the target and give back what it holds here, whatever happens."""


@dataclass(slots=True)
class Counts:
    """What became of sessions, for the summary."""

    opened: int = 0
    renewed: int = 0
    closed: int = 0
    expired: int = 0


@dataclass(slots=True)
class _Slot(Generic[H]):
    """A place for one open session; several leases share it where the target bears several calls at once."""

    handle: H | None = None
    generation: int = 0
    until: float = inf  # when it is to be replaced, as its life ends
    last_used: float = 0.0
    leases: "list[Lease[H]]" = field(default_factory=list)
    capped: bool = False  # the target refused a session here: the place stays empty
    lock: anyio.Lock = field(default_factory=anyio.Lock)
    retired: "list[_Retired[H]]" = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Retired(Generic[H]):
    """A session that was replaced while another lease may still await an answer on it."""

    handle: H
    generation: int
    expired: bool


class Lease(Generic[H]):
    """The right to make calls on one session, one at a time."""

    __slots__ = ("_pool", "_slot", "generation")

    def __init__(self, pool: "SessionPool[H]", slot: "_Slot[H]") -> None:
        self._pool = pool
        self._slot = slot
        self.generation = slot.generation

    async def handle(self) -> H:
        """The session to make the next call on, renewed first where its idle limit or the end of its life is near."""
        slot, pool = self._slot, self._pool
        now = anyio.current_time()
        if slot.handle is None or now - slot.last_used >= pool.renew_after or now >= slot.until:
            await pool.refresh(slot, slot.generation, expired=False)
        slot.last_used = now
        handle = slot.handle
        assert handle is not None
        self.generation = slot.generation  # whatever call was made on an older one has ended
        if slot.retired:
            await pool.close_retired(slot)
        return handle

    def good_at(self, now: float) -> bool:
        """A call has just been made on the session that `handle` gave: whether the next may be, without asking for it
        anew. `now` is of the loop's clock, in seconds.
        """
        slot = self._slot
        slot.last_used = now
        return slot.generation == self.generation and slot.handle is not None and now < slot.until

    async def prove(self, handle: H) -> bool:
        """Ask the target whether a session is still good (see `SessionProvider.prove`)."""
        return await self._pool.prove(handle)

    async def renew(self) -> None:
        """The session that `handle` gave is gone: have a new one, once for all who share it."""
        await self._pool.refresh(self._slot, self.generation, expired=True)


class SessionPool(Generic[H]):
    """At most `size` sessions with at most `calls_per_session` leases each.

    The first session must open (else TargetUnreachable after a few tries, or TargetUnusable). Later, an opening that is
    refused caps the pool, which is logged once, and one that gets no answer is NotDelivered.
    """

    def __init__(
        self,
        provider: SessionProvider[H],
        size: int,
        calls_per_session: int,
        settings: SessionsSettings,
        *,
        open_within: float = 60.0,
        entry: str = "account, user name and password",
    ) -> None:
        """`open_within`: opening one session may take so long, in seconds; it is not cut off before. `entry` names what
        to check where none opens.
        """
        self._entry = entry
        self._open_within = open_within
        self._provider = provider
        most = provider.most_sessions
        self._size = size if most is None else min(size, most)
        self._calls_per_session = calls_per_session
        self._settings = settings
        self.renew_after = settings.idle_limit - settings.renew_margin
        life = provider.session_life
        # Of a short life the margin must not take all.
        self._replace_after = inf if life is None else life - min(settings.renew_margin, life / 2)
        self._slots: list[_Slot[H]] = []
        # Half as many logins at a time as sessions are open: all are soon there, few are refused where the target has
        # a cap, and a storm of failures becomes one error.
        self._opening = anyio.CapacityLimiter(1)
        self._failure: PipelineError | None = None
        self._capped = False
        self.counts = Counts()

    @property
    def open_now(self) -> int:
        """How many sessions are open."""
        return sum(slot.handle is not None for slot in self._slots)

    @property
    def renewing_now(self) -> int:
        """In how many places a session is opened after an earlier one."""
        return sum(slot.handle is None and slot.generation > 0 and slot.lock.locked() for slot in self._slots)

    @asynccontextmanager
    async def lease(self) -> AsyncIterator["Lease[H] | None"]:
        """A lease on a session; None where the target allows no further one and others are at work."""
        slot = self._place()
        if slot is None:
            yield None
            return
        lease = Lease(self, slot)
        slot.leases.append(lease)
        try:
            opened = await self._opened_in(slot)
            lease.generation = slot.generation
            yield lease if opened else None
        finally:
            slot.leases.remove(lease)

    async def prove(self, handle: H) -> bool:
        """Ask the target whether a session is still good."""
        return await self._provider.prove(handle)

    def quiet_lease(self) -> "Lease[H]":
        """A lease on an open session for calls between rows, while no row is in flight on any."""
        return Lease(self, next((slot for slot in self._slots if slot.handle is not None), self._slots[0]))

    def _place(self) -> "_Slot[H] | None":
        """A slot with room; None: there is none and will be none."""
        usable = [s for s in self._slots if not s.capped and len(s.leases) < self._calls_per_session]
        if usable:
            return min(usable, key=lambda s: len(s.leases))
        if len(self._slots) >= self._size or self._capped:
            return None
        slot: _Slot[H] = _Slot()
        self._slots.append(slot)
        return slot

    async def _opened_in(self, slot: "_Slot[H]") -> bool:
        """Open a session in a slot that has none; whether it has one now.

        Raises NotDelivered where a further session cannot be opened now.
        """
        async with slot.lock:
            if slot.handle is None:
                try:
                    async with self._opening:
                        await self._open(slot)
                except OpeningRefused:
                    return False
        return True

    async def refresh(self, slot: "_Slot[H]", generation: int, *, expired: bool) -> None:
        """Put a new session into `slot` unless somebody has done so since `generation`.

        Raises OpeningRefused where the target gives no new one while others work on.
        """
        async with slot.lock:
            if slot.generation != generation and slot.handle is not None:
                return
            old, slot.handle = slot.handle, None
            self._let_open()
            if old is not None:
                if expired:
                    self.counts.expired += 1
                if sum(lease.generation == slot.generation for lease in slot.leases) > 1:
                    slot.retired.append(_Retired(old, slot.generation, expired))
                else:
                    await self._close(old, count=not expired)
            async with self._opening:
                await self._open(slot)
            if old is not None:
                self.counts.renewed += 1

    async def _open(self, slot: "_Slot[H]") -> None:
        if self._failure is not None:
            raise self._failure
        if slot.capped or (self._capped and not slot.generation):
            slot.capped = True
            raise OpeningRefused("the target allows no further session", code="capped")
        try:
            slot.handle = await self._opened()
        except OpeningRefused as refusal:
            slot.capped = True
            if self.open_now == 0:
                self._failure = TargetUnusable(
                    f"the target opens no session: {refusal.reason.rstrip('.')}. Check {self._entry}, and that no "
                    "other program holds the account's sessions."
                )
                raise self._failure from None
            if not self._capped:
                self._capped = True
                logger().warning("sessions.capped", sessions=self.open_now, wanted=self._size, code=refusal.code)
            raise
        except (TargetUnusable, UsageError) as error:
            # A secret that can no longer be read is for a person to mend, as is a target that takes us in no more.
            self._failure = error if isinstance(error, TargetUnusable) else TargetUnusable(str(error))
            raise self._failure from None
        slot.generation += 1
        slot.last_used = anyio.current_time()
        slot.until = slot.last_used + self._replace_after
        self.counts.opened += 1
        self._let_open()

    def _let_open(self) -> None:
        self._opening.total_tokens = max(1, self.open_now // 2)

    async def _opened(self) -> H:
        deadline = anyio.current_time() + self._settings.wait
        pause = 1.0
        while True:
            try:
                return await self._reached()
            except OpeningRefused:
                # Only a session without which nothing goes on is worth waiting for, and only where that was asked for.
                if self.open_now or anyio.current_time() + pause > deadline:
                    raise
                await anyio.sleep(pause)
                pause = min(pause * 2, 30.0)

    async def _reached(self) -> H:
        """Open, with a few tries for the first session: without it a command has nothing to wait for."""
        first = self.counts.opened == 0
        try:
            async for attempt in AsyncRetrying(
                retry=retry_if_exception_type((NotDelivered, OutcomeUnknown)),
                stop=stop_after_attempt(FIRST_OPENING_ATTEMPTS if first else 1),
                wait=wait_exponential_jitter(multiplier=0.5, max=5.0, jitter=0.5),
                sleep=anyio.sleep,
                reraise=True,
            ):
                with attempt:
                    # An opening that is cut off would leave a session behind that nobody closes.
                    with anyio.move_on_after(self._open_within, shield=True):
                        return await self._provider.open()
                    raise OutcomeUnknown(f"no answer to the opening of a session within {self._open_within:g} seconds")
        except (NotDelivered, OutcomeUnknown) as error:
            if not first:
                raise NotDelivered(f"no session could be opened: {error.reason}") from None
            self._failure = TargetUnreachable(
                f"no session could be opened: {error.reason}. Try again later, or check the target's address."
            )
            raise self._failure from None
        raise AssertionError("tenacity either returns or raises")

    async def _close(self, handle: H, *, count: bool = True) -> None:
        with anyio.move_on_after(CLOSE_WITHIN, shield=True):
            try:
                await self._provider.close(handle)
                if count:
                    self.counts.closed += 1
            except (Refused, SessionExpired):  # it had ended already, and nobody had noticed
                if count:
                    self.counts.expired += 1
            except PipelineError as error:
                if count:  # of an expired session nothing else is to be expected
                    logger().info("session.close_failed", error=type(error).__name__)

    async def close_retired(self, slot: "_Slot[H]") -> None:
        """Close the sessions of a slot that were replaced and on which no lease can await an answer any more."""
        in_use = {lease.generation for lease in slot.leases}
        done = [retired for retired in slot.retired if retired.generation not in in_use]
        slot.retired = [retired for retired in slot.retired if retired.generation in in_use]
        for retired in done:
            await self._close(retired.handle, count=not retired.expired)

    async def aclose(self) -> None:
        """Close every session that is open, all at once, shielded from cancellation, within CLOSE_WITHIN."""
        open_ = [(slot.handle, True) for slot in self._slots if slot.handle is not None]
        open_ += [(retired.handle, not retired.expired) for slot in self._slots for retired in slot.retired]
        for slot in self._slots:
            slot.handle = None
            slot.retired = []
        with anyio.CancelScope(shield=True):
            async with anyio.create_task_group() as group:
                for handle, count in open_:
                    group.start_soon(functools.partial(self._close, handle, count=count))
