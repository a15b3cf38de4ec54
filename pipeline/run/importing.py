"""One import from source to ledger: survey, canary, the stages in a task group, and the account of it all."""

import functools
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from traceback import extract_tb
from typing import Any

import anyio
import anyio.to_thread

from pipeline.config import Settings, Share, read_secrets
from pipeline.errors import (
    MachineFailed,
    NotDelivered,
    OutcomeUnknown,
    RunError,
    TargetUnreachable,
    UsageError,
)
from pipeline.ledger import lines
from pipeline.ledger.journal import Journal
from pipeline.ledger.lines import FINISHED
from pipeline.ledger.recovery import Recovery, recover
from pipeline.ledger.rundirectory import RunDirectory, default_path
from pipeline.ledger.summary import Summary
from pipeline.logs import logger
from pipeline.records import Screened, Status
from pipeline.run import describing, reconciling
from pipeline.run.accounting import Course, account
from pipeline.run.asking import ask
from pipeline.run.delivering import Delivery
from pipeline.run.outcome import Threshold
from pipeline.run.progress import Progress
from pipeline.run.surroundings import Surroundings
from pipeline.sessions import SessionPool
from pipeline.stages.canary import Verdict
from pipeline.stages.read import Source, batches, read
from pipeline.stages.screen import Screener, Suppression, load_suppression
from pipeline.stages.survey import Survey
from pipeline.targets import Target
from pipeline.wire import client_factory

#: A resumed run asks the target what became of rows in doubt before it sends, and once more afterwards.
ROUNDS = 2

