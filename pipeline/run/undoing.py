"""Takes back what a run has added: deletes its contacts from the campaign, with a journal and a ledger of their own.

Both lie in `undo/` of the run directory, whose own files stay as they are: they say what the run did. From the moment
that there is a journal in `undo/` the run cannot be resumed.
"""

import functools
import shlex
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Final

import anyio.to_thread
from msgspec.structs import replace

from pipeline.errors import Busy, MachineFailed, UsageError
from pipeline.ledger import accounts, campaign
from pipeline.ledger.journal import Journal
from pipeline.ledger.lines import FINISHED
from pipeline.ledger.recovery import NothingBegun, Recovery, recover
from pipeline.ledger.rundirectory import RunDirectory
from pipeline.ledger.state import State
from pipeline.ledger.summary import Summary
from pipeline.records import Status
from pipeline.run import describing
from pipeline.run.accounting import Course, account
from pipeline.run.added import Added
from pipeline.run.failures import as_run_error
from pipeline.run.job import Job
from pipeline.run.known import known_keeps_ids
from pipeline.run.outcome import Result
from pipeline.run.progress import Progress
from pipeline.run.recorded import check_imported, check_same, recorded_job, recorded_settings
from pipeline.run.reporting import write_report
from pipeline.run.surroundings import Surroundings
from pipeline.run.taking_back import TakingBack

#: Asks whether so many contacts are to be deleted from this campaign.
ConfirmUndo = Callable[[int, str], Awaitable[bool]]

OWN_IDS: Final = (
    "The target gives contacts ids of its own, so those of this run cannot be told from others. Nothing was deleted."
)
NO_LOOKUP: Final = "A target of system {system} has no call that deletes what was added. Nothing was deleted."

#: What the summary of a run says that never ended.
BROKEN_OFF: Final = "The run was broken off before it could give account of itself, and was then undone."


async def undo_run(
    run_dir: Path,
    overrides: Sequence[str] = (),
    *,
    signals: bool = False,
    progress: Progress | None = None,
    confirm: ConfirmUndo | None = None,
    surroundings: Surroundings | None = None,
) -> Result:
    """Delete what the run in `run_dir` has added, or go on with that; one that is finished is left as it is, and its
    summary given again.

    In the result "accepted" counts the contacts that are gone. Raises UsageError where there is no run, its source or
    mapping changed, nothing was added, the target does not keep our ids, or `confirm` says no; Busy where another
    process is at work on run or campaign; else RunError where nothing was begun.
    """
    progress, surroundings = progress or Progress(), surroundings or Surroundings()
    async with surroundings.stopping.watching(signals=signals):
        with ExitStack() as stack:
            return await _undo(run_dir, overrides, progress, confirm, surroundings, stack)


async def _undo(
    run_dir: Path,
    overrides: Sequence[str],
    progress: Progress,
    confirm: ConfirmUndo | None,
    surroundings: Surroundings,
    stack: ExitStack,
) -> Result:
    """`stack` holds the locks."""
    directory = RunDirectory.of_run(run_dir)
    stack.enter_context(directory.locked())
    progress.run_dir = directory.path
    begun = await anyio.to_thread.run_sync(_begun, directory, surroundings)
    if begun is not None and begun.finished:
        summary = Summary.read(directory.undo.path)
        if summary is not None and summary.error is None:
            return Result(summary)
    job, run = await anyio.to_thread.run_sync(_job, directory, overrides, surroundings)
    target = job.settings.target
    state = stack.enter_context(
        campaign.held(describing.state_directory(job.settings), target.identity, target.campaign)
    )
    if await anyio.to_thread.run_sync(state.campaign_deleted, run.header.run_id):
        raise UsageError(f"{directory.path}: its campaign was deleted since, and what it had added with it")
    undo = _Undo(job, run, begun, state, progress)
    await undo.survey()
    return await undo.run(confirm)


