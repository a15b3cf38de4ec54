"""What is in which campaign, by id and content, across runs: a SQLite file for each campaign, and the lock of its run.

    contacts   what is surely there, and which run has brought it, where that is known
    slices     what a run may have sent, put down before it sends; taken away when the run has given account of it
    doubtful   what a run could not tell, or what stood in the slices of a run whose directory is lost
    runs       where they lie, in which order they have sent, and since when (seconds since the epoch) they send no more
    facts      what was learnt of the target, and when something was last taken back

Ids are the 16 bytes of the UUID, contents the 16 bytes of the hash of what is sent (null: not known). No destination
is in it.
"""

import hashlib
import os
import sqlite3
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, Final
from uuid import UUID

import polars as pl
from filelock import FileLock, Timeout

from pipeline.errors import Busy, MachineFailed
from pipeline.ledger.disk import sync_directory
from pipeline.records import Status

#: Names of the files in a campaign's directory.
FILE: Final = "state.sqlite"
LOCK: Final = "lock"

_VERSION: Final = 1
_AT_ONCE: Final = 8192  # ids in one question, far below what SQLite bears

_TABLES: Final = """
CREATE TABLE contacts (id BLOB PRIMARY KEY, content BLOB, run INTEGER) WITHOUT ROWID;
CREATE TABLE slices (run INTEGER, number INTEGER, positions BLOB, ids BLOB, contents BLOB, PRIMARY KEY (run, number));
CREATE TABLE doubtful (id BLOB, run INTEGER, content BLOB, PRIMARY KEY (id, run)) WITHOUT ROWID;
CREATE TABLE runs (number INTEGER PRIMARY KEY, id TEXT UNIQUE, directory TEXT, first_sent INTEGER, last_sent INTEGER,
    quiet_since REAL);
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT);
"""


#: A contact that a run has doubted turned out to be there.
_FOUND: Final = "INSERT OR IGNORE INTO contacts SELECT id, content, NULL FROM doubtful WHERE id = ?"


@dataclass(frozen=True, slots=True)
class Run:
    """A run that the state knows."""

    number: int
    id: str
    directory: Path


