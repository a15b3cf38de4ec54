"""The part of an undo in which the target is on the line: rounds of deleting what the run has added, and of asking what
became of deletions that were refused or not answered.

Deleting is idempotent, so nothing has to be known before a deletion is sent again. That a contact is gone is told by an
accepted deletion, or by the target's list: one that was read when nothing could take effect any more or be late in it.
"""

import functools
from collections import Counter
from collections.abc import Iterable
from typing import Any, Final

import anyio
import anyio.to_thread
import polars as pl

from pipeline.errors import NotDelivered, OutcomeUnknown, TargetUnreachable, TargetUnusable, UsageError
from pipeline.ledger import accounts
from pipeline.ledger.journal import Journal
from pipeline.ledger.recovery import Recovery, recover
from pipeline.ledger.rundirectory import RunDirectory
from pipeline.ledger.state import State, packed_ids
from pipeline.records import Outcome, Status
from pipeline.run import census
from pipeline.run.accounting import Course
from pipeline.run.added import Added
from pipeline.run.asking import ask
from pipeline.run.census import Census
from pipeline.run.delivering import Delivery
from pipeline.run.job import Job
from pipeline.run.outcome import Threshold
from pipeline.run.progress import Progress
from pipeline.stages.encode import Body
from pipeline.stages.sender import Sender
from pipeline.targets import Lookup

#: Why rows of an undo are what they are.
AGAIN: Final = "its deletion got no answer, and is sent again"
UNTOLD: Final = "the target refused to delete it, and gives no list that tells whether it is there"

#: A list that shows nothing of ours is read again with pauses that grow from the first to the last, in seconds.
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 10.0

_OPEN: Final = [Status.REJECTED.value, Status.FAILED.value, Status.IN_DOUBT.value]


