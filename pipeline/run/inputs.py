"""Configuration and sources, looked at together: everything that is wrong with either is said at once."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from glob import glob, has_magic
from pathlib import Path
from typing import Any

from pipeline import configfile, targets
from pipeline.config import ContactsSettings, Settings
from pipeline.errors import ConfigError, SourceError
from pipeline.run.expecting import Expectation
from pipeline.run.job import ImportOptions
from pipeline.run.standard_input import NAME, WORDS, StandardInput
from pipeline.stages.columns import check_columns, check_mapping
from pipeline.stages.read import Source, open_source
from pipeline.values import Share


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
    sheet: str | None = None,
    stdin: int | None = None,
) -> tuple[Settings, list[Source | StandardInput]]:
    """Settings and sources: paths, globs, or "-" for what the open descriptor `stdin` gives.

    Raises ConfigError with every mistake in either. Standard input is not looked at: what is wrong with it is told when
    the run has read it.
    """
    loaded = configfile.load(files, overrides, targets.settings_model, inline=inline)
    problems = list(loaded.problems)
    found = _opened(
        sources, loaded.contacts, problems, delimiter=delimiter, encoding=encoding, sheet=sheet, stdin=stdin
    )
    if problems or loaded.settings is None:
        raise ConfigError(problems)
    return loaded.settings, found


def opened(
    settings: Settings | Path | str, sources: Sequence[Source | StandardInput | Path | str]
) -> tuple[Settings, Sequence[Source | StandardInput]]:
    """Settings, of a file where one is named, and the sources, opened where they are named.

    Raises ConfigError with every mistake in either.
    """
    if isinstance(sources, str | Path):
        raise TypeError("sources is a list of them")
    ready = [each for each in sources if isinstance(each, Source | StandardInput)]
    names = [str(each) for each in sources if isinstance(each, str | Path)]
    if ready and names:
        raise TypeError("sources are all opened, or all named")
    if not isinstance(settings, Settings):
        made, found = load([Path(settings)], [], names)
        return opened(made, ready) if ready else (made, found)
    problems: list[str] = []
    found = ready or _opened(names, settings.contacts, problems)
    if ready:
        _check_columns(ready, settings.contacts, problems)
    if problems:
        raise ConfigError(problems)
    return settings, found


def given(
    settings: Settings | Path | str,
    sources: Sequence[Source | StandardInput | Path | str],
    options: ImportOptions | None,
    choices: Mapping[str, Any],
) -> tuple[Settings, Sequence[Source | StandardInput], ImportOptions]:
    """What a caller of the library gave, ready for use: `choices` are fields of ImportOptions, as text too where the
    command takes text for them. Raises ConfigError with every mistake, TypeError where there is no such field.
    """
    read: Mapping[str, Callable[[Any], Any]] = {
        "run_dir": Path,
        "max_bad": lambda value: Share.parse(str(value)),
        "tolerate": lambda value: Share.parse(str(value)),
        "expect": lambda value: tuple(
            each if isinstance(each, Expectation) else Expectation.parse(each)
            for each in ([value] if isinstance(value, str) else value)
        ),
        "limit": _rows,
        "canary": _rows,
    }
    chosen, problems = dict(choices), []
    for name, value in choices.items():
        try:
            chosen[name] = value if value is None or name not in read else read[name](value)
        except (ValueError, TypeError) as error:
            problems.append(f"{name}: {error}")
    made = replace(options or ImportOptions(), **chosen)
    if problems:
        raise ConfigError(problems)
    return *opened(settings, sources), made


def _rows(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{value!r} is no number of rows")
    return value


def _opened(
    sources: Sequence[str],
    contacts: ContactsSettings | None,
    problems: list[str],
    *,
    delimiter: str | None = None,
    encoding: str | None = None,
    sheet: str | None = None,
    stdin: int | None = None,
) -> list[Source | StandardInput]:
    """The sources; what is wrong with them, and with the mapping of their columns, is added to `problems`."""
    opened: list[Source | StandardInput] = []
    seen: dict[tuple[int, int], str] = {}
    for name in expanded(sources, problems):
        try:
            if name == NAME:
                opened.append(StandardInput(there(stdin), delimiter, encoding, sheet))
            else:
                _check_new(name, seen)
                opened.append(open_source(Path(name), name=name, delimiter=delimiter, encoding=encoding, sheet=sheet))
        except SourceError as error:
            problems.append(str(error))
    if contacts is not None:
        _check_columns(opened, contacts, problems)
    return opened


def _check_columns(sources: Sequence[Source | StandardInput], contacts: ContactsSettings, problems: list[str]) -> None:
    problems.extend(check_mapping(contacts))
    for source in sources:
        if isinstance(source, Source):
            problems.extend(check_columns(source.columns, contacts, source.name))


def expanded(sources: Sequence[str], problems: list[str]) -> list[str]:
    """The names of all files in the order of `sources`, those of one glob in the order of their names.

    What is wrong with them is added to `problems`.
    """
    names: list[str] = []
    for given in sources:
        if given == NAME and given in names:
            problems.append(f"{NAME}: {WORDS} can be read once only: name it once")
        elif os.path.exists(given) or not has_magic(given):  # noqa: PTH110 - Path.exists raises for a name too long
            names.append(given)
        else:
            found = sorted(glob(given, recursive=True))  # noqa: PTH207 - Path.glob takes no absolute pattern
            if not found:
                problems.append(f"{given}: no file matches")
            names += [os.path.join(os.curdir, name) if name == NAME else name for name in found]  # noqa: PTH118
    return names


def there(stdin: int | None) -> int:
    """The open descriptor of standard input. Raises SourceError."""
    if stdin is None:
        raise SourceError(f"{NAME}: {WORDS} is closed; pipe the list into this command, or name a file")
    return stdin


def _check_new(name: str, seen: dict[tuple[int, int], str]) -> None:
    """Raise SourceError where the file stands among the sources already: its rows would all be duplicates."""
    if not name.isprintable():  # it stands in the ledger, in TOML and in messages
        raise SourceError(f"{name!a}: has characters in its name that cannot be shown; rename the file")
    try:
        found = os.stat(name)  # noqa: PTH116 - as above
    except OSError:
        return  # what is the matter with it is told when it is opened
    file = (found.st_dev, found.st_ino)
    if file in seen and found.st_ino:  # 0: the file system numbers no files
        same = "is named twice" if seen[file] == name else f"is the same file as {seen[file]}"
        raise SourceError(f"{name}: {same} among the sources; name it once")
    seen[file] = name
