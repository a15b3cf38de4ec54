"""One call on an agent's session: what is echoed, and which code its answer tells."""

from typing import Final

from pipeline.errors import NotDelivered, OutcomeUnknown
from pipeline.targets import rest
from pipeline.targets.genesys import replies
from pipeline.targets.genesys.users import EchoingLine, GenesysSession
from pipeline.targets.rest import Object, Purpose
from pipeline.wire import Answer, exchange

#: A call is made so often again while what is to be echoed changes: others may have it changed at the same time.
_ECHOES: Final = 3

#: What stands for a code where HTTP itself says it.
UNAUTHENTICATED: Final = "HTTP 401"
FORBIDDEN: Final = "HTTP 403"


class Calls:
    """Calls to one service. Every method raises NotDelivered, OutcomeUnknown and TargetUnusable.

    `url` is where it tells who we are, `host` how it is called in messages.
    """

    def __init__(self, url: str, host: str) -> None:
        self._url = url
        self._host = host

    async def me(self, session: GenesysSession) -> Answer:
        """GET who we are, and keep what later calls must echo."""
        answer = await exchange(session.client, self._url, session.headers, b"", method="GET")
        if (csrf := replies.csrf_header(answer)) is not None:
            session.csrf = csrf
        return answer

    async def post(self, session: GenesysSession, message: bytes, path: str = "") -> Answer:
        """POST a message to our address, or to what lies below it at `path`; made again like `unforbidden`."""
        echoed = session.csrf
        answer = await exchange(session.client, f"{self._url}{path}", session.headers, message)
        return await self.unforbidden(session, message, path, answer, echoed)

    def line(self, session: GenesysSession, path: str) -> EchoingLine:
        """The session's way for many messages to what lies below our address at `path`."""
        if session.line is None or session.line.echoed != session.csrf:
            session.line = EchoingLine(session, f"{self._url}{path}")
        return session.line

    async def unforbidden(
        self, session: GenesysSession, message: bytes, path: str, answer: Answer, echoed: tuple[str, str] | None
    ) -> Answer:
        """The answer to a POST, or to the same made again where it was forbidden and what is to be echoed has changed
        from `echoed` (403 is how a wrong one is answered, before anything is done).
        """
        for _ in range(_ECHOES):
            if answer.status != 403:
                break
            if session.csrf == echoed:
                try:
                    asked = await self.me(session)
                    if asked.status == 401:
                        return asked
                except (NotDelivered, OutcomeUnknown) as error:
                    raise NotDelivered(f"the target forbade it, and could not be asked why: {error.reason}") from None
            if session.csrf == echoed:
                break
            echoed = session.csrf
            answer = await exchange(session.client, f"{self._url}{path}", session.headers, message)
        return answer

    def told(self, answer: Answer, found: Object | None, purpose: Purpose) -> tuple[str | None, Object]:
        """The status code that an answer tells, None where it tells none, and the object that holds it.

        Errors come with any HTTP status; that of the object says more. Raises like `rest.read`.
        """
        if answer.status == 401:
            return UNAUTHENTICATED, found or {}
        if answer.status == 204:  # success without words
            return replies.SUCCESS, {}
        code = replies.status_code(found) if found is not None else None
        if not rest.succeeded(answer) and (code in (None, replies.SUCCESS) or answer.status in (429, 503)):
            if answer.status == 403:
                return FORBIDDEN, found or {}
            rest.raise_status(answer, purpose, self._host)
        if found is None:
            found = rest.read(answer, purpose, self._host)
        if "statusCode" not in found and purpose is Purpose.ROW and rest.succeeded(answer):
            return replies.SUCCESS, found  # HTTP success means accepted (contract.md)
        return code, found
