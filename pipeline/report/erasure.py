"""What is said of an erasure before and after it, for people: how much is erased, what is not, and what to do then."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

from pipeline.report.text import contacts, line, number, safe

#: So many rows of a source are named.
_NAMED: Final = 20

_SUPPRESS: Final = (
    "An import of a list in which they stand sends to them again: take them out of it, and put them on a list of "
    'people who are not to be contacted: contacts.suppress = ["do-not-contact.csv"].'
)


class Kept(Protocol):
    """A place that is left as it is."""

    @property
    def run_dir(self) -> Path | None: ...
    @property
    def where(self) -> Sequence[str]: ...


class Plan(Protocol):
    """What is to be erased."""

    @property
    def kept(self) -> Sequence[Kept]: ...
    @property
    def contacts(self) -> Sequence[str]: ...
    @property
    def strangers(self) -> int: ...
    @property
    def found(self) -> "Search": ...


class Search(Protocol):
    """What a search has found."""

    @property
    def remarks(self) -> Sequence[str]: ...


class Row(Protocol):
    """A row that was erased."""

    @property
    def source(self) -> str: ...
    @property
    def row(self) -> int: ...
    @property
    def line(self) -> int | None: ...


class RunErased(Protocol):
    """What was erased from a run."""

    @property
    def run_dir(self) -> str: ...
    @property
    def rows(self) -> Sequence[Row]: ...
    @property
    def sources(self) -> Mapping[str, str]: ...
    @property
    def remarks(self) -> Sequence[str]: ...


class Removed(Protocol):
    """What was removed from a campaign."""

    @property
    def campaign(self) -> str: ...
    @property
    def contacts(self) -> int: ...
    @property
    def unlisted(self) -> int: ...


class Receipt(Protocol):
    """The receipt."""

    @property
    def runs(self) -> Sequence[RunErased]: ...
    @property
    def campaign(self) -> Removed | None: ...


def plan(told: Plan) -> Iterator[str]:
    """What must be known before it is agreed to."""
    yield from told.found.remarks
    for kept in told.kept:
        yield f"{line(str(kept.run_dir))}/{', '.join(kept.where)}: is kept, since it keeps people from being contacted."
    if told.strangers:
        yield (
            f"{number(told.strangers)} of the {contacts(len(told.contacts))} in the campaign were added by no run "
            "that is known here. They are deleted too: whoever is to be gone is to be gone from it."
        )


def done(receipt: Receipt, path: Path) -> Iterator[str]:
    """What was erased, what holds them still, and where the receipt lies."""
    rows = sum(len(run.rows) for run in receipt.runs)
    yield f"Erased: {_many(rows, 'row')} of {_many(len(receipt.runs), 'run')}."
    if receipt.campaign is None:
        yield "The campaign was not looked into: give --config to erase them there."
    else:
        gone = receipt.campaign
        more = f", and {number(gone.unlisted)} that it did not list, or not yet" if gone.unlisted else ""
        yield f"Deleted: {contacts(gone.contacts)} from campaign {safe(gone.campaign)}{more}."
    for run in receipt.runs:
        yield from (f"{line(run.run_dir)}: {remark}" for remark in run.remarks)
    for place, numbers in _places(receipt).items():
        more = ", ..." if len(numbers) > _NAMED else ""
        yield f"They stand in {place} still: {', '.join(numbers[:_NAMED])}{more}."
    yield _SUPPRESS
    yield f"Receipt: {line(str(path))}"


def _many(count: int, what: str) -> str:
    return f"{number(count)} {what}{'' if count == 1 else 's'}"


def _places(receipt: Receipt) -> dict[str, list[str]]:
    """The rows of the lists that were imported, which are not ours to touch."""
    places: dict[str, dict[str, None]] = {}
    for run in receipt.runs:
        for row in run.rows:
            where = run.sources.get(row.source, row.source)
            if Path(where).is_absolute():  # else it is in the run directory
                told = f"line {row.line}" if row.line is not None else f"row {row.row}"
                places.setdefault(line(where), {})[told] = None
    return {place: list(rows) for place, rows in places.items()}
