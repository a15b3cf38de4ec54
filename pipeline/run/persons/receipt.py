"""The receipt of an erasure: when, who, from where and how much; no key, no destination, no hash of one."""

import socket
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from pipeline import __version__
from pipeline.ledger.disk import make_directories
from pipeline.ledger.erased import Taken
from pipeline.ledger.private import write_private, writing
from pipeline.ledger.rundirectory import RunDirectory
from pipeline.run import describing
from pipeline.run.listing import ListedRun
from pipeline.run.recorded import record

#: What stays, and why.
STAYS: Final = (
    "The rows stay in the ledgers with status and times, so that every row is accounted for; key, contact id, content "
    "and destinations were taken out of them.",
    "The journals name rows by their position in the list, and nobody.",
    "The lists that were imported are not touched: whoever has them can tell the rows by their numbers.",
    "baseline.sqlite of a run counts what stood in the campaign before it, by hashes of all destinations of a contact: "
    "by it a run is proven where the target gives ids of its own. Pruning the run deletes it.",
    "Copies of do-not-contact lists stay: they keep people from being contacted.",
)
_STATE: Final = (
    "The campaign was not looked into, so the state still knows the contacts by their ids: it keeps an import from "
    "sending to the same people once more. Erase with --config to remove both."
)


def beside(directories: Sequence[Path]) -> Path:
    """Where the receipts of an erasure from these lie: beside the runs."""
    first = directories[0]
    with suppress(OSError):  # what cannot be looked into is told by the search
        return first.parent if RunDirectory(first).holds_run else first
    return first


class Row(msgspec.Struct, frozen=True):
    """A row that was erased."""

    source: str
    row: int
    line: int | None = None  # physical line of the source
    status: str | None = None


class RunErased(msgspec.Struct, frozen=True):
    """What was erased from a run."""

    run_dir: str
    run_id: str
    campaign: str
    rows: tuple[Row, ...]
    sources: dict[str, str]  # where the lists lay that the rows came from, by their names
    files: tuple[str, ...] = ()  # that were rewritten
    resubmit_rows: tuple[int, int] = (0, 0)  # before and after
    remarks: tuple[str, ...] = ()
    rowless: bool = False  # its resubmit file holds, or held, records of them that belong to none of the rows

    @classmethod
    def planned(cls, run: ListedRun, rows: tuple[tuple[str, int], ...], *, rowless: bool) -> "RunErased":
        """What is to be erased."""
        directory = RunDirectory(run.run_dir)
        names = {source for source, _ in rows}
        sources = {each["name"]: each["path"] for each in record(directory)["source"] if each["name"] in names}
        run_id = run.header.run_id if run.header is not None else ""
        these = tuple(Row(*each) for each in rows)
        return cls(str(run.run_dir), run_id, run.campaign, these, sources, rowless=rowless)

    def done(self, undo: Taken, own: Taken, remarks: tuple[str, ...]) -> "RunErased":
        """What was."""
        lines = {(source, row): (line, status) for source, row, line, status in own.rows}
        rows = tuple(
            Row(each.source, each.row, *lines.get((each.source, each.row), (None, None))) for each in self.rows
        )
        return msgspec.structs.replace(
            self,
            rows=rows,
            files=(*(f"undo/{name}" for name in undo.files), *own.files),
            resubmit_rows=own.resubmit,
            remarks=remarks,
        )


@dataclass(frozen=True, slots=True)
class Removed:
    """What was removed from a campaign."""

    campaign: str
    contacts: int  # that were listed there before
    left: int  # after
    strangers: int = 0  # of the former: those that no run of this state has added
    rowless: int = 0  # of the former: those whose id stands in none of the rows of the receipt
    unlisted: int = 0  # that the list did not show, or not yet, and the target says that it has deleted
    done: bool = False  # True: what comes after may be broken off, the contacts are gone


class Receipt(msgspec.Struct, frozen=True):
    """erased-<UTC>-<id>.json."""

    id: str
    at: datetime
    user: str
    host: str
    version: str
    complete: bool  # False: it was broken off; what it had not erased yet is erased by the next of the same persons
    asked: int  # persons
    not_found: tuple[int, ...]  # lines of standard input
    runs: tuple[RunErased, ...]
    campaign: Removed | None  # None: it was not looked into
    kept: tuple[str, ...]  # copies of do-not-contact lists in which they stand
    stays: tuple[str, ...]
    remarks: tuple[str, ...]
    completed_by: str | None = None  # name of the receipt of the erasure since which it is complete; None: by itself
    superseded_by: str | None = None  # of one that was of all its rows and contacts, and is complete

    @classmethod
    def begin(
        cls,
        *,
        asked: int,
        missing: tuple[int, ...],
        runs: tuple[RunErased, ...],
        campaign: Removed | None,
        kept: tuple[str, ...],
        remarks: tuple[str, ...],
    ) -> "Receipt":
        """That of an erasure that is about to begin."""
        return cls(
            id=str(uuid.uuid4()),
            at=describing.now().replace(microsecond=0),
            user=describing.user(),
            host=socket.gethostname(),
            version=__version__,
            complete=False,
            asked=asked,
            not_found=missing,
            runs=runs,
            campaign=campaign,
            kept=kept,
            stays=STAYS if campaign is not None else (*STAYS, _STATE),
            remarks=remarks,
        )

    def path(self, base: Path) -> Path:
        """Where it lies in `base`."""
        return base / f"erased-{self.at:%Y%m%dT%H%M%SZ}-{self.id[:8]}.json"

    def write(self, base: Path) -> Path:
        """Put it into `base`, for its owner alone; blocks. Raises MachineFailed."""
        path = self.path(base)
        with writing(path):
            make_directories(base)
        write_private(path, self.to_json().encode())
        return path

    def to_json(self) -> str:
        """The text of the file."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2).decode() + "\n"
