"""resubmit.csv: the rows that a person has to mend, in the source's own form, and what a later import makes of them.

The file has the source's columns, delimiter and line ends, and its text as it was, behind the apostrophes of `guard`.
Three columns of ours stand behind them. By any of these a reader knows the file, takes the apostrophes away, and leaves
the three out; see `restored`.
"""

import hashlib
import io
import os
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from pipeline.ledger.guard import guarded, unguarded
from pipeline.ledger.masking import masked
from pipeline.records import MENDABLE, Batch, Screened

#: The columns that are ours: a row's status, the column at fault (empty: none or several), and why.
MARKS: Final = ("_status", "_column", "_reason")

#: A row whose structure was broken reads whole once its cells are written out, though they may stand in the wrong
#: columns. By this, in its cell `_column`, it stays invalid until somebody has changed it.
_MEND: Final = "any: mend the cells of this row, or empty this one if they are right as they stand (as read: {})"
_AS_READ: Final = r"\(as read: ([0-9a-f]{8})\)\s*$"

#: Why a row of such a file is invalid.
UNMENDED: Final = "is not mended yet: its cells are as they were first read"
LOST: Final = "holds U+FFFD in place of a character that could not be read: type it anew"
HIDDEN: Final = "holds a masked destination: type it anew"

_MASK: Final = r"^(?:.?\*\*\*@|\*{3,}[^*]{1,2}$)"  # as `masked` makes them
_BROKEN: Final = "\x00broken"  # no column of a source has this name: NUL makes a header unreadable
_UNKNOWN: Final = "\ufffd"
_BOM: Final = b"\xef\xbb\xbf"  # without it a spreadsheet reads the file in its own country's encoding
_MENDABLE: Final = [status.value for status in MENDABLE]
_HEADER_END: Final = re.compile(rb"_status(.)_column\1_reason\r?\n")


@dataclass(frozen=True, slots=True)
class Form:
    """How a source is written, as far as resubmit.csv is written like it."""

    delimiter: str = ","  # one character
    line_end: str = "\n"  # "\n" or "\r\n"


#: Where no source is a CSV.
DEFAULT_FORM: Final = Form()


