"""Where the state of a campaign lies, and the lock by which one run at a time holds it."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from pipeline.errors import Busy, MachineFailed
from pipeline.ledger.disk import make_directories, sync_directory
from pipeline.ledger.state import State

#: Names of the files in a campaign's directory.
FILE: Final = "state.sqlite"
LOCK: Final = "lock"


@contextmanager
def held(base: Path, place: str, campaign: str) -> Iterator[State]:
    """The state of a campaign at a place (address and account), made where there is none, for one run at a time.

    The lock ends with the process, however it ends. Raises Busy where another run holds it.
    """
    with held_in(_directory(base, place, campaign), campaign) as state:
        yield state


@contextmanager
def held_in(directory: Path, campaign: str) -> Iterator[State]:
    """The same of a campaign whose state lies in `directory`."""
    try:
        make_directories(directory)
        lock = FileLock(directory / LOCK, timeout=0, mode=0o600)
        lock.acquire()
    except Timeout:
        raise Busy(
            f"another run holds campaign {campaign} (lock: {directory / LOCK}); nothing was sent. Wait for its end"
        ) from None
    except OSError as error:
        raise MachineFailed(f"{directory}: cannot be used: {error.strerror or error}") from None
    try:
        _touch(directory / FILE)
        state = State(directory / FILE)
        try:
            yield state
        finally:
            state.close()
    finally:
        lock.release()


@contextmanager
def peek(base: Path, place: str, campaign: str) -> Iterator[State | None]:
    """The state of a campaign, to look at; None: there is none."""
    path = _directory(base, place, campaign) / FILE
    if not path.exists() or not path.stat().st_size:
        yield None
        return
    state = State(path)
    try:
        yield state
    finally:
        state.close()


def knowing(base: Path, run_id: str) -> Path | None:
    """Where the state of the campaign below `base` lies that knows a run; None: none does. Raises as `State` does."""
    for path in sorted(base.glob(f"*/{FILE}")):
        if not path.stat().st_size:
            continue
        state = State(path)
        try:
            if state.number(run_id) is not None:
                return path.parent
        finally:
            state.close()
    return None


def _directory(base: Path, place: str, campaign: str) -> Path:
    return base / hashlib.sha256(f"{place}\n{campaign}".encode()).hexdigest()[:32]


def _touch(path: Path) -> None:
    """Make the file for its owner alone, and its name durable, before SQLite sees it."""
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
        sync_directory(path.parent)
    except OSError as error:
        raise MachineFailed(f"{path}: cannot be made: {error.strerror or error}") from None
