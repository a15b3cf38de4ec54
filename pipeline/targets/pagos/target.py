"""A SpreadsheetWEB application as a target: dedicated sessions, and one saved record for each contact."""

import json
from typing import Final, NoReturn

import httpx
import polars as pl

from pipeline.config import Settings
from pipeline.errors import (
    AlreadyThere,
    NotDelivered,
    OpeningRefused,
    OutcomeUnknown,
    PutOff,
    Refused,
    SessionExpired,
    TargetUnusable,
)
from pipeline.logs import logger
from pipeline.stages.encode import Body
from pipeline.targets import Rows, Target, rest
from pipeline.targets.addresses import is_plain_abroad
from pipeline.targets.pagos.batches import Batches, Told
from pipeline.targets.pagos.bearer import Bearer, Token
from pipeline.targets.pagos.encoder import RecordEncoder
from pipeline.targets.pagos.replies import Verdict, results, session_id
from pipeline.targets.pagos.settings import PagosSettings
from pipeline.targets.rest import Object, Purpose
from pipeline.wire import Answer, ClientFactory, Line, exchange, hang_up, host

#: No codes are published: this stands for one where one must be given.
_ACCEPTED: Final = "Success"
_FAILED: Final = "failure"

#: A call is made so often with tokens that are not taken: others may renew the token at the same time.
_TOKENS: Final = 3

#: A text of so many characters tells something of a person; shorter ones would mask words at random.
_TELLING: Final = 3


class BearingLine(Line):
    """A way for many messages on one session, all of which carry the same bearer token."""

    def __init__(self, session: "PagosSession", url: str, bearer: Token) -> None:
        super().__init__(session.client, url, _headers(bearer), token=session.token)
        self.bearer = bearer


class PagosSession:
    """A dedicated session and its connection. `token` is the session id as it stands in a message, never shown."""

    __slots__ = ("client", "line", "token", "trusted")

    def __init__(self, client: httpx.AsyncClient, token: bytes) -> None:
        self.client = client
        self.token = token
        self.line: BearingLine | None = None  # for records, once there are any
        self.trusted = False  # whether a record was saved on it

    def __repr__(self) -> str:
        return "PagosSession()"


