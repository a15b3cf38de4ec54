"""How fast a journal is read back after a crash, and how much memory a row of it takes.

A journal of N rows is written, and read in a fresh process: once through (`recover`), then a walk that asks where every
row stands. Memory is the peak above what the process had before, fixed parts included: they weigh more where rows are
few.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

from pipeline.ledger.disk import OsDisk
from pipeline.ledger.journal import Journal
from pipeline.ledger.lines import Header
from pipeline.ledger.recovery import recover
from pipeline.records import Outcome, Status
from pipeline.run.surroundings import SLICE_ROWS

MOMENT = 1_795_350_000_000


class Careless(OsDisk):
    """A disk that makes nothing durable: writing is not what is measured."""

    __slots__ = ()

    def sync(self, handle: int) -> None:
        """Do nothing."""

    def sync_directory(self, path: Path) -> None:
        """Do nothing."""


def write(path: Path, rows: int, group: int) -> None:
    """Write a journal as a run leaves it that was killed in the middle of its last slice."""
    header = Header("bench", MOMENT, "m" * 32, "onc", "https://pop.example.com/ acme", "campaign", "", (), rows)
    journal = Journal.create(path, header, disk=Careless())
    for start in range(0, rows, SLICE_ROWS):
        stop = min(start + SLICE_ROWS, rows)
        number = journal.begin(start, stop, stop - start, "d" * 32)
        journal.commit()
        last = stop if stop < rows else (start + stop) // 2
        for first in range(start, last, group):
            positions = range(first, min(first + group, last))
            journal.settle(
                number,
                (Outcome(at, Status.ACCEPTED, "0", None, 1, MOMENT + at, MOMENT + at + 40, 39.25) for at in positions),
            )
            journal.commit()
    journal.close()


def peak() -> int:
    """The most memory that this process has had so far, in bytes."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def read(path: Path, rows: int) -> dict[str, float]:
    """Read it back; seconds and bytes of each step."""
    before, began = peak(), perf_counter()
    recovery = recover(path)
    scanned, after_scan = perf_counter(), peak()
    doubtful = 0
    for start in range(0, rows, SLICE_ROWS):
        told = recovery.standing(start, min(start + SLICE_ROWS, rows))
        doubtful += told.filter(told["status"] == Status.IN_DOUBT.value).height
    return {
        "scan": scanned - began,
        "scan_bytes": after_scan - before,
        "walk": perf_counter() - scanned,
        "walk_bytes": peak() - before,
        "doubtful": doubtful,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="scripts/bench recovery", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of the journal (%(default)s)")
    parser.add_argument("--group", type=int, default=16, help="outcomes of one commit (%(default)s); 1 is the worst "
                        "case: a target so slow that every row has a line of its own")  # fmt: skip
    parser.add_argument("--place", type=Path, default=Path("runs"), help="directory for the journal (runs)")
    parser.add_argument("--read", type=Path, help=argparse.SUPPRESS)  # the fresh process
    options = parser.parse_args()
    if options.read:
        print(json.dumps(read(options.read, options.rows)))
        return
    options.place.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.place, prefix=".bench-") as directory:
        path = Path(directory) / "journal.jsonl"
        write(path, options.rows, options.group)
        size = path.stat().st_size
        command = [sys.executable, __file__, "--read", str(path), "--rows", str(options.rows)]
        process = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - our own
        told = json.loads(process.stdout)
    rows = options.rows
    print(f"{rows:,} rows, {options.group} to a line, {size / 1e6:,.0f} MB; {told['doubtful']:,} of them in doubt")
    print(f"{'':<22}{'seconds':>9}{'rows/s':>13}{'peak MB':>10}{'bytes/row':>11}")
    for name, step in (("scan (recover)", "scan"), ("walk (standing)", "walk")):
        seconds, taken = told[step], told[f"{step}_bytes"]
        print(f"{name:<22}{seconds:>9.1f}{rows / seconds:>13,.0f}{taken / 1e6:>10.1f}{taken / rows:>11.1f}")
    print("the goal for 10,000,000 rows: less than 60 seconds, at most 24 bytes a row")


if __name__ == "__main__":
    main()
