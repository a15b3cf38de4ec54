"""An Intelliview NXT service as a target: it opens and closes sessions. No call that adds a contact is documented."""

from typing import Final

import anyio
import httpx

from pipeline.errors import ConfigError, NotDelivered, OpeningRefused, OutcomeUnknown, Refused, TargetUnusable
from pipeline.logs import logger
from pipeline.targets import Target
from pipeline.targets.addresses import is_address, is_plain_abroad
from pipeline.targets.intelliview.messages import Meaning, Message, message
from pipeline.targets.intelliview.settings import IntelliviewSettings
from pipeline.targets.soap.calls import Caller, Purpose
from pipeline.targets.soap.contract import Contract, Needs, Request
from pipeline.targets.soap.credentials import carried, opened
from pipeline.targets.soap.members import Wanted
from pipeline.targets.soap.template import escape, mark
from pipeline.targets.words import shown
from pipeline.wire import ClientFactory, hang_up, host

#: What is called, by documented names.
NEEDS: Final = Needs(
    service="the Intelliview NXT service",
    operations=("ivnInitializeSession", "ivnCloseSession"),
    bare_with={},
    spellings={"ivnCloseSession": "ivnCloseSesion"},  # so the document heads the section
)

#: What to set where the target will never open a session.
_MEND: Final = {
    Meaning.COMPANY: "target.company",
    Meaning.AUTH_TYPE: "target.auth_type",
    Meaning.APPLICATION_TYPE: "target.application_type",
}


class IntelliviewSession:
    """An open session, its connection, and what is needed to close it. None of it is ever shown."""

    __slots__ = ("client", "company", "credentials", "ends", "token")

    def __init__(
        self, client: httpx.AsyncClient, opened: Message, credentials: dict[str, str], life: float | None
    ) -> None:
        self.client = client
        self.token = opened.token
        self.company = opened.company  # the target's number for it
        self.credentials = credentials  # those that it was opened with
        self.ends = None if life is None else anyio.current_time() + life

    def __repr__(self) -> str:
        return "IntelliviewSession()"


