"""Removes persons from runs and from the campaign at the target, and leaves a receipt that names nobody.

First the campaign, then the state, then the runs: an id by which a contact is found at the target may stand in a run
alone, so what the runs know goes last. Whatever ends it early, the same command completes it: what is found is
erased, and what was begun in a run is gone on with by its mark. Until the receipt says that it is complete, it is not.

The state forgets a contact only when it is gone from the campaign. Where the campaign is not looked into, the state
goes on knowing a pseudonym: else the next import would send the same person a second time.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import msgspec
import polars as pl

from pipeline import targets
from pipeline.config import Settings
from pipeline.errors import Busy, MachineFailed, RunError, UsageError
from pipeline.ledger import campaign
from pipeline.ledger.erased import Erased, Taken, take_out
from pipeline.ledger.files import RESUBMIT
from pipeline.ledger.reading import ledger_parts
from pipeline.ledger.rundirectory import RunDirectory
from pipeline.ledger.state import State
from pipeline.ledger.summary import Summary
from pipeline.records import Status
from pipeline.run import describing
from pipeline.run.campaign_desk import named
from pipeline.run.listing import ListedRun, Stage, look_at
from pipeline.run.persons import copies
from pipeline.run.persons.earlier_receipts import complete, told_of
from pipeline.run.persons.erasing_contacts import brought, remove
from pipeline.run.persons.finding import Found, Place, Search
from pipeline.run.persons.questions import Questions
from pipeline.run.persons.receipt import Receipt, Removed, RunErased, beside
from pipeline.run.persons.resubmitted import Resubmitted
from pipeline.run.recorded import recorded_settings
from pipeline.run.standard_input import NAME
from pipeline.wire import ClientFactory

_REFUSED = {
    Stage.OPEN: "is open, and could send to them yet: resume it to its end first",
    Stage.UNDOING: "its undo has not come to its end: go on with that first",
    Stage.UNBEGUN: "never began, and holds a copy of its list: delete the directory, or prune it",
}
_NEEDED = (
    "came through standard input, and its copy of that is all that an undo could tell their contacts in the campaign "
    "by: give --config to erase them there, too, or undo the run first"
)
_NOT_WHOLE = "has not given a whole account of itself: resume it first"


@dataclass(frozen=True, slots=True)
class RunToErase:
    """A run in which persons stand."""

    run: ListedRun
    rows: tuple[tuple[str, int], ...]  # source and row
    resubmitted: Resubmitted  # tells of them in what people have mended
    rowless: bool  # some of them stand there in records that belong to none of the rows


@dataclass(frozen=True, slots=True)
class ErasurePlan:
    """What is to be erased; nothing is changed yet."""

    search: Search
    found: Found  # places from which they are erased
    kept: tuple[Place, ...]  # copies of do-not-contact lists: they keep them from being contacted
    runs: tuple[RunToErase, ...]
    contacts: tuple[str, ...]  # ids of those in the campaign; empty: none, or it was not looked into
    strangers: int  # of them: those that no run of this state has added
    rowless: int  # of them: those that stand in no row of the runs
    settings: Settings | None
    base: Path  # where the receipt goes


async def plan_erasure(
    lines: Sequence[str],
    directories: Sequence[Path],
    *,
    region: str | None = None,
    settings: Settings | None = None,
    clients: ClientFactory | None = None,
) -> ErasurePlan:
    """Find those of `lines` as `find_persons` does, and all rows and contacts with the same ids as theirs.

    Raises UsageError where nobody is asked for, a run in which they stand is not finished, or the target has no list of
    contacts or no call that deletes one; else RunError where it gives no list. Nothing is changed.
    """
    questions = Questions(lines)
    if not questions.lines:
        raise UsageError("Nobody to erase: give a destination or a key on each line of standard input.")
    if settings is not None:
        await anyio.to_thread.run_sync(_check_target, settings)
        named(settings)
    search = Search(questions, region.upper() if region else None)
    number = await anyio.to_thread.run_sync(search.all_runs, directories)
    await anyio.to_thread.run_sync(_follow_copies, search)
    if settings is not None:
        await search.campaign(settings, clients)
    listed = [place for place in search.places if place.run_dir is None]
    search.follow_ids()
    search.places, search.remarks = [], []
    await anyio.to_thread.run_sync(search.all_runs, directories)
    runs = await anyio.to_thread.run_sync(_runs, search, settings is None)
    erasable = [place for place in search.places if not _is_kept(place)]
    found = Found(questions.lines, (*erasable, *listed), number, tuple(search.remarks))
    contacts = tuple(dict.fromkeys(place.contact_id for place in listed if place.contact_id))
    strangers = rowless = 0
    if settings is not None:
        ours = {place.contact_id for place in search.places}
        others = [each for each in contacts if each not in ours]
        rowless = len(others)
        strangers = rowless - await anyio.to_thread.run_sync(brought, settings, others)
    kept = tuple(place for place in search.places if _is_kept(place))
    base = beside(directories)
    before = await anyio.to_thread.run_sync(told_of, found.missing, search.runs.values(), search.asked, base)
    found = replace(found, notes=(*questions.misread(found.missing, search.region), *before))
    if settings is not None and (elsewhere := _other_campaigns(search, settings)):
        found = replace(found, remarks=(*found.remarks, elsewhere))
    return ErasurePlan(search, found, kept, runs, contacts, strangers, rowless, settings, base)


def _follow_copies(search: Search) -> None:
    """Add the rows of those who were found in a copy of a list alone, by a destination that was left out, say: their
    contacts may be in the campaign all the same; blocks.
    """
    alone = {p.run_dir: p for p in search.places if p.run_dir is not None and p.row is None and not _is_kept(p)}
    for path, place in alone.items():
        try:
            rows = copies.rows_told(RunDirectory(path), *search.asked[path])
            told = pl.DataFrame(sorted(rows), schema={"source": pl.String, "row": pl.UInt64}, orient="row")
            for part in ledger_parts(path, ("source", "row", "status", "contact_id")) or ():
                for source, row, status, contact_id in part.join(told, on=("source", "row")).iter_rows():
                    search.places.append(replace(place, source=source, row=row, status=status, contact_id=contact_id))
        except (ValueError, pl.exceptions.PolarsError):
            pass  # the copy cannot be read: that is told where the rows of each run are gathered


def _other_campaigns(search: Search, settings: Settings) -> str:
    """What is to be said of campaigns that are not looked into though runs in which they stand are of them."""
    told = {p.campaign for p in search.places if p.run_dir is not None and p.contact_id is not None}
    others = sorted(told - {settings.target.campaign})
    if not others:
        return ""
    return f"{', '.join(others)}: not looked into; erase from each campaign with its own --config or --campaign-id"


def _check_target(settings: Settings) -> None:
    """Raise UsageError where persons can be told of or deleted by hand alone."""
    target: Any = targets.module(settings.target.system).create(settings, None, None)
    if target.campaigns is None or target.lookup is None:
        raise UsageError(
            f"A target of system {settings.target.system} has no calls that list and delete contacts: remove them "
            "there by hand, and leave out --config to erase them from the runs. Nothing was erased."
        )


def _is_kept(place: Place) -> bool:
    """Whether it is a copy of a do-not-contact list."""
    return place.row is None and place.run_dir is not None and place.where[0].startswith("suppress/")


def _runs(search: Search, runs_alone: bool) -> tuple[RunToErase, ...]:
    """The runs in which persons stand and the rows of each; blocks. Raises UsageError where one is not finished, or
    is needed to take them back from the campaign, which is left as it is where they are erased from `runs_alone`.
    """
    by_run: dict[Path, set[tuple[str, int]]] = {}
    for place in search.places:
        if place.run_dir is None or _is_kept(place):
            continue
        rows = by_run.setdefault(place.run_dir, set())
        if place.source is not None and place.row is not None:
            rows.add((place.source, place.row))
    runs = {run.run_dir: run for run in search.runs.values()}
    for path in search.asked:  # what another erasure has begun there is completed, whoever that was for
        if not (begun := Erased.read(path)).complete:
            by_run.setdefault(path, set()).update(begun.rows.iter_rows())
    refused = [f"{path} {reason}" for path in by_run if (reason := _obstacle(runs[path]))]
    if runs_alone:
        added = (Status.ACCEPTED.value, Status.IN_DOUBT.value)
        spooled = {p.run_dir: None for p in search.places if p.source == NAME and p.status in added}
        refused += [f"{path} {_NEEDED}" for path in spooled if path is not None and _can_be_undone(runs[path])]
    if refused:
        raise UsageError("Nothing was erased. " + ". ".join(refused) + ".")
    plan = []
    for path, rows in by_run.items():
        asked, contacts = search.asked[path]
        try:
            rows |= copies.rows_told(RunDirectory(path), asked, contacts)
        except (ValueError, pl.exceptions.PolarsError) as error:
            words = str(error) if isinstance(error, ValueError) else type(error).__name__
            raise UsageError(f"Nothing was erased. {path}: {words}, then start again.") from None
        rowless = any(p.run_dir == path and p.row is None and RESUBMIT in p.where for p in search.places)
        plan.append(RunToErase(runs[path], tuple(sorted(rows)), Resubmitted(asked, contacts), rowless))
    return tuple(plan)


def _can_be_undone(run: ListedRun) -> bool:
    """Whether contacts of a run may be in the campaign, and the target has the calls to delete them."""
    if run.stage is not Stage.FINISHED:
        return False
    try:
        settings = recorded_settings(RunDirectory(run.run_dir), ())
    except RunError:  # nobody knows, so it may be
        return True
    try:
        _check_target(settings)
    except UsageError:
        return False
    return True


def _obstacle(run: ListedRun) -> str | None:
    """Why persons cannot be erased from a run; None: they can."""
    if run.stage is Stage.FINISHED:
        summary = Summary.read(run.run_dir)
        return _NOT_WHOLE if summary is None or summary.error is not None else None
    return _REFUSED.get(run.stage)


async def erase(plan: ErasurePlan, *, clients: ClientFactory | None = None) -> tuple[Receipt, Path, list[str]]:
    """Erase what was planned; the receipt, where it lies, and what has become of earlier ones that were broken off.

    Raises Busy where another process is at work on one of the runs or on the campaign, and nothing was erased then;
    TargetUnreachable and TargetUnusable where contacts are not surely gone from the campaign: the runs then still hold
    what is needed to erase them. MachineFailed where a file cannot be read or written. The same command completes it.
    """
    with ExitStack() as stack:
        for each in plan.runs:
            stack.enter_context(RunDirectory(each.run.run_dir).locked())
            now = look_at(each.run.run_dir)
            if now is None or now.updated > each.run.updated or _obstacle(now):
                raise Busy(f"{each.run.run_dir}: was gone on with meanwhile; nothing was erased. Start again")
        state: State | None = None
        if plan.settings is not None:
            target = plan.settings.target
            directory = describing.state_directory(plan.settings)
            state = stack.enter_context(campaign.held(directory, target.identity, target.campaign))
        receipt = _begun(plan)
        try:
            path = await anyio.to_thread.run_sync(receipt.write, plan.base)
        except MachineFailed as error:
            raise MachineFailed(f"Nothing was erased. {error}") from None
        if plan.settings is not None and state is not None:
            removed = await remove(plan.search, plan.contacts, plan.settings, state, clients)
            receipt = msgspec.structs.replace(
                receipt, campaign=replace(removed, strangers=plan.strangers, rowless=plan.rowless)
            )
            await anyio.to_thread.run_sync(receipt.write, plan.base)
        done = [await anyio.to_thread.run_sync(_erase_run, each, receipt.id) for each in plan.runs]
        receipt = msgspec.structs.replace(receipt, complete=True, runs=tuple(done))
        await anyio.to_thread.run_sync(receipt.write, plan.base)
        earlier = await anyio.to_thread.run_sync(complete, plan.base, receipt, plan.search.runs.values())
        return receipt, path, earlier


def _begun(plan: ErasurePlan) -> Receipt:
    name = plan.settings.target.campaign if plan.settings is not None else ""
    return Receipt.begin(
        asked=len(plan.found.asked),
        missing=plan.found.missing,
        runs=tuple(RunErased.planned(each.run, each.rows, rowless=each.rowless) for each in plan.runs),
        campaign=Removed(name, len(plan.contacts), 0, plan.strangers, rowless=plan.rowless)
        if plan.settings is not None
        else None,
        kept=tuple(f"{place.run_dir}/{name}" for place in plan.kept for name in place.where),
        remarks=plan.found.remarks,
    )


def _erase_run(planned: RunToErase, receipt: str) -> RunErased:
    """Take rows out of all files of a run; blocks. Raises MachineFailed."""
    directory = RunDirectory(planned.run.run_dir)
    erased = Erased.read(directory.path).and_these(planned.rows, receipt)
    try:
        erased.write(directory.path)
        remarks = copies.overwrite(directory, erased)
        leave_out = planned.resubmitted.leave_out
        told: list[Taken] = [take_out(folder.path, erased, leave_out) for folder in (directory.undo, directory)]
    except (OSError, ValueError, pl.exceptions.PolarsError) as error:
        words = str(error) if isinstance(error, ValueError) else type(error).__name__
        raise MachineFailed(f"{directory.path}: not all of it was erased: {words}, then start again") from None
    replace(Erased.read(directory.path), complete=True).write(directory.path)
    return RunErased.planned(planned.run, planned.rows, rowless=planned.rowless).done(told[0], told[1], remarks)