Confirm = Callable[[Survey], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """What a person chooses for one run, beside the settings."""

    run_dir: Path | None = None  # default: runs/<UTC time>-<source name>
    limit: int | None = None  # the first so many rows
    canary: int = 5  # rows that go first and are read back; 0: none
    max_bad: Share | None = None  # stop at more invalid, rejected and failed rows
    tolerate: Share | None = None  # so many of them still end with 0
    stream: bool = False  # no survey
    wave: str | None = None  # the same people once more: part of the contact ids
    command: tuple[str, ...] = ()  # for the record
    signals: bool = False  # stop on SIGINT and SIGTERM


@dataclass(frozen=True, slots=True)
class Result:
    """How a run ended. `error` says in words why it did not end normally."""

    summary: Summary
    error: str | None = None
    survey: Survey | None = None


async def import_contacts(
    settings: Settings,
    sources: Sequence[Source],
    options: ImportOptions | None = None,
    *,
    progress: Progress | None = None,
    confirm: Confirm | None = None,
    surroundings: Surroundings | None = None,
) -> Result:
    """Import `sources` into the target's campaign, and write of every row what became of it.

    `confirm` is shown the survey and may decline (UsageError, nothing was sent). Raises RunError only where there is no
    run to give account of.
    """
    return await _Import(settings, sources, options, progress, surroundings, confirm=confirm).run()


async def check_contacts(
    settings: Settings,
    sources: Sequence[Source],
    options: ImportOptions | None = None,
    *,
    progress: Progress | None = None,
    surroundings: Surroundings | None = None,
) -> Result:
    """Everything but the target: `pending` in the ledger are the rows that would be sent."""
    return await _Import(settings, sources, options, progress, surroundings, checking=True).run()


@dataclass(frozen=True, slots=True)
class Earlier:
    """A run that was begun and is gone on with."""

    directory: RunDirectory
    recovery: Recovery
    again: tuple[Status, ...]  # rows of these statuses are sent once more


async def resume_contacts(
    settings: Settings,
    sources: Sequence[Source],
    options: ImportOptions,
    earlier: Earlier,
    *,
    progress: Progress | None = None,
    surroundings: Surroundings | None = None,
) -> Result:
    """Go on with a run that was stopped, killed or has crashed: settle what is in doubt, then send the rest."""
    return await _Import(settings, sources, options, progress, surroundings, earlier=earlier).run()


class _Import:
    """The state of one import. `earlier` is None for a run that is not resumed."""

    def __init__(
        self,
        settings: Settings,
        sources: Sequence[Source],
        options: ImportOptions | None,
        progress: Progress | None,
        surroundings: Surroundings | None,
        *,
        confirm: Confirm | None = None,
        checking: bool = False,
        earlier: Earlier | None = None,
    ) -> None:
        self._earlier = earlier
        self._settings = settings
        self._sources = list(sources)
        self._options = options = options or ImportOptions()
        self._progress = progress or Progress()
        self._surroundings = surroundings or Surroundings()
        self._confirm = confirm
        self._checking = checking
        self._threshold = Threshold(options.max_bad)
        self._suppression = Suppression()
        self._stopping = self._surroundings.stopping
        self._course = Course()
        self._counts: Counter[Status] = Counter()  # rows settled so far, by screening and delivery
        self._total: int | None = None  # rows of the input, once they are known
        self._target: Target
        self._directory: RunDirectory
        self._recorded: tuple[lines.Source, ...]  # the sources as they were when the run began
        self._began: float  # on the loop's clock
        self._canary_passed = False
        self._recovery: Recovery | None = None  # where rows stand that were begun before

    async def run(self) -> Result:
        """The whole way, with signals watched beside it where that was asked for."""
        self._began = anyio.current_time()
        try:
            async with anyio.create_task_group() as group:
                if self._options.signals:
                    group.start_soon(self._stopping.watch)
                result = await self._run()
                group.cancel_scope.cancel()
        except BaseExceptionGroup as errors:
            raise _first(errors) from errors
        return result

    async def _run(self) -> Result:
        if self._earlier is not None:
            return await self._resume(self._earlier)
        options = self._options
        source = Path(self._sources[0].name).name
        self._directory = RunDirectory.create(options.run_dir or default_path(describing.now(), source))
        self._progress.run_dir = self._directory.path
        with self._directory.locked():
            self._directory.clear()
            try:
                await self._directory.keep("suppress", self._settings.contacts.suppress)
                description = await anyio.to_thread.run_sync(self._prepare)
                self._stopping.check()
                survey = await self._survey()
                self._stopping.check()
            except RunError:
                self._directory.discard()  # nothing was begun, so there is no run to keep
                raise
            nothing_to_send = survey is not None and not survey.counts[Status.PENDING]
            if survey is not None:
                self._course.failure = self._threshold.judge(survey.counts, survey.rows)
            header = description.header(rows=survey.rows if survey else None)
            await self._with_journal(
                functools.partial(Journal.create, self._directory.journal, header, disk=self._surroundings.disk),
                send=not (self._checking or self._course.failure or nothing_to_send),
            )
            return await self._account(survey)

    async def _resume(self, earlier: Earlier) -> Result:
        """The same way from where the journal ends."""
        self._directory = earlier.directory
        self._recorded = earlier.recovery.header.sources
        self._total = earlier.recovery.header.rows
        self._progress.run_dir, self._progress.rows = earlier.directory.path, self._total
        await anyio.to_thread.run_sync(self._make_target)
        # From here on it says less than the journal, and a kill must not leave it standing as the verdict.
        self._directory.summary.unlink(missing_ok=True)
        to_send = bool(earlier.again) or not earlier.recovery.finished
        await self._with_journal(
            functools.partial(Journal.resume, earlier.recovery, disk=self._surroundings.disk), send=to_send
        )
        return await self._account(None)

    # --- before the first row ---------------------------------------------------------------------------------------

    def _prepare(self) -> describing.Description:
        """What blocks and may fail before anything is begun: contract, suppression lists, the record of the run."""
        options = self._options
        self._make_target()
        description = describing.describe(
            self._settings,
            self._sources,
            options.command,
            wave=options.wave,
            limit=options.limit,
            tolerate=options.tolerate,
        )
        self._recorded = description.sources
        self._directory.write_private("run.toml", description.toml)
        return description

    def _make_target(self) -> None:
        settings, surroundings = self._settings, self._surroundings
        clients = None
        if not self._checking:
            read_secrets(settings.target)
            clients = surroundings.clients or client_factory(settings.http, settings.delivery.timeout)
        module = surroundings.module(settings.target.system)
        self._target = module.create(settings, clients, self._directory.path / "contract")
        lists = self._directory.kept("suppress")
        self._suppression = load_suppression(lists, settings.contacts, surroundings.authorities)

    def _screener(self) -> Screener:
        return Screener(
            self._settings.contacts,
            campaign=self._settings.target.campaign,
            wave=self._options.wave,
            carrier=self._target,
            authorities=self._surroundings.authorities,
            suppression=self._suppression,
        )

    def _screened(self) -> Iterator[Screened]:
        """One walk over the whole input."""
        screener = self._screener()
        return map(screener.screen, batches(self._sources, limit=self._options.limit))

    async def _survey(self) -> Survey | None:
        if self._options.stream and not self._checking:
            return None
        progress = self._progress
        progress.phase = "surveying"
        began = monotonic()
        survey = Survey()
        walk = self._screened()
        with self._stopping.cancelling():
            while (screened := await anyio.to_thread.run_sync(next, walk, None)) is not None:
                survey.add(screened)
                progress.surveyed = survey.rows
                progress.counts = Counter({s: n for s, n in survey.counts.items() if s is not Status.PENDING})
            self._counts = progress.counts
            self._total = progress.rows = survey.rows
            progress.to_send = survey.counts[Status.PENDING]
            self._course.survey = monotonic() - began
            if self._confirm is not None and not await self._confirm(survey):
                raise UsageError("Stopped at the plan: nothing was sent.")
        return survey

    # --- sending ----------------------------------------------------------------------------------------------------

    async def _with_journal(self, open_journal: Callable[[], Journal], *, send: bool) -> None:
        """Deliver with a journal; whatever ends it early is kept in the course."""
        course = self._course
        journal = await anyio.to_thread.run_sync(open_journal)
        try:
            if send:
                await self._connected(journal)
            if course.failure is None and course.received is None and not self._counts[Status.IN_DOUBT]:
                journal.note(FINISHED, {})
            else:
                why = type(course.failure).__name__ if course.failure else "signal" if course.received else "doubt"
                journal.note("stopped", {"why": why})
            await anyio.to_thread.run_sync(journal.commit)
        except RunError as error:
            course.failure = error
        except Exception as error:  # noqa: BLE001 - whatever happened, the account of the rows must be written
            first = _first(error) if isinstance(error, BaseExceptionGroup) else error
            course.failure = first if isinstance(first, RunError) else _unexpected(first)
        finally:
            journal.close()

    async def _connected(self, journal: Journal) -> None:
        """Open a first session, prove the campaign, deliver, and close all sessions whatever happens."""
        delivery, course = self._settings.delivery, self._course
        pool: SessionPool[Any] = SessionPool(
            self._target,
            delivery.sessions,
            delivery.calls_per_session,
            self._settings.sessions,
            open_within=2 * delivery.timeout,
        )
        course.sessions = self._progress.sessions = pool.counts
        self._progress.phase = "connecting"
        try:
            with self._stopping.cancelling():
                async with pool.lease() as lease:
                    assert lease is not None
                    await ask(lease, self._target.prove, self._target.prepare)
                await anyio.to_thread.run_sync(self._check_unchanged)
            course.received = self._stopping.received
            if course.received is not None:
                return
            if self._earlier is None:
                await self._deliver(journal, pool)
            else:
                await self._take_up(self._earlier, journal, pool)
        except (NotDelivered, OutcomeUnknown) as error:
            raise TargetUnreachable(f"the target does not answer: {error.reason}. Try again later.") from None
        finally:
            await pool.aclose()
            course.learnt = (*self._target.learnt(), *course.learnt)

    async def _take_up(self, earlier: Earlier, journal: Journal, pool: SessionPool[Any]) -> None:
        """Settle what is in doubt, then send the rest; once more, as what was sent may be the control that lacked."""
        course, late = self._course, self._settings.delivery.late_effect
        # Nobody knows when the last request of a killed process left, but it was before this one began.
        not_before = self._began + late
        recovery, again = earlier.recovery, earlier.again
        for _ in range(ROUNDS):
            self._progress.phase = "reconciling"
            with self._stopping.cancelling():
                standing = await anyio.to_thread.run_sync(reconciling.survey, self._screened(), recovery, again)
                await reconciling.reconcile(
                    standing,
                    recovery,
                    journal,
                    self._target,
                    pool.quiet_lease(),
                    self._settings,
                    not_before,
                    wall_clock=self._surroundings.wall_clock,
                )
            course.received = self._stopping.received
            if course.received is not None:
                return
            self._recovery = recovery = await anyio.to_thread.run_sync(self._recover)
            self._counts, again = Counter(), ()
            sent = course.sent
            await self._deliver(journal, pool)
            if self._ended or not self._counts[Status.IN_DOUBT]:
                return
            if course.sent > sent:
                not_before = anyio.current_time() + late
            recovery = await anyio.to_thread.run_sync(self._recover)

    def _recover(self) -> Recovery:
        return recover(self._directory.journal, disk=self._surroundings.disk)

    @property
    def _ended(self) -> bool:
        return self._course.failure is not None or self._course.received is not None

    def _check_unchanged(self) -> None:
        """A plan may have been looked at for long: what is sent is what was surveyed."""
        if names := describing.changed(self._sources, self._recorded):
            raise MachineFailed(f"{', '.join(names)} changed since the run began; nothing was sent. Start a new run.")

    async def _deliver(self, journal: Journal, pool: SessionPool[Any]) -> None:
        """Send whatever may be sent and was not settled before."""
        options, course, target = self._options, self._course, self._settings.target
        delivery = Delivery(
            self._settings,
            self._target,
            pool,
            journal,
            functools.partial(read, self._sources, limit=options.limit),
            self._screener(),
            surroundings=self._surroundings,
            course=course,
            progress=self._progress,
            threshold=self._threshold,
            counts=self._counts,
            total=self._total,
            standing=self._recovery.standing if self._recovery is not None else None,
            canary=0 if self._proven else options.canary,
        )
        await delivery.run(observing=self._total is None or self._earlier is not None)
        self._canary_passed = self._canary_passed or delivery.proven
        if delivery.keeps_ids not in (None, target.keeps_ids):
            course.learnt = (f"target.keeps_ids = {str(delivery.keeps_ids).lower()}",)

    @property
    def _proven(self) -> bool:
        """Whether a canary of this run was read back already, or could not be."""
        notes = self._earlier.recovery.notes if self._earlier is not None else ()
        ends = (Verdict.PASSED.value, Verdict.UNPROVEN.value)
        return self._canary_passed or any(n.event == "canary" and n.fields.get("verdict") in ends for n in notes)

    # --- the account ------------------------------------------------------------------------------------------------

    async def _account(self, survey: Survey | None) -> Result:
        """Ledger and summary. Raises MachineFailed where they cannot be written."""
        self._progress.phase = "writing"
        summary = await anyio.to_thread.run_sync(
            functools.partial(
                account,
                self._directory,
                self._sources,
                self._recorded,
                self._screened(),
                self._settings,
                self._course,
                tolerate=self._options.tolerate,
                checking=self._checking,
                disk=self._surroundings.disk,
            )
        )
        self._progress.counts = Counter({Status(s): n for s, n in summary.counts.items() if n})
        self._progress.rows = summary.rows
        self._progress.phase = "done"
        return Result(summary, summary.error, survey)


def _unexpected(error: BaseException) -> MachineFailed:
    """A mistake of ours, without its text: that may hold anything."""
    frames = [frame for frame in extract_tb(error.__traceback__) if "pipeline" in frame.filename]
    place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    logger().error("run.unexpected", error=type(error).__name__, place=place.strip())
    return MachineFailed(
        f"An unexpected {type(error).__name__}{place} ended the run; this is a mistake in contact-pipeline, please "
        "report it. What became of the rows is in the ledger."
    )


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """The one exception that says most: an error of ours before any other."""
    flat: list[BaseException] = []
    stack: list[BaseException] = [errors]
    while stack:
        error = stack.pop()
        if isinstance(error, BaseExceptionGroup):
            stack.extend(error.exceptions)
        else:
            flat.append(error)
    return next((error for error in flat if isinstance(error, RunError)), flat[0])
