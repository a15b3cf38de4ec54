"""The commands around the target's campaigns: `campaign list|show|add|update|delete|pause|start|contacts`."""

import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli import options
from pipeline.cli.deliveries import contacts
from pipeline.cli.ending import ending
from pipeline.cli.terminal import agreed, complain, interactive, run_async, say, start_logs

if TYPE_CHECKING:
    from pipeline.run import Changed

#: A campaign that is not as it was sent is for a person to look at.
NOT_AS_SENT = 6

#: A table is so many columns wide at least, an id of 36 and what is left for the rest: a narrower terminal breaks its
#: lines, and nothing of an id is dropped.
_NARROWEST = 80

campaign = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

File = Annotated[Path | None, typer.Argument(metavar="FILE", help="The campaign as TOML, or as JSON by its suffix.")]
Key = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Set one key of the campaign, e.g. sms.enabled=true. Wins over the file."
    ),
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask. Needed where there is no terminal.")]
Json = Annotated[bool, typer.Option("--json", help="Print it as JSON.")]


@campaign.callback()
def _campaign() -> None:
    """Look at the target's campaigns and change them."""


@campaign.command("list")
def list_(
    config: options.Config, set_: options.Set = None, json_: Json = False, log_format: options.Logs = None
) -> None:
    """List the account's campaigns.

    A table on a terminal, else a line for each with tabs between: id, state, from_date, to_date, from_time, to_time,
    channels, name.

    Exit codes: 0; 2 usage or configuration; 5 the target cannot be reached or gives no list; 6 the target refuses.
    """
    with ending():
        start_logs(log_format)
        from pipeline import run
        from pipeline.report import campaigns as report

        settings = run.load_settings(config, set_ or (), mapped=False)
        shown = run_async(partial(run.list_campaigns, settings, signals=True))
        if json_:
            say(report.as_json([each.table for each in shown]))
        elif sys.stdout.isatty():
            _table(report.HEADINGS, [report.columns(each.table) for each in shown])
        else:
            for each in shown:
                say("\t".join(report.columns(each.table)))
        for remark in {each.remark for each in shown if each.remark and each.table.get("active")}:
            complain(remark)
        if not shown:
            complain("The target tells of no campaign.")


@campaign.command("show")
def show(
    config: options.Config,
    id_: options.Id = None,
    set_: options.Set = None,
    json_: Json = False,
    log_format: options.Logs = None,
) -> None:
    """Show a campaign as TOML that `campaign add` and `campaign update` take.

    What is null at the target is left out; an empty text is there.

    Exit codes: 0; 2 usage or configuration; 5 the target cannot be reached; 6 it refuses, or knows no such campaign.
    """
    with ending():
        start_logs(log_format)
        from pipeline import run
        from pipeline.report import campaigns as report

        settings = options.campaign_settings(config, set_, id_)
        shown = run_async(partial(run.show_campaign, settings, signals=True))
        if json_:
            complain(shown.remark)
        say(report.as_json(shown.table) if json_ else report.toml(shown.table, shown.remark).rstrip("\n"))


@campaign.command("add")
def add(
    config: options.Config, file: File = None, keys: Key = None, json_: Json = False, log_format: options.Logs = None
) -> None:
    """Add a campaign from a file, and print its id.

    The file is checked whole before anything is sent; configs/campaign.toml shows every key. Its id is a new one, but
    for an `id` in the file. The campaign is read back and compared; --json prints it as it was read back.

    Exit codes: 0; 2 usage, configuration or a mistake in the file; 5 the target cannot be reached; 6 it refuses, or
    holds something else than was sent.
    """
    with ending():
        start_logs(log_format)
        from pipeline import run, tables
        from pipeline.errors import UsageError
        from pipeline.report import campaigns as report

        if file is None and not keys:
            raise UsageError("Nothing to add: give a file, or keys with --set.")
        settings = run.load_settings(config, (), mapped=False)
        table, places = tables.read_table(file, keys or ())
        added = run_async(partial(run.add_campaign, settings, table, places.name, signals=True))
        if added.new_id:
            complain("The target gave the campaign an id of its own.")
        say(report.as_json(added.after) if json_ else added.id)
        _compare(added)


