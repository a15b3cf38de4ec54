"""The account of a run: ledger files and summary, made from the source and the journal alone."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from time import monotonic

import polars as pl

from pipeline.errors import MachineFailed, RunError, SourceError
from pipeline.ledger import accounts
from pipeline.ledger.erased import Erased
from pipeline.ledger.files import Tally, write_ledger
from pipeline.ledger.recovery import recover
from pipeline.ledger.rundirectory import RunDirectory
from pipeline.ledger.state import State
from pipeline.ledger.summary import Seconds, Sessions, Summary
from pipeline.records import Screened, Status
from pipeline.run.describing import changed
from pipeline.run.job import Job
from pipeline.run.outcome import exit_code
from pipeline.sessions import Counts
from pipeline.values import Share


@dataclass(slots=True)
class Course:
    """How a run went, as far as neither source nor journal say."""

    began: float = field(default_factory=monotonic)
    survey: float = 0.0  # seconds
    sending: float = 0.0  # seconds, first to last answer
    sent: int = 0  # rows that were sent
    sessions: Counts = field(default_factory=Counts)
    learnt: tuple[str, ...] = ()
    failure: RunError | None = None
    received: int | None = None  # number of the signal that stopped it


def account(
    job: Job,
    screened: Iterable[Screened],
    course: Course,
    state: State | None,
    number: int | None,
    *,
    into: RunDirectory | None = None,
    observe: Callable[[pl.DataFrame], None] | None = None,
) -> Summary:
    """Write ledger, resubmit file and summary, and take the ledger into the state as that of run `number` (blocking);
    `state` is None where nothing was sent.

    `number` is None for a check: pending rows are what could be sent then. `into` is where the journal lies and the
    files go, where that is not the run's own directory; `observe` sees every part of the ledger where there is no
    `state` to take it into.

    Raises MachineFailed where the files cannot be written, or where the source is not any more what was sent: no ledger
    is better than a wrong one. The summary then tells what the journal knows.
    """
    directory, settings = into or job.directory, job.settings
    recovery = recover(directory.journal, disk=job.surroundings.disk)
    erased = Erased.read(job.directory.path)
    try:
        with ExitStack() as stack:
            if state is not None and number is not None:
                observe = stack.enter_context(accounts.account(state, number, job.surroundings.wall_clock())).add
            tally = write_ledger(
                directory.path,
                unchanged(screened, job),
                recovery,
                settings.ledger,
                settings.contacts,
                form=job.form,
                read_again=job.reading_again(),
                observe=observe,
                erase=erased.told if erased else None,
            )
    except SourceError as error:
        course.failure = MachineFailed(
            f"The ledger cannot be written, since the source cannot be read again as it was: {error}. "
            f"What became of the rows that were sent is in {directory.journal}."
        )
        tally = told(recovery.settled_counts())
    tolerate = job.options.tolerate if into is None else None  # it was said of the rows of the import
    summary = _summary(job.directory, tally, course, tolerate, checking=number is None)
    summary.write(directory.path)
    return summary


def unchanged(screened: Iterable[Screened], job: Job) -> Iterator[Screened]:
    """The walk, at whose end the sources have to be what is on record. Before it that would prove nothing of what was
    read in it. Raises SourceError.
    """
    yield from screened
    if names := changed(job.sources, job.recorded):
        raise SourceError(f"{', '.join(names)} changed while the run went on")


def told(counts: dict[str, int]) -> Tally:
    """A tally of what the journal alone knows."""
    return Tally(sum(counts.values()), {status.value: counts.get(status.value, 0) for status in Status}, {}, {})


def _summary(
    directory: RunDirectory, tally: Tally, course: Course, tolerate: Share | None, *, checking: bool
) -> Summary:
    counts = {Status(name): count for name, count in tally.counts.items()}
    if checking:
        counts.pop(Status.PENDING, None)
    sessions = course.sessions
    return Summary.of(
        tally,
        complete=not tally.counts[Status.PENDING.value] and not isinstance(course.failure, MachineFailed),
        seconds=Seconds(
            total=round(monotonic() - course.began, 3),
            survey=round(course.survey, 3),
            sending=round(course.sending, 3),
        ),
        rate=round(course.sent / course.sending, 1) if course.sending else 0.0,
        sessions=Sessions(sessions.opened, sessions.renewed, sessions.closed, sessions.expired),
        exit_code=exit_code(counts, failure=course.failure, received=course.received, tolerate=tolerate),
        run_dir=directory.path,
        learnt=course.learnt,
        error=str(course.failure) if course.failure else None,
    )
