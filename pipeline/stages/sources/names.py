"""Names of columns: each its own, whatever the header says."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Final

#: What looks like a destination and stands where the name of a column belongs.
_NO_NAME: Final = re.compile(r"[^\s@]+@[^\s@]+\.[^\s@]+|[+(]?(?=.*\d)[\d\s().\-/]{7,}")


def column_names(cells: Sequence[str]) -> tuple[str, ...]:
    """A name for each cell of a header, stripped: `column_N` where it is empty, `NAME (column N)` where it is repeated.

    N counts from 1. None of several columns keeps the bare name, so nobody takes one of them for the other.
    """
    given = [cell.strip() for cell in cells]
    counts = Counter(given)
    names: list[str] = []
    taken = set(given)
    for number, cell in enumerate(given, start=1):
        chosen = cell
        if not cell or counts[cell] > 1:
            chosen = f"{cell} (column {number})" if cell else f"column_{number}"
            while chosen in taken:
                chosen += "_"
            taken.add(chosen)
        names.append(chosen)
    return tuple(names)


def repeats(name: str, columns: Sequence[str]) -> list[str]:
    """The columns whose header is `name`, where more than one has it."""
    numbered = re.compile(re.escape(name) + r" \(column \d+\)_*")
    return [column for column in columns if numbered.fullmatch(column)]


def nameless(columns: Sequence[str], source: str) -> str | None:
    """What to do about a list whose first line looks like a row of it, in words without any of its cells; None: it
    holds names.
    """
    if not any(_NO_NAME.fullmatch(name.strip()) for name in columns):
        return None
    return (
        f"{source}: its first line holds a number or an address where names of columns belong; "
        "put a line with the names of the columns above it"
    )
