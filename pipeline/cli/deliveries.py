"""The command that follows the contacts of a campaign to their deliveries: `campaign contacts`."""

import os
import sys
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli import options
from pipeline.cli.ending import ending
from pipeline.cli.terminal import complain, put, run_async, say, start_logs

if TYPE_CHECKING:
    from pipeline.run import Destination


class Format(StrEnum):
    """How contacts are written."""

    CSV = "csv"
    PARQUET = "parquet"


def contacts(
    config: options.Config,
    id_: options.Id = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="FILE", help="Where they go, for your eyes alone. Default: standard output."),
    ] = None,
    format_: Annotated[
        Format | None, typer.Option("--format", help="Default: by the suffix of --output, else csv.")
    ] = None,
    run_dir: Annotated[
        Path | None,
        typer.Option("--run", metavar="RUN_DIR", help="Join them to this run's ledger: every row of it, once."),
    ] = None,
    set_: options.Set = None,
    log_format: options.Logs = None,
) -> None:
    """Write a campaign's contacts with their delivery status, or follow a run to its deliveries.

    Per channel: destination, status in words, last error code (0: success), attempts left, and the contact's own text.
    With --run every row of the run's ledger stands there once, with all its columns and per channel status, error and
    attempts left; contacts that are not of the run are left out.

    Exit codes: 0; 2 usage or configuration; 5 the target cannot be reached, or its list broke off; 6 it refuses, or
    knows no such campaign; 8 this machine failed; 130, 143 stopped.
    """
    with ending():
        start_logs(log_format)
        from pipeline import run
        from pipeline.report import campaigns as report
        from pipeline.report.text import contacts as counted
        from pipeline.report.text import rows

        destination = _destination(output, format_)
        settings = options.campaign_settings(config, set_, id_)
        work = partial(
            run.campaign_contacts, settings, destination, run_dir=run_dir, stopping=run.Surroundings().stopping
        )
        try:
            written = run_async(work)
        except BrokenPipeError:
            # Whoever has stopped reading has what they wanted; Python flushes once more on its way out.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return
        if written.match is not None:
            match = written.match
            for sentence in report.matched(match.by, match.rows, match.others, match.repeated):
                complain(sentence)
        if output is not None:
            say(f"{rows(written.rows) if written.match else counted(written.rows)} written to {output}.")


def _destination(output: Path | None, format_: Format | None) -> "Destination":
    from pipeline import run
    from pipeline.errors import UsageError

    if output is not None and (output.is_dir() or not output.parent.is_dir()):
        raise UsageError(f"--output {output}: is no place for a file")
    by_suffix = Format.PARQUET if output is not None and output.suffix.lower() == ".parquet" else Format.CSV
    chosen = format_ or by_suffix
    if chosen is Format.PARQUET and output is None:
        raise UsageError("--format parquet: needs --output FILE")
    return run.Destination(output, chosen.value, put)
