"""The few calls by which the journal touches a disk, so that a test can lose or tear what was not synced."""

import os
import sys
from pathlib import Path
from typing import Protocol


class Disk(Protocol):
    """A file system as the journal sees it. Handles are integers; every method may raise OSError.

    What was written is durable once `sync` has returned, the name of a new file once `sync_directory` has.
    """

    def create(self, path: Path) -> int:
        """Create `path`, readable by its owner alone, and open it for writing; FileExistsError if it is there."""

    def open(self, path: Path, *, write: bool = False) -> int:
        """Open a file that is there, to read it or to write into it as well."""

    def size(self, handle: int) -> int:
        """Length of the file in bytes."""

    def read(self, handle: int, offset: int, size: int) -> bytes:
        """At most `size` bytes from `offset`; empty at the end of the file."""

    def write(self, handle: int, offset: int, data: memoryview) -> int:
        """Write some of `data` at `offset`; returns how many bytes were taken, which may be fewer than given."""

    def truncate(self, handle: int, size: int) -> None:
        """Cut the file to `size` bytes."""

    def sync(self, handle: int) -> None:
        """Make the file's content and length durable. After an error nothing is known of what was not durable."""

    def sync_directory(self, path: Path) -> None:
        """Make the names in a directory durable."""

    def close(self, handle: int) -> None:
        """Close the file; makes nothing durable."""


class OsDisk:
    """The operating system's own."""

    __slots__ = ()

    def create(self, path: Path) -> int:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _FLAGS, 0o600)

    def open(self, path: Path, *, write: bool = False) -> int:
        return os.open(path, (os.O_RDWR if write else os.O_RDONLY) | _FLAGS)

    def size(self, handle: int) -> int:
        return os.fstat(handle).st_size

    def read(self, handle: int, offset: int, size: int) -> bytes:
        os.lseek(handle, offset, os.SEEK_SET)
        return os.read(handle, size)

    def write(self, handle: int, offset: int, data: memoryview) -> int:
        os.lseek(handle, offset, os.SEEK_SET)
        return os.write(handle, data)

    def truncate(self, handle: int, size: int) -> None:
        os.ftruncate(handle, size)

    def sync(self, handle: int) -> None:
        sync_file(handle)

    def sync_directory(self, path: Path) -> None:
        sync_directory(path)

    def close(self, handle: int) -> None:
        os.close(handle)


_FLAGS = getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)


def make_directories(path: Path) -> None:
    """Make a directory for its owner alone, and those above it, their names durable; one that is there stays as it is.
    Raises OSError.
    """
    missing = [each for each in (path, *path.parents) if not each.exists()]
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    for each in missing:
        sync_directory(each.parent)


def sync_file(handle: int) -> None:
    """Make an open file durable in the strongest way that the platform has."""
    if sys.platform == "darwin":
        import fcntl

        fcntl.fcntl(handle, fcntl.F_FULLFSYNC)  # fsync there leaves the data in the drive's own cache
    elif hasattr(os, "fdatasync"):
        os.fdatasync(handle)  # includes the length where that is needed to read the data back
    else:
        os.fsync(handle)


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable. Windows has no such call; a rename is written through there."""
    if os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
