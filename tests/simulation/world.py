"""One seed, one world: a list, a target, a machine, and the processes that import the one into the other."""

import logging
import os
import random as chance
import shutil
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, Final
from unittest.mock import patch

from simulation import checks
from simulation.disk import SimDisk
from simulation.faults import Faults
from simulation.lists import POOL, mail, phone, write_list
from simulation.process import End, Process, Trouble
from simulation.store import Store
from simulation.target import SimModule, SimTarget
from simulation.virtual import Clock

from pipeline import run
from pipeline.config import Settings
from pipeline.errors import MachineFailed, PipelineError, UsageError
from pipeline.ledger.recovery import NothingBegun
from pipeline.report import html
from pipeline.run import ImportOptions, Result, Surroundings
from pipeline.stages.read import Source
from pipeline.stages.screen import Authorities

#: When every world begins, in seconds since the epoch.
EPOCH: Final = 1_795_350_000.0

CAMPAIGN: Final = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
PASSWORD: Final = "CONTACT_PIPELINE_SIMULATION_PASSWORD"

#: Shared by all worlds of this process: looking at a phone number is slow.
AUTHORITIES: Final = Authorities()

#: Each of the first so many writes to a journal is where some world's first process dies.
WRITES: Final = 30

#: Processes that a world is troubled for at most, before it comes to rest.
MOST_TROUBLED: Final = 5


class Broken(AssertionError):
    """A world in which something does not hold; one line a problem."""


@dataclass(frozen=True, slots=True)
class Knobs:
    """What a world is like; drawn from its seed."""

    keeps_ids: bool  # what the target does
    configured: bool | str  # target.keeps_ids
    canary: int
    stream: bool
    late_effect: float  # seconds
    timeout: float  # seconds
    outage: float  # seconds
    attempts: int
    sessions: int
    calls_per_session: int
    room: int  # sessions that the target allows
    idle_limit: float  # seconds
    stop_within: float  # seconds
    rows: int
    lists: int  # sources that make up the input
    slice_rows: int
    before: int  # contacts of our own ids that stood there before
    strangers: int  # contacts of others
    known: tuple[str, ...]  # where "already there" is looked up
    rival: bool  # a second run of the same lists is begun while the first is not at rest
    once_more: bool  # the same lists are imported again in the end
    upsert: bool  # then the lists are changed, and what is there is updated

    @classmethod
    def draw(cls, random: Random) -> "Knobs":
        """Chosen at random."""
        keeps_ids = random.random() < 0.75
        sessions = random.randint(3, 5)
        rows = random.randint(300, 360)
        both = ("state", "target")
        known = random.choice((both, both, both, ("state",), ("target",))) if keeps_ids else both
        return cls(
            keeps_ids=keeps_ids,
            configured=random.choice((keeps_ids, "ask")),
            canary=random.choice((0, 5)),
            stream=random.random() < 0.3,
            late_effect=random.uniform(2, 30),
            timeout=random.uniform(1, 10),
            outage=random.uniform(5, 60),
            attempts=random.randint(1, 5),
            sessions=sessions,
            calls_per_session=random.choice((1, 1, 2)),
            room=random.choice((1000, 1000, sessions + 1, sessions - 1)),
            idle_limit=random.choice((20.0, 60.0, 600.0)),
            stop_within=random.uniform(0.01, 5),
            rows=rows,
            lists=random.choice((1, 1, 2)),
            slice_rows=random.randint(40, 110),
            before=random.choice((0, 5, 40)) if keeps_ids and "target" in known else 0,
            strangers=random.choice((0, 10, 40)),
            known=known,
            rival=random.random() < 0.3,
            once_more=random.random() < 0.3,
            upsert=keeps_ids and random.random() < 0.3,
        )


@dataclass(slots=True)
class Report:
    """What a world came to."""

    seed: int
    struck: Counter[str]  # what went wrong, by kind
    trace: list[str]  # every call to the target
    doubtful: int  # rows that stay in doubt
    processes: int
    problems: list[str] = field(default_factory=list)
    deaths: list[tuple[str, int]] = field(default_factory=list)  # where processes died: at the n-th event of a kind


