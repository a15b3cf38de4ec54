"""The command that answers "whom did we contact": `person find`."""

import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli import options
from pipeline.cli.ending import ending
from pipeline.cli.terminal import complain, run_async, say, start_logs

person = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

#: What `find` ends with where somebody was found nowhere, or where something could not be searched.
NOT_FOUND = 1


@person.callback()
def _person() -> None:
    """Look for persons in runs and campaigns."""


@person.command("find")
def find(
    directories: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[DIRECTORY]...", help="Run directories, or where such lie. Default: runs."),
    ] = None,
    config: Annotated[
        list[Path] | None,
        typer.Option("--config", metavar="FILE", help="Look through the campaign at the target, too. May be repeated."),
    ] = None,
    set_: options.Set = None,
    campaign_id: options.CampaignId = None,
    region: Annotated[
        str | None,
        typer.Option("--region", metavar="CC", help="Country of national numbers. Default: that of each run."),
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
    log_format: options.Logs = None,
) -> None:
    """Find persons: destinations in any spelling, or keys, one a line on standard input.

    Looks through the rows of every run, the resubmit files, and the copies of lists; with --config through the contacts
    of the campaign. A line for each place, with tabs between: line of the question, run or campaign, source, row,
    status, contact id, files or channels. Nobody's destination is printed. What could not be searched is told on
    standard error.

    Exit codes: 0 everybody was found; 1 somebody was not, or something could not be searched; 2 usage or
    configuration; 5, 6 as `campaign contacts`.
    """
    with ending():
        start_logs(log_format)
        from pipeline import run
        from pipeline.cli.options import overrides
        from pipeline.errors import UsageError
        from pipeline.report import persons as report
        from pipeline.stages.screen import check_region

        settings = None
        if config:
            settings = run.load_settings(config, overrides(set_, {"--campaign-id": campaign_id}), mapped=False)
        elif set_ or campaign_id:
            raise UsageError("--set, --campaign-id: mean something with --config only")
        if region and (problem := check_region(region)):
            raise UsageError(f"--region: {problem.removeprefix('contacts.region: ')}")
        asked = sys.stdin.read().splitlines()
        looking = partial(run.find_persons, asked, directories or [Path("runs")], region=region, settings=settings)
        found = run_async(looking)
        for remark in found.remarks:
            complain(remark)
        if json_:
            say(report.as_json(found, found.remarks))
        else:
            for each in (report.table if sys.stdout.isatty() and found.places else report.lines)(found):
                say(each)
            complain(report.verdict(found))
        if found.missing or found.remarks:
            raise typer.Exit(NOT_FOUND)
