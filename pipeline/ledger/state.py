"""What is in one campaign, by id and content, across runs: a SQLite file, its questions, and what runs put down in it.

    contacts   what is surely there, and which run has brought it, where that is known
    slices     what a run may have sent, put down before it sends; taken away when the run has given account of it
    doubtful   what a run could not tell, or what stood in the slices of a run whose directory is lost
    runs       where they lie, in which order they have sent, since when (seconds since the epoch) they send no more,
               whether they cannot be gone on with (1: an undo was begun, 2: the campaign was deleted), until when
               (milliseconds since the epoch) they have given account, and whether their canary has yet to pass
    facts      what was learnt of the target, and when something was last taken back

Ids are the 16 bytes of the UUID, contents the 16 bytes of the hash of what is sent (null: not known). No destination
is in it.
"""

import sqlite3
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Final
from uuid import UUID

import polars as pl

from pipeline.errors import Busy, MachineFailed
from pipeline.ledger.database import rows_of

_VERSION: Final = 1

_TABLES: Final = """
CREATE TABLE contacts (id BLOB PRIMARY KEY, content BLOB, run INTEGER) WITHOUT ROWID;
CREATE TABLE slices (run INTEGER, number INTEGER, positions BLOB, ids BLOB, contents BLOB, PRIMARY KEY (run, number));
CREATE TABLE doubtful (id BLOB, run INTEGER, content BLOB, PRIMARY KEY (id, run)) WITHOUT ROWID;
CREATE TABLE runs (number INTEGER PRIMARY KEY, id TEXT UNIQUE, directory TEXT, first_sent INTEGER, last_sent INTEGER,
    quiet_since REAL, undone INTEGER DEFAULT 0, accounted INTEGER,
    unproven INTEGER DEFAULT 0);
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT);
"""


#: A contact that a run has doubted turned out to be there.
FOUND: Final = "INSERT OR IGNORE INTO contacts SELECT id, content, NULL FROM doubtful WHERE id = ?"


#: A run is about to send something.
_SENDS: Final = (
    "UPDATE runs SET quiet_since = NULL, last_sent = (SELECT COALESCE(MAX(last_sent), 0) + 1 FROM runs),"
    " first_sent = COALESCE(first_sent, (SELECT COALESCE(MAX(last_sent), 0) + 1 FROM runs)) WHERE number = ?"
)


@dataclass(frozen=True, slots=True)
class Run:
    """A run that the state knows."""

    number: int
    id: str
    directory: Path
    undone: bool  # whether an undo of it was begun
    unproven: bool  # whether its canary has yet to pass


