"""Drafts a configuration for a list: looks at its first rows, guesses, and writes it down."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from pipeline.errors import SourceError
from pipeline.report import draft, plan
from pipeline.stages.destinations.authorities import Authorities
from pipeline.stages.guess import guess
from pipeline.stages.read import batches, open_source
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
    source: Path, *, delimiter: str | None = None, encoding: str | None = None, sheet: str | None = None
) -> Draft:
    """Look at a list and draft a configuration for it. No cell of the list stands in it, only names of columns.

    Raises SourceError.
    """
    opened = open_source(source, delimiter=delimiter, encoding=encoding, sheet=sheet)
    if (problem := nameless(opened.columns, opened.name)) is not None:
        raise SourceError(problem)
    frames = [batch.frame.filter(batch.damage.is_null()) for batch in batches([opened], limit=ROWS)]
    empty = pl.DataFrame(schema=dict.fromkeys(opened.columns, pl.String))
    guessed = guess(pl.concat([empty, *frames]), Authorities())
    given = {"delimiter": "tab" if delimiter == "\t" else delimiter, "encoding": encoding, "sheet": sheet}
    told = {name: value for name, value in given.items() if value is not None}
    text = draft.draft(opened.name, opened.columns, plan.read([opened], told), told, guessed)
    return Draft(text, tuple(draft.doubts(guessed)), bool(guessed.channels))
