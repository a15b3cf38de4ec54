"""Real processes are killed, cut off and starved at moments that the simulator chooses: in the end every row is there
once, and ledger, journal and target agree.
"""

import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, Final

import pytest
from kills.kit import ADD, MOMENTS, Import, Moment, Striking, Victim, ended, execute, simulated, start, told

from pipeline.simulator import Fault

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and limits are those of POSIX")

ROWS: Final = 120

#: The operation by which doubts are settled.
LISTING: Final = "GetCampaignContactsListing"

#: Kills of one run before it is left to finish.
KILLS: Final = 4

#: Processes that may be needed after the last kill: one settles what the one before has left in doubt.
ATTEMPTS: Final = 5

#: What kind of target: how the simulator behaves.
TARGETS: Final[dict[str, dict[str, Any]]] = {
    "keeps our ids": {},
    "stores and cuts": {"faults": (Fault("cut", every=23, stored=True),), "late_effect": 0.1},
    "cuts": {"faults": (Fault("cut", every=23),)},
    "gives its own ids": {"own_ids": True},
    "gives its own ids, stores and cuts": {"own_ids": True, "faults": (Fault("cut", every=23, stored=True),)},
}


def killed(simulator: Striking, command: list[str], operation: str, number: int, moment: Moment) -> tuple[int, str]:
    """Run a command that is killed at a moment of the n-th call; it ends by itself if that never comes."""
    victim = Victim()
    simulator.arm(operation, number, moment, victim.kill)
    try:
        return ended(victim.run(start(command)))
    finally:
        simulator.disarm()


def complete(work: Import, code: int, said: str, *, keeps_ids: bool) -> None:
    """Go on until nothing is left to do; `code` is what the last process ended with. The ledger is never wrong."""
    for _ in range(ATTEMPTS):
        if code == 0:
            break
        if code == 4:  # it gave an account of itself
            work.assert_agreement()
        code, said = execute(work.resuming)
        assert code in (0, 4), said
    assert code == 0, said
    work.assert_complete(keeps_ids=keeps_ids)


