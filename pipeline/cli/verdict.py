"""How a run ends on the command line: what is said of it, where that goes, and the exit code."""

import sys
from collections.abc import Collection
from typing import TYPE_CHECKING

import typer

from pipeline.cli.report import Reports
from pipeline.cli.terminal import complain, say, screen

if TYPE_CHECKING:
    from pipeline.ledger.summary import Summary
    from pipeline.run import Result

#: What is told at the end goes on so many columns and lines where no terminal shows it.
ON_PAPER = (10_000, 100)


def finish(result: "Result", reports: Reports, *, as_json: bool, checked: Collection[str] | None = None) -> None:
    """Say how it ended, and end so. `checked`: it was a check, and of its sources this was told (`plan.read`)."""
    from pipeline.report.summary import summary

    if result.error:
        complain(result.error)
    if not sys.stderr.isatty():
        _log_end(result.summary)
    code = reports.of(result)
    if as_json:
        say(result.summary.to_json().rstrip())
    else:
        room = screen() if sys.stdout.isatty() else ON_PAPER
        is_check = checked is not None
        say(
            summary(
                result.summary,
                checked=is_check,
                survey=result.survey if is_check else None,
                told=checked or (),
                screen=room,
            )
        )
    raise typer.Exit(code)


def _log_end(ended: "Summary") -> None:
    """Leave the run's end where its log goes, as one line."""
    from pipeline.logs import logger

    logger().info(
        "run.ended",
        exit_code=ended.exit_code,
        rows=ended.rows,
        counts={status: count for status, count in ended.counts.items() if count},
        seconds=ended.seconds.total,
        rate=ended.rate,
        run_dir=ended.run_dir,
    )
