"""Sends the rows of one walk: the stages in a task group, the canary before the rest, thresholds, and stopping."""

import asyncio
import functools
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from time import monotonic
from typing import Any, Final, Protocol

import anyio
import polars as pl
from anyio.abc import TaskGroup

from pipeline.errors import MachineFailed, RunError, SourceError
from pipeline.ledger.journal import Journal
from pipeline.records import Batch, Outcome, Screened, Status
from pipeline.run.accounting import Course
from pipeline.run.canary import Canary, CanaryGate
from pipeline.run.job import Job
from pipeline.run.outcome import Threshold
from pipeline.run.progress import Progress
from pipeline.sessions import SessionPool
from pipeline.stages.deliver import Deliverer
from pipeline.stages.encode import Known, Slice, Slicer, Writer, encode
from pipeline.stages.screen import Screens, screen
from pipeline.stages.sender import Sender
from pipeline.stages.settle import ADDING, Begun, Settler, Terms, begin

#: Rows that end so are problems, to be told of.
TROUBLING: Final = (Status.REJECTED, Status.FAILED, Status.IN_DOUBT)


class RowCall(Writer, Sender[Any], Protocol):
    """What is written and sent for a row."""


class Delivery:
    """One walk that sends; made anew for each. How it went is told to `course` and `progress`.

    `call` is what is done for a row of `job`, in one word `phase`. `counts` are the rows settled so far, by status;
    `total` is how many there are, None: not known. `standing` and `known` tell which rows need not be sent (see
    `Slicer`), `claim` puts down what may be (see `Settler`). `canary`: what goes first, until it has passed; None:
    there is none. `terms` say what becomes of rows without an answer.
    """

    def __init__(
        self,
        job: Job,
        call: RowCall,
        pool: SessionPool[Any],
        journal: Journal,
        screener: Screens,
        *,
        course: Course,
        progress: Progress,
        threshold: Threshold,
        counts: Counter[Status],
        total: int | None,
        standing: Callable[[int, int], pl.DataFrame] | None,
        known: Known | None,
        claim: Callable[[int, Slice], None],
        canary: Canary | None,
        terms: Terms = ADDING,
        doubtful: int | None = None,
        phase: str = "sending",
    ) -> None:
        self._call = call
        self._slice_rows = job.slice_rows
        self._phase = phase
        self._pool = pool
        self._read = job.read
        self._screener = screener
        self._surroundings = surroundings = job.surroundings
        self._stopping = surroundings.stopping
        self._course = course
        self._progress = progress
        self._threshold = threshold
        self._counts = counts
        self._total = total
        self._standing = standing
        self._known = known
        self._stop_within = job.settings.delivery.stop_within
        self._settler = Settler(journal, self._settled, claim, terms, doubtful=doubtful)
        self._deliverer: Deliverer[Any] = Deliverer(
            self._call,
            pool,
            self._settler,
            job.settings.delivery,
            terms=terms,
            wall_clock=surroundings.wall_clock,
            random=surroundings.random,
            clock=asyncio.get_running_loop().time,
            troubles=progress.troubles,
        )
        retries = {name: channel.retries for name, channel in job.settings.contacts.channels.items()}
        self._canary = 0 if canary is None or canary.passed else canary.rows
        self._gate: CanaryGate | None = None
        if canary is not None and self._canary:
            self._gate = CanaryGate(canary, self._settler, self._deliverer, retries=retries)
        self.last_doubt = float("-inf")  # when the last request was given up that may have left, on the loop's clock

    @property
    def accepted(self) -> int:
        """Rows that the target accepted."""
        return self._settler.counts[Status.ACCEPTED]

    async def run(self, *, observing: bool) -> None:
        """Send the rows. `observing`: count what screening settles on the way, since no survey has done so."""
        course, deliverer = self._course, self._deliverer
        self._progress.phase = "canary" if self._canary else self._phase
        self._progress.counts = self._counts
        self._progress.lag = lambda: self._settler.lag
        self._progress.deliverer = deliverer
        async with anyio.create_task_group() as group:
            group.start_soon(self._settler.run)
            with (
                anyio.CancelScope() as scope,
                self._stopping.acting(functools.partial(self._stop, group, scope), self._stop_words),
            ):
                await self._stages(self._observe if observing else None)
            self._settler.release(int(self._surroundings.wall_clock() * 1000))
            self._settler.close()
        self._progress.deliverer = None
        course.failure, course.received = deliverer.failure, self._stopping.received
        if deliverer.first_sent is not None and deliverer.last_answer is not None:
            course.sending += max(0.0, deliverer.last_answer - deliverer.first_sent)

    async def _stages(self, observe: Callable[[Screened], None] | None) -> None:
        canary, gate = self._canary, self._gate
        slicer = Slicer(
            self._call,
            canary=canary,
            rows=self._slice_rows,
            wall_clock=self._surroundings.wall_clock,
            standing=self._standing,
            known=self._known,
        )
        to_screen, read_batches = anyio.create_memory_object_stream[Batch](1)
        to_encode, screened = anyio.create_memory_object_stream[Screened](1)
        to_begin, slices = anyio.create_memory_object_stream[Slice](1)
        to_deliver, begun = anyio.create_memory_object_stream[Begun](0)
        stages = (
            functools.partial(self._read, to_screen),
            functools.partial(screen, read_batches, to_encode, self._screener),
            functools.partial(encode, screened, to_begin, slicer, gate, canary=canary, observe=observe),
            functools.partial(begin, slices, to_deliver, self._settler),
        )
        async with anyio.create_task_group() as group:
            for stage in stages:
                group.start_soon(_stage, stage, self._deliverer)
            await self._deliverer.run(begun)
            group.cancel_scope.cancel()  # whatever stands before has nobody to work for any more

    def _observe(self, screened: Screened) -> None:
        """Count what screening settles, and what was settled before, where no survey has done so."""
        counts = dict(screened.contacts["status"].drop_nulls().value_counts().iter_rows())
        self._counts.update({Status(status): count for status, count in counts.items()})
        if self._standing is not None:
            batch = screened.batch
            sendable = screened.contacts["status"].is_null().arg_true() + batch.start
            told = self._standing(batch.start, batch.stop)
            told = told.filter(pl.col("position").is_in(sendable.cast(pl.UInt64).implode()))
            counts = dict(told["status"].value_counts().iter_rows())
            self._counts.update({Status(s): count for s, count in counts.items() if s != Status.PENDING.value})
        self._judge()

    def _settled(self, number: int, outcomes: Sequence[Outcome], found: Counter[Status]) -> None:
        """Hear of all rows that delivery settles, and how many they are by status."""
        progress = self._progress
        self._counts.update(found)
        left = sum(outcome.sent_at is not None for outcome in outcomes)
        self._course.sent += left
        if found[Status.IN_DOUBT] and any(o.status is Status.IN_DOUBT and o.attempts for o in outcomes):
            self.last_doubt = anyio.current_time()
        progress.sent += len(outcomes)
        progress.answered += left
        progress.latencies.hear(outcomes)
        if self._gate is not None and not self._gate.open:
            self._gate.settled(number, outcomes)
        elif progress.phase == "canary":
            progress.phase = self._phase
        if len(outcomes) > found[Status.ACCEPTED]:
            for outcome in outcomes:
                if outcome.status in TROUBLING and outcome.attempts:
                    progress.troubles.row(outcome.status, outcome.reason)
            self._judge()

    def _judge(self) -> None:
        if (error := self._threshold.judge(self._counts, self._total)) is not None:
            self._deliverer.stop(error)

    def _stop(self, group: TaskGroup, scope: anyio.CancelScope) -> None:
        """A signal while rows are sent: finish what is in flight; at the second, or after a while, give that up too."""
        if self._progress.phase == "stopping":
            scope.cancel()
            return
        self._progress.phase = "stopping"
        self._progress.stop_by = monotonic() + self._stop_within
        self._deliverer.stop()
        group.start_soon(self._give_up, scope)

    def _stop_words(self, again: str) -> str:
        """What a signal does now; `again` names another one."""
        if self._progress.phase == "stopping":
            return "waiting for nothing: what is in flight is in doubt"
        calls = self._deliverer.in_flight
        if not calls:
            return "nothing is in flight"
        return (
            f"finishing {calls:,} call{'' if calls == 1 else 's'} in flight, at most {self._stop_within:g} s; "
            f"{again} again to wait for nothing"
        )

    async def _give_up(self, scope: anyio.CancelScope) -> None:
        with anyio.move_on_after(self._stop_within):
            await self._deliverer.ended.wait()
        scope.cancel()


async def _stage(stage: Callable[[], Awaitable[None]], deliverer: Deliverer[Any]) -> None:
    """Run a stage; when it fails, what is in flight still finishes."""
    try:
        await stage()
    except anyio.BrokenResourceError:
        pass  # the stages behind it have ended
    except SourceError as error:
        # Rows may have been sent already, so this is no mistake of usage any more.
        deliverer.stop(MachineFailed(f"The source could not be read to its end: {error}"))
    except RunError as error:
        deliverer.stop(error)