class _Removal(Sender[Any]):
    """The row call of an undo: for a row its contact is deleted."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup

    def encode(self, contacts: pl.DataFrame) -> list[Body]:
        return self._lookup.encode_removal(contacts["contact_id"])

    async def send(self, handle: Any, body: Body) -> str:
        return await self._lookup.remove(handle, body)


class TakingBack:
    """Takes back what is to be taken back; made once for an undo. `run` is the run's journal.

    First `prepare`, which may refuse and changes nothing, then `rounds` with the undo's journal; in the end `close`.
    `total` rows are to be taken back. `doubtful`: there are additions among them that were never answered.
    """

    def __init__(
        self,
        job: Job,
        lookup: Lookup,
        run: Recovery,
        state: State,
        *,
        undo: RunDirectory,
        keeps_ids: bool | None,
        total: int,
        doubtful: bool,
        course: Course,
        progress: Progress,
    ) -> None:
        self._job = job
        self._lookup = lookup
        self._run = run
        self._state = state
        self._undo = undo
        self._keeps_ids = keeps_ids
        self._total = total
        self._doubtful = doubtful
        self._course = course
        self._progress = progress
        self._stopping = job.surroundings.stopping
        self._late = job.settings.delivery.late_effect
        self._quiet_since = anyio.current_time()  # since then no request is known that may yet take effect
        self._counts: Counter[Status] = Counter()
        self._pool = job.pool()
        course.sessions = progress.sessions = self._pool.counts
        progress.pool = self._pool

    @property
    def unsettled(self) -> int:
        """Rows of which it is not known whether they are gone, or that were not attempted."""
        return self._total - sum(self._counts[s] for s in (Status.ACCEPTED, Status.REJECTED, Status.FAILED))

    def _added(self) -> Added:
        return Added(self._job, self._run, self._state)

    async def close(self) -> None:
        """Close all sessions."""
        await self._pool.aclose()
        self._course.learnt = (*self._job.target.learnt(), *self._course.learnt)

    # --- before the first deletion ----------------------------------------------------------------------------------

    async def prepare(self, *, begun: bool) -> None:
        """Open a first session, prove the campaign, and, where that is not known, that the target keeps our ids.

        `begun`: this undo has deleted before, so that was proven. Raises UsageError where none of ours is listed.
        """
        job = self._job
        self._progress.phase = "connecting"
        try:
            async with self._pool.lease() as lease:
                assert lease is not None
                await ask(lease, job.rows.prepare)
            if self._keeps_ids is None and not begun:
                self._progress.phase = "looking"
                await self._look()
        except (NotDelivered, OutcomeUnknown) as error:
            raise TargetUnreachable(f"the target does not answer: {error.reason}. Try again later.") from None

    async def _look(self) -> None:
        deadline = self._quiet_since + self._late  # a list lags no more than that
        pause = FIRST_PAUSE
        while True:
            left = deadline - anyio.current_time()
            listed = await self._list()
            if listed is None:
                raise TargetUnusable(
                    "the target gives no list of the campaign's contacts, so whether it keeps the ids that we send is "
                    "not known; nothing was deleted."
                )
            try:
                found = await anyio.to_thread.run_sync(self._any_listed, listed)
            finally:
                listed.close()
            if found:
                await anyio.to_thread.run_sync(self._state.learn_keeps_ids, True)
                return
            if left <= 0:
                raise UsageError(
                    "The target lists none of the contacts that this run has added: it gives ids of its own, or they "
                    "are gone already. Nothing was deleted."
                )
            await anyio.sleep(min(pause, left))
            pause = min(2 * pause, LONGEST_PAUSE)

    def _any_listed(self, listed: Census) -> bool:
        for screened in self._added().walk():
            ours = screened.contacts.filter(pl.col("status").is_null())["contact_id"]
            if listed.among(packed_ids(ours)):
                return True
        return False

    async def _list(self) -> Census | None:
        """The ids that the target lists now; None: it gives no list."""
        return await census.take(self._job, self._lookup, self._pool.quiet_lease())

    # --- rounds -----------------------------------------------------------------------------------------------------

    async def rounds(self, number: int, journal: Journal, *, begun: bool) -> None:
        """Delete, ask what became of deletions that were not accepted, delete again what is there without an answer.

        `number` is the run's number in the state, `begun`: the journal holds deletions of an earlier process. Ends
        early on signals and failures, which the course tells. Raises RunError.
        """
        course, stopping = self._course, self._stopping
        with stopping.cancelling():
            if self._doubtful:
                # An addition that got no answer may yet take effect: it must not do so behind its deletion.
                self._progress.phase = "waiting"
                wait = self._quiet_since + self._late - anyio.current_time()
                await self._progress.sleep(wait, "an addition that got no answer may yet take effect")
                self._quiet_since = anyio.current_time()
            if begun:
                await self._settle(journal, again=True)
        course.received = stopping.received
        for left in reversed(range(self._job.settings.delivery.attempts)):
            if course.received is not None:
                return
            await self._deliver(number, journal)
            if course.failure is not None or course.received is not None:
                return
            if self._counts[Status.ACCEPTED] == self._total:
                return
            with stopping.cancelling():
                again = await self._settle(journal, again=left > 0)
                if not again:
                    return
            course.received = stopping.received

    async def _recover(self) -> Recovery:
        """The undo's journal as it is now; counts what it has settled."""
        recovery = await anyio.to_thread.run_sync(
            functools.partial(recover, self._undo.journal, disk=self._job.surroundings.disk)
        )
        settled = await anyio.to_thread.run_sync(recovery.settled_counts)
        self._counts.clear()
        self._counts.update({Status(s): count for s, count in settled.items() if s != Status.PENDING.value})
        self._progress.counts = self._counts
        return recovery

    async def _deliver(self, number: int, journal: Journal) -> None:
        job = self._job
        recovery = await self._recover()
        delivery = Delivery(
            job,
            _Removal(self._lookup),
            self._pool,
            journal,
            self._added(),
            course=self._course,
            progress=self._progress,
            threshold=Threshold(None),
            counts=self._counts,
            total=self._total,
            standing=recovery.standing,
            known=None,
            claim=lambda _, piece: accounts.doubt(self._state, number, piece.contacts),
            canary=None,
            phase="taking back",
        )
        try:
            await delivery.run(observing=False)
        finally:
            self._quiet_since = max(self._quiet_since, delivery.last_doubt)

    # --- what became of deletions -----------------------------------------------------------------------------------

    async def _settle(self, journal: Journal, *, again: bool) -> bool:
        """Ask the target's list about what was refused, put off or not answered. What is not listed is gone; what is
        there without an answer is pending again, if `again`; returns whether there is any.
        """
        recovery = await self._recover()
        if not await anyio.to_thread.run_sync(lambda: any(rows.height for rows in self._open(recovery))):
            return False
        self._progress.phase = "reconciling"
        pending = False
        # What is gone is not in the first list, but may be in one that lags: only the second tells what is there still.
        for lists in (1, 2):
            wait = self._quiet_since + lists * self._late - anyio.current_time()
            await self._progress.sleep(wait, "the list may show still what was deleted lately")
            recovery = await self._recover()
            listed = await self._list()
            try:
                judge = functools.partial(self._judge, journal, recovery, listed, again=again)
                sent_again, refused = await anyio.to_thread.run_sync(judge)
            finally:
                if listed is not None:
                    listed.close()
            pending = pending or sent_again
            if listed is None or not refused:
                break
        await self._recover()
        return pending

    def _judge(self, journal: Journal, recovery: Recovery, listed: Census | None, *, again: bool) -> tuple[bool, bool]:
        """Put on record, durably, what a list tells (blocking); None: there is none, and the deletions are all there is
        to go by. Returns whether rows are pending now, and whether there are others that the list shows.
        """
        pending = refused = False
        unanswered = Status.IN_DOUBT.value
        for rows in self._open(recovery):
            there = listed.among(packed_ids(rows["contact_id"])) if listed is not None else set()
            for row, packed in zip(rows.iter_rows(named=True), packed_ids(rows["contact_id"]), strict=True):
                if listed is not None and packed not in there:
                    status, reason = Status.ACCEPTED, None
                elif row["status"] == unanswered and again:
                    status, reason, pending = Status.PENDING, AGAIN, True
                elif listed is None and row["status"] != unanswered and not again:
                    status, reason = Status.IN_DOUBT, UNTOLD
                else:
                    refused = refused or row["status"] != unanswered
                    continue
                self._put_down(journal, recovery, row, status, reason)
            journal.commit()
        if listed is None and again and not pending:
            return self._judge(journal, recovery, None, again=False)
        return pending, refused

    def _open(self, recovery: Recovery) -> Iterable[pl.DataFrame]:
        """The rows whose deletion was not accepted, with where they stand."""
        for screened in self._added().walk():
            batch = screened.batch
            standing = recovery.standing(batch.start, batch.stop).filter(pl.col("status").is_in(_OPEN))
            if standing.is_empty():
                continue
            contacts = screened.contacts.with_row_index("position", offset=batch.start)
            ours = contacts.filter(pl.col("status").is_null()).select(pl.col("position").cast(pl.UInt64), "contact_id")
            yield ours.join(standing, on="position", maintain_order="left")

    def _put_down(
        self, journal: Journal, recovery: Recovery, row: dict[str, Any], status: Status, reason: str | None
    ) -> None:
        at = row["position"]
        now = int(self._job.surroundings.wall_clock() * 1000)
        code = row["code"] if status is not Status.PENDING else None
        outcome = Outcome(at, status, code, reason, row["attempts"], row["sent_at"], now, row["latency_ms"])
        journal.settle(recovery.slice_of(at), [outcome])
