"""The first stage of a resumed run: rows in doubt are settled by asking the target, before anything is sent."""

from collections.abc import Callable, Iterable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import anyio
import anyio.to_thread
import polars as pl

from pipeline.config import Settings
from pipeline.errors import NotDelivered, OutcomeUnknown
from pipeline.ledger.journal import Journal
from pipeline.ledger.reconcile import Answer, look_up
from pipeline.ledger.recovery import Recovery
from pipeline.logs import logger
from pipeline.records import Outcome, Screened, Status
from pipeline.run.asking import ask
from pipeline.sessions import Lease
from pipeline.targets import Target

#: So many of the rows that were accepted last make up the control.
CONTROL = 20

#: A list that lags is read again with pauses that grow from the first to the last, in seconds.
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 10.0

#: Why a row that was in doubt is pending: it is surely not there.
NOT_THERE = "the target was asked and does not hold it"
AGAIN = "sent again on request"


_ROWS = pl.Schema(
    [
        ("position", pl.UInt64),
        ("contact_id", pl.String),
        ("attempts", pl.UInt16),
        ("sent_at", pl.Int64),
        ("settled_at", pl.Int64),
    ]
)


_Verdict: TypeAlias = tuple[dict[str, Any], Status, str | None]  # a row of _ROWS, what it is now, and why


@dataclass(slots=True)
class Standing:
    """What a walk over source and journal found: rows to settle, and rows to tell the truth by."""

    doubtful: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=_ROWS))
    again: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=_ROWS))
    control: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=_ROWS))


def survey(screened: Iterable[Screened], recovery: Recovery, again: Iterable[Status]) -> Standing:
    """Walk the input once (blocking)."""
    standing = Standing()
    wanted = [status.value for status in again]
    for batch in screened:
        told = recovery.standing(batch.batch.start, batch.batch.stop)
        if told.is_empty():
            continue
        contacts = batch.contacts.select("contact_id", "status").with_row_index("position", offset=batch.batch.start)
        sendable = contacts.filter(pl.col("status").is_null()).select(pl.col("position").cast(pl.UInt64), "contact_id")
        rows = sendable.join(told, on="position", maintain_order="left")
        for status, name in ((Status.IN_DOUBT.value, "doubtful"), (Status.ACCEPTED.value, "control")):
            found = pl.concat([getattr(standing, name), rows.filter(pl.col("status") == status).select(_ROWS.names())])
            setattr(standing, name, found if name == "doubtful" else found.sort("settled_at").tail(CONTROL))
        more = rows.filter(pl.col("status").is_in(wanted)).select(_ROWS.names())
        standing.again = pl.concat([standing.again, more])
    return standing


async def reconcile(
    standing: Standing,
    recovery: Recovery,
    journal: Journal,
    target: Target,
    lease: Lease[Any],
    settings: Settings,
    not_before: float,
    *,
    wall_clock: Callable[[], float],
) -> None:
    """Settle what can be told; what cannot stays in doubt. `not_before`: seconds on the loop's clock, until when an
    unanswered request may still take effect. `wall_clock` gives seconds since the epoch.

    Raises TargetUnusable where the target refuses us, MachineFailed where the journal cannot be written.
    """
    verdicts: list[_Verdict] = [(row, Status.PENDING, AGAIN) for row in standing.again.iter_rows(named=True)]
    if standing.doubtful.height:
        verdicts += await _settled(standing, target, lease, settings, not_before)
    now = int(wall_clock() * 1000)
    for row, status, reason in verdicts:
        outcome = Outcome(row["position"], status, None, reason, row["attempts"], row["sent_at"], now, None)
        journal.settle(recovery.slice_of(outcome.position), [outcome])
    await anyio.to_thread.run_sync(journal.commit)


async def _settled(
    standing: Standing, target: Target, lease: Lease[Any], settings: Settings, not_before: float
) -> list[_Verdict]:
    if settings.target.keeps_ids is False:
        logger().warning(
            "reconcile.impossible", reason="the target keeps no ids of ours", rows=standing.doubtful.height
        )
        return []
    await anyio.sleep(max(0.0, not_before - anyio.current_time()))
    doubtful, control = set(standing.doubtful["contact_id"]), set(standing.control["contact_id"])

    async def read(handle: Any) -> Answer:
        async with aclosing(target.contact_ids(handle)) as ids:
            return await look_up(ids, doubtful, control)

    deadline = anyio.current_time() + settings.delivery.late_effect
    pause = FIRST_PAUSE
    while True:
        try:
            answer = await ask(lease, target.prove, read)
        except (OutcomeUnknown, NotDelivered) as error:
            logger().warning("reconcile.unanswered", reason=error.reason, rows=standing.doubtful.height)
            return []
        if answer.proves_absence or not control or anyio.current_time() + pause > deadline:
            break
        await anyio.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)
    verdicts: list[_Verdict] = []
    for row in standing.doubtful.iter_rows(named=True):
        if row["contact_id"] in answer.found:
            verdicts.append((row, Status.ACCEPTED, None))
        elif answer.proves_absence:
            verdicts.append((row, Status.PENDING, NOT_THERE))
    logger().info(
        "reconcile.done", rows=len(doubtful), found=len(answer.found), left=standing.doubtful.height - len(verdicts)
    )
    return verdicts