class World:
    """Built from its seed in the empty directory `base`; `run` goes through all of it."""

    def __init__(self, seed: int, base: Path) -> None:
        self.seed = seed
        self.authorities = AUTHORITIES
        self._random = Random(f"world {seed}")
        self.knobs = knobs = Knobs.draw(Random(f"knobs {seed}"))
        self.clock = Clock()
        self._base = base
        self._home = base / "home"  # the machine's files
        self._home.mkdir()
        self.faults = Faults(
            Random(f"faults {seed}"), late_effect=knobs.late_effect, timeout=knobs.timeout, outage=knobs.outage
        )
        self.store = Store(self.clock, Random(f"store {seed}"), keeps_ids=knobs.keeps_ids, idle_limit=knobs.idle_limit)
        self.disk = SimDisk(Random(f"disk {seed}"))
        self.report = Report(seed, self.faults.struck, [], 0, 0)
        self.run_dirs: list[Path] = []
        self.before: frozenset[str] = frozenset()  # ids of ours that stood there before
        self.sources = self._written()
        self.settings: Settings
        self.changed: list[str] = []  # the lists that were upserted in the end
        self._pause = 0.0  # seconds between the crash and the restart
        self._process: Process

    # --- what is there in the beginning -----------------------------------------------------------------------------

    def _written(self) -> list[str]:
        knobs, paths = self.knobs, []
        rows = knobs.rows // knobs.lists
        for number in range(knobs.lists):
            path = self._home / f"list-{number}.csv"
            write_list(path, self._random, number * rows, rows)
            paths.append(str(path))
        return paths

    def _tables(self) -> dict[str, Any]:
        knobs = self.knobs
        return {
            "target": {
                "system": "onc",
                "endpoint": "http://127.0.0.1:9/",
                "account_id": "account",
                "username": "user",
                "password": {"env": PASSWORD},
                "campaign_id": CAMPAIGN,
                "keeps_ids": knobs.configured,
            },
            "contacts": {
                "key": ["customer_id"],
                "region": "CA",
                "sms": {"destination": "{mobile}", "text": "Hi {first_name}", "retries": 7},
                "email": {"destination": "{email}"},
            },
            "delivery": {
                "sessions": knobs.sessions,
                "calls_per_session": knobs.calls_per_session,
                "timeout": knobs.timeout,
                "late_effect": knobs.late_effect,
                "attempts": knobs.attempts,
                "outage": knobs.outage,
                "stop_within": knobs.stop_within,
            },
            "sessions": {"idle_limit": knobs.idle_limit, "renew_margin": knobs.idle_limit / 10},
            "state": {"directory": str(self._home / "state"), "known": list(knobs.known)},
            "ledger": {"formats": ["parquet"] if self._random.random() < 0.8 else ["parquet", "csv"]},
        }

    def _populate(self) -> None:
        """Contacts that the target holds before anything is sent: rows of ours, and other people's."""
        # The ids and contents of ours are learnt by screening, as a run does it.
        contacts = checks.sendable(self.settings, self.opened(), AUTHORITIES)
        ours = self._random.sample(contacts, min(self.knobs.before, len(contacts)))
        for contact_id, content in ours:
            self.store.add(contact_id, content, {"sms": 7, "email": 3}, effective=-1e6, listed=-1e6)
        self.before = frozenset(contact_id for contact_id, _ in ours)
        for _ in range(self.knobs.strangers):
            number = self._random.randrange(POOL)
            content = (
                ("sms", phone(number), self._random.choice((None, f"Hi Zoë{number}"))),
                ("email", mail(number), None),
            )
            self.store.add(None, content[: self._random.choice((1, 2))], {}, effective=-1e6, listed=-1e6)
        self.report.struck["stood there before"] += len(ours)
        self.report.struck["strangers at our destinations"] += self.knobs.strangers
        self.report.struck["target keeps no ids"] += not self.knobs.keeps_ids

    def opened(self, sources: list[str] | None = None) -> list[Source]:
        return run.load([], [], sources or self.sources, inline=self._tables())[1]

    # --- the course of things ---------------------------------------------------------------------------------------

    def run(self) -> Report:
        """Import under faults, go on after each, let the faults end, and check everything. Raises Broken."""
        # What a page shows is none of a world's business, and to draw it is a quarter of the work.
        with _quiet(self.seed), patch.object(html, "render", lambda _: ""):
            self.settings, _ = run.load([], [], self.sources, inline=self._tables())
            self._populate()
            first, second = (self._home / f"run-{number}" for number in range(2))
            self._import(first, self._troubles(first=True))
            for _ in range(self._random.randint(0, MOST_TROUBLED - 1)):
                self.faults.mends()
                if self.knobs.rival and self._random.random() < 0.4:
                    self.faults.strike("second run of the same lists")
                    self._resume(second, self._troubles())
                else:
                    self._resume(first, self._troubles())
            self._come_to_rest()
            if self.knobs.once_more:
                self._import_once_more(self._home / "run-2")
            if self.knobs.upsert:
                self._upsert(self._home / "run-3")
            checks.check(self)
        if self.report.problems:
            raise Broken("\n".join(self.report.problems))
        return self.report

    def _come_to_rest(self) -> None:
        """Nothing goes wrong any more, and every run is gone on with: once must do."""
        self.faults.clear_up()
        self.clock.now += self._random.uniform(0, 10)
        if self.knobs.room < 1000:  # the sessions that crashes left behind are in the way until they expire
            self.clock.now += self.knobs.idle_limit
        for run_dir in self._random.sample(self.run_dirs, len(self.run_dirs)):
            end = self._resume(run_dir, [])
            if self.knobs.canary and end.result is not None and end.result.summary.exit_code == 6:
                # Contacts of an earlier process were damaged: they are taken back, and a person has to look.
                self.faults.strike("damage found later")
                end = self._resume(run_dir, [])
            if end.result is None or end.result.summary.exit_code not in (0, 1, 4):
                self._fail(f"once faults had ended {run_dir.name} ended with {self._words(end)}")

    def _import_once_more(self, run_dir: Path) -> None:
        """The same lists again: what is there already is not sent."""
        self.faults.strike("imported once more")
        before = len(self.report.trace)
        there = {contact.sent_id for contact in self.store.contacts}
        self._import(run_dir, [])
        sent = {line.split()[3] for line in self.report.trace[before:] if " send " in line}
        if again := sorted(sent & there):
            self._fail(f"{len(again)} rows that are there were sent again, the first: {again[0]}")

    def _upsert(self, run_dir: Path) -> None:
        """Changed lists, under faults again: what is there gets the new content, the rest is added."""
        self.faults.strike("changed lists")
        for path in map(Path, self.sources):
            text = path.read_text(encoding="utf-8")
            path.with_stem(f"{path.stem}-changed").write_text(
                "".join(
                    line.replace("Zoë", "Zoé", 1) if self._random.random() < 0.2 else line
                    for line in text.splitlines(keepends=True)
                ),
                encoding="utf-8",
            )
        self.changed = [str(Path(path).with_stem(f"{Path(path).stem}-changed")) for path in self.sources]
        self.faults.flare_up()
        self._import(run_dir, self._troubles(), sources=self.changed)
        for _ in range(self._random.randint(0, 2)):
            self._resume(run_dir, self._troubles(), sources=self.changed)
        self.faults.clear_up()
        self.clock.now += self.knobs.idle_limit
        end = self._resume(run_dir, [], sources=self.changed)
        if end.result is None or end.result.summary.exit_code not in (0, 1):
            self._fail(f"once faults had ended {run_dir.name} ended with {self._words(end)}")
        self.clock.now += self.knobs.late_effect

    def _troubles(self, *, first: bool = False) -> list[Trouble]:
        """What strikes the next process."""
        random = self._random
        troubles = []
        if first and self.seed % 2 == 0:  # over the seeds every write is a place to die at
            when = random.choice(("before", "after", "after", "after"))
            return [Trouble("crash", "write", 1 + self.seed // 2 % WRITES, when)]
        for _ in range(random.choice((0, 1, 1, 2, 2))):
            kind = random.choice(("crash", "crash", "signal", "signal", "disk full", "disk error"))
            places = {
                "crash": ("write", "call", "call", "thread", "thread", "seconds", "rename"),
                "signal": ("call", "seconds", "thread"),
                "disk full": ("write", "write", "rename"),
                "disk error": ("sync",),
            }[kind]
            at = random.choice(places)
            most = {"write": 60, "sync": 60, "call": 500, "thread": 120, "seconds": 0, "rename": 4}[at]
            most = most if random.random() < 0.5 or at == "rename" else most // 5
            count = random.uniform(0, random.choice((1, 10, 60))) if at == "seconds" else random.randint(1, most)
            trouble = Trouble(
                kind, at, count, random.choice(("before", "after")) if kind == "crash" and at != "call" else "before"
            )
            troubles.append(trouble)
            if kind == "signal" and random.random() < 0.4:
                troubles.append(Trouble("signal", "call", random.randint(1, 500)))
        return troubles

    def _import(self, run_dir: Path, troubles: list[Trouble], *, sources: list[str] | None = None) -> End:
        """Start a run; other `sources` than the first ones are upserted."""
        if run_dir not in self.run_dirs:
            self.run_dirs.append(run_dir)
        options = ImportOptions(
            run_dir=run_dir, canary=self.knobs.canary, stream=self.knobs.stream, upsert=sources is not None
        )

        async def body(surroundings: Surroundings) -> Result:
            return await run.import_contacts(self.settings, self.opened(sources), options, surroundings=surroundings)

        return self._run(f"import into {run_dir.name}", body, troubles)

    def _resume(self, run_dir: Path, troubles: list[Trouble], *, sources: list[str] | None = None) -> End:
        """Go on with a run, or start it where it was never begun."""
        if not (run_dir / "journal.jsonl").exists():
            return self._import(run_dir, troubles, sources=sources)

        async def body(surroundings: Surroundings) -> Result:
            return await run.resume_run(run_dir, surroundings=surroundings)

        end = self._run(f"resume {run_dir.name}", body, troubles)
        if isinstance(end.error, NothingBegun):
            self.faults.strike("nothing begun")
            shutil.rmtree(run_dir)
            return self._import(run_dir, troubles, sources=sources)
        return end

    def _run(self, what: str, body: Callable[[Surroundings], Awaitable[Result]], troubles: list[Trouble]) -> End:
        random = Random(self._random.random())
        self.report.processes += 1
        self._process = process = Process(
            self.report.processes, random, self.disk, self.clock, troubles, self._crashed, self.faults.strike
        )
        self._told(f"{process.number} begins at {self.clock.now:.6f}: {what}, {troubles}")
        surroundings = Surroundings(
            wall_clock=lambda: EPOCH + self.clock.now,
            random=Random(random.random()),
            disk=self.disk,
            module=lambda _: SimModule(self._made),
            clients=_no_clients,
            authorities=AUTHORITIES,
            stopping=process.stopping,
            slice_rows=self.knobs.slice_rows,
        )
        end = process.run(partial(body, surroundings))
        self._told(f"{process.number} ends at {self.clock.now:.6f}: {self._words(end)}")
        if end.crashed:
            shutil.rmtree(self._home)
            shutil.move(self._base / "snapshot", self._home)
            self.clock.now += self._pause
        else:
            self._check_end(end, process)
            self.clock.now += self._random.choice((0.0, self._random.uniform(0, 100)))
        return end

    def _made(self, settings: Settings) -> SimTarget:
        process = self._process
        process.target = SimTarget(
            settings,
            self.store,
            self.faults,
            self.clock,
            process.passing,
            process=process.number,
            room=self.knobs.room,
            trace=self.report.trace,
        )
        return process.target

    def _crashed(self, place: str, count: int) -> None:
        """The process dies here: leave disk and target as they are now."""
        self._told(f"{self._process.number} crashes at {self.clock.now:.6f}: {place} {count}")
        self.report.deaths.append((place, count))
        self._pause = self._random.choice((0.0, self._random.uniform(0, 5), self._random.uniform(0, 1000)))
        if self._random.random() < 0.8:
            for kind in sorted(self.disk.crash()):
                self.faults.strike(kind)
        else:
            self.faults.strike("killed, disk kept")
            self.disk.restart()
        shutil.copytree(self._home, self._base / "snapshot")
        target = self._process.target
        if target is not None:
            for flight in list(target.flights.values()):
                self.faults.strike("call in flight at a crash")
                # Counted from the restart: whoever starts again cannot know when the last request left.
                target.give_up(flight, self.clock.now + self._pause)
                flight.decided = True

    # --- how a process may end --------------------------------------------------------------------------------------

    def _check_end(self, end: End, process: Process) -> None:
        """No process ends as none should, and none leaves a session behind that it could have closed."""
        if isinstance(end.error, PipelineError):
            allowed = isinstance(end.error, NothingBegun) or getattr(end.error, "exit_code", 8) in (143, 8, 5, 6)
            if not allowed or isinstance(end.error, UsageError):
                self._fail(f"process {process.number} ended with {self._words(end)}")
        elif end.result is not None:
            summary = end.result.summary
            if sum(summary.counts.values()) != summary.rows:
                self._fail(f"process {process.number}: the counts do not add up to the rows")
            if "mistake in contact-pipeline" in (summary.error or ""):
                self._fail(f"process {process.number}: {summary.error}")
            if isinstance(end.error, MachineFailed):
                self._fail(f"process {process.number}: {end.error}")
        for session in process.target.sessions if process.target else ():
            if not session.asked_to_close and not session.ended:
                self._fail(f"process {process.number} left session {session.number} open")

    def _words(self, end: End) -> str:
        if end.result is not None:
            summary = end.result.summary
            counts = {status: count for status, count in summary.counts.items() if count}
            return f"exit {summary.exit_code}, {counts}, {summary.error}"
        return "a crash" if end.crashed else f"{type(end.error).__name__}: {end.error}"

    def _told(self, line: str) -> None:
        """Put a line into the trace; the directory's name is another every time."""
        self.report.trace.append(line.replace(str(self._base), "").replace("\n", " "))

    def _fail(self, problem: str) -> None:
        self.report.problems.append(problem)


def _no_clients() -> Any:
    raise AssertionError("the in-memory target makes no calls over HTTP")


@contextmanager
def _quiet(seed: int) -> Iterator[None]:
    """A world's own chance where the pipeline's libraries use the common one; no log; a password."""
    state = chance.getstate()
    log = logging.getLogger("contact_pipeline")
    level = log.level
    chance.seed(f"libraries {seed}")
    log.setLevel(logging.CRITICAL + 1)
    os.environ[PASSWORD] = "secret"
    try:
        yield
    finally:
        del os.environ[PASSWORD]
        log.setLevel(level)
        chance.setstate(state)
