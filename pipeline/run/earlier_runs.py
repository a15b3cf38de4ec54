"""Earlier runs that left rows in doubt: these are settled, in their own journals, before a new run sends."""

import functools
import shlex
from collections import Counter
from pathlib import Path
from typing import Any

import anyio.to_thread
from msgspec.structs import replace
from pydantic import ValidationError

from pipeline.config import ContactsSettings, LedgerSettings
from pipeline.errors import Busy, MachineFailed, RunError, SourceError, TargetUnusable, UsageError
from pipeline.ledger import accounts
from pipeline.ledger.files import assemble, write_ledger
from pipeline.ledger.journal import Journal
from pipeline.ledger.lines import FINISHED
from pipeline.ledger.recovery import Recovery, recover
from pipeline.ledger.rundirectory import RunDirectory
from pipeline.ledger.state import Run, State
from pipeline.ledger.summary import Summary
from pipeline.logs import logger
from pipeline.records import Status
from pipeline.run import describing
from pipeline.run.accounting import unchanged
from pipeline.run.asking import Deleting
from pipeline.run.canary import Canary, Direct
from pipeline.run.doubt import doubt_of
from pipeline.run.job import Job
from pipeline.run.outcome import exit_code
from pipeline.run.progress import Progress
from pipeline.run.reconciling import Reconciler
from pipeline.run.recorded import record, recorded_job, undo_begun
from pipeline.run.reporting import write_report
from pipeline.run.standing import Standing, survey
from pipeline.run.unproven import unproven
from pipeline.sessions import Lease
from pipeline.targets import Lookup


async def settle(
    state: State,
    job: Job,
    lease: Lease[Any],
    *,
    own: int,
    keeps_ids: bool | None,
    not_before: float,
    deleting: Deleting,
    progress: Progress,
) -> None:
    """Settle what runs other than `own` left open, as far as it can be told; `not_before` as in `Doubt`, `deleting` as
    for `removed`.

    What cannot be told stays doubtful in the state, and such a contact is not sent. Raises Busy where such a run is at
    work or its undo is not finished, TargetUnreachable, TargetUnusable, MachineFailed.
    """
    own_place = job.directory.path.absolute()
    for run in await anyio.to_thread.run_sync(lambda: state.open_runs(own=own)):
        try:
            if run.directory == own_place:
                raise UsageError(f"{run.directory}: is another run's directory now")
            recovery = await anyio.to_thread.run_sync(_journal, job, run)
        except (UsageError, MachineFailed) as error:  # lost, or damaged
            await _give_up(state, run, error, None)
            continue
        with RunDirectory(run.directory).locked():
            progress.phase = "settling"
            await _settle(state, job, run, recovery, lease, keeps_ids, not_before, deleting, progress)


def _journal(job: Job, run: Run) -> Recovery:
    """The journal of an earlier run. Raises UsageError where its directory does not hold it now, or as `recover`."""
    recovery = recover(RunDirectory(run.directory).journal, disk=job.surroundings.disk)
    if recovery.header.run_id != run.id:
        raise UsageError(f"{run.directory}: holds another run now")
    return recovery


async def _give_up(state: State, run: Run, error: RunError, recovery: Recovery | None) -> None:
    standing = recovery.standing if recovery is not None else None
    left = await anyio.to_thread.run_sync(accounts.give_up, state, run.number, standing)
    if left:
        logger().warning("earlier_run.lost", run=str(run.directory), reason=str(error), doubtful=left)


async def _settle(
    state: State,
    job: Job,
    run: Run,
    found: Recovery,
    lease: Lease[Any],
    keeps_ids: bool | None,
    not_before: float,
    deleting: Deleting,
    progress: Progress,
) -> None:
    directory = RunDirectory(run.directory)
    if run.undone or undo_begun(directory):  # what is sent now, the rest of the undo would delete
        raise Busy(
            f"the undo of an earlier run has not come to its end; nothing was sent. Go on with it first: "
            f"contact-pipeline undo {shlex.quote(str(run.directory))}"
        )
    try:
        theirs, recovery = await anyio.to_thread.run_sync(_job, job, directory)
        standing = await anyio.to_thread.run_sync(_standing, theirs, recovery)
    except (UsageError, MachineFailed) as error:  # its journal is all that is left
        await _give_up(state, run, error, found)
        return
    if job.lookup is not None and (standing.doubtful.height or run.unproven):
        journal = await anyio.to_thread.run_sync(lambda: Journal.resume(recovery, disk=job.surroundings.disk))
        try:
            if standing.doubtful.height:
                of_theirs = functools.partial(doubt_of, theirs, recovery, standing, state, run.number, not_before)
                doubt = await anyio.to_thread.run_sync(of_theirs)
                reconciler = Reconciler(
                    doubt,
                    job.lookup,
                    lease,
                    job.settings,
                    keeps_ids=keeps_ids,
                    deleting=deleting,
                    sleep=progress.sleep,
                )
                await reconciler.run(journal)
            if run.unproven:
                await _prove(theirs, job.lookup, lease, journal, keeps_ids, deleting)
        except TargetUnusable:
            journal.close()
            await anyio.to_thread.run_sync(_account, theirs, state, run)
            raise
        finally:
            journal.close()
    await anyio.to_thread.run_sync(_account, theirs, state, run)
    if run.unproven:
        await anyio.to_thread.run_sync(functools.partial(state.unproven, run.number, yes=False))


