"""The commands that look at a run directory: `verify` and `status`."""

from functools import partial
from typing import Annotated

import typer

from pipeline.cli import options
from pipeline.cli.ending import ending
from pipeline.cli.terminal import run_async, say, start_logs

#: What `verify` ends with where something does not add up.
NOT_PROVEN = 1


def verify(
    run_dir: options.RunDirectory,
    against_target: Annotated[
        bool,
        typer.Option(
            "--against-target",
            help="Also ask the target: every accepted row is there, and there once. Changes nothing.",
        ),
    ] = False,
    set_: options.Set = None,
    log_format: options.Logs = None,
) -> None:
    """Prove that a run's ledger is whole.

    Every source row stands in it exactly once, the counts add up, and journal and ledger agree. With --against-target
    the target's own list is compared too; --set then takes delivery.*, sessions.*, http.* and secrets.

    Exit codes: 0 proven; 1 something does not add up; 2 there is no run; with --against-target also 5 the target cannot
    be reached or gives no list, 6 the target refuses.
    """
    with ending():
        start_logs(log_format)
        from pipeline import run
        from pipeline.errors import UsageError

        if set_ and not against_target:
            raise UsageError("--set: means something with --against-target only")
        asked = partial(run.prove_run, run_dir, set_ or ())
        problems = run_async(asked) if against_target else run.verify_run(run_dir)
        if problems:
            for problem in problems:
                say(problem)
            say(f"Not proven: {len(problems)} of the above. Run: {run_dir}")
            raise typer.Exit(NOT_PROVEN)
        undone = " So it is for its undo, whose ledger tells what is gone." if run.status_of(run_dir).undo_begun else ""
        more = " The target holds every accepted row, and holds it once." if against_target else undone
        say(f"proven: every source row stands in the ledger exactly once, and the counts add up.{more} Run: {run_dir}")


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
