"""What a run's ledger asks of the target's list, by key, and how much of it the list held.

A file of SQLite's own that ends with the process: there may be millions of rows, and little of them is in memory.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from pipeline.ledger.database import rows_of, spilling, temporary


@dataclass(frozen=True, slots=True)
class Due:
    """What is due of one key, and what was found beyond what stood there before."""

    accepted: int
    allowed: int  # accepted rows, and those that may be there or were there already
    found: int


class DueRows:
    """The rows of the ledger by key: an id, or the hash of a face. Its methods block."""

    def __init__(self) -> None:
        self._database = temporary(
            "CREATE TABLE due (key BLOB PRIMARY KEY, accepted INTEGER, open INTEGER, before INTEGER, found INTEGER,"
            " told INTEGER) WITHOUT ROWID"
        )

    def __enter__(self) -> "DueRows":
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()

    def add(self, rows: pl.DataFrame, before: Mapping[bytes, int]) -> None:
        """Take in rows (key, accepted, open); `before`: so often a key was there before the run."""
        found = [(key, *numbers, before.get(key, 0)) for key, *numbers in rows.iter_rows()]
        self._many(
            "INSERT INTO due VALUES (?, ?, ?, ?, 0, 0) ON CONFLICT (key) DO UPDATE"
            " SET accepted = accepted + excluded.accepted, open = open + excluded.open",
            sorted(found),
        )

    def forget_found(self) -> None:
        """The list is read from its beginning."""
        self._database.execute("UPDATE due SET found = 0 WHERE found")

    def count(self, keys: Sequence[bytes]) -> None:
        """These stand in the target's list."""
        self._many("UPDATE due SET found = found + 1 WHERE key = ?", [(key,) for key in sorted(keys)])

    @property
    def accepts(self) -> bool:
        """Whether any row is accepted."""
        return self._is("accepted")

    @property
    def finds_accepted(self) -> bool:
        """Whether any accepted row was found."""
        return self._is("accepted AND found")

    @property
    def misses(self) -> bool:
        """Whether any accepted row was not found."""
        return self._is("found - before < accepted")

    @property
    def exceeds(self) -> bool:
        """Whether more was found than may be there."""
        return self._is("found - before > accepted + open")

    @spilling()
    def wrong(self, keys: Sequence[bytes]) -> dict[bytes, Due]:
        """Those of `keys` of which another number is there than may be, but for those that were `told`."""
        query = (
            "SELECT key, accepted, accepted + open, found - before FROM due WHERE NOT told"
            " AND found - before NOT BETWEEN accepted AND accepted + open AND key IN ({})"
        )
        return {key: Due(*numbers) for key, *numbers in rows_of(self._database, query, keys)}

    def told(self, keys: Sequence[bytes]) -> None:
        """These need not be told again: several rows may have one key."""
        self._many("UPDATE due SET told = 1 WHERE key = ?", [(key,) for key in keys])

    @spilling()
    def _is(self, condition: str) -> bool:
        query = f"SELECT EXISTS (SELECT 1 FROM due WHERE {condition})"  # noqa: S608 - conditions of ours
        return bool(self._database.execute(query).fetchone()[0])

    @spilling()
    def _many(self, statement: str, values: Sequence[tuple[Any, ...]]) -> None:
        self._database.execute("BEGIN")
        self._database.executemany(statement, values)
        self._database.execute("COMMIT")
