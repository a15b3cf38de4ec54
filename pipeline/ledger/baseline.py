"""How often each face stood in the campaign before the first row left: what a target without our ids is judged by.

A SQLite file in the run directory, since a campaign may hold millions of contacts. It counts only when it is whole.
"""

import os
import sqlite3
from collections.abc import Collection, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from pipeline.errors import MachineFailed
from pipeline.ledger.database import rows_of
from pipeline.ledger.disk import sync_directory, sync_file

#: Name of the file within the run directory.
FILE: Final = "baseline.sqlite"

_WHOLE: Final = 1  # the user_version of a file that was written to its end


class Baseline:
    """Writes the counts once, and answers them ever after. Every method blocks and raises MachineFailed."""

    def __init__(self, run_dir: Path) -> None:
        self.path = run_dir / FILE

    @property
    def whole(self) -> bool:
        """Whether the counts were taken, to the end."""
        if not self.path.exists():
            return False
        with self._open() as database:
            return bool(database.execute("PRAGMA user_version").fetchone()[0] == _WHOLE)

    def begin(self) -> None:
        """Forget what was counted: the list is read from its beginning."""
        try:
            self.path.unlink(missing_ok=True)
            os.close(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        except OSError as error:
            raise MachineFailed(f"{self.path}: cannot be made: {error.strerror or error}") from None
        with self._open() as database:
            database.execute("CREATE TABLE faces (face BLOB PRIMARY KEY, number INTEGER) WITHOUT ROWID")

    def add(self, faces: Iterable[bytes]) -> None:
        """Count these."""
        with self._open() as database:
            database.execute("BEGIN")
            database.executemany(
                "INSERT INTO faces VALUES (?, 1) ON CONFLICT (face) DO UPDATE SET number = number + 1",
                ((face,) for face in faces),
            )
            database.execute("COMMIT")

    def end(self) -> None:
        """The list was read to its end: from now on the counts hold, durably."""
        with self._open() as database:
            database.execute(f"PRAGMA user_version = {_WHOLE}")
        try:
            handle = os.open(self.path, os.O_RDWR)
            try:
                sync_file(handle)
            finally:
                os.close(handle)
            sync_directory(self.path.parent)
        except OSError as error:
            raise MachineFailed(f"{self.path}: cannot be made durable: {error.strerror or error}") from None

    def numbers(self, faces: Collection[bytes]) -> dict[bytes, int]:
        """How often each of `faces` stood there; those that did not are not named."""
        with self._open() as database:
            return dict(rows_of(database, "SELECT face, number FROM faces WHERE face IN ({})", list(faces)))

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(sqlite3.connect(self.path, isolation_level=None)) as database:
                # It is made durable once, at its end; before that it does not count.
                database.execute("PRAGMA synchronous = OFF")
                database.execute("PRAGMA journal_mode = OFF")
                database.execute("PRAGMA cache_size = -65536")
                yield database
        except sqlite3.Error as error:
            raise MachineFailed(f"{self.path}: cannot be used: {error}") from None
