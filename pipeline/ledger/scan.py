"""One pass over a journal: checks every line, finds where the file ends, and notes where the lines of each slice lie.

It keeps 16 bytes a line of outcomes and 36 a slice, whatever the number of rows.
"""

from array import array
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pipeline.errors import MachineFailed
from pipeline.ledger import lines
from pipeline.ledger.disk import Disk
from pipeline.ledger.lines import Damaged, Header, Note, SettledFrame, Sighted, SliceFrame

_BLOCK: Final = 4 << 20  # bytes read at once
_LONGEST: Final = 64 << 20  # no line is longer; a file system may leave a tail of zeros of any length


class NothingBegun(MachineFailed):
    """The journal has no whole header: the run ended before it could send anything, and can be begun anew."""


@dataclass(slots=True)
class Scan:
    """What the pass over the file has found so far."""

    path: Path
    header: Header | None = None
    notes: list[Note] = field(default_factory=list)
    finished: bool = False
    durable: int = 0  # the greatest offset that a line has named, behind damage too
    offset: int = 0  # where the next line starts
    number: int = 1  # and its number, for messages
    end: int = 0  # behind the last line before any damage
    damage: tuple[int, int, str] | None = None  # line number, offset, what is wrong
    begun: "dict[str, array[int]]" = field(
        default_factory=lambda: {
            "start": array("Q"),
            "stop": array("Q"),
            "rows": array("Q"),
            "at": array("Q"),
            "length": array("I"),
        }
    )
    settled: "dict[str, array[int]]" = field(
        default_factory=lambda: {"slice": array("I"), "at": array("Q"), "length": array("I")}
    )

    def read(self, disk: Disk, handle: int, size: int) -> None:
        """Go over the first `size` bytes of an open journal. Raises OSError, and MachineFailed on missing lines."""
        position = 0
        carry = b""
        while position < size and (block := disk.read(handle, position, min(_BLOCK, size - position))):
            position += len(block)
            whole = (carry + block).split(b"\n")
            carry = whole.pop()
            for line in whole:
                self.take(line)
            if len(carry) > _LONGEST:
                self.take_rest(carry)
                carry = b""
        self.take_rest(carry)

    def take(self, line: bytes) -> None:
        """A line that ended with a newline."""
        try:
            record = lines.sight(line)
        except Damaged as error:
            self.damage = self.damage or (self.number, self.offset, str(error))
        else:
            if not isinstance(record, Header):
                self.durable = max(self.durable, record.durable)
            if self.damage is None:
                self._keep(record, len(line))
                self.end = self.offset + len(line) + 1
        self.offset += len(line) + 1
        self.number += 1

    def take_rest(self, rest: bytes) -> None:
        """Bytes without a newline behind them."""
        if rest:
            self.damage = self.damage or (self.number, self.offset, "is cut short")
            self.offset += len(rest)

    def _keep(self, record: Sighted, length: int) -> None:
        if (self.header is None) != isinstance(record, Header):
            raise self._refusal("is out of place: the header stands in the first line and nowhere else")
        self.finished = False
        if isinstance(record, Header):
            if record.version != lines.VERSION:
                raise MachineFailed(
                    f"{self.path}: is a journal of version {record.version}, and this program knows {lines.VERSION}:"
                    " go on with the program that began the run"
                )
            self.header = record
        elif isinstance(record, SliceFrame):
            if record.number != len(self.begun["at"]):
                raise self._refusal(f"begins slice {record.number}, not {len(self.begun['at'])}: lines are missing")
            for name, value in (("start", record.start), ("stop", record.stop), ("rows", record.rows)):
                self.begun[name].append(value)
            self.begun["at"].append(self.offset)
            self.begun["length"].append(length)
            if bytes(record.known) != b"[]":
                self._index(record.number, length)
        elif isinstance(record, SettledFrame):
            if record.slice >= len(self.begun["at"]):
                raise self._refusal(f"settles rows of slice {record.slice}, which was not begun: lines are missing")
            self._index(record.slice, length)
        else:
            self.notes.append(record)
            self.finished = record.event == lines.FINISHED

    def _index(self, number: int, length: int) -> None:
        """The line at hand holds outcomes of a slice."""
        self.settled["slice"].append(number)
        self.settled["at"].append(self.offset)
        self.settled["length"].append(length)

    def checked_header(self) -> Header:
        """The header, once it is sure that nothing before it or between the durable lines is damaged."""
        if self.damage and self.damage[1] < self.durable:
            raise self._damaged(*self.damage)
        if self.header is None:
            raise NothingBegun(
                f"{self.path}: the journal has no whole header: the run ended before anything was sent."
                " Delete the directory and import again"
            )
        return self.header

    def _refusal(self, problem: str) -> MachineFailed:
        return self._damaged(self.number, self.offset, problem)

    def _damaged(self, number: int, offset: int, problem: str) -> MachineFailed:
        return MachineFailed(
            f"{self.path}: line {number} (at byte {offset}) {problem}. It was durable once, so the disk or a hand has"
            " changed it: restore the file from a copy; without it nobody knows which rows were sent"
        )