class State:
    """One campaign's state, open (see `ledger.campaign`); `ledger.accounts` takes in what runs give account of.

    Every method blocks and may be called from any thread; what changes something is durable when it returns. Each
    raises MachineFailed where the file cannot be read or written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = Lock()
        with self._guarded():
            self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._database.execute("PRAGMA synchronous = FULL")
            self._database.execute("PRAGMA journal_mode = TRUNCATE")  # also where shared memory cannot be had
            self._database.execute("PRAGMA cache_size = -2048")  # what is written is in order, what is asked at random
            (version,) = self._database.execute("PRAGMA user_version").fetchone()
            if version == 0:
                self._database.executescript(f"BEGIN; {_TABLES} PRAGMA user_version = {_VERSION}; COMMIT;")
            elif version != _VERSION:
                raise MachineFailed(f"{path}: is of version {version}, and this program knows {_VERSION}")

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()

    # --- what is there ----------------------------------------------------------------------------------------------

    def first_run(self, run: int) -> bool:
        """Whether nothing is known of the campaign: no other run than this one has sent anything."""
        with self._guarded():
            query = (
                "SELECT EXISTS (SELECT 1 FROM contacts)"
                " OR EXISTS (SELECT 1 FROM runs WHERE number != ? AND last_sent IS NOT NULL)"
            )
            return not self._database.execute(query, (run,)).fetchone()[0]

    @property
    def blank(self) -> bool:
        """Whether nothing is known or doubted of any contact."""
        with self._guarded():
            query = "SELECT EXISTS (SELECT 1 FROM contacts) OR EXISTS (SELECT 1 FROM doubtful)"
            return not self._database.execute(query).fetchone()[0]

    @property
    def size(self) -> int:
        """How many contacts are surely there."""
        with self._guarded():
            (found,) = self._database.execute("SELECT COUNT(*) FROM contacts").fetchone()
        return int(found)

    def known(self, ids: Sequence[bytes], *, own: int | None = None) -> dict[bytes, bytes | None]:
        """Those of `ids` that are surely there, with the content, but for what the run `own` has brought there."""
        query = "SELECT id, content FROM contacts WHERE id IN ({}) AND run IS NOT ?"
        with self._guarded():
            return dict(rows_of(self._database, query, ids, own or 0))

    def some(self, number: int) -> list[str]:
        """So many of the ids that runs have had accepted, or fewer."""
        with self._guarded():
            query = "SELECT id FROM contacts WHERE run IS NOT NULL LIMIT ?"
            return [str(UUID(bytes=row[0])) for row in self._database.execute(query, (number,))]

    def brought(self, ids: Sequence[bytes], *, own: int | None) -> set[bytes]:
        """Those of `ids` that a run other than `own` has brought there."""
        query = "SELECT id FROM contacts WHERE id IN ({}) AND run != ?"
        with self._guarded():
            return {row[0] for row in rows_of(self._database, query, ids, own or 0)}

    def doubted(self, ids: Sequence[bytes], *, own: int | None) -> dict[bytes, bytes]:
        """Those of `ids` of which a run other than `own` could not tell whether they are there, with what it sent."""
        query = "SELECT id, content FROM doubtful WHERE id IN ({}) AND run IS NOT ?"
        with self._guarded():
            return dict(rows_of(self._database, query, ids, own))

    def resolve(self, ids: Sequence[str], *, there: Sequence[str] = ()) -> None:
        """Whether these are there has been told, `there` are those that are: no run doubts them any more."""
        with self.transaction() as database:
            found = [(each,) for each in packed_ids(pl.Series(there, dtype=pl.String))]
            database.executemany(FOUND, found)
            doubts = [(each,) for each in packed_ids(pl.Series(ids, dtype=pl.String))]
            database.executemany("DELETE FROM doubtful WHERE id = ?", doubts)
            # What was found there once, and is there no more, must not be taken for there when it is to be sent again.
            absent = set(doubts).difference(found)
            database.executemany("DELETE FROM contacts WHERE id = ? AND run IS NULL", absent)

    # --- runs -------------------------------------------------------------------------------------------------------

    def enter(self, run_id: str, directory: Path, now: float | None = None) -> int:
        """The number of a run, which lies in `directory` (as seen from anywhere). `now`: a process of it begins, in
        seconds since the epoch.
        """
        with self.transaction() as database:
            database.execute(
                "INSERT INTO runs (id, directory) VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET directory = ?2",
                (run_id, str(directory)),
            )
            (number,) = database.execute("SELECT number FROM runs WHERE id = ?", (run_id,)).fetchone()
            if now is not None:
                # The clock was set back: what is settled from now on would seem to be settled before that account.
                database.execute(
                    "UPDATE runs SET accounted = NULL WHERE number = ? AND accounted > ?", (number, int(now * 1000))
                )
        return int(number)

    def number(self, run_id: str) -> int | None:
        """The number of a run that was entered; None: it was not."""
        with self._guarded():
            row = self._database.execute("SELECT number FROM runs WHERE id = ?", (run_id,)).fetchone()
        return None if row is None else int(row[0])

    def claim(self, run: int, number: int, positions: Sequence[int], contacts: pl.DataFrame) -> None:
        """Put down that slice `number` of a run may now be sent: rows at `positions` of its input, `contacts` with
        contact_id and content.
        """
        at = array("Q", positions).tobytes()
        ids, contents = (joined(contacts[name]) for name in ("contact_id", "content"))
        with self.transaction() as database:
            database.execute("INSERT OR REPLACE INTO slices VALUES (?, ?, ?, ?, ?)", (run, number, at, ids, contents))
            database.execute(_SENDS, (run,))

    def claim_update(self, run: int, contacts: pl.DataFrame) -> None:
        """Put down that a run may now change these, which are there: from here on their content is not known."""
        with self.transaction() as database:
            ids = [(each,) for each in packed_ids(contacts["contact_id"])]
            database.executemany("INSERT OR IGNORE INTO contacts VALUES (?, NULL, NULL)", ids)
            database.executemany("UPDATE contacts SET content = NULL WHERE id = ?", ids)
            database.execute(_SENDS, (run,))

    def open_runs(self, *, own: int) -> list[Run]:
        """Runs other than `own` that have left something open, the oldest first."""
        with self._guarded():
            rows = self._database.execute(
                "SELECT number, id, directory, undone, unproven FROM runs WHERE number != ?"
                " AND (unproven OR number IN (SELECT run FROM slices) OR number IN (SELECT run FROM doubtful))"
                " ORDER BY number",
                (own,),
            ).fetchall()
        return [
            Run(number, run_id, Path(directory), bool(undone), bool(unproven))
            for number, run_id, directory, undone, unproven in rows
        ]

    def unproven(self, run: int, *, yes: bool) -> None:
        """Whether the canary of a run has yet to pass: until then what it has sent is to be read back."""
        with self.transaction() as database:
            database.execute("UPDATE runs SET unproven = ? WHERE number = ?", (yes, run))

    def undo_begun(self, run: int) -> None:
        """What a run has added may be deleted from now on; it cannot be gone on with any more."""
        with self.transaction() as database:
            database.execute("UPDATE runs SET undone = 1, unproven = 0 WHERE number = ? AND undone = 0", (run,))

    def gone(self, ids: Sequence[bytes], now: float) -> None:
        """These were deleted, and no deletion is on its way any more; `now` in seconds since the epoch."""
        with self.transaction() as database:
            database.executemany("DELETE FROM contacts WHERE id = ?", [(each,) for each in ids])
        self.deleted(now)

    def forget(self, ids: Sequence[bytes]) -> None:
        """Persons were erased: nothing is known or doubted of these any more, as if they had never been there."""
        with self.transaction() as database:
            for table in ("contacts", "doubtful"):
                database.executemany(f"DELETE FROM {table} WHERE id = ?", [(each,) for each in ids])  # noqa: S608 - a name of our own

    def undone(self, run_id: str) -> bool:
        """Whether an undo of a run was begun, or its campaign was deleted."""
        with self._guarded():
            query = "SELECT EXISTS (SELECT 1 FROM runs WHERE id = ? AND undone)"
            return bool(self._database.execute(query, (run_id,)).fetchone()[0])

    def campaign_deleted(self, run_id: str) -> bool:
        """Whether the campaign was deleted since this run has sent into it."""
        with self._guarded():
            query = "SELECT EXISTS (SELECT 1 FROM runs WHERE id = ? AND undone = 2)"
            return bool(self._database.execute(query, (run_id,)).fetchone()[0])

    def alone_since(self, run: int) -> bool:
        """Whether this state has seen `run` begin to send, and no other run send anything since."""
        with self._guarded():
            query = (
                "SELECT own.first_sent IS NOT NULL AND NOT EXISTS (SELECT 1 FROM runs AS other WHERE other.number != ?1"
                " AND other.last_sent > own.first_sent) FROM runs AS own WHERE own.number = ?1"
            )
            row = self._database.execute(query, (run,)).fetchone()
        return row is not None and bool(row[0])

    def overtaken(self, run: int) -> bool:
        """Whether another run has sent anything since `run` began to."""
        with self._guarded():
            query = (
                "SELECT EXISTS (SELECT 1 FROM runs AS own JOIN runs AS other ON other.number != own.number"
                " WHERE own.number = ? AND other.last_sent > own.first_sent)"
            )
            return bool(self._database.execute(query, (run,)).fetchone()[0])

    def quiet_since(self, *, own: int) -> float | None:
        """When the last of the other runs that have sent anything has ended, in seconds since the epoch.

        None: none has sent; infinity: when one of them ended is not known.
        """
        with self._guarded():
            query = (
                "SELECT MAX(quiet_since), COUNT(*) > COUNT(quiet_since) FROM runs"
                " WHERE number != ? AND last_sent IS NOT NULL"
            )
            latest, unknown = self._database.execute(query, (own,)).fetchone()
        return float("inf") if unknown else latest

    def undo_ended(self, run: int, now: float) -> None:
        """An undo of `run` deletes no more for now, and the run itself sends no more; in seconds since the epoch."""
        with self.transaction() as database:
            database.execute("UPDATE runs SET quiet_since = ? WHERE number = ?", (now, run))
        self.deleted(now)

    # --- facts ------------------------------------------------------------------------------------------------------

    def deleted(self, now: float) -> None:
        """Contacts were deleted until `now`, in seconds since the epoch: a list may show them for a while. Infinity:
        they are being deleted.
        """
        self._learn("deleted_at", repr(now))

    def emptied(self, now: float) -> None:
        """The campaign itself was deleted, in seconds since the epoch: nothing is in it, and nothing can be doubted."""
        with self.transaction() as database:
            for table in ("contacts", "slices", "doubtful"):
                database.execute(f"DELETE FROM {table}")  # noqa: S608 - a name of our own
            database.execute("UPDATE runs SET undone = 2, unproven = 0")
        self.deleted(now)

    @property
    def deleted_at(self) -> float | None:
        """When contacts were deleted last, in seconds since the epoch; None: never; infinity: when is not known."""
        value = self._fact("deleted_at")
        return None if value is None else float(value)

    def learn_keeps_ids(self, keeps_ids: bool) -> None:
        """Remember whether the target keeps the ids that we send."""
        self._learn("keeps_ids", str(keeps_ids).lower())

    @property
    def keeps_ids(self) -> bool | None:
        """Whether the target keeps the ids that we send, as far as it was learnt."""
        value = self._fact("keeps_ids")
        return None if value is None else value == "true"

    def _learn(self, name: str, value: str) -> None:
        with self.transaction() as database:
            database.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))

    def _fact(self, name: str) -> str | None:
        with self._guarded():
            row = self._database.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    # --- the database -----------------------------------------------------------------------------------------------

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Change several things, all or none of them; what goes wrong with the file is MachineFailed or Busy."""
        with self._guarded():
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        with self._lock:
            try:
                yield
            except sqlite3.Error as error:
                if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY:
                    raise Busy(
                        f"{self.path}: a run is writing its account into it. Try again when it is done"
                    ) from None
                raise MachineFailed(
                    f"{self.path}: the campaign's state cannot be used ({error}). Free space on the disk, or restore "
                    "the file, and resume; without it what earlier runs have sent is only seen in the target's list"
                ) from None


def packed(contacts: pl.DataFrame) -> tuple[list[bytes], list[bytes]]:
    """The bytes of contact_id and content."""
    return packed_ids(contacts["contact_id"]), contacts["content"].str.decode("hex").to_list()


def packed_ids(ids: pl.Series) -> list[bytes]:
    """The 16 bytes of each UUID."""
    return ids.str.replace_all("-", "", literal=True).str.decode("hex").to_list()


def joined(hexed: pl.Series) -> bytes:
    """The bytes of all UUIDs, or hashes, one behind the other."""
    return bytes.fromhex(hexed.str.join("").item().replace("-", ""))