class IntelliviewTarget(Target):
    """See `pipeline.targets.Target`. Its calls raise NotDelivered, OutcomeUnknown or TargetUnusable where no answer can
    be had; what else each raises stands with it. No call that adds or lists contacts is documented, no limit of
    sessions is published, and every message that the document lists has its meaning there.
    """

    def __init__(self, target: IntelliviewSettings, contract: Contract, clients: ClientFactory | None) -> None:
        address = target.endpoint or contract.address
        if address is None or not is_address(address):
            raise ConfigError(["target.endpoint: is missing, and the WSDL names no http address: set it"])
        if clients is not None and is_plain_abroad(address):
            logger().warning("target.plain_http", host=host(address), advice="credentials go in clear")
        if clients is not None and not target.timeout:
            logger().warning(
                "sessions.never_end",
                reason="target.timeout is 0",
                advice="a session that a crash keeps from being closed stays open for good: set minutes",
            )
        self._target = target
        self._clients = clients
        self._caller = Caller(address)
        parameters: Wanted = {
            "CompanyShortName": mark("company"),
            "UserName": mark("user"),
            "Password": mark("password"),
            "Timeout": str(target.timeout),
            "AuthType": str(target.auth_type),
            "ApplicationType": str(target.application_type),
            "Language": target.language,
        }
        if target.extra_param is not None:  # left out it is null, as documented
            parameters = {**parameters, "ExtraParam": mark("extra")}
        self._extra = {} if target.extra_param is None else {"extra": target.extra_param}
        self._opening = contract.request(
            "ivnInitializeSession", parameters, ("company", "user", "password", *self._extra)
        )
        self._closing = contract.request(
            "ivnCloseSession",
            {
                "SessionToken": mark("session"),
                "CompanyID": mark("company"),
                "UserName": mark("user"),
                "Password": mark("password"),
            },
            ("session", "company", "user", "password"),
        )

    @property
    def session_life(self) -> float | None:
        """`target.timeout` in seconds. Whether use prolongs a session is not documented, so it is not counted on."""
        return self._target.timeout * 60.0 if self._target.timeout else None

    async def open(self) -> IntelliviewSession:
        """Open a session on a connection of its own; secrets are read anew, and a value that changed meanwhile is tried
        before the target's no counts.

        Raises OpeningRefused where the target answers no, ConfigError where a secret cannot be read.
        """
        return await opened(self._credentials, self._open)

    async def _open(self, credentials: dict[str, str]) -> IntelliviewSession:
        assert self._clients is not None, "this target was made to send nothing"
        client = self._clients()
        try:
            told = await self._call(client, self._opening, {**credentials, **self._extra}, Purpose.OPENING)
            self._check_opened(told, credentials)
            return IntelliviewSession(client, told, credentials, self.session_life)
        except BaseException:
            await hang_up(client)
            raise

    def _check_opened(self, told: Message, credentials: dict[str, str]) -> None:
        """Raise what a message means that tells of no open session."""
        if told.failed:
            said = _said(told, credentials)
            if told.meaning is Meaning.EXCEPTION:
                raise OutcomeUnknown(f"the target met an exception ({said})", code=told.code)
            if told.meaning is Meaning.SESSION_GONE:  # of a session that was only just asked for
                raise NotDelivered(f"the target lost the session while it opened it ({said})")
            if told.meaning in _MEND:
                raise TargetUnusable(f"the target opens no session ({said}): set {_MEND[told.meaning]}.")
            raise OpeningRefused(said, code=told.code)
        if not (told.token and told.company):
            raise TargetUnusable(
                "ivnInitializeSession answers success without a session token and a company id: check target.endpoint "
                "and target.wsdl."
            )
        _carried(told.token, "a session token")
        _carried(told.company, "a company id")

    async def prove(self, handle: IntelliviewSession) -> bool:
        """Whether the session's time is not up yet. No call that proves one and does nothing else is documented, so
        nothing is asked: a session that the target has opened counts as good.
        """
        return handle.ends is None or anyio.current_time() < handle.ends

    async def close(self, handle: IntelliviewSession) -> None:
        """Close the session at the target, and its connection whatever happens.

        A password that changed since it was opened is tried where the old one is no longer taken. Raises Refused where
        the target does not close it, because it has expired already for one.
        """
        try:
            told = await self._end(handle, handle.credentials)
            if told.meaning is Meaning.CREDENTIALS:
                changed = self._credentials()
                if changed != handle.credentials:
                    told = await self._end(handle, changed)
        finally:
            await hang_up(handle.client)
        if told.meaning is Meaning.EXCEPTION:
            raise OutcomeUnknown(f"the target met an exception ({told.code})", code=told.code)
        if told.failed:
            said = _said(told, handle.credentials, handle.token)
            raise Refused(f"the target did not close the session ({said})", code=told.code)

    async def _end(self, handle: IntelliviewSession, credentials: dict[str, str]) -> Message:
        values = {
            "session": handle.token,
            "company": handle.company,
            "user": credentials["user"],
            "password": credentials["password"],
        }
        return await self._call(handle.client, self._closing, values, Purpose.ASKING)

    async def _call(
        self, client: httpx.AsyncClient, request: Request, values: dict[str, str], purpose: Purpose
    ) -> Message:
        return message(await self._caller.call(client, request, request.template.fill(values), purpose), request)

    def _credentials(self) -> dict[str, str]:
        target = self._target
        return {
            "company": carried(target.company),
            "user": carried(target.username),
            "password": carried(target.password),
        }


def _said(told: Message, credentials: dict[str, str], *secrets: str) -> str:
    """The message's id and words, without what we told the target in confidence."""
    words = shown(told.words, (*credentials.values(), *secrets, told.token)).rstrip(".")
    return f"{told.code}: {words}" if words else told.code


def _carried(value: str, what: str) -> None:
    """Raise TargetUnusable for a value that cannot be sent back."""
    try:
        escape(value)
    except ValueError:
        raise TargetUnusable(f"ivnInitializeSession answers {what} that XML cannot carry.") from None
