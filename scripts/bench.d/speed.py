"""How fast a whole import is: against wrk, the ceiling, and against its peers, on one server in one run.

nginx answers every call at once with what a simulator has answered. It has one core and whoever sends has the other,
where the machine has two; all have as many connections and send the same message of about 1 KB for a row, in turns,
several rounds. Our import is the command, from file to durable ledger, with everything on: survey, validation, session
pool, deadlines, retries, journal; the canary alone is off, since a server of fixed answers has nothing to read back.
Its speed is told twice, while sending and from the start of the process to its end. Peers only send what needs no
checking, and fewer rows, since they are slower; their speed is that while sending. Below stands what the core install
takes: size, and the processor's time to import the package and to answer `--help`.
"""

import argparse
import json
import platform
import subprocess
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import wire
from rig import cores, exchanges, importing, install, nginx, people, tables, tools, wrk
from rig.peers import PEERS, Peers
from rig.rounds import Figures, Taken, Unavailable, Way, measured

ROOT = Path(__file__).parents[2]
WRK, OURS, WIRE = "wrk", "our import", "our wire alone"
SENDING, WHOLE = "our import, sending", "our import, whole"

#: What can be measured, in the order of a round.
NAMES = (WRK, OURS, WIRE, *PEERS)


def ours(source: Path, url: str, place: Path, connections: int) -> Mapping[str, Taken]:
    """One import, told twice."""
    imported = importing.run(source, url, place, sessions=connections)
    return {SENDING: Taken(imported.sending), WHOLE: Taken(imported.whole, imported.cpu / imported.rows)}


def ways(options: argparse.Namespace, recording: exchanges.Recording, url: str, place: Path) -> dict[str, Way]:
    """What is measured, in the order of a round."""
    source = place / "list.csv"
    people.write(source, options.rows)
    peers = Peers(options.home, place, recording, url, options.connections)

    def ceiling() -> Mapping[str, Taken]:
        if told := tools.missing("wrk"):
            raise Unavailable(told)
        taken = wrk.measured(recording.row, url, place, connections=options.connections, seconds=options.seconds)
        return {WRK: taken}

    def alone() -> Mapping[str, Taken]:
        return {WIRE: wire.in_process("wire alone", recording, url, place, options.connections, options.rows // 5)}

    def peer(name: str) -> Way:
        rows = max(options.connections, min(PEERS[name].rows, options.rows // 5))
        return lambda: {name: peers.measured(name, rows)}

    made: dict[str, Way] = {WRK: ceiling, OURS: lambda: ours(source, url, place, options.connections), WIRE: alone}
    made |= {name: peer(name) for name in PEERS}
    wanted = options.only or [name for name in made if options.peers or name not in PEERS]
    return {name: way for name, way in made.items() if name in wanted}


def told(figures: Figures) -> list[dict[str, object]]:
    """The table: ratios first. What is missing stands at its end."""
    rows: list[dict[str, object]] = []
    for name in figures.taken:
        cpu = figures.cpu(name)
        rows.append(
            {
                "name": name,
                "of_wrk": figures.ratio(name, WRK),
                "ours_is": figures.ratio(SENDING, name),
                "rate": figures.rate(name),
                "cpu_us": None if cpu is None else cpu * 1e6,
                "rates": [each.rate for each in figures.taken[name]],
            }
        )
    return [*rows, *({"name": name, "missing": why} for name, why in figures.unavailable.items())]


def shown(rows: list[dict[str, object]]) -> tuple[list[str], list[list[str]]]:
    """The same as text: head and cells."""

    def cell(value: object, form: str) -> str:
        return "" if value is None else format(value, form)

    head = ["", "x wrk", "ours is x", "rows/s", "CPU µs/row"]
    forms = {"of_wrk": ".3f", "ours_is": ".2f", "rate": ",.0f", "cpu_us": ",.1f"}
    cells = [
        [
            f"{row['name']} (missing)" if "missing" in row else str(row["name"]),
            *(cell(row.get(key), forms[key]) for key in forms),
        ]
        for row in rows
    ]
    return head, cells


def here() -> dict[str, str]:
    """Where and when: the commit, the day, the machine."""
    git = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=10"]
    try:
        commit = subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603 - our own
    except (OSError, subprocess.CalledProcessError):
        commit = "unknown"
    model = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
        model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), model)
    day = datetime.now(UTC).date().isoformat()
    return {"commit": commit, "date": day, "processor": model, "python": platform.python_version()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows that we import (%(default)s); peers get "
                        "fewer, by their speed")  # fmt: skip
    parser.add_argument("--rounds", type=int, default=5, help="rounds, of which the median counts (%(default)s)")
    parser.add_argument("--connections", type=int, default=32, help="connections at once (%(default)s)")
    parser.add_argument("--seconds", type=int, default=3, help="seconds of a turn of wrk (%(default)s)")
    parser.add_argument("--quick", action="store_true", help="one round of 50,000 rows")
    parser.add_argument("--no-peers", dest="peers", action="store_false", help="without peers; nothing is installed")
    parser.add_argument("--only", action="append", choices=NAMES, help="measure this alone, repeatable")
    parser.add_argument("--home", type=Path, default=ROOT / ".bench", help="where lists, runs and the peers' packages "
                        "go: the journal is written to this disk (.bench)")  # fmt: skip
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON: every round's figures")
    form.add_argument("--markdown", action="store_true", help="print the table for the README")
    options = parser.parse_args()
    if options.quick:
        options.rows, options.rounds, options.seconds = min(options.rows, 50_000), 1, 1
    tools.need("nginx")
    conditions = cores.told()
    recording = exchanges.record()
    options.home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="speed-", dir=options.home) as directory:
        place = Path(directory)
        with nginx.serving(recording, place) as url:
            figures = measured(ways(options, recording, url, place), options.rounds)
    rows, installed = told(figures), install.told()
    settings = {
        "rows": options.rows,
        "rounds": options.rounds,
        "connections": options.connections,
        "message_bytes": len(recording.row.request),
        "conditions": conditions,
    }
    if options.json:
        print(json.dumps({**here(), **settings, "table": rows, "install": installed}, indent=2))
    else:
        show(rows, settings, installed, markdown=options.markdown)


def show(
    rows: list[dict[str, object]], settings: dict[str, object], installed: dict[str, float], *, markdown: bool
) -> None:
    """Print the table and what it rests on."""
    where = here()
    print(
        f"Commit {where['commit']}, {where['date']}, Python {where['python']}, {where['processor']}. "
        f"{settings['rows']:,} rows, {settings['message_bytes']:,} bytes each, "
        f"{settings['connections']} connections, median of {settings['rounds']}; {settings['conditions']}.\n"
    )
    table = tables.markdown if markdown else tables.text
    print(table(*shown(rows)))
    for row in rows:
        if "missing" in row:
            print(f"\n{row['name']} could not be measured: {row['missing']}")
    print(f"\n{table(*install.shown(installed))}")
    if not markdown:
        print("\nthe goals: our import 0.5 x wrk while sending, 0.4 x as a whole")


if __name__ == "__main__":
    main()
