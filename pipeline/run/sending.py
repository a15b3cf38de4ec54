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
from pipeline.run import census, describing, earlier_runs, reconciling
from pipeline.run.accounting import Course
from pipeline.run.asking import ask
from pipeline.run.census import Census
from pipeline.run.delivering import Delivery
from pipeline.run.doubt import doubt_of
from pipeline.run.job import Earlier, Job
from pipeline.run.known import Known, known_keeps_ids
from pipeline.run.outcome import Threshold
from pipeline.run.progress import Progress
from pipeline.run.reconciling import Reconciler
from pipeline.run.standing import survey
from pipeline.stages.canary import Verdict
from pipeline.stages.faces import Faces
from pipeline.stages.read import read
from pipeline.targets import Lookup

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
        self._faces = Faces(job.settings.contacts)
        self._census: Census | None = None
        self._recovery: Recovery | None = earlier.recovery if earlier else None
        self._lookup = job.lookup
        self._canary_passed = _proven(earlier)
        notes = earlier.recovery.notes if earlier else ()
        self._keeps_ids = known_keeps_ids(job.settings.target.keeps_ids, notes, state)
        self._last_doubt = self._began  # when a request was given up that may yet take effect
        self._accepted = 0  # rows of the last round
        self._pool = job.pool()

    @property
    def in_doubt(self) -> int:
        """Rows that are in doubt now."""
        return self._counts[Status.IN_DOUBT]

    async def run(self) -> None:
        """Open a first session, prove the campaign, send, and close all sessions whatever happens. Raises RunError."""
        course, target = self._course, self._job.target
        course.sessions = self._progress.sessions = self._pool.counts
        self._progress.phase = "connecting"
        try:
            with self._stopping.cancelling():
                await self._prepare()
            course.received = self._stopping.received
            if course.received is None:
                await self._rounds()
        except (NotDelivered, OutcomeUnknown) as error:
            raise TargetUnreachable(f"the target does not answer: {error.reason}. Try again later.") from None
        finally:
            if self._census is not None:
                self._census.close()
            await self._pool.aclose()
            course.learnt = (*target.learnt(), *course.learnt)

    # --- before the first row ---------------------------------------------------------------------------------------

    async def _prepare(self) -> None:
        job = self._job
        async with self._pool.lease() as lease:
            assert lease is not None
            await ask(lease, job.rows.prepare)
        await anyio.to_thread.run_sync(self._check_unchanged)
        await earlier_runs.settle(
            self._state,
            job,
            self._pool.quiet_lease(),
            own=self._number,
            keeps_ids=self._keeps_ids,
            not_before=self._began + job.settings.delivery.late_effect,
        )
        await self._look()

    def _check_unchanged(self) -> None:
        """A plan may have been looked at for long: what is sent is what was surveyed."""
        if names := describing.changed(self._job.sources, self._job.recorded):
            raise MachineFailed(f"{', '.join(names)} changed since the run began; nothing was sent. Start a new run.")

    async def _look(self) -> None:
        """Read what the campaign holds before the first row leaves, as far as anything follows from it."""
        job, known, lookup = self._job, self._job.settings.state.known, self._lookup
        begun = self._earlier is not None and len(self._earlier.recovery.slices) > 0
        # Once a row of ours may be there it is too late to count what stood there before.
        counting = self._keeps_ids is not True and not begun
        listing = self._keeps_ids is not False and "target" in known and lookup is not None
        if lookup is not None and (counting or listing):
            self._progress.phase = "looking"
            await self._let_others_show(sent=counting or "state" not in known)
            await self._take_census(lookup, counting=counting)
            if listing and not begun and await anyio.to_thread.run_sync(self._strangely_known):
                # What brought these there, on another machine, may have been killed just now.
                await anyio.sleep_until(self._began + job.settings.delivery.late_effect)
                await self._take_census(lookup, counting=counting)
        if self._census is None or not listing:
            blind = "state" not in known or self._state.first_run(self._number)
            if blind:
                logger().warning("repeats.unseen", reason="neither a state of earlier runs nor the target's list tells")

    async def _take_census(self, lookup: Lookup, *, counting: bool) -> None:
        job = self._job
        if self._census is not None:
            self._census.close()
        self._census = await census.take(
            lookup,
            self._pool.quiet_lease(),
            faces=self._faces,
            baseline=job.baseline if counting else None,
            patience=job.settings.delivery.late_effect,
            outage=job.settings.delivery.outage,
        )

    def _strangely_known(self) -> bool:
        """Whether the target lists rows of this input, though this machine knows of no run that sent any (blocks)."""
        listed = self._census
        if listed is None or listed.empty or not self._state.first_run(self._number):
            return False
        ids = (each.contacts.filter(pl.col("status").is_null())["contact_id"] for each in self._job.screened())
        return any(listed.among(packed_ids(part)) for part in ids)

    async def _let_others_show(self, *, sent: bool) -> None:
        """Wait until the list shows no more what was taken back, and, if `sent`, shows what other runs have sent: where
        the state does not tell, only the list does.
        """
        late = self._job.settings.delivery.late_effect
        moments = [await anyio.to_thread.run_sync(lambda: self._state.deleted_at)]
        if sent:
            moments.append(await anyio.to_thread.run_sync(lambda: self._state.quiet_since(own=self._number)))
        quiet_since = max((moment for moment in moments if moment is not None), default=None)
        if quiet_since is not None:
            left = min(late, quiet_since + late - self._job.surroundings.wall_clock())
            await anyio.sleep(max(0.0, min(left, self._began + late - anyio.current_time())))

    # --- rounds -----------------------------------------------------------------------------------------------------

    async def _rounds(self) -> None:
        """Send, ask what became of rows without an answer, send those that are not there; until nothing is left."""
        sent = self._earlier is None
        again = self._earlier.again if self._earlier else ()
        if sent:
            await self._deliver()
        stale = 0
        while not self._ended and not (sent and not self.in_doubt):
            give_up = self._job.settings.delivery.attempts if stale >= STALE_ROUNDS else None
            with self._stopping.cancelling():
                told = await self._settle(again, give_up)
            self._course.received = received = self._stopping.received
            if received is not None or (sent and not told):
                return
            again = ()
            self._recovery = await anyio.to_thread.run_sync(self._job.recover)
            self._counts.clear()
            await self._deliver()
            stale = 0 if self._accepted else stale + 1
            sent = True

    async def _settle(self, again: tuple[Status, ...], give_up: int | None) -> bool:
        """Settle what can be told of the rows in doubt; returns whether anything could."""
        job = self._job
        self._progress.phase = "reconciling"
        wall_clock = job.surroundings.wall_clock
        recovery = await anyio.to_thread.run_sync(job.recover)
        standing = await anyio.to_thread.run_sync(survey, job.screened(), recovery, again)
        if standing.again.height:
            await anyio.to_thread.run_sync(reconciling.send_again, standing, recovery, self._journal, wall_clock)
        if standing.doubtful.is_empty() or self._lookup is None:
            return False
        # Of the requests of a killed process nobody knows when the last one left, but it was before this one began.
        not_before = self._last_doubt + job.settings.delivery.late_effect
        doubt = await anyio.to_thread.run_sync(doubt_of, job, recovery, standing, self._state, self._number, not_before)
        lease = self._pool.quiet_lease()
        reconciler = Reconciler(doubt, self._lookup, lease, job.settings, keeps_ids=self._keeps_ids)
        told = await reconciler.run(self._journal, give_up=give_up)
        # It may have been another run that doubted them: that is told herewith too.
        await anyio.to_thread.run_sync(
            functools.partial(self._state.resolve, told.there + told.absent, there=told.there)
        )
        if self._census is not None and told.absent:
            absent = packed_ids(pl.Series(told.absent))
            await anyio.to_thread.run_sync(self._census.discard, absent)
        if reconciler.took_back:
            await anyio.to_thread.run_sync(self._state.deleted, wall_clock())
        return bool(told)

    @property
    def _ended(self) -> bool:
        return self._course.failure is not None or self._course.received is not None

    async def _deliver(self) -> None:
        """Send whatever may be sent and is not settled."""
        job, course = self._job, self._course
        known = job.settings.state.known
        delivery = Delivery(
            job.settings,
            job.rows,
            self._lookup,
            self._pool,
            self._journal,
            functools.partial(read, job.sources, limit=job.options.limit),
            job.screener(),
            surroundings=job.surroundings,
            course=course,
            progress=self._progress,
            threshold=self._threshold,
            counts=self._counts,
            total=self._total,
            standing=self._recovery.standing if self._recovery is not None else None,
            known=Known(
                self._state if "state" in known else None,
                self._census if "target" in known else None,
                doubts=self._state,
                own=self._number,
            ),
            claim=lambda number, piece: self._state.claim(self._number, number, piece.positions, piece.contacts),
            canary=0 if self._canary_passed else job.options.canary,
            listed=self._census,
            slice_rows=job.slice_rows,
            doubtful=job.doubtful,
        )
        try:
            await delivery.run(observing=self._total is None or self._recovery is not None)
        finally:
            self._last_doubt = max(self._last_doubt, delivery.last_doubt)
            self._accepted = delivery.accepted
            if delivery.took_back:
                self._state.deleted(job.surroundings.wall_clock())
        self._canary_passed = self._canary_passed or delivery.proven
        if delivery.keeps_ids is not None:
            configured = job.settings.target.keeps_ids
            if configured not in ("ask", delivery.keeps_ids):
                logger().warning("target.keeps_ids", configured=configured, found=delivery.keeps_ids)
            if delivery.keeps_ids != configured:
                course.learnt = (f"target.keeps_ids = {str(delivery.keeps_ids).lower()}",)
            await anyio.to_thread.run_sync(self._state.learn_keeps_ids, delivery.keeps_ids)
            self._keeps_ids = self._keeps_ids if self._keeps_ids is not None else delivery.keeps_ids


def _proven(earlier: Earlier | None) -> bool:
    """Whether a canary of this run was read back already, or could not be."""
    notes = earlier.recovery.notes if earlier else ()
    ends = (Verdict.PASSED.value, Verdict.UNPROVEN.value)
    return any(note.event == "canary" and note.fields.get("verdict") in ends for note in notes)
