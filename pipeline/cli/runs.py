"""The commands that look over all runs: `runs list|prune`."""

import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli import options
from pipeline.cli.ending import ending
from pipeline.cli.terminal import agreed, complain, interactive, run_async, say, start_logs

all_runs = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

Directory = Annotated[Path, typer.Argument(metavar="[DIRECTORY]", help="Where the run directories lie.")]


@all_runs.callback()
def _runs() -> None:
    """List the runs, and delete old ones."""


@all_runs.command("list")
def list_(
    directory: Directory = Path("runs"),
    json_: Annotated[bool, typer.Option("--json", help="Print them as JSON.")] = False,
) -> None:
    """List the runs of a directory, the oldest first.

    A table on a terminal, else a line for each with tabs between: run, when, stage, exit code, rows, counts, size,
    campaign, source. The stage is open, finished, undoing, undone, not begun or damaged.

    Exit codes: 0; 2 there is no such directory.
    """
    with ending():
        from pipeline import run
        from pipeline.report import runs as report

        listed = run.list_runs(directory)
        if json_:
            say(report.as_json(listed))
            return
        for each in (report.table if sys.stdout.isatty() and listed else report.lines)(listed):
            say(each)
        if not listed:
            complain(f"{directory}: there are no runs.")


@all_runs.command("prune")
def prune(
    older_than: Annotated[
        str, typer.Option("--older-than", metavar="AGE", help="Runs last written to so long ago: 90d, 12h, 8w.")
    ],
    directory: Directory = Path("runs"),
    open_: Annotated[
        bool,
        typer.Option("--open", help="Also runs that could still be resumed. What they have in doubt stays in doubt."),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask. Needed where there is no terminal.")] = False,
    json_: Annotated[bool, typer.Option("--json", help="Print what was deleted and kept as JSON.")] = False,
    log_format: options.Logs = None,
) -> None:
    """Delete old runs: ledgers, journals, copies of lists, all that is in their directories.

    What is in the campaigns stays known, so that no import sends anything twice: the state is kept, and a run that no
    state knows, or that a state still waits for, is not deleted. Nor is one that can be resumed, without --open; then
    the state first takes over what its journal knows.

    Exit codes: 0; 2 usage, or nobody to ask without --yes; 8 a run could not be deleted, or not all of it.
    """
    with ending():
        start_logs(log_format)
        from pipeline import run
        from pipeline.errors import MachineFailed, UsageError
        from pipeline.report import runs as report

        plan = run.plan_pruning(directory, run.parse_age(older_than), open_too=open_)
        if not json_ or not yes:
            for each in report.plan(plan):
                (complain if json_ else say)(each)
        if plan.runs and not yes:
            if not interactive():
                raise UsageError("There is no terminal to ask on, and nothing was deleted: give --yes.")
            if not run_async(partial(agreed, f"Delete {len(plan.runs)} of them?")):
                raise UsageError("Stopped at the question: nothing was deleted.")
        done = run.prune(plan, directory, open_too=open_)
        if json_:
            say(report.pruned_json(done))
        else:
            for each in report.pruned(done, len(plan.kept)):
                say(each)
        for each in report.undeleted(done):
            complain(each)
        if done.failed:
            raise typer.Exit(MachineFailed.exit_code)
