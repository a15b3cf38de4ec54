"""SQLite as this house uses it: questions about many keys at once, and databases that end with the process."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from pipeline.errors import MachineFailed

_AT_ONCE: Final = 8192  # keys in one question, far below what SQLite bears


def rows_of(database: sqlite3.Connection, query: str, keys: Sequence[Any], *more: Any) -> Iterator[Any]:
    """The rows of `query` over all `keys`, however many: `{}` in it stands for some of them; `more` fills the rest."""
    for first in range(0, len(keys), _AT_ONCE):
        part = keys[first : first + _AT_ONCE]
        yield from database.execute(query.format(",".join("?" * len(part))), (*part, *more))


def temporary(table: str) -> sqlite3.Connection:
    """A database of one table (its SQL) in a file of SQLite's own, little of it in memory; closing ends it."""
    database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
    database.execute("PRAGMA cache_size = -65536")
    database.execute("PRAGMA journal_mode = OFF")
    database.execute(table)
    return database


@contextmanager
def spilling() -> Iterator[None]:
    """Turn an error of a temporary database into MachineFailed."""
    try:
        yield
    except sqlite3.Error as error:
        raise MachineFailed(f"the target's list cannot be put away: {error}. Free space for temporary files") from None
