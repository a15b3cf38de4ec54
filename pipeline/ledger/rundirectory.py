"""The directory of one run: made private, never used for two runs, and the names of what lies in it."""

import errno
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import aiofiles
import anyio.to_thread
from filelock import FileLock, Timeout

from pipeline.errors import Busy, MachineFailed, UsageError
from pipeline.ledger import files, summary
from pipeline.ledger.disk import make_directories, sync_directory
from pipeline.ledger.private import write_private

#: Names of the files within it; the first says that a run was begun here.
JOURNAL: Final = "journal.jsonl"
SETTINGS: Final = "run.toml"
LOCK: Final = ".lock"
UNDO: Final = "undo"
CAMPAIGN: Final = "campaign.toml"
STDIN: Final = "stdin"
REPORT: Final = "report.html"

#: What is written before a run begins.
_BEFORE: Final = frozenset(
    {SETTINGS, LOCK, CAMPAIGN, STDIN, "contract", "suppress", f".{SETTINGS}.part", f".{CAMPAIGN}.part"}
)


@dataclass(frozen=True, slots=True)
class RunDirectory:
    """One run's files. They hold people's numbers: the directory is 0700, its files are 0600."""

    path: Path

    @classmethod
    def create(cls, path: Path) -> "RunDirectory":
        """Make the directory and its parents, or take an empty one, or one whose run was killed before it was begun:
        lock it and `clear` it then. Raises UsageError where anything else is in it.
        """
        directory = cls(path)
        try:
            make_directories(path)
            if directory.journal.exists():
                raise UsageError(f"{path}: holds a run already: resume it, or choose another directory")
            entries = {entry.name for entry in path.iterdir()}
            if entries and not (LOCK in entries and entries <= _BEFORE):
                raise UsageError(f"{path}: is not empty; choose another directory for the run")
            path.chmod(0o700)  # it may have been there, and the umask may have had a say
        except (FileExistsError, NotADirectoryError):
            file = next((above for above in (path, *path.parents) if above.is_file()), path)
            raise UsageError(f"{file}: is a file; choose another directory for the run") from None
        except OSError as error:
            raise UsageError(f"{path}: the run directory cannot be made: {error.strerror or error}") from None
        return directory

    @classmethod
    def of_run(cls, path: Path) -> "RunDirectory":
        """The directory of a run that was begun. Raises UsageError where there is none."""
        directory = cls(path)
        if not directory.holds_run:
            raise UsageError(f"{path}: there is no run here")
        return directory

    @property
    def holds_run(self) -> bool:
        """Whether a run was begun here: from then on there is a journal."""
        return self.journal.exists()

    @property
    def abandoned(self) -> bool:
        """Whether a run was prepared here and never begun, or was deleted all but for its last files."""
        entries = {entry.name for entry in self.path.iterdir()}
        return LOCK in entries and entries <= _BEFORE

    @property
    def journal(self) -> Path:
        return self.path / JOURNAL

    @property
    def undo(self) -> "RunDirectory":
        """Where an undo of this run keeps its journal and its account."""
        return RunDirectory(self.path / UNDO)

    @property
    def settings(self) -> Path:
        return self.path / SETTINGS

    @property
    def campaign(self) -> Path:
        """The campaign that this run makes, where it makes one."""
        return self.path / CAMPAIGN

    @property
    def stdin(self) -> Path:
        """What came through standard input, where that is a source: the run reads it from here."""
        return self.path / STDIN

    @property
    def ledger_parquet(self) -> Path:
        return self.path / files.PARQUET

    @property
    def ledger_csv(self) -> Path:
        return self.path / files.CSV

    @property
    def resubmit(self) -> Path:
        return self.path / files.RESUBMIT

    @property
    def summary(self) -> Path:
        return self.path / summary.SUMMARY

    @property
    def report(self) -> Path:
        return self.path / REPORT

    def write_private(self, name: str, content: str | bytes) -> Path:
        """Put a file of mode 0600 in place, whole or not at all; raises MachineFailed."""
        path = self.path / name
        if path.parent != self.path:
            raise MachineFailed(f"{name!r} is not a file of the run directory")
        write_private(path, content.encode() if isinstance(content, str) else content)
        return path

    async def keep(self, name: str, originals: Sequence[Path], called: str) -> None:
        """Copy files into numbered folders of `name`, for their owner alone; errors say what they are `called`.

        Raises UsageError, MachineFailed.
        """
        folder = self.path / name
        for number, original in enumerate(originals, 1):
            folder.mkdir(mode=0o700, exist_ok=True)
            try:
                async with aiofiles.open(original, "rb") as source:
                    content = await source.read()
            except OSError as error:
                raise UsageError(f"{original}: {called} cannot be read: {error.strerror or error}") from None
            (folder / f"{number:02}").mkdir(mode=0o700, exist_ok=True)
            await anyio.to_thread.run_sync(write_private, folder / f"{number:02}" / original.name, content)

    def kept(self, name: str) -> tuple[Path, ...]:
        """The copies that `keep` made, in order."""
        return tuple(sorted((self.path / name).glob("*/*")))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Be the only process at work here; the lock ends with the process, however it ends.

        Raises Busy, and MachineFailed where nothing can be written here.
        """
        lock = FileLock(self.path / LOCK, timeout=0, mode=0o600)
        try:
            lock.acquire()
        except Timeout:
            raise Busy(f"{self.path}: another process is at work on this run; nothing was sent") from None
        except OSError as error:
            raise MachineFailed(
                f"{self.path}: cannot be written: {error.strerror or error}; nothing was done. Do it as the user who "
                "owns it, or mend the rights or the disk, and start again"
            ) from None
        try:
            yield
        finally:
            lock.release()

    def clear(self) -> None:
        """Take away what was written for a run that was never begun. Only while it is locked.

        Raises UsageError where another process has begun a run since this was looked at.
        """
        if self.journal.exists():
            raise UsageError(f"{self.path}: holds a run already: resume it, or choose another directory")
        for name in _BEFORE - {LOCK}:
            entry = self.path / name
            if entry.is_dir():
                shutil.rmtree(entry, ignore_errors=True)
            else:
                entry.unlink(missing_ok=True)

    def discard(self) -> None:
        """The same, and the directory too where nothing else is in it."""
        self.clear()
        with suppress(OSError):  # it was made just now; what ended the run is to be told
            self.forget()

    def delete(self) -> None:
        """Delete the run with everything in its directory; only while it is locked. Killed in the middle, it is still
        told for a run, or for one that was never begun, and can be deleted again. Raises OSError; PermissionError
        where the directory itself could not be removed afterwards, and nothing of it is deleted then.
        """
        for place in (self.path, self.path.parent):
            if not os.access(place, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(place))
        last = (JOURNAL, SETTINGS, LOCK)
        for entry in [each for each in self.path.iterdir() if each.name not in last]:
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink(missing_ok=True)
        for name in last[:-1]:
            (self.path / name).unlink(missing_ok=True)
        sync_directory(self.path)

    def forget(self) -> None:
        """Delete the directory of a run that was deleted, once nobody needs its lock any more. Raises OSError."""
        (self.path / LOCK).unlink(missing_ok=True)
        try:
            self.path.rmdir()
        except OSError:
            if not any(self.path.iterdir()):  # else something of somebody else's is in it
                raise


def default_path(now: datetime, source: str, *, base: Path = Path("runs")) -> Path:
    """`runs/<UTC time>-<source's stem>`, with -2, -3 and so on behind where that is there already."""
    stem = re.sub(r"[^\w.-]+", "_", Path(source).stem).strip("._-") or "input"
    name = f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}-{stem[:80]}"
    path, number = base / name, 1
    while path.exists():
        number += 1
        path = base / f"{name}-{number}"
    return path
