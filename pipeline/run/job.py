"""One run as all its parts see it: what was asked for, where it lies, and its walks over the input."""

import functools
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from anyio.abc import ObjectSendStream

from pipeline.config import Settings
from pipeline.errors import SourceError
from pipeline.ledger import lines
from pipeline.ledger.baseline import Baseline
from pipeline.ledger.lines import Note
from pipeline.ledger.recovery import Recovery, recover
from pipeline.ledger.resubmit import DEFAULT_FORM, Form
from pipeline.ledger.rundirectory import RunDirectory
from pipeline.records import Batch, Screened, Status
from pipeline.run.expecting import Expectation
from pipeline.run.surroundings import Surroundings
from pipeline.sessions import SessionPool
from pipeline.stages.kept import Kept
from pipeline.stages.read import Source, batches, read
from pipeline.stages.screen import Screener, Screens, Suppression
from pipeline.targets import Lookup, Rows, Target
from pipeline.values import Share

#: Rows of a batch: by fewer each costs more time, by more they take more memory.
WALK_ROWS: Final = 8_192

#: Rows of a batch where nothing but screening is done, a multiple of those: its many questions to the columns cost as
#: much for a small batch. Where rows are sent meanwhile, or put down, they take memory several times.
SCREENED_ROWS: Final = 16_384


#: The note in the journal of what the survey found.
SURVEYED: Final = "surveyed"


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """What a person chooses for one run, beside the settings."""

    run_dir: Path | None = None  # default: runs/<UTC time>-<source name>
    limit: int | None = None  # the first so many rows
    canary: int = 5  # rows that go first and are read back; 0: none
    max_bad: Share | None = None  # stop at more invalid, rejected and failed rows
    expect: tuple[Expectation, ...] = ()  # stop before the first row where the list is not so
    tolerate: Share | None = None  # so many of them still end with 0
    stream: bool = False  # no survey
    online: bool = False  # a check asks the target as well
    wave: str | None = None  # the same people once more: part of the contact ids
    upsert: bool = False  # what is in the campaign with other content is updated
    campaign: Mapping[str, Any] | None = None  # the campaign to be made where it is not there; its id is the settings'
    activate: bool = False  # the campaign is started when all rows are settled
    command: tuple[str, ...] = ()  # for the record
    signals: bool = False  # stop on SIGINT and SIGTERM


@dataclass(frozen=True, slots=True)
class Earlier:
    """A run that was begun and is gone on with."""

    directory: RunDirectory
    recovery: Recovery
    again: tuple[Status, ...] = ()  # rows of these statuses are sent once more


def sendable(notes: Iterable[Note]) -> int | None:
    """How many rows of a run can be sent, by the notes of its journal; None: it was not surveyed."""
    told = (note.fields.get("to_send") for note in notes if note.event == SURVEYED)
    return next((count for count in told if isinstance(count, int)), None)


@dataclass(frozen=True, slots=True)
class Job:
    """One run. Its methods block."""

    settings: Settings
    options: ImportOptions
    surroundings: Surroundings
    directory: RunDirectory
    sources: tuple[Source, ...]
    recorded: tuple[lines.Source, ...]  # the sources as they were when the run began
    target: Target
    suppression: Suppression
    kept: Kept = field(default_factory=Kept)  # what the first whole walk over the sources has made of them

    @property
    def rows(self) -> Rows:
        """How the target takes contacts; a system that takes none was refused when the configuration was read."""
        rows = self.target.rows
        assert rows is not None
        return rows

    @property
    def lookup(self) -> Lookup | None:
        """How the target is asked what it holds; None: it cannot be asked."""
        return self.target.lookup

    @property
    def slice_rows(self) -> int:
        """Rows of a slice: of two, where so few may be in doubt, the workers never wait for the next one."""
        rows = self.surroundings.slice_rows
        return rows if self.doubtful is None else min(rows, self.doubtful // 2)

    @property
    def doubtful(self) -> int | None:
        """So many rows at most may be in doubt after a crash. Where nobody can be asked what became of them, these are
        few; None: any number.
        """
        calls = self.settings.delivery.sessions * self.settings.delivery.calls_per_session
        return 4 * calls if self.lookup is None else None

    def screener(self) -> Screens:
        """What settles the batches of one walk."""
        if self.kept.whole:
            return self.kept
        return Screener(
            self.settings.contacts,
            campaign=self.settings.target.campaign,
            wave=self.options.wave,
            carrier=self.rows,
            authorities=self.surroundings.authorities,
            suppression=self.suppression,
        )

    def batches(self, passed: Callable[[int], None] | None = None, *, rows: int = WALK_ROWS) -> Iterator[Batch]:
        """The whole input, cut in the same way each time, into batches of `rows`; `passed` as in `read.batches`."""
        return batches(self.sources, batch_rows=rows, limit=self.options.limit, passed=passed)

    @property
    def read(self) -> Callable[[ObjectSendStream[Batch]], Awaitable[None]]:
        """The stage that reads the same, for walks that ask of a batch which rows it is and how they are screened.

        What was kept of them is not read anew. Whether the source is still the same is told when the account is made.
        """
        return functools.partial(read, self.kept.batches() if self.kept.whole else self.batches())

    def screened(self, passed: Callable[[int], None] | None = None, *, rows: int = WALK_ROWS) -> Iterator[Screened]:
        """One walk over the whole input. What the first that comes to its end makes of it is kept for the others, but
        for the cells: these `reading_again` gives. `passed` as in `read.batches`, what is read is cut into `rows`.
        """
        if self.kept.whole:
            return self.kept.screened()
        walk = map(self.screener().screen, self.batches(passed, rows=rows))
        return self.kept.keeping(walk, self.directory.path, rows=WALK_ROWS)

    def reading_again(self) -> Callable[[Batch], Batch]:
        """Gives batches of the next walk with their cells, in order: the source is read as far as they are asked for.

        That raises SourceError where the source is another one now.
        """
        if not self.kept.whole:
            return lambda batch: batch
        walk = self.batches()

        def read_again(batch: Batch) -> Batch:
            found = next((each for each in walk if each.start == batch.start), None)
            if found is None or (found.source, found.row, found.stop) != (batch.source, batch.row, batch.stop):
                raise SourceError(f"{batch.source}: changed while it was read; start again")
            return found

        return read_again

    @property
    def form(self) -> Form:
        """How resubmit.csv is written: as the first CSV of the input, which may be given the same options again."""
        for source in self.sources:
            if source.delimiter is not None:
                # A file whose lines end in CR alone has LF within its cells once it is read.
                return Form(source.delimiter, "\r\n" if source.line_end == "\r\n" else "\n")
        return DEFAULT_FORM

    def pool(self) -> SessionPool[Any]:
        """The sessions that the settings allow; none is open yet."""
        delivery = self.settings.delivery
        return SessionPool(
            self.target,
            delivery.sessions,
            delivery.calls_per_session,
            self.settings.sessions,
            open_within=2 * delivery.timeout,
            entry=self.settings.target.entry,
        )

    def recover(self) -> Recovery:
        """Where the run's rows stand now."""
        return recover(self.directory.journal, disk=self.surroundings.disk)

    @property
    def baseline(self) -> Baseline:
        """How often each face stood in the campaign before the first row left."""
        return Baseline(self.directory.path)