async def _prove(
    theirs: Job, lookup: Lookup, lease: Lease[Any], journal: Journal, keeps_ids: bool | None, deleting: Deleting
) -> None:
    """Read back what a run had sent that ended before its canary was read: nobody else would. Raises TargetUnusable
    where it is damaged, when it is taken back.
    """
    recovery = await anyio.to_thread.run_sync(theirs.recover)
    rows = await anyio.to_thread.run_sync(unproven, theirs, recovery)
    canary = Canary(
        theirs,
        lookup,
        lambda: lease,
        recovery.notes,
        listed=None,
        keeps_ids=keeps_ids,
        begun=True,
        deleting=deleting,
    )
    canary.begin(rows)
    await canary.prove(Direct(journal))


def _job(job: Job, directory: RunDirectory) -> tuple[Job, Recovery]:
    """An earlier run of the same campaign, with its own mapping and sources.

    Raises UsageError where its sources are not what they were, MachineFailed where its journal is damaged.
    """
    recovery = recover(directory.journal, disk=job.surroundings.disk)
    settings = record(directory)["settings"]
    where = {"base": Path()}
    try:
        contacts = ContactsSettings.model_validate(settings["contacts"], context=where)
        ledger = LedgerSettings.model_validate(settings.get("ledger", {}), context=where)
    except (ValidationError, KeyError):
        raise UsageError(f"{directory.settings}: holds a mapping that this version cannot read") from None
    theirs = job.settings.model_copy(update={"contacts": contacts, "ledger": ledger})
    if describing.mapping(theirs) != recovery.header.mapping:
        raise UsageError(f"{directory.settings}: the mapping is not that of the journal: run.toml was changed")
    found = recorded_job(directory, recovery, theirs, job.surroundings, asks=False)
    _check_sources(found)
    return found, recovery


def _standing(theirs: Job, recovery: Recovery) -> Standing:
    """Where the rows of an earlier run stand. Raises UsageError where its sources changed while they were read: what
    was kept of them tells of other rows.
    """
    standing = survey(theirs.screened(), recovery)
    _check_sources(theirs)
    return standing


def _check_sources(theirs: Job) -> None:
    if names := describing.changed(theirs.sources, theirs.recorded):
        raise UsageError(f"{', '.join(names)}: is not the file that the run has read")


def _into_the_state(job: Job, state: State, run: Run, recovery: Recovery) -> None:
    """Take over what is known of a run. What was kept of its list is what `_standing` has read, whatever it is now."""
    walk = job.screened() if job.kept.whole else unchanged(job.screened(), job)
    try:
        with accounts.account(state, run.number, job.surroundings.wall_clock()) as account:
            for screened in walk:
                account.add(assemble(screened, recovery))
    except SourceError:
        accounts.give_up(state, run.number, recovery.standing)


def _account(job: Job, state: State, run: Run) -> None:
    """Take into the state what is told of a run now, and bring its ledger up to that where it has one."""
    recovery = job.recover()
    summary = Summary.read(job.directory.path)
    if summary is None:  # it was killed: its ledger is written when it is resumed
        _into_the_state(job, state, run, recovery)
        return
    try:
        with accounts.account(state, run.number, job.surroundings.wall_clock()) as account:
            tally = write_ledger(
                job.directory.path,
                unchanged(job.screened(), job),
                recovery,
                job.settings.ledger,
                job.settings.contacts,
                form=job.form,
                read_again=job.reading_again(),
                observe=account.add,
            )
    except SourceError as error:  # its files stay as they are
        logger().warning("earlier_run.source_changed", run=str(run.directory), reason=str(error))
        _into_the_state(job, state, run, recovery)
        return
    counts = Counter({Status(status): number for status, number in tally.counts.items()})
    # What such a run does beside adding is left for itself to do.
    whole = not (counts[Status.PENDING] or counts[Status.IN_DOUBT] or job.options.activate or job.options.upsert)
    code = summary.exit_code
    if whole:
        code = exit_code(counts, failure=None, received=None, tolerate=job.options.tolerate)
    replace(
        summary,
        counts=tally.counts,
        reasons=tally.reasons,
        codes=tally.codes,
        complete=not counts[Status.PENDING],
        exit_code=code,
    ).write(job.directory.path)
    write_report(job.directory)
    if whole and not recovery.finished:
        journal = Journal.resume(recovery, disk=job.surroundings.disk)
        try:
            journal.note(FINISHED, {})
            journal.commit()
        finally:
            journal.close()
