"""What run.toml says of a run that was begun: its settings, and its sources, opened again as they were read then."""

import os
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from pipeline import configfile, targets
from pipeline.config import Settings, read_secrets
from pipeline.errors import ConfigError, MachineFailed, UsageError
from pipeline.ledger.recovery import NothingBegun, Recovery, recover
from pipeline.ledger.rundirectory import RunDirectory
from pipeline.run import describing, run_campaign
from pipeline.run.job import ImportOptions, Job
from pipeline.run.surroundings import Surroundings
from pipeline.stages.read import Source, open_source
from pipeline.stages.screen import load_suppression
from pipeline.values import Share
from pipeline.wire import client_factory

#: What run.toml always holds, by table.
_RECORDED: Final = {
    "run": ("wave", "limit", "canary", "tolerate", "mode", "activate", "target"),
    "source": ("path", "name", "delimiter", "encoding"),
    "settings": ("target", "contacts"),
}

#: Why a run cannot be gone on with.
UNDONE: Final = (
    "{directory}: this run was undone, in whole or in part, or its campaign was deleted: it cannot be gone on with; "
    "import the list anew, in another run directory"
)

#: What may be set anew, beside the target's credentials: nothing that decides what is sent, or where.
_SETTABLE: Final = ("delivery.", "sessions.", "http.", "notify.")


def record(directory: RunDirectory) -> dict[str, Any]:
    """run.toml as tables, with those that every run has. Raises MachineFailed where it cannot be read."""
    try:
        tables = tomllib.loads(directory.settings.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise MachineFailed(f"{directory.settings}: cannot be read: {error}") from None
    for name, keys in _RECORDED.items():
        for table in (tables.get(name) or [{}]) if name == "source" else [tables.get(name, {})]:
            if lacking := [key for key in keys if key not in table]:
                raise MachineFailed(f"{directory.settings}: lacks {name}.{lacking[0]}: it was changed, or cut")
    return tables


def recorded_sources(directory: RunDirectory) -> tuple[list[Source], int | None]:
    """The run's sources, and how many rows of them it took (None: all). Raises SourceError where one is gone."""
    tables = record(directory)
    sources = [recorded_source(directory, told) for told in tables["source"]]
    return sources, tables["run"]["limit"] or None


def recorded_source(directory: RunDirectory, told: Mapping[str, Any]) -> Source:
    """One source, opened as its table in run.toml tells. Raises SourceError where it is gone."""
    return open_source(
        directory.path / told["path"],  # an absolute one stays as it is
        name=told["name"],
        delimiter=told["delimiter"] or None,
        encoding=told["encoding"] or None,
        sheet=told.get("sheet") or None,
    )


def recorded_settings(directory: RunDirectory, overrides: Sequence[str]) -> Settings:
    """The settings as run.toml holds them, with what may be set anew. Raises ConfigError."""
    tables = record(directory)
    try:
        credentials = targets.settings_model(tables["settings"]["target"]["system"]).credentials()
    except KeyError as error:
        raise ConfigError([f"target.system: {error.args[0]}"]) from None
    settable = (*_SETTABLE, *(f"target.{name}" for name in credentials))
    told = ", ".join(f"{name}*" if name.endswith(".") else name for name in settable)
    problems = [
        f"--set {key}: cannot be changed for a run that was begun; can be: {told}"
        for key in (override.partition("=")[0].strip() for override in overrides)
        if not key.startswith(settable)
    ]
    if problems:
        raise ConfigError(problems)
    loaded = configfile.load([], overrides, targets.settings_model, inline=tables["settings"])
    if loaded.settings is None:
        where = f"{directory.settings}: "
        advice = " (a secret that stood in the configuration itself is not recorded: give it with --set)"
        raise ConfigError([where + problem + advice * problem.endswith("is missing") for problem in loaded.problems])
    settings = loaded.settings
    place = tables["run"].get("state")
    if settings.state.directory is None and place and not os.environ.get(describing.STATE_VARIABLE):
        # It may be gone on with from another working directory than it was begun in.
        settings = settings.model_copy(update={"state": settings.state.model_copy(update={"directory": Path(place)})})
    return settings


def recorded_options(directory: RunDirectory, recovery: Recovery) -> ImportOptions:
    """What was chosen for the run, as far as it counts when it is gone on with: not where it stops."""
    chosen = record(directory)["run"]
    return ImportOptions(
        limit=chosen["limit"] or None,
        wave=recovery.header.wave or None,
        canary=chosen["canary"],
        upsert=chosen["mode"] == "upsert",
        campaign=run_campaign.recorded(directory),
        activate=chosen["activate"],
        tolerate=Share.parse(chosen["tolerate"]) if chosen["tolerate"] else None,
    )


def recorded_job(
    directory: RunDirectory, recovery: Recovery, settings: Settings, surroundings: Surroundings, *, asks: bool
) -> Job:
    """The run as it was begun. `asks`: its target is asked something; else it only encodes, and needs no secret.

    Raises SourceError where a source is gone; whether one has changed is for `describing.changed` to tell.
    """
    sources, _ = recorded_sources(directory)
    clients = None
    if asks:
        read_secrets(settings.target)
        clients = surroundings.clients or client_factory(settings.http, settings.delivery.timeout)
    contract = directory.path / "contract"
    return Job(
        settings=settings,
        options=recorded_options(directory, recovery),
        surroundings=surroundings,
        directory=directory,
        sources=tuple(sources),
        recorded=recovery.header.sources,
        target=surroundings.module(settings.target.system).create(
            settings, clients, contract if contract.exists() else None
        ),
        suppression=load_suppression(directory.kept("suppress"), settings.contacts, surroundings.authorities),
    )


def check_imported(directory: RunDirectory) -> None:
    """Raise UsageError where the run was only a check."""
    if record(directory)["run"]["mode"] == describing.CHECK:
        raise UsageError(
            f"{directory.path}: holds a check, which sends nothing; import the list in another run directory"
        )


def undo_begun(directory: RunDirectory) -> bool:
    """Whether an undo of the run may have deleted anything."""
    if not directory.undo.holds_run:
        return False
    try:
        recover(directory.undo.journal)
    except NothingBegun:
        return False
    return True


def check_same(directory: RunDirectory, settings: Settings, recovery: Recovery) -> None:
    """Raise UsageError where the settings are not those that the journal was begun with."""
    header = recovery.header
    for what, now, then in (
        ("mapping", describing.mapping(settings), header.mapping),
        ("campaign", settings.target.campaign, header.campaign),
        ("target", settings.target.system, header.system),
        ("account", describing.identity(settings), record(directory)["run"]["target"]),
    ):
        if now != then:
            raise UsageError(f"{directory.settings}: the {what} is another than the run was begun with")