def _begun(directory: RunDirectory, surroundings: Surroundings) -> Recovery | None:
    """The journal of an undo that was begun; None: there is none."""
    undo = directory.undo
    if not undo.holds_run:
        return None
    try:
        return recover(undo.journal, disk=surroundings.disk)
    except NothingBegun:
        undo.journal.unlink()
        return None


def _job(directory: RunDirectory, overrides: Sequence[str], surroundings: Surroundings) -> tuple[Job, Recovery]:
    """The run as it was, and its journal."""
    try:
        recovery = recover(directory.journal, disk=surroundings.disk)
    except NothingBegun:
        raise UsageError(_nothing(directory)) from None
    check_imported(directory)
    settings = recorded_settings(directory, overrides)
    check_same(directory, settings, recovery)
    job = recorded_job(directory, recovery, settings, surroundings, asks=True)
    _check_unchanged(job)
    return job, recovery


def _check_unchanged(job: Job) -> None:
    if names := describing.changed(job.sources, job.recorded):
        raise UsageError(
            f"{', '.join(names)}: is not the file that the run has read; put that back: it tells what to delete"
        )


def _nothing(directory: RunDirectory) -> str:
    return f"{directory.path}: this run has added nothing, so there is nothing to take back"


@dataclass(slots=True)
class _ToDo:
    """What a walk found that is to be taken back."""

    rows: int = 0
    doubtful: int = 0  # of them: added perhaps


