"""Sessions of agents: logged in, started, proven, ended."""

import json
from typing import Final, NoReturn

import anyio

from pipeline.errors import NotDelivered, OpeningRefused, OutcomeUnknown, PipelineError, Refused, TargetUnusable
from pipeline.targets import rest
from pipeline.targets.genesys import replies
from pipeline.targets.genesys.calls import FORBIDDEN, UNAUTHENTICATED, Calls
from pipeline.targets.genesys.settings import GenesysSettings, UserSettings
from pipeline.targets.genesys.users import Credentials, GenesysSession, Users
from pipeline.targets.rest import Object, Purpose
from pipeline.wire import ClientFactory, hang_up

#: A session that may be half open is ended again, within so many seconds.
_ABANDON_WITHIN: Final = 10.0

#: So many sessions in a row that were gone before a record was taken on them are not opened again: at least, and for
#: each user. Somebody who logs in over and over is locked out.
_BARREN_LEAST: Final = 10
_BARREN_PER_USER: Final = 2


class _LoginLost(OpeningRefused):
    """The target let a user in and knew nothing of it at the next call: it is not the credentials."""


class Agents:
    """The `SessionProvider` of Web Services. `clients` is None where nothing is sent."""

    def __init__(self, target: GenesysSettings, calls: Calls, host: str, clients: ClientFactory | None) -> None:
        self._target = target
        self._calls = calls
        self._host = host
        self._clients = clients
        self._users = Users(target.users)
        self._barren = 0  # sessions in a row that were gone before a record was taken on them

    @property
    def most_sessions(self) -> int:
        """A session belongs to one user."""
        return len(self._target.users)

    async def open(self) -> GenesysSession:
        """Log a user in that is in no session, and start its session; secrets are read anew, and a value that changed
        meanwhile is tried before the target's no counts. A login that the target lost at once is tried once more.

        Raises OpeningRefused where the target answers no, ConfigError where a secret cannot be read.
        """
        user = self._users.take()
        try:
            given = Credentials.read(user, self._target)
            try:
                session = await self._open(user, given)
            except OpeningRefused as refusal:
                changed = Credentials.read(user, self._target)
                if changed == given and not isinstance(refusal, _LoginLost):
                    raise
                session = await self._open(user, changed)
        except OpeningRefused:
            self._users.refuse(user)
            raise
        except BaseException:
            self._users.give_back(user)
            raise
        self._users.hold(user, session)
        return session

    async def _open(self, user: UserSettings, credentials: Credentials) -> GenesysSession:
        assert self._clients is not None, "this target was made to send nothing"
        session = GenesysSession(self._clients(), credentials)
        try:
            await self._log_in(session)
            await self._start(session, user)
        except BaseException:
            await hang_up(session.client)
            raise
        session.used = anyio.current_time()
        return session

    async def _log_in(self, session: GenesysSession) -> None:
        """Ask who we are: it gives the cookie and what later calls must echo."""
        answer = await self._calls.me(session)
        code, found = self._calls.told(answer, rest.json_object(answer.body), Purpose.OPENING)
        if code not in (None, replies.SUCCESS):
            self._raise_not_opened(session, code, found)

    async def _start(self, session: GenesysSession, user: UserSettings) -> None:
        """Start the session. What may be open, and is not known or wanted to be, is ended again."""
        message = json.dumps(self._opening(user, session.credentials)).encode()
        try:
            answer = await self._calls.post(session, message)
            code, found = self._calls.told(answer, replies.opening_answer(answer), Purpose.OPENING)
            if code is None:
                raise OutcomeUnknown("the answer to StartContactCenterSession holds no status code")
            if code in self._target.codes.unknown and code != replies.PARTIAL_SUCCESS:
                said = replies.in_words(code, found, session.secrets)
                raise OutcomeUnknown(f"whether the session was started is not known ({said})")
        except OutcomeUnknown:
            await self._abandon(session)
            raise
        if code == replies.SUCCESS:
            return
        if code == UNAUTHENTICATED or code in self._target.codes.session:
            raise _LoginLost(replies.in_words(code, found, session.secrets), code=code)
        if code != replies.PARTIAL_SUCCESS:
            self._raise_not_opened(session, code, found)
        lacking = replies.lacking(found, self._target.channels, self._target.require, session.secrets)
        if lacking:
            await self._abandon(session)
            raise OpeningRefused(f"the session lacks {', '.join(lacking)} (see target.require)", code=code)

    def _opening(self, user: UserSettings, credentials: Credentials) -> Object:
        """StartContactCenterSession; what is not given is left out."""
        target = self._target
        wanted = {
            "operationName": "StartContactCenterSession",
            "channels": list(target.channels),
            "place": user.place or target.session_place,
            "loginCode": credentials.login_code,
            "agentLoginPassword": credentials.agent_login_password,
            "queue": target.queue,
            "devicePath": user.device_path or target.device_path,
            "workmode": target.workmode,
            "dynamicPhoneNumber": target.dynamic_phone_number,
        }
        return {name: value for name, value in wanted.items() if value is not None}

    def _raise_not_opened(self, session: GenesysSession, code: str, found: Object) -> NoReturn:
        """Raise what a code at the opening means: a place in use is for somebody else to leave, other codes of the
        target's trouble pass, and the rest is for a person.
        """
        said = replies.in_words(code, found, session.secrets)
        if code in self._target.codes.transient and code != replies.IN_USE:
            raise NotDelivered(f"the target put the session off ({said})")
        raise OpeningRefused(said, code=code)

    async def _abandon(self, session: GenesysSession) -> None:
        with anyio.move_on_after(_ABANDON_WITHIN, shield=True):
            try:
                await self._end(session)
            except PipelineError:
                pass  # it was perhaps never open

    async def prove(self, handle: GenesysSession) -> bool:
        """Ask who we are: a session that is gone is told so."""
        if handle.gone:
            return False
        answer = await self._calls.me(handle)
        code, found = self._calls.told(answer, rest.json_object(answer.body), Purpose.ASKING)
        if code in (None, replies.SUCCESS):
            return True
        if code == UNAUTHENTICATED or code in self._target.codes.session:
            self.lose(handle)
            return False
        if code == FORBIDDEN:
            rest.raise_status(answer, Purpose.ASKING, self._host)
        raise NotDelivered(f"the target does not say who we are ({replies.in_words(code, found, handle.secrets)})")

    async def close(self, handle: GenesysSession) -> None:
        """End the session at the target, and its connection whatever happens. Raises Refused where the target does not
        end it. Of one that is gone nothing is ended: its user may be in another session by now.
        """
        try:
            if not handle.gone:
                await self._end(handle)
        finally:
            self._users.release(handle)
            await hang_up(handle.client)

    async def _end(self, session: GenesysSession) -> None:
        answer = await self._calls.post(session, b'{"operationName":"EndContactCenterSession"}')
        code, found = self._calls.told(answer, rest.json_object(answer.body), Purpose.ASKING)
        if code not in (None, replies.SUCCESS):
            said = replies.in_words(code, found, session.secrets)
            raise Refused(f"the target did not end the session ({said})", code=code)

    def lose(self, handle: GenesysSession) -> None:
        """The session is gone: its user is free for another."""
        if handle.gone:
            return
        handle.gone = True
        self._users.release(handle)
        if handle.trusted:
            return
        self._barren += 1
        if self._barren >= max(_BARREN_LEAST, _BARREN_PER_USER * len(self._target.users)):
            raise TargetUnusable(
                f"{self._barren} sessions in a row were gone before a record was taken: check that no other program "
                "uses the users of target.users, and that they may add records."
            )

    def fruitful(self, handle: GenesysSession) -> None:
        """A record was taken on the session."""
        handle.trusted = True
        self._barren = 0
