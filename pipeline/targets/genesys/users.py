"""Agent users and their sessions: who is in which, and that a user is in one at a time."""

import base64
from collections import deque
from dataclasses import dataclass

import httpx

from pipeline.errors import OpeningRefused
from pipeline.targets.genesys.settings import GenesysSettings, UserSettings
from pipeline.values import Secret
from pipeline.wire import Line


@dataclass(frozen=True, slots=True, repr=False)
class Credentials:
    """What a user logs in with, as read from where it is kept."""

    username: str
    password: str
    login_code: str | None
    agent_login_password: str | None

    @classmethod
    def read(cls, user: UserSettings, target: GenesysSettings) -> "Credentials":
        """Read them anew. Raises ConfigError where one cannot be had."""
        return cls(
            user.username.read(),
            user.password.read(),
            _value(user.login_code or target.login_code),
            _value(user.agent_login_password or target.agent_login_password),
        )

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not be shown."""
        told = (self.username, self.password, self.login_code, self.agent_login_password, self._basic)
        return tuple(secret for secret in told if secret)

    @property
    def authorization(self) -> str:
        """The header of HTTP Basic authentication (RFC 7617)."""
        return f"Basic {self._basic}"

    @property
    def _basic(self) -> str:
        return base64.b64encode(f"{self.username}:{self.password}".encode()).decode()


def _value(secret: Secret | None) -> str | None:
    return secret.read() if secret is not None else None


class EchoingLine(Line):
    """A way for many messages, all of which echo the same."""

    def __init__(self, session: "GenesysSession", url: str) -> None:
        super().__init__(session.client, url, session.headers)
        self.echoed = session.csrf


class GenesysSession:
    """An agent's session and its connection, which holds the cookie. What it holds is never shown."""

    __slots__ = ("client", "credentials", "csrf", "gone", "line", "trusted", "used")

    def __init__(self, client: httpx.AsyncClient, credentials: Credentials) -> None:
        self.client = client
        self.credentials = credentials
        self.csrf: tuple[str, str] | None = None
        self.line: EchoingLine | None = None  # for records, once there are any
        self.trusted = False  # whether a record was taken on it
        self.gone = False  # it has ended, or its user is in another session now: nothing is to be closed
        self.used = 0.0  # when it was used last, on the loop's clock

    def __repr__(self) -> str:
        return "GenesysSession()"

    @property
    def headers(self) -> dict[str, str]:
        """What every call carries."""
        headers = {
            "Authorization": self.credentials.authorization,
            "Accept": "application/json",
            "Content-Type": "application/json",
        }
        return {**headers, self.csrf[0]: self.csrf[1]} if self.csrf else headers

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not be shown of what the target says."""
        told = (*self.credentials.secrets, *self.client.cookies.values())
        return (*told, self.csrf[1]) if self.csrf else told


class Users:
    """The configured users. Methods are synchronous: between two of them nobody can take the same user."""

    def __init__(self, users: tuple[UserSettings, ...]) -> None:
        self._free = deque(users)
        self._refused: deque[UserSettings] = deque()  # the target opened no session for them: taken last
        self._held: dict[int, tuple[UserSettings, GenesysSession]] = {}  # by the id of the session

    def take(self) -> UserSettings:
        """A user for a further session. Where all are at work the session that was used longest ago loses its own: it
        has been replaced already, or will be when it is used next. Raises OpeningRefused where there is none.
        """
        if self._free:
            return self._free.popleft()
        if self._refused:
            return self._refused.popleft()
        if not self._held:
            raise OpeningRefused("every user of target.users is being logged in", code="users")
        user, session = min(self._held.values(), key=lambda held: held[1].used)
        session.gone = True
        del self._held[id(session)]
        return user

    def hold(self, user: UserSettings, session: GenesysSession) -> None:
        """The user taken is in this session."""
        self._held[id(session)] = (user, session)

    def refuse(self, user: UserSettings) -> None:
        """No session was opened for the user taken."""
        self._refused.append(user)

    def give_back(self, user: UserSettings) -> None:
        """The user taken has no session, for a reason that is not its own."""
        self._free.appendleft(user)

    def release(self, session: GenesysSession) -> None:
        """The session has ended."""
        if (held := self._held.pop(id(session), None)) is not None:
            self._free.appendleft(held[0])
