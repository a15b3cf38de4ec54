"""Lists the runs of a directory, from a few of their files and without opening their journals whole."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from pipeline.errors import MachineFailed, UsageError
from pipeline.ledger.glance import glance
from pipeline.ledger.lines import Header
from pipeline.ledger.recovery import NothingBegun
from pipeline.ledger.rundirectory import RunDirectory
from pipeline.ledger.summary import Summary
from pipeline.run import describing
from pipeline.run.recorded import record


class Stage(StrEnum):
    """How far a run has come."""

    OPEN = "open"  # it goes on, or can be resumed
    FINISHED = "finished"  # nothing is left to do
    UNDOING = "undoing"  # an undo of it has not come to its end
    UNDONE = "undone"  # what it had added was taken back
    UNBEGUN = "not begun"  # it ended before it could send anything, or was deleted all but for its last files
    DAMAGED = "damaged"  # what it was cannot be read


@dataclass(frozen=True, slots=True)
class ListedRun:
    """One run, as its directory tells; what is not known is None or empty."""

    run_dir: Path
    stage: Stage
    updated: datetime  # when its journal or its account was last written
    size: int  # bytes of all its files
    created: datetime | None = None
    sources: tuple[str, ...] = ()
    campaign: str = ""
    wave: str = ""
    check: bool = False  # it was only a check, which sends nothing
    rows: int | None = None  # read
    counts: dict[str, int] = field(default_factory=dict)  # rows by status, of a run that has given account
    exit_code: int | None = None
    header: Header | None = None
    problem: str = ""  # why it cannot be read


def list_runs(base: Path) -> list[ListedRun]:
    """The runs whose directories lie in `base`, the oldest first; other directories are passed over.

    Raises UsageError where `base` is no directory that can be read.
    """
    try:
        entries = sorted(entry for entry in base.iterdir() if entry.is_dir() and not entry.is_symlink())
    except OSError as error:
        raise UsageError(f"{base}: cannot be looked into: {error.strerror or error}") from None
    runs = [listed for entry in entries if (listed := look_at(entry)) is not None]
    return sorted(runs, key=lambda run: (run.created or run.updated, run.run_dir.name))


def look_at(path: Path) -> ListedRun | None:
    """The run in a directory; None: there is none, or it is gone meanwhile."""
    directory = RunDirectory(path)
    try:
        size = sum(entry.lstat().st_size for entry in path.rglob("*") if not entry.is_dir())
        if not directory.holds_run:
            if not directory.abandoned:
                return None
            return ListedRun(path, Stage.UNBEGUN, _written(path), size)
        updated = max(
            _written(each)
            for each in (directory.journal, directory.summary, directory.undo.journal, directory.undo.summary)
            if each.exists()
        )
        try:
            return _told(directory, updated, size)
        except NothingBegun:
            return ListedRun(path, Stage.UNBEGUN, updated, size)
        except MachineFailed as error:
            return ListedRun(path, Stage.DAMAGED, updated, size, problem=str(error))
    except FileNotFoundError:
        return None
    except OSError as error:
        now = describing.now()  # what cannot be looked at is not old
        return ListedRun(path, Stage.DAMAGED, now, 0, problem=f"{path}: cannot be read: {error.strerror or error}")


def _told(directory: RunDirectory, updated: datetime, size: int) -> ListedRun:
    begun = glance(directory.journal)
    header, summary = begun.header, Summary.read(directory.path)
    stage = Stage.FINISHED if begun.finished else Stage.OPEN
    if directory.undo.holds_run:
        stage = Stage.UNDONE if glance(directory.undo.journal).finished else Stage.UNDOING
    return ListedRun(
        directory.path,
        stage,
        updated,
        size,
        created=datetime.fromtimestamp(header.created / 1000, UTC),
        sources=tuple(source.name for source in header.sources),
        campaign=header.campaign,
        wave=header.wave,
        check=record(directory)["run"]["mode"] == describing.CHECK,
        rows=header.rows if summary is None else summary.rows,
        counts={} if summary is None else summary.counts,
        exit_code=None if summary is None else summary.exit_code,
        header=header,
    )


def _written(path: Path) -> datetime:
    return datetime.fromtimestamp(path.stat().st_mtime, UTC)
