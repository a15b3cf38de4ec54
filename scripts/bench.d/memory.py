"""What the survey of a long list takes of memory: its peak for so many rows and for ten times as many.

A list is read, screened and counted as before the first row of an import, in a process of its own for each figure, by
each kind of `contacts.unique`. Whether a phone is one is not asked; a stand-in says yes. With `--whole` it is the whole
import, the command, from file to ledger, against an nginx that answers at once.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl
from rig import exchanges, importing, nginx, people, tools
from screen import Carrier, Obliging

from pipeline.config import ContactsSettings
from pipeline.stages.read import batches, open_source
from pipeline.stages.screen import Screener
from pipeline.stages.survey import Survey

KINDS = ("none", "key", "destination")


def survey(path: Path, unique: str) -> None:
    """Survey a list, and print how many rows can be sent and the peak of this process in bytes."""
    contacts = ContactsSettings.model_validate(
        {"key": ["customer_id"], "region": "CA", "unique": unique, "sms": {"destination": "{mobile}", "text": "Hi."}}
    )
    screener = Screener(contacts, campaign="c", wave=None, carrier=Carrier(), authorities=Obliging(), identify=False)
    survey = Survey()
    for batch in batches([open_source(path)]):
        survey.add(screener.screen(batch))
    unit = 1 if sys.platform == "darwin" else 1024
    print(survey.channels["sms"], resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)


def write(path: Path, rows: int) -> None:
    """A list of so many rows, none twice."""
    with path.open("wb") as file:
        for start in range(0, rows, 1 << 20):
            number = pl.int_range(start, min(rows, start + (1 << 20)), dtype=pl.Int64)
            person = number * 7_368_787 % 7_999_999_957  # scattered, and each once
            frame = pl.select(customer_id=pl.format("C{}", person), mobile=2_000_000_000 + person)
            frame.write_csv(file, include_header=not start)


def surveyed(path: Path, unique: str) -> tuple[int, int]:
    """Rows that can be sent, and the peak in bytes, of a survey in a process of its own."""
    command = [sys.executable, __file__, "--survey", str(path), unique]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603
    sendable, peak = map(int, told.split())
    return sendable, peak


def imported(path: Path, url: str, unique: str) -> tuple[int, int]:
    """Rows that were sent, and the peak in bytes, of a whole import."""
    done = importing.run(path, url, path.parent, sessions=32, settings=[f"contacts.unique={unique}"])
    return done.rows, done.peak


@contextmanager
def target(options: argparse.Namespace, place: Path) -> Iterator[str]:
    """The address of what rows are sent to; empty: to nobody."""
    if not options.whole:
        yield ""
        return
    with nginx.serving(exchanges.record(), place) as url:
        yield url


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="scripts/bench memory", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of the shorter list (%(default)s)")
    parser.add_argument("--whole", action="store_true", help="whole imports, not surveys")
    parser.add_argument("--place", type=Path, help="directory for lists and runs (the system's for temporary files)")
    parser.add_argument("--survey", nargs=2, metavar=("LIST", "UNIQUE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.survey:
        survey(Path(options.survey[0]), options.survey[1])
        return
    if options.whole:
        tools.need("nginx")
    peaks: dict[tuple[str, int], int] = {}
    with tempfile.TemporaryDirectory(dir=options.place) as directory, target(options, Path(directory)) as url:
        for rows in (options.rows, 10 * options.rows):
            path = Path(directory) / f"{rows}.csv"
            people.write(path, rows, plain=True) if options.whole else write(path, rows)
            for unique in KINDS:
                sent, peaks[unique, rows] = imported(path, url, unique) if url else surveyed(path, unique)
                if sent != rows:
                    raise SystemExit(f"of {rows:,} rows {sent:,} could be sent: none repeats another")
            path.unlink()
    short, long = options.rows, 10 * options.rows
    print(f"{'unique':<14}{f'{short:,} rows':>16}{f'{long:,} rows':>18}{'ratio':>8}{'bytes a row above none':>26}")
    for unique in KINDS:
        above = (peaks[unique, long] - peaks["none", long]) / long
        print(
            f"{unique:<14}{peaks[unique, short] / 1e6:>13.1f} MB{peaks[unique, long] / 1e6:>15.1f} MB"
            f"{peaks[unique, long] / peaks[unique, short]:>8.2f}{above:>26.1f}"
        )
    print("the goals: none 1.1 times as much at most and below 250 MB; key 24 bytes a row above it")


if __name__ == "__main__":
    main()
