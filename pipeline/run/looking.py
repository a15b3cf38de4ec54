"""Looks at the target's list before the first row leaves: if anything follows from it, and once it can show all."""

from collections.abc import Collection
from typing import Any, Final

import anyio
import anyio.to_thread
import polars as pl

from pipeline.errors import TargetUnreachable
from pipeline.ledger.state import State, packed_ids
from pipeline.logs import logger
from pipeline.records import Status
from pipeline.run import census
from pipeline.run.census import Census
from pipeline.run.job import Earlier, Job
from pipeline.run.progress import Progress
from pipeline.run.standing import told
from pipeline.sessions import SessionPool
from pipeline.targets import Lookup

#: What is waited for.
SENT_ELSEWHERE: Final = (
    "it lists rows of this list that were not sent from here; of those the last may come late, so it is asked once more"
)
SENT_LATELY: Final = "an earlier run has sent lately, and its last rows may come late"
DELETED_LATELY: Final = "contacts were deleted lately, and its list may show them still"

#: Why nothing is sent.
NO_LIST: Final = (
    "the target gives no list of the campaign's contacts but null, which means an error, and this machine knows of no "
    "earlier run: what is there already would be sent twice. Nothing was sent. Try again later; where no list is ever "
    'to be had, leave "target" out of state.known.'
)


class Looking:
    """Looks by `look`, and knows from then on; made once for a run, which has this number in `state`.

    `census` is what was listed, less what was deleted since; None: nothing was, or that is not to be known.
    """

    def __init__(
        self,
        job: Job,
        state: State,
        number: int,
        pool: SessionPool[Any],
        *,
        earlier: Earlier | None,
        keeps_ids: bool | None,
        progress: Progress,
    ) -> None:
        self._job = job
        self._state = state
        self._number = number
        self._pool = pool
        self._earlier = earlier
        self._keeps_ids = keeps_ids
        self._progress = progress
        self._began = anyio.current_time()
        self.begun = earlier is not None and len(earlier.recovery.slices) > 0  # rows of ours may be there
        self.census: Census | None = None
        self.deleted_at: float | None = None  # when this process has deleted contacts last, wall clock

    def close(self) -> None:
        """Give back what the list was put away in."""
        if self.census is not None:
            self.census.close()

    async def look(self) -> None:
        """Read what the campaign holds before the first row leaves, as far as anything follows from it."""
        job, known, lookup = self._job, self._job.settings.state.known, self._job.lookup
        begun = self.begun
        # Once a row of ours may be there it is too late to count what stood there before.
        counting = self._keeps_ids is not True and not begun
        listing = self._keeps_ids is not False and "target" in known and lookup is not None
        if lookup is not None and (counting or listing):
            self._progress.phase = "looking"
            await self.let_others_show(sent=counting or "state" not in known)
            await self._take_census(lookup, counting=counting)
            if listing and not begun and await anyio.to_thread.run_sync(self._strangely_known):
                # What brought these there, on another machine, may have been killed just now.
                wait = self._began + job.settings.delivery.late_effect - anyio.current_time()
                await self._progress.sleep(wait, SENT_ELSEWHERE)
                await self._take_census(lookup, counting=counting)
        if self.census is not None and begun and job.settings.contacts.unique != "key":
            await anyio.to_thread.run_sync(self._forget_ours, self.census)
        blind = "state" not in known or await anyio.to_thread.run_sync(self._state.first_run, self._number)
        if blind and listing and self.census is None:
            # Not to know what is there is not to know that nothing is.
            raise TargetUnreachable(NO_LIST)
        if blind and not listing:
            logger().warning("repeats.unseen", reason="neither a state of earlier runs nor the target's list tells")

    async def _take_census(self, lookup: Lookup, *, counting: bool) -> None:
        if self.census is not None:
            self.census.close()
        self.census = await census.take(self._job, lookup, self._pool.quiet_lease(), counting=counting)

    def _forget_ours(self, listed: Census) -> None:
        """Rows may share an id: that one of them is there must not keep another from being sent (blocks)."""
        assert self._earlier is not None
        for rows in told(self._job.screened(), self._earlier.recovery):
            sent = (pl.col("status") == Status.ACCEPTED.value) | (
                (pl.col("status") == Status.IN_DOUBT.value) & (pl.col("attempts") > 0)
            )
            listed.discard(packed_ids(rows.filter(sent)["contact_id"]))

    def _strangely_known(self) -> bool:
        """Whether the target lists rows of this input, though this machine knows of no run that sent any (blocks)."""
        listed = self.census
        if listed is None or listed.empty or not self._state.first_run(self._number):
            return False
        ids = (each.contacts.filter(pl.col("status").is_null())["contact_id"] for each in self._job.screened())
        return any(listed.among(packed_ids(part)) for part in ids)

    async def let_others_show(self, *, sent: bool) -> None:
        """Wait until the list shows no more what was taken back, and, if `sent`, shows what other runs have sent: where
        the state does not tell, only the list does.
        """
        late, wall_clock = self._job.settings.delivery.late_effect, self._job.surroundings.wall_clock
        deleted_at = await anyio.to_thread.run_sync(lambda: self._state.deleted_at)
        moments = [(DELETED_LATELY, deleted_at)]
        if sent:
            quiet_since = await anyio.to_thread.run_sync(lambda: self._state.quiet_since(own=self._number))
            moments.append((SENT_LATELY, quiet_since))
        for why, moment in moments:
            if moment == float("inf"):  # nobody knows when, but it was before this process began
                await self._progress.sleep(self._began + late - anyio.current_time(), why)
            elif moment is not None:
                await self._progress.sleep(min(late, moment + late - wall_clock()), why)
        if deleted_at == float("inf"):
            await anyio.to_thread.run_sync(self._state.deleted, wall_clock() - late)

    def deleting(self, gone: Collection[str] | None) -> None:
        """See `asking.Deleting`."""
        if gone is None:
            self._state.deleted(float("inf"))
            return
        now = self.deleted_at = self._job.surroundings.wall_clock()
        ids = packed_ids(pl.Series(list(gone), dtype=pl.String))
        self._state.gone(ids, now)
        if self.census is not None:
            self.census.discard(ids)
