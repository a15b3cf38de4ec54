"""The commands that read a contact list: `import`, `check` and `resume`."""

import os
import sys
from collections.abc import Awaitable, Callable, Collection, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli import choices, options
from pipeline.cli.ending import ending
from pipeline.cli.report import reporting
from pipeline.cli.show import Display, showing
from pipeline.cli.terminal import agreed, asked, complain, interactive, run_async, screen, standard_input, start_logs
from pipeline.cli.verdict import finish

if TYPE_CHECKING:
    from pipeline.config import Settings
    from pipeline.records import Status
    from pipeline.run import StandardInput
    from pipeline.stages.read import Source
    from pipeline.stages.survey import Survey


def import_(
    sources: options.Sources,
    config: options.Config,
    run_dir: options.RunDir = None,
    campaign_id: options.CampaignId = None,
    sessions: options.Sessions = None,
    limit: options.Limit = None,
    wave: options.Wave = None,
    mode: Annotated[
        options.Mode,
        typer.Option("--mode", help="upsert: rows that are there with other content are updated; add: only told of."),
    ] = options.Mode.ADD,
    campaign: Annotated[
        Path | None,
        typer.Option(
            "--campaign",
            metavar="FILE",
            help="Add this campaign (TOML, or JSON by its suffix), paused, and import into it.",
        ),
    ] = None,
    activate: Annotated[
        bool, typer.Option("--activate", help="Start the campaign when all rows are settled, none in doubt.")
    ] = False,
    canary: Annotated[
        int, typer.Option("--canary", metavar="N", min=0, help="So many rows go first and are read back. 0: none.")
    ] = 5,
    max_bad: Annotated[
        str | None,
        typer.Option(
            "--max-bad",
            metavar="N|P%",
            help="Stop at more invalid, rejected and failed rows. Per cent counts from 1,000 rows on.",
        ),
    ] = None,
    tolerate: options.Tolerate = None,
    expect: options.Expect = None,
    continue_: Annotated[
        bool,
        typer.Option(
            "--continue",
            help="With --run-dir: start the run there, resume it, or repeat its verdict if it is finished.",
        ),
    ] = False,
    stream: Annotated[bool, typer.Option("--stream", help="Begin to send at once, without a survey.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not show the plan and ask.")] = False,
    delimiter: options.Delimiter = None,
    encoding: options.Encoding = None,
    sheet: options.Sheet = None,
    set_: options.Set = None,
    report: options.Report = None,
    json_: options.Json = False,
    no_progress: options.NoProgress = False,
    metrics: options.Metrics = None,
    log_format: options.Logs = None,
) -> None:
    """Import contact lists into a campaign.

    A ledger in the run directory says of every row what became of it.

    Exit codes: 0 all rows in (or left out by policy); 1 some rows bad; 2 usage, configuration or source; 3 stopped by
    --max-bad or --expect; 4 rows in doubt; 5 target cannot be reached; 6 target refuses; 7 another run holds the
    campaign or the directory; 8 this machine failed; 130, 143 stopped.
    """
    with ending(), reporting(report) as reports:
        start_logs(log_format)
        from pipeline import run
        from pipeline.errors import UsageError

        if continue_ and run_dir is None:
            raise UsageError("--continue: goes on with the run in --run-dir: name that")
        table = None
        if campaign is not None:
            if campaign_id is not None:
                raise UsageError("--campaign: adds a campaign; leave out --campaign-id, or import into that one alone")
            table, campaign_id = run.campaign_of(campaign, config, set_ or (), run_dir)
        settings, opened = _load(config, set_, campaign_id, sessions, sources, delimiter, encoding, sheet)
        chosen = run.ImportOptions(
            run_dir=run_dir,
            campaign=table,
            activate=activate,
            limit=limit,
            canary=canary,
            max_bad=options.share("--max-bad", max_bad),
            tolerate=options.share("--tolerate", tolerate),
            expect=options.expected(expect),
            stream=stream,
            wave=wave,
            upsert=mode is options.Mode.UPSERT,
            command=options.recorded(("contact-pipeline", *sys.argv[1:])),
            signals=True,
        )
        progress = run.Progress()
        with (
            run.measured(progress, metrics) as measured,
            showing(progress, quiet=no_progress, style=log_format) as display,
        ):
            piped = "-" in sources
            told = options.told(delimiter=delimiter, encoding=encoding)
            asking = interactive(piped=piped) and not yes
            confirm = _asking(display, settings, told, piped=piped) if asking else None
            begin = run.continue_run if continue_ else run.import_contacts
            result = run_async(partial(begin, settings, opened, chosen, progress=progress, confirm=confirm))
            if measured is not None:
                measured.end(result.summary)
        finish(result, reports, as_json=json_)


