"""The commands that look at a run directory: `verify` and `status`."""

from typing import Annotated

import typer

from pipeline.cli import options
from pipeline.cli.ending import ending
from pipeline.cli.terminal import say

#: What `verify` ends with where something does not add up.
NOT_PROVEN = 1


def verify(run_dir: options.RunDirectory) -> None:
    """Prove that a run's ledger is whole.

    Every source row stands in it exactly once, the counts add up, and journal and ledger agree.

    Exit codes: 0 proven; 1 something does not add up; 2 there is no run.
    """
    with ending():
        from pipeline import run

        problems = run.verify_run(run_dir)
        if problems:
            for problem in problems:
                say(problem)
            say(f"Not proven: {len(problems)} of the above. Run: {run_dir}")
            raise typer.Exit(NOT_PROVEN)
        say(f"proven: every source row stands in the ledger exactly once, and the counts add up. Run: {run_dir}")


def status(
    run_dir: options.RunDirectory,
    json_: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Show a run on one screen, even while it goes on."""
    with ending():
        from pipeline import run
        from pipeline.report import status as report

        standing = run.status_of(run_dir)
        say(report.as_json(standing) if json_ else report.text(standing))
