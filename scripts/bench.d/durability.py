"""What making the journal durable costs: rows a second with fsync against rows a second without.

One import, within which fsync is switched on and off in turns, so that whatever else the machine does weighs on both.
Each turn with fsync is compared with its two neighbours without. Once over loopback, where HTTP takes most of the time,
and once with row calls that are answered at once in memory, where the journal's share is as large as it can be.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

import anyio

from pipeline import run, targets
from pipeline.ledger.disk import OsDisk
from pipeline.run import ImportOptions, Surroundings

CONFIG = """
[target]
system = "onc"
endpoint = "{url}"
account_id = "account"
username = "user"
password = "password"
campaign_id = "11111111-1111-4111-8111-111111111111"
[contacts]
key = ["id"]
[contacts.email]
destination = "{{email}}"
"""


class Switched(OsDisk):
    """A disk whose fsync can be switched off."""

    __slots__ = ("on",)

    def __init__(self) -> None:
        self.on = True

    def sync(self, handle: int) -> None:
        """Make a file durable, or do nothing."""
        if self.on:
            super().sync(handle)


class Instant:
    """A target whose row calls are answered at once; all else is the real one's."""

    def __init__(self, target: Any) -> None:
        self._target = target

    def __getattr__(self, name: str) -> Any:
        return getattr(self._target, name)

    async def send(self, handle: Any, body: Any) -> str:
        """Accept a row."""
        return "0"


class InstantModule:
    """The module of a system, making such targets."""

    def __init__(self, system: str) -> None:
        self._module = targets.module(system)
        self.TARGET_SETTINGS = self._module.TARGET_SETTINGS

    def create(self, *arguments: Any) -> Any:
        """Make the target."""
        return Instant(self._module.create(*arguments))


@contextmanager
def simulator() -> Iterator[str]:
    """A simulator in a process of its own; gives its address."""
    command = [sys.executable, "-m", "pipeline", "simulate"]
    with subprocess.Popen(  # noqa: S603 - a constant command
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


async def turns(disk: Switched, progress: run.Progress, seconds: float, rates: list[float]) -> None:
    """Switch for ever, beginning with off; put down the rows a second of each turn."""
    while not progress.sent:  # noqa: ASYNC110 - progress is a plain object without events
        await anyio.sleep(0.01)
    disk.on = True
    while True:
        disk.on = not disk.on
        sent, began = progress.sent, perf_counter()
        await anyio.sleep(seconds)
        rates.append((progress.sent - sent) / (perf_counter() - began))


def measured(directory: Path, rows: int, seconds: float, sessions: int, *, instant: bool) -> list[float]:
    """Rows a second of each turn of one import."""
    source, config = directory / "list.csv", directory / "config.toml"
    with source.open("w", encoding="utf-8") as file:
        file.write("id,email\n")
        file.writelines(f"c{row},p{row}@example.com\n" for row in range(rows))
    os.environ["CONTACT_PIPELINE_STATE"] = str(directory / "state")
    disk, progress, rates = Switched(), run.Progress(), list[float]()
    surroundings = Surroundings(disk=disk, module=InstantModule if instant else targets.module)
    options = ImportOptions(run_dir=directory / "run", canary=0, stream=True)  # rows alone are measured

    async def main(url: str) -> run.Result:
        config.write_text(CONFIG.format(url=url), encoding="utf-8")
        settings, sources = run.load([config], [f"delivery.sessions={sessions}"], [str(source)])
        async with anyio.create_task_group() as group:
            group.start_soon(turns, disk, progress, seconds, rates)
            result = await run.import_contacts(settings, sources, options, progress=progress, surroundings=surroundings)
            group.cancel_scope.cancel()
        return result

    with simulator() as url:
        result = anyio.run(main, url, backend_options={"use_uvloop": True})
    if result.summary.exit_code:
        raise SystemExit(f"an import ended with {result.summary.exit_code}: {result.error}")
    # Nothing was sent any more in the last turns, and the first one is for warming up.
    while rates and rates[-1] < max(rates) / 10:
        rates.pop()
    rates = rates[2:-1]
    if len(rates) < 3:
        raise SystemExit(f"{rows} rows are sent in too few turns: take more (--rows) or shorten them (--turn)")
    return rates


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="scripts/bench durability", description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000, help="rows that go over loopback (%(default)s); in memory "
                        "there are thirty times as many")  # fmt: skip
    parser.add_argument("--turn", type=float, default=0.25, help="seconds of one turn over loopback (%(default)s); in "
                        "memory four times as long")  # fmt: skip
    parser.add_argument("--sessions", type=int, default=8, help="sessions (%(default)s)")
    parser.add_argument("--place", type=Path, default=Path("runs"), help="directory on the disk in question (runs)")
    options = parser.parse_args()
    options.place.mkdir(exist_ok=True)
    print(
        f"{'row calls':<14}{'rows':>9}{'turns':>7}{'fsync rows/s':>14}{'without':>10}{'cost':>8}   half of them between"
    )
    for instant, rows in ((False, options.rows), (True, 30 * options.rows)):
        with tempfile.TemporaryDirectory(dir=options.place, prefix=".bench-") as directory:
            # In memory a slice takes but a moment: a turn must span several.
            turn = 4 * options.turn if instant else options.turn
            rates = measured(Path(directory), rows, turn, options.sessions, instant=instant)
        # They begin with one that is off.
        beside = ((rates[at], (rates[at - 1] + rates[at + 1]) / 2) for at in range(1, len(rates) - 1, 2))
        costs = [1 - with_ / without for with_, without in beside if without]
        low, middle, high = statistics.quantiles(costs, n=4) if len(costs) > 1 else costs * 3
        print(
            f"{'in memory' if instant else 'over loopback':<14}{rows:>9,}{len(rates):>7}"
            f"{statistics.median(rates[1::2]):>14,.0f}{statistics.median(rates[::2]):>10,.0f}"
            f"{middle:>8.1%}   {low:.1%} and {high:.1%}",
            flush=True,
        )
    print("cost: by how much fsync lowers the rate, the median; the goal is at most 5 % over loopback")


if __name__ == "__main__":
    main()
