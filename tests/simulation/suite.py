"""Many seeds on all cores: each in a world and a directory of its own, results in the order of the seeds."""

import multiprocessing
import os
import shutil
import tempfile
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simulation.world import World

#: Seeds that wait for each worker: one slow seed must not keep the others idle.
_AHEAD = 20

#: Where there is a file system in memory, syncing costs nothing.
_MEMORY = Path("/dev/shm")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one seed came to."""

    seed: int
    struck: dict[str, int]  # how often what went wrong, by kind
    doubtful: int  # rows that stay in doubt, where the target keeps no ids
    processes: int  # of the pipeline, one after the other
    deaths: tuple[tuple[str, int], ...]  # where processes died: at the n-th event of a kind
    broken: str | None  # what does not hold; None: all does

    @property
    def replay(self) -> str:
        """The command that runs this seed again."""
        return f"scripts/torture --seed {self.seed}"


def play(seed: int, planted: str | None = None) -> Outcome:
    """Run one seed, with a mistake in the pipeline where one is named."""
    world, error = play_world(seed, planted)
    report = world.report
    broken = None if error is None else f"{type(error).__name__}: {error}"
    return Outcome(seed, dict(report.struck), report.doubtful, report.processes, tuple(report.deaths), broken)


def play_world(seed: int, planted: str | None = None) -> "tuple[World, Exception | None]":
    """Run one seed; the world as it was left, and what was wrong with it."""
    from simulation.planted import PLANTED
    from simulation.world import World

    base = Path(tempfile.mkdtemp(prefix="simulation-", dir=_MEMORY if os.access(_MEMORY, os.W_OK) else None))
    try:
        world = World(seed, base)
        try:
            with PLANTED[planted]() if planted else nullcontext():
                world.run()
        except Exception as error:  # noqa: BLE001 - whatever a seed finds belongs into its outcome
            return world, _first(error)
        return world, None
    finally:
        shutil.rmtree(base, ignore_errors=True)


def _first(error: Exception) -> Exception:
    """What lies in groups of task groups."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


class Workers:
    """Processes that run seeds, as many as there are cores; a context manager that ends them."""

    def __init__(self, processes: int | None = None) -> None:
        self._processes = processes or os.cpu_count() or 1

    def __enter__(self) -> "Workers":
        # Worlds are many and small: the threads of a data frame library would only get in each other's way.
        self._before = os.environ.get("POLARS_MAX_THREADS")
        os.environ["POLARS_MAX_THREADS"] = "1"
        self._pool = ProcessPoolExecutor(self._processes, mp_context=multiprocessing.get_context("spawn"))
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)
        del os.environ["POLARS_MAX_THREADS"]
        if self._before is not None:
            os.environ["POLARS_MAX_THREADS"] = self._before

    def play(self, seeds: Iterable[int], planted: str | None = None) -> Iterator[Outcome]:
        """Run seeds in parallel; outcomes come in the order of the seeds. Closing the iterator stops the rest."""
        left = iter(seeds)
        running = deque(self._pool.submit(play, seed, planted) for seed in islice(left, _AHEAD * self._processes))
        try:
            while running:
                yield running.popleft().result()
                running.extend(self._pool.submit(play, seed, planted) for seed in islice(left, 1))
        finally:
            for each in running:
                each.cancel()


def seeds_by_kind(outcomes: Iterable[Outcome]) -> Counter[str]:
    """In how many seeds each kind of fault struck."""
    return Counter(str(kind) for outcome in outcomes for kind, times in outcome.struck.items() if times)
