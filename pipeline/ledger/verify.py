"""Proves a ledger: every source row once and in order, counts that add up, and no word but what the journal says.

The ledger is read a part at a time beside the source and the journal, so memory does not grow with the file.
"""

from collections import Counter
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import Final

import polars as pl

from pipeline.errors import MachineFailed
from pipeline.ledger.erased import HIDDEN, MARK, Erased
from pipeline.ledger.files import CSV, PARQUET, RESUBMIT, as_text
from pipeline.ledger.reading import Rows, as_read, csv_parts, ledger_parts
from pipeline.ledger.recovery import OUTCOME_SCHEMA, Recovery
from pipeline.ledger.resubmit import written_with
from pipeline.ledger.summary import SUMMARY, Summary
from pipeline.records import ERASED, MENDABLE, TAKEN_BACK, TAKING_BACK, Batch, Status

_TOLD: Final = 10  # problems of a kind that are told one by one
_PART: Final = 1 << 15  # rows compared at once

#: Statuses that a row may have which was not handed to delivery.
_SCREENED: Final = [s.value for s in (Status.INVALID, Status.DUPLICATE, Status.CHANGED, Status.SUPPRESSED)]


def verify(
    run_dir: Path, batches: Iterable[Batch] | None, recovery: Recovery | None, erased: Erased | None = None
) -> list[str]:
    """What does not add up in `run_dir`, one sentence each; an empty list: everything is proven.

    `batches` is the source, read once more from its beginning; None: it is not at hand, and the ledger's own row
    numbers are checked alone. `recovery` is the run's journal; None: the run sent nothing and keeps none. `erased` are
    the rows that tell of nobody any more; None: there are none.
    """
    problems = Problems()
    try:
        if erased is not None and not erased.complete:
            problems.tell("erasing", f"{run_dir}: an erasure was broken off: `person erase` completes it")
        parts = ledger_parts(run_dir)
        if parts is None:
            return [f"{run_dir}: there is no ledger"]
        both = (run_dir / PARQUET).exists() and (run_dir / CSV).exists()
        checks = _Checks(problems, recovery, Rows(csv_parts(run_dir / CSV)) if both else None, erased)
        _walk(Rows(parts), batches, checks, problems)
        _check_summary(run_dir, checks, problems)
        _check_resubmit(run_dir / RESUBMIT, checks, problems)
        if recovery:
            _check_journal(recovery, checks.position, problems)
    except (OSError, ValueError, pl.exceptions.PolarsError, MachineFailed) as error:
        problems.tell("unreadable", f"{run_dir}: cannot be read through: {error}")
    return problems.sentences()


def _walk(ledger: Rows, batches: Iterable[Batch] | None, checks: "_Checks", problems: "Problems") -> None:
    """Go through the ledger beside the source."""
    missing = 0
    for batch in batches or ():
        part = ledger.take(batch.frame.height)
        missing += batch.frame.height - part.height
        checks.source(part, batch)
        checks.part(part)
    if missing:
        problems.tell("missing", f"the ledger ends after {checks.position:,} rows, the source has {missing:,} more")
    read = checks.position
    while (part := ledger.take(_PART)).height:
        checks.part(part)
    if batches is not None and checks.position > read:
        problems.tell("missing", f"the ledger has {checks.position - read:,} rows more than the source")
    checks.end()


class Problems:
    """Sentences by kind; of many of one kind only the first are told."""

    def __init__(self) -> None:
        self._told: dict[str, list[str]] = {}
        self._counts: Counter[str] = Counter()

    def tell(self, kind: str, sentence: str) -> None:
        self._counts[kind] += 1
        if self._counts[kind] <= _TOLD:
            self._told.setdefault(kind, []).append(sentence)

    def rows(self, kind: str, wrong: pl.DataFrame, sentence: str) -> None:
        """Tell of rows; `sentence` is filled from the columns of `wrong`."""
        for row in wrong.head(_TOLD).iter_rows(named=True):
            self.tell(kind, sentence.format(**row))
        self._counts[kind] += max(0, wrong.height - _TOLD)

    def sentences(self) -> list[str]:
        more = (
            [*told, f"... and {self._counts[kind] - len(told):,} more like this"]
            if self._counts[kind] > len(told)
            else told
            for kind, told in self._told.items()
        )
        return list(chain.from_iterable(more))