class _Undo:
    """The state of one undo. `run` is the run's journal; `begun` the undo's own, None for a new one."""

    def __init__(self, job: Job, run: Recovery, begun: Recovery | None, state: State, progress: Progress) -> None:
        self._job = job
        self._state = state
        self._run = run
        self._begun = begun
        self._progress = progress
        self._stopping = job.surroundings.stopping
        self._course = Course()
        self._directory = job.directory.undo
        self._to_do = _ToDo()
        self._finished = False

    def _added(self) -> Added:
        return Added(self._job, self._run, self._state)

    async def survey(self) -> None:
        """Count what is to be taken back. Raises UsageError where that is nothing."""
        progress, to_do, added = self._progress, self._to_do, self._added()
        progress.phase = "surveying"
        began = monotonic()
        screened = added.walk()
        with self._stopping.cancelling():
            while (part := await anyio.to_thread.run_sync(next, screened, None)) is not None:
                to_do.rows += part.contacts["status"].null_count()
                progress.surveyed = part.batch.stop
        self._stopping.check()
        # Once more: what was read in this walk is what is deleted, however long that takes.
        await anyio.to_thread.run_sync(_check_unchanged, self._job)
        to_do.doubtful = added.doubtful
        self._course.survey = monotonic() - began
        if not to_do.rows:
            raise UsageError(_nothing(self._job.directory))
        number = self._state.number(self._run.header.run_id)
        others = self._state.open_runs(own=number or 0) if to_do.doubtful else []
        if others:  # whether a doubtful row was theirs is only known once they have given account
            raise Busy(
                "another run of this campaign was broken off, and may have added what this one is in doubt of; nothing "
                f"was deleted. Go on with that first: contact-pipeline resume {shlex.quote(str(others[0].directory))}"
            )
        progress.rows = progress.to_send = to_do.rows

    async def run(self, confirm: ConfirmUndo | None) -> Result:
        """Ask, delete, and give account."""
        settings, state = self._job.settings, self._state
        if self._begun is not None and self._begun.finished:  # it was killed before its account was written
            self._finished = True
            return await self._account(state, await self._enter(state))
        # What is configured proves nothing, and a deletion that is refused tells nothing of an id that is not kept.
        lookup = self._job.lookup
        if lookup is None:
            raise UsageError(NO_LOOKUP.format(system=settings.target.system))
        keeps = known_keeps_ids("ask", self._run.notes, state)
        if keeps is False or settings.target.keeps_ids is False:
            raise UsageError(OWN_IDS)
        agreed = confirm is None
        if confirm is not None:
            with self._stopping.cancelling():
                agreed = await confirm(self._to_do.rows, settings.target.campaign)
        self._stopping.check()
        if not agreed:
            raise UsageError("Stopped at the question: nothing was deleted.")
        taking_back = TakingBack(
            self._job,
            lookup,
            self._run,
            state,
            undo=self._directory,
            keeps_ids=keeps,
            total=self._to_do.rows,
            doubtful=self._to_do.doubtful > 0,
            course=self._course,
            progress=self._progress,
        )
        begun = self._begun is not None
        try:
            if not self._job.directory.summary.exists():
                await anyio.to_thread.run_sync(self._account_of_the_run)
            with self._stopping.cancelling():
                await taking_back.prepare(begun=begun)
            self._stopping.check()
            journal = await anyio.to_thread.run_sync(self._open_journal)
            number = await self._with_journal(taking_back, state, journal, begun=begun)
        finally:
            await taking_back.close()
        return await self._account(state, number)

    def _open_journal(self) -> Journal:
        """The undo's journal, begun where there is none. From here on the old summary says less than the journal."""
        disk, path = self._job.surroundings.disk, self._directory.path
        if self._begun is not None:
            self._directory.summary.unlink(missing_ok=True)
            return Journal.resume(self._begun, disk=disk)
        try:
            path.mkdir(mode=0o700, exist_ok=True)
            disk.sync_directory(path.parent)
        except OSError as error:
            raise MachineFailed(f"{path}: cannot be made: {error.strerror or error}") from None
        self._directory.summary.unlink(missing_ok=True)
        header = replace(self._run.header, created=int(self._job.surroundings.wall_clock() * 1000))
        return Journal.create(self._directory.journal, header, disk=disk)

    async def _with_journal(self, taking_back: TakingBack, state: State, journal: Journal, *, begun: bool) -> int:
        """Delete with a journal; whatever ends it early is kept in the course. Returns the run's number."""
        course = self._course
        try:
            number = await self._enter(state)
            try:
                await taking_back.rounds(number, journal, begun=begun)
                self._finished = course.failure is None and course.received is None and not taking_back.unsettled
                if self._finished:
                    journal.note(FINISHED, {})
                await anyio.to_thread.run_sync(journal.commit)
            except Exception as error:  # noqa: BLE001 - whatever happened, the account of the rows must be written
                course.failure = as_run_error(error)
        finally:
            journal.close()
        return number

    async def _enter(self, state: State) -> int:
        """The run's number. What it may have sent and never gave account of is doubtful from here on."""
        directory = self._job.directory.path.absolute()
        number = await anyio.to_thread.run_sync(state.enter, self._run.header.run_id, directory)
        await anyio.to_thread.run_sync(state.undo_begun, number)
        await anyio.to_thread.run_sync(accounts.give_up, state, number)
        return number

    def _account_of_the_run(self) -> None:
        """A run that was killed has given no account, and is not gone on with any more: it is given now (blocking)."""
        broken_off = MachineFailed(BROKEN_OFF)
        course = Course(failure=broken_off)
        account(self._job, self._job.screened(), course, None, self._state.number(self._run.header.run_id) or 0)
        if course.failure is not None and course.failure is not broken_off:
            raise course.failure

    async def _account(self, state: State, number: int) -> Result:
        """Ledger and summary, and what the state knows of these contacts now."""
        self._progress.phase = "writing"
        await anyio.to_thread.run_sync(state.undo_ended, number, self._job.surroundings.wall_clock())
        observe = functools.partial(accounts.undone, state, number, final=self._finished)
        write = functools.partial(
            account,
            self._job,
            self._added().walk(),
            self._course,
            None,
            number,
            into=self._directory,
            observe=observe,
        )
        try:
            summary = await anyio.to_thread.run_sync(write)
        except MachineFailed as error:
            if self._course.failure is None:
                raise
            raise MachineFailed(f"{self._course.failure}\n{error}") from None
        await anyio.to_thread.run_sync(write_report, self._job.directory)
        counts = {Status(s): count for s, count in summary.counts.items() if s != Status.SUPPRESSED.value}
        self._progress.counts.clear()
        self._progress.counts.update(counts)
        self._progress.phase = "done"
        return Result(summary, summary.error)
