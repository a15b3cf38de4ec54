"""One import from source to ledger: survey, canary, the stages in a task group, stop, and the account of it all."""

import functools
import signal
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from time import monotonic, time
from typing import Any

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup

from pipeline import targets
from pipeline.config import Settings, Share, read_secrets
from pipeline.errors import (
    Interrupted,
    MachineFailed,
    NotDelivered,
    OutcomeUnknown,
    RunError,
    SourceError,
    TargetUnreachable,
    UsageError,
)
from pipeline.ledger.files import Tally, write_ledger
from pipeline.ledger.journal import Journal
from pipeline.ledger.lines import FINISHED
from pipeline.ledger.recovery import recover
from pipeline.ledger.rundirectory import RunDirectory, default_path
from pipeline.ledger.summary import Seconds, Sessions, Summary
from pipeline.logs import logger
from pipeline.records import Batch, Outcome, Screened, Status
from pipeline.run import describing
from pipeline.run.asking import ask
from pipeline.run.canary import CanaryGate
from pipeline.run.outcome import Threshold, exit_code
from pipeline.run.progress import Progress
from pipeline.sessions import SessionPool
from pipeline.stages.deliver import Deliverer
from pipeline.stages.encode import Slice, Slicer, encode
from pipeline.stages.read import Source, batches, read
from pipeline.stages.screen import Authorities, Screener, Suppression, load_suppression, screen
from pipeline.stages.settle import Begun, Settler, begin
from pipeline.stages.survey import Survey
from pipeline.targets import Target
from pipeline.wire import ClientFactory, client_factory

#: Rows of a slice; one durable record stands before each.
SLICE_ROWS = 8192

