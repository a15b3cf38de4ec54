"""How long one waits: until `--help` answers, until the first row of a small list is sent; and what imports cost.

Every figure is that of a fresh process, the median of several. The first row is told by the service that receives it.
Modules are counted with the package that they belong to, in the process of a whole import; the size is that of this
package and of all that it requires, without extras.
"""

import argparse
import statistics
import sys
import tempfile
from collections import Counter
from pathlib import Path

from rig import cores, exchanges, importing, install, people, service, tables


def first_row(recording: exchanges.Recording, place: Path) -> tuple[float, float]:
    """Seconds until the first row was there, and until the process had ended."""
    with service.serving(recording, place, latency=0.0) as running:
        imported = importing.run(place / "list.csv", running.url, place, sessions=8)
        return running.told().first - imported.began, imported.seconds


def import_times(recording: exchanges.Recording, place: Path) -> Counter[str]:
    """Seconds that an import spends importing, by package."""
    spent: Counter[str] = Counter()
    with service.serving(recording, place, latency=0.0) as running:
        more = {"PYTHONPROFILEIMPORTTIME": "1"}
        told = importing.run(place / "list.csv", running.url, place, sessions=8, more=more).log
    for line in told.splitlines():
        if line.startswith("import time:") and line.count("|") == 2:
            own, _, module = line.removeprefix("import time:").split("|")
            if own.strip().isdigit():
                package = module.strip().partition(".")[0]
                spent["the standard library" if package in sys.stdlib_module_names else package] += int(own)
    return Counter({package: microseconds / 1e6 for package, microseconds in spent.items()})


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="scripts/bench start", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="processes of each kind (%(default)s)")
    parser.add_argument("--rows", type=int, default=100, help="rows of the list (%(default)s)")
    parser.add_argument("--top", type=int, default=12, help="packages that are listed (%(default)s)")
    options = parser.parse_args()
    conditions = cores.told()
    recording = exchanges.record()
    with tempfile.TemporaryDirectory(prefix="bench-start-") as directory:
        place = Path(directory)
        people.write(place / "list.csv", options.rows)
        helped = [install.seconds(install.HELP) for _ in range(options.rounds)]
        firsts, ends = zip(*(first_row(recording, place) for _ in range(options.rounds)), strict=True)
        spent = import_times(recording, place)
    rows = [
        [name, f"{statistics.median(taken):.2f}", f"{min(taken):.2f}", f"{max(taken):.2f}", goal]
        for name, taken, goal in (
            ("--help", helped, "0.3"),
            (f"first of {options.rows:,} rows", firsts, "1.5"),
            ("the whole import", ends, ""),
        )
    ]
    print(conditions)
    print(tables.text(["seconds", "median", "least", "most", "goal"], rows))
    size = install.sizes()
    print()
    costs = [[name, f"{seconds * 1000:,.0f}"] for name, seconds in spent.most_common(options.top)]
    print(tables.text(["imports of an import", "ms"], [*costs, ["in all", f"{sum(spent.values()) * 1000:,.0f}"]]))
    print()
    parts = [[name, f"{each / 1e6:,.1f}"] for name, each in size.most_common(options.top)]
    print(tables.text(["core install", "MB"], [*parts, [f"in all ({len(size)})", f"{sum(size.values()) / 1e6:,.1f}"]]))


if __name__ == "__main__":
    main()
