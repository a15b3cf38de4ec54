"""The commands that answer "whom did we contact" and "remove this person": `person find|erase`."""

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli import choices, options
from pipeline.cli.ending import ending
from pipeline.cli.terminal import agreed, complain, interactive, run_async, say, start_logs

if TYPE_CHECKING:
    from pipeline.config import Settings

person = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

#: What both end with where somebody was found nowhere, or where something could not be searched.
NOT_FOUND = 1


@person.callback()
def _person() -> None:
    """Look for persons in runs and campaigns, and erase them from both."""


Directories = Annotated[
    list[Path] | None,
    typer.Argument(metavar="[DIRECTORY]...", help="Run directories, or where such lie. Default: runs."),
]
Region = Annotated[
    str | None,
    typer.Option(
        "--region",
        metavar="CC",
        help="Country of national numbers. Default: that of each run.",
        autocompletion=choices.regions,
    ),
]


@person.command("find")
def find(
    directories: Directories = None,
    config: Annotated[
        list[Path] | None,
        typer.Option("--config", metavar="FILE", help="Look through the campaign at the target, too. May be repeated."),
    ] = None,
    set_: options.Set = None,
    campaign_id: options.CampaignId = None,
    region: Region = None,
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
        from pipeline.report import persons as report

        settings = _settings(config, set_, campaign_id, region)
        asked = _asked(directories)
        looking = partial(run.find_persons, asked, directories or [Path("runs")], region=region, settings=settings)
        found = run_async(looking)
        for remark in found.remarks:
            complain(remark)
        if json_:
            say(report.as_json(found, found.remarks))
        else:
            for each in (report.table if sys.stdout.isatty() and found.places else report.lines)(found):
                say(each)
            for each in report.verdict(found):
                complain(each)
        if found.missing or found.remarks:
            raise typer.Exit(NOT_FOUND)


@person.command("erase")
def erase(
    directories: Directories = None,
    config: Annotated[
        list[Path] | None,
        typer.Option("--config", metavar="FILE", help="Erase from the campaign at the target, too. May be repeated."),
    ] = None,
    set_: options.Set = None,
    campaign_id: options.CampaignId = None,
    region: Region = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask. Needed where there is no terminal.")] = False,
    json_: Annotated[bool, typer.Option("--json", help="Print the receipt as JSON.")] = False,
    log_format: options.Logs = None,
) -> None:
    """Erase persons: destinations in any spelling, or keys, one a line on standard input.

    With --config their contacts are deleted from the campaign first. Then key, ids and destinations are taken out of
    the rows of all runs in which they stand; the rows stay, so that `verify` passes. A receipt that names nobody is
    written beside the runs. A run that is not finished is refused, and then nothing is erased. What was killed is
    completed by the next.

    The lists themselves are not touched, and an import of one sends to whoever is in it: put them on a list of
    contacts.suppress.

    Exit codes: 0 everybody was found and erased; 1 somebody was not found, or something was not erased; 2 usage, an
    open run, or nobody to ask without --yes; 5, 6, 7, 8 as `import`.
    """
    with ending():
        start_logs(log_format)
        from pipeline import run
        from pipeline.errors import UsageError
        from pipeline.report import erasure, persons

        settings = _settings(config, set_, campaign_id, region)
        asked = _asked(directories)
        planning = partial(run.plan_erasure, asked, directories or [Path("runs")], region=region, settings=settings)
        plan = run_async(planning)
        tell = complain if json_ else say
        if not json_ or not yes:
            for each in (persons.table if sys.stdout.isatty() and plan.found.places else persons.lines)(plan.found):
                tell(each)
        for each in (*persons.verdict(plan.found), *erasure.plan(plan)):
            complain(each)
        if not plan.found.places and not plan.runs:
            raise typer.Exit(NOT_FOUND)
        if not yes:
            if not interactive(piped=True):
                raise UsageError("There is no terminal to ask on, and nothing was erased: give --yes.")
            if not run_async(partial(agreed, "Erase them?", piped=True)):
                raise UsageError("Stopped at the question: nothing was erased.")
        receipt, path, earlier = run_async(partial(run.erase, plan))
        if json_:
            say(receipt.to_json().rstrip())
        for each in (*erasure.done(receipt, path), *earlier):
            tell(each)
        if plan.found.missing or plan.found.remarks or any(each.remarks for each in receipt.runs):
            raise typer.Exit(NOT_FOUND)


def _settings(
    config: list[Path] | None, set_: list[str] | None, campaign_id: str | None, region: str | None
) -> "Settings | None":
    """The settings of the target that is to be asked, if any; raises UsageError where the options are wrong."""
    from pipeline import run
    from pipeline.cli.options import overrides
    from pipeline.errors import UsageError
    from pipeline.stages.screen import check_region

    settings = None
    if config:
        settings = run.load_settings(config, overrides(set_, {"--campaign-id": campaign_id}), mapped=False)
    elif set_ or campaign_id:
        raise UsageError("--set, --campaign-id: mean something with --config only")
    if region and (problem := check_region(region)):
        raise UsageError(f"--region: {problem.removeprefix('contacts.region: ')}")
    return settings


def _asked(directories: list[Path] | None) -> list[str]:
    """The lines of standard input. Raises UsageError where one is not text, or where they seem to be arguments."""
    from pipeline.errors import UsageError
    from pipeline.logs import mask

    if unknown := [each for each in directories or () if not each.exists()]:
        raise UsageError(
            f"{mask(str(unknown[0]))}: there is no such directory. Persons are given on standard input, one a line, "
            "not as arguments. Nothing was done."
        )
    if sys.stdin.isatty():
        complain("Type a destination or a key on each line, and end with Ctrl-D.")
    lines = sys.stdin.read().splitlines()
    for number, line in enumerate(lines, 1):
        try:
            line.encode()
        except UnicodeEncodeError:  # bytes that are not UTF-8 come as halves of characters
            raise UsageError(
                f"Standard input, line {number}: is not written in UTF-8; save the list as UTF-8. Nothing was done."
            ) from None
    return lines
