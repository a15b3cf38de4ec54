"""Outcomes to the journal: begin records before a slice's first row leaves, outcomes in group commits.

A commit is one write and one fsync in a worker thread; whatever was noted meanwhile makes up the next one.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Final, NamedTuple

import anyio
import anyio.to_thread
from anyio.abc import ObjectReceiveStream, ObjectSendStream

from pipeline.ledger.journal import Journal
from pipeline.records import NOT_THERE, UNSENT, Outcome, Status
from pipeline.stages.encode import Slice

#: With so many outcomes not yet durable, workers wait for the disk.
BACKLOG_LIMIT: Final = 50_000


#: Seconds between two commits that nobody waits for: each costs the processor and the disk as much as many rows do.
PAUSE: Final = 0.02

_STATUS: Final = attrgetter("status")


@dataclass(frozen=True, slots=True)
class Terms:
    """What becomes of rows that a walk began and got no answer about."""

    unsent: tuple[Status, str] = (Status.PENDING, UNSENT)  # of those that never left: what they are, and why
    repeatable: bool = False  # the same call once more does no harm: what got no answer is sent again
    unanswered: str | None = None  # why the others are in doubt; None: as it was in each case

    def of_unsent(self, *, doubted: bool) -> tuple[Status, str]:
        """What a row is that never left, and why; `doubted`: an earlier send of it got no answer, and nobody may forget
        that (see `Slicer`).
        """
        status, reason = self.unsent
        return status, NOT_THERE if doubted else reason


#: Those of adding.
ADDING: Final = Terms()


class Begun(NamedTuple):
    """A slice whose rows may be sent: that is on record, durably."""

    number: int
    piece: Slice


class Settler:
    """The only writer of a run's journal. `counts` holds the rows settled by delivery, by status."""

    def __init__(
        self,
        journal: Journal,
        on_settled: Callable[[int, Sequence[Outcome], Counter[Status]], None],
        claim: Callable[[int, Slice], None],
        terms: Terms,
        *,
        doubtful: int | None = None,
    ) -> None:
        """`on_settled` hears of all outcomes, with their slice's number and how many there are by status, before they
        are durable. `claim` puts down,
        durably and beside the journal, which contacts a slice may send (it blocks). `doubtful`: so many rows at most
        (or those of one slice) are begun and have no durable outcome, for after a crash they are in doubt; None: any
        number.
        """
        self._journal = journal
        self._on_settled = on_settled
        self._claim = claim
        self._terms = terms
        self._handed_over: dict[int, Slice] = {}  # begun, and not yet received by the workers
        self._noted: defaultdict[int, list[Outcome]] = defaultdict(list)  # by slice, to go with the next commit
        self._fresh: defaultdict[int, list[Outcome]] = defaultdict(list)  # of them, those that nobody has heard of
        self._backlog = 0
        self._doubtful = doubtful
        self._open = 0  # rows that were begun and have no durable outcome
        self._appended = 0  # commits asked for
        self._committed = 0
        self._work = anyio.Event()
        self._stirred = False  # whether it is set
        self._wanted = anyio.Event()  # somebody waits for the next commit
        self._done = anyio.Event()
        self._closing = False
        self._failure: Exception | None = None
        self.counts: Counter[Status] = Counter()

    def settle(self, slice_number: int, outcome: Outcome) -> None:
        """Note what became of a row; it is durable with the next commit."""
        self.accept(slice_number, outcome)
        self.tell()

    def accept(self, slice_number: int, outcome: Outcome) -> None:
        """Note that a row was accepted, at the least cost; it is told of with the next commit."""
        self._fresh[slice_number].append(outcome)
        if not self._stirred:
            self._stir()

    def tell(self) -> None:
        """Count what was noted, and let it be heard of."""
        fresh, self._fresh = self._fresh, defaultdict(list)
        for number, outcomes in fresh.items():
            self._noted[number] += outcomes
            self._backlog += len(outcomes)
            found = Counter(map(_STATUS, outcomes))
            self.counts.update(found)
            self._on_settled(number, outcomes, found)

    def _stir(self) -> None:
        self._stirred = True
        self._work.set()

    @property
    def crowded(self) -> bool:
        """Whether so much waits for the disk that workers should wait too."""
        return self._backlog > BACKLOG_LIMIT

    @property
    def lag(self) -> int:
        """Outcomes that are not durable yet; may be asked for from another thread."""
        return self._backlog + sum(map(len, tuple(self._fresh.values())))

    async def begin(self, piece: Slice) -> int:
        """Put on record, durably, that the rows of a slice may now be sent; returns the slice's number."""
        if self._doubtful is not None:
            while self._open and self._open + len(piece.positions) > self._doubtful:
                await self._next_commit()
        self._open += len(piece.positions)
        rows = len(piece.positions) + len(piece.known)
        if piece.positions:  # before the journal knows of it: others learn of such a run from the claim alone
            await anyio.to_thread.run_sync(self._claim, self._journal.next_slice, piece)
        number = self._journal.begin(piece.start, piece.stop, rows, piece.digest, piece.known)
        self._handed_over[number] = piece
        await self.durable()
        if piece.known:
            self._on_settled(number, piece.known, Counter(map(_STATUS, piece.known)))
        return number

    def received(self, number: int) -> None:
        """The workers have a begun slice; its rows are theirs to settle from now on."""
        del self._handed_over[number]

    def release(self, settled_at: int) -> None:
        """Settle as unsent the rows of slices that were begun and never reached the workers."""
        for number, piece in self._handed_over.items():
            for position in piece.positions:
                status, reason = self._terms.of_unsent(doubted=position in piece.doubted)
                attempts = piece.attempts.get(position, 0)
                self.settle(number, Outcome(position, status, None, reason, attempts, None, settled_at, None))
        self._handed_over.clear()

    async def note(self, event: str, **fields: str | int | float | bool | list[str] | None) -> None:
        """Put an event of the run on record, durably."""
        self._journal.note(event, fields)
        await self.durable()

    async def durable(self) -> None:
        """Wait until everything noted so far is on disk. Raises MachineFailed where that failed."""
        self._appended += 1
        wanted = self._appended
        self._stir()
        while self._committed < wanted:
            await self._next_commit()

    async def _next_commit(self) -> None:
        if self._failure is not None:
            raise self._failure
        self._wanted.set()
        await self._done.wait()

    async def run(self) -> None:
        """Commit until closed. Raises MachineFailed when the disk does not take it."""
        try:
            while True:
                await self._work.wait()
                with anyio.move_on_after(PAUSE):
                    await self._wanted.wait()
                self._work, self._stirred, self._wanted = anyio.Event(), False, anyio.Event()
                wanted = self._appended
                await self._commit()
                self._committed = wanted
                done, self._done = self._done, anyio.Event()
                done.set()
                if self._closing and not (self._fresh or self._noted) and self._committed == self._appended:
                    return
        except Exception as error:
            self._failure = error
            self._done.set()
            raise

    async def _commit(self) -> None:
        self.tell()
        noted, self._noted = self._noted, defaultdict(list)
        for number, outcomes in noted.items():
            self._journal.settle(number, outcomes)
        with anyio.CancelScope(shield=True):  # a commit is short, and half a commit helps nobody
            await anyio.to_thread.run_sync(self._journal.commit)
        durable = sum(len(outcomes) for outcomes in noted.values())
        self._backlog -= durable
        self._open -= durable

    def close(self) -> None:
        """Let `run` end once everything is durable."""
        self._closing = True
        self._wanted.set()
        self._stir()


async def begin(receive: ObjectReceiveStream[Slice], send: ObjectSendStream[Begun], settler: Settler) -> None:
    """The stage before deliver: puts each slice on record; both ends closed."""
    async with receive, send:
        async for piece in receive:
            await send.send(Begun(await settler.begin(piece), piece))
