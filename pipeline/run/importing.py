"""One import from source to ledger: survey, journal, sending, and the account of it all."""

import functools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio.to_thread

from pipeline.config import Settings, read_secrets
from pipeline.errors import ConfigError, MachineFailed, RunError, UsageError
from pipeline.ledger import campaign, lines
from pipeline.ledger.journal import Journal
from pipeline.ledger.lines import FINISHED
from pipeline.ledger.rundirectory import STDIN, RunDirectory, default_path
from pipeline.ledger.state import State
from pipeline.records import Screened, Status
from pipeline.run import describing, expecting, inputs, online, run_campaign
from pipeline.run.accounting import Course, account
from pipeline.run.failures import as_run_error
from pipeline.run.job import SURVEYED, Earlier, ImportOptions, Job, sendable
from pipeline.run.notifying import notify
from pipeline.run.outcome import Result, Threshold
from pipeline.run.progress import Progress
from pipeline.run.recorded import UNDONE
from pipeline.run.reporting import write_report
from pipeline.run.sending import Sending
from pipeline.run.standard_input import WORDS, StandardInput
from pipeline.run.surroundings import Surroundings
from pipeline.run.surveying import Confirm, Surveying
from pipeline.stages.columns import check_columns
from pipeline.stages.read import Source
from pipeline.stages.screen import load_suppression
from pipeline.stages.survey import Survey
from pipeline.wire import client_factory


async def import_contacts(
    settings: Settings | Path | str,
    sources: Sequence[Source | StandardInput | Path | str],
    options: ImportOptions | None = None,
    *,
    progress: Progress | None = None,
    confirm: Confirm | None = None,
    surroundings: Surroundings | None = None,
    **choices: Any,
) -> Result:
    """Import `sources` into the target's campaign, and write of every row what became of it.

        result = await import_contacts("my.toml", ["my-list.csv"], limit=10)
        print(result.summary.counts, result.summary.run_dir)

    `settings` are made already, or a configuration file; `sources` opened ones, or paths and globs. `choices` are
    fields of ImportOptions, in the place of those of `options`. `progress` is kept up to date meanwhile; `confirm` is
    shown the survey and may decline (UsageError, nothing was sent).

    How a run that was begun ends stands in the result: `summary.exit_code` as the command's, `error` in words. Raises
    RunError only where there is no run to give account of (ConfigError with every mistake, Busy). When it is cancelled,
    sessions are closed, the journal too, and `pipeline.run.resume_run(run_dir)` goes on. Needs a loop of asyncio,
    uvloop's or another; imports into different campaigns may go on beside each other. Signals, garbage collection and
    the handlers of logs are left alone: log records go to the logger "contact_pipeline".
    """
    given = await anyio.to_thread.run_sync(inputs.given, settings, sources, options, choices)
    return await _Import(*given, progress, surroundings, confirm=confirm).run()


