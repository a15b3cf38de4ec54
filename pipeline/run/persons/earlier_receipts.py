"""What the receipts of earlier erasures tell: of one that was broken off, whether the rest is done by now; of persons
who are found nowhere, whether an erasure may have been of them.

Nobody stands in a receipt or in the mark of a run, so these alone do not tell whose rows were erased. A list that was
imported is not ours and may hold them still: where it lies unchanged, it tells.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeAlias

import msgspec
import polars as pl

from pipeline.config import ContactsSettings
from pipeline.errors import RunError
from pipeline.ledger.erased import Erased
from pipeline.ledger.files import assemble
from pipeline.ledger.recovery import recover
from pipeline.ledger.rundirectory import RunDirectory
from pipeline.logs import mask
from pipeline.run import describing
from pipeline.run.listing import ListedRun
from pipeline.run.persons.questions import matches
from pipeline.run.persons.receipt import Receipt, RunErased
from pipeline.run.recorded import recorded_job, recorded_settings
from pipeline.run.surroundings import Surroundings

#: What was asked in a run (see `Questions.table`), and how destinations are read there.
Asked: TypeAlias = tuple[pl.DataFrame, ContactsSettings]

#: So many receipts, or rows, are named.
_NAMED: Final = 5

_COMPLETED: Final = "{path} was broken off; it is complete now."
_SUPERSEDED: Final = "{path} was broken off; this erasure is of all its rows and contacts, and of the same campaign."
_OPEN: Final = (
    "{path} was broken off, and {why}; nothing tells whom it was for. Erase the same persons again, unless that was "
    "done since."
)
_NOT_GONE: Final = "whether its contacts are gone from campaign {campaign} is not known"
_NOT_ERASED: Final = "some of what it was of is not known to be erased"

_SAID: Final = "Line {line} was erased before: {source}, {rows}, of {run}, as that list still tells. See {receipts}."
_UNKNOWN: Final = (
    "Persons were erased before: see {receipts}. Whose rows they were is kept nowhere, so whoever is not found may be "
    "one of them."
)


def complete(base: Path, receipt: Receipt, runs: Iterable[ListedRun]) -> list[str]:
    """Look at the receipts in `base` that are not complete, beside `receipt`, which is, and put down in each what has
    become of the rest; that in words. `runs` are all that were looked into. Blocks; raises MachineFailed.
    """
    places = {run.header.run_id: run.run_dir for run in runs if run.header is not None}
    name, told = receipt.path(base).name, []
    for path, earlier in _receipts(base):
        if earlier.complete or earlier.superseded_by or earlier.id == receipt.id:
            continue
        campaign = earlier.campaign
        gone = campaign is None or campaign.done
        erased = all(_erased(run, places.get(run.run_id), base) for run in earlier.runs)
        if gone and erased:
            msgspec.structs.replace(earlier, complete=True, completed_by=name).write(base)
            told.append(_COMPLETED.format(path=path))
        elif erased and _covers(receipt, earlier):
            msgspec.structs.replace(earlier, superseded_by=name).write(base)
            told.append(_SUPERSEDED.format(path=path))
        else:
            why = _NOT_GONE.format(campaign=campaign.campaign) if campaign is not None and not gone else _NOT_ERASED
            told.append(_OPEN.format(path=path, why=why))
    return told


def _covers(receipt: Receipt, earlier: Receipt) -> bool:
    """Whether an erasure was of all rows of another, of which there are some, and of its campaign.

    Who they were nobody knows: had some of its contacts no row, they may be those of a person whom this one is not of.
    """
    campaigns = {each.campaign.campaign for each in (receipt, earlier) if each.campaign is not None}
    theirs = _rows(earlier)
    if earlier.campaign is not None and earlier.campaign.rowless:
        return False
    return bool(theirs) and theirs <= _rows(receipt) and receipt.campaign is not None and len(campaigns) == 1


def _erased(run: RunErased, place: Path | None, base: Path) -> bool:
    """Whether nothing in a run tells of these rows any more. `place`: where it was found; None: it may be pruned."""
    if place is None:
        return not Path(run.run_dir).exists() and not (base / Path(run.run_dir).name).exists()
    if run.rowless:  # what is left of these is told by nothing but by whom it was of
        return False
    mark = Erased.read(place)
    return mark.complete and {(row.source, row.row) for row in run.rows} <= set(mark.rows.iter_rows())


def told_of(missing: Sequence[int], runs: Iterable[ListedRun], asked: Mapping[Path, Asked], base: Path) -> list[str]:
    """What is known of erasures that may have been of the lines that were found nowhere, in words; blocks. `runs` are
    all that were looked into, `asked` what was asked in each.
    """
    receipts = list(_receipts(base)) if missing else []
    told, known = [], set()
    for run in runs if missing else ():
        run_id = run.header.run_id if run.header is not None else ""
        if run.run_dir not in asked:
            continue
        for line, source, rows in _by_list(run.run_dir, asked[run.run_dir][0], missing):
            theirs = {(run_id, source, row) for row in rows}
            see = [str(path) for path, receipt in receipts if theirs & _rows(receipt)] or ["its erased.json"]
            these = ("rows " if len(rows) > 1 else "row ") + _named([str(row) for row in rows])
            told.append(_SAID.format(line=line, source=mask(source), rows=these, run=run.run_dir, receipts=_named(see)))
            known.add(line)
    if receipts and set(missing) - known:
        told.append(_UNKNOWN.format(receipts=_named([str(path) for path, _ in reversed(receipts)])))
    return told


def _by_list(run_dir: Path, asked: pl.DataFrame, missing: Sequence[int]) -> list[tuple[int, str, list[int]]]:
    """Lines of the question that a list, as the run has read it, holds in rows that were erased: line, source, rows."""
    directory = RunDirectory(run_dir)
    found = [pl.DataFrame(schema={"line": pl.UInt32, "source": pl.String, "row": pl.UInt64})]
    try:
        if not (erased := Erased.read(run_dir)):
            return []
        recovery = recover(directory.journal)
        job = recorded_job(directory, recovery, recorded_settings(directory, ()), Surroundings(), asks=False)
        if describing.changed(job.sources, job.recorded):
            return []
        screener = job.screener()
        for batch in job.batches():
            rows = assemble(screener.screen(batch), recovery)
            there = matches(rows.filter(erased.among(rows)), asked)
            found.append(there.filter(pl.col("line").is_in(missing)).select("line", "source", "row"))
    except RunError:  # the list is gone, or the mark cannot be read
        return []
    groups = pl.concat(found, how="vertical_relaxed").group_by("line", "source", maintain_order=True).agg("row")
    return list(groups.iter_rows())


def _rows(receipt: Receipt) -> set[tuple[str, str, int]]:
    return {(run.run_id, row.source, row.row) for run in receipt.runs for row in run.rows}


def _receipts(base: Path) -> Iterator[tuple[Path, Receipt]]:
    """Those in `base`, the oldest first."""
    for path in sorted(base.glob("erased-*.json")):
        try:
            yield path, msgspec.json.decode(path.read_bytes(), type=Receipt)
        except (OSError, ValueError):  # it is not ours, or of a later version
            continue


def _named(each: Sequence[str]) -> str:
    return ", ".join(each[:_NAMED]) + (", ..." if len(each) > _NAMED else "")
