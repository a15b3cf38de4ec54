"""Names of columns: each its own, whatever the header says."""

import re
from collections import Counter
from collections.abc import Sequence


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