class _Checks:
    """Goes over the ledger once, in parts, and remembers only what the next part needs."""

    def __init__(self, problems: Problems, recovery: Recovery | None, text: Rows | None, erased: Erased | None) -> None:
        self.position = 0  # rows seen
        self.counts: Counter[str] = Counter()
        self.erased: Counter[str] = Counter()  # rows that were erased, by status
        self._erased = erased or Erased.none()
        self._problems = problems
        self._recovery = recovery
        self._text = text  # ledger.csv, where ledger.parquet is the one that is gone over
        self._last = pl.DataFrame(schema={"source": pl.String, "row": pl.UInt64})
        self._sources: set[str] = set()

    def source(self, part: pl.DataFrame, batch: Batch) -> None:
        """The rows are those of the source."""
        read = pl.DataFrame({"read_row": pl.int_range(batch.row, batch.row + batch.frame.height, eager=True)})
        read = read.with_columns(batch.lines.alias("read_line")).head(part.height)
        wrong = pl.concat([part, read], how="horizontal").filter(
            (pl.col("source") != batch.source)
            | (pl.col("row") != pl.col("read_row"))
            | pl.col("line").ne_missing(pl.col("read_line"))
        )
        self._problems.rows(
            "source",
            wrong.select("source", "row", "line", "read_row", "read_line", name=pl.lit(batch.source)),
            "row {read_row} (line {read_line}) of {name} is due, the ledger has row {row} (line {line}) of {source}",
        )

    def part(self, part: pl.DataFrame) -> None:
        """Everything else that can be said of rows."""
        if part.is_empty():
            return
        self._numbers(part)
        unknown = part.filter(~pl.col("status").is_in([status.value for status in Status]).fill_null(value=False))
        self._problems.rows("status", unknown, "row {row} of {source} has the status {status}, which there is not")
        for status, number in part["status"].value_counts().iter_rows():
            self.counts[str(status)] += number
        self._compare_erased(part)
        if self._text:
            self._compare_text(part, self._text)
        if self._recovery:
            self._compare_journal(part, self._recovery)
        self.position += part.height

    def end(self) -> None:
        """What can be said when the last row is gone over."""
        if self._text and (more := self._text.take(1).height):
            self._problems.tell("csv", f"{CSV} has at least {more} row more than {PARQUET}")

    def _numbers(self, part: pl.DataFrame) -> None:
        last = pl.concat([self._last, part.select("source", "row")])
        same = pl.col("source") == pl.col("source").shift(1)
        due = pl.when(same).then(pl.col("row").shift(1) + 1).otherwise(1)
        numbered = last.with_columns(due.alias("due"), (~same.fill_null(value=False)).alias("begins"))
        numbered = numbered.slice(self._last.height)
        self._problems.rows(
            "number",
            numbered.filter(pl.col("row") != pl.col("due")),
            "{source}: row {row} stands where row {due} is due",
        )
        for source in numbered.filter("begins")["source"]:
            if source in self._sources:
                self._problems.tell("number", f"{source}: its rows do not stand together")
            self._sources.add(source)
        self._last = part.select("source", "row").tail(1)

    def _compare_erased(self, part: pl.DataFrame) -> None:
        said = part["warnings"].list.contains(ERASED)
        due = self._erased.among(part)
        for status, number in part.filter(said & due)["status"].value_counts().iter_rows():
            self.erased[str(status)] += number
        self._problems.rows(
            "erased", part.filter(said & ~due), f"row {{row}} of {{source}} says that it was erased, {MARK} does not"
        )
        told = part.select(pl.any_horizontal(pl.col(*HIDDEN).is_not_null())).to_series()
        self._problems.rows(
            "not erased",
            part.filter((due & ~said) | (said & told)),
            "row {row} of {source} was to be erased, and still tells whose it is: erase the same persons again",
        )

    def _compare_text(self, part: pl.DataFrame, text: Rows) -> None:
        due = as_read(part.select(as_text()).write_csv(include_header=False).encode())
        found = text.take(part.height)
        if found.height < part.height:
            self._problems.tell("csv", f"{CSV} ends after {self.position + found.height:,} rows, {PARQUET} does not")
        due = due.head(found.height)
        if due.equals(found):
            return
        both = due.hstack(found.rename(lambda name: f"found_{name}"))
        differs = [pl.col(name).ne_missing(pl.col(f"found_{name}")) for name in due.columns]
        self._problems.rows(
            "csv", both.filter(pl.any_horizontal(differs)), f"row {{row}} of {{source}}: {CSV} and {PARQUET} differ"
        )

    def _compare_journal(self, part: pl.DataFrame, recovery: Recovery) -> None:
        start, stop = self.position, self.position + part.height
        rows = part.with_columns(
            pl.int_range(start, stop, dtype=pl.UInt64, eager=True).alias("position"),
            pl.col("sent_at", "settled_at").dt.epoch("ms"),
        )
        told = recovery.standing(start, stop)
        history = recovery.history(start, stop)
        rows = rows.join(told, on="position", how="left", suffix="_told", maintain_order="left").with_columns(
            on_record=pl.col("position").is_in(history["position"].implode()),
            covered=pl.col("status_told").is_not_null(),
            screened=pl.col("status").is_in(_SCREENED),
        )
        differs = [
            pl.col(name).ne_missing(pl.col(f"{name}_told")) for name in OUTCOME_SCHEMA.names() if name != "position"
        ]
        wrong = rows.filter(
            pl.when(pl.col("on_record") | (pl.col("covered") & ~pl.col("screened")))
            .then(pl.any_horizontal(differs))
            .otherwise(~(pl.col("screened") | (pl.col("status") == Status.PENDING.value)) | (pl.col("attempts") > 0))
        )
        self._problems.rows(
            "journal",
            wrong.with_columns(pl.col("status_told").fill_null("that it was never handed to delivery")),
            "row {row} of {source}: the ledger says {status} (code {code}, sends {attempts}), the journal says"
            " {status_told} (code {code_told}, sends {attempts_told})",
        )
        # The canary may take rows back that the target had accepted; it says so, and that is the one way from there.
        taken_back = pl.col("reason").is_in([TAKING_BACK, TAKEN_BACK])
        before = pl.col("position", "status", "attempts").shift(1).name.suffix("_before")
        again = history.with_columns(before).filter(
            (pl.col("position") == pl.col("position_before"))
            & (pl.col("status_before") == Status.ACCEPTED.value)
            & ((pl.col("status") != Status.ACCEPTED.value) | (pl.col("attempts") > pl.col("attempts_before")))
            & ~taken_back.fill_null(value=False)
        )
        again = again.join(rows.select("position", "source", "row"), on="position")
        self._problems.rows(
            "again", again, "row {row} of {source} was on record as accepted, and later as {status} (sends {attempts})"
        )


