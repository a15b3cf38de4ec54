"""Configuration and sources, looked at together: everything that is wrong with either is said at once."""

from collections.abc import Mapping, Sequence
from glob import glob, has_magic
from pathlib import Path
from typing import Any

from pipeline import configfile, targets
from pipeline.config import Settings
from pipeline.errors import ConfigError, SourceError
from pipeline.stages.columns import check_columns, check_mapping
from pipeline.stages.read import Source, open_source


def load_settings(
    files: Sequence[Path],
    overrides: Sequence[str],
    *,
    inline: Mapping[str, Any] | None = None,
    mapped: bool = True,
) -> Settings:
    """The settings of `files` and `overrides` (see configfile.load). Raises ConfigError with every mistake."""
    loaded = configfile.load(files, overrides, targets.settings_model, inline=inline, mapped=mapped)
    if loaded.settings is None:
        raise ConfigError(loaded.problems)
    return loaded.settings


def load(
    files: Sequence[Path],
    overrides: Sequence[str],
    sources: Sequence[str],
    *,
    inline: Mapping[str, Any] | None = None,
    delimiter: str | None = None,
    encoding: str | None = None,
) -> tuple[Settings, list[Source]]:
    """Settings and opened sources (paths or globs). Raises ConfigError with every mistake in either."""
    loaded = configfile.load(files, overrides, targets.settings_model, inline=inline)
    problems = list(loaded.problems)
    opened: list[Source] = []
    for name in sources:
        try:
            opened.extend(
                open_source(path, name=str(path), delimiter=delimiter, encoding=encoding) for path in _expand(name)
            )
        except SourceError as error:
            problems.append(str(error))
    if loaded.contacts is not None:
        problems.extend(check_mapping(loaded.contacts))
        for source in opened:
            problems.extend(check_columns(source.columns, loaded.contacts, source.name))
    if problems or loaded.settings is None:
        raise ConfigError(problems)
    return loaded.settings, opened


def _expand(name: str) -> list[Path]:
    """The files that a path or glob names, in order of their names."""
    if Path(name).exists() or not has_magic(name):
        return [Path(name)]
    found = sorted(glob(name, recursive=True))  # noqa: PTH207 - Path.glob takes no absolute pattern
    if not found:
        raise SourceError(f"{name}: no file matches")
    return [Path(path) for path in found]
