"""The options that several commands share, and what they mean for the configuration."""

import json
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from pipeline.cli import choices

if TYPE_CHECKING:
    from pipeline.config import Settings
    from pipeline.run import Expectation
    from pipeline.values import Share


class Mode(StrEnum):
    """What becomes of rows that are in the campaign with other content: they are told of, or updated."""

    ADD = "add"
    UPSERT = "upsert"


class LogFormat(StrEnum):
    """How log lines are written."""

    TEXT = "text"
    JSON = "json"


Sources = Annotated[
    list[str],
    typer.Argument(metavar="SOURCE", help="CSV, Parquet or Excel (.xlsx) files: paths or globs; - for standard input."),
]
RunDirectory = Annotated[Path, typer.Argument(metavar="RUN_DIR", help="The run directory, as an import names it.")]
Config = Annotated[
    list[Path],
    typer.Option("--config", metavar="FILE", help="Configuration (TOML). May be repeated: later files win."),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Override one setting, e.g. delivery.rate=50. May be repeated; wins over files.",
    ),
]
CampaignId = Annotated[
    str | None, typer.Option("--campaign-id", metavar="ID", help="The campaign, in place of target.campaign_id.")
]
Id = Annotated[str | None, typer.Argument(metavar="[ID]", help="The campaign. Default: target.campaign_id.")]
Sessions = Annotated[
    int | None,
    typer.Option("--sessions", metavar="N", min=1, help="At most so many sessions, in place of delivery.sessions."),
]
RunDir = Annotated[
    Path | None,
    typer.Option("--run-dir", metavar="DIR", help="Where the run goes. Default: runs/<UTC time>-<source name>."),
]
Limit = Annotated[int | None, typer.Option("--limit", metavar="N", min=1, help="Take the first N rows only.")]
Wave = Annotated[
    str | None,
    typer.Option("--wave", metavar="NAME", help="A part of the contact ids: contact the same people once more."),
]
Tolerate = Annotated[
    str | None,
    typer.Option("--tolerate", metavar="N|P%", help="So many invalid, rejected and failed rows still exit 0."),
]
Expect = Annotated[
    list[str] | None,
    typer.Option(
        "--expect",
        metavar="NAME>=N",
        help="Send nothing unless the list is so: rows, sendable, bad, duplicates, changed, suppressed, or age<26h. "
        "May be repeated.",
    ),
]
Delimiter = Annotated[
    str | None,
    typer.Option(
        "--delimiter", metavar="CHAR", help='What separates the fields of a CSV, "tab" for a tab. Default: found out.'
    ),
]
Encoding = Annotated[
    str | None,
    typer.Option("--encoding", metavar="NAME", help="Encoding of a CSV, e.g. windows-1252. Default: found out."),
]
Sheet = Annotated[
    str | None,
    typer.Option("--sheet", metavar="NAME", help="The sheet of an Excel workbook. Default: the only one with content."),
]
Report = Annotated[
    list[str] | None,
    typer.Option(
        "--report",
        metavar="FORMAT[=FILE]",
        help="Report the run too, as html, junit or github. May be repeated.",
        autocompletion=choices.of(choices.FORMS),
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print the summary as JSON, and nothing else, on standard output.")]
NoProgress = Annotated[bool, typer.Option("--no-progress", help="Show no progress.")]
Metrics = Annotated[
    Path | None,
    typer.Option(
        "--metrics", metavar="FILE", help="Write metrics (OpenMetrics) to this file every few seconds, and at the end."
    ),
]
Logs = Annotated[
    LogFormat | None,
    typer.Option(
        "--log-format", help="Lines of log and progress on standard error. Default: text on a terminal, else json."
    ),
]


#: Options that stand for a setting.
_SETTINGS: Final = {"--campaign-id": "target.campaign_id", "--sessions": "delivery.sessions"}


def overrides(given: Sequence[str] | None, named: Mapping[str, str | int | None]) -> list[str]:
    """What `--set` and the options in its stead add up to, as "dotted.key=VALUE"; the options win.

    `named` holds the values of options that stand for a setting; None: not given.
    """
    own = (f"{_SETTINGS[name]}={json.dumps(value)}" for name, value in named.items() if value is not None)
    return [*(given or ()), *own]


def as_given(problem: str, given: Sequence[str] | None) -> str:
    """A problem of the configuration, placed at the option that caused it rather than at the setting behind it."""
    keys = {override.partition("=")[0].strip() for override in given or ()}
    for option, key in _SETTINGS.items():
        place = f"--set {key}:"
        if problem.startswith(place) and key not in keys:
            return f"{option}:{problem.removeprefix(place)}"
    return problem


def campaign_settings(config: Sequence[Path], given: Sequence[str] | None, id_: str | None) -> "Settings":
    """The settings for a command about a campaign: with the one that was named in place of theirs."""
    from pipeline import run
    from pipeline.errors import ConfigError

    try:
        return run.load_settings(config, overrides(given, {"--campaign-id": id_}), mapped=False)
    except ConfigError as error:
        problems = (as_given(problem, given) for problem in error.problems)
        raise ConfigError([each.replace("--campaign-id:", "ID:", 1) for each in problems]) from None


def told(**given: str | None) -> frozenset[str]:
    """The names of those options that were given."""
    return frozenset(name for name, value in given.items() if value is not None)


def delimiter(given: str | None) -> str | None:
    """The character that `--delimiter` means: a tab is hard to type."""
    return "\t" if given in ("tab", "\\t") else given


def share(option: str, given: str | None) -> "Share | None":
    """The rows that `option` allows, as a number or a percentage. Raises UsageError."""
    from pipeline.errors import UsageError
    from pipeline.values import Share

    try:
        return None if given is None else Share.parse(given)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from None


def expected(given: Sequence[str] | None) -> "tuple[Expectation, ...]":
    """What `--expect` says of the list. Raises UsageError."""
    from pipeline.errors import UsageError
    from pipeline.run import Expectation

    try:
        return tuple(map(Expectation.parse, given or ()))
    except ValueError as error:
        raise UsageError(f"--expect: {error}") from None


def recorded(arguments: Sequence[str]) -> tuple[str, ...]:
    """The command as a run keeps it: the values of `--set` are left out, they may be secrets."""
    kept: list[str] = []
    for before, argument in zip(("", *arguments), arguments, strict=False):
        if before == "--set":
            kept.append(argument.partition("=")[0] + "=...")
        elif argument.startswith("--set="):
            kept.append("--set=" + argument.removeprefix("--set=").partition("=")[0] + "=...")
        else:
            kept.append(argument)
    return tuple(kept)
