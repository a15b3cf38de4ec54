"""The sessions of a service: opened, used, closed, and ended by time, by calls or by command."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from random import Random
from uuid import UUID


@dataclass(slots=True)
class Session:
    """One session."""

    id: str
    used_at: float  # clock seconds of the last call
    life: float | None = None  # seconds without a call after which it ends; None = as the service has it
    calls: int = 0  # calls that have used it
    in_flight: int = 0  # calls that are using it now

    def idle(self, now: float, limit: float) -> bool:
        """Whether it was idle for too long by now."""
        return self.used_at < now - (limit if self.life is None else self.life)


class Sessions:
    """The sessions of a service. A session ends when it is closed, when it was idle for longer than the limit or when
    it was used for as many calls as are allowed. Each call that uses it starts the idle time anew."""

    def __init__(self, clock: Callable[[], float], random: Random, first_ids: Iterable[str] = ()) -> None:
        self.opened = 0
        self.closed = 0
        self.expired = 0
        self.max_in_flight = 0  # the most calls that any one session ever had in flight
        self._sessions: dict[str, Session] = {}
        self._clock = clock
        self._random = random
        self._first_ids = iter(first_ids)

    def new_id(self) -> str:
        """A new Guid."""
        return str(UUID(int=self._random.getrandbits(128), version=4))

    def open(self, life: float | None = None) -> str:
        """Open a session and give its id."""
        session = Session(next(self._first_ids, None) or self.new_id(), self._clock(), life)
        self._sessions[session.id] = session
        self.opened += 1
        return session.id

    def count(self, idle_limit: float) -> int:
        """How many sessions are open; those that were idle too long are ended first."""
        now = self._clock()
        for session in [each for each in self._sessions.values() if each.idle(now, idle_limit)]:
            self._end(session)
        return len(self._sessions)

    def find(self, session_id: str | None, idle_limit: float) -> Session | None:
        """A session, if there is such a one; to ask is not to use it."""
        session = self._sessions.get(session_id or "")
        if session is not None and session.idle(self._clock(), idle_limit):
            self._end(session)
            return None
        return session

    def use(self, session_id: str | None, idle_limit: float, call_limit: int | None) -> Session | None:
        """The session for a call that starts now; None if there is no such session (any more)."""
        session = self._sessions.get(session_id or "")
        if session is None:
            return None
        now = self._clock()
        if session.idle(now, idle_limit) or (call_limit is not None and session.calls >= call_limit):
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
