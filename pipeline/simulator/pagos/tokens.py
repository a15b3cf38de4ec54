"""Bearer tokens: given from the start or for client credentials, and how they become invalid."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.simulator.pagos.settings import PagosSettings


@dataclass(slots=True)
class Token:
    """A token that is valid."""

    ends_at: float | None  # clock seconds; None = by time it does not
    calls: int = 0  # calls that have used it


class Tokens:
    """The tokens that are valid, and the clients that are blocked."""

    def __init__(self, settings: PagosSettings, clock: Callable[[], float], new_id: Callable[[], str]) -> None:
        self.given = 0  # tokens that were given for credentials
        self.bad: Counter[str] = Counter()  # bad logins since the last good one, by client_id
        self.bad_logins = 0  # bad logins of all clients, since the start
        self.refused = 0  # calls with a token that is none, or none any more
        self._clock = clock
        self._new_id = new_id
        self._tokens = {settings.token: Token(None)} if settings.token else {}

    def give(self, form: Mapping[str, str], settings: PagosSettings) -> tuple[int, dict[str, Any]]:
        """Answer a request for a token: HTTP status and object."""
        if form.get("grant_type") != "client_credentials":
            return 400, {"error": "unsupported_grant_type"}
        client = form.get("client_id", "")
        if self.blocked(client, settings):
            return 400, {"error": "invalid_client", "error_description": "The client is blocked after bad logins."}
        if (client, form.get("client_secret")) != (settings.client_id, settings.client_secret):
            self.bad[client] += 1
            self.bad_logins += 1
            return 400, {"error": "invalid_client"}
        self.bad[client] = 0
        self.given += 1
        token = self._new_id()
        self._tokens[token] = Token(self._clock() + settings.token_life)
        return 200, {"access_token": token, "token_type": "Bearer", "expires_in": int(settings.token_life)}

    def blocked(self, client: str, settings: PagosSettings) -> bool:
        """Whether a client is turned away whatever it says."""
        return settings.block_after is not None and self.bad[client] >= settings.block_after

    def good(self, authorization: str, settings: PagosSettings) -> bool:
        """Whether a call has a valid token. The call uses it."""
        scheme, _, name = authorization.partition(" ")
        token = self._tokens.get(name) if scheme.lower() == "bearer" else None
        if token is not None:
            over = token.ends_at is not None and token.ends_at <= self._clock()
            if not over and (settings.token_calls is None or token.calls < settings.token_calls):
                token.calls += 1
                return True
            del self._tokens[name]
        self.refused += 1
        return False

    def revoke(self) -> None:
        """Make every token invalid."""
        self._tokens.clear()