def check(
    sources: options.Sources,
    config: options.Config,
    run_dir: options.RunDir = None,
    campaign_id: options.CampaignId = None,
    limit: options.Limit = None,
    wave: options.Wave = None,
    tolerate: options.Tolerate = None,
    expect: options.Expect = None,
    online: Annotated[
        bool, typer.Option("--online", help="Ask the target too: is the campaign there, and what does it hold?")
    ] = False,
    delimiter: options.Delimiter = None,
    encoding: options.Encoding = None,
    sheet: options.Sheet = None,
    set_: options.Set = None,
    report: options.Report = None,
    json_: options.Json = False,
    no_progress: options.NoProgress = False,
    log_format: options.Logs = None,
) -> None:
    """Do everything but send: a rehearsal.

    Reads, screens and encodes, and writes ledger and reports. Needs no secret and opens no connection, but with
    --online, or to fetch a WSDL given by URL. Rows that would be sent are pending.

    Exit codes: 0 every row could be sent (or is left out by policy); 1 some rows are invalid; 2 usage, configuration
    or source; 3 the list is not as --expect says; with --online 5 and 6 as `import`.
    """
    with ending(), reporting(report, checked=True) as reports:
        start_logs(log_format)
        from pipeline import run

        settings, opened = _load(config, set_, campaign_id, None, sources, delimiter, encoding, sheet)
        chosen = run.ImportOptions(
            run_dir=run_dir,
            limit=limit,
            tolerate=options.share("--tolerate", tolerate),
            expect=options.expected(expect),
            online=online,
            wave=wave,
            command=options.recorded(("contact-pipeline", *sys.argv[1:])),
            signals=True,
        )
        progress = run.Progress()
        with showing(progress, quiet=no_progress, style=log_format):
            result = run_async(partial(run.check_contacts, settings, opened, chosen, progress=progress))
        finish(result, reports, as_json=json_, checked=options.told(delimiter=delimiter, encoding=encoding))


def resume(
    run_dir: options.RunDirectory,
    again: Annotated[
        str | None,
        typer.Option(
            "--again",
            metavar="STATUS,...",
            help="Send rows of these statuses once more: failed, rejected.",
            autocompletion=choices.again,
        ),
    ] = None,
    set_: options.Set = None,
    report: options.Report = None,
    json_: options.Json = False,
    no_progress: options.NoProgress = False,
    metrics: options.Metrics = None,
    log_format: options.Logs = None,
) -> None:
    """Go on with a run that was stopped, killed or has crashed.

    Settles what is in doubt by asking the target, then sends the rest. On a finished run it changes nothing. --set
    takes delivery.*, sessions.*, http.*, notify.* and secrets.

    Exit codes: as `import`; 2 also where source, mapping or campaign changed; 7 where another process is at work on
    the run.
    """
    with ending(), reporting(report) as reports:
        start_logs(log_format)
        from pipeline import run

        progress = run.Progress()
        with (
            run.measured(progress, metrics) as measured,
            showing(progress, quiet=no_progress, style=log_format),
        ):
            result = run_async(
                partial(run.resume_run, run_dir, set_ or (), again=_again(again), signals=True, progress=progress)
            )
            if measured is not None:
                measured.end(result.summary)
        finish(result, reports, as_json=json_)


def _again(given: str | None) -> "tuple[Status, ...]":
    from pipeline.errors import UsageError
    from pipeline.run import AGAIN

    names = [name.strip() for name in (given or "").split(",") if name.strip()]
    known = {status.value: status for status in AGAIN}
    if unknown := [name for name in names if name not in known]:
        raise UsageError(f"--again: {unknown[0]} cannot be sent again; can be: {', '.join(known)}")
    return tuple(known[name] for name in names)


def _load(
    config: Sequence[Path],
    given: Sequence[str] | None,
    campaign_id: str | None,
    sessions: int | None,
    sources: Sequence[str],
    delimiter: str | None,
    encoding: str | None,
    sheet: str | None,
) -> "tuple[Settings, list[Source | StandardInput]]":
    from pipeline import run
    from pipeline.errors import ConfigError

    overrides = options.overrides(given, {"--campaign-id": campaign_id, "--sessions": sessions})
    stdin = standard_input()
    try:
        loaded = run.load(
            config,
            overrides,
            sources,
            delimiter=options.delimiter(delimiter),
            encoding=encoding,
            sheet=sheet,
            stdin=stdin,
        )
    except ConfigError as error:
        raise ConfigError([options.as_given(problem, given) for problem in error.problems]) from None
    if "-" in sources and stdin is not None and os.isatty(stdin):
        complain("The list is read from this terminal: end it with Ctrl-D.")
    return loaded


def _asking(
    display: Display, settings: "Settings", told: Collection[str], *, piped: bool
) -> "Callable[[Survey], Awaitable[bool]]":
    """What shows the plan and asks whether to go on."""
    from urllib.parse import urlsplit

    from pipeline.records import Status
    from pipeline.report.plan import plan
    from pipeline.report.text import line, rows, safe

    target = settings.target

    async def confirm(survey: "Survey") -> bool:
        if not survey.counts[Status.PENDING]:
            return True  # nothing is sent, so there is nothing to ask
        with display.aside():
            at = urlsplit(target.address).netloc.rpartition("@")[2]
            where = f"campaign {safe(target.campaign)}{f' at {line(at)}' if at else ''}"
            question = f"Send {rows(survey.counts[Status.PENDING])} to {where}?"
            width, height = screen()
            room = width, height - asked(question).count("\n")  # for one line of it there is room in any case
            complain(plan(survey, safe(target.campaign), told, limit=settings.delivery.rate, screen=room))
            return await agreed(question, piped=piped)

    return confirm
