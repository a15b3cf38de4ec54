"""Where persons stand, for people and scripts; who was asked for is named by the line of the question alone."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, Protocol

from pipeline.report.text import line, number, safe

#: The columns of a listing.
HEADINGS: Final = ("line", "place", "source", "row", "status", "contact_id", "where")


class Standing(Protocol):
    """One place where a person stands."""

    @property
    def line(self) -> int: ...
    @property
    def run_dir(self) -> Path | None: ...
    @property
    def campaign(self) -> str: ...
    @property
    def source(self) -> str | None: ...
    @property
    def row(self) -> int | None: ...
    @property
    def status(self) -> str | None: ...
    @property
    def contact_id(self) -> str | None: ...
    @property
    def where(self) -> Sequence[str]: ...


class Search(Protocol):
    """What a search has found."""

    @property
    def asked(self) -> Sequence[int]: ...
    @property
    def places(self) -> Sequence[Standing]: ...
    @property
    def runs(self) -> int: ...
    @property
    def missing(self) -> Sequence[int]: ...
    @property
    def notes(self) -> Sequence[str]: ...


def columns(place: Standing) -> tuple[str, ...]:
    """A place on one line, by HEADINGS; what is not known is empty."""
    return (
        str(place.line),
        f"campaign {safe(place.campaign)}" if place.run_dir is None else line(str(place.run_dir)),
        safe(place.source or ""),
        "" if place.row is None else str(place.row),
        place.status or "",
        place.contact_id or "",
        ", ".join(line(each) for each in place.where),
    )


def lines(search: Search) -> Iterator[str]:
    """A line for each place, with tabs between, never cut."""
    for place in search.places:
        yield "\t".join(columns(place))


def table(search: Search) -> Iterator[str]:
    """The same with headings, the columns below each other."""
    cells = [HEADINGS, *(columns(place) for place in search.places)]
    widths = [max(len(row[at]) for row in cells) for at in range(len(HEADINGS))]
    for row in cells:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def verdict(search: Search) -> Iterator[str]:
    """How many were found, in a sentence, and what is to be said of the others."""
    missing = search.missing
    found = len(search.asked) - len(missing)
    listed = ", ".join(str(each) for each in missing[:20]) + (", ..." if len(missing) > 20 else "")
    nowhere = f" Not found: line {listed}." if missing else ""
    places = "1 place" if len(search.places) == 1 else f"{number(len(search.places))} places"
    yield (
        f"{number(found)} of {number(len(search.asked))} found, in {places}; "
        f"runs searched: {number(search.runs)}.{nowhere}"
    )
    yield from map(line, search.notes)


def as_json(search: Search, remarks: Sequence[str]) -> str:
    """The same for scripts."""
    return json.dumps(
        {
            "asked": list(search.asked),
            "not_found": list(search.missing),
            "runs": search.runs,
            "places": [
                {
                    "line": place.line,
                    "run_dir": None if place.run_dir is None else str(place.run_dir),
                    "campaign": place.campaign,
                    "source": place.source,
                    "row": place.row,
                    "status": place.status,
                    "contact_id": place.contact_id,
                    "where": list(place.where),
                }
                for place in search.places
            ],
            "remarks": list(remarks),
            "notes": list(search.notes),
        },
        indent=2,
        ensure_ascii=False,
    )
