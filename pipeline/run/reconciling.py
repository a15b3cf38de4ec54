"""Settles rows in doubt by asking the target what it holds, before a run ends and before a resumed one sends.

That a row is there may be told by any list (see `judging`). That it is not is proof only in a list that shows the
control, rows that were accepted lately, and that was read when nothing could take effect any more, nor be late in it.
"""

import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

import anyio
import anyio.to_thread

from pipeline.config import Settings
from pipeline.errors import NoList
from pipeline.ledger.journal import Journal
from pipeline.ledger.recovery import Recovery
from pipeline.logs import logger
from pipeline.records import NOT_THERE, Outcome, Status
from pipeline.run.asking import Deleting, ask_patiently, removed
from pipeline.run.doubt import Doubt
from pipeline.run.judging import Judge, Reading
from pipeline.run.standing import Standing
from pipeline.sessions import Lease
from pipeline.targets import Lookup

#: A list that lags is read again with pauses that grow from the first to the last, in seconds.
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 10.0

#: Why rows that were in doubt are what they are now.
LISTED: Final = "an earlier run had added it"
CHANGED: Final = "an earlier run had added it, with other content"
NO_ANSWER: Final = "sent {attempts} times without an answer, and the target was asked each time and does not hold it"
AGAIN: Final = "sent again on request"

#: What is waited for.
LATE: Final = "what got no answer may yet take effect, and shows in the list later"
LAGS: Final = "the list does not show yet what was accepted lately, so it is read again"


@dataclass(slots=True)
class Told:
    """The ids of the rows that were settled."""

    there: list[str] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.there or self.absent)


class Reconciler:
    """Asks the target and settles; one for each time. `keeps_ids`: None where that is not known. `deleting` as for
    `removed`, `sleep` waits so many seconds for what it is told.
    """

    def __init__(
        self,
        doubt: Doubt,
        lookup: Lookup,
        lease: Lease[Any],
        settings: Settings,
        *,
        keeps_ids: bool | None,
        deleting: Deleting,
        sleep: Callable[[float, str], Awaitable[None]],
    ) -> None:
        self._deleting = deleting
        self._sleep = sleep
        self._doubt = doubt
        self._lookup = lookup
        self._lease = lease
        self._settings = settings
        self._late = settings.delivery.late_effect
        self._judge = Judge(doubt, keeps_ids)
        self._not_before = doubt.not_before

    async def run(self, journal: Journal, *, give_up: int | None = None) -> Told:
        """Put on record what can be told, durably; returns the ids of the rows that it was told of.

        A row that is surely not there is pending again, or failed after `give_up` sends (None: never). Raises
        TargetUnreachable, TargetUnusable, MachineFailed.
        """
        told = Told()
        try:
            async for there, absent in self._verdicts():
                put_down = functools.partial(self._put_down, journal, there, absent, give_up)
                await anyio.to_thread.run_sync(put_down)
                told.there += [self._judge.rows[position]["contact_id"] for position in there]
                told.absent += [self._judge.rows[position]["contact_id"] for position in absent]
        except NoList as error:
            logger().warning("reconcile.no_list", reason=error.reason)
        left = len(self._judge.rows) - len(told.there) - len(told.absent)
        logger().info("reconcile.done", rows=len(self._judge.rows), left=left)
        return told

    def _put_down(self, journal: Journal, there: set[int], absent: set[int], give_up: int | None) -> None:
        """Put verdicts on record, durably (blocking)."""
        now = int(self._doubt.wall_clock() * 1000)
        for position in there | absent:
            outcome = self._outcome(self._judge.rows[position], there=position in there, now=now, give_up=give_up)
            journal.settle(self._doubt.recovery.slice_of(position), [outcome])
        journal.commit()

    def _outcome(self, row: Mapping[str, Any], *, there: bool, now: int, give_up: int | None) -> Outcome:
        attempts = row["attempts"]
        if there and attempts and row["position"] not in self._judge.others:
            status, reason = Status.ACCEPTED, None
        elif there:
            content = bytes.fromhex(row["content"])
            other = self._doubt.theirs.get(UUID(row["contact_id"]).bytes, content) != content
            status, reason = (Status.CHANGED, CHANGED) if other else (Status.DUPLICATE, LISTED)
        elif give_up is not None and attempts >= give_up:
            status, reason = Status.FAILED, NO_ANSWER.format(attempts=attempts)
        else:
            status, reason = Status.PENDING, NOT_THERE
        return Outcome(row["position"], status, None, reason, attempts, row["sent_at"], now, None)

    async def _verdicts(self) -> AsyncIterator[tuple[set[int], set[int]]]:
        """Positions that are there and positions that are not, as often as there is something new."""
        open_ = set(self._judge.rows)
        await anyio.to_thread.run_sync(self._judge.count)
        gone = await self._take_back()
        open_ -= gone
        yield set(), gone
        deadline = max(self._not_before, anyio.current_time()) + 2 * self._late
        pause = FIRST_PAUSE
        while open_:
            reading = await self._read()
            shown = self._judge.shows_control(reading)
            # Nothing takes effect any more, and what did is listed: lists are behind by as much as late effects are.
            final = shown and reading.started >= self._not_before + self._late
            there, absent = self._judge.judge(reading, open_, shown=shown, final=final)
            open_ -= there | absent
            yield there, absent
            now = anyio.current_time()
            if final or not open_ or not (self._judge.control or self._judge.listed):
                return
            if shown:
                await self._sleep(self._not_before + self._late - now, LATE)
                continue
            if now >= deadline:
                return
            await self._sleep(min(pause, deadline - now), LAGS)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _take_back(self) -> set[int]:
        """What the canary could not take back is damaged, if it is there: it is deleted, which bears repeating. Returns
        which rows are surely gone. What another run has sent since is none of ours to delete.
        """
        rows = [row for row in self._judge.damaged if row["position"] not in self._judge.others]
        if not rows:
            return set()
        gone = await removed(self._lookup, self._lease, [row["contact_id"] for row in rows], self._deleting)
        self._not_before = max(self._not_before, anyio.current_time() + self._late)
        return {row["position"] for row in rows if row["contact_id"] in gone}  # of the others the list tells

    # --- reading ----------------------------------------------------------------------------------------------------

    async def _read(self) -> Reading:
        judge = self._judge

        async def read(handle: Any) -> Reading:
            reading = Reading(anyio.current_time())
            if judge.counting:
                async with aclosing(self._lookup.read_back(handle, limit=None)) as contacts:
                    async for held in contacts:
                        judge.note(reading, held)
            else:
                async with aclosing(self._lookup.contact_ids(handle)) as ids:
                    async for contact_id in ids:
                        judge.note_id(reading, contact_id)
            return reading

        delivery = self._settings.delivery
        return await ask_patiently(self._lease, read, patience=2 * self._late, outage=delivery.outage)


def send_again(standing: Standing, recovery: Recovery, journal: Journal, wall_clock: Callable[[], float]) -> None:
    """Put on record, durably, that rows are pending which are to be sent again on request (blocking)."""
    now = int(wall_clock() * 1000)
    for row in standing.again.iter_rows(named=True):
        outcome = Outcome(row["position"], Status.PENDING, None, AGAIN, row["attempts"], row["sent_at"], now, None)
        journal.settle(recovery.slice_of(row["position"]), [outcome])
    journal.commit()
