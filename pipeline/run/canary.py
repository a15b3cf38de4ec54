"""The canary of a run: what was sent before anything is proven is read back, and taken back where it is damaged.

Its rows are those of the canary's slice, and those that earlier processes of the run, or the target's list, have called
accepted before any canary had passed. The gate stands between the canary's slice and the rest.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain, combinations
from typing import Any, Protocol
from uuid import UUID

import anyio
import anyio.to_thread
from msgspec import structs

from pipeline.errors import NotDelivered, OutcomeUnknown, TargetUnreachable, TargetUnusable
from pipeline.ledger.journal import Journal
from pipeline.ledger.lines import Note
from pipeline.logs import logger
from pipeline.records import TAKEN_BACK, TAKING_BACK, Outcome, Status
from pipeline.run.asking import Deleting, ask, removed
from pipeline.run.census import Census
from pipeline.run.job import Job
from pipeline.run.unproven import Unproven, has_passed, left_by
from pipeline.sessions import Lease
from pipeline.stages.canary import Finding, Held, Sent, Verdict, read_back
from pipeline.stages.deliver import Deliverer
from pipeline.stages.encode import Slice, sent_rows
from pipeline.stages.faces import Faces
from pipeline.targets import Lookup

#: A list that lags is read again with pauses that grow from the first to the last, in seconds.
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 10.0

#: Taking the canary's rows back may take so long, in seconds; a stop does not cut it short.
TAKE_BACK_WITHIN = 30.0


class Record(Protocol):
    """Where outcomes and the verdict go; a `Settler` is one."""

    def settle(self, slice_number: int, outcome: Outcome) -> None:
        """Note what became of a row; it is durable with the next commit."""

    async def durable(self) -> None:
        """Wait until everything noted so far is on disk."""

    async def note(self, event: str, **fields: str | int | float | bool | list[str] | None) -> None:
        """Put an event of the run on record, durably."""


class Direct:
    """The journal itself as a record, where no rows are on their way."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def settle(self, slice_number: int, outcome: Outcome) -> None:
        """Note what became of a row."""
        self._journal.settle(slice_number, [outcome])

    async def durable(self) -> None:
        """Commit."""
        await anyio.to_thread.run_sync(self._journal.commit)

    async def note(self, event: str, **fields: str | int | float | bool | list[str] | None) -> None:
        """Put an event of the run on record, durably."""
        self._journal.note(event, fields)
        await self.durable()


