"""Who is calling: Basic credentials, the JSESSIONID cookie, and the CSRF token."""

import base64
import binascii
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie

from pipeline.simulator.exchange import Exchange

COOKIE = "JSESSIONID"


@dataclass(slots=True)
class Login:
    """An HTTP session."""

    cookie: str
    user: str
    token: str  # the CSRF token
    token_calls: int = 0  # calls that have used the token
    session: str | None = None  # id of the contact centre session that was begun over it
    fresh: bool = True  # whether its cookie is still to be told

    def headers(self) -> list[tuple[bytes, bytes]]:
        """What an answer carries for it."""
        if not self.fresh:
            return []
        self.fresh = False
        return [(b"set-cookie", f"{COOKIE}={self.cookie}; Path=/; HttpOnly".encode())]


class Logins:
    """The HTTP sessions by their cookies."""

    def __init__(self, new_id: Callable[[], str]) -> None:
        self.bad = 0  # requests with wrong credentials
        self._logins: dict[str, Login] = {}
        self._new_id = new_id

    def find(self, exchange: Exchange) -> tuple[Login | None, bool]:
        """The HTTP session of a request by its cookie, and whether the request has a cookie at all."""
        try:
            cookie = SimpleCookie(exchange.header("cookie")).get(COOKIE)
        except CookieError:
            return None, True
        return (None, False) if cookie is None else (self._logins.get(cookie.value), True)

    def begin(self, exchange: Exchange, users: Mapping[str, str]) -> Login | None:
        """A new HTTP session for good credentials; None for others."""
        user = _user(exchange.header("authorization"), users.items())
        if user is None:
            self.bad += 1
            return None
        login = Login(self._new_id(), user, self._new_id())
        self._logins[login.cookie] = login
        return login

    def end(self, login: Login) -> None:
        """End an HTTP session: its cookie is void."""
        self._logins.pop(login.cookie, None)

    def token(self, login: Login, limit: int | None) -> str:
        """The CSRF token as it is now: a new one where the old one has served as many calls as it may."""
        if limit is not None and login.token_calls >= limit:
            login.token, login.token_calls = self._new_id(), 0
        return login.token

    def proven(self, login: Login, token: str, limit: int | None) -> bool:
        """Whether a call may act that carries this token."""
        if token != login.token or (limit is not None and login.token_calls >= limit):
            return False
        login.token_calls += 1
        return True


def _user(authorization: str, users: Iterable[tuple[str, str]]) -> str | None:
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return name if (name, password) in users else None
