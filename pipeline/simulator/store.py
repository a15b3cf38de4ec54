"""What the simulated service holds: campaigns with their contacts, and API sessions."""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from random import Random
from uuid import UUID

from pipeline.simulator import settings as configuration
from pipeline.simulator.contract import CampaignInfo, CommunicationInfo, Contact


class CampaignStore:
    """One campaign. Contacts are kept by id; an id that was added twice has a list of them."""

    def __init__(self, info: CampaignInfo) -> None:
        self.info = info
        self.size = 0
        self._contacts: dict[str, Contact | list[Contact]] = {}
        self._unlisted: deque[tuple[float, Contact]] = deque()
        self._lingering: deque[tuple[float, Contact]] = deque()

    def __contains__(self, contact_id: str) -> bool:
        return contact_id in self._contacts

    def add(self, contact: Contact, listed_at: float | None = None) -> None:
        """Store a contact, beside another one if its id is taken. Lists show it from `listed_at` on."""
        present = self._contacts.setdefault(contact.id, contact)
        if isinstance(present, list):
            present.append(contact)
        elif present is not contact:
            self._contacts[contact.id] = [present, contact]
        self.size += 1
        if listed_at is not None:
            self._unlisted.append((listed_at, contact))

    def update(self, contact: Contact) -> bool:
        """Replace the contact with this id, keeping what the service alone may set; False if there is none."""
        present = self._contacts.get(contact.id)
        if present is None:
            return False
        if isinstance(present, list):
            present[-1] = _updated(present[-1], contact)
        else:
            self._contacts[contact.id] = _updated(present, contact)
        return True

    def delete(self, contact_id: str, listed_until: float | None = None) -> bool:
        """Remove a contact, of several with this id the last one; False if there is none. Lists show it until
        `listed_until`."""
        present = self._contacts.get(contact_id)
        if present is None:
            return False
        if isinstance(present, list) and len(present) > 1:
            gone = present.pop()
        else:
            gone = present[0] if isinstance(present, list) else present
            del self._contacts[contact_id]
        if listed_until is not None:
            self._lingering.append((listed_until, gone))
        self.size -= 1
        return True

    def contacts(self) -> Iterator[Contact]:
        """All contacts as they are now; changes made while this is walked are not seen."""
        return _flat(list(self._contacts.values()))

    def listed(self, now: float) -> Iterator[Contact]:
        """The contacts that lists show already."""
        while self._unlisted and self._unlisted[0][0] <= now:
            self._unlisted.popleft()
        while self._lingering and self._lingering[0][0] <= now:
            self._lingering.popleft()
        shown = chain(self.contacts(), [contact for _, contact in self._lingering])
        if not self._unlisted:
            return shown
        # The deque keeps these contacts alive as long as their identity is looked at.
        hidden = {id(contact) for _, contact in self._unlisted}
        return (contact for contact in shown if id(contact) not in hidden)


def _flat(values: list[Contact | list[Contact]]) -> Iterator[Contact]:
    for value in values:
        if isinstance(value, list):
            yield from value
        else:
            yield value


def _updated(old: Contact, new: Contact) -> Contact:
    channels = (
        None if given is None else pending(given, None if had is None else (had.status, had.last_error))
        for had, given in zip(old[2:], new[2:], strict=True)
    )
    return Contact(old.id, old.campaign_id, *channels)


def pending(info: CommunicationInfo, kept: tuple[int, int] | None = None) -> CommunicationInfo:
    """A channel as it is stored: the caller's StatusCode and LastDeliveryErrorCode are ignored. StatusCode is 0
    where the destination is blank, else 1, or what it was in `kept`."""
    status, error = kept or (1, 0)
    if not info.destination or not info.destination.strip():
        status = 0
    elif status == 0:
        status = 1
    return info._replace(status=status, last_error=error)