class ResubmitWriter:
    """Gathers the mendable rows of batches, in order, and writes them to `path` in the end.

    Sources may have different columns. The header names all of them, in the order in which they were seen first, so it
    is known in the end only; until then the rows lie in a file of frames beside `path`. `close` it in any case.
    """

    def __init__(
        self, path: Path, form: Form, read_again: Callable[[Batch], Batch], *, hidden: frozenset[str] = frozenset()
    ) -> None:
        """`read_again` gives a batch with its cells; it is asked, in order, for those that have mendable rows."""
        self._path = path
        self._read_again = read_again
        self._form = form
        self._hidden = hidden  # columns whose cells are masked
        self._columns: dict[str, None] = {}
        self._spool_path = path.with_name(f"{path.name}.rows")
        self._spool_path.unlink(missing_ok=True)
        self._spool = os.fdopen(os.open(self._spool_path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), "r+b")

    def add(self, screened: Screened, status: pl.Series, reason: pl.Series) -> None:
        """Take the mendable rows of a batch; `status` and `reason` have one value per row of it."""
        columns = [name for name in screened.batch.frame.columns if name not in MARKS]
        self._columns |= dict.fromkeys(columns)
        mendable = status.is_in(_MENDABLE)
        if not mendable.any():
            return
        batch = self._read_again(screened.batch)
        assert pl.Null not in batch.frame.dtypes, "a batch without its cells"
        marks = (status.alias("_status"), screened.contacts["column"].alias("_column"), reason.alias("_reason"))
        broken = batch.damage.is_not_null().alias(_BROKEN)
        rows = batch.frame.select(columns).with_columns(*marks, broken).filter(mendable)
        frames = io.BytesIO()
        rows.write_ipc_stream(frames, compression="lz4")
        self._spool.write(len(frames.getbuffer()).to_bytes(8, "little"))
        self._spool.write(frames.getbuffer())

    def finish(self) -> None:
        """Write the file out."""
        self._spool.seek(0)
        names = (*self._columns, *MARKS)
        with self._path.open("wb") as file:
            file.write(_BOM)
            self._write(pl.DataFrame([[name] for name in names], orient="col"), file)
            while length := self._spool.read(8):
                rows = pl.read_ipc_stream(io.BytesIO(self._spool.read(int.from_bytes(length, "little"))))
                lacking = [pl.lit(None, pl.String).alias(name) for name in names if name not in rows.columns]
                self._write(self._told(rows).with_columns(lacking).select(names), file)

    def close(self) -> None:
        """Remove what lies beside the file."""
        with suppress(OSError):  # what it could not write was told when it was written
            self._spool.close()
        self._spool_path.unlink(missing_ok=True)

    def _told(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The rows as a person is to see them, but for the guard."""
        # No spreadsheet keeps a NUL; what takes its place is noticed if it stays.
        rows = rows.with_columns(pl.col(pl.String).str.replace_all("\0", _UNKNOWN, literal=True))
        rows = rows.with_columns(masked(pl.col(name)) for name in rows.columns if name in self._hidden)
        if rows[_BROKEN].any():
            digests = _digests(rows.filter(_BROKEN).drop(*MARKS, _BROKEN))
            at_fault = rows["_column"].scatter(rows[_BROKEN].arg_true(), [_MEND.format(each) for each in digests])
            rows = rows.with_columns(at_fault)
        return rows

    def _write(self, cells: pl.DataFrame, file: io.BufferedWriter) -> None:
        cells.select(guarded(pl.all())).write_csv(
            file, include_header=False, separator=self._form.delimiter, line_terminator=self._form.line_end
        )


def written_with(path: Path) -> str:
    """The delimiter of a resubmit.csv that nobody has changed. Raises OSError, and ValueError where it is none."""
    with path.open("rb") as file:
        found = _HEADER_END.search(file.read(1 << 20))
    if found is None:
        raise ValueError(f"{path.name}: its header does not end in {', '.join(MARKS)}")
    return found[1].decode()


def originals(columns: Sequence[str]) -> dict[str, str]:
    """By their names in a file, the columns that are not ours, each with the name that the source had for it."""
    theirs = pl.DataFrame({"name": [name for name in columns if name not in MARKS]}, schema={"name": pl.String})
    ours = theirs.height < len(columns)
    names = theirs.select(unguarded(pl.col("name"))) if ours else theirs
    return dict(zip(theirs["name"], names["name"], strict=True))


def restored(frame: pl.DataFrame) -> tuple[pl.DataFrame, pl.Series]:
    """Rows of a file with columns of ours as the source had them, without those; and for each why it may not be sent,
    though it reads whole, else null. `frame` holds text alone.
    """
    cells = frame.drop(MARKS, strict=False).select(unguarded(pl.all())).rename(originals(frame.columns))
    masks = cells.select(pl.any_horizontal(pl.all().str.contains(_MASK)).fill_null(value=False)).to_series()
    why = pl.select(pl.when(masks).then(pl.lit(HIDDEN)).alias("why")).to_series()
    if "_column" in frame.columns:
        digests = frame["_column"].str.extract(_AS_READ)
        broken = digests.is_not_null().arg_true()
        if len(broken):
            rows = cells[broken]
            lost = rows.select(pl.any_horizontal(pl.all().str.contains(_UNKNOWN, literal=True))).to_series()
            told = [
                UNMENDED if now == then else LOST if unknown else None
                for now, then, unknown in zip(_digests(rows), digests[broken], lost, strict=True)
            ]
            why = why.zip_with(why.is_not_null(), why.scatter(broken, told))
    return cells, why


def _digests(rows: pl.DataFrame) -> list[str]:
    """For each row a mark of what its cells hold, wherever they stand and whatever a spreadsheet does to blanks."""
    names = rows.columns
    return [
        hashlib.sha256(
            repr(sorted((name, "".join(cell.split())) for name, cell in zip(names, row, strict=True) if cell)).encode()
        ).hexdigest()[:8]
        for row in rows.iter_rows()
    ]
