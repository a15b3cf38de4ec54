"""A disk that loses what was not synced: real files whose last durable content is remembered, torn when power fails."""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from random import Random

from pipeline.ledger.disk import OsDisk

#: What disks write at once, in bytes; of several pages any may have arrived when power fails.
PAGES = (64, 512, 4096)

#: What is told of every call that changes something: "before" or "after" it, its name.
Trap = Callable[[str, str], None]


@dataclass(slots=True)
class _File:
    """One file: what would surely be found after a power failure, and what was done to it since."""

    durable: bytearray
    named: bool  # whether its directory entry is durable
    changes: list[tuple[int, bytes | None]] = field(default_factory=list)  # offset and data; None: cut to the offset


class SimDisk(OsDisk):
    """One machine's disk over all its processes. `trap` hears of each change and may raise what it likes there."""

    __slots__ = ("_files", "_handles", "_open", "events", "random", "trap")

    def __init__(self, random: Random) -> None:
        self.random = random
        self.trap: Trap | None = None
        self.events = 0  # changes since the last start
        self._files: dict[Path, _File] = {}
        self._handles: dict[int, Path] = {}

    # --- what the journal calls -------------------------------------------------------------------------------------

    def create(self, path: Path) -> int:
        self._tell("before", "create")
        handle = super().create(path)
        self._handles[handle] = path
        self._files[path] = _File(bytearray(), named=False)
        self._tell("after", "create")
        return handle

    def open(self, path: Path, *, write: bool = False) -> int:
        handle = super().open(path, write=write)
        self._handles[handle] = path
        if path not in self._files:
            self._files[path] = _File(bytearray(path.read_bytes()), named=True)
        return handle

    def write(self, handle: int, offset: int, data: memoryview) -> int:
        file = self._files[self._handles[handle]]
        if len(data) > 1 and self.random.random() < 0.1:
            data = data[: self.random.randrange(1, len(data))]  # a disk may take less than it is given
        try:
            self._tell("before", "write")
        except OSError:
            part = data[: self.random.randrange(len(data) + 1)]  # a full disk takes what fits
            super().write(handle, offset, part)
            file.changes.append((offset, bytes(part)))
            raise
        taken = super().write(handle, offset, data)
        file.changes.append((offset, bytes(data[:taken])))
        self._tell("after", "write")
        return taken

    def truncate(self, handle: int, size: int) -> None:
        self._tell("before", "truncate")
        super().truncate(handle, size)
        self._files[self._handles[handle]].changes.append((size, None))
        self._tell("after", "truncate")

    def sync(self, handle: int) -> None:
        file = self._files[self._handles[handle]]
        try:
            self._tell("before", "sync")
        except OSError:
            # The cache calls its pages clean now, whether they reached the disk or not; a later sync passes them over.
            file.durable = self._survived(file)
            file.changes.clear()
            raise
        for change in file.changes:
            _apply(file.durable, *change)
        file.changes.clear()
        self._tell("after", "sync")

    def sync_directory(self, path: Path) -> None:
        self._tell("before", "sync_directory")
        for name, file in self._files.items():
            if name.parent == path:
                file.named = True
        self._tell("after", "sync_directory")

    def close(self, handle: int) -> None:
        del self._handles[handle]
        super().close(handle)

    def _tell(self, when: str, name: str) -> None:
        if when == "before":
            self.events += 1
        if self.trap is not None:
            self.trap(when, name)

    # --- what a crash does ------------------------------------------------------------------------------------------

    def crash(self) -> set[str]:
        """Power fails: every file is left as its platter holds it. Says what became of what was not synced."""
        kinds: set[str] = set()
        for path, file in self._files.items():
            if not path.exists():
                continue
            if not file.named and self.random.random() < 0.5:
                path.unlink()
                kinds.add("journal lost")
                continue
            cached = path.read_bytes()
            left = bytes(self._survived(file, kinds))
            if left != cached:
                path.write_bytes(left)
        self.restart()
        return kinds

    def restart(self) -> None:
        """Look at the files anew: what is there now is all that there is."""
        self._files.clear()
        self.events = 0

    def _survived(self, file: _File, kinds: set[str] | None = None) -> bytearray:
        """What the platter holds of a file: the durable part, and anything between none and all of the changes."""
        kinds = set() if kinds is None else kinds
        whole = bytearray(file.durable)
        for change in file.changes:
            _apply(whole, *change)
        if whole == file.durable:
            return whole
        fate = self.random.choice(("lost", "lost", "torn", "torn", "pages", "pages", "pages"))
        if fate == "lost":
            kinds.add("journal lost")
            return bytearray(file.durable)
        if fate == "torn":
            kinds.add("journal torn")
            return self._torn(file)
        return self._pages(file.durable, whole, kinds)

    def _torn(self, file: _File) -> bytearray:
        """The changes up to some byte of one of them."""
        left = bytearray(file.durable)
        last = self.random.randrange(len(file.changes))
        for change in file.changes[:last]:
            _apply(left, *change)
        offset, data = file.changes[last]
        if data is not None:
            _apply(left, offset, data[: int(self.random.random() * len(data))])
        return left

    def _pages(self, durable: bytearray, whole: bytearray, kinds: set[str]) -> bytearray:
        """Any subset of the pages, in no order; what did not arrive is as it was, or zeros where nothing was."""
        shorter, longer = sorted((len(durable), len(whole)))
        page = self.random.choice([size for size in PAGES if size <= longer - shorter] or PAGES)
        length = self.random.choice((shorter, longer, shorter + int(self.random.random() * (longer - shorter))))
        left = bytearray(durable.ljust(longer, b"\0"))
        written = [at for at in range(0, len(whole), page) if whole[at : at + page] != durable[at : at + page]]
        arrived = [self.random.random() < 0.5 for _ in written]
        if len(written) > 1 and self.random.random() < 0.5:
            arrived[0], arrived[-1] = False, True
        for at, there in zip(written, arrived, strict=True):
            if there:
                left[at : at + page] = whole[at : at + page]
        overtaken = any(later > earlier for earlier, later in pairwise(arrived))
        kinds.add("pages out of order" if overtaken else "journal torn")
        return left[:length]


def _apply(content: bytearray, offset: int, data: bytes | None) -> None:
    if data is None:
        del content[offset:]
        content.extend(bytes(offset - len(content)))
        return
    content.extend(bytes(max(0, offset - len(content))))
    content[offset : offset + len(data)] = data
