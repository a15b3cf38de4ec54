"""Calls that change nothing, or the same thing once more: asked again through expired sessions and lost answers."""

from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any, TypeAlias, TypeVar

import anyio
import anyio.to_thread
import polars as pl
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter

from pipeline.errors import (
    NoList,
    NotDelivered,
    OpeningRefused,
    OutcomeUnknown,
    RowError,
    SessionExpired,
    TargetUnreachable,
    TargetUnusable,
)
from pipeline.logs import logger
from pipeline.sessions import Lease
from pipeline.targets import Lookup

T = TypeVar("T")

#: Puts down durably that contacts are being deleted (None), or which ones are gone, and that no deletion is on its way
#: any more: what a list that lags still shows is not there. It blocks.
Deleting: TypeAlias = Callable[[Collection[str] | None], None]

#: So often is asked before the caller hears that there is no answer.
ATTEMPTS = 4

#: Who asks patiently pauses from the first to the last, in seconds.
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0


async def ask(lease: Lease[Any], call: Callable[[Any], Awaitable[T]]) -> T:
    """`call` on the lease's session, renewed where it turns out to be gone.

    Raises NotDelivered or OutcomeUnknown when no attempt got an answer, TargetUnusable where nothing can help.
    """

    async def once() -> T:
        handle = await lease.handle()
        try:
            return await call(handle)
        except SessionExpired as error:
            await lease.renew()
            raise NotDelivered(error.reason) from None
        except OutcomeUnknown:
            # A target may answer an expired session with what looks like an error of its own.
            if not await lease.prove(handle):
                await lease.renew()
            raise

    try:
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type((NotDelivered, OutcomeUnknown)),
            stop=stop_after_attempt(ATTEMPTS),
            wait=wait_exponential_jitter(multiplier=0.3, max=5.0, jitter=0.3),
            sleep=anyio.sleep,
            reraise=True,
        ):
            with attempt:
                return await once()
    except OpeningRefused as error:
        raise TargetUnusable(f"the target opens no further session: {error.reason}") from None
    raise AssertionError("tenacity either returns or raises")


async def ask_patiently(
    lease: Lease[Any],
    call: Callable[[Any], Awaitable[T]],
    *,
    patience: float,
    outage: float,
) -> T:
    """`ask` for a list until it is there.

    Raises NoList where the list is null for `patience` seconds, TargetUnreachable where no answer comes for `outage`
    seconds, TargetUnusable where nothing can help.
    """
    began = anyio.current_time()
    pause = FIRST_PAUSE
    while True:
        try:
            return await ask(lease, call)
        except (NotDelivered, OutcomeUnknown) as error:
            null = isinstance(error, NoList)
            left = began + (patience if null else outage) - anyio.current_time()
            if left <= 0:
                if null:
                    raise
                raise TargetUnreachable(f"the target does not answer: {error.reason}. Try again later.") from None
            wait = min(left, max(pause, getattr(error, "retry_after", None) or 0.0))
            logger().info("target.asked_again", reason=error.reason, seconds=round(wait, 1))
        await anyio.sleep(wait)
        pause = min(2 * pause, LONGEST_PAUSE)


async def removed(lookup: Lookup, lease: Lease[Any], contact_ids: Sequence[str], deleting: Deleting) -> set[str]:
    """Delete contacts, which bears repeating; the ids of those that are surely gone."""
    await anyio.to_thread.run_sync(deleting, None)
    gone = {contact_id for contact_id in contact_ids if await _removed(lookup, lease, contact_id)}
    await anyio.to_thread.run_sync(deleting, gone)
    return gone


async def _removed(lookup: Lookup, lease: Lease[Any], contact_id: str) -> bool:
    [body] = lookup.encode_removal(pl.Series([contact_id]))
    try:
        await ask(lease, lambda handle: lookup.remove(handle, body))
    except (RowError, TargetUnusable):
        return False
    return True