class Canary:
    """Reads back what is not proven, by `prove`; rows come by `add`. Made once for the run of `job`.

    `rows`: so many go first. `notes` are those of its journal; they tell whether it has `passed` in an earlier process.
    `left` are positions: after it has passed, of rows that were in doubt then and are still to be read back; before, of
    those that it is of no use to read again. `keeps_ids`: None where that is not known. `listed` is what the campaign
    held when this process began: such contacts prove nothing, and are not ours to take back; None: that is not known.
    `begun`: an earlier process may have added some of them; then the run's baseline tells how many were there before.
    A target that lists late is given `delivery.late_effect` to show all.
    """

    def __init__(
        self,
        job: Job,
        lookup: Lookup,
        lease: Callable[[], Lease[Any]],
        notes: Sequence[Note],
        *,
        listed: Census | None,
        keeps_ids: bool | None,
        begun: bool,
        deleting: Deleting,
    ) -> None:
        self.rows = job.options.canary
        self._lookup = lookup
        self._lease = lease
        self._listed = listed
        self._contract = job.settings.target.contract  # names the settings to look at where it fails
        self._keeps = keeps_ids
        self._begun = begun
        self._faces = Faces(job.settings.contacts)
        self._baseline = job.baseline
        self._deleting = deleting
        self._patience = job.settings.delivery.late_effect
        self._unproven: list[Unproven] = []
        self._ours: set[str] = set()  # ids of those rows
        self.passed = has_passed(notes)
        self.left = left_by(notes)
        self.keeps_ids: bool | None = None  # what reading back told; None: nothing

    def begin(self, rows: Iterable[Unproven]) -> None:
        """How all rows stand now that were sent before it passed."""
        self._unproven.clear()
        self.add(row for row in rows if (row.sent.position in self.left) is self.passed)

    def add(self, rows: Iterable[Unproven]) -> None:
        """Rows that are accepted, to be read back, and in doubt, to be taken back with them if it comes to that."""
        for row in rows:
            self._unproven.append(row)
            self._ours.add(row.sent.contact_id)

    async def prove(self, record: Record) -> None:
        """Read back every accepted row; afterwards `passed` tells, False where there is none.

        Raises TargetUnusable where one was damaged on its way, when all are taken back, or where they cannot be read;
        TargetUnreachable where no answer comes. Rows that were damaged before it passed are only taken back.
        """
        accepted = [row.sent for row in self._unproven if row.outcome.status is Status.ACCEPTED]
        if not accepted:
            return
        finding = await self._read_back(accepted)
        uncounted = self._begun and not await anyio.to_thread.run_sync(lambda: self._baseline.whole)
        foreign = finding.keeps_ids is None and self._keeps is not True
        if uncounted and foreign and finding.verdict is not Verdict.PASSED:
            # None of our ids is there, and which of the others were added by us nobody can tell.
            finding = Finding(Verdict.UNPROVEN, None, "what stood there before the first row was not counted")
        if finding.verdict in (Verdict.FAILED, Verdict.MISSING):
            taken: set[str] = set()
            with anyio.move_on_after(TAKE_BACK_WITHIN, shield=True):
                taken = await self._take_back(record, finding)
            there = [sent.position for sent in accepted if sent.contact_id not in taken]
            words = _words(finding, len(accepted), len(there), self._contract)
            if not self.passed:
                await _note(record, finding, len(accepted), there)
                raise TargetUnusable(words)
            logger().warning("canary.damaged", reason=words)
            finding = replace(finding, verdict=Verdict.PASSED)  # that of the contract, which is proven since
        self.left = {row.outcome.position for row in self._unproven if row.outcome.status is Status.IN_DOUBT}
        await _note(record, finding, len(accepted), self.left)
        if finding.verdict is Verdict.UNPROVEN:
            logger().warning("canary.unproven", reason=finding.words, advice="the run goes on")
        else:
            logger().info("canary.passed", rows=len(accepted), keeps_ids=finding.keeps_ids)
        self.keeps_ids = finding.keeps_ids
        self.passed = True

    async def _read_back(self, accepted: list[Sent]) -> Finding:
        lookup, lease = self._lookup, self._lease()
        deadline = anyio.current_time() + self._patience
        pause = FIRST_PAUSE

        async def read_accepted(handle: Any) -> Finding:
            stood = self._stood_before(await anyio.to_thread.run_sync(self._numbers, accepted))
            return await read_back(lookup, handle, accepted, stood_before=stood)

        while True:
            try:
                finding = await ask(lease, read_accepted)
            except OutcomeUnknown as error:
                raise TargetUnusable(
                    f"the campaign's contacts cannot be read back ({error.reason}), so nothing proves that the target "
                    "stores what it is sent. Ask its operator, or import with --canary 0."
                ) from None
            except NotDelivered as error:
                raise TargetUnreachable(
                    f"the target could not be asked for the canary's rows: {error.reason}. Try again later."
                ) from None
            left = deadline - anyio.current_time()
            if finding.verdict is not Verdict.MISSING or left <= 0:
                return finding
            await anyio.sleep(min(pause, left))
            pause = min(pause * 2, LONGEST_PAUSE)

    def _numbers(self, accepted: Iterable[Sent]) -> Counter[bytes] | None:
        """How often contacts that look like these, or like what may be left of them, stood there before the first row;
        None: what was listed before this process began is what stood there before (blocks).
        """
        if not (self._begun and self._baseline.whole):
            return None
        faces = {
            self._faces.of({name: sent.channels[name][0] for name in names})
            for sent in accepted
            for names in _parts(sent)
        }
        return Counter(self._baseline.numbers(faces))

    def _stood_before(self, numbers: Counter[bytes] | None) -> Callable[[Held], bool]:
        """Tells, contact by contact of one reading, which of them are none of ours."""
        if numbers is None and self._begun and self._keeps is True:
            return lambda _: True  # what has another id is none of ours, whatever it looks like
        if numbers is None:
            return lambda held: self._was_listed(held.contact_id or "")

        def counted(held: Held) -> bool:
            face = self._faces.held(held).destinations
            numbers[face] -= 1
            return numbers[face] >= 0

        return counted

    def _was_listed(self, contact_id: str) -> bool:
        if self._listed is None or contact_id in self._ours:
            return False
        try:
            return bool(self._listed.among([UUID(contact_id).bytes]))
        except ValueError:  # it is no id of ours, and the list was only searched for those
            return False

    async def _take_back(self, record: Record, finding: Finding) -> set[str]:
        """Take all rows back where the target keeps our ids; the ids of those that are surely gone."""
        if not finding.keeps_ids:
            return set()
        rows = [row for row in self._unproven if not self._was_listed(row.sent.contact_id)]
        for row in rows:  # from here on nobody knows whether it is there, until the target has said so
            doubted = structs.replace(row.outcome, status=Status.IN_DOUBT, code=None, reason=TAKING_BACK)
            record.settle(row.slice_number, doubted)
        await record.durable()
        ids = [row.sent.contact_id for row in rows]
        taken = await removed(self._lookup, self._lease(), ids, self._deleting)
        for row in rows:
            if row.sent.contact_id in taken:
                taken_back = structs.replace(row.outcome, status=Status.PENDING, code=None, reason=TAKEN_BACK)
                record.settle(row.slice_number, taken_back)
        return taken


