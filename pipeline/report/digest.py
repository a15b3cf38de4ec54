"""What every form of report tells of a run, read once from its directory: finished, stopped, or in the middle of it.

The ledger passes by a part at a time and what is kept of it is bounded, so memory does not grow with the list. Neither
keys nor destinations are read at all; reasons hold none, and are masked as logs are, since a target's words stand in
some of them.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import IntEnum
from pathlib import Path
from typing import Any, Final

import polars as pl

from pipeline.errors import MachineFailed, RunError
from pipeline.ledger import lines
from pipeline.ledger.reading import ledger_parts
from pipeline.ledger.recovery import recover
from pipeline.ledger.rundirectory import RunDirectory
from pipeline.ledger.summary import Summary
from pipeline.records import BAD, Status, told_apart
from pipeline.report.summary import headline
from pipeline.report.text import PLACE, safe
from pipeline.report.text import line as one_line
from pipeline.report.timing import Accepted, AnswerTimes, Timing

#: So many rows are named for a reason.
EXAMPLES: Final = 3

#: So many characters of a reason are shown at most.
LONGEST: Final = 300

#: Why rows are as they are of which no ledger tells, or too many reasons.
UNTOLD: Final = "for reasons that are not told here"

_COUNTED: Final = 10_000  # different texts that are told apart while counting
_PLACE: Final = ("source", "row", "line")
_READ: Final = ("source", "row", "line", "status", "reason", "warnings", "settled_at", "latency_ms")


class Weight(IntEnum):
    """How much a finding matters to whoever looks at a job."""

    NOTICE = 0  # as it was asked for
    WARNING = 1  # the job is not harmed; somebody may want to know
    ERROR = 2  # somebody has to act


@dataclass(frozen=True, slots=True)
class Example:
    """A row that a finding is about."""

    source: str  # the file, as the ledger names it
    row: int  # from 1
    line: int | None  # physical line, from 1; None: the source has none

    @property
    def words(self) -> str:
        """`list.csv:12`, or `list.parquet, row 11` where there are no lines."""
        return f"{one_line(self.source)}:{self.line}" if self.line else f"{one_line(self.source)}, row {self.row}"


@dataclass(frozen=True, slots=True)
class Finding:
    """Rows of which the same is to be told."""

    status: Status | None  # None: a warning of rows of any status
    reason: str  # on one line, masked
    count: int  # rows
    examples: tuple[Example, ...]  # the first of them
    weight: Weight


@dataclass(frozen=True, slots=True)
class Digest:
    """A run as reports tell it."""

    run_dir: str  # empty: there is no run, for `error` came before it
    campaign: str
    created: datetime  # in UTC
    paths: Mapping[str, str]  # the absolute paths of the sources by their names in the ledger
    checked: bool  # it was a check: pending rows are those that could be sent
    ended: bool  # False: it goes on, or was killed; the counts are those of rows that sending has settled
    headline: str  # one sentence
    error: str | None  # why it did not end normally, masked, perhaps several lines
    exit_code: int | None
    seconds: float
    rows: int | None  # read; None: not known yet
    counts: Mapping[Status, int]
    findings: tuple[Finding, ...]  # the weightiest first, then the most frequent; of a status they add up to its count
    warnings: tuple[Finding, ...]  # what the ledger warns of; a row may have several
    accepted: Accepted | None  # None: no row was, or there is no ledger
    latencies: AnswerTimes | None
    ledger: bool  # there is one, or the journal is read in its place
    record: Mapping[str, Any]  # run.toml by tables; empty: there is no run
    summary: Summary | None  # None: it goes on, or was killed
    undone: bool  # an undo was begun
    undo: Summary | None  # of an undo that has ended or was stopped


def read(run_dir: Path, record: Mapping[str, Any], *, checked: bool) -> Digest:
    """Read a run directory, of which `record` is run.toml. Raises MachineFailed where it is damaged."""
    directory = RunDirectory(run_dir)
    header = _header(directory.journal)
    ended = Summary.read(run_dir)
    findings, warnings, timing = _Findings(), _Findings(), Timing()
    if ended is None:
        counts = Counter[Status]()
        for part in recover(directory.journal).settled():
            counts.update({Status(name): count for name, count in part["status"].value_counts().iter_rows()})
            timing.add(part)
            findings.add_settled(part.with_columns(pl.lit(None).alias(name) for name in _PLACE))
        said = "Not ended: it goes on, or was killed."
        ledger = True
    else:
        counts = Counter({Status(name): count for name, count in ended.counts.items()})
        said = headline(ended, checked=checked)
        ledger = _pass(run_dir, findings, warnings, timing)
    if directory.undo.holds_run:
        said += " It was undone since, in whole or in part."
    exit_code = None if ended is None else ended.exit_code
    weigh = _weigh(exit_code)
    told = {status for status in Status if status is not Status.ACCEPTED and not (checked and status is Status.PENDING)}
    listed = [each for each in findings.listed(weigh) if each.status in told]
    for status in told:
        if untold := counts.get(status, 0) - sum(each.count for each in listed if each.status is status):
            listed.append(Finding(status, UNTOLD, untold, (), weigh(status)))
    return Digest(
        run_dir=str(run_dir),
        campaign=one_line(header.campaign),
        created=datetime.fromtimestamp(header.created / 1000, UTC),
        paths={source.name: source.path for source in header.sources if Path(source.path).is_absolute()},
        checked=checked,
        ended=ended is not None,
        headline=said,
        error=None if ended is None or ended.error is None else masked(ended.error),
        exit_code=exit_code,
        seconds=0.0 if ended is None else ended.seconds.total,
        rows=header.rows if ended is None else ended.rows,
        counts=counts,
        findings=tuple(sorted(listed, key=lambda each: (-each.weight, -each.count, each.reason))),
        warnings=tuple(sorted(warnings.listed(lambda _: Weight.WARNING), key=lambda each: (-each.count, each.reason))),
        accepted=timing.accepted(),
        latencies=timing.latencies(),
        ledger=ledger,
        record=record,
        summary=ended,
        undone=directory.undo.holds_run,
        undo=Summary.read(directory.undo.path),
    )


def of_error(error: RunError, *, checked: bool) -> Digest:
    """What is told where something was wrong before there was a run."""
    return Digest(
        run_dir="",
        campaign="",
        created=datetime.now(UTC),
        paths={},
        checked=checked,
        ended=True,
        headline="Not begun: nothing was sent." if error.exit_code in (2, 7) else "Ended early.",
        error=masked(str(error)),
        exit_code=error.exit_code,
        seconds=0.0,
        rows=None,
        counts={},
        findings=(),
        warnings=(),
        accepted=None,
        latencies=None,
        ledger=False,
        record={},
        summary=None,
        undone=False,
        undo=None,
    )


def masked(text: str) -> str:
    """Text of several lines, each made safe."""
    return "\n".join(safe(line) for line in text.splitlines())


def _header(journal: Path) -> lines.Header:
    """The first line of a journal, whatever its length."""
    try:
        with journal.open("rb") as file:
            header = lines.sight(file.readline().rstrip(b"\n"))
    except (OSError, lines.Damaged) as error:
        raise MachineFailed(f"{journal}: the journal's first line cannot be read: {error}") from None
    if not isinstance(header, lines.Header):
        raise MachineFailed(f"{journal}: the journal does not begin with a header")
    return header


def _weigh(exit_code: int | None) -> Callable[[Status | None], Weight]:
    """What weighs how much. Bad rows of a run that ended with 0 were tolerated: that is no error on a green job."""

    def weigh(status: Status | None) -> Weight:
        if status in BAD or status is Status.IN_DOUBT:
            return Weight.WARNING if exit_code == 0 else Weight.ERROR
        # Nothing is wrong with a row that is changed, and one that is pending is sent when the run goes on.
        return Weight.WARNING if status in (Status.CHANGED, Status.PENDING) else Weight.NOTICE

    return weigh


def _pass(run_dir: Path, findings: "_Findings", warnings: "_Findings", timing: Timing) -> bool:
    """Let the ledger pass by: reasons by status, warnings, and when what happened. False: there is none.

    Raises MachineFailed.
    """
    try:
        if (parts := ledger_parts(run_dir, _READ)) is None:
            return False
        for part in parts:
            timing.add(part)
            findings.add_settled(part)
            warned = part.select("source", "row", "line", pl.col("warnings").alias("reason")).explode(
                "reason", empty_as_null=True
            )
            warnings.add(warned.drop_nulls("reason").with_columns(pl.lit(None, pl.String).alias("status")))
    except (OSError, ValueError, pl.exceptions.PolarsError) as error:
        raise MachineFailed(f"{run_dir}: the ledger cannot be read: {error}") from None
    return True


@dataclass(slots=True)
class _Tallied:
    count: int = 0
    examples: tuple[Example, ...] = ()


@dataclass(slots=True)
class _Findings:
    """Counts rows by status and reason, with the first examples; reasons without number stay bounded."""

    _found: dict[tuple[str | None, str], _Tallied] = field(default_factory=dict)

    def add_settled(self, rows: pl.DataFrame) -> None:
        """Those of the rows that are not accepted, in the same columns."""
        settled = rows.filter(pl.col("status") != Status.ACCEPTED.value)
        self.add(settled.with_columns(told_apart(pl.col("reason").fill_null(UNTOLD)).alias("reason")))

    def add(self, rows: pl.DataFrame) -> None:
        """Rows with source, row, line, status and reason; without a source none is an example."""
        grouped = (
            rows.with_columns(pl.col("reason").str.replace_all(PLACE.pattern, "${1} ..."))
            .group_by("status", "reason", maintain_order=True)
            .agg(pl.len(), *(pl.col(name).head(EXAMPLES) for name in _PLACE))
        )
        for status, reason, count, *places in grouped.iter_rows():
            key = (status, reason)
            if key not in self._found and len(self._found) >= _COUNTED:
                key = (status, UNTOLD)
            examples = tuple(map(Example, *places)) if places[0][0] is not None else ()
            _add(self._found.setdefault(key, _Tallied()), count, examples)

    def listed(self, weigh: Callable[[Status | None], Weight]) -> Iterator[Finding]:
        """The findings; what is the same once it is masked is one."""
        merged: dict[tuple[str | None, str], _Tallied] = {}
        for (status, reason), told in self._found.items():
            text = safe(reason)
            text = text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
            _add(merged.setdefault((status, text), _Tallied()), told.count, told.examples)
        for (name, text), told in merged.items():
            status = None if name is None else Status(name)
            yield Finding(status, text, told.count, told.examples, weigh(status))


def _add(told: _Tallied, count: int, examples: tuple[Example, ...]) -> None:
    told.count += count
    told.examples = (told.examples + examples)[:EXAMPLES]
