"""The bearer token that all sessions share: given or fetched, renewed once however many notice that it is not taken.

The vendor locks out who logs in wrongly over and over, so a token that was renewed and is not taken either, and client
credentials that are refused, are final.
"""

import base64
from dataclasses import dataclass
from typing import Final, NoReturn
from urllib.parse import quote_plus, urlencode

import anyio

from pipeline.errors import ConfigError, NotDelivered, OutcomeUnknown, TargetUnusable
from pipeline.targets import rest
from pipeline.targets.pagos.settings import PagosSettings
from pipeline.targets.words import shown
from pipeline.values import Secret
from pipeline.wire import ClientFactory, exchange, host, retry_after

#: Answers of a token's server that say no to who we are (RFC 6749, 5.2).
_REFUSED: Final = (400, 401, 403)


@dataclass(frozen=True, slots=True, eq=False)
class Token:
    """One token; two are the same only if they were had in one go."""

    value: str

    def __repr__(self) -> str:
        return "Token()"

    @property
    def header(self) -> str:
        """How a call carries it."""
        return f"Bearer {self.value}"


class Bearer:
    """Gives tokens. Every method raises TargetUnusable once nothing can help, and NotDelivered where a token could not
    be fetched now. `clients` is None where nothing is sent.
    """

    def __init__(self, target: PagosSettings, clients: ClientFactory | None) -> None:
        self._target = target
        self._clients = clients
        self._lock = anyio.Lock()  # one fetch however many want a token
        self._token: Token | None = None
        self._renewed = False  # since a call was let in last
        self._failure: TargetUnusable | None = None
        self._said = ""  # why credentials were refused last, fit to be shown

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not be shown of what the target says."""
        return (self._token.value,) if self._token is not None else ()

    @property
    def token(self) -> Token | None:
        """The token as it is now; None: there is none yet."""
        return self._token

    async def current(self) -> Token:
        """The token to make the next call with."""
        async with self._lock:
            if self._failure is not None:
                raise self._failure
            if self._token is None:
                self._token = await self._had()
            return self._token

    async def reread(self) -> None:
        """A session is about to be opened: a given token is read anew, and what fetches the first one is looked for.
        Raises ConfigError where it cannot be read.
        """
        given = self._target.token
        if given is None:
            if self._token is None:
                self._credentials()
            return
        async with self._lock:
            value = _carried(given)
            if self._token is None or self._token.value != value:
                self._token = Token(value)
                self._renewed = False

    def let_in(self, token: Token) -> None:
        """A call with this token was let in."""
        if token is self._token:
            self._renewed = False

    async def renewed(self, refused: Token, why: str) -> Token:
        """Another token than this, which was not taken; `why` is what was said, fit to be shown."""
        async with self._lock:
            if self._failure is not None:
                raise self._failure
            if self._token is not refused:
                assert self._token is not None
                return self._token
            if self._renewed:
                self._fail(f"the target takes a token that was only just renewed no more than the one before: {why}")
            new = await self._had()
            if self._target.token is not None and new.value == refused.value:
                self._fail(f"the target does not take our bearer token: {why}")
            self._token, self._renewed = new, True
            return new

    def _fail(self, what: str) -> NoReturn:
        where = "target.token" if self._target.token is not None else "target.client_id and target.client_secret"
        self._failure = TargetUnusable(f"{what.rstrip('.')}. Check {where}, and the rights that go with it.")
        raise self._failure

    async def _had(self) -> Token:
        """A token from where it is given, or fetched; a secret that cannot be read is for a person."""
        target = self._target
        try:
            if target.token is not None:
                return Token(_carried(target.token))
            credentials = self._credentials()
            token = await self._fetched(credentials)
            if token is None:
                changed = self._credentials()
                token = await self._fetched(changed) if changed != credentials else None
        except ConfigError as error:
            raise TargetUnusable(str(error)) from None
        if token is None:
            self._fail(f"{host(target.token_url or '')} refuses our client credentials ({self._said})")
        return token

    def _credentials(self) -> tuple[str, str]:
        assert self._target.client_id is not None
        assert self._target.client_secret is not None
        return self._target.client_id.read(), self._target.client_secret.read()

    async def _fetched(self, credentials: tuple[str, str]) -> Token | None:
        """A token for these credentials (RFC 6749, 4.4); None: they are refused."""
        target = self._target
        assert target.token_url is not None
        assert self._clients is not None, "this target was made to send nothing"
        client_id, secret = credentials
        form = {"grant_type": "client_credentials", "scope": target.scope}
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        if target.client_auth == "basic":
            told = f"{quote_plus(client_id)}:{quote_plus(secret)}".encode()
            headers["Authorization"] = f"Basic {base64.b64encode(told).decode()}"
        else:
            form |= {"client_id": client_id, "client_secret": secret}
        body = urlencode({name: value for name, value in form.items() if value is not None}).encode()
        try:
            async with self._clients() as client:
                answer = await exchange(client, target.token_url, headers, body)
        except (NotDelivered, OutcomeUnknown) as error:
            raise NotDelivered(f"no bearer token could be fetched: {error.reason}") from None
        found = rest.json_object(answer.body) or {}
        if answer.status in _REFUSED:
            said = rest.member(found, "error")
            self._said = shown(said, credentials) if isinstance(said, str) and said else f"HTTP {answer.status}"
            return None
        value = rest.member(found, "access_token")
        if rest.succeeded(answer) and isinstance(value, str) and _fits(value):
            return Token(value)
        what = "no access_token" if rest.succeeded(answer) else f"HTTP {answer.status}"
        if not rest.succeeded(answer) and (answer.status >= 500 or answer.status == 429):
            raise NotDelivered(
                f"no bearer token could be fetched: the answer was {what}", retry_after=retry_after(answer.headers)
            )
        self._failure = TargetUnusable(f"{host(target.token_url)} answers {what}: check target.token_url.")
        raise self._failure


def _carried(secret: Secret) -> str:
    """A secret that goes into a header. Raises ConfigError."""
    value = secret.read().strip()
    if not _fits(value):
        raise ConfigError([f"{secret.place}: holds a character that no header can carry"])
    return value


def _fits(value: str) -> bool:
    return bool(value) and all("\x21" <= character <= "\x7e" for character in value)
