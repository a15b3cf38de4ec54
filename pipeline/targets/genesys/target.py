"""Genesys Web Services as a target: sessions of agent users, and outbound records.

An error answer means that nothing was modified (published), so a code is believed; what each means is configured.
"""

import json
from typing import Final, NoReturn

import anyio
import polars as pl

from pipeline.config import Settings
from pipeline.errors import (
    AlreadyThere,
    NotDelivered,
    OutcomeUnknown,
    PutOff,
    Refused,
    SessionExpired,
)
from pipeline.logs import logger
from pipeline.stages.encode import Body
from pipeline.targets import Rows, Target, rest
from pipeline.targets.addresses import is_plain_abroad
from pipeline.targets.genesys import replies
from pipeline.targets.genesys.agents import Agents
from pipeline.targets.genesys.calls import FORBIDDEN, UNAUTHENTICATED, Calls
from pipeline.targets.genesys.encoder import RecordEncoder
from pipeline.targets.genesys.settings import GenesysSettings
from pipeline.targets.genesys.users import EchoingLine, GenesysSession
from pipeline.targets.refusals import Refusals
from pipeline.targets.rest import Object, Purpose
from pipeline.wire import Answer, ClientFactory, host

#: Where records are added, below the address that tells who we are.
_RECORDS: Final = "/outbound-records"

#: A text of so many characters tells something of a person; shorter ones would mask words at random.
_TELLING: Final = 3


class GenesysTarget(Target, Rows):
    """See `pipeline.targets.Target`. Calls raise NotDelivered, OutcomeUnknown or TargetUnusable where no answer can be
    had; what else each raises stands with it. No call is published that tells of records or campaigns, and nothing that
    ends a session in use.
    """

    def __init__(self, settings: Settings, target: GenesysSettings, clients: ClientFactory | None) -> None:
        self._host = host(target.endpoint)
        if clients is not None and is_plain_abroad(target.endpoint):
            logger().warning("target.plain_http", host=self._host, advice="credentials and contacts go in clear")
        self._target = target
        self._calls = Calls(target.place, self._host)
        self._agents = Agents(target, self._calls, self._host, clients)
        self._encoder = RecordEncoder(target, settings.contacts)
        self._refusals = Refusals()

    @property
    def rows(self) -> "GenesysTarget":
        """Contacts are added by AddRecord."""
        return self

    # --- encoding ---------------------------------------------------------------------------------------------

    def unfit(self, contacts: pl.DataFrame) -> pl.Series:
        """Per row, which field of the record is empty or no whole number and must not be; null: none."""
        return self._encoder.unfit(contacts)

    def encode(self, contacts: pl.DataFrame) -> list[Body]:
        """One AddRecord message per row."""
        return self._encoder.encode(contacts)

    # --- sessions ---------------------------------------------------------------------------------------------

    @property
    def most_sessions(self) -> int:
        """A session belongs to one user."""
        return self._agents.most_sessions

    async def open(self) -> GenesysSession:
        """Log a user in that is in no session, and start its session. Raises OpeningRefused, ConfigError."""
        return await self._agents.open()

    async def prove(self, handle: GenesysSession) -> bool:
        """Ask who we are: a session that is gone is told so."""
        return await self._agents.prove(handle)

    async def close(self, handle: GenesysSession) -> None:
        """End the session. Raises Refused where the target does not end it."""
        await self._agents.close(handle)

    # --- rows -------------------------------------------------------------------------------------------------

    def line(self, handle: GenesysSession) -> EchoingLine:
        """The session's way for records. Raises SessionExpired where it has ended."""
        if handle.gone:
            raise SessionExpired("the session is gone")
        handle.used = anyio.current_time()
        return self._calls.line(handle, _RECORDS)

    async def reconsidered(self, handle: GenesysSession, line: EchoingLine, body: Body, answer: Answer) -> Answer:
        """The answer to a row, or that to the same once more where what is to be echoed has changed."""
        return await self._calls.unforbidden(handle, body[0], _RECORDS, answer, line.echoed)

    async def judge(self, handle: GenesysSession, body: Body, answer: Answer) -> str:
        """Whether a record was added; gives "0".

        Raises SessionExpired, PutOff, AlreadyThere, OutcomeUnknown or Refused by the code's meaning.
        """
        code, found = self._calls.told(answer, rest.json_object(answer.body), Purpose.ROW)
        if code != replies.SUCCESS:
            await self._settle(handle, code, answer, found, body)
        self.accepted(handle)
        return replies.SUCCESS

    def accepted(self, handle: GenesysSession) -> None:
        """Records were added on this session."""
        handle.used = anyio.current_time()
        self._agents.fruitful(handle)
        self._refusals.accepted()

    async def _settle(
        self, handle: GenesysSession, code: str | None, answer: Answer, found: Object, body: Body
    ) -> NoReturn:
        """Raise what a code other than success means."""
        codes = self._target.codes
        if code is None:
            raise OutcomeUnknown("the answer holds no status code")
        if code == UNAUTHENTICATED or code in codes.session:
            self._agents.lose(handle)
            raise SessionExpired(f"the session is gone (code {code})", code=code)
        if code == FORBIDDEN:
            rest.raise_status(answer, Purpose.ROW, self._host)
        sent = [text for text in rest.texts(json.loads(body[0])) if len(text) >= _TELLING]
        said = replies.in_words(code, found, (*handle.secrets, *sent))
        if code in codes.transient:
            raise PutOff(f"the target put it off ({said})", code=code)
        if code in codes.duplicate:
            raise AlreadyThere(f"the target has it already ({said})", code=code)
        if code in codes.unknown:
            raise OutcomeUnknown(f"the target does not say whether it was added ({said})", code=code)
        if self._refusals.refused() and not await self._proven(handle, said):
            raise SessionExpired(f"the session is gone ({said})", code=code)
        raise Refused(f"the target refused it ({said})", code=code)

    async def _proven(self, handle: GenesysSession, said: str) -> bool:
        try:
            return await self.prove(handle)
        except (NotDelivered, OutcomeUnknown) as error:
            raise NotDelivered(
                f"the target refused it ({said}), and whether the session is good could not be asked: {error.reason}"
            ) from None
