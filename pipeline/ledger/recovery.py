"""Answers what a journal has on record for a range of rows, reading no more of it than that range needs.

`recover` goes over the whole file once and keeps where the lines of each slice lie. Outcomes are read when they are
asked for, from the lines of the slices in question.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import polars as pl

from pipeline.errors import MachineFailed, UsageError
from pipeline.ledger import lines
from pipeline.ledger.disk import Disk, OsDisk
from pipeline.ledger.lines import Damaged, Header, SliceFrame
from pipeline.ledger.scan import NothingBegun, Scan
from pipeline.records import Status

__all__ = ["OUTCOME_SCHEMA", "RECORD_SCHEMA", "UNANSWERED", "NothingBegun", "Recovery", "Slice", "recover"]

Read = TypeVar("Read")

#: Why a row of a begun slice without outcome is in doubt.
UNANSWERED: Final = "the run stopped before an answer was on record: it may be there or not"

#: What is on record of a row; one row per position.
OUTCOME_SCHEMA: Final = pl.Schema(
    [
        ("position", pl.UInt64),
        ("status", pl.String),
        ("code", pl.String),
        ("reason", pl.String),
        ("attempts", pl.UInt16),
        ("sent_at", pl.Int64),  # milliseconds since the epoch, UTC
        ("settled_at", pl.Int64),
        ("latency_ms", pl.Float32),
    ]
)

#: The same with where it stands: the slice's number and the offset of the line; of two lines the later one wins.
RECORD_SCHEMA: Final = pl.Schema([*OUTCOME_SCHEMA.items(), ("slice", pl.UInt32), ("at", pl.UInt64)])

_PART: Final = 1 << 16  # outcomes held as Python objects at once
_BLOCK: Final = 1 << 20  # bytes of lines that follow each other are read at once


@dataclass(frozen=True, slots=True)
class Slice:
    """A range of rows that may have been sent (see SliceBegun)."""

    number: int
    start: int
    stop: int
    rows: int
    digest: str


def recover(path: Path, *, disk: Disk | None = None) -> "Recovery":
    """Read the journal at `path` through once. Changes nothing; the file may be growing meanwhile.

    Lines beyond the greatest offset that any line names as durable are there if they are whole: what is damaged among
    them, and everything behind that, is the tail of a write that did not finish, and is left out. Raises UsageError
    where there is no journal, NothingBegun where its header never became whole, and MachineFailed, naming the line,
    where something is damaged that was durable once.
    """
    disk = disk or OsDisk()
    try:
        handle = disk.open(path)
    except FileNotFoundError:
        raise UsageError(f"{path}: there is no journal: no run was begun here") from None
    except OSError as error:
        raise _unreadable(path, error) from None
    try:
        size = disk.size(handle)
        scan = Scan(path)
        scan.read(disk, handle, size)
    except OSError as error:
        raise _unreadable(path, error) from None
    finally:
        disk.close(handle)
    return Recovery(path, disk, scan, scan.checked_header(), size)


class Recovery:
    """A journal as it was read: its header, slices and notes, and the outcomes on record."""

    __slots__ = (
        "_disk",
        "_index",
        "_loaded",
        "_window",
        "durable",
        "end",
        "finished",
        "header",
        "notes",
        "path",
        "size",
        "slices",
    )

    def __init__(self, path: Path, disk: Disk, scan: Scan, header: Header, size: int) -> None:
        self.path = path
        self.header = header
        self.notes = tuple(scan.notes)
        self.finished = scan.finished  # the last line says that nothing is left to do
        self.size = size  # bytes of the file when it was read
        self.end = scan.end  # bytes of it that count; what lies behind is the tail of a broken write
        self.durable = scan.durable  # bytes of it that a later line names as durable
        #: number, start, stop, rows, at (offset of the slice's line) and length (of that line, without newline)
        self.slices = pl.DataFrame(
            {"number": range(len(scan.begun["at"])), **scan.begun},
            schema={"number": pl.UInt32, **dict.fromkeys(scan.begun, pl.UInt64)},
        )
        kinds = {"slice": pl.UInt32, "at": pl.UInt64, "length": pl.UInt32}
        # One after the other: where a line holds one row, this is most of the memory.
        index = pl.DataFrame([pl.Series(name, scan.settled.pop(name), dtype=kind) for name, kind in kinds.items()])
        # Every line of outcomes by slice, then by place.
        self._index = index if index["slice"].is_sorted() else index.sort("slice", maintain_order=True)
        self._disk = disk
        self._loaded: frozenset[int] = frozenset()  # the slices whose outcomes are in the window
        self._window = pl.DataFrame(schema=RECORD_SCHEMA)

    @property
    def tail(self) -> int:
        """Bytes at the end of the file that do not count."""
        return self.size - self.end

    def slice(self, number: int) -> Slice:
        """One slice with its digest, which is read from the file."""
        _, start, stop, rows, at, length = self.slices.row(number)
        for line in self._lines([(at, length)]):
            record = self._unchanged(lines.sight, line)
        assert isinstance(record, SliceFrame)
        return Slice(number, start, stop, rows, record.digest)

    def outcomes(self, start: int, stop: int) -> pl.DataFrame:
        """The latest outcome of every row of [start, stop) that has one: OUTCOME_SCHEMA, in order of position.

        Made for walking through the rows in order: every line is then read once.
        """
        return self._latest(start, stop).select(OUTCOME_SCHEMA.names())

    def standing(self, start: int, stop: int) -> pl.DataFrame:
        """Where the rows of [start, stop) stand that a slice covers: OUTCOME_SCHEMA, in order of position.

        A row without an outcome is in doubt, and so is one that was released as pending and then covered by a later
        slice; a row with an outcome stands as that says. Rows that are not named were never begun: they are pending.
        Screening settles rows that a slice covers too; of those nothing is meant here.
        """
        return (
            self._begun(start, stop)
            .join(self._latest(start, stop), on="position", how="left", maintain_order="left")
            .with_columns(
                unanswered=pl.col("status").is_null()
                | ((pl.col("status") == Status.PENDING.value) & (pl.col("begun_at") > pl.col("at")))
            )
            .with_columns(
                pl.when("unanswered").then(pl.lit(Status.IN_DOUBT.value)).otherwise("status").alias("status"),
                pl.when("unanswered").then(pl.lit(UNANSWERED)).otherwise("reason").alias("reason"),
                # In doubt means sent: that one send is counted, though nobody saw it.
                (pl.col("attempts").fill_null(0) + pl.col("unanswered").cast(pl.UInt16)).alias("attempts"),
            )
            .select(OUTCOME_SCHEMA.names())
        )

    def record(self, numbers: Iterable[int]) -> pl.DataFrame:
        """Everything that was settled in the slices `numbers`, in the order of the file: RECORD_SCHEMA."""
        slices = pl.Series("slice", list(numbers), dtype=pl.UInt32)
        first = self._index["slice"].search_sorted(slices, "left")
        last = self._index["slice"].search_sorted(slices, "right")
        rows = pl.select(pl.int_ranges(first, last)).to_series().explode(empty_as_null=False)
        places = self._index[rows].sort("at")
        return pl.concat([pl.DataFrame(schema=RECORD_SCHEMA), *self._parts(places)])

    def slice_of(self, position: int) -> int:
        """The number of the first slice that covers a row: it was handed to delivery with that one, whereas later ones
        may pass over it. Raises KeyError where none does.
        """
        covering = self._covering(position, position + 1)
        if covering.is_empty():
            raise KeyError(position)
        return int(covering["number"].min())  # type: ignore[arg-type]

    def settled_counts(self) -> dict[str, int]:
        """Rows by their latest outcome, over the whole journal."""
        counts: Counter[str] = Counter()
        for part in self.settled():
            counts.update(dict(part["status"].value_counts().iter_rows()))
        return dict(counts)

    def settled(self) -> Iterator[pl.DataFrame]:
        """The latest outcome of every row that has one, over the whole journal: OUTCOME_SCHEMA, slice by slice."""
        edge = 0
        # Slices of a resumed run may cover rows once more: each row is passed where it is met first.
        for start, stop in self.slices.select("start", "stop").sort("start", "stop").iter_rows():
            if (start := max(start, edge)) < stop:
                yield self.outcomes(start, stop)
                edge = stop

    def history(self, start: int, stop: int) -> pl.DataFrame:
        """Every outcome of rows of [start, stop), by position and then from earliest to latest: RECORD_SCHEMA."""
        return self._told(start, stop).sort("position", "at", maintain_order=True)

    def changed(self, start: int, stop: int) -> pl.Series:
        """The positions of [start, stop) that were once on record as changed: such a row stood there before the run; if
        it is accepted, that was its update.
        """
        return self._told(start, stop).filter(pl.col("status") == Status.CHANGED.value)["position"].unique()

    def _told(self, start: int, stop: int) -> pl.DataFrame:
        """The rows of `history`, in no order; the lines of the slices in question are read if they were not yet."""
        wanted = frozenset(self._covering(start, stop)["number"])
        if missing := wanted - self._loaded:
            kept = self._window.filter(pl.col("slice").is_in(list(wanted)))
            self._window = pl.concat([kept, self.record(missing)])
            self._loaded = wanted
        return self._window.filter((pl.col("position") >= start) & (pl.col("position") < stop))

    def _latest(self, start: int, stop: int) -> pl.DataFrame:
        return self.history(start, stop).filter(_last_of("position"))

    def _covering(self, start: int, stop: int) -> pl.DataFrame:
        return self.slices.filter((pl.col("start") < stop) & (pl.col("stop") > start))

    def _begun(self, start: int, stop: int) -> pl.DataFrame:
        """Per position of [start, stop) that a slice covers, where in the file the last of them began."""
        return (
            self._covering(start, stop)
            .select(
                pl.int_ranges(
                    pl.max_horizontal("start", start), pl.min_horizontal("stop", stop), dtype=pl.UInt64
                ).alias("position"),
                pl.col("at").alias("begun_at"),
            )
            .explode("position", empty_as_null=False)
            .sort("position", "begun_at")
            .filter(_last_of("position"))
        )

    def _parts(self, places: pl.DataFrame) -> Iterator[pl.DataFrame]:
        """The rows of the lines at `places`, with slice and place, not more at once than memory should hold."""
        rows: list[tuple[Any, ...]] = []
        heights: list[int] = []  # of the lines that `rows` holds
        first = 0
        for line in self._lines(places.select("at", "length").iter_rows()):
            told = self._unchanged(lines.rows, line)
            rows.extend(told)
            heights.append(len(told))
            if len(rows) >= _PART:
                yield _frame(rows, places[first : first + len(heights)], heights)
                first += len(heights)
                rows, heights = [], []
        if rows:
            yield _frame(rows, places[first:], heights)

    def _lines(self, places: Iterable[tuple[int, int]]) -> Iterator[bytes]:
        try:
            handle = self._disk.open(self.path)
        except OSError as error:
            raise _unreadable(self.path, error) from None
        try:
            for start, lengths in _adjacent(places):
                block = self._disk.read(handle, start, sum(lengths) + len(lengths) - 1)
                at = 0
                for length in lengths:
                    line = block[at : at + length]
                    if len(line) != length:
                        raise MachineFailed(f"{self.path}: is shorter than when it was read first (at byte {start})")
                    yield line
                    at += length + 1
        except OSError as error:
            raise _unreadable(self.path, error) from None
        finally:
            self._disk.close(handle)

    def _unchanged(self, read: Callable[[bytes], Read], line: bytes) -> Read:
        try:
            return read(line)
        except Damaged as error:
            raise MachineFailed(f"{self.path}: has changed since it was read first: a line {error}") from None


def _last_of(name: str) -> pl.Expr:
    """Which rows, in order of a column, are the last of those with the same in it."""
    return pl.col(name).ne_missing(pl.col(name).shift(-1))


def _adjacent(places: Iterable[tuple[int, int]]) -> Iterator[tuple[int, list[int]]]:
    """Lines (offset and length without newline) that follow each other, as offset of the first and all lengths."""
    start, end = 0, -1
    lengths: list[int] = []
    for at, length in places:
        if at != end or end - start > _BLOCK:
            if lengths:
                yield start, lengths
            start, end, lengths = at, at, []
        lengths.append(length)
        end += length + 1
    if lengths:
        yield start, lengths


def _frame(rows: list[tuple[Any, ...]], places: pl.DataFrame, heights: list[int]) -> pl.DataFrame:
    """RECORD_SCHEMA of `rows`, so many of each line as `heights` say."""
    columns = zip(OUTCOME_SCHEMA.items(), zip(*rows, strict=True), strict=True)
    outcomes = pl.DataFrame([pl.Series(name, values, dtype=kind) for (name, kind), values in columns])
    lines_of = places.select(pl.col("slice", "at").repeat_by(pl.Series(heights, dtype=pl.UInt32)))
    return outcomes.hstack(lines_of.explode("slice", "at", empty_as_null=False))


def _unreadable(path: Path, error: OSError) -> MachineFailed:
    return MachineFailed(f"{path}: the journal cannot be read: {error.strerror or error}")
