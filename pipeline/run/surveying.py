"""The survey of a run: its whole input is looked at, judged, and shown to whoever is asked, before any row leaves."""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from time import monotonic

import anyio.to_thread

from pipeline.errors import RunError, UsageError
from pipeline.ledger.recovery import Recovery
from pipeline.ledger.state import State
from pipeline.records import Screened, Status
from pipeline.run import expecting, run_campaign
from pipeline.run.accounting import Course
from pipeline.run.job import SCREENED_ROWS, Job
from pipeline.run.known import Known, held
from pipeline.run.online import Seen
from pipeline.run.outcome import Threshold
from pipeline.run.progress import Progress
from pipeline.stages.survey import Survey

#: Is shown the survey, and says whether to go on.
Confirm = Callable[[Survey], Awaitable[bool]]


class Surveying:
    """Walks over the whole input; made once for a run. Why nothing may be sent is told to `course`.

    `state` is None for a check of a campaign that nothing is known of, `seen` where the target was not asked. Found out
    is how many rows there are, `total` (None: not known), and how many of them screening has settled, `counts`.
    """

    def __init__(
        self,
        job: Job,
        state: State | None,
        seen: Seen | None,
        course: Course,
        progress: Progress,
        *,
        total: int | None = None,
    ) -> None:
        self._job = job
        self._state = state
        self._seen = seen
        self._course = course
        self._progress = progress
        self._threshold = Threshold(job.options.max_bad)
        self._stopping = job.surroundings.stopping
        self.counts: Counter[Status] = Counter()
        self.total = total

    async def survey(self, confirm: Confirm | None) -> Survey:
        """Look at everything, judge it, and ask whether to go on. Raises UsageError where that is declined."""
        progress, seen = self._progress, self._seen
        began = monotonic()
        survey = Survey(sources=self._job.sources, outlook=seen.outlook if seen is not None else ())
        walk = self._walk(self.known())
        with self._stopping.cancelling():
            while (both := await anyio.to_thread.run_sync(next, walk, None)) is not None:
                screened, judged = both
                survey.add(judged)
                progress.counts = Counter({s: n for s, n in survey.counts.items() if s is not Status.PENDING})
                # Rows that are there already are counted when their slice is begun.
                self.counts.update(_settled(screened))
            self.total = progress.rows = survey.rows
            progress.to_send = survey.counts[Status.PENDING]
            self._course.survey = monotonic() - began
            self._course.failure = self._threshold.judge(survey.counts, survey.rows)
            self._course.failure = self._course.failure or await self._unexpected(survey.counts)
            if self._course.failure is not None:
                return survey
            if confirm is not None:
                survey.outlook = await self._outlook()
            if confirm is not None and not await confirm(survey):
                raise UsageError("Stopped at the plan: nothing was sent.")
        return survey

    async def leave_out(self) -> None:
        """Judge the input by what `--expect` says of its files, without a survey."""
        self._course.failure = await self._unexpected({})

    async def judge_again(self, recovery: Recovery) -> None:
        """`--max-bad` stands before the first row of a resumed run too: what screening refuses and what the target has
        refused. So does `--expect`, as long as no row has left. Raises Interrupted.
        """
        counts: Counter[Status] = Counter()
        expecting_still = bool(self._job.options.expect) and recovery.slices.is_empty()
        survey = Survey(sources=self._job.sources)
        with self._stopping.cancelling():
            walk = self._walk(self.known() if expecting_still else None)
            while (both := await anyio.to_thread.run_sync(next, walk, None)) is not None:
                screened, judged = both
                counts.update(_settled(screened))
                if expecting_still:
                    survey.add(judged)
                self.total = screened.batch.stop
        self._stopping.check()
        told = await anyio.to_thread.run_sync(recovery.settled_counts)
        counts.update({Status(status): number for status, number in told.items()})
        self._course.failure = self._threshold.judge(counts, self.total)
        if expecting_still and self._course.failure is None:
            self._course.failure = await self._unexpected(survey.counts)

    def known(self) -> Known | None:
        """Knows the rows that an earlier run has brought into the campaign; None: there are none, or nobody asks."""
        listed = self._seen.listed if self._seen is not None else None
        state = self._state if "state" in self._job.settings.state.known else None
        if listed is None and (state is None or state.blank):
            return None
        return Known(state, listed, upsert=self._job.options.upsert)

    def _walk(self, known: Known | None) -> Iterator[tuple[Screened, Screened]]:
        """The whole input: each batch as it was screened, and as that is judged by what is `known`."""
        progress = self._progress
        progress.phase = "surveying"
        progress.size = sum(source.size for source in self._job.sources)

        def passed(size: int) -> None:
            progress.passed = size

        for screened in self._job.screened(passed, rows=SCREENED_ROWS):
            progress.surveyed = screened.batch.stop
            yield screened, known.applied(screened) if known else screened

    async def _unexpected(self, counts: Mapping[Status, int]) -> RunError | None:
        """The error to stop with, where the list is not as `--expect` says. Raises SourceError."""
        expected, now = self._job.options.expect, self._job.surroundings.wall_clock()
        return await anyio.to_thread.run_sync(expecting.judge, expected, counts, self._job.sources, now)

    async def _outlook(self) -> Sequence[str]:
        """What is to be known of the campaign before anybody agrees, in sentences. Raises RunError."""
        assert self._state is not None, "a check asks nobody"
        told = await anyio.to_thread.run_sync(held, self._job, self._state)
        if (campaigns := self._job.target.campaigns) is not None:
            told.extend(await run_campaign.outlook(self._job, campaigns))
        return told


def _settled(screened: Screened) -> dict[Status, int]:
    """The rows of a batch that screening has settled, by status."""
    return {
        Status(status): count for status, count in screened.contacts["status"].drop_nulls().value_counts().iter_rows()
    }
