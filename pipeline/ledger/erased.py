"""Which rows of a run were erased: the mark that says so, and the run's files without whom they told of.

The rows stay where they are with their status, so that every one is accounted for; what tells whose they were is taken
out of them. The mark, `erased.json`, names them by source and number: it is written before anything is taken out, so
that a run whose erasing was killed is known for one, and completed by the next erasure, whoever that is for. The
ledgers are rewritten last: as long as one still tells of a person, the person is found there. Reasons and codes
stay: no cell of a list stands in them, and the journal has them too.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import msgspec
import polars as pl

from pipeline.errors import MachineFailed
from pipeline.ledger.files import CSV, PARQUET, RESUBMIT, as_text, sink_parquet
from pipeline.ledger.private import replacing, write_private, writing
from pipeline.ledger.reading import csv_parts, parquet_parts, typed
from pipeline.records import CHANNELS, ERASED, LEDGER_SCHEMA, MENDABLE

#: Name of the file within the run directory.
MARK: Final = "erased.json"

#: What tells whose a row is. An id is made of the key, and a content of destinations: whoever has a list of people
#: could try them all.
HIDDEN: Final = ("key", "contact_id", "content", *CHANNELS)

_ROWS: Final = pl.Schema([("source", pl.String), ("row", pl.UInt64)])


class _Row(msgspec.Struct, frozen=True):
    source: str
    row: int


class _Mark(msgspec.Struct, frozen=True):
    """erased.json."""

    receipts: list[str]  # ids of the receipts that tell of these
    rows: list[_Row]
    spooled: str | None = None
    original: str | None = None
    complete: bool = True


@dataclass(frozen=True, slots=True)
class Erased:
    """The rows of a run that were erased: `rows` has source and row."""

    rows: pl.DataFrame
    receipts: tuple[str, ...] = ()
    spooled: str | None = None  # fingerprint of the copy of standard input, its rows overwritten
    original: str | None = None  # fingerprint of what came through standard input
    complete: bool = True  # False: some files may tell of these rows still

    @classmethod
    def none(cls) -> "Erased":
        """No rows."""
        return cls(pl.DataFrame(schema=_ROWS))

    @classmethod
    def read(cls, run_dir: Path) -> "Erased":
        """Those of a run; raises MachineFailed where the mark cannot be read."""
        path = run_dir / MARK
        try:
            mark = msgspec.json.decode(path.read_bytes(), type=_Mark)
        except FileNotFoundError:
            return cls.none()
        except (OSError, ValueError) as error:
            raise MachineFailed(
                f"{path}: cannot be read ({type(error).__name__}), and it alone says which rows were erased: mend the "
                "rights to it, or put it back from a copy"
            ) from None
        rows = _frame((each.source, each.row) for each in mark.rows)
        return cls(rows, tuple(mark.receipts), mark.spooled, mark.original, mark.complete)

    def __bool__(self) -> bool:
        return self.rows.height > 0

    def and_these(self, rows: Iterable[tuple[str, int]], receipt: str) -> "Erased":
        """These rows, that are to be erased, beside those that were before."""
        both = pl.concat([self.rows, _frame(rows)]).unique(maintain_order=True)
        return replace(self, rows=both, receipts=(*self.receipts, receipt), complete=False)

    def write(self, run_dir: Path) -> None:
        """Put the mark in place, durably. Raises MachineFailed."""
        rows = [_Row(*each) for each in self.rows.iter_rows()]
        mark = _Mark(list(self.receipts), rows, self.spooled, self.original, self.complete)
        write_private(run_dir / MARK, msgspec.json.format(msgspec.json.encode(mark), indent=2) + b"\n")

    def among(self, rows: pl.DataFrame) -> pl.Series:
        """Whether each of `rows` (source, row) is one of them."""
        told = self.rows.with_columns(erased=pl.lit(value=True))
        found = rows.select("source", "row").join(told, on=("source", "row"), how="left", maintain_order="left")
        return found["erased"].fill_null(value=False)

    def blanked(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Rows of a ledger; of those that were erased nothing tells whose they are, and a warning says so."""
        return self.told(rows)[1]

    def told(self, rows: pl.DataFrame) -> tuple[pl.Series, pl.DataFrame]:
        """Which rows of a ledger were erased, and the rows as `blanked` gives them."""
        erased = self.among(rows)
        return erased, blanked(rows, erased)


