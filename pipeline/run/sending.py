"""The part of a run in which the target is on the line: what earlier runs left open, what is there already, then rounds
of sending and of settling what was left in doubt.
"""

import functools
from collections import Counter
from typing import Final

import anyio
import anyio.to_thread
import polars as pl

from pipeline.errors import MachineFailed, NotDelivered, OutcomeUnknown, TargetUnreachable
from pipeline.ledger.journal import Journal
from pipeline.ledger.recovery import Recovery
from pipeline.ledger.state import State, packed_ids
from pipeline.logs import logger
from pipeline.records import Status
from pipeline.run import describing, earlier_runs, reconciling, run_campaign, updating
from pipeline.run.accounting import Course
from pipeline.run.asking import ask
from pipeline.run.canary import Canary, Direct
from pipeline.run.delivering import Delivery
from pipeline.run.doubt import doubt_of
from pipeline.run.job import Earlier, Job
from pipeline.run.known import Known, known_keeps_ids
from pipeline.run.looking import DELETED_LATELY, Looking
from pipeline.run.outcome import Threshold
from pipeline.run.progress import Progress
from pipeline.run.reconciling import Reconciler
from pipeline.run.standing import survey
from pipeline.run.unproven import unproven

#: After so many rounds of sending in which no row was accepted, rows that always lack an answer have failed.
STALE_ROUNDS: Final = 3


