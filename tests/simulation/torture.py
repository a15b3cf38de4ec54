"""Runs seeds for as long as one likes and stops at the first that fails: scripts/torture --help."""

import argparse
import sys
from collections.abc import Iterable
from contextlib import closing
from itertools import islice
from time import perf_counter

from simulation.suite import Outcome, Workers, play_world, seeds_by_kind


def main(arguments: list[str] | None = None) -> int:
    """0: every seed held; 1: one did not, which is told with the command that runs it again."""
    parser = argparse.ArgumentParser(
        prog="scripts/torture", description="The pipeline against a target in memory, under virtual time and faults."
    )
    parser.add_argument("--seeds", type=int, default=300, metavar="N", help="how many seeds (default: 300)")
    parser.add_argument("--from", type=int, default=0, metavar="M", dest="first", help="the first seed (default: 0)")
    parser.add_argument("--seed", type=int, metavar="S", help="this one alone, with everything that happened")
    parser.add_argument("--processes", type=int, metavar="P", help="in parallel (default: the cores)")
    options = parser.parse_args(arguments)
    if options.seed is not None:
        return _one(options.seed)
    return _many(range(options.first, options.first + options.seeds), options.processes)


def _one(seed: int) -> int:
    world, error = play_world(seed)
    _say(f"{world.knobs}", *world.report.trace)
    _say(*(f"{times:6} {kind}" for kind, times in sorted(world.report.struck.items()) if times))
    if error is not None:
        _say(f"seed {seed} fails: {type(error).__name__}: {error}")
        return 1
    _say(f"seed {seed} holds after {world.report.processes} processes; {world.report.doubtful} rows stay in doubt")
    return 0


def _many(seeds: range, processes: int | None) -> int:
    began = perf_counter()
    held: list[Outcome] = []
    with Workers(processes) as workers, closing(workers.play(seeds)) as outcomes:
        for outcome in outcomes:
            if outcome.broken is not None:
                _say(_speed(held, began), f"seed {outcome.seed} fails: {outcome.broken}", f"Again: {outcome.replay}")
                return 1
            held.append(outcome)
            if len(held) % 500 == 0:
                _say(_speed(held, began))
    _say(_speed(held, began), *_kinds(held))
    return 0


def _speed(held: list[Outcome], began: float) -> str:
    seconds = perf_counter() - began
    return f"{len(held)} seeds held, {len(held) / seconds:.1f} a second"


def _kinds(held: list[Outcome]) -> Iterable[str]:
    kinds = seeds_by_kind(held)
    yield "What went wrong, and in how many seeds:"
    yield from (f"{seeds:6} {kind}" for kind, seeds in islice(kinds.most_common(), 100))


def _say(*lines: str) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
