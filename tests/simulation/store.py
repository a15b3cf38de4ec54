"""What the target holds: contacts, each from the moment at which it took effect, and sessions. It outlives crashes."""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from uuid import UUID

from simulation.virtual import Clock

#: A contact's content as it is compared: channel, destination and text of each.
Content = tuple[tuple[str, str, str | None], ...]


@dataclass(slots=True)
class Contact:
    """One contact. Times are seconds on the world's clock."""

    sent_id: str | None  # as it was sent; None: somebody else's
    kept_id: str  # as the target shows it
    content: Content
    retries: dict[str, int]  # by channel
    effective: float  # there from then on
    listed: float  # in the lists from then on


@dataclass(slots=True)
class Session:
    """A session that was opened. `asked_to_close`: whoever got it has tried to close it."""

    number: int
    process: int
    last_used: float
    given: bool = False  # whether the answer with it arrived
    ended: bool = False
    asked_to_close: bool = False


class Store:
    """The target's own memory. `keeps_ids`: contacts keep the id they were sent with, else they are given new ones."""

    def __init__(self, clock: Clock, random: Random, *, keeps_ids: bool, idle_limit: float) -> None:
        self._clock = clock
        self._random = random
        self.keeps_ids = keeps_ids
        self._idle_limit = idle_limit
        self.contacts: list[Contact] = []
        self.updates: list[tuple[float, str, Content]] = []  # when each takes effect, the id, the content
        self._open: dict[int, Session] = {}
        self.opened = 0
        self.closed = 0
        self.expired = 0

    # --- contacts ---------------------------------------------------------------------------------------------------

    def add(
        self, sent_id: str | None, content: Content, retries: dict[str, int], *, effective: float, listed: float
    ) -> Contact:
        """Add a contact, whatever is there already: adding the same one twice makes two."""
        kept = sent_id if self.keeps_ids and sent_id else self.new_id()
        contact = Contact(sent_id, kept, content, retries, effective, listed)
        self.contacts.append(contact)
        return contact

    def new_id(self) -> str:
        """An id as the target makes them."""
        return str(UUID(int=self._random.getrandbits(128), version=4))

    def update(self, kept_id: str, content: Content, *, effective: float) -> None:
        """Give the contacts of an id another content from a moment on."""
        self.updates.append((effective, kept_id, content))

    def _settle(self) -> None:
        """Let the updates take effect whose time has come."""
        due = [update for update in self.updates if update[0] <= self._clock.now]
        self.updates = [update for update in self.updates if update[0] > self._clock.now]
        for _, kept_id, content in sorted(due, key=lambda update: update[0]):
            for contact in self.contacts:
                if contact.kept_id == kept_id:
                    contact.content = content

    def has(self, kept_id: str) -> bool:
        """Whether a contact of this id is there."""
        return any(contact.kept_id == kept_id for contact in self.there())

    def there(self) -> list[Contact]:
        """What is there now."""
        self._settle()
        return [contact for contact in self.contacts if contact.effective <= self._clock.now]

    def listed(self) -> list[Contact]:
        """What a list shows now, in no order."""
        self._settle()
        found = [contact for contact in self.contacts if contact.listed <= self._clock.now]
        self._random.shuffle(found)
        return found

    def remove(self, kept_id: str) -> bool:
        """Delete one contact; False: there is none of this id."""
        for contact in self.there():
            if contact.kept_id == kept_id:
                self.contacts.remove(contact)
                return True
        return False

    # --- sessions ---------------------------------------------------------------------------------------------------

    def open(self, process: int) -> Session:
        """Open a session for a process."""
        self.opened += 1
        session = self._open[self.opened] = Session(self.opened, process, self._clock.now)
        return session

    def sessions(self) -> Iterator[Session]:
        """The sessions that are open now; those that were idle for too long have expired."""
        for session in list(self._open.values()):
            if self._clock.now - session.last_used > self._idle_limit:
                self.expire(session)
            else:
                yield session

    def use(self, session: Session) -> bool:
        """A call comes on a session: whether it is good. Its idle time begins anew."""
        if not session.ended and self._clock.now - session.last_used > self._idle_limit:
            self.expire(session)
        if session.ended:
            return False
        session.last_used = self._clock.now
        return True

    def expire(self, session: Session) -> None:
        """End a session from the target's side."""
        del self._open[session.number]
        session.ended = True
        self.expired += 1

    def close(self, session: Session) -> None:
        """End a session as its owner asked."""
        del self._open[session.number]
        session.ended = True
        self.closed += 1