class Store:
    """The campaigns. Effects that come late are applied by whoever looks next after they are due."""

    def __init__(self, settings: configuration.OncSettings, clock: Callable[[], float], random: Random) -> None:
        self.campaigns: dict[str, CampaignStore] = {}
        self._clock = clock
        self._random = random
        self._late: deque[tuple[float, Callable[[], None]]] = deque()
        for seed in settings.campaigns:
            self._seed(seed)

    def new_id(self) -> str:
        """A new Guid."""
        return str(UUID(int=self._random.getrandbits(128), version=4))

    def campaign(self, campaign_id: str) -> CampaignStore | None:
        """The campaign with this id."""
        self.settle()
        return self.campaigns.get(campaign_id)

    def later(self, delay: float, effect: Callable[[], None]) -> None:
        """Let something take effect after some seconds."""
        self._late.append((self._clock() + delay, effect))

    def settle(self) -> None:
        """Apply the late effects that are due."""
        while self._late and self._late[0][0] <= self._clock():
            self._late.popleft()[1]()

    @property
    def late(self) -> int:
        """How many effects are still to come."""
        return len(self._late)

    def _seed(self, seed: configuration.Campaign) -> None:
        key = str(UUID(seed.id))
        campaign = CampaignStore(
            CampaignInfo(id=key, created="2024-01-01T00:00:00", name=seed.name, paused=seed.paused)
        )
        for number in range(seed.contacts):
            channel = CommunicationInfo(destination=f"+1555{number:07d}", status=1)
            campaign.add(Contact(f"{key[:24]}{number:012x}", key, channel))
        self.campaigns[key] = campaign


@dataclass(slots=True)
class Session:
    """An API session."""

    id: str
    used_at: float  # clock seconds of the last call
    calls: int = 0  # calls that have used it
    in_flight: int = 0  # calls that are using it now


class Sessions:
    """The API sessions of the account. A session ends when it is closed, when it was idle for longer than the limit
    or when it was used for as many calls as are allowed. Each call that uses it starts the idle time anew."""

    def __init__(self, clock: Callable[[], float], random: Random) -> None:
        self.opened = 0
        self.closed = 0
        self.expired = 0
        self.max_in_flight = 0  # the most calls that any one session ever had in flight
        self._sessions: dict[str, Session] = {}
        self._clock = clock
        self._random = random

    def open(self) -> str:
        """Open a session and give its id."""
        session = Session(str(UUID(int=self._random.getrandbits(128), version=4)), self._clock())
        self._sessions[session.id] = session
        self.opened += 1
        return session.id

    def count(self, idle_limit: float) -> int:
        """How many sessions are open; those that were idle too long are ended first."""
        limit = self._clock() - idle_limit
        for session in [each for each in self._sessions.values() if each.used_at < limit]:
            self._end(session)
        return len(self._sessions)

    def use(self, session_id: str | None, idle_limit: float, call_limit: int | None) -> Session | None:
        """The session for a call that starts now; None if there is no such session (any more)."""
        session = self._sessions.get(session_id or "")
        if session is None:
            return None
        now = self._clock()
        if session.used_at < now - idle_limit or (call_limit is not None and session.calls >= call_limit):
            self._end(session)
            return None
        session.used_at = now
        session.calls += 1
        return session

    def close(self, session: Session) -> bool:
        """Close a session at its owner's wish; False if it has ended meanwhile."""
        if self._sessions.pop(session.id, None) is None:
            return False
        self.closed += 1
        return True

    def expire(self, session_id: str | None) -> None:
        """End one session, if there is one."""
        session = self._sessions.get(session_id or "")
        if session is not None:
            self._end(session)

    def expire_all(self) -> None:
        """End all sessions."""
        self.expired += len(self._sessions)
        self._sessions.clear()

    def started(self, session: Session) -> None:
        """A call of this session is in flight."""
        session.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, session.in_flight)

    def _end(self, session: Session) -> None:
        if self._sessions.pop(session.id, None) is not None:
            self.expired += 1