class State:
    """One campaign's state, open. `held` is for those who change it; `peek` for those who look.

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
            self._database.execute("PRAGMA cache_size = -65536")
            (version,) = self._database.execute("PRAGMA user_version").fetchone()
            if version == 0:
                self._database.executescript(f"BEGIN; {_TABLES} PRAGMA user_version = {_VERSION}; COMMIT;")
            elif version != _VERSION:
                raise MachineFailed(f"{path}: is of version {version}, and this program knows {_VERSION}")

    @classmethod
    @contextmanager
    def held(cls, base: Path, place: str, campaign: str) -> Iterator["State"]:
        """The state of a campaign at a place (address and account), made where there is none, for one run at a time.

        The lock ends with the process, however it ends. Raises Busy where another run holds it.
        """
        directory = _directory(base, place, campaign)
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = FileLock(directory / LOCK, timeout=0, mode=0o600)
            lock.acquire()
        except Timeout:
            raise Busy(
                f"another run holds campaign {campaign} (lock: {directory / LOCK}); nothing was sent. Wait for its end"
            ) from None
        except OSError as error:
            raise MachineFailed(f"{directory}: cannot be used: {error.strerror or error}") from None
        try:
            _touch(directory / FILE)
            state = cls(directory / FILE)
            try:
                yield state
            finally:
                state.close()
        finally:
            lock.release()

    @classmethod
    @contextmanager
    def peek(cls, base: Path, place: str, campaign: str) -> Iterator["State | None"]:
        """The state of a campaign, to look at; None: there is none."""
        path = _directory(base, place, campaign) / FILE
        if not path.exists() or not path.stat().st_size:
            yield None
            return
        state = cls(path)
        try:
            yield state
        finally:
            state.close()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()

    # --- what is there ----------------------------------------------------------------------------------------------

    def first_run(self, run: int) -> bool:
        """Whether nothing is known of the campaign but this run."""
        with self._guarded():
            query = "SELECT EXISTS (SELECT 1 FROM contacts) OR EXISTS (SELECT 1 FROM runs WHERE number != ?)"
            return not self._database.execute(query, (run,)).fetchone()[0]

    @property
    def blank(self) -> bool:
        """Whether nothing is known or doubted of any contact."""
        with self._guarded():
            query = "SELECT EXISTS (SELECT 1 FROM contacts) OR EXISTS (SELECT 1 FROM doubtful)"
            return not self._database.execute(query).fetchone()[0]

    def known(self, ids: Sequence[bytes]) -> dict[bytes, bytes | None]:
        """Those of `ids` that are surely there, with the content."""
        found: dict[bytes, bytes | None] = {}
        for part, marks in _parts(ids):
            with self._guarded():
                query = f"SELECT id, content FROM contacts WHERE id IN ({marks})"  # noqa: S608 - question marks
                found.update(self._database.execute(query, part))
        return found

    def some(self, number: int) -> list[str]:
        """So many of the ids that runs have had accepted, or fewer."""
        with self._guarded():
            query = "SELECT id FROM contacts WHERE run IS NOT NULL LIMIT ?"
            return [str(UUID(bytes=row[0])) for row in self._database.execute(query, (number,))]

    def brought(self, ids: Sequence[bytes], *, own: int | None) -> set[bytes]:
        """Those of `ids` that a run other than `own` has brought there."""
        found: set[bytes] = set()
        for part, marks in _parts(ids):
            with self._guarded():
                query = f"SELECT id FROM contacts WHERE id IN ({marks}) AND run != ?"  # noqa: S608 - question marks
                found.update(row[0] for row in self._database.execute(query, (*part, own or 0)))
        return found

    def doubted(self, ids: Sequence[bytes], *, own: int | None) -> dict[bytes, bytes]:
        """Those of `ids` of which a run other than `own` could not tell whether they are there, with what it sent."""
        found: dict[bytes, bytes] = {}
        for part, marks in _parts(ids):
            with self._guarded():
                query = f"SELECT id, content FROM doubtful WHERE id IN ({marks}) AND run IS NOT ?"  # noqa: S608 - marks
                found.update(self._database.execute(query, (*part, own)))
        return found

    def resolve(self, ids: Sequence[str], *, there: Sequence[str] = ()) -> None:
        """Whether these are there has been told, `there` are those that are: no run doubts them any more."""
        with self._transaction():
            found = [(each,) for each in packed_ids(pl.Series(there, dtype=pl.String))]
            self._database.executemany(_FOUND, found)
            doubts = [(each,) for each in packed_ids(pl.Series(ids, dtype=pl.String))]
            self._database.executemany("DELETE FROM doubtful WHERE id = ?", doubts)

    def forget(self, ids: Sequence[bytes]) -> None:
        """These are surely not there any more."""
        with self._transaction():
            for table in ("contacts", "doubtful"):
                query = f"DELETE FROM {table} WHERE id = ?"  # noqa: S608 - names of ours
                self._database.executemany(query, [(each,) for each in ids])

    # --- runs -------------------------------------------------------------------------------------------------------

    def enter(self, run_id: str, directory: Path) -> int:
        """The number of a run, which lies in `directory` (as seen from anywhere)."""
        with self._transaction():
            self._database.execute(
                "INSERT INTO runs (id, directory) VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET directory = ?2",
                (run_id, str(directory)),
            )
            (number,) = self._database.execute("SELECT number FROM runs WHERE id = ?", (run_id,)).fetchone()
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
        ids, contents = packed(contacts)
        at = array("Q", positions).tobytes()
        with self._transaction():
            self._database.execute(
                "INSERT OR REPLACE INTO slices VALUES (?, ?, ?, ?, ?)",
                (run, number, at, b"".join(ids), b"".join(contents)),
            )
            self._database.execute(
                "UPDATE runs SET quiet_since = NULL, last_sent = next, first_sent = COALESCE(first_sent, next)"
                " FROM (SELECT COALESCE(MAX(last_sent), 0) + 1 AS next FROM runs) WHERE number = ?",
                (run,),
            )

    def open_runs(self, *, own: int) -> list[Run]:
        """Runs other than `own` that have left something open, the oldest first."""
        with self._guarded():
            rows = self._database.execute(
                "SELECT number, id, directory FROM runs WHERE number != ? AND (number IN (SELECT run FROM slices)"
                " OR number IN (SELECT run FROM doubtful)) ORDER BY number",
                (own,),
            ).fetchall()
        return [Run(number, run_id, Path(directory)) for number, run_id, directory in rows]

    def give_up(self, run: int, standing: Callable[[int, int], pl.DataFrame] | None = None) -> int:
        """No account can be had of a run: whatever it may have sent is doubtful. Returns how many ids.

        `standing` tells from its journal, where there is one, where the rows of a range stand (see `Recovery`).
        """
        with self._transaction():
            slices = self._database.execute("SELECT positions, ids, contents FROM slices WHERE run = ?", (run,))
            for at, ids, contents in slices.fetchall():
                positions = array("Q", at)
                told = dict.fromkeys(positions, Status.IN_DOUBT.value)
                if standing is not None:
                    rows = standing(min(positions), max(positions) + 1)
                    told = dict(rows.select("position", "status").iter_rows())
                rows_of: dict[str | None, list[tuple[bytes, bytes, int]]] = {}
                for index, position in enumerate(positions):
                    span = slice(16 * index, 16 * index + 16)
                    rows_of.setdefault(told.get(position), []).append((ids[span], contents[span], run))
                accepted, doubtful = rows_of.get(Status.ACCEPTED.value, ()), rows_of.get(Status.IN_DOUBT.value, ())
                self._database.executemany("INSERT OR REPLACE INTO contacts VALUES (?, ?, ?)", accepted)
                self._database.executemany(
                    "INSERT OR IGNORE INTO doubtful SELECT ?1, ?3, ?2 WHERE ?1 NOT IN (SELECT id FROM contacts)",
                    doubtful,
                )
            self._database.execute("DELETE FROM slices WHERE run = ?", (run,))
            (left,) = self._database.execute("SELECT COUNT(*) FROM doubtful WHERE run = ?", (run,)).fetchone()
        return int(left)

    def alone_since(self, run: int) -> bool:
        """Whether this state has seen `run` begin to send, and no other run send anything since."""
        with self._guarded():
            query = (
                "SELECT own.first_sent IS NOT NULL AND NOT EXISTS (SELECT 1 FROM runs AS other WHERE other.number != ?1"
                " AND other.last_sent > own.first_sent) FROM runs AS own WHERE own.number = ?1"
            )
            row = self._database.execute(query, (run,)).fetchone()
        return row is not None and bool(row[0])

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

    @contextmanager
    def account(self, run: int, now: float) -> Iterator["Account"]:
        """Take over what a run's ledger says, all of it or nothing; `now` in seconds since the epoch."""
        with self._transaction():
            self._database.execute("UPDATE runs SET quiet_since = ? WHERE number = ?", (now, run))
            self._database.execute("DELETE FROM doubtful WHERE run = ?", (run,))
            self._database.execute("DELETE FROM slices WHERE run = ?", (run,))
            yield Account(self._database, run)

    # --- taking back ------------------------------------------------------------------------------------------------

    def doubt(self, run: int, contacts: pl.DataFrame) -> None:
        """Put down that these may be deleted from now on, which `run` had added: `contacts` has contact_id, content."""
        ids, contents = packed(contacts)
        with self._transaction():
            self._database.executemany(
                "INSERT OR REPLACE INTO doubtful VALUES (?, ?, ?)",
                zip(ids, [run] * len(ids), contents, strict=True),
            )
            self._database.executemany("DELETE FROM contacts WHERE id = ?", [(each,) for each in ids])

    def undo_ended(self, run: int, now: float) -> None:
        """An undo of `run` deletes no more for now, and the run itself sends no more; in seconds since the epoch."""
        with self._transaction():
            self._database.execute("UPDATE runs SET quiet_since = ? WHERE number = ?", (now, run))
        self.deleted(now)

    def deleted(self, now: float) -> None:
        """Contacts were deleted until `now`, in seconds since the epoch: a list may show them for a while."""
        with self._transaction():
            self._database.execute("INSERT OR REPLACE INTO facts VALUES ('deleted_at', ?)", (repr(now),))

    @property
    def deleted_at(self) -> float | None:
        """When contacts were deleted last, in seconds since the epoch; None: never."""
        with self._guarded():
            row = self._database.execute("SELECT value FROM facts WHERE name = 'deleted_at'").fetchone()
        return None if row is None else float(row[0])

    def undone(self, run: int, ledger: pl.DataFrame, *, final: bool) -> None:
        """Take in a part of the ledger of an undo of `run` (contact_id, content, status).

        What was accepted is gone, and what was never to be taken back the run has no doubt of. What the target refused
        is there still where the undo is `final`; all else stays as it is.
        """
        rows = ledger.filter(pl.col("contact_id").is_not_null())
        gone, _ = packed(rows.filter(pl.col("status") == Status.ACCEPTED.value))
        others, _ = packed(rows.filter(pl.col("status") == Status.SUPPRESSED.value))
        refused = pl.col("status").is_in([Status.REJECTED.value, Status.FAILED.value])
        there, contents = packed(rows.filter(refused & final))
        with self._transaction():
            run_sql = self._database.executemany
            run_sql("DELETE FROM contacts WHERE id = ?", [(each,) for each in gone])
            run_sql("DELETE FROM doubtful WHERE id = ?", [(each,) for each in (*gone, *there)])
            run_sql("DELETE FROM doubtful WHERE id = ? AND run = ?", [(each, run) for each in others])
            still = zip(there, contents, [run] * len(there), strict=True)
            run_sql("INSERT OR REPLACE INTO contacts VALUES (?, ?, ?)", still)

    # --- facts ------------------------------------------------------------------------------------------------------

    @property
    def keeps_ids(self) -> bool | None:
        """Whether the target keeps the ids that we send, as far as it was learnt."""
        with self._guarded():
            row = self._database.execute("SELECT value FROM facts WHERE name = 'keeps_ids'").fetchone()
        return None if row is None else row[0] == "true"

    def learn_keeps_ids(self, keeps_ids: bool) -> None:
        """Remember it."""
        with self._transaction():
            value = str(keeps_ids).lower()
            self._database.execute("INSERT OR REPLACE INTO facts VALUES ('keeps_ids', ?)", (value,))

    # --- the database -----------------------------------------------------------------------------------------------

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._guarded():
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield
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


