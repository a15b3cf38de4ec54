"""Looks at a run and changes nothing: verify, status, and the digest that reports are made of."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from pipeline import targets
from pipeline.errors import MachineFailed
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
from pipeline.stages.read import batches

#: What stands in a report in the place of a name.
LEFT_OUT: Final = "left out"


def verify_run(run_dir: Path) -> list[str]:
    """Prove a run's ledger against its source and journal, and that of its undo; what does not add up, in words. Empty:
    proven.

    Raises UsageError where there is no run or its source is gone, MachineFailed where the journal is damaged.
    """
    directory = RunDirectory.of_run(run_dir)
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
    directory = RunDirectory.of_run(run_dir)
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
    directory = RunDirectory.of_run(run_dir)
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
