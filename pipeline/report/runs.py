"""Runs as a person or a script reads them: a table, lines, JSON; and what pruning deletes and keeps."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol

from pipeline.records import Status
from pipeline.report.text import contacts, counts, line, number, safe

#: The columns of a listing.
HEADINGS: Final = ("run", "when", "stage", "exit", "rows", "counts", "size", "campaign", "source")

FORGOTTEN: Final = (
    "What they have put into campaigns stays known: the next import of the same lists sends nothing twice. Their "
    "ledgers are gone: these runs cannot be undone, verified or looked at any more."
)


class Listed(Protocol):
    """One run of a listing."""

    @property
    def run_dir(self) -> Path: ...
    @property
    def stage(self) -> str: ...
    @property
    def created(self) -> datetime | None: ...
    @property
    def updated(self) -> datetime: ...
    @property
    def sources(self) -> Sequence[str]: ...
    @property
    def campaign(self) -> str: ...
    @property
    def wave(self) -> str: ...
    @property
    def check(self) -> bool: ...
    @property
    def rows(self) -> int | None: ...
    @property
    def counts(self) -> Mapping[str, int]: ...
    @property
    def exit_code(self) -> int | None: ...
    @property
    def size(self) -> int: ...
    @property
    def problem(self) -> str: ...


def columns(run: Listed) -> tuple[str, ...]:
    """A run on one line, by HEADINGS."""
    by_status = {Status(name): count for name, count in run.counts.items()}
    return (
        line(str(run.run_dir)),
        f"{run.created or run.updated:%Y-%m-%dT%H:%M:%SZ}",
        f"{run.stage}, check" if run.check else str(run.stage),
        "" if run.exit_code is None else str(run.exit_code),
        "" if run.rows is None else str(run.rows),
        counts(by_status),
        _bytes(run.size),
        safe(run.campaign),
        ", ".join(safe(source) for source in run.sources),
    )


def lines(runs: Sequence[Listed]) -> Iterator[str]:
    """A line for each, with tabs between, never cut."""
    for run in runs:
        yield "\t".join(columns(run))


def table(runs: Sequence[Listed]) -> Iterator[str]:
    """The same with headings, the columns below each other."""
    cells = [HEADINGS, *(columns(run) for run in runs)]
    widths = [max(len(row[at]) for row in cells) for at in range(len(HEADINGS))]
    for row in cells:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def as_json(runs: Sequence[Listed]) -> str:
    """The runs as JSON."""
    return json.dumps([_plain(run) for run in runs], indent=2, ensure_ascii=False)


def _plain(run: Listed) -> dict[str, object]:
    return {
        "run_dir": str(run.run_dir),
        "stage": str(run.stage),
        "check": run.check,
        "created": None if run.created is None else run.created.isoformat(),
        "updated": run.updated.isoformat(),
        "sources": list(run.sources),
        "campaign": run.campaign,
        "wave": run.wave,
        "rows": run.rows,
        "counts": dict(run.counts),
        "exit_code": run.exit_code,
        "size": run.size,
        "problem": run.problem,
    }


class KeptRun(Protocol):
    """A run that is not deleted."""

    @property
    def run(self) -> Listed: ...
    @property
    def reason(self) -> str: ...


class Pruned(Protocol):
    """What is to be deleted, or was."""

    @property
    def runs(self) -> Sequence[Listed]: ...
    @property
    def kept(self) -> Sequence[KeptRun]: ...
    @property
    def younger(self) -> int: ...
    @property
    def doubtful(self) -> int: ...
    @property
    def failed(self) -> Sequence[KeptRun]: ...


def plan(pruning: Pruned) -> Iterator[str]:
    """What would be deleted, and which old runs would not."""
    for run in pruning.runs:
        when = f"last written {run.updated:%Y-%m-%d}"
        yield f"To delete: {line(str(run.run_dir))} ({run.stage}, {when}, {_bytes(run.size)})"
    yield from _kept(pruning.kept)


def pruned(pruning: Pruned, told: int) -> Iterator[str]:
    """What was deleted and what stays known; so many of those that were kept were `told` of before."""
    yield from _kept(pruning.kept[told:])
    size = _bytes(sum(run.size for run in pruning.runs))
    yield (
        f"Deleted {_runs(len(pruning.runs))} ({size}); kept {_runs(len(pruning.kept))} of that age and "
        f"{_runs(pruning.younger)} younger."
    )
    if pruning.runs:
        yield FORGOTTEN
    if pruning.doubtful:
        yield (
            f"Whether {contacts(pruning.doubtful)} of them arrived is not known, and cannot be told without their "
            "runs: they stay in doubt, and an import does not send them unless the target's list tells."
        )


def pruned_json(pruning: Pruned) -> str:
    """The same for scripts."""
    return json.dumps(
        {
            "deleted": [_plain(run) for run in pruning.runs],
            "kept": [{"run_dir": str(each.run.run_dir), "reason": each.reason} for each in pruning.kept],
            "younger": pruning.younger,
            "in_doubt": pruning.doubtful,
            "failed": [{"run_dir": str(each.run.run_dir), "reason": each.reason} for each in pruning.failed],
        },
        indent=2,
        ensure_ascii=False,
    )


def undeleted(pruning: Pruned) -> Iterator[str]:
    """What could not be deleted, why, and what to do."""
    for each in pruning.failed:
        yield f"Not deleted: {line(str(each.run.run_dir))}: {each.reason}."


def _kept(kept: Sequence[KeptRun]) -> Iterator[str]:
    for each in kept:
        yield f"Kept: {line(str(each.run.run_dir))}: {each.reason}"


def _runs(count: int) -> str:
    return "1 run" if count == 1 else f"{number(count)} runs"


def _bytes(size: int) -> str:
    """12345678 as "12.3 MB"."""
    if size < 1000:
        return f"{size} B"
    power = min((len(str(size)) - 1) // 3, 4)
    return f"{size / 1000**power:.1f} {('kB', 'MB', 'GB', 'TB')[power - 1]}"