async def check_contacts(
    settings: Settings | Path | str,
    sources: Sequence[Source | StandardInput | Path | str],
    options: ImportOptions | None = None,
    *,
    progress: Progress | None = None,
    surroundings: Surroundings | None = None,
    **choices: Any,
) -> Result:
    """Everything but the target: `pending` in the ledger are the rows that would be sent.

    Used like `import_contacts`.
    """
    given = await anyio.to_thread.run_sync(inputs.given, settings, sources, options, choices)
    return await _Import(*given, progress, surroundings, checking=True).run()


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
        sources: Sequence[Source | StandardInput],
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
        self._given = tuple(sources)
        self._sources = tuple(source for source in sources if isinstance(source, Source))  # until all are at hand
        self._options = options = options or ImportOptions()
        self._progress = progress or Progress()
        self._progress.system, self._progress.campaign = settings.target.system, settings.target.campaign
        self._progress.limit = options.limit
        self._surroundings = surroundings or Surroundings()
        self._confirm = confirm
        self._checking = checking
        self._stopping = self._surroundings.stopping
        self._course = Course()
        self._job: Job
        self._surveying: Surveying
        self._state: State | None = None  # None: a check of a campaign that nothing is known of
        self._number: int | None = None  # the run's number there; None: a check

    async def run(self) -> Result:
        """The whole way, with signals watched beside it where that was asked for."""
        async with self._stopping.watching(signals=self._options.signals):
            with ExitStack() as stack:
                result = await self._run(stack)
            if not self._checking:  # nobody waits for the campaign meanwhile: its lock is given back
                with self._stopping.cancelling():
                    await notify(self._settings, result.summary)
            return result

    async def _run(self, stack: ExitStack) -> Result:
        """`stack` holds the locks."""
        if self._earlier is not None:
            return await self._resume(self._earlier, stack)
        options = self._options
        expecting.check_expectations(options.expect, self._given, stream=options.stream and not self._checking)
        first = self._given[0]
        label = STDIN if isinstance(first, StandardInput) else Path(first.name).name
        directory = RunDirectory.create(options.run_dir or default_path(describing.now(), label))
        self._progress.run_dir = directory.path
        stack.enter_context(directory.locked())
        directory.clear()
        try:
            lists = self._settings.contacts.suppress
            await directory.keep("suppress", lists, called="the do-not-contact list of contacts.suppress")
            await anyio.to_thread.run_sync(self._make_job, directory, ())
            self._sources = await self._spooled(directory)
            description = await anyio.to_thread.run_sync(self._prepare, directory)
            self._hold_campaign(stack)
            seen = await self._look(stack) if self._checking and options.online else None
            self._stopping.check()
            self._surveying = Surveying(self._job, self._state, seen, self._course, self._progress)
            survey = None
            if options.stream and not self._checking:
                await self._surveying.leave_out()
            else:
                survey = await self._surveying.survey(self._confirm)
            self._stopping.check()
        except RunError:
            directory.discard()  # nothing was begun, so there is no run to keep
            raise
        to_send = (Status.PENDING, Status.CHANGED) if options.upsert else (Status.PENDING,)
        asked = options.campaign is not None or options.activate
        nothing_to_send = not asked and survey is not None and not any(survey.counts[status] for status in to_send)
        header = description.header(rows=survey.rows if survey else None)
        send = not (self._checking or self._course.failure or nothing_to_send)
        disk = self._surroundings.disk
        await self._with_journal(
            functools.partial(Journal.create, directory.journal, header, disk=disk), header.run_id, send=send
        )
        return await self._account(survey, sent=send)

    async def _resume(self, earlier: Earlier, stack: ExitStack) -> Result:
        """The same way from where the journal ends."""
        header = earlier.recovery.header
        self._progress.run_dir, self._progress.rows = earlier.directory.path, header.rows
        self._progress.to_send = sendable(earlier.recovery.notes)
        await anyio.to_thread.run_sync(self._make_job, earlier.directory, header.sources)
        self._hold_campaign(stack)
        assert self._state is not None
        if await anyio.to_thread.run_sync(self._state.undone, header.run_id):
            raise UsageError(UNDONE.format(directory=earlier.directory.path))
        # A run of nothing but duplicates that was killed before its account: the state may tell otherwise by now.
        unaccounted = earlier.recovery.slices.is_empty()
        self._surveying = Surveying(self._job, self._state, None, self._course, self._progress, total=header.rows)
        if self._options.max_bad is not None or (self._options.expect and unaccounted):
            await self._surveying.judge_again(earlier.recovery)
        send = bool(earlier.again) or not earlier.recovery.finished or unaccounted
        send = send and self._course.failure is None
        disk = self._surroundings.disk
        await self._with_journal(
            functools.partial(Journal.resume, earlier.recovery, disk=disk), header.run_id, send=send
        )
        return await self._account(None, sent=send or len(earlier.recovery.slices) > 0)

    # --- before the first row ---------------------------------------------------------------------------------------

    async def _spooled(self, directory: RunDirectory) -> tuple[Source, ...]:
        """The sources, standard input as the file that it is from now on. Raises ConfigError, and as `spooled` does."""
        sources: list[Source] = []
        for given in self._given:
            if isinstance(given, Source):
                sources.append(given)
                continue
            self._progress.phase = "reading"
            with self._stopping.cancelling():
                sources.append(await given.spooled(directory))
            self._stopping.check()
            if problems := check_columns(sources[-1].columns, self._settings.contacts, WORDS):
                raise ConfigError(problems)
        return tuple(sources)

    def _prepare(self, directory: RunDirectory) -> describing.Description:
        """The record of the run; blocks, as the sources are read whole for it."""
        options = self._options
        with self._progress.hashing(self._sources) as passed:
            description = describing.describe(
                self._settings, self._sources, options, checking=self._checking, passed=passed
            )
        if options.campaign is not None:
            run_campaign.keep(options.campaign, directory)
        self._job = replace(self._job, sources=self._sources, recorded=description.sources)
        directory.write_private("run.toml", description.toml)
        return description

    def _make_job(self, directory: RunDirectory, recorded: tuple[lines.Source, ...]) -> None:
        settings, surroundings = self._settings, self._surroundings
        clients = None
        if not self._checking or self._options.online:
            if problems := settings.target.unfilled:
                raise ConfigError(problems)
            read_secrets(settings.target)
            if self._earlier is None and not self._checking:
                read_secrets(settings.notify)
            clients = surroundings.clients or client_factory(settings.http, settings.delivery.timeout)
        module = surroundings.module(settings.target.system)
        target = module.create(settings, clients, directory.path / "contract")
        assert target.rows is not None, "such a system is refused when the configuration is read"
        if self._options.upsert and target.lookup is None:
            raise UsageError(f"a target of system {settings.target.system} has no call that updates: leave out --mode")
        run_campaign.check(self._options, target, settings.target.system)
        suppression = load_suppression(directory.kept("suppress"), settings.contacts, surroundings.authorities)
        self._job = Job(settings, self._options, surroundings, directory, self._sources, recorded, target, suppression)

    def _hold_campaign(self, stack: ExitStack) -> None:
        """Be the only run of the campaign; a check only looks. Raises Busy."""
        target = self._settings.target
        open_state = campaign.peek if self._checking else campaign.held
        self._state = stack.enter_context(
            open_state(describing.state_directory(self._settings), target.identity, target.campaign)
        )

    async def _look(self, stack: ExitStack) -> online.Seen | None:
        """Ask the target, for a check; None: a signal came. Raises TargetUnreachable, TargetUnusable, MachineFailed."""
        seen = None
        with self._stopping.cancelling():
            seen = await online.look(self._job, self._state, self._progress)
            if seen.listed is not None:
                stack.callback(seen.listed.close)
        return seen

    # --- sending ----------------------------------------------------------------------------------------------------

    async def _with_journal(self, open_journal: Callable[[], Journal], run_id: str, *, send: bool) -> None:
        """Send with a journal; whatever ends it early is kept in the course."""
        course = self._course
        journal = await anyio.to_thread.run_sync(open_journal)
        in_doubt = 0
        try:
            # From here on it says less than the journal, and a kill must not leave it standing as the verdict.
            self._job.directory.summary.unlink(missing_ok=True)
            self._job.directory.report.unlink(missing_ok=True)
            if not self._checking:
                assert self._state is not None
                directory = self._job.directory.path.absolute()
                now = self._surroundings.wall_clock()
                self._number = await anyio.to_thread.run_sync(self._state.enter, run_id, directory, now)
            if self._earlier is None and self._progress.to_send is not None:
                # So that a resumption can tell what is left.
                journal.note(SURVEYED, {"to_send": self._progress.to_send})
            if send:
                assert self._state is not None
                assert self._number is not None
                sending = Sending(
                    self._job,
                    self._state,
                    self._number,
                    journal,
                    earlier=self._earlier,
                    course=course,
                    progress=self._progress,
                    threshold=Threshold(self._options.max_bad),
                    counts=self._surveying.counts,
                    total=self._surveying.total,
                )
                await sending.run()
                in_doubt = sending.in_doubt
            if course.failure is None and course.received is None and not in_doubt:
                journal.note(FINISHED, {})
            else:
                why = type(course.failure).__name__ if course.failure else "signal" if course.received else "doubt"
                journal.note("stopped", {"why": why})
            await anyio.to_thread.run_sync(journal.commit)
        except Exception as error:  # noqa: BLE001 - whatever happened, the account of the rows must be written
            course.failure = as_run_error(error)
        finally:
            journal.close()

    # --- the account ------------------------------------------------------------------------------------------------

    async def _account(self, survey: Survey | None, *, sent: bool) -> Result:
        """Ledger and summary. Raises MachineFailed where they cannot be written."""
        self._progress.phase = "writing"
        # Where rows were sent the journal says which ones were there already.
        walk = self._job.screened()
        if not sent and (known := self._surveying.known()) is not None:
            walk = map(known.applied, walk)
        state = self._state if sent else None
        try:
            counted = self._counted(walk)
            summary = await anyio.to_thread.run_sync(account, self._job, counted, self._course, state, self._number)
        except MachineFailed as error:
            if self._course.failure is None:
                raise
            raise MachineFailed(f"{self._course.failure}\n{error}") from None
        await anyio.to_thread.run_sync(write_report, self._job.directory)
        self._progress.counts = Counter({Status(s): n for s, n in summary.counts.items() if n})
        self._progress.rows = summary.rows
        self._progress.phase = "done"
        return Result(summary, summary.error, survey)

    def _counted(self, walk: Iterator[Screened]) -> Iterator[Screened]:
        """The same, told of when each batch stands in the ledger."""
        for screened in walk:
            yield screened
            self._progress.accounted = screened.batch.stop
