"""Finds persons in run directories and in the campaign at the target: by destination, however it is written, or by key.

What is asked for never stands in what is found: that names the line of the question, and places.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

import anyio
import anyio.to_thread
import polars as pl
from pydantic import ValidationError

from pipeline.config import ContactsSettings, LedgerSettings, Settings
from pipeline.errors import RowError, RunError, SessionExpired, TargetUnreachable, UsageError
from pipeline.ledger.erased import Erased, blanked
from pipeline.ledger.files import assemble
from pipeline.ledger.reading import Rows, ledger_parts
from pipeline.ledger.recovery import recover
from pipeline.ledger.rundirectory import RunDirectory
from pipeline.records import ERASED, MENDABLE
from pipeline.run import describing
from pipeline.run.campaign_desk import CampaignDesk, campaign_desk, named
from pipeline.run.deliveries import begun
from pipeline.run.listing import ListedRun, Stage, list_runs, look_at
from pipeline.run.persons.earlier_receipts import told_of
from pipeline.run.persons.questions import Questions, matches
from pipeline.run.persons.receipt import beside
from pipeline.run.recorded import record, recorded_job, recorded_settings
from pipeline.run.surroundings import Surroundings
from pipeline.stages.destinations.authorities import Authorities
from pipeline.stages.screen import load_suppression
from pipeline.wire import ClientFactory

_IDS: Final = pl.Schema([("line", pl.UInt32), ("id", pl.String)])


@dataclass(frozen=True, slots=True)
class Place:
    """Where a person stands."""

    line: int  # of the question, from 1
    run_dir: Path | None  # None: in the campaign at the target
    campaign: str
    source: str | None = None  # None where the row is not told
    row: int | None = None
    status: str | None = None
    contact_id: str | None = None
    where: tuple[str, ...] = ()  # files of the run directory that tell of the row; of the campaign: channels


@dataclass(frozen=True, slots=True)
class Found:
    """What a search has found."""

    asked: tuple[int, ...]  # the lines of the question that are not blank
    places: tuple[Place, ...]
    runs: int  # that were looked into
    remarks: tuple[str, ...]  # what could not be searched, and why
    notes: tuple[str, ...] = ()  # on the missing: how they were read, and which erasures may have been of them

    @property
    def missing(self) -> tuple[int, ...]:
        """The lines that were found nowhere."""
        found = {place.line for place in self.places}
        return tuple(line for line in self.asked if line not in found)


async def find_persons(
    lines: Sequence[str],
    directories: Sequence[Path],
    *,
    region: str | None = None,
    settings: Settings | None = None,
    clients: ClientFactory | None = None,
) -> Found:
    """Where those of `lines` stand: one destination or key each; blank lines are none.

    `directories` are run directories, or hold some. National numbers are read as those of `region`; None: in each run
    as those of its own. With `settings` the campaign at the target is looked through too. Raises UsageError where
    nothing is asked or there is no such directory, else RunError where the target gives no list.
    """
    questions = Questions(lines)
    if not questions.lines:
        raise UsageError("Nothing to look for: give a destination or a key on each line of standard input.")
    search = Search(questions, region.upper() if region else None)
    runs = await anyio.to_thread.run_sync(search.all_runs, directories)
    if settings is not None:
        await search.campaign(settings, clients)
    found = Found(questions.lines, tuple(search.places), runs, tuple(search.remarks))
    before = partial(told_of, found.missing, search.runs.values(), search.asked, beside(directories))
    misread = questions.misread(found.missing, search.region)
    return replace(found, notes=(*misread, *await anyio.to_thread.run_sync(before)))


class Search:
    """One search; its places and remarks grow as it goes on."""

    def __init__(self, questions: Questions, region: str | None) -> None:
        self._questions = questions
        self.region = region
        self._ids = pl.DataFrame(schema=_IDS)
        self.runs: dict[Path, ListedRun] = {}  # that were looked into, by their directories
        #: What was asked in each run, and how destinations are read there.
        self.asked: dict[Path, tuple[pl.DataFrame, ContactsSettings]] = {}
        self.places: list[Place] = []
        self.remarks: list[str] = []

    def follow_ids(self) -> None:
        """From now on a contact is looked for too that shares its id with one that was found: it is the same person,
        whatever destinations another run had for it.
        """
        told = [(place.line, place.contact_id) for place in self.places if place.contact_id is not None]
        self._ids = pl.DataFrame(told, schema=_IDS, orient="row").unique(maintain_order=True)

    # --- run directories --------------------------------------------------------------------------------------------

    def all_runs(self, directories: Sequence[Path]) -> int:
        """Search the runs in `directories`; how many there are. Blocks."""
        self.runs.clear()
        runs = self.runs
        for base in directories:
            own = look_at(base) if base.is_dir() else None
            for run in [own] if own is not None else list_runs(base):
                runs.setdefault(run.run_dir.resolve(), run)
        for run in list(runs.values()):
            self._run(run)
        return len(runs)

    def _run(self, run: ListedRun) -> None:
        directory = RunDirectory(run.run_dir)
        if run.stage is Stage.DAMAGED:
            self.remarks.append(f"{run.run_dir}: was not searched: {run.problem}")
            return
        try:
            settings = record(directory)["settings"]
            where = {"base": Path()}
            contacts = ContactsSettings.model_validate(settings["contacts"], context=where)
            ledger = LedgerSettings.model_validate(settings.get("ledger", {}), context=where)
        except (ValidationError, RunError):
            self.remarks.append(f"{run.run_dir}: was not searched: its run.toml cannot be read")
            return
        region = self.region or contacts.region
        asked = self._questions.table(region and region.upper(), run.campaign, run.wave or None)
        asked = pl.concat([asked, self._ids], how="diagonal")
        own_region = {"region": self.region} if self.region else {}
        contacts = contacts.model_copy(update=own_region)
        self.asked[run.run_dir] = (asked, contacts)
        by_row: set[int] = set()
        if run.stage is not Stage.UNBEGUN:
            by_row = self._rows(run, directory, asked, masked=ledger.mask)
        copies = [path for path in (directory.resubmit, directory.stdin) if path.exists()]
        for path in (*copies, *directory.kept("suppress")):
            self._copy(run, path, contacts, asked, told=by_row if path in copies else set())

    def _rows(self, run: ListedRun, directory: RunDirectory, asked: pl.DataFrame, *, masked: bool) -> set[int]:
        """Search the rows of a run; the lines that were found. A ledger that is masked or not written yet is made anew
        from the list.
        """
        found: set[int] = set()
        ledgers = [
            name
            for folder in (directory, directory.undo)
            for name in (folder.ledger_parquet, folder.ledger_csv)
            if name.exists()
        ]
        files = tuple(path.relative_to(directory.path).as_posix() for path in ledgers)
        try:
            for part in self._parts(directory, masked=masked):
                for match in matches(part, asked).iter_rows(named=True):
                    mendable = match["status"] in [status.value for status in MENDABLE] and directory.resubmit.exists()
                    found.add(match["line"])
                    self.places.append(
                        Place(
                            match["line"],
                            run.run_dir,
                            run.campaign,
                            match["source"],
                            match["row"],
                            match["status"],
                            match["contact_id"],
                            (*files, *([directory.resubmit.name] if mendable else [])),
                        )
                    )
        except RunError as error:
            self.remarks.append(f"{run.run_dir}: its rows were not all searched: {error}")
        except (OSError, ValueError, pl.exceptions.PolarsError) as error:
            self.remarks.append(f"{run.run_dir}: its rows were not all searched ({type(error).__name__})")
        return found

    def _parts(self, directory: RunDirectory, *, masked: bool) -> Iterator[pl.DataFrame]:
        """The rows of a run, nothing masked. Raises UsageError where neither ledger nor list tell them."""
        parts = ledger_parts(directory.path)
        if parts is not None and not masked:
            yield from parts
            return
        why = "its ledger is masked" if parts is not None else "it has no ledger"
        try:
            recovery = recover(directory.journal)
            surroundings = Surroundings()
            job = recorded_job(directory, recovery, recorded_settings(directory, ()), surroundings, asks=False)
            changed = describing.changed(job.sources, job.recorded)
        except RunError as error:
            yield from parts or ()  # keys and ids are told there
            raise UsageError(f"{why}, and the list that it was made of cannot be read again: {error}") from None
        if changed:
            yield from parts or ()
            raise UsageError(f"{why}, and {', '.join(changed)} is not the file that the run has read")
        screener, ledger = job.screener(), Rows(parts) if parts is not None else None
        for batch in job.batches():
            rows = assemble(screener.screen(batch), recovery)
            if ledger is not None and (told := ledger.take(rows.height)).height == rows.height:
                # The state may have told a status, of which the journal knows nothing. The list holds erased rows
                # still, but it is not ours; a row of which the ledger tells yet was not erased to the end.
                erased = told["warnings"].list.contains(ERASED)
                rows = blanked(rows.with_columns(told["status"]), erased)
            elif ledger is None:
                rows = Erased.read(directory.path).blanked(rows)
            yield rows

    def _copy(
        self, run: ListedRun, path: Path, contacts: ContactsSettings, asked: pl.DataFrame, *, told: set[int]
    ) -> None:
        """Search a copy of a list, in which persons may stand who are in no row, or not as a destination."""
        try:
            held = load_suppression([path], contacts, Authorities(), tell=False)
        except RunError:
            self.remarks.append(f"{path}: was not searched: it cannot be read")
            return
        there = held.phones(asked["phone"]).is_not_null() | held.mails(asked["mail"]).is_not_null()
        there |= held.keys(asked["key"]).is_not_null()
        name = path.relative_to(run.run_dir).as_posix()
        for line in asked["line"].filter(there):
            if line not in told:
                self.places.append(Place(line, run.run_dir, run.campaign, where=(name,)))

    # --- the campaign -----------------------------------------------------------------------------------------------

    async def campaign(self, settings: Settings, clients: ClientFactory | None) -> None:
        """Search the contacts that the target lists. Raises RunError."""
        name = named(settings)
        async with campaign_desk(settings, clients, signals=True) as desk:
            await desk.held(name)
            self.places += await self.listed(desk, name, settings.contacts.region)

    async def listed(self, desk: CampaignDesk, name: str, region: str | None) -> list[Place]:
        """Where those who are asked for, and those who were found in its runs, stand in a campaign. National numbers
        are those of `region`, unless another was asked for.
        """
        asked = self._asked_of(name, self.region or region)
        places: list[Place] = []
        stream, frame = await desk.ask(lambda handle: begun(desk, handle, name))
        try:
            while frame is not None:
                for match in matches(frame, asked).iter_rows(named=True):
                    channels = tuple(each for each in ("sms", "voice", "email") if match[each] is not None)
                    told = "; ".join(
                        f"{each} {match[f'{each}_status']}" for each in channels if match[f"{each}_status"]
                    )
                    places.append(
                        Place(
                            match["line"],
                            None,
                            name,
                            status=told or None,
                            contact_id=match["contact_id"],
                            where=channels,
                        )
                    )
                frame = await anext(stream, None)
        except (RowError, SessionExpired) as error:
            raise TargetUnreachable(f"the target's list broke off: {error.reason}. Try again later.") from None
        finally:
            await stream.aclose()
        return places

    def _asked_of(self, campaign: str, region: str | None) -> pl.DataFrame:
        """The questions, with the ids of these keys in every wave that is known of."""
        waves = {run.wave or None for run in self.runs.values() if run.campaign == campaign} | {None}
        tables = [self._questions.table(region and region.upper(), campaign, wave) for wave in waves]
        known = [(p.line, p.contact_id) for p in self.places if p.contact_id is not None and p.campaign == campaign]
        return pl.concat([*tables, pl.DataFrame(known, schema=_IDS, orient="row"), self._ids], how="diagonal").unique()
