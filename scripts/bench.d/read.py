"""How fast CSV files are read on one core, beside polars alone, and how much memory a large one takes.

Each kind of file is read in a fresh process that is bound to one core, in turns with `polars.read_csv` of the same file
(of the plain one where polars cannot read it), which checks nothing. What counts is the ratio of the two CPU times:
other work on the machine slows both.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import process_time

import polars as pl

from pipeline.stages.read import batches, open_source

HEADER = ("customer_id", "first_name", "last_name", "mobile", "email", "city", "segment")
FIRST = ("Anna", "René", "Zoë", "John", "Maria", "Wei", "Olga", "Ahmed")
LAST = ("Smith", "Müller", "Tremblay", "Garcia", "Chen", "Nowak")
CITIES = ("Toronto", "Montréal", "Köln")

#: Bytes of a row, about.
ROW = 76


def cells(number: int) -> tuple[str, ...]:
    """A row's cells."""
    person = number * 7919 % 5003
    mail = f"user{person}.{person * 31}@example.com"
    mobile = f"+1416555{person:04}"
    return (f"{number:08}", FIRST[person % 8], LAST[person % 6], mobile, mail, CITIES[person % 3], "AB"[person % 2])


def plain(number: int) -> str:
    """No quotes."""
    return ",".join(cells(number))


def quoted(number: int) -> str:
    """Every cell in quotes, as exports of databases have them."""
    return '"' + '","'.join(cells(number)) + '"'


def some_quoted(number: int) -> str:
    """Cells in quotes where they need it, as spreadsheets write them: in every row here."""
    first, *middle, last = cells(number)
    return f'{first},{",".join(middle[:-1])},"{middle[-1]}, Canada",{last}'


def of_lines(number: int) -> str:
    """Every twentieth row goes over two lines."""
    return plain(number) if number % 20 else quoted(number).replace('@example.com","', '@example.com","Main Street\n')


def ragged(number: int) -> str:
    """Every hundredth row has a cell too many or too few."""
    return plain(number) if number % 100 else plain(number) + ",more" if number % 200 else plain(number)[:40]


KINDS: dict[str, tuple[Callable[[int], str], str, str]] = {  # how a row looks, line end, encoding
    "plain": (plain, "\n", "utf-8"),
    "crlf": (plain, "\r\n", "utf-8"),
    "cr": (plain, "\r", "utf-8"),
    "quoted": (quoted, "\n", "utf-8"),
    "some quoted": (some_quoted, "\n", "utf-8"),
    "of lines": (of_lines, "\n", "utf-8"),
    "ragged": (ragged, "\n", "utf-8"),
    "windows-1252": (plain, "\r\n", "windows-1252"),
    "utf-16": (plain, "\r\n", "utf-16"),
}
UNREADABLE = ("cr", "ragged", "windows-1252", "utf-16")  # for polars


def write(path: Path, kind: str, size: int) -> None:
    """Write a file of about so many bytes of text."""
    row, end, encoding = KINDS[kind]
    with path.open("w", encoding=encoding, newline="") as file:
        file.write(",".join(HEADER) + end)
        for start in range(0, size // ROW, 10_000):
            file.write("".join(row(number) + end for number in range(start, start + 10_000)))


def read(path: Path, beside: Path | None, rounds: int) -> dict[str, float]:
    """Read both files in turns; the least seconds of each, the rows, and the most memory that the process had."""
    seconds: list[float] = []
    alone: list[float] = []
    rows = 0
    for _ in range(rounds):
        began = process_time()
        rows = sum(batch.frame.height for batch in batches([open_source(path)]))
        seconds.append(process_time() - began)
        if beside:
            began = process_time()
            pl.read_csv(beside, infer_schema=False)
            alone.append(process_time() - began)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return {"seconds": min(seconds), "alone": min(alone, default=0), "rows": rows, "peak": peak}


def in_fresh_process(path: Path, beside: Path | None, rounds: int) -> dict[str, float]:
    """What `read` says there."""
    command = [sys.executable, __file__, "--read", str(path), "--rounds", str(rounds)]
    command += ["--beside", str(beside)] if beside else []
    environment = os.environ | {"POLARS_MAX_THREADS": "1"}
    process = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment)  # noqa: S603 - our own
    told: dict[str, float] = json.loads(process.stdout)
    return told


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="scripts/bench read", description=__doc__)
    parser.add_argument("--mb", type=int, default=80, help="megabytes of text of a file (%(default)s)")
    parser.add_argument("--rounds", type=int, default=4, help="of which the best counts (%(default)s)")
    parser.add_argument("--kind", action="append", choices=list(KINDS), help="only this kind of file; repeatable")
    parser.add_argument("--place", type=Path, default=Path("runs"), help="directory for the files (runs)")
    parser.add_argument("--read", type=Path, help=argparse.SUPPRESS)  # the fresh process
    parser.add_argument("--beside", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.read:
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
        print(json.dumps(read(options.read, options.beside, options.rounds)))
        return
    options.place.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.place, prefix=".bench-") as directory:
        base = Path(directory) / "plain.csv"
        write(base, "plain", options.mb * 1_000_000)
        print(f"{'':<14}{'ratio':>7}{'MB':>8}{'MB/s':>8}{'rows/s':>12}{'polars MB/s':>13}")
        for kind in options.kind or KINDS:
            path = Path(directory) / f"{kind}.csv"
            write(path, kind, options.mb * 1_000_000)
            beside = base if kind in UNREADABLE else path
            told = in_fresh_process(path, beside, options.rounds)
            size, other = path.stat().st_size / 1e6, beside.stat().st_size / 1e6
            seconds, alone = told["seconds"], told["alone"]
            print(
                f"{kind:<14}{seconds / alone:>7.2f}{size:>8,.0f}{size / seconds:>8,.0f}"
                f"{told['rows'] / seconds:>12,.0f}{other / alone:>13,.0f}",
                flush=True,
            )
            if path != base:
                path.unlink()
        print("the goal: 150 MB/s and more, memory flat")
        for factor in (1, 10):
            write(base, "plain", factor * options.mb * 1_000_000)
            told = in_fresh_process(base, None, 1)
            print(f"peak of a process that reads {base.stat().st_size / 1e6:,.0f} MB: {told['peak'] / 1e6:,.0f} MB")


if __name__ == "__main__":
    main()
