"""What run.toml says of a run that was begun: its sources, opened again as they were read then."""

import tomllib
from pathlib import Path
from typing import Any

from pipeline.errors import MachineFailed
from pipeline.ledger.rundirectory import RunDirectory
from pipeline.stages.read import Source, open_source


def record(directory: RunDirectory) -> dict[str, Any]:
    """run.toml as tables. Raises MachineFailed where it cannot be read."""
    try:
        return tomllib.loads(directory.settings.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise MachineFailed(f"{directory.settings}: cannot be read: {error}") from None


def recorded_sources(directory: RunDirectory) -> tuple[list[Source], int | None]:
    """The run's sources, and how many rows of them it took (None: all). Raises SourceError where one is gone."""
    tables = record(directory)
    sources = [
        open_source(
            Path(told["path"]),
            name=told["name"],
            delimiter=told["delimiter"] or None,
            encoding=told["encoding"] or None,
        )
        for told in tables["source"]
    ]
    return sources, tables["run"]["limit"] or None
