"""The command that takes a run back: `undo`."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated

import typer

from pipeline.cli import options
from pipeline.cli.ending import ending
from pipeline.cli.show import Display, showing
from pipeline.cli.terminal import agreed, complain, interactive, run_async, say, start_logs


def undo(
    run_dir: options.RunDirectory,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask. Needed where there is no terminal.")] = False,
    set_: options.Set = None,
    json_: options.Json = False,
    no_progress: options.NoProgress = False,
    log_format: options.Logs = None,
) -> None:
    """Delete from the target what a run added.

    Nothing else is deleted: no row that was there before. A ledger in RUN_DIR/undo says of every row what became of
    it. What was stopped or killed is gone on with; on a finished undo it changes nothing. --set takes delivery.*,
    sessions.*, http.* and secrets.

    Exit codes: 0 all of it is gone; 1 the target refused to delete some; 2 there is nothing to take back, or it cannot
    be told from other contacts; 4 some in doubt; 5, 6, 7, 8, 130, 143 as `import`.
    """
    with ending():
        start_logs(log_format)
        from pipeline import run
        from pipeline.report.summary import undo_summary

        progress = run.Progress()
        with showing(progress, quiet=no_progress, style=log_format) as display:
            confirm = None if yes else _asking(display)
            result = run_async(
                partial(run.undo_run, run_dir, set_ or (), signals=True, progress=progress, confirm=confirm)
            )
        if result.error:
            complain(result.error)
        say(result.summary.to_json().rstrip() if json_ else undo_summary(result.summary))
        raise typer.Exit(result.summary.exit_code)


def _asking(display: Display) -> Callable[[int, str], Awaitable[bool]]:
    """What asks a person, or says that it cannot."""
    from pipeline.errors import UsageError
    from pipeline.report.text import contacts, safe

    async def confirm(number: int, campaign: str) -> bool:
        what = f"{contacts(number)} from campaign {safe(campaign)}"
        if not interactive():
            raise UsageError(f"This would delete {what}, and there is no terminal to ask on: give --yes.")
        with display.aside():
            return await agreed(f"Delete {what}?")

    return confirm
