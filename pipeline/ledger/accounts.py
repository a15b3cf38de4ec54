"""What the account of a run changes in its campaign's state: of an import, of an undo, and of a run that gives none."""

import sqlite3
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import polars as pl

from pipeline.ledger.gathered import Gathered
from pipeline.ledger.state import FOUND, State, joined, packed, packed_ids
from pipeline.records import NOT_THERE, TAKEN_BACK, TAKING_BACK, UPDATE_UNANSWERED, WAS_UPDATED, Status

_AT_ONCE: Final = 8192  # contacts in one statement

#: Where the contacts lie in the bytes that _ACCEPTED is given: the numbers below _AT_ONCE.
_PLACES: Final = "CREATE TEMP TABLE IF NOT EXISTS places (place INTEGER PRIMARY KEY)"
_COUNTED: Final = """
INSERT OR IGNORE INTO temp.places
WITH RECURSIVE counted (place) AS (SELECT 0 UNION ALL SELECT place + 1 FROM counted WHERE place + 1 < ?)
SELECT place FROM counted
"""

#: Handing SQLite a row of Python's at a time costs as much as putting it in: it cuts them out itself. Who has
#: brought a contact there stays so, whoever updates it or hears of it.
_ACCEPTED: Final = """
INSERT INTO contacts SELECT substr(?1, 16 * place + 1, 16), substr(?2, 16 * place + 1, 16), ?3
FROM temp.places WHERE place < ?4
ON CONFLICT (id) DO UPDATE SET content = excluded.content, run = COALESCE(run, excluded.run)
"""


@contextmanager
def account(state: State, run: int, now: float) -> Iterator["Account"]:
    """Take over what a run's ledger says, all of it or nothing; `now` in seconds since the epoch."""
    with state.transaction() as database:
        row = database.execute("SELECT accounted FROM runs WHERE number = ?", (run,)).fetchone()
        database.execute("UPDATE runs SET quiet_since = ?, accounted = ? WHERE number = ?", (now, int(now * 1000), run))
        database.execute("DELETE FROM doubtful WHERE run = ?", (run,))
        database.execute("DELETE FROM slices WHERE run = ?", (run,))
        since = row[0] if row is not None else None
        backwards = since is not None and now * 1000 < since  # a clock that was set tells nothing
        with Gathered(state.path.parent) as accepted:
            taken = Account(database, run, None if backwards else since, accepted)
            yield taken
            taken.put_down()


class Account:
    """Takes in a ledger, part by part. `since` is when the run gave account last, in milliseconds since the epoch: what
    was settled before is known, and others may have changed or deleted it since; None: it never did.
    """

    def __init__(self, database: sqlite3.Connection, run: int, since: int | None, accepted: Gathered) -> None:
        self._database = database
        self._run = run
        self._since = since
        self._accepted = accepted  # still to be put down
        database.execute(_PLACES)
        database.execute(_COUNTED, (_AT_ONCE,))

    def add(self, ledger: pl.DataFrame) -> None:
        """`ledger` has contact_id, content, status, reason, attempts, settled_at and warnings.

        Accepted rows are there, and so are those that turned out to be there already, with a content that is not known;
        rows in doubt are doubtful.
        """
        if self._since is not None:
            since = pl.lit(self._since).cast(pl.Datetime("ms", "UTC"))
            unsettled = pl.col("status") == Status.IN_DOUBT.value
            ledger = ledger.filter(unsettled | (pl.col("settled_at").cast(pl.Datetime("ms", "UTC")) >= since))
        changed = pl.col("warnings").list.contains(WAS_UPDATED)
        accepted = ledger.filter((pl.col("status") == Status.ACCEPTED.value) & ~changed)
        in_doubt = pl.col("status") == Status.IN_DOUBT.value
        updated = in_doubt & pl.col("reason").eq_missing(UPDATE_UNANSWERED)
        # A row in doubt that was never sent is another run's to settle.
        doubtful = ledger.filter(in_doubt & ~updated & (pl.col("attempts") > 0))
        # What was taken back, or proved not to be there, an earlier account of this run may have called accepted.
        gone = ledger.filter(pl.col("reason").is_in([TAKING_BACK, TAKEN_BACK, NOT_THERE]))
        ours = [(each, self._run) for each in packed_ids(gone["contact_id"])]
        # What was updated and is not known any more was deleted since, and what cannot be updated may well be gone.
        ids, contents = packed(ledger.filter((pl.col("status") == Status.ACCEPTED.value) & changed))
        # Of all that is put down here, these and updates alone may touch a contact that another row has brought.
        if ours:
            self.put_down()
        self._database.executemany("DELETE FROM contacts WHERE id = ? AND run = ?", ours)
        self._accepted.add(accepted)
        if ids:
            self.put_down()
        self._database.executemany("UPDATE contacts SET content = ? WHERE id = ?", zip(contents, ids, strict=True))
        refused = packed_ids(ledger.filter(pl.col("status") == Status.REJECTED.value)["contact_id"])
        self._database.executemany(
            "DELETE FROM contacts WHERE id = ? AND content IS NULL AND run IS NULL", [(each,) for each in refused]
        )
        # Screening calls a row the duplicate of another one too; that settles nothing at any time.
        there_already = pl.col("status").is_in([Status.DUPLICATE.value, Status.CHANGED.value])
        listed = ledger.filter((there_already & pl.col("settled_at").is_not_null()) | updated)
        there = [(each,) for each in packed_ids(listed["contact_id"])]
        self._database.executemany(FOUND, there)  # with the content that an earlier run may have sent
        self._database.executemany("INSERT OR IGNORE INTO contacts VALUES (?, NULL, NULL)", there)
        self._database.executemany("DELETE FROM doubtful WHERE id = ?", there)
        ids, contents = packed(doubtful)
        self._database.executemany(
            "INSERT OR REPLACE INTO doubtful VALUES (?, ?, ?)", zip(ids, [self._run] * len(ids), contents, strict=True)
        )

    def put_down(self) -> None:
        """Put the accepted contacts that were gathered into the table.

        Ids lie anywhere in it: in their order each page of the table is written once, and in another many times.
        """
        for contacts in self._accepted.take():
            for some in contacts.iter_slices(_AT_ONCE):
                both = [joined(some[name]) for name in ("contact_id", "content")]
                # Bytes that are not 16 each would put every contact behind them down with another's content.
                assert [len(each) for each in both] == [16 * some.height] * 2
                self._database.execute(_ACCEPTED, (*both, self._run, some.height))