def _words(finding: Finding, rows: int, left: int, contract: str) -> str:
    """What a person is told of a canary that failed; `left` of its rows may still be there."""
    held = "They were taken back." if not left else f"{left} of them could not be taken back and may still be there."
    return (
        f"the canary failed: of {rows} rows that the target accepted, {finding.words}. {held} Compare {contract} with "
        "the service's own contract: a member in the wrong order or namespace is lost without a word."
    )


def _parts(sent: Sent) -> Iterator[tuple[str, ...]]:
    """Every set of channels of a row, the empty one too: some may get lost on the way."""
    return chain.from_iterable(combinations(sent.channels, number) for number in range(len(sent.channels) + 1))


async def _note(record: Record, finding: Finding, rows: int, left: Collection[int]) -> None:
    await record.note(
        "canary",
        verdict=finding.verdict.value,
        keeps_ids=finding.keeps_ids,
        rows=rows,
        words=finding.words,
        left=[str(position) for position in sorted(left)],
    )


class CanaryGate:
    """Stands between the canary's slice and the next one, see `encode.Gate`."""

    def __init__(
        self, canary: Canary, record: Record, deliverer: Deliverer[Any], *, retries: Mapping[str, int]
    ) -> None:
        self._canary = canary
        self._record = record
        self._deliverer = deliverer
        self._retries = retries
        self._settled: dict[int, tuple[int, Outcome]] = {}  # slice and outcome, by position
        self._changed = anyio.Event()

    @property
    def open(self) -> bool:
        """Whether the rest may follow."""
        return self._canary.passed

    def settled(self, number: int, outcomes: Iterable[Outcome]) -> None:
        """Hear of rows' outcomes; does nothing once the canary has passed."""
        if not self.open:
            self._settled.update((outcome.position, (number, outcome)) for outcome in outcomes)
            self._changed.set()

    async def prove(self, piece: Slice) -> bool:
        """Whether the rest may follow the rows of `piece`; False: none was accepted, another canary is needed.

        Where a row was damaged on its way the run is stopped, with what is to be done in `deliverer.failure`.
        """
        while not all(position in self._settled for position in piece.positions):
            self._changed = anyio.Event()
            await self._changed.wait()
        outcomes = {position: self._settled.pop(position) for position in piece.positions}
        self._canary.add(
            Unproven(sent, *outcomes[sent.position])
            for sent in sent_rows(piece, self._retries)
            if outcomes[sent.position][1].status in (Status.ACCEPTED, Status.IN_DOUBT)
        )
        try:
            await self._canary.prove(self._record)
        except (TargetUnusable, TargetUnreachable) as error:
            self._deliverer.stop(error)
        return self.open
