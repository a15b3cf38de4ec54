"""Tries one session at a target, without a run: it is opened, proven and closed."""

from typing import Any

import anyio
import anyio.to_thread

from pipeline import targets
from pipeline.config import Settings, TargetSettings
from pipeline.errors import (
    NotDelivered,
    OpeningRefused,
    OutcomeUnknown,
    Refused,
    RowError,
    SessionExpired,
    TargetUnreachable,
    TargetUnusable,
)
from pipeline.run.stopping import Stopping
from pipeline.sessions import CLOSE_WITHIN
from pipeline.targets import Target
from pipeline.wire import ClientFactory, client_factory


async def session_check(settings: Settings, *, signals: bool = False, clients: ClientFactory | None = None) -> str:
    """Open one session, prove that it works, close it; says so in a sentence. Raises RunError.

    `signals`: SIGINT and SIGTERM stop it; a session that is open then is closed first.
    """
    clients = clients or client_factory(settings.http, settings.delivery.timeout)
    module = targets.module(settings.target.system)
    target = await anyio.to_thread.run_sync(module.create, settings, clients, None)
    stopping = Stopping()
    async with stopping.watching(signals=signals):
        with stopping.cancelling():
            await _check_session(target, settings.target)
    stopping.check()
    if settings.target.unproven:
        return f"A session was opened and closed. {settings.target.unproven}"
    return "A session was opened, proven and closed."


async def _check_session(target: Target, settings: TargetSettings) -> None:
    try:
        with anyio.CancelScope(shield=True):  # cut off, it would leave a session behind that nobody closes
            handle: Any = await target.open()
        try:
            good = await target.prove(handle)
        except BaseException:
            await _end(target, handle)
            raise
        refusal = await _end(target, handle)
    except OpeningRefused as error:
        raise TargetUnusable(
            f"the target opens no session: {error.reason.rstrip('.')}. Check {settings.entry}."
        ) from None
    except (NotDelivered, OutcomeUnknown) as error:
        raise TargetUnreachable(f"the target does not answer: {error.reason}. Try again later.") from None
    if not good:
        raise TargetUnusable(
            "a session was opened, but the target answers calls on it with an error. Compare "
            f"{settings.contract} with the service's own."
        )
    if refusal is not None:
        if isinstance(refusal, Refused | SessionExpired):
            raise TargetUnusable(
                f"a session was opened, but {refusal.reason}. It may stay open until its time is up; compare "
                f"{settings.contract} with the service's own."
            )
        raise TargetUnreachable(
            f"a session was opened, but nobody knows whether it was closed: {refusal.reason}. Try again later."
        )


async def _end(target: Target, handle: Any) -> RowError | None:
    """Close a session whatever happens; gives what the target had against it."""
    with anyio.move_on_after(CLOSE_WITHIN, shield=True):
        try:
            await target.close(handle)
        except RowError as error:
            return error
        return None
    return OutcomeUnknown(f"no answer within {CLOSE_WITHIN:g} seconds")
