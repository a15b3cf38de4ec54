"""The command that tries a session at the target: `session check`."""

from functools import partial
from typing import Annotated

import typer

from pipeline.cli import options
from pipeline.cli.ending import ending
from pipeline.cli.terminal import run_async, say, start_logs

session = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@session.callback()
def _session() -> None:
    """Look at the target's sessions."""


@session.command("check")
def check(
    config: options.Config,
    set_: options.Set = None,
    log_format: Annotated[options.LogFormat | None, typer.Option("--log-format", help="Log lines.")] = None,
) -> None:
    """Open one session, prove that it works, close it.

    Says what the target answered.

    Exit codes: 0 it works; 2 usage or configuration; 5 the target cannot be reached; 6 the target refuses; 130, 143
    stopped.
    """
    with ending():
        start_logs(log_format)
        from pipeline import run

        settings = run.load_settings(config, set_ or (), mapped=False)
        say(run_async(partial(run.session_check, settings, signals=True)))