@pytest.mark.parametrize("target", TARGETS)
def test_killed_at_random_again_and_again(tmp_path, target):
    seed = int(os.environ.get("KILLS_SEED") or random.SystemRandom().randrange(1 << 32))
    story = [f"the seed is {seed}: repeat it with KILLS_SEED={seed}"]
    chance = random.Random(seed)
    with told(story), simulated(latency=0.003, **TARGETS[target]) as (server, simulator):
        work = Import(tmp_path, server, ROWS, "delivery.sessions=4")
        for _ in range(KILLS):
            # Half of them fall into the first calls of a process: sessions, reconciling, the canary and its proof.
            operation, last = chance.choice((("*", 12), (ADD, ROWS // KILLS)))
            number, moment = chance.randint(1, last), chance.choice(MOMENTS)
            code, said = killed(simulator, work.next, operation, number, moment)
            story.append(f"{moment} {operation} {number}: {code}, stored {server.state()['adds']['stored']}")
            assert code in (0, 4, -9), said
        complete(work, code, said, keeps_ids=not server.simulator.settings.own_ids)
        assert execute([*work.resuming[:3], "verify", str(work.run_dir)])[0] == 0


def test_killed_before_a_resumed_run_sends(tmp_path):
    with simulated(latency=0.003) as (server, simulator):
        work = Import(tmp_path, server, 40, "delivery.sessions=4")
        assert killed(simulator, work.beginning, ADD, 20, "done")[0] == -9
        received = server.state()["adds"]["received"]
        for operation in ("OpenAPISession", "GetCampaign", LISTING):
            for moment in MOMENTS:
                code, said = killed(simulator, work.resuming, operation, 1, moment)
                assert code == -9, said
                assert server.state()["adds"]["received"] == received, "doubts are settled before anything is sent"
        code, said = execute(work.resuming)
        assert code == 0, said
        work.assert_complete()


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_between_the_last_outcome_and_the_ledger(tmp_path, moment):
    with simulated() as (server, simulator):
        work = Import(tmp_path, server, 40, "delivery.sessions=1")
        code, said = killed(simulator, work.beginning, "CloseAPISession", 1, moment)
        assert code == -9, said
        assert not (work.run_dir / "ledger.parquet").exists()
        received = server.state()["adds"]["received"]
        code, said = execute(work.resuming)
        assert code == 0, said
        assert server.state()["adds"]["received"] == received == 40
        work.assert_complete()


# --- the disk is full ---


@contextmanager
def file_size_limit(work: Import, simulator: Striking) -> Iterator[dict[str, Any]]:
    """No file may grow beyond the size that the journal has some rows after it was begun."""
    import resource

    victim = Victim()

    async def limit() -> None:
        size = work.journal.stat().st_size + 300
        resource.prlimit(victim.process.pid, resource.RLIMIT_FSIZE, (size, size))  # type: ignore[attr-defined]

    simulator.arm(ADD, 20, "arrived", limit)
    yield {"started": victim.run}


@contextmanager
def small_file_system(work: Import, simulator: Striking) -> Iterator[dict[str, Any]]:
    """The run directory lies on a file system that fills up some rows after the run was begun. Needs root."""
    work.run_dir.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k,mode=0700", "tmpfs", str(work.run_dir)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        work.run_dir.rmdir()  # a limit on the size of files stands in for it
        with file_size_limit(work, simulator) as options:
            yield options
        return
    ballast = work.run_dir / "ballast"

    async def fill() -> None:
        with ballast.open("wb", buffering=0) as file:
            for size in (1 << 16, 1 << 12, 1):
                with suppress(OSError):  # it is full for pieces of this size
                    while True:
                        file.write(bytes(size))

    simulator.arm(ADD, 20, "arrived", fill)
    try:
        yield {"lift": ballast.unlink}
    finally:
        subprocess.run(["umount", str(work.run_dir)], check=True)


@pytest.mark.skipif(sys.platform != "linux", reason="limits of another process and tmpfs are Linux's")
@pytest.mark.parametrize("full", [file_size_limit, small_file_system])
def test_a_full_disk_ends_the_run_and_an_emptied_one_completes_it(tmp_path, full):
    with simulated(latency=0.002) as (server, simulator):
        work = Import(tmp_path, server, ROWS, "delivery.sessions=4")
        with full(work, simulator) as options:
            process = start(work.beginning)
            options.get("started", lambda _: None)(process)
            code, said = ended(process)
            simulator.disarm()
            assert code == 8, said
            assert str(work.run_dir) in said
            assert "resume" in said
            assert 20 <= server.state()["adds"]["stored"] < ROWS
            lift: Callable[[], None] = options.get("lift", lambda: None)
            lift()
            code, said = execute(work.resuming)
            assert code == 0, said
            work.assert_complete()


# --- the network is gone ---


@pytest.mark.parametrize(
    ("outage", "stored"),
    [("refuse", False), ("503", False), ("cut", False), ("cut", True), ("hang", False), ("hang", True)],
)
def test_a_lost_network_leaves_a_doubtful_row_per_call_at_most(tmp_path, outage, stored):
    with simulated(latency=0.002, late_effect=0.1) as (server, simulator):
        quick = ("delivery.outage=0.5", "delivery.timeout=1")
        work = Import(tmp_path, server, ROWS, "delivery.sessions=2", *quick)
        simulator.arm(ADD, 40, "arrived", partial(_lose, simulator, outage, stored))
        code, said = execute(work.beginning)
        assert code == 5, said
        counts = work.assert_agreement()
        assert counts.get("in_doubt", 0) <= 2
        assert counts["pending"] > 0
        server.control(outage=None)
        code, said = execute(work.resuming)
        assert code == 0, said
        work.assert_complete()


async def _lose(simulator: Striking, outage: str, stored: bool) -> None:
    await simulator.control({"outage": outage, "stored": stored})
