"""Joins the contacts of a campaign to the ledger of a run: which row has become which contact, and how far it has come.

By id where the target keeps the ids that we send. Where none of them is in its list it gives ids of its own, and rows
are matched by their destinations: as many rows as there are contacts with the same ones, in order.
"""

from collections import defaultdict, deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

import polars as pl

from pipeline.ledger.database import rows_of, spilling, temporary
from pipeline.records import CHANNELS, LEDGER_SCHEMA, Status

#: What is told of each channel of a row beside the ledger.
_TOLD: Final = tuple(f"{channel}_{what}" for channel in CHANNELS for what in ("status", "error", "attempts_left"))
_TYPES: Final = {name: pl.String if name.endswith("_status") else pl.Int64 for name in _TOLD}

#: The columns of a ledger that is followed to its deliveries: all of its own, and per channel what the target tells.
FOLLOWED_SCHEMA: Final = pl.Schema([*LEDGER_SCHEMA.items(), *_TYPES.items()])

_COLUMNS: Final = ", ".join(_TOLD)
_TABLE: Final = (
    f"CREATE TABLE contacts (number INTEGER PRIMARY KEY, id TEXT, face TEXT, {_COLUMNS}, ours INTEGER DEFAULT 0)"
)

#: Rows that may be at the target: without ids of ours no other row may claim a contact.
_SENT: Final = (Status.ACCEPTED.value, Status.IN_DOUBT.value)


@dataclass(frozen=True, slots=True)
class Match:
    """How contacts and rows were matched."""

    by: Literal["id", "destination"]
    rows: int  # of the ledger that have a contact
    others: int  # contacts that are not of this run
    repeated: int  # contacts beyond the first of an id


class Following:
    """The contacts of a campaign in a temporary database; blocks. Raises MachineFailed where there is no room."""

    def __init__(self) -> None:
        with spilling():
            self._database = temporary(_TABLE)
        self._by: Literal["id", "destination"] = "id"
        self._rows = 0
        self._repeated = 0

    def close(self) -> None:
        """Let go of the database."""
        self._database.close()

    def add(self, contacts: pl.DataFrame) -> None:
        """Take contacts in (DELIVERIES_SCHEMA)."""
        rows = contacts.select("contact_id", _face().alias("face"), *_TOLD).rows()
        marks = ", ".join("?" * (2 + len(_TOLD)))
        with spilling():
            self._database.execute("BEGIN")
            self._database.executemany(f"INSERT INTO contacts (id, face, {_COLUMNS}) VALUES ({marks})", rows)  # noqa: S608
            self._database.execute("COMMIT")

    def settle(self, ledger: Iterator[pl.DataFrame]) -> None:
        """All contacts are in: find out how they are matched, and mark those that are of this run."""
        with spilling():
            self._database.execute("CREATE INDEX by_id ON contacts (id)")
            for part in ledger:
                ids = part["contact_id"].drop_nulls().unique().to_list()
                for first in range(0, len(ids), 8192):
                    some = ids[first : first + 8192]
                    marks = ",".join("?" * len(some))
                    self._database.execute(f"UPDATE contacts SET ours = 1 WHERE id IN ({marks})", some)  # noqa: S608
            (ours, distinct) = self._database.execute(
                "SELECT count(*), count(DISTINCT id) FROM contacts WHERE ours = 1"
            ).fetchone()
            self._repeated = ours - distinct
            if not ours:
                self._by = "destination"
                self._database.execute("CREATE INDEX by_face ON contacts (face)")

    def followed(self, part: pl.DataFrame) -> pl.DataFrame:
        """Rows of the ledger with what the target tells of them (FOLLOWED_SCHEMA), every row once and in order."""
        with spilling():
            found = self._by_id(part) if self._by == "id" else self._by_destination(part)
        told = pl.DataFrame(found, schema={"_row": pl.UInt32, **_TYPES}, orient="row")
        self._rows += told.height
        joined = part.with_row_index("_row").join(told, on="_row", how="left", maintain_order="left")
        return joined.select(pl.col(name).cast(kind) for name, kind in FOLLOWED_SCHEMA.items())

    def match(self) -> Match:
        """How it was, when all rows have been followed."""
        with spilling():
            (others,) = self._database.execute("SELECT count(*) FROM contacts WHERE ours = 0").fetchone()
        return Match(self._by, self._rows, others, self._repeated)

    def _by_id(self, part: pl.DataFrame) -> list[tuple[Any, ...]]:
        ids = part["contact_id"].to_list()
        query = f"SELECT id, {_COLUMNS} FROM contacts WHERE id IN ({{}}) ORDER BY number DESC"  # noqa: S608
        # The first of several with one id is put in last.
        told = {row[0]: row[1:] for row in rows_of(self._database, query, list({each for each in ids if each}))}
        return [(row, *told[each]) for row, each in enumerate(ids) if each in told]

    def _by_destination(self, part: pl.DataFrame) -> list[tuple[Any, ...]]:
        faces = part.select(pl.when(pl.col("status").is_in(_SENT)).then(_face()).alias("face"))["face"].to_list()
        query = f"SELECT face, number, {_COLUMNS} FROM contacts WHERE face IN ({{}}) AND ours = 0 ORDER BY number"  # noqa: S608
        waiting: dict[str, deque[tuple[Any, ...]]] = defaultdict(deque)
        for row in rows_of(self._database, query, list({each for each in faces if each})):
            waiting[row[0]].append(row[1:])
        found, used = [], []
        for row, face in enumerate(faces):
            if face and waiting[face]:
                number, *told = waiting[face].popleft()
                found.append((row, *told))
                used.append((number,))
        self._database.execute("BEGIN")
        self._database.executemany("UPDATE contacts SET ours = 1 WHERE number = ?", used)
        self._database.execute("COMMIT")
        return found


def _face() -> pl.Expr:
    """All destinations of a contact or a row: digits of a phone, a mail without case; targets write both in their own
    way. Empty where there is none.
    """
    plain = [
        pl.when(pl.col(name).str.contains("@", literal=True))
        .then(pl.col(name).str.strip_chars().str.to_lowercase())
        .otherwise(pl.col(name).str.replace_all("[^0-9]", ""))
        .fill_null("")
        for name in CHANNELS
    ]
    whole = pl.concat_str(plain, separator="|")
    return pl.when(whole != "||").then(whole).otherwise(pl.lit(""))