def blanked(rows: pl.DataFrame, erased: pl.Series) -> pl.DataFrame:
    """Rows of a ledger; of those that are `erased` nothing tells whose they are, and a warning says so."""
    if not erased.any():
        return rows
    here, warnings = pl.lit(erased), pl.col("warnings")
    told = pl.when(warnings.list.contains(ERASED)).then(warnings).otherwise(pl.concat_list(warnings, pl.lit(ERASED)))
    return rows.with_columns(
        *(pl.when(here).then(None).otherwise(pl.col(name)).alias(name) for name in HIDDEN),
        pl.when(here).then(told).otherwise(warnings).alias("warnings"),
    )


def _frame(rows: Iterable[tuple[str, int]]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=_ROWS, orient="row")


@dataclass(frozen=True, slots=True)
class Taken:
    """What was taken out of the files of a directory."""

    files: tuple[str, ...]  # names of those that were rewritten
    rows: tuple[tuple[str, int, int | None, str], ...]  # source, row, line, status of rows that were erased now
    resubmit: tuple[int, int]  # rows of the resubmit file before and after


def mendable_left(rows: pl.DataFrame) -> pl.DataFrame:
    """Those rows of a ledger that stand in the resubmit file as the run writes it: to be mended, and not erased."""
    mendable = pl.col("status").is_in([status.value for status in MENDABLE])
    return rows.filter(mendable & ~pl.col("warnings").list.contains(ERASED))


#: Leaves records out of a resubmit file; how many it had and has, None: it is as it was.
LeaveOut = Callable[[Path, Erased], tuple[int, int] | None]


def take_out(folder: Path, erased: Erased, leave_out: LeaveOut) -> Taken:
    """Take the erased rows out of the resubmit file and ledgers in `folder`, each file whole or not at all; blocks.

    May be repeated. Raises MachineFailed, and ValueError where a file is not what it should be.
    """
    names = [name for name in (CSV, PARQUET) if (folder / name).exists()]
    if not names:
        return Taken((), (), (0, 0))
    mendable = 0
    rows: list[tuple[str, int, int | None, str]] = []
    for part in _parts(folder / names[-1]):  # the one that is rewritten last: what it still tells is not done yet
        before = part.filter(~pl.col("warnings").list.contains(ERASED))
        now = before.filter(erased.among(before))
        rows += now.select("source", "row", "line", "status").iter_rows()
        left = mendable_left(before)
        mendable += left.height - int(erased.among(left).sum())
    resubmit = leave_out(folder / RESUBMIT, erased)
    for name in names:
        path = folder / name
        frames = map(erased.blanked, _parts(path))
        with replacing(path) as part_path:
            if name == PARQUET:
                sink_parquet(frames, LEDGER_SCHEMA, part_path, path)
            else:
                _write_csv(frames, part_path, path)
    files = [RESUBMIT] if resubmit else []
    return Taken((*files, *names), tuple(rows), resubmit or (mendable, mendable))


def _parts(path: Path) -> Iterator[pl.DataFrame]:
    return parquet_parts(path) if path.name == PARQUET else map(typed, csv_parts(path))


def _write_csv(frames: Iterable[pl.DataFrame], part: Path, path: Path) -> None:
    with writing(path), part.open("wb", buffering=0) as text:
        text.write(pl.DataFrame(schema=LEDGER_SCHEMA).select(as_text()).write_csv().encode())
        for frame in frames:
            frame.select(as_text()).write_csv(text, include_header=False)
