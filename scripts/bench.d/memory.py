"""What a whole import of a long list takes of memory: its peak for so many rows and for ten times as many.

The import is the command, from file to ledger, against an nginx that answers at once. Each figure is that of a process
of its own, by each kind of `contacts.unique`. Beside it stands the processor's time a row, start included.
"""

import argparse
import tempfile
from pathlib import Path

from rig import exchanges, importing, nginx, people, tools

KINDS = ("none", "key", "destination")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="scripts/bench memory", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of the shorter list (%(default)s)")
    parser.add_argument("--only", choices=KINDS, action="append", help="measure this kind alone (repeatable)")
    parser.add_argument("--place", type=Path, help="directory for lists and runs (the system's for temporary files)")
    options = parser.parse_args()
    tools.need("nginx")
    kinds = options.only or KINDS
    short, long = options.rows, 10 * options.rows
    taken: dict[tuple[str, int], importing.Imported] = {}
    with tempfile.TemporaryDirectory(dir=options.place) as directory:
        place = Path(directory)
        with nginx.serving(exchanges.record(), place) as url:
            for rows in (short, long):
                path = place / f"{rows}.csv"
                people.write(path, rows, plain=True)
                for unique in kinds:
                    done = importing.run(path, url, place, sessions=32, settings=[f"contacts.unique={unique}"])
                    if done.rows != rows:
                        raise SystemExit(f"of {rows:,} rows {done.rows:,} were sent: none repeats another")
                    taken[unique, rows] = done
                path.unlink()
    print(f"{'unique':<14}{f'{short:,} rows':>16}{f'{long:,} rows':>18}{'ratio':>8}{'above none':>14}{'time':>16}")
    for unique in kinds:
        least, most = taken[unique, short].peak, taken[unique, long].peak
        above = f"{(most - taken['none', long].peak) / long:.1f} B/row" if "none" in kinds else ""
        print(
            f"{unique:<14}{least / 1e6:>13.1f} MB{most / 1e6:>15.1f} MB{most / least:>8.2f}{above:>14}"
            f"{taken[unique, long].cpu / long * 1e6:>10.2f} µs/row"
        )
    print("the goals: none 1.1 times as much at most and below 250 MB; key 24 bytes a row above it")


if __name__ == "__main__":
    main()