class Account:
    """Takes in a ledger, part by part."""

    def __init__(self, database: sqlite3.Connection, run: int) -> None:
        self._database = database
        self._run = run

    def add(self, ledger: pl.DataFrame) -> None:
        """`ledger` has contact_id, content, status, attempts and settled_at.

        Accepted rows are there, and so are those that turned out to be there already, with a content that is not known;
        rows in doubt are doubtful.
        """
        accepted = ledger.filter(pl.col("status") == Status.ACCEPTED.value)
        # A row in doubt that was never sent is another run's to settle.
        doubtful = ledger.filter((pl.col("status") == Status.IN_DOUBT.value) & (pl.col("attempts") > 0))
        ids, contents = packed(accepted)
        self._database.executemany(
            "INSERT OR REPLACE INTO contacts VALUES (?, ?, ?)", zip(ids, contents, [self._run] * len(ids), strict=True)
        )
        # Screening calls a row the duplicate of another one too; that settles nothing at any time.
        there_already = pl.col("status").is_in([Status.DUPLICATE.value, Status.CHANGED.value])
        listed = ledger.filter(there_already & pl.col("settled_at").is_not_null())
        there = [(each,) for each in packed_ids(listed["contact_id"])]
        self._database.executemany(_FOUND, there)  # with the content that an earlier run may have sent
        self._database.executemany("INSERT OR IGNORE INTO contacts VALUES (?, NULL, NULL)", there)
        self._database.executemany("DELETE FROM doubtful WHERE id = ?", there)
        ids, contents = packed(doubtful)
        self._database.executemany(
            "INSERT OR REPLACE INTO doubtful VALUES (?, ?, ?)", zip(ids, [self._run] * len(ids), contents, strict=True)
        )


def packed(contacts: pl.DataFrame) -> tuple[list[bytes], list[bytes]]:
    """The bytes of contact_id and content."""
    return packed_ids(contacts["contact_id"]), contacts["content"].str.decode("hex").to_list()


def packed_ids(ids: pl.Series) -> list[bytes]:
    """The 16 bytes of each UUID."""
    return ids.str.replace_all("-", "", literal=True).str.decode("hex").to_list()


def _parts(ids: Sequence[bytes]) -> Iterator[tuple[Sequence[Any], str]]:
    for first in range(0, len(ids), _AT_ONCE):
        part = ids[first : first + _AT_ONCE]
        yield part, ",".join("?" * len(part))


def _directory(base: Path, place: str, campaign: str) -> Path:
    return base / hashlib.sha256(f"{place}\n{campaign}".encode()).hexdigest()[:32]


def _touch(path: Path) -> None:
    """Make the file for its owner alone, and its name durable, before SQLite sees it."""
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
        sync_directory(path.parent)
        sync_directory(path.parent.parent)
    except OSError as error:
        raise MachineFailed(f"{path}: cannot be made: {error.strerror or error}") from None