def _check_summary(run_dir: Path, checks: _Checks, problems: Problems) -> None:
    summary = Summary.read(run_dir)
    if summary is None:
        problems.tell("summary", f"{run_dir}: there is no {SUMMARY}")
        return
    if summary.rows != checks.position:
        problems.tell("summary", f"{SUMMARY} counts {summary.rows:,} rows, the ledger has {checks.position:,}")
    for status in Status:
        said, found = summary.counts.get(status.value), checks.counts[status.value]
        if said != found:
            problems.tell("summary", f"{SUMMARY} counts {said} rows as {status.value}, the ledger has {found:,}")
    if sum(summary.counts.values()) != summary.rows:
        problems.tell("summary", f"the counts of {SUMMARY} do not add up to its {summary.rows:,} rows")
    if summary.complete and checks.counts[Status.PENDING.value]:
        problems.tell("summary", f"{SUMMARY} says that the run is complete, but rows are pending")


def _check_resubmit(path: Path, checks: _Checks, problems: Problems) -> None:
    if not path.exists():
        problems.tell("resubmit", f"{path}: is missing")
        return
    rows = pl.scan_csv(path, infer_schema=False, separator=written_with(path))
    found = dict(rows.group_by("_status").len().collect().iter_rows())
    left = checks.counts - checks.erased
    due = {status.value: left[status.value] for status in MENDABLE if left[status.value]}
    if found != due:
        problems.tell("resubmit", f"{path.name} has the rows {found}, the ledger asks for {due}")


def _check_journal(recovery: Recovery, rows: int, problems: Problems) -> None:
    if recovery.tail:
        problems.tell(
            "tail", f"{recovery.path}: ends in {recovery.tail:,} bytes of a write that did not finish: resume the run"
        )
    beyond = recovery.slices.filter(pl.col("stop") > rows)
    problems.rows("slice", beyond, f"slice {{number}} of the journal reaches to row {{stop}} of {rows:,}")
    slices = recovery.slices.select(pl.col("number").alias("slice"), "start", "stop", "rows")
    for some in slices.with_columns(part=(pl.col("rows").cum_sum() - pl.col("rows")) // _PART).partition_by(
        "part", maintain_order=True
    ):
        settled = recovery.record(some["slice"]).join(some, on="slice", how="left", maintain_order="left")
        stray = settled.filter((pl.col("position") < pl.col("start")) | (pl.col("position") >= pl.col("stop")))
        problems.rows("stray", stray, "slice {slice} settles the row at position {position}, which is not of it")
        many = settled.group_by("slice", "rows").agg(pl.col("position").n_unique()).sort("slice")
        many = many.filter(pl.col("position") > pl.col("rows"))
        problems.rows("many", many, "slice {slice} began with {rows} rows to send and has outcomes of {position}")