@campaign.command("update")
def update(
    config: options.Config,
    first: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="The campaign. Default: target.campaign_id.")
    ] = None,
    second: Annotated[
        str | None, typer.Argument(metavar="[FILE]", help="What is to change, as TOML, or as JSON by its suffix.")
    ] = None,
    keys: Key = None,
    json_: Json = False,
    log_format: options.Logs = None,
) -> None:
    """Change a campaign: what the file and --set name, and nothing else.

    The campaign is read first, and all that is not named is sent back as it was told. An empty date or time unsets it;
    null in a JSON file makes a text null. The campaign is read back and compared; --json prints it as it was read back.
    A single argument is the file where there is such a file, or where it ends with .toml or .json.

    Exit codes: as `campaign add`.
    """
    with ending():
        start_logs(log_format)
        from pipeline import run, tables
        from pipeline.errors import UsageError
        from pipeline.report import campaigns as report

        id_, file = _id_and_file(first, second)
        if file is None and not keys:
            raise UsageError("Nothing to change: give a file, or keys with --set.")
        settings = options.campaign_settings(config, (), id_)
        table, places = tables.read_table(file, keys or ())
        changed = run_async(partial(run.update_campaign, settings, table, places.name, signals=True))
        if json_:
            say(report.as_json(changed.after))
        elif changed.before is not None and changed.sent:
            say(report.changed(changed.id, changed.before, changed.after))
        else:
            say(report.unchanged(changed.id))
        _compare(changed)


@campaign.command("delete")
def delete(
    config: options.Config,
    id_: options.Id = None,
    yes: Yes = False,
    set_: options.Set = None,
    log_format: options.Logs = None,
) -> None:
    """Delete a campaign and all its contacts.

    What is remembered of its contacts is forgotten. Asks, or wants --yes.

    Exit codes: 0; 2 usage, configuration or a no; 5 the target cannot be reached; 6 it refuses, or knows no such
    campaign; 7 a run holds the campaign.
    """
    with ending():
        start_logs(log_format)
        from pipeline import run

        settings = options.campaign_settings(config, set_, id_)
        confirm = None if yes else _asking(settings.target.campaign)
        run_async(partial(run.delete_campaign, settings, confirm, signals=True))
        say(f"Campaign {settings.target.campaign} is deleted.")


@campaign.command("pause")
def pause(
    config: options.Config, id_: options.Id = None, set_: options.Set = None, log_format: options.Logs = None
) -> None:
    """Pause a campaign; nothing else of it is changed.

    Exit codes: as `campaign update`.
    """
    _set_paused(config, id_, set_, log_format, paused=True)


@campaign.command("start")
def start(
    config: options.Config, id_: options.Id = None, set_: options.Set = None, log_format: options.Logs = None
) -> None:
    """Let a paused campaign go on; nothing else of it is changed.

    Exit codes: as `campaign update`.
    """
    _set_paused(config, id_, set_, log_format, paused=False)


def _set_paused(
    config: Sequence[Path],
    id_: str | None,
    given: Sequence[str] | None,
    log_format: options.LogFormat | None,
    *,
    paused: bool,
) -> None:
    with ending():
        start_logs(log_format)
        from pipeline import run
        from pipeline.report import campaigns as report

        settings = options.campaign_settings(config, given, id_)
        changed = run_async(partial(run.update_campaign, settings, {"paused": paused}, signals=True))
        already = "" if changed.sent else " already"
        say(f"Campaign {changed.id} is {report.state(changed.after)}{already}.")
        _compare(changed)


campaign.command("contacts")(contacts)


def _id_and_file(first: str | None, second: str | None) -> tuple[str | None, Path | None]:
    if first is not None and second is None and (first.endswith((".toml", ".json")) or Path(first).is_file()):
        return None, Path(first)
    return first, None if second is None else Path(second)


def _asking(campaign_id: str) -> Callable[[Mapping[str, Any]], Awaitable[bool]]:
    """What asks a person, or says that it cannot."""
    from pipeline.errors import UsageError
    from pipeline.report.text import safe

    async def confirm(table: Mapping[str, Any]) -> bool:
        what = f'campaign {campaign_id} "{safe(str(table.get("name", "")))}" and all its contacts'
        if not interactive():
            raise UsageError(f"This would delete {what}, and there is no terminal to ask on: give --yes.")
        return await agreed(f"Delete {what}?")

    return confirm


def _compare(changed: "Changed") -> None:
    """Tell what the target holds otherwise than it was sent, and end so."""
    from pipeline.report import campaigns as report

    if changed.differences:
        for sentence in report.differences(changed.differences, changed.wanted, changed.after):
            complain(sentence)
        raise typer.Exit(NOT_AS_SENT)


def _table(headings: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table()
    for heading in headings:
        # An id is there to be copied, so it stays on one line.
        table.add_column(heading, overflow="fold", no_wrap=heading == "id")
    for line in lines:
        table.add_row(*(Text(each) for each in line))
    console = Console()
    console.width = max(console.width, _NARROWEST)
    console.print(table)
