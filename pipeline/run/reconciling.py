"""Settles rows in doubt by asking the target what it holds, before a run ends and before a resumed one sends.

By ids where the target keeps ours: one that is found is proof. Else by number: how often a contact of the same face is
there, less those that stood there before and those that are accepted, is how many of the doubtful ones are there. That
something is not there is proof only in a list that shows the control, rows that were accepted lately, and that was read
when nothing could take effect any more, nor be late in the list.
"""

import functools
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

import anyio
import anyio.to_thread
import polars as pl

from pipeline.config import Settings
from pipeline.errors import NoList
from pipeline.ledger.baseline import Baseline
from pipeline.ledger.journal import Journal
from pipeline.ledger.recovery import Recovery
from pipeline.ledger.state import State, packed_ids
from pipeline.logs import logger
from pipeline.records import TAKING_BACK, Outcome, Screened, Status
from pipeline.run.asking import ask_patiently, removed
from pipeline.run.job import Job
from pipeline.run.standing import CONTROL, Standing, told
from pipeline.sessions import Lease
from pipeline.stages.faces import Face, Faces
from pipeline.targets import Target

#: A list that lags is read again with pauses that grow from the first to the last, in seconds.
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 10.0

#: Why rows that were in doubt are what they are now.
NOT_THERE: Final = "the target was asked and does not hold it"
LISTED: Final = "an earlier run had added it"
CHANGED: Final = "an earlier run had added it, with other content"
NO_ANSWER: Final = "sent {attempts} times without an answer, and the target was asked each time and does not hold it"
AGAIN: Final = "sent again on request"


@dataclass(slots=True)
class Doubt:
    """The rows of one run that are to be settled, and what they are settled by.

    `walk` goes over the run's input anew, screened. `not_before` is when the last unanswered request can no longer take
    effect, in seconds on the loop's clock.
    """

    walk: Callable[[], Iterable[Screened]]
    recovery: Recovery
    standing: Standing
    faces: Faces
    baseline: Baseline
    alone: bool  # no other run has sent into the campaign since this one began
    theirs: Mapping[bytes, bytes]  # content by id of those that another run may have sent
    brought: Collection[bytes]  # ids of those that another run has brought there since
    not_before: float
    wall_clock: Callable[[], float]  # seconds since the epoch


def doubt_of(job: Job, recovery: Recovery, standing: Standing, state: State, number: int, not_before: float) -> Doubt:
    """What a run, of this number in the state, is in doubt of, and what the state knows of that (blocking)."""
    if standing.control.is_empty() and standing.listed.is_empty():
        # A short list may have nothing of its own to judge by; what other runs have brought is there to be shown.
        standing.listed = pl.DataFrame({"contact_id": state.some(CONTROL)}, schema={"contact_id": pl.String})
    ids = packed_ids(standing.doubtful["contact_id"])
    return Doubt(
        walk=job.screened,
        recovery=recovery,
        standing=standing,
        faces=Faces(job.settings.contacts),
        baseline=job.baseline,
        alone=state.alone_since(number),
        theirs=state.doubted(ids, own=number),
        brought=state.brought(ids, own=number),
        not_before=not_before,
        wall_clock=job.surroundings.wall_clock,
    )


@dataclass(slots=True)
class Told:
    """The ids of the rows that were settled."""

    there: list[str] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.there or self.absent)


@dataclass(slots=True)
class _Reading:
    """What one pass over the target's list showed."""

    started: float  # loop's clock, seconds
    ids: set[str] = field(default_factory=set)  # of the wanted ones
    faces: Counter[bytes] = field(default_factory=Counter)  # of the wanted ones


