"""What a check asks of the target, where it may: whether the campaign is there, and what it holds. Changes nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import anyio.to_thread

from pipeline.errors import NotDelivered, OutcomeUnknown, TargetUnreachable
from pipeline.ledger.state import State
from pipeline.report.text import contacts
from pipeline.run import census, run_campaign
from pipeline.run.asking import ask
from pipeline.run.census import Census
from pipeline.run.job import Job
from pipeline.run.known import known_keeps_ids
from pipeline.run.progress import Progress
from pipeline.sessions import SessionPool


@dataclass(frozen=True, slots=True)
class Seen:
    """What the target told."""

    listed: Census | None  # ids of the campaign's list; None: there is none, or it has no ids of ours
    outlook: Sequence[str]  # what is to be known of the campaign, in sentences


async def look(job: Job, state: State | None, progress: Progress) -> Seen:
    """Ask on sessions that are closed again. Raises TargetUnreachable, TargetUnusable, MachineFailed."""
    pool = job.pool()
    progress.sessions, progress.pool = pool.counts, pool
    progress.phase = "connecting"
    try:
        async with pool.lease() as lease:
            assert lease is not None
            await ask(lease, job.rows.prepare)
        outlook = [] if job.target.campaigns is None else [*await run_campaign.outlook(job, job.target.campaigns)]
        progress.phase = "looking"
        listed = await _listed(job, state, pool)
    except (NotDelivered, OutcomeUnknown) as error:
        raise TargetUnreachable(f"the target does not answer: {error.reason}. Try again later.") from None
    finally:
        await pool.aclose()
    if listed is None:
        return Seen(None, ["What it holds cannot be told by its list.", *outlook])
    size = await anyio.to_thread.run_sync(lambda: listed.size)
    return Seen(listed, [f"Its list holds {contacts(size)} with an id.", *outlook])


async def _listed(job: Job, state: State | None, pool: SessionPool[Any]) -> Census | None:
    keeps_ids = await anyio.to_thread.run_sync(known_keeps_ids, job.settings.target.keeps_ids, (), state)
    if job.lookup is None or keeps_ids is False or "target" not in job.settings.state.known:
        return None
    return await census.take(job, job.lookup, pool.quiet_lease())