Confirm = Callable[[Survey], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """What a person chooses for one run, beside the settings."""

    run_dir: Path | None = None  # default: runs/<UTC time>-<source name>
    limit: int | None = None  # the first so many rows
    canary: int = 5  # rows that go first and are read back; 0: none
    max_bad: Share | None = None  # stop at more invalid, rejected and failed rows
    tolerate: Share | None = None  # so many of them still end with 0
    stream: bool = False  # no survey
    wave: str | None = None  # the same people once more: part of the contact ids
    command: tuple[str, ...] = ()  # for the record
    signals: bool = False  # stop on SIGINT and SIGTERM


@dataclass(frozen=True, slots=True)
class Result:
    """How a run ended. `error` says in words why it did not end normally."""

    summary: Summary
    error: str | None = None
    survey: Survey | None = None


async def import_contacts(
    settings: Settings,
    sources: Sequence[Source],
    options: ImportOptions | None = None,
    *,
    progress: Progress | None = None,
    confirm: Confirm | None = None,
    clients: ClientFactory | None = None,
) -> Result:
    """Import `sources` into the target's campaign, and write of every row what became of it.

    `confirm` is shown the survey and may decline (UsageError, nothing was sent). `clients` replaces the HTTP clients
    made from the settings. Raises RunError only where there is no run to give account of.
    """
    chosen = options or ImportOptions()
    clients = clients or client_factory(settings.http, settings.delivery.timeout)
    return await _Import(settings, sources, chosen, progress or Progress(), confirm, clients).run()


async def check_contacts(
    settings: Settings,
    sources: Sequence[Source],
    options: ImportOptions | None = None,
    *,
    progress: Progress | None = None,
) -> Result:
    """Everything but the target: `pending` in the ledger are the rows that would be sent."""
    return await _Import(settings, sources, options or ImportOptions(), progress or Progress(), None, None).run()


class _Import:
    """The state of one import. `clients` is None for a check."""

    def __init__(
        self,
        settings: Settings,
        sources: Sequence[Source],
        options: ImportOptions,
        progress: Progress,
        confirm: Confirm | None,
        clients: ClientFactory | None,
    ) -> None:
        self._settings = settings
        self._sources = list(sources)
        self._options = options
        self._progress = progress
        self._confirm = confirm
        self._clients = clients
        self._threshold = Threshold(options.max_bad)
        self._authorities = Authorities()
        self._suppression = Suppression()
        self._failure: RunError | None = None
        self._received: int | None = None  # the first signal
        self._interrupt: Callable[[], None] = lambda: None  # what a signal does in the present phase
        self._seconds: dict[str, float] = {"survey": 0.0, "sending": 0.0}
        self._began = monotonic()
        self._checking = clients is None
        self._deliverer: Deliverer[Any] | None = None
        self._pool: SessionPool[Any] | None = None
        self._gate: CanaryGate | None = None
        self._target: Target
        self._directory: RunDirectory

    async def run(self) -> Result:
        """The whole way, with signals watched beside it where that was asked for."""
        try:
            async with anyio.create_task_group() as group:
                if self._options.signals:
                    group.start_soon(self._watch_signals)
                result = await self._run()
                group.cancel_scope.cancel()
        except BaseExceptionGroup as errors:
            raise _first(errors) from errors
        return result

    async def _run(self) -> Result:
        options = self._options
        source = Path(self._sources[0].name).name
        self._directory = RunDirectory.create(options.run_dir or default_path(describing.now(), source))
        self._progress.run_dir = self._directory.path
        try:
            await anyio.to_thread.run_sync(self._prepare)
            await self._directory.keep("suppress", self._settings.contacts.suppress)
            survey = await self._survey()
        except RunError:
            self._directory.discard()  # nothing was begun, so there is no run to keep
            raise
        if survey is not None:
            self._failure = self._threshold.judge(survey.counts, final=True)
        nothing_to_send = survey is not None and not survey.counts[Status.PENDING]
        await self._with_journal(survey, send=not (self._checking or self._failure or nothing_to_send))
        return await self._account(survey)

    # --- before the first row -----------------------------------------------------------------------------------------

    def _prepare(self) -> None:
        """What blocks and may fail before anything is begun: contract, suppression lists, the record of the run."""
        settings = self._settings
        if not self._checking:
            read_secrets(settings.target)
        module = targets.module(settings.target.system)
        self._target = module.create(settings, self._clients, self._directory.path / "contract")
        self._suppression = load_suppression(settings.contacts.suppress, settings.contacts, self._authorities)
        self._described = describing.describe(
            settings, self._sources, self._options.command, self._options.wave, self._options.limit
        )
        self._directory.write_private("run.toml", self._described.toml)

    def _screener(self) -> Screener:
        return Screener(
            self._settings.contacts,
            campaign=self._settings.target.campaign,
            wave=self._options.wave,
            carrier=self._target,
            authorities=self._authorities,
            suppression=self._suppression,
        )

    def _screened(self) -> Iterator[Screened]:
        """One walk over the whole input."""
        screener = self._screener()
        return map(screener.screen, batches(self._sources, limit=self._options.limit))

    async def _survey(self) -> Survey | None:
        if self._options.stream and not self._checking:
            return None
        self._progress.phase = "surveying"
        began = monotonic()
        survey = Survey()
        walk = self._screened()
        with anyio.CancelScope() as scope:
            self._interrupt = scope.cancel
            while (screened := await anyio.to_thread.run_sync(next, walk, None)) is not None:
                survey.add(screened)
                self._progress.surveyed = survey.rows
                self._progress.counts = Counter({s: n for s, n in survey.counts.items() if s is not Status.PENDING})
            self._progress.rows = survey.rows
            self._progress.to_send = survey.counts[Status.PENDING]
            self._seconds["survey"] = monotonic() - began
            if self._confirm is not None and not await self._confirm(survey):
                raise UsageError("Stopped at the plan: nothing was sent.")
        self._interrupt = lambda: None
        if self._received is not None:
            raise Interrupted(self._received)
        return survey

    # --- sending ------------------------------------------------------------------------------------------------------

    async def _with_journal(self, survey: Survey | None, *, send: bool) -> None:
        """Deliver with a journal; whatever ends it early is kept in `_failure`."""
        path = self._directory.path / "journal.jsonl"
        header = self._described.header(rows=survey.rows if survey else None)
        journal = await anyio.to_thread.run_sync(functools.partial(Journal.create, path, header))
        try:
            if send:
                await self._connected(journal)
            counts = self._progress.counts
            done = self._failure is None and self._received is None
            if done and not counts[Status.PENDING] and not counts[Status.IN_DOUBT]:
                journal.note(FINISHED, {})
            else:
                why = type(self._failure).__name__ if self._failure else "Signal"
                journal.note("stopped", {"why": why if not done else "in doubt"})
            await anyio.to_thread.run_sync(journal.commit)
        except MachineFailed as error:
            self._failure = error
        except BaseExceptionGroup as errors:
            first = _first(errors)
            if not isinstance(first, RunError):
                raise
            self._failure = first
        finally:
            journal.close()

    async def _connected(self, journal: Journal) -> None:
        delivery = self._settings.delivery
        assert self._clients is not None
        pool: SessionPool[Any] = SessionPool(
            self._target, delivery.sessions, delivery.calls_per_session, self._settings.sessions
        )
        self._pool = pool
        self._progress.sessions = pool.counts
        try:
            self._progress.phase = "connecting"
            with anyio.CancelScope() as scope:
                self._interrupt = scope.cancel
                async with pool.lease() as lease:
                    assert lease is not None
                    await ask(lease, self._target.prove, self._target.prepare)
            self._interrupt = lambda: None
            if self._received is None:
                await anyio.to_thread.run_sync(self._check_unchanged)
                await self._deliver(journal, pool)
        except RunError as error:
            self._failure = error
        except (NotDelivered, OutcomeUnknown) as error:
            self._failure = TargetUnreachable(f"the target does not answer: {error.reason}. Try again later.")
        finally:
            await pool.aclose()

    def _check_unchanged(self) -> None:
        """A plan may have been looked at for long: what is sent is what was surveyed."""
        if changed := describing.changed(self._sources, self._described.sources):
            raise SourceError(f"{', '.join(changed)}: changed since the run began; nothing was sent. Start a new run.")

    async def _deliver(self, journal: Journal, pool: SessionPool[Any]) -> None:
        settler = Settler(journal, self._settled)
        delivery = self._settings.delivery
        deliverer = self._deliverer = Deliverer(
            self._target,
            pool,
            self._target.prove,
            settler,
            delivery,
            wall_clock=time,
            random=Random(),  # noqa: S311 - jitter
        )
        gate = self._gate = CanaryGate(
            self._target,
            pool,
            settler,
            deliverer,
            retries={name: channel.retries for name, channel in self._settings.contacts.channels.items()},
            patience=delivery.late_effect,
        )
        self._progress.phase = "canary" if self._options.canary else "sending"
        self._progress.sending_since = monotonic()
        async with anyio.create_task_group() as group:
            group.start_soon(settler.run)
            with anyio.CancelScope() as scope:
                self._interrupt = functools.partial(self._stop, group, scope)
                await self._stages(settler, deliverer, gate)
            self._interrupt = lambda: None
            settler.release(int(time() * 1000))
            settler.close()
        self._failure = deliverer.failure
        if deliverer.first_sent is not None and deliverer.last_answer is not None:
            self._seconds["sending"] = max(0.0, deliverer.last_answer - deliverer.first_sent)

    async def _stages(self, settler: Settler, deliverer: Deliverer[Any], gate: CanaryGate) -> None:
        options = self._options
        slicer = Slicer(self._target, canary=options.canary, rows=SLICE_ROWS)
        prove = gate.prove if options.canary else None
        observe = self._observe if self._progress.to_send is None else None
        to_screen, read_batches = anyio.create_memory_object_stream[Batch](1)
        to_encode, screened = anyio.create_memory_object_stream[Screened](1)
        to_begin, slices = anyio.create_memory_object_stream[Slice](1)
        to_deliver, begun = anyio.create_memory_object_stream[Begun](0)
        stages = (
            functools.partial(read, self._sources, to_screen, limit=options.limit),
            functools.partial(screen, read_batches, to_encode, self._screener()),
            functools.partial(encode, screened, to_begin, slicer, prove, canary=options.canary, observe=observe),
            functools.partial(begin, slices, to_deliver, settler),
        )
        async with anyio.create_task_group() as group:
            for stage in stages:
                group.start_soon(_stage, stage, deliverer)
            await deliverer.run(begun)
            group.cancel_scope.cancel()  # whatever stands before has nobody to work for any more

    def _observe(self, screened: Screened) -> None:
        """Count what screening settles, where no survey has done so."""
        counts = screened.contacts["status"].drop_nulls().value_counts().iter_rows()
        self._progress.counts.update({Status(status): count for status, count in counts})
        self._judge()

    def _settled(self, number: int, outcome: Outcome) -> None:
        """Hear of every row that delivery settles."""
        progress = self._progress
        assert self._deliverer is not None
        assert self._pool is not None
        progress.counts[outcome.status] += 1
        progress.sent += 1
        progress.in_flight = self._deliverer.in_flight
        progress.open_sessions = self._pool.open_now
        assert self._gate is not None
        if not self._gate.open:
            self._gate.settled(number, outcome)
        elif progress.phase == "canary":
            progress.phase = "sending"
        if outcome.status is not Status.ACCEPTED:
            self._judge()

    def _judge(self) -> None:
        assert self._deliverer is not None
        if (error := self._threshold.judge(self._progress.counts)) is not None:
            self._deliverer.stop(error)

    # --- stopping -----------------------------------------------------------------------------------------------------

    async def _watch_signals(self) -> None:
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async for number in signals:
                if self._received is None:
                    self._received = int(number)
                    logger().warning("run.stopping", signal=number.name)
                self._interrupt()

    def _stop(self, group: TaskGroup, scope: anyio.CancelScope) -> None:
        """While rows are sent: finish what is in flight; at the second signal, or after a while, give that up too."""
        assert self._deliverer is not None
        if self._progress.phase == "stopping":
            scope.cancel()
            return
        self._progress.phase = "stopping"
        self._deliverer.stop()
        group.start_soon(self._give_up, scope, group)

    async def _give_up(self, scope: anyio.CancelScope, _: TaskGroup) -> None:
        with anyio.move_on_after(self._settings.delivery.stop_within):
            assert self._deliverer is not None
            await self._deliverer.ended.wait()
        scope.cancel()

    # --- the account ------------------------------------------------------------------------------------------------

    async def _account(self, survey: Survey | None) -> Result:
        """Ledger and summary, from the source and the journal alone."""
        self._progress.phase = "writing"
        tally = await anyio.to_thread.run_sync(self._write_ledger)
        summary = self._summary(tally)
        await anyio.to_thread.run_sync(summary.write, self._directory.path)
        self._progress.counts = Counter({Status(s): n for s, n in summary.counts.items() if n})
        self._progress.rows = summary.rows
        self._progress.phase = "done"
        return Result(summary, summary.error, survey)

    def _write_ledger(self) -> Tally:
        recovery = recover(self._directory.journal)
        try:
            if changed := describing.changed(self._sources, self._described.sources):
                raise SourceError(f"{', '.join(changed)} changed while the run went on")
            return write_ledger(
                self._directory.path, self._screened(), recovery, self._settings.ledger, self._settings.contacts
            )
        except SourceError as error:
            raise MachineFailed(
                f"The ledger cannot be written, since the source cannot be read again as it was: {error}. "
                f"What became of the rows that were sent is in {self._directory.journal}."
            ) from None

    def _summary(self, tally: Tally) -> Summary:
        counts = {Status(name): count for name, count in tally.counts.items()}
        pending = counts.pop(Status.PENDING, 0) if self._checking else counts.get(Status.PENDING, 0)
        sending = self._seconds["sending"]
        sessions = self._pool.counts if self._pool is not None else self._progress.sessions
        return Summary.of(
            tally,
            complete=not pending,
            seconds=Seconds(
                total=round(monotonic() - self._began, 3),
                survey=round(self._seconds["survey"], 3),
                sending=round(sending, 3),
            ),
            rate=round(self._progress.sent / sending, 1) if sending else 0.0,
            sessions=Sessions(sessions.opened, sessions.renewed, sessions.closed, sessions.expired),
            exit_code=exit_code(
                counts, failure=self._failure, received=self._received, tolerate=self._options.tolerate
            ),
            run_dir=self._directory.path,
            learnt=self._learnt(),
            error=str(self._failure) if self._failure else None,
        )

    def _learnt(self) -> list[str]:
        told = self._gate.keeps_ids if self._gate is not None else None
        known = self._settings.target.keeps_ids
        ids = [] if told is None or told == known else [f"target.keeps_ids = {str(told).lower()}"]
        return [*self._target.learnt(), *ids]


async def _stage(stage: Callable[[], Awaitable[None]], deliverer: Deliverer[Any]) -> None:
    """Run a stage; when it fails, what is in flight still finishes."""
    try:
        await stage()
    except anyio.BrokenResourceError:
        pass  # the stages behind it have ended
    except SourceError as error:
        # Rows may have been sent already, so this is no mistake of usage any more.
        deliverer.stop(MachineFailed(f"The source could not be read to its end: {error}"))
    except RunError as error:
        deliverer.stop(error)


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """The one exception that says most: an error of ours before any other."""
    flat: list[BaseException] = []
    stack: list[BaseException] = [errors]
    while stack:
        error = stack.pop()
        if isinstance(error, BaseExceptionGroup):
            stack.extend(error.exceptions)
        else:
            flat.append(error)
    return next((error for error in flat if isinstance(error, RunError)), flat[0])
