"""Goes on with a run: finds what was begun, refuses where something changed since, and imports the rest."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

import anyio.to_thread

from pipeline.config import Settings
from pipeline.errors import ConfigError, UsageError
from pipeline.ledger import campaign, lines
from pipeline.ledger.erased import Erased
from pipeline.ledger.recovery import NothingBegun, Recovery, recover
from pipeline.ledger.rundirectory import RunDirectory
from pipeline.ledger.summary import Summary
from pipeline.records import Status
from pipeline.run import describing
from pipeline.run.importing import import_contacts, resume_contacts
from pipeline.run.job import Earlier, ImportOptions
from pipeline.run.outcome import Result
from pipeline.run.progress import Progress
from pipeline.run.recorded import (
    UNDONE,
    check_imported,
    check_same,
    record,
    recorded_options,
    recorded_settings,
    recorded_source,
    recorded_sources,
    undo_begun,
)
from pipeline.run.standard_input import NAME, WORDS, StandardInput
from pipeline.run.surroundings import Surroundings
from pipeline.run.surveying import Confirm
from pipeline.stages.read import Source

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
    directory = RunDirectory.of_run(run_dir)
    surroundings = surroundings or Surroundings()
    with directory.locked():
        _check_not_undone(directory)
        recovery = recover(directory.journal, disk=surroundings.disk)
        check_imported(directory)
        if again and Erased.read(directory.path):
            raise UsageError(
                f"{directory.path}: persons were erased from this run, and the list may hold them still: sending rows "
                "again would send to them. Import the list without them, in another run directory"
            )
        if not again and (verdict := _verdict(directory, recovery)) is not None:
            with suppress(ConfigError):  # without its settings its state cannot be found
                _check_remembered(directory, recorded_settings(directory, overrides), recovery)
            return verdict
        settings = recorded_settings(directory, overrides)
        sources, _ = recorded_sources(directory)
        progress = progress or Progress()
        if names := await _changed(sources, recovery, progress):
            raise UsageError(f"{', '.join(names)}: is not the file that the run has read; put that back, or start anew")
        check_same(directory, settings, recovery)
        options = replace(recorded_options(directory, recovery), signals=signals)
        earlier = Earlier(directory, recovery, tuple(again))
        return await resume_contacts(settings, sources, options, earlier, progress=progress, surroundings=surroundings)


async def continue_run(
    settings: Settings,
    sources: Sequence[Source | StandardInput],
    options: ImportOptions,
    *,
    progress: Progress | None = None,
    confirm: Confirm | None = None,
    surroundings: Surroundings | None = None,
) -> Result:
    """Start the run in `options.run_dir`, go on with it, or repeat its verdict, whichever there is to do.

    Raises UsageError where that run was begun with another source, mapping or campaign, and as the three do.
    """
    assert options.run_dir is not None
    directory = RunDirectory(options.run_dir)
    surroundings = surroundings or Surroundings()
    if directory.holds_run:
        with directory.locked():
            _check_not_undone(directory)
            try:
                recovery = recover(directory.journal, disk=surroundings.disk)
            except NothingBegun:
                directory.journal.unlink()
            else:
                check_imported(directory)
                _check_asked(directory, settings, sources, options, recovery.header)
                kept = await _kept(directory, sources, recovery.header)
                progress = progress or Progress()
                if names := await _changed(kept, recovery, progress):
                    raise UsageError(
                        f"{', '.join(names)}: is not the file that the run in {directory.path} has read; put that "
                        "back, or choose another directory"
                    )
                if (verdict := _verdict(directory, recovery)) is not None:
                    _check_remembered(directory, settings, recovery)
                    return verdict
                earlier = Earlier(directory, recovery)
                return await resume_contacts(
                    settings, kept, options, earlier, progress=progress, surroundings=surroundings
                )
    return await import_contacts(
        settings, sources, options, progress=progress, confirm=confirm, surroundings=surroundings
    )


async def _changed(sources: Sequence[Source], recovery: Recovery, progress: Progress) -> list[str]:
    with progress.hashing(sources) as passed:
        return await anyio.to_thread.run_sync(describing.changed, sources, recovery.header.sources, passed)


def _check_not_undone(directory: RunDirectory) -> None:
    """What a run had added and has been deleted must not be taken for being there."""
    if undo_begun(directory):
        raise UsageError(UNDONE.format(directory=directory.path))


def _check_remembered(directory: RunDirectory, settings: Settings, recovery: Recovery) -> None:
    """The same, where the undo's directory is lost and the state alone remembers it."""
    target = settings.target
    with campaign.peek(describing.state_directory(settings), target.identity, target.campaign) as state:
        if state is not None and state.undone(recovery.header.run_id):
            raise UsageError(UNDONE.format(directory=directory.path))


def _verdict(directory: RunDirectory, recovery: Recovery) -> Result | None:
    """How a finished run ended; None: there is something left to do.

    A run may have finished on the disk and yet have ended with an error: its last write was not confirmed.
    """
    summary = Summary.read(directory.path) if recovery.finished else None
    return None if summary is None or summary.error is not None else Result(summary)


def _check_asked(
    directory: RunDirectory,
    settings: Settings,
    sources: Sequence[Source | StandardInput],
    options: ImportOptions,
    header: lines.Header,
) -> None:
    """Raise UsageError where something else is asked for than the run was begun with; the sources are not read."""
    chosen = record(directory)["run"]
    limit = chosen["limit"] or None
    for what, asked, then in (
        ("number of sources", len(sources), len(header.sources)),
        ("mapping", describing.mapping(settings), header.mapping),
        ("campaign", settings.target.campaign, header.campaign),
        ("target", f"{settings.target.system} {settings.target.place}", f"{header.system} {header.place}"),
        ("account", describing.identity(settings), chosen["target"]),
        ("wave", options.wave or "", header.wave),
        ("limit", options.limit, limit),
        ("mode", "upsert" if options.upsert else "add", chosen["mode"]),
    ):
        if asked != then:
            raise UsageError(
                f"{directory.path}: holds a run with another {what}: choose another directory for this one"
            )


async def _kept(
    directory: RunDirectory, sources: Sequence[Source | StandardInput], header: lines.Header
) -> list[Source]:
    """The sources, with the run's own copy in place of standard input.

    That is read to its end, or whatever fills it would break off. Raises UsageError where it holds something, and that
    is not what the run has read.
    """
    kept: list[Source] = []
    for source, before, told in zip(sources, header.sources, record(directory)["source"], strict=True):
        if isinstance(source, Source):
            kept.append(source)
            continue
        # Where persons were erased, the copy is not what came through any more.
        heard = (before.fingerprint, Erased.read(directory.path).original)
        if before.name != NAME or await source.fingerprint() not in (None, *heard):
            raise UsageError(
                f"{WORDS}: is not what the run in {directory.path} has read; pipe the same again, or nothing, or "
                "choose another directory"
            )
        kept.append(recorded_source(directory, told))
    return kept
