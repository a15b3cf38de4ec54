"""Goes on with a run: finds what was begun, refuses where something changed since, and imports the rest."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pipeline import configfile, targets
from pipeline.config import Settings, Share
from pipeline.errors import ConfigError, UsageError
from pipeline.ledger.recovery import Recovery, recover
from pipeline.ledger.rundirectory import RunDirectory
from pipeline.ledger.summary import Summary
from pipeline.records import Status
from pipeline.run import describing
from pipeline.run.importing import Earlier, ImportOptions, Result, resume_contacts
from pipeline.run.progress import Progress
from pipeline.run.recorded import record, recorded_sources
from pipeline.run.surroundings import Surroundings

#: What may be set anew: nothing that decides what is sent, or where.
_SETTABLE: Final = ("delivery.", "sessions.", "http.", "target.account_id", "target.username", "target.password")

#: Rows of these statuses can be sent again on request.
AGAIN: Final = (Status.FAILED, Status.REJECTED)


async def resume_run(
    run_dir: Path,
    overrides: Sequence[str] = (),
    *,
    again: Sequence[Status] = (),
    signals: bool = False,
    progress: Progress | None = None,
    surroundings: Surroundings | None = None,
) -> Result:
    """Go on with the run in `run_dir`; one that is finished is left as it is, and its summary given again.

    Raises UsageError where there is no run, or the source, the mapping or the campaign is another than it was; Busy
    where another process is at work on it; MachineFailed where its journal is damaged.
    """
    directory = RunDirectory(run_dir)
    if not directory.holds_run:
        raise UsageError(f"{run_dir}: there is no run here")
    surroundings = surroundings or Surroundings()
    with directory.locked():
        recovery = recover(directory.journal, disk=surroundings.disk)
        summary = Summary.read(run_dir)
        if recovery.finished and not again and summary is not None:
            return Result(summary, summary.error)
        settings = _settings(directory, overrides)
        sources, limit = recorded_sources(directory)
        if names := describing.changed(sources, recovery.header.sources):
            raise UsageError(f"{', '.join(names)}: is not the file that the run has read; put that back, or start anew")
        _check_same(directory, settings, recovery)
        tolerate = record(directory)["run"]["tolerate"]
        options = ImportOptions(
            limit=limit,
            wave=recovery.header.wave or None,
            tolerate=Share.parse(tolerate) if tolerate else None,
            signals=signals,
        )
        earlier = Earlier(directory, recovery, tuple(again))
        return await resume_contacts(settings, sources, options, earlier, progress=progress, surroundings=surroundings)


def _settings(directory: RunDirectory, overrides: Sequence[str]) -> Settings:
    """The settings as run.toml holds them, with what may be set anew."""
    settable = ", ".join(f"{name}*" if name.endswith(".") else name for name in _SETTABLE)
    problems = [
        f"--set {key}: cannot be changed for a run that was begun; can be: {settable}"
        for key in (override.partition("=")[0].strip() for override in overrides)
        if not key.startswith(_SETTABLE)
    ]
    if problems:
        raise ConfigError(problems)
    loaded = configfile.load([], overrides, targets.settings_model, inline=record(directory)["settings"])
    if loaded.settings is None:
        where = f"{directory.settings}: "
        advice = " (a secret that stood in the configuration itself is not recorded: give it with --set)"
        raise ConfigError([where + problem + advice * problem.endswith("is missing") for problem in loaded.problems])
    return loaded.settings


def _check_same(directory: RunDirectory, settings: Settings, recovery: Recovery) -> None:
    header = recovery.header
    for what, now, then in (
        ("mapping", describing.mapping(settings), header.mapping),
        ("campaign", settings.target.campaign, header.campaign),
        ("target", settings.target.system, header.system),
    ):
        if now != then:
            raise UsageError(f"{directory.settings}: the {what} is not that of the journal: run.toml was changed")