class PagosTarget(Target, Rows):
    """See `pipeline.targets.Target`. Calls raise NotDelivered, OutcomeUnknown or TargetUnusable where no answer can be
    had; what else each raises stands with it. No limit of sessions is published, and no call that tells which records
    there are.
    """

    def __init__(self, settings: Settings, target: PagosSettings, clients: ClientFactory | None) -> None:
        for address in filter(is_plain_abroad, filter(None, (target.endpoint, target.token_url))):
            if clients is not None:
                logger().warning("target.plain_http", host=host(address), advice="credentials and contacts go in clear")
        self._target = target
        self._clients = clients
        self._bearer = Bearer(target, clients)
        self._encoder = RecordEncoder(target, settings.contacts)
        self._batches = Batches(target.batch, self._save_several) if target.batch > 1 else None
        self._tells: bool | None = None  # whether a call that saves nothing succeeds on a good session; None: not asked

    @property
    def rows(self) -> "PagosTarget":
        """Contacts are saved by GetResult, or several at once by GetBatchResults."""
        return self

    # --- encoding ---------------------------------------------------------------------------------------------

    def unfit(self, contacts: pl.DataFrame) -> pl.Series:
        """Per row, that nothing would be saved; null: something would."""
        return self._encoder.unfit(contacts)

    def encode(self, contacts: pl.DataFrame) -> list[Body]:
        """One GetResult message per row, cut where the session id goes."""
        return self._encoder.encode(contacts)

    # --- sessions ---------------------------------------------------------------------------------------------

    async def open(self) -> PagosSession:
        """Open a dedicated session on a connection of its own; a token that is given is read anew.

        Raises OpeningRefused where the target answers no, ConfigError where a secret cannot be read.
        """
        assert self._clients is not None, "this target was made to send nothing"
        await self._bearer.reread()
        client = self._clients()
        try:
            message = json.dumps({"ApplicationKey": self._target.application_key}).encode()
            found, verdict = await self._call(client, "OpenDedicatedSession", message, Purpose.OPENING)
            if not verdict.success:
                said = verdict.in_words((self._target.application_key, *self._bearer.secrets))
                if verdict.holds(self._target.messages.transient):
                    raise NotDelivered(f"the target put the session off: {said}")
                raise OpeningRefused(said, code=_FAILED)
            if (opened := session_id(found)) is None:
                raise TargetUnusable(
                    "OpenDedicatedSession answers success without a session id: check target.endpoint."
                )
            return PagosSession(client, opened.encode())
        except BaseException:
            await hang_up(client)
            raise

    async def prove(self, handle: PagosSession) -> bool:
        """Calculate without saving anything: the one harmless call that needs a session. True also where that fails on
        good sessions too, since then it tells nothing.
        """
        if not self._target.proof:
            return True
        good = await self._calculates(handle)
        if good:
            self._tells = True
        return good or not self._tells

    async def prepare(self, handle: PagosSession) -> None:
        """Learn, from a session that was just opened, what a call that saves nothing can prove."""
        if not self._target.proof:
            return
        self._tells = await self._calculates(handle)
        if not self._tells:
            logger().info("target.proof_tells_nothing", advice="failures are told apart by a new session each")

    async def close(self, handle: PagosSession) -> None:
        """Close the session at the target, and its connection whatever happens. Raises Refused where the target does
        not close it.
        """
        message = json.dumps({"SessionId": handle.token.decode(), "ApplicationKey": self._target.application_key})
        try:
            call = self._call(handle.client, "CloseDedicatedSession", message.encode(), Purpose.ASKING)
            _, verdict = await call
        finally:
            await hang_up(handle.client)
        if not verdict.success:
            raise Refused(f"the target did not close the session ({self._words(handle, verdict)})")

    async def _calculates(self, handle: PagosSession) -> bool:
        message = handle.token.join(self._encoder.idle)
        _, verdict = await self._call(handle.client, "GetResult", message, Purpose.ASKING)
        return verdict.success

    # --- rows -------------------------------------------------------------------------------------------------

    def line(self, handle: PagosSession) -> BearingLine | None:
        """The session's way for GetResult with the present token; None where several records go in one call."""
        token = self._bearer.token
        if self._batches is not None or token is None:
            return None
        if handle.line is None or handle.line.bearer is not token:
            handle.line = BearingLine(handle, self._url("GetResult"), token)
        return handle.line

    async def reconsidered(self, handle: PagosSession, line: BearingLine, body: Body, answer: Answer) -> Answer:
        """The answer to a row, or that to the same once more where its token was not taken."""
        tokens = 1
        while (why := self._not_taken(answer, line.bearer)) is not None:
            if tokens == _TOKENS:
                raise _no_token(why)
            await self._bearer.renewed(line.bearer, why)
            renewed = self.line(handle)
            assert renewed is not None, "there is a token now"
            line = renewed
            tokens += 1
            answer = await line.post(body)
        return answer

    async def judge(self, handle: PagosSession, body: Body, answer: Answer) -> str:
        """Whether a record was saved; gives "Success". Raises like `send`."""
        verdict = Verdict.of(rest.read(answer, Purpose.ROW, host(self._target.endpoint)))
        if not verdict.success:
            await self._settle(handle, verdict, handle.token.join(body))
        self.accepted(handle)
        return _ACCEPTED

    def accepted(self, handle: PagosSession) -> None:
        """Records were saved on this session, with the token of its line if it has one."""
        handle.trusted = True
        if handle.line is not None:
            self._bearer.let_in(handle.line.bearer)

    async def send(self, handle: PagosSession, body: Body) -> str:
        """Save a record; gives "Success".

        Raises SessionExpired, PutOff, AlreadyThere or Refused by what the messages mean. A failure whose meaning cannot
        be asked is NotDelivered: what failed has saved nothing.
        """
        message = handle.token.join(body)
        verdict = await self._batches.verdict(handle.client, message) if self._batches is not None else None
        if verdict is None:
            _, verdict = await self._call(handle.client, "GetResult", message, Purpose.ROW)
        if not verdict.success:
            await self._settle(handle, verdict, message)
        self.accepted(handle)
        return _ACCEPTED

    async def _settle(self, handle: PagosSession, verdict: Verdict, message: bytes) -> NoReturn:
        """Raise what a failure means."""
        said = self._words(handle, verdict, *rest.texts(json.loads(message)["Inputs"]))
        meanings = self._target.messages
        if verdict.holds(meanings.session):
            raise SessionExpired(f"the session is gone ({said})")
        if verdict.holds(meanings.transient):
            raise PutOff(f"the target put it off ({said})")
        if verdict.holds(meanings.duplicate):
            raise AlreadyThere(f"the target has it already ({said})")
        try:
            # Where asking tells nothing, a new session does: what was only just opened is not gone.
            gone = not await self._calculates(handle) if self._tells else handle.trusted
        except (NotDelivered, OutcomeUnknown) as error:
            raise NotDelivered(
                f"the target refused it ({said}), and whether the session is good could not be asked: {error.reason}",
                retry_after=getattr(error, "retry_after", None),
            ) from None
        if gone:
            raise SessionExpired(f"the session is gone ({said})")
        raise Refused(f"the target refused it ({said})")

    async def _save_several(self, client: httpx.AsyncClient, messages: list[bytes]) -> list[Told]:
        """Save the records of several messages in one call. Where the call as a whole is refused, nothing was saved,
        and each is sent alone: one of them may be why.
        """
        requests = (b'{"Id":%d,"Request":%s}' % numbered for numbered in enumerate(messages, 1))
        try:
            message = b'{"Requests":[%s]}' % b",".join(requests)
            found, _ = await self._call(client, "GetBatchResults", message, Purpose.ROW)
        except Refused:
            return [None] * len(messages)
        told = results(found)
        if not told and rest.member(found, "Success") is False:
            return [None] * len(messages)
        return [self._told(told.get(number)) for number in range(1, len(messages) + 1)]

    @staticmethod
    def _told(verdict: Verdict | None) -> Told:
        if verdict is None:
            return OutcomeUnknown("the answer to the batch does not tell of this record, or not clearly")
        return None if verdict.invalid_token else verdict

    # --- calls ------------------------------------------------------------------------------------------------

    async def _call(
        self, client: httpx.AsyncClient, operation: str, message: bytes, purpose: Purpose
    ) -> tuple[Object, Verdict]:
        """Make a call, once more where its token is not taken; gives the answer and what it says.

        Raises like `rest.read`, and TargetUnusable where no token is taken.
        """
        why: str | None = None
        for _ in range(_TOKENS):
            token = await self._bearer.current()
            answer = await exchange(client, self._url(operation), _headers(token), message)
            if (why := self._not_taken(answer, token)) is None:
                found = rest.read(answer, purpose, host(self._target.endpoint))
                self._bearer.let_in(token)
                return found, Verdict.of(found)
            await self._bearer.renewed(token, why)
        raise _no_token(why)

    def _not_taken(self, answer: Answer, token: Token) -> str | None:
        """Why the target has not taken a call's token; None: it has."""
        if answer.status == 401:
            return "HTTP 401"
        verdict = Verdict.of(rest.json_object(answer.body) or {}) if rest.succeeded(answer) else None
        if verdict is None or not verdict.invalid_token:
            return None
        return verdict.in_words((token.value, self._target.application_key))

    def _url(self, operation: str) -> str:
        return f"{self._target.endpoint}/Api/Applications/{operation}"

    def _words(self, handle: PagosSession, verdict: Verdict, *sent: str) -> str:
        telling = (text for text in sent if len(text) >= _TELLING)
        secrets = (self._target.application_key, handle.token.decode(), *self._bearer.secrets)
        return verdict.in_words((*secrets, *telling))


def _no_token(why: str | None) -> NotDelivered:
    return NotDelivered(f"the bearer token is not taken ({why})")


def _headers(token: Token) -> dict[str, str]:
    return {"Authorization": token.header, "Content-Type": "application/json", "Accept": "application/json"}
