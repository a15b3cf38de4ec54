"""One CSV record at a time, the careful way: where it ends, its cells, and what is wrong with it."""

import re
from dataclasses import dataclass
from typing import Final

#: Bytes. A record of several lines that is longer is taken for one with a closing quote missing: without a bound, one
#: stray quote would swallow the rest of a file, and memory with it.
LONGEST_RECORD: Final = 1 << 20

_TWICE: Final = "write a quote within a quoted field twice"

_LINE: Final = re.compile(rb"([^\r\n]*+)(?:\r*+\n|\r)")
_QUOTED: Final = re.compile(rb'"([^"]*+(?:""[^"]*+)*+)"')
_BARE: Final = re.compile(rb"(?<!\r)\r++(?!\n)")


@dataclass(frozen=True, slots=True)
class Record:
    """A record, or what has to pass for one."""

    cells: list[bytes]
    end: int  # offset of the first byte after its line break
    damage: str | None  # why its cells cannot be relied on, for a person


class Scanner:
    """Reads records from bytes in which every line, the last one too, has an end: LF, CRLF or CR.

    CRs before an LF belong to it. A cell is quoted if its first character is a quote; elsewhere a quote is text. Blanks
    are kept. Where a quoted cell is not closed, or goes on after its closing quote, nobody can tell what was meant: the
    record is damaged and ends with the line on which that cell begins, so that the records after it are not drawn in.
    So does a record of several lines and more than `longest` bytes, with the cell that makes it too long.
    """

    def __init__(self, delimiter: str, *, longest: int = LONGEST_RECORD) -> None:
        self._delimiter = delimiter.encode()
        self._blanks = b" \r\n" if delimiter == "\t" else b" \t\r\n"
        self.longest = longest
        mark = re.escape(self._delimiter)
        self._unquoted = re.compile(rb"([^\r\n" + mark + rb"]*+)(" + mark + rb"|\r*+\n|\r)")
        self._after = re.compile(rb"( *+)(" + mark + rb"|\r*+\n|\r)")

    def is_blank(self, line: bytes) -> bool:
        """Whether a physical line stands for no row: nothing in it but spaces, tabs that delimit nothing, its end."""
        return not line.strip(self._blanks)

    def record(self, data: bytes, start: int, *, line: int, final: bool) -> Record | None:
        """The record at offset `start`, on physical line `line`.

        None: it may go on behind the end of `data`; never so if `final`, which says that nothing follows.
        """
        content, end = _line(data, start)
        if b'"' not in content:
            return Record(content.split(self._delimiter), end, None)
        second = end  # where a second line of it would begin
        cells: list[bytes] = []
        at = start
        while True:
            if data.startswith(b'"', at):
                quoted = _QUOTED.match(data, at)
                if quoted is None and not final and len(data) - start <= self.longest:
                    return None
                if quoted is None:
                    return self._broken(data, at, cells, _not_closed(line + _breaks(data, start, at)))
                over_lines = b"\n" in quoted[0] or b"\r" in quoted[0]
                after = self._after.match(data, quoted.end())
                if after is None and not over_lines:
                    problem = f"has text after the closing quote of field {len(cells) + 1}; {_TWICE}"
                    return self._broken(data, at, cells, problem)
                if after is None or (over_lines and after.end() - start > self.longest):
                    # What closes it may well be meant to open a cell of a later line.
                    return self._broken(data, at, cells, _not_closed(line + _breaks(data, start, at)))
                cell = quoted[1].replace(b'""', b'"') + after[1]
            else:
                after = self._unquoted.match(data, at)
                assert after is not None  # every line has an end
                cell = after[1]
            if after.end() > second and after.end() - start > self.longest:
                problem = f"goes on for more than {self.longest} bytes; a closing quote may be missing"
                return self._broken(data, at, cells, problem)
            cells.append(cell)
            at = after.end()
            if after[2] != self._delimiter:
                return Record(cells, at, None)

    def _broken(self, data: bytes, at: int, cells: list[bytes], damage: str) -> Record:
        content, end = _line(data, at)
        return Record([*cells, content], end, damage)


def with_lf(data: bytes) -> bytes:
    """The same bytes with every line break an LF, or CRs and an LF, and all else in its place."""
    if b"\r" not in data:
        return data
    if b"\n" not in data:
        return data.replace(b"\r", b"\n")
    if data.count(b"\r") == data.count(b"\r\n"):  # ten times faster than to look at each
        return data
    return _BARE.sub(lambda run: b"\n" * len(run[0]), data)


def fields(count: int) -> str:
    """A number of fields in words."""
    return "1 field" if count == 1 else f"{count} fields"


def _line(data: bytes, at: int) -> tuple[bytes, int]:
    """The line from offset `at` on, without its end, and the offset behind that."""
    match = _LINE.match(data, at)
    assert match is not None  # every line has an end
    return match[1], match.end()


def _breaks(data: bytes, start: int, stop: int) -> int:
    return with_lf(data[start:stop]).count(b"\n")


def _not_closed(line: int) -> str:
    return f"has a quoted field that opens on line {line} and is not closed"
