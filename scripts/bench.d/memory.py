"""What a whole `check` of a long list takes of memory: its peak for so many rows and for ten times as many.

A check reads, screens and counts a list, and writes its ledger: all of an import but the sending. Each figure is that
of a process of its own, by each kind of `contacts.unique`. Beside it stands the processor's time a row, start included.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import polars as pl

KINDS = ("none", "key", "destination")

#: Telephone numbers of one Canadian area code, and the codes that the lists use.
NUMBERS, CODES = 8_000_000, ("416", "514")

CONFIG = """\
[target]
system = "onc"
endpoint = "http://127.0.0.1/onc.svc"
account_id = "account"
username = "user"
password = {{ env = "PASSWORD" }}
campaign_id = "7c9e6679-7425-40de-944b-e07fc1f90ae7"

[contacts]
key = ["customer_id"]
region = "CA"
unique = "{unique}"

[contacts.sms]
destination = "{{mobile}}"
text = "Hi."

[ledger]
formats = ["parquet"]
"""


def check(path: Path, unique: str) -> tuple[int, float]:
    """Check a list whose rows can all be sent; returns the peak in bytes and the seconds of the processor."""
    config = path.with_name(f"{unique}.toml")
    config.write_text(CONFIG.format(unique=unique))
    run_dir = path.with_name(f"{path.stem}-{unique}")
    arguments = ["check", str(path), "--config", str(config), "--run-dir", str(run_dir), "--json", "--no-progress"]
    process = subprocess.Popen([sys.executable, "-m", "pipeline", *arguments], stdout=subprocess.DEVNULL)  # noqa: S603
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"the check of {path.name} ended with {process.returncode}: some rows could not be sent")
    return used.ru_maxrss * (1 if sys.platform == "darwin" else 1024), used.ru_utime + used.ru_stime


def write(path: Path, rows: int) -> None:
    """A list of so many rows, none twice."""
    with path.open("wb") as file:
        for start in range(0, rows, 1 << 18):
            number = pl.int_range(start, min(rows, start + (1 << 18)), dtype=pl.Int64)
            person = number * 7_368_787 % 15_999_989  # scattered, and each once
            area = pl.when(person < NUMBERS).then(pl.lit(CODES[0])).otherwise(pl.lit(CODES[1]))
            frame = pl.select(
                customer_id=pl.format("C{}", person), mobile=pl.format("{}{}", area, 2_000_000 + person % NUMBERS)
            )
            frame.write_csv(file, include_header=not start)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="scripts/bench memory", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of the shorter list (%(default)s)")
    parser.add_argument("--only", choices=KINDS, action="append", help="measure this kind alone (repeatable)")
    options = parser.parse_args()
    kinds = options.only or KINDS
    short, long = options.rows, 10 * options.rows
    if long >= len(CODES) * NUMBERS:
        parser.error("--rows: there are not so many telephone numbers")
    measured: dict[tuple[str, int], tuple[int, float]] = {}
    with tempfile.TemporaryDirectory() as directory:
        for rows in (short, long):
            path = Path(directory) / f"{rows}.csv"
            write(path, rows)
            for unique in kinds:
                measured[unique, rows] = check(path, unique)
    print(f"{'unique':<14}{f'{short:,} rows':>16}{f'{long:,} rows':>18}{'ratio':>8}{'above none':>14}{'time':>16}")
    for unique in kinds:
        (least, _), (most, seconds) = measured[unique, short], measured[unique, long]
        above = f"{(most - measured['none', long][0]) / long:.1f} B/row" if "none" in kinds else ""
        print(
            f"{unique:<14}{least / 1e6:>13.1f} MB{most / 1e6:>15.1f} MB{most / least:>8.2f}{above:>14}"
            f"{seconds / long * 1e6:>10.2f} µs/row"
        )
    print("the goals: none 1.1 times as much at most and below 250 MB; key 24 bytes a row above it")


if __name__ == "__main__":
    main()