class Sending:
    """Sends what there is to send; made once for a run. `number` is the run's number in `state`.

    `counts` are the rows that screening has settled, by status; `total` is how many there are, None: not known. Both
    come from the survey. How it went is told to `course` and `progress`.
    """

    def __init__(
        self,
        job: Job,
        state: State,
        number: int,
        journal: Journal,
        *,
        earlier: Earlier | None,
        course: Course,
        progress: Progress,
        threshold: Threshold,
        counts: Counter[Status],
        total: int | None,
    ) -> None:
        self._job = job
        self._state = state
        self._number = number
        self._journal = journal
        self._earlier = earlier
        self._course = course
        self._progress = progress
        self._threshold = threshold
        self._counts = counts
        self._total = total
        self._stopping = job.surroundings.stopping
        self._began = anyio.current_time()
        self._recovery: Recovery | None = earlier.recovery if earlier else None
        self._lookup = job.lookup
        self._canary: Canary | None = None
        notes = earlier.recovery.notes if earlier else ()
        self._keeps_ids = known_keeps_ids(job.settings.target.keeps_ids, notes, state)
        self._pool = job.pool()
        self._looking = Looking(
            job, state, number, self._pool, earlier=earlier, keeps_ids=self._keeps_ids, progress=progress
        )
        self._last_doubt = self._began  # when a request was given up that may yet take effect
        self._accepted = 0  # rows of the last round

    @property
    def in_doubt(self) -> int:
        """Rows that are in doubt now."""
        return self._counts[Status.IN_DOUBT]

    async def run(self) -> None:
        """Open a first session, prove the campaign, send, and close all sessions whatever happens. Raises RunError."""
        course, target = self._course, self._job.target
        course.sessions = self._progress.sessions = self._pool.counts
        self._progress.pool = self._pool
        self._progress.phase = "connecting"
        try:
            with self._stopping.cancelling():
                await self._prepare()
            course.received = self._stopping.received
            if course.received is None:
                await self._add()
            if self._job.options.upsert and not self._ended():
                await self._update()
            if self._job.options.activate and not (self._ended() or self.in_doubt):
                await run_campaign.start(self._job, self._pool.quiet_lease())
        except (NotDelivered, OutcomeUnknown) as error:
            raise TargetUnreachable(f"the target does not answer: {error.reason}. Try again later.") from None
        finally:
            self._looking.close()
            await self._pool.aclose()
            course.learnt = (*target.learnt(), *course.learnt)

    # --- before the first row ---------------------------------------------------------------------------------------

    async def _prepare(self) -> None:
        job = self._job
        async with self._pool.lease() as lease:
            assert lease is not None
            await run_campaign.prepare(job, lease, begun=self._looking.begun)
            await ask(lease, job.rows.prepare)
        if self._earlier is None:
            await anyio.to_thread.run_sync(self._check_unchanged)
        await earlier_runs.settle(
            self._state,
            job,
            self._pool.quiet_lease(),
            own=self._number,
            keeps_ids=self._keeps_ids,
            not_before=self._began + job.settings.delivery.late_effect,
            deleting=self._looking.deleting,
            progress=self._progress,
        )
        await self._looking.look()
        if self._lookup is not None and job.options.canary:
            notes = self._earlier.recovery.notes if self._earlier else ()
            self._canary = Canary(
                job,
                self._lookup,
                self._pool.quiet_lease,
                notes,
                listed=self._looking.census,
                keeps_ids=self._keeps_ids,
                begun=self._looking.begun,
                deleting=self._looking.deleting,
            )
            proving = functools.partial(self._state.unproven, self._number, yes=not self._canary.passed)
            await anyio.to_thread.run_sync(proving)

    def _check_unchanged(self) -> None:
        """A plan may have been looked at for long: what is sent is what was surveyed. A resumed run reads the list when
        the target has been asked: it is what the journal is of.
        """
        with self._progress.hashing(self._job.sources) as passed:
            names = describing.changed(self._job.sources, self._job.recorded, passed)
        if names:
            raise MachineFailed(f"{', '.join(names)} changed since the run began; nothing was sent. Start a new run.")

    # --- rounds -----------------------------------------------------------------------------------------------------

    async def _add(self) -> None:
        """Send, ask what became of rows without an answer, send those that are not there; until nothing is left."""
        sent = self._earlier is None
        again = self._earlier.again if self._earlier else ()
        if sent:
            await self._deliver()
        stale = 0
        while not self._ended() and not (sent and not self.in_doubt):
            give_up = self._job.settings.delivery.attempts if stale >= STALE_ROUNDS else None
            with self._stopping.cancelling():
                told = await self._settle(again, give_up, first=not sent)
            self._course.received = received = self._stopping.received
            if received is not None:
                return
            if sent and not told:
                break
            again = ()
            await self._prove_sent()
            if self._ended():
                return
            self._recovery = await anyio.to_thread.run_sync(self._job.recover)
            self._counts.clear()
            await self._deliver()
            stale = 0 if self._accepted else stale + 1
            sent = True

    async def _prove_sent(self) -> None:
        """Read back what was accepted before any canary had passed: by an earlier process, or as the list has told."""
        canary, job = self._canary, self._job
        if canary is None or (canary.passed and not canary.left):
            return
        recovery = await anyio.to_thread.run_sync(job.recover)
        rows = await anyio.to_thread.run_sync(unproven, job, recovery)
        canary.begin(rows)
        self._progress.phase = "canary"
        with self._stopping.cancelling():
            await canary.prove(Direct(self._journal))
        self._course.received = self._stopping.received
        await self._learn(canary)

    async def _settle(self, again: tuple[Status, ...], give_up: int | None, *, first: bool) -> bool:
        """Settle what can be told of the rows in doubt; returns whether anything could. `first`: nothing was sent by
        this process, which has just read the list.
        """
        job = self._job
        self._progress.phase = "reconciling"
        wall_clock = job.surroundings.wall_clock
        recovery = await anyio.to_thread.run_sync(job.recover)
        standing = await anyio.to_thread.run_sync(survey, job.screened(), recovery, again)
        if first:
            await anyio.to_thread.run_sync(self._check_unchanged)
        if standing.again.height:
            await anyio.to_thread.run_sync(reconciling.send_again, standing, recovery, self._journal, wall_clock)
        if standing.doubtful.is_empty() or self._lookup is None:
            return False
        # Of the requests of a killed process nobody knows when the last one left, but it was before this one began.
        not_before = self._last_doubt + job.settings.delivery.late_effect
        doubt = await anyio.to_thread.run_sync(doubt_of, job, recovery, standing, self._state, self._number, not_before)
        lease = self._pool.quiet_lease()
        reconciler = Reconciler(
            doubt,
            self._lookup,
            lease,
            job.settings,
            keeps_ids=self._keeps_ids,
            deleting=self._looking.deleting,
            sleep=self._progress.sleep,
        )
        told = await reconciler.run(self._journal, give_up=give_up)
        # It may have been another run that doubted them: that is told herewith too.
        await anyio.to_thread.run_sync(
            functools.partial(self._state.resolve, told.there + told.absent, there=told.there)
        )
        if self._looking.census is not None and told.absent:
            absent = packed_ids(pl.Series(told.absent))
            await anyio.to_thread.run_sync(self._looking.census.discard, absent)
        return bool(told)

    def _ended(self) -> bool:
        """Whether a failure or a signal has come."""
        return self._course.failure is not None or self._course.received is not None

    async def _deliver(self) -> None:
        """Send whatever may be sent and is not settled."""
        job, course = self._job, self._course
        if self._canary is not None and not self._canary.passed and self._looking.deleted_at is not None:
            # A list that lags must not show what was deleted in the place of the canary.
            with self._stopping.cancelling():
                left = self._looking.deleted_at + job.settings.delivery.late_effect - job.surroundings.wall_clock()
                await self._progress.sleep(left, DELETED_LATELY)
            if (received := self._stopping.received) is not None:
                course.received = received
                return
        known = job.settings.state.known
        delivery = Delivery(
            job,
            job.rows,
            self._pool,
            self._journal,
            job.screener(),
            course=course,
            progress=self._progress,
            threshold=self._threshold,
            counts=self._counts,
            total=self._total,
            standing=self._recovery.standing if self._recovery is not None else None,
            known=Known(
                self._state if "state" in known else None,
                self._looking.census if "target" in known else None,
                doubts=self._state,
                own=self._number,
                upsert=job.options.upsert,
            ),
            claim=lambda number, piece: self._state.claim(self._number, number, piece.positions, piece.contacts),
            canary=self._canary,
            doubtful=job.doubtful,
        )
        try:
            await delivery.run(observing=self._total is None or self._recovery is not None)
        finally:
            self._last_doubt = max(self._last_doubt, delivery.last_doubt)
            self._accepted = delivery.accepted
        if self._canary is not None:
            await self._learn(self._canary)

    async def _learn(self, canary: Canary) -> None:
        """Remember what reading back has told of the target."""
        if canary.passed:
            await anyio.to_thread.run_sync(functools.partial(self._state.unproven, self._number, yes=False))
        found, configured = canary.keeps_ids, self._job.settings.target.keeps_ids
        if found is None:
            return
        known = await anyio.to_thread.run_sync(lambda: self._state.keeps_ids)
        if configured not in ("ask", found):
            logger().warning("target.keeps_ids", configured=configured, found=found)
        if found not in (configured, known):
            self._course.learnt = (f"target.keeps_ids = {str(found).lower()}",)
        await anyio.to_thread.run_sync(self._state.learn_keeps_ids, found)
        self._keeps_ids = self._keeps_ids if self._keeps_ids is not None else found

    async def _update(self) -> None:
        """Update what was found to be in the campaign with other content."""
        job, lookup = self._job, self._lookup
        self._recovery = recovery = await anyio.to_thread.run_sync(job.recover)
        if not await anyio.to_thread.run_sync(updating.any_left, recovery):
            return
        if lookup is None:
            logger().warning("upsert.impossible", reason="the target has no call that updates: none is updated")
            return
        if await anyio.to_thread.run_sync(self._state.overtaken, self._number):
            # What another run has brought there since is newer than what this one would write over it.
            logger().warning("upsert.overtaken", reason="another run has sent since this one began: none is updated")
            return
        if self._keeps_ids is False:
            logger().warning("upsert.impossible", reason="the target gives contacts ids of its own: none is updated")
            return
        # An update that another run was not told of must not take effect behind ours.
        with self._stopping.cancelling():
            await self._looking.let_others_show(sent=True)
        self._course.received = self._stopping.received
        if self._ended():
            return
        self._counts.clear()
        delivery = Delivery(
            job,
            updating.Update(lookup),
            self._pool,
            self._journal,
            job.screener(),
            course=self._course,
            progress=self._progress,
            threshold=self._threshold,
            counts=self._counts,
            total=self._total,
            standing=updating.to_update(recovery),
            known=None,
            claim=lambda _, piece: self._state.claim_update(self._number, piece.contacts),
            canary=None,
            terms=updating.TERMS,
            phase="updating",
        )
        await delivery.run(observing=True)
