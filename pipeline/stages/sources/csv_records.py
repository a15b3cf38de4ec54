"""One CSV record at a time, the careful way: where it ends, its cells, and what is wrong with it."""

import re
from dataclasses import dataclass
from typing import Final

#: Bytes. A quoted cell of several lines that is longer is taken for one whose closing quote is missing: without a
#: bound, one stray quote would swallow the rest of a file, and memory with it.
LONGEST_CELL: Final = 1 << 20

_LOOSE: Final = "has a carriage return outside of quotes; end all lines the same way, or put the field in quotes"

_QUOTED: Final = re.compile(rb'"([^"]*+(?:""[^"]*+)*+)"')


@dataclass(frozen=True, slots=True)
class Record:
    """A record, or what has to pass for one."""

    cells: list[bytes]
    end: int  # offset of the first byte after its line break
    damage: str | None  # why its cells cannot be relied on, for a person


class Scanner:
    """Reads records from bytes in which every line, the last one too, ends with LF or CRLF.

    A cell is quoted if its first character is a quote; elsewhere a quote is text. Blanks are kept. Where a quoted cell
    is not closed, or goes on after its closing quote, nobody can tell what was meant: the record is damaged and ends
    with the line on which that cell begins, so that the records after it are not drawn in.
    """

    def __init__(self, delimiter: str, *, longest: int = LONGEST_CELL) -> None:
        self._delimiter = delimiter.encode()
        self.longest = longest
        mark = re.escape(self._delimiter)
        self._unquoted = re.compile(rb"[^\n" + mark + rb"]*+")
        self._after = re.compile(rb"( *+)(" + mark + rb"|\r*+\n)")

    def record(self, data: bytes, start: int, *, line: int, final: bool) -> Record | None:
        """The record at offset `start`, on physical line `line`.

        None: it may go on behind the end of `data`; never so if `final`, which says that nothing follows.
        """
        stop = data.index(b"\n", start)
        content = data[start:stop]
        if b'"' not in content:
            content = content.rstrip(b"\r")
            return Record(content.split(self._delimiter), stop + 1, _LOOSE if b"\r" in content else None)
        cells: list[bytes] = []
        loose = False
        at = start
        while True:
            if data.startswith(b'"', at):
                quoted = _QUOTED.match(data, at)
                if quoted is None and not final and len(data) - at <= self.longest:
                    return None
                if quoted is None or (b"\n" in quoted[0] and quoted.end() - at > self.longest):
                    return self._broken(data, at, cells, _not_closed(line + data.count(b"\n", start, at)))
                after = self._after.match(data, quoted.end())
                if after is None:
                    if b"\n" in quoted[0]:  # it was closed by the quote that opens a cell of a later line
                        problem = _not_closed(line + data.count(b"\n", start, at))
                    else:
                        problem = (
                            f"has text after the closing quote of field {len(cells) + 1}; "
                            "write a quote within a quoted field twice"
                        )
                    return self._broken(data, at, cells, problem)
                cells.append(quoted[1].replace(b'""', b'"') + after[1])
                at = after.end()
                last = after[2] != self._delimiter
            else:
                match = self._unquoted.match(data, at)
                assert match is not None  # it matches the empty string
                at = match.end() + 1
                last = data.startswith(b"\n", match.end())
                cell = match[0].rstrip(b"\r") if last else match[0]
                cells.append(cell)
                loose = loose or b"\r" in cell
            if last:
                return Record(cells, at, _LOOSE if loose else None)

    def _broken(self, data: bytes, at: int, cells: list[bytes], damage: str) -> Record:
        stop = data.index(b"\n", at)
        return Record([*cells, data[at:stop].rstrip(b"\r")], stop + 1, damage)


def _not_closed(line: int) -> str:
    return f"has a quoted field that opens on line {line} and is not closed"


def fields(count: int) -> str:
    """A number of fields in words."""
    return "1 field" if count == 1 else f"{count} fields"