def give_up(state: State, run: int, standing: Callable[[int, int], pl.DataFrame] | None = None) -> int:
    """No account can be had of a run: whatever it may have sent is doubtful. Returns how many ids.

    `standing` tells from its journal, where there is one, where the rows of a range stand (see `Recovery`).
    """
    with state.transaction() as database:
        slices = database.execute("SELECT positions, ids, contents FROM slices WHERE run = ?", (run,))
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
            database.executemany("INSERT OR REPLACE INTO contacts VALUES (?, ?, ?)", accepted)
            database.executemany(
                "INSERT OR IGNORE INTO doubtful SELECT ?1, ?3, ?2 WHERE ?1 NOT IN (SELECT id FROM contacts)",
                doubtful,
            )
        database.execute("DELETE FROM slices WHERE run = ?", (run,))
        (left,) = database.execute("SELECT COUNT(*) FROM doubtful WHERE run = ?", (run,)).fetchone()
    return int(left)


def doubt(state: State, run: int, contacts: pl.DataFrame) -> None:
    """Put down that these may be deleted from now on, which `run` had added: `contacts` has contact_id, content."""
    ids, contents = packed(contacts)
    with state.transaction() as database:
        database.executemany(
            "INSERT OR REPLACE INTO doubtful VALUES (?, ?, ?)",
            zip(ids, [run] * len(ids), contents, strict=True),
        )
        database.executemany("DELETE FROM contacts WHERE id = ?", [(each,) for each in ids])


def undone(state: State, run: int, ledger: pl.DataFrame, *, final: bool) -> None:
    """Take in a part of the ledger of an undo of `run` (contact_id, content, status).

    What was accepted is gone, and what was never to be taken back the run has no doubt of. What the target refused
    is there still where the undo is `final`; all else stays as it is.
    """
    rows = ledger.filter(pl.col("contact_id").is_not_null())
    gone, _ = packed(rows.filter(pl.col("status") == Status.ACCEPTED.value))
    others, _ = packed(rows.filter(pl.col("status") == Status.SUPPRESSED.value))
    refused = pl.col("status").is_in([Status.REJECTED.value, Status.FAILED.value])
    there, contents = packed(rows.filter(refused & final))
    with state.transaction() as database:
        database.executemany("DELETE FROM contacts WHERE id = ?", [(each,) for each in gone])
        database.executemany("DELETE FROM doubtful WHERE id = ?", [(each,) for each in (*gone, *there)])
        database.executemany("DELETE FROM doubtful WHERE id = ? AND run = ?", [(each, run) for each in others])
        still = zip(there, contents, [run] * len(there), strict=True)
        database.executemany("INSERT OR REPLACE INTO contacts VALUES (?, ?, ?)", still)
