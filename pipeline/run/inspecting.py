"""Looks at runs and targets and changes neither: verify, status, session check."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import anyio.to_thread

from pipeline import targets
from pipeline.config import Settings, TargetSettings
from pipeline.errors import (
    MachineFailed,
    NotDelivered,
    OpeningRefused,
    OutcomeUnknown,
    Refused,
    RowError,
    SessionExpired,
    TargetUnreachable,
    TargetUnusable,
    UsageError,
)
from pipeline.ledger.erased import Erased
from pipeline.ledger.recovery import Recovery, recover
from pipeline.ledger.rundirectory import RunDirectory
from pipeline.ledger.summary import Summary
from pipeline.ledger.verify import verify
from pipeline.records import Status
from pipeline.report import digest
from pipeline.run.describing import CHECK, changed
from pipeline.run.job import sendable
from pipeline.run.recorded import record, recorded_sources
from pipeline.run.stopping import Stopping
from pipeline.sessions import CLOSE_WITHIN
from pipeline.stages.read import batches
from pipeline.targets import Target
from pipeline.wire import ClientFactory, client_factory

#: What stands in a report in the place of a name.
LEFT_OUT: Final = "left out"


def verify_run(run_dir: Path) -> list[str]:
    """Prove a run's ledger against its source and journal, and that of its undo; what does not add up, in words. Empty:
    proven.

    Raises UsageError where there is no run or its source is gone, MachineFailed where the journal is damaged.
    """
    directory = _run(run_dir)
    recovery = recover(directory.journal)
    sources, limit = recorded_sources(directory)
    changes = [f"{name}: is not the file that the run has read" for name in changed(sources, recovery.header.sources)]
    erased = Erased.read(run_dir)
    problems = changes + verify(run_dir, batches(sources, limit=limit), recovery, erased)
    undo = directory.undo
    if undo.holds_run:
        problems += verify(undo.path, batches(sources, limit=limit), recover(undo.journal), erased)
    return problems


@dataclass(frozen=True, slots=True)
class RunStatus:
    """Where a run stands, from its files alone."""

    run_dir: Path
    created: datetime
    updated: datetime  # when the journal was last written to
    campaign: str
    rows: int | None  # of the input; None: not surveyed
    to_send: int | None  # of them those that can be sent; None: not surveyed
    delivered: dict[Status, int]  # rows that delivery has settled so far
    begun: int  # rows that may have been sent and are not settled: in flight, or in doubt if the run was killed
    finished: bool  # nothing is left to do
    summary: Summary | None  # of a run that has ended or was stopped
    undo_begun: bool  # what it has added is, or was, taken back
    undo: Summary | None  # of an undo that has ended or was stopped


def status_of(run_dir: Path) -> RunStatus:
    """Where a run stands, also while it goes on. Raises UsageError where there is none, MachineFailed on damage."""
    directory = _run(run_dir)
    recovery = recover(directory.journal)
    delivered = {Status(status): count for status, count in recovery.settled_counts().items()}
    return RunStatus(
        run_dir=run_dir,
        created=datetime.fromtimestamp(recovery.header.created / 1000, UTC),
        updated=datetime.fromtimestamp(directory.journal.stat().st_mtime, UTC),
        campaign=recovery.header.campaign,
        rows=recovery.header.rows,
        to_send=sendable(recovery.notes),
        delivered=delivered,
        begun=max(0, _begun(recovery) - sum(delivered.values())),
        finished=recovery.finished,
        summary=Summary.read(run_dir),
        undo_begun=directory.undo.holds_run,
        undo=Summary.read(directory.undo.path),
    )


def _begun(recovery: Recovery) -> int:
    """Rows of the first slices that cover them; those of a resumed run cover some once more."""
    rows, edge = 0, 0
    for start, stop, count in recovery.slices.select("start", "stop", "rows").iter_rows():
        if start >= edge:
            rows, edge = rows + count, stop
    return rows


def digest_of(run_dir: Path) -> digest.Digest:
    """A run as reports tell it, also while it goes on. Raises UsageError where there is none, MachineFailed."""
    directory = _run(run_dir)
    told = record(directory)
    return digest.read(run_dir, _nameless(told), checked=told["run"]["mode"] == CHECK)


def _nameless(tables: dict[str, Any]) -> dict[str, Any]:
    """run.toml without what says who we are, and without the address that hears of the run: both may be as good as
    secrets to those that a report is given to. Where such a value comes from stays.
    """
    settings = tables["settings"]
    try:
        credentials = targets.settings_model(settings["target"]["system"]).credentials()
    except KeyError as error:
        raise MachineFailed(f"run.toml: target.system: {error.args[0]}") from None
    shown = dict(settings)
    for section, names in (("target", credentials), ("notify", ("url",))):
        given = settings.get(section, {})
        shown[section] = {
            name: value if name not in names or isinstance(value, dict) else LEFT_OUT for name, value in given.items()
        }
    return {**tables, "settings": shown}


async def session_check(settings: Settings, *, signals: bool = False, clients: ClientFactory | None = None) -> str:
    """Open one session, prove that it works, close it; says so in a sentence. Raises RunError.

    `signals`: SIGINT and SIGTERM stop it; a session that is open then is closed first.
    """
    clients = clients or client_factory(settings.http, settings.delivery.timeout)
    module = targets.module(settings.target.system)
    target = await anyio.to_thread.run_sync(module.create, settings, clients, None)
    stopping = Stopping()
    async with stopping.watching(signals=signals):
        with stopping.cancelling():
            await _check_session(target, settings.target)
    stopping.check()
    if settings.target.unproven:
        return f"A session was opened and closed. {settings.target.unproven}"
    return "A session was opened, proven and closed."


async def _check_session(target: Target, settings: TargetSettings) -> None:
    try:
        with anyio.CancelScope(shield=True):  # cut off, it would leave a session behind that nobody closes
            handle: Any = await target.open()
        try:
            good = await target.prove(handle)
        except BaseException:
            await _end(target, handle)
            raise
        refusal = await _end(target, handle)
    except OpeningRefused as error:
        raise TargetUnusable(
            f"the target opens no session: {error.reason.rstrip('.')}. Check {settings.entry}."
        ) from None
    except (NotDelivered, OutcomeUnknown) as error:
        raise TargetUnreachable(f"the target does not answer: {error.reason}. Try again later.") from None
    if not good:
        raise TargetUnusable(
            "a session was opened, but the target answers calls on it with an error. Compare "
            f"{settings.contract} with the service's own."
        )
    if refusal is not None:
        if isinstance(refusal, Refused | SessionExpired):
            raise TargetUnusable(
                f"a session was opened, but {refusal.reason}. It may stay open until its time is up; compare "
                f"{settings.contract} with the service's own."
            )
        raise TargetUnreachable(
            f"a session was opened, but nobody knows whether it was closed: {refusal.reason}. Try again later."
        )


async def _end(target: Target, handle: Any) -> RowError | None:
    """Close a session whatever happens; gives what the target had against it."""
    with anyio.move_on_after(CLOSE_WITHIN, shield=True):
        try:
            await target.close(handle)
        except RowError as error:
            return error
        return None
    return OutcomeUnknown(f"no answer within {CLOSE_WITHIN:g} seconds")


def _run(run_dir: Path) -> RunDirectory:
    directory = RunDirectory(run_dir)
    if not directory.holds_run:
        raise UsageError(f"{run_dir}: there is no run here")
    return directory
