"""Appends to journal.jsonl: slices before their rows are sent, outcomes in group commits, each made durable at once.

The methods that say what happened only append to a list and may be called on the event loop; `commit` encodes, writes
and syncs, and belongs in a worker thread while the loop goes on appending. Once a write or a sync has failed the
journal is dead: what the disk holds is not known any more (a second fsync may report success for pages that the first
one dropped), so every further call raises and the run has to be resumed from what recovery finds.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Final

from msgspec.structs import replace

from pipeline.errors import Busy, MachineFailed, UsageError
from pipeline.ledger.disk import Disk, OsDisk
from pipeline.ledger.lines import Header, Note, Settled, SliceBegun, encode
from pipeline.ledger.recovery import Recovery
from pipeline.records import Outcome

#: Rows of one Settled line at most, so that a reader's memory is bounded too.
ROWS_A_LINE: Final = 4096


class _Group:
    """Outcomes of one slice that were settled next to each other and await a commit."""

    __slots__ = ("rows", "slice")

    def __init__(self, number: int, rows: list[Outcome]) -> None:
        self.slice = number
        self.rows = rows


class Journal:
    """The journal of one run, open for appending. Made by `create` or `resume`; `close` it in the end."""

    __slots__ = (
        "_begun",
        "_committing",
        "_disk",
        "_end",
        "_failure",
        "_handle",
        "_pending",
        "_pending_lock",
        "path",
    )

    def __init__(self, path: Path, disk: Disk, handle: int, *, begun: int, end: int) -> None:
        self.path = path
        self._disk = disk
        self._handle: int | None = handle
        self._begun = begun  # slices so far: the number of the next one
        self._end = end  # durable up to here; whatever is written next starts here
        self._pending: list[SliceBegun | Note | _Group] = []
        self._pending_lock = Lock()  # held for the hand-over of the list, never while the disk is at work
        self._committing = Lock()  # one commit at a time
        self._failure: str | None = None

    @classmethod
    def create(cls, path: Path, header: Header, *, disk: Disk | None = None) -> "Journal":
        """Begin the journal of a new run; the header and the file's name are durable on return.

        Raises UsageError where a journal is already, MachineFailed where it cannot be written.
        """
        disk = disk or OsDisk()
        try:
            handle = disk.create(path)
        except FileExistsError:
            raise UsageError(f"{path}: a run was begun here already; resume it or choose another directory") from None
        except OSError as error:
            raise MachineFailed(_failure(path, "created", error)) from None
        journal = cls(path, disk, handle, begun=0, end=0)
        try:
            journal._put(0, encode(header))
            try:
                disk.sync_directory(path.parent)
            except OSError as error:
                raise journal._die("made durable", error) from None
        except MachineFailed as error:
            with suppress(OSError):  # nothing was begun, so there is nothing to resume
                path.unlink()
            raise MachineFailed(f"{str(error).removesuffix('resume')}import again") from None
        return journal

    @classmethod
    def resume(cls, recovery: Recovery, *, disk: Disk | None = None) -> "Journal":
        """Go on with a journal from where `recovery` found its end; what is damaged beyond it is cut off.

        Lines that no later line names as durable are written once more in their place: they were read back, but perhaps
        from a cache whose sync has failed, and from here on decisions rest on them. Raises Busy where the file has
        grown since it was read, MachineFailed where it cannot be written.
        """
        disk = disk or OsDisk()
        path = recovery.path
        try:
            handle = disk.open(path, write=True)
        except OSError as error:
            raise MachineFailed(_failure(path, "opened", error)) from None
        journal = cls(path, disk, handle, begun=len(recovery.slices), end=recovery.durable)
        try:
            if disk.size(handle) != recovery.size:
                raise Busy(f"{path}: has changed since it was read; another process is at work on this run")
            tail = _read(disk, handle, recovery.durable, recovery.end)
            disk.truncate(handle, recovery.end)
        except OSError as error:
            raise journal._die("cut to its whole lines", error) from None
        except Busy:
            journal.close()
            raise
        journal._put(recovery.durable, tail)
        return journal

    @property
    def durable(self) -> int:
        """So many bytes of the file are durable."""
        return self._end

    @property
    def next_slice(self) -> int:
        """The number that the next slice will have."""
        return self._begun

    def begin(self, start: int, stop: int, rows: int, digest: str, known: Sequence[Outcome] = ()) -> int:
        """Say that rows of [start, stop) may be sent from now on, `rows` of them with the `known` ones, which are not
        sent and are settled herewith; returns the slice's number.

        Nothing of the slice may be sent before a `commit` that was called after this has returned. A row that has an
        outcome and is to be sent again is settled as pending first: only then does a later slice put it in doubt.
        """
        if not 0 <= start < stop or not len(known) <= rows <= stop - start:
            raise ValueError(f"a slice is a range of positions, not [{start}, {stop}) with {rows} rows")
        with self._pending_lock:
            self._check()
            number = self._begun
            self._begun += 1
            self._pending.append(SliceBegun(number, start, stop, rows, digest, known=known))
        return number

    def settle(self, number: int, outcomes: Iterable[Outcome]) -> None:
        """Put outcomes of rows of slice `number` on record with the next commit."""
        rows = list(outcomes)
        if not 0 <= number < self._begun:
            raise ValueError(f"slice {number} was never begun")
        if not rows:
            return
        with self._pending_lock:
            self._check()
            last = self._pending[-1] if self._pending else None
            if isinstance(last, _Group) and last.slice == number:
                last.rows += rows
            else:
                self._pending.append(_Group(number, rows))

    def note(self, event: str, fields: Mapping[str, str | int | float | bool | list[str] | None]) -> None:
        """Put an event of the run on record with the next commit."""
        with self._pending_lock:
            self._check()
            self._pending.append(Note(event, dict(fields)))

    def commit(self) -> int:
        """Make everything durable that was appended before this call; returns the file's durable length in bytes.

        Safe to call from any thread. Raises MachineFailed when the disk does not take it, now and ever after.
        """
        with self._committing:
            with self._pending_lock:
                self._check()
                pending, self._pending = self._pending, []
            if pending:
                try:
                    self._put(self._end, b"".join(itertools.chain.from_iterable(map(self._lines, pending))))
                except BaseException as error:
                    # What was taken from the list is on no record now, so there must be no later commit either.
                    self._failure = self._failure or f"{self.path}: a commit was broken off ({type(error).__name__})"
                    raise
            return self._end

    def close(self) -> None:
        """Close the file. What was not committed is not written; after a failure this still works."""
        with self._committing:
            self._failure = self._failure or f"{self.path}: is closed"
            if self._handle is not None:
                handle, self._handle = self._handle, None
                with suppress(OSError):  # nothing durable depends on it: every commit has synced
                    self._disk.close(handle)

    def _lines(self, record: SliceBegun | Note | _Group) -> Iterable[bytes]:
        # A commit starts when the one before it is durable: its own place in the file says how much that was.
        if not isinstance(record, _Group):
            yield encode(replace(record, durable=self._end))
            return
        for first in range(0, len(record.rows), ROWS_A_LINE):
            yield encode(Settled(record.slice, self._end, record.rows[first : first + ROWS_A_LINE]))

    def _put(self, offset: int, data: bytes) -> None:
        assert self._handle is not None
        done = 0
        view = memoryview(data)
        try:
            while done < len(data):
                taken = self._disk.write(self._handle, offset + done, view[done:])
                if taken <= 0:
                    raise OSError(0, "the disk takes no more data")
                done += taken
        except OSError as error:
            raise self._die("written", error) from None
        try:
            self._disk.sync(self._handle)
        except OSError as error:
            raise self._die("made durable", error) from None
        self._end = offset + len(data)

    def _check(self) -> None:
        if self._failure:
            raise MachineFailed(self._failure)

    def _die(self, what: str, error: OSError) -> MachineFailed:
        self._failure = _failure(self.path, what, error)
        if self._handle is not None:
            handle, self._handle = self._handle, None
            with suppress(OSError):  # it is beyond help
                self._disk.close(handle)
        return MachineFailed(self._failure)


def _read(disk: Disk, handle: int, start: int, stop: int) -> bytes:
    parts = []
    while start < stop:
        part = disk.read(handle, start, stop - start)
        if not part:
            raise OSError(0, "the file ends early")
        parts.append(part)
        start += len(part)
    return b"".join(parts)


def _failure(path: Path, what: str, error: OSError) -> str:
    return (
        f"{path}: the journal could not be {what}: {error.strerror or error}; nothing more is sent."
        " Free space on the disk, or mend it, and resume"
    )
