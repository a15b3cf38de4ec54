"""What a run has added to the campaign, by its source and its journal: the rows that an undo is to take back."""

from collections.abc import Iterator

import polars as pl

from pipeline.ledger.files import assemble
from pipeline.ledger.recovery import Recovery
from pipeline.ledger.state import State, packed_ids
from pipeline.records import NOT_ADDED, UPDATED, Batch, Screened, Status
from pipeline.run.job import Job


class Added:
    """Screens for one walk as the run did, and settles what it has not added: what is left of a batch is to be taken
    back.

    `recovery` is the run's journal, the truth of what was added: rows that were accepted, and those that were sent and
    are in doubt, unless the `state` knows that another run has brought them there since; what the run has updated it
    has not added. The same in every walk, as the journal of a run that is undone does not grow.
    """

    def __init__(self, job: Job, recovery: Recovery, state: State) -> None:
        self._job = job
        self._screener = job.screener()
        self._recovery = recovery
        self._state = state
        self._number = state.number(recovery.header.run_id)
        self.doubtful = 0  # rows left so far of which the run could not tell

    def screen(self, batch: Batch) -> Screened:
        """A batch in which what the run has not added is suppressed."""
        return self._left(self._screener.screen(batch))

    def walk(self) -> Iterator[Screened]:
        """The whole input once. What the first walk has read is what all others go by."""
        return map(self._left, self._job.screened())

    def _left(self, screened: Screened) -> Screened:
        rows = assemble(screened, self._recovery)
        positions = pl.Series(range(screened.batch.start, screened.batch.stop), dtype=pl.UInt64)
        stood = positions.is_in(self._recovery.changed(screened.batch.start, screened.batch.stop).implode())
        doubtful = (rows["status"] == Status.IN_DOUBT.value) & (rows["attempts"] > 0) & ~stood
        added = ((rows["status"] == Status.ACCEPTED.value) & ~stood) | doubtful
        if added.any():  # of accepted ones, too: the campaign may have been made anew since, by another run
            ids = pl.Series(packed_ids(rows["contact_id"]), dtype=pl.Binary)
            brought = self._state.brought(ids.filter(added).to_list(), own=self._number)
            added &= ~ids.is_in(list(brought))
        self.doubtful += int((doubtful & added).sum())
        told = rows["status"].zip_with(~(stood & (rows["status"] == Status.ACCEPTED.value)), pl.Series([UPDATED]))
        contacts = screened.contacts.with_columns(
            status=pl.when(added).then(None).otherwise(pl.lit(Status.SUPPRESSED.value)),
            reason=pl.when(added).then(None).otherwise(pl.lit(NOT_ADDED) + told),
        )
        return Screened(screened.batch, contacts)
