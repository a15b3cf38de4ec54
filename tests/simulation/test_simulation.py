"""The whole pipeline under virtual time and seeded faults: whatever strikes, the rows are accounted for in the end."""

import os
import subprocess
import sys
from pathlib import Path

import anyio
import pytest
from simulation import virtual
from simulation.suite import play_world, seeds_by_kind
from simulation.virtual import Clock, Stalled
from simulation.world import WRITES

#: What mistakes break in one seed of fifty is found; `scripts/torture` plays as many more as one likes.
SEEDS = 120

#: So many seeds at least must have met each kind of fault.
OFTEN = 4

#: Every kind of fault that a world knows.
KINDS = {
    "answer lost after the effect",
    "answer lost before the effect",
    "call in flight at a crash",
    "changed lists",
    "cancelled call",
    "closing's answer lost",
    "crash at call",
    "crash at seconds",
    "crash at rename",
    "crash at thread",
    "crash at write",
    "disk error at sync",
    "deletion's answer lost",
    "disk full at rename",
    "disk full at write",
    "expired in mid-flight",
    "idle session expired",
    "imported once more",
    "journal lost",
    "journal torn",
    "killed, disk kept",
    "lagging list",
    "late effect",
    "list broken off",
    "member lost",
    "not delivered",
    "null list",
    "opening's answer lost",
    "outage, no answer",
    "outage, refused",
    "503 storm",
    "pages out of order",
    "put off",
    "refused",
    "second run of the same lists",
    "session refused",
    "signal at call",
    "signal at seconds",
    "signal at thread",
    "slow answer",
    "stood there before",
    "strangers at our destinations",
    "taken back",
    "target keeps no ids",
    "took effect later",
}


def test_every_row_is_accounted_for_whatever_strikes(workers):
    """And every kind of fault strikes in many worlds, and every write is a place to die: one test, as another worker
    would play all of them once more.
    """
    outcomes = list(workers.play(range(SEEDS)))
    failed = [f"{o.broken}\nRun it again: {o.replay}" for o in outcomes if o.broken is not None]
    assert not failed, f"{len(failed)} of {SEEDS} seeds fail, the first:\n{failed[0]}"
    seeds = seeds_by_kind(outcomes)
    assert {kind: seeds[kind] for kind in KINDS if seeds[kind] < OFTEN} == {}
    struck = {number for outcome in outcomes for place, number in outcome.deaths if place == "write"}
    assert set(range(1, WRITES + 1)) - struck == set()


def test_a_seed_is_the_same_twice():
    """In another process too, where hashes of text are others."""
    seed = 7
    world, _ = play_world(seed)
    again, _ = play_world(seed)
    assert world.report.trace == again.report.trace
    tests = str(Path(__file__).parents[1])
    environment = {**os.environ, "PYTHONHASHSEED": "1", "PYTHONPATH": os.pathsep.join([tests, *sys.path])}
    command = [sys.executable, "-m", "simulation.torture", "--seed", str(seed)]
    told = subprocess.run(command, env=environment, capture_output=True, text=True, check=False).stdout.splitlines()
    assert [line for line in told if line in set(world.report.trace)] == world.report.trace


def test_time_is_virtual_and_what_never_ends_is_told():
    clock = Clock()

    async def sleep() -> float:
        await anyio.sleep(3600)
        return anyio.current_time()

    assert virtual.run(sleep, clock, shift=5) == pytest.approx(3605)
    assert clock.now == pytest.approx(3600)

    async def wait() -> None:
        await anyio.Event().wait()

    with pytest.raises(Stalled, match="nothing is ready"):
        virtual.run(wait, clock)

    async def spin() -> None:
        while True:  # noqa: ASYNC110 - there is nothing to wait for
            await anyio.sleep(1)

    with pytest.raises(Stalled, match="no end after"):
        virtual.run(spin, clock)
