"""The first and the last line of a journal: enough to list many runs, however long their journals are."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pipeline.errors import MachineFailed
from pipeline.ledger.lines import FINISHED, Damaged, Header, Note, sight
from pipeline.ledger.scan import NothingBegun

#: The line that says that a run is finished is much shorter.
_LAST: Final = 4096


@dataclass(frozen=True, slots=True)
class Glance:
    """What the two lines say; that nothing between them is damaged is for `recover` to tell."""

    header: Header
    finished: bool


def glance(path: Path) -> Glance:
    """Look at a journal. Raises MachineFailed where its first line is no header, NothingBegun where that never became
    whole, OSError."""
    with path.open("rb") as file:
        first = file.readline()
        try:
            header = sight(first.removesuffix(b"\n"))
        except Damaged as error:
            if not file.read(1):  # nothing follows: it never became whole
                raise NothingBegun(f"{path}: the journal has no whole header") from None
            raise MachineFailed(f"{path}: line 1 {error}") from None
        if not isinstance(header, Header):
            raise MachineFailed(f"{path}: line 1 is not the header")
        size = file.seek(0, 2)
        file.seek(max(0, size - _LAST))
        lines = file.read().split(b"\n")
    if len(lines) < 2 or lines[-1]:  # the last write did not finish
        return Glance(header, finished=False)
    try:
        last = sight(lines[-2])
    except Damaged:  # or a line that is longer
        return Glance(header, finished=False)
    return Glance(header, finished=isinstance(last, Note) and last.event == FINISHED)
