"""resubmit.csv: the rows that a person has to mend, in the source's own form, safe to open in a spreadsheet.

The guard: a cell that begins with `=`, `+`, `-`, `@`, a tab or an end of line would be run as a formula or, as
`+14165550100`, turned into a number. Such a cell, and one that is such a cell behind apostrophes, gets one apostrophe
in front; the header's cells too. Taking one apostrophe from every cell that is apostrophes followed by such a beginning
(`unguarded`) gives back exactly what the source said. A reader does that where a file has the columns MARKS, which it
then drops.
"""

import io
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

import polars as pl

from pipeline.ledger.masking import masked
from pipeline.records import MENDABLE, Screened

#: The columns that are ours: a row's status, the column at fault (empty: none or several), and why.
MARKS: Final = ("_status", "_column", "_reason")

#: A row whose structure was broken reads whole once its cells are written out, though they may stand in the wrong
#: columns. This cell beyond the last column keeps it broken, and so unsent, until a person has looked at it.
MEND_FIRST: Final = "the fields of this row may stand in the wrong columns: put them right, then delete this cell"

# No column of a source has these names: NUL makes a header unreadable.
_BROKEN: Final = "\x00broken"
_RUN: Final = "\x00run"
_BOM: Final = b"\xef\xbb\xbf"  # without it a spreadsheet reads the file in its own country's encoding
_MENDABLE: Final = [status.value for status in MENDABLE]


def guarded(column: pl.Expr) -> pl.Expr:
    """Cells as they stand in resubmit.csv."""
    # The plain branch comes first: its name is the one that the cells keep.
    return pl.when(~column.str.contains(r"^'*[=+\-@\t\r\n]")).then(column).otherwise("'" + column)


def unguarded(column: pl.Expr) -> pl.Expr:
    """Cells as the source had them: the inverse of `guarded`."""
    return pl.when(column.str.contains(r"^'+[=+\-@\t\r\n]")).then(column.str.slice(1)).otherwise(column)


class ResubmitWriter:
    """Gathers the mendable rows of batches, in order, and writes them to `path` in the end.

    Sources may have different columns. The header names all of them, in the order in which they were seen first, so it
    is known in the end only; until then the rows lie in a file of frames beside `path`. `close` it in any case.
    """

    def __init__(self, path: Path, *, hidden: frozenset[str] = frozenset()) -> None:
        self._path = path
        self._hidden = hidden  # columns whose cells are masked
        self._columns: dict[str, None] = {}
        self._spool_path = path.with_name(f"{path.name}.rows")
        self._spool_path.unlink(missing_ok=True)
        self._spool = os.fdopen(os.open(self._spool_path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), "r+b")

    def add(self, screened: Screened, status: pl.Series, reason: pl.Series) -> None:
        """Take the mendable rows of a batch; `status` and `reason` have one value per row of it."""
        frame = screened.batch.frame
        columns = [name for name in frame.columns if name not in MARKS]
        self._columns |= dict.fromkeys(columns)
        marks = (status.alias("_status"), screened.contacts["column"].alias("_column"), reason.alias("_reason"))
        broken = screened.batch.damage.is_not_null().alias(_BROKEN)
        rows = frame.select(columns).with_columns(*marks, broken).filter(pl.col("_status").is_in(_MENDABLE))
        if rows.height:
            frames = io.BytesIO()
            rows.write_ipc_stream(frames, compression="lz4")
            self._spool.write(len(frames.getbuffer()).to_bytes(8, "little"))
            self._spool.write(frames.getbuffer())

    def finish(self) -> None:
        """Write the file out."""
        self._spool.seek(0)
        with self._path.open("wb") as file:
            names = pl.DataFrame([[name] for name in (*self._columns, *MARKS)], orient="col")
            file.write(_BOM)
            names.select(guarded(pl.all())).write_csv(file, include_header=False)
            while length := self._spool.read(8):
                rows = pl.read_ipc_stream(io.BytesIO(self._spool.read(int.from_bytes(length, "little"))))
                cells = [self._cell(name, rows) for name in (*self._columns, *MARKS)]
                runs = rows.with_columns(pl.col(_BROKEN).rle_id().alias(_RUN)).partition_by(_RUN, maintain_order=True)
                for run in runs:
                    more = [pl.lit(MEND_FIRST).alias(_BROKEN)] if run[_BROKEN][0] else []
                    run.select(*cells, *more).write_csv(file, include_header=False)

    def close(self) -> None:
        """Remove what lies beside the file."""
        with suppress(OSError):  # what it could not write was told when it was written
            self._spool.close()
        self._spool_path.unlink(missing_ok=True)

    def _cell(self, name: str, rows: pl.DataFrame) -> pl.Expr:
        if name not in rows.columns:
            return pl.lit(None, pl.String).alias(name)
        column = pl.col(name)
        return guarded(masked(column) if name in self._hidden else column).alias(name)