class Reconciler:
    """Asks the target and settles; one for each time. `keeps_ids`: None where that is not known."""

    def __init__(
        self,
        doubt: Doubt,
        target: Target,
        lease: Lease[Any],
        settings: Settings,
        *,
        keeps_ids: bool | None,
    ) -> None:
        self._doubt = doubt
        self._target = target
        self._lease = lease
        self._settings = settings
        self._late = settings.delivery.late_effect
        self._keeps_ids = keeps_ids
        self._not_before = doubt.not_before
        self.took_back = False  # whether anything was deleted
        self._rows = {row["position"]: row for row in doubt.standing.doubtful.iter_rows(named=True)}
        self._control = list(doubt.standing.control.iter_rows(named=True))
        self._listed = list(doubt.standing.listed.iter_rows(named=True)) if not self._control else []
        self._damaged = [row for row in self._rows.values() if row["reason"] == TAKING_BACK]
        others = {*doubt.theirs, *doubt.brought}
        self._others = {row["position"] for row in self._damaged if UUID(row["contact_id"]).bytes in others}
        self._ids = {row["contact_id"] for row in (*self._rows.values(), *self._control, *self._listed)}
        self._sent_faces: dict[int, Face] = {}  # by position
        self._before: Mapping[bytes, int] = {}  # how often a face stood there before the first row
        self._accepted: Counter[bytes] = Counter()  # how often this run was accepted with it
        if keeps_ids is not True:
            self._sent_faces = {
                row["position"]: doubt.faces.sent(row) for row in (*self._rows.values(), *self._control)
            }

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
                told.there += [self._rows[position]["contact_id"] for position in there]
                told.absent += [self._rows[position]["contact_id"] for position in absent]
        except NoList as error:
            logger().warning("reconcile.no_list", reason=error.reason)
        left = len(self._rows) - len(told.there) - len(told.absent)
        logger().info("reconcile.done", rows=len(self._rows), left=left)
        return told

    def _put_down(self, journal: Journal, there: set[int], absent: set[int], give_up: int | None) -> None:
        """Put verdicts on record, durably (blocking)."""
        now = int(self._doubt.wall_clock() * 1000)
        for position in there | absent:
            outcome = self._outcome(self._rows[position], there=position in there, now=now, give_up=give_up)
            journal.settle(self._doubt.recovery.slice_of(position), [outcome])
        journal.commit()

    def _outcome(self, row: Mapping[str, Any], *, there: bool, now: int, give_up: int | None) -> Outcome:
        attempts = row["attempts"]
        if there and attempts and row["position"] not in self._others:
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
        open_ = set(self._rows)
        if self._keeps_ids is not True:
            await self._prepare_counting()
        gone = await self._take_back()
        open_ -= gone
        yield set(), gone
        deadline = max(self._not_before, anyio.current_time()) + 2 * self._late
        pause = FIRST_PAUSE
        while open_:
            reading = await self._read()
            shown = self._shows_control(reading)
            # Nothing takes effect any more, and what did is listed: lists are behind by as much as late effects are.
            final = shown and reading.started >= self._not_before + self._late
            there, absent = self._judge(reading, open_, shown=shown, final=final)
            open_ -= there | absent
            yield there, absent
            now = anyio.current_time()
            if final or not open_ or not (self._control or self._listed):
                return
            if shown:
                await anyio.sleep(max(0.0, self._not_before + self._late - now))
                continue
            if now >= deadline:
                return
            await anyio.sleep(min(pause, deadline - now))
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _take_back(self) -> set[int]:
        """What the canary could not take back is damaged, if it is there: it is deleted, which bears repeating. Returns
        which rows are surely gone. What another run has sent since is none of ours to delete.
        """
        rows = [row for row in self._damaged if row["position"] not in self._others]
        gone: set[int] = set()
        if not rows:
            return gone
        self.took_back = True
        for row in rows:
            if await removed(self._target, self._lease, row["contact_id"]):  # else the list tells what became of it
                gone.add(row["position"])
        self._not_before = max(self._not_before, anyio.current_time() + self._late)
        return gone

    # --- reading ----------------------------------------------------------------------------------------------------

    async def _read(self) -> _Reading:
        async def read(handle: Any) -> _Reading:
            reading = _Reading(anyio.current_time())
            if self._keeps_ids is True:
                async with aclosing(self._target.contact_ids(handle)) as ids:
                    async for contact_id in ids:
                        if contact_id in self._ids:
                            reading.ids.add(contact_id)
            else:
                wanted = set(self._wanted_faces())
                async with aclosing(self._target.read_back(handle, limit=None)) as contacts:
                    async for held in contacts:
                        if held.contact_id is not None and held.contact_id in self._ids:
                            reading.ids.add(held.contact_id)
                        face = self._doubt.faces.held(held)
                        reading.faces.update(wanted.intersection((face.destinations, face.whole)))
            return reading

        delivery = self._settings.delivery
        return await ask_patiently(
            self._lease, self._target.prove, read, patience=2 * self._late, outage=delivery.outage
        )

    def _wanted_faces(self) -> Iterable[bytes]:
        for face in self._sent_faces.values():
            yield face.destinations
            if face.whole is not None:
                yield face.whole

    async def _prepare_counting(self) -> None:
        """What stood there before, and what this run was accepted with, of the faces in question."""
        wanted = set(self._wanted_faces())
        baseline = self._doubt.baseline

        def count() -> None:
            if baseline.whole:
                self._before = baseline.numbers(wanted)
            for rows in told(self._doubt.walk(), self._doubt.recovery):
                for row in rows.filter(pl.col("status") == Status.ACCEPTED.value).iter_rows(named=True):
                    face = self._doubt.faces.sent(row)
                    self._accepted.update(wanted.intersection((face.destinations, face.whole)))

        await anyio.to_thread.run_sync(count)

    # --- judging ----------------------------------------------------------------------------------------------------

    def _by_ids(self, reading: _Reading) -> bool:
        """Whether the target keeps our ids, as far as is known."""
        return self._keeps_ids is True or (self._keeps_ids is None and bool(reading.ids))

    def _counts(self) -> bool:
        """Whether numbers tell anything."""
        return self._keeps_ids is not True and self._doubt.alone and self._doubt.baseline.whole

    def _shows_control(self, reading: _Reading) -> bool:
        if self._by_ids(reading):
            # What was there before shows that the list is one, and holds our ids; that it is not behind, it does not.
            control = self._control or self._listed
            return bool(control) and all(row["contact_id"] in reading.ids for row in control)
        if not self._control:
            return False
        faces = {self._sent_faces[row["position"]].destinations for row in self._control}
        return self._counts() and all(self._surplus(reading, face) >= 0 for face in faces)

    def _surplus(self, reading: _Reading, face: bytes) -> int:
        """So many contacts of this face are there that nothing else explains."""
        return reading.faces[face] - self._before.get(face, 0) - self._accepted[face]

    def _judge(self, reading: _Reading, open_: set[int], *, shown: bool, final: bool) -> tuple[set[int], set[int]]:
        rows = [self._rows[position] for position in open_]
        listed = {row["position"] for row in rows if row["contact_id"] in reading.ids}
        there = listed.difference({row["position"] for row in self._damaged} - self._others)
        if self._by_ids(reading):
            return there, open_ - listed if final else set()
        if shown and self._counts():
            return self._judge_by_number(reading, rows, final=final)
        return there, set()

    def _judge_by_number(
        self, reading: _Reading, rows: list[dict[str, Any]], *, final: bool
    ) -> tuple[set[int], set[int]]:
        groups: dict[bytes, list[int]] = {}
        untold: set[bytes] = set()
        for row in rows:
            face = self._sent_faces[row["position"]].destinations
            groups.setdefault(face, []).append(row["position"])
            if not row["attempts"]:  # another run may have sent it, before or after ours was counted
                untold.add(face)
        there: set[int] = set()
        absent: set[int] = set()
        for destinations, positions in groups.items():
            surplus = self._surplus(reading, destinations)
            if destinations in untold or surplus > len(positions):
                continue  # somebody else may have added some: whether ours are among them is not to be told
            if surplus == len(positions):
                there.update(positions)
            elif final and surplus <= 0:
                absent.update(positions)
            elif final:
                self._judge_by_text(reading, positions, surplus, there, absent)
        return there, absent

    def _judge_by_text(
        self, reading: _Reading, positions: list[int], surplus: int, there: set[int], absent: set[int]
    ) -> None:
        """Some of these rows, which have the same destinations, are there: which ones, their texts tell."""
        by_text: dict[bytes | None, list[int]] = {}
        for position in positions:
            by_text.setdefault(self._sent_faces[position].whole, []).append(position)
        numbers = {
            whole: max(0, min(self._surplus(reading, whole), len(those)))
            for whole, those in by_text.items()
            if whole is not None
        }
        if None in by_text or sum(numbers.values()) != surplus:
            return
        for whole, those in by_text.items():
            assert whole is not None
            there.update(those[: numbers[whole]])
            absent.update(those[numbers[whole] :])


def send_again(standing: Standing, recovery: Recovery, journal: Journal, wall_clock: Callable[[], float]) -> None:
    """Put on record, durably, that rows are pending which are to be sent again on request (blocking)."""
    now = int(wall_clock() * 1000)
    for row in standing.again.iter_rows(named=True):
        outcome = Outcome(row["position"], Status.PENDING, None, AGAIN, row["attempts"], row["sent_at"], now, None)
        journal.settle(recovery.slice_of(row["position"]), [outcome])
    journal.commit()
