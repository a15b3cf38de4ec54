"""Drafts a configuration for a list: looks at its first rows, guesses, and writes it down."""

from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import anyio
import polars as pl

from pipeline.errors import SourceError
from pipeline.ledger.rundirectory import RunDirectory
from pipeline.report import draft, plan
from pipeline.run.inputs import expanded, there
from pipeline.run.standard_input import NAME, WORDS, StandardInput
from pipeline.stages.destinations.authorities import Authorities
from pipeline.stages.guess import guess
from pipeline.stages.read import Source, batches, open_source
from pipeline.stages.sources.names import nameless

#: Rows that are looked at.
ROWS: Final = 4096


@dataclass(frozen=True, slots=True)
class Draft:
    """A configuration that nobody has looked at yet."""

    toml: str
    doubts: tuple[str, ...]  # what a person must look at, in sentences
    mapped: bool  # False: no destinations were recognised, so a person must name a column first


def draft_config(
    source: str,
    *,
    delimiter: str | None = None,
    encoding: str | None = None,
    sheet: str | None = None,
    stdin: int | None = None,
) -> Draft:
    """Look at a list and draft a configuration for it. No cell of the list stands in it, only names of columns.

    `source` is a path, a glob, of which the first file is looked at, or "-" for what the open descriptor `stdin` gives:
    that is copied for as long as this takes. Raises SourceError, MachineFailed.
    """
    given = {"delimiter": "tab" if delimiter == "\t" else delimiter, "encoding": encoding, "sheet": sheet}
    told = {name: value for name, value in given.items() if value is not None}
    if source == NAME:
        piped = StandardInput(there(stdin), delimiter, encoding, sheet)
        with TemporaryDirectory() as directory:  # for its owner alone
            spooled = anyio.run(piped.spooled, RunDirectory(Path(directory)))
            return _draft(replace(spooled, name=WORDS), told)
    problems: list[str] = []
    names = expanded([source], problems)
    if problems:
        raise SourceError(problems[0])
    name = names[0]
    opened = open_source(Path(name), name=name, delimiter=delimiter, encoding=encoding, sheet=sheet)
    return _draft(opened, told, len(names) - 1)


def _draft(opened: Source, told: dict[str, str], others: int = 0) -> Draft:
    if (problem := nameless(opened.columns, opened.name)) is not None:
        raise SourceError(problem)
    frames = [batch.frame.filter(batch.damage.is_null()) for batch in batches([opened], limit=ROWS)]
    empty = pl.DataFrame(schema=dict.fromkeys(opened.columns, pl.String))
    guessed = guess(pl.concat([empty, *frames]), Authorities())
    text = draft.draft(opened.name, opened.columns, plan.read([opened], told), told, guessed, others)
    return Draft(text, tuple(draft.doubts(guessed)), bool(guessed.channels))
