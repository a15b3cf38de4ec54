"""Whether the adaptive limit finds what a target bears: its rate against the best of a sweep of fixed limits.

The service works at 24 rows at once, 20 ms each, and answers 503 above 48 waiting. Fixed limits are
`delivery.adaptive = false` with so many sessions, and their rate is the steady one; the adaptive limit has 100 sessions
and counts from 10 seconds after its first row.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from rig import cores, exchanges, importing, people, service, tables


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="scripts/bench knee", description=__doc__)
    parser.add_argument("--fixed", type=int, nargs="+", default=[8, 16, 24, 32, 48, 64, 72, 96], metavar="SESSIONS",
                        help="fixed limits (8 16 24 32 48 64 72 96)")  # fmt: skip
    parser.add_argument("--sessions", type=int, default=100, help="sessions of the adaptive limit (%(default)s)")
    parser.add_argument("--seconds", type=float, default=6, help="so long a fixed limit is tried, and the adaptive one "
                        "10 seconds more (%(default)s)")  # fmt: skip
    parser.add_argument("--within", type=float, default=10, help="seconds for finding the limit (%(default)s)")
    parser.add_argument("--slots", type=int, default=24, help="rows that the service works at once (%(default)s)")
    parser.add_argument("--waiting", type=int, default=48, help="rows that may wait there (%(default)s)")
    parser.add_argument("--latency", type=float, default=20, help="milliseconds of a row's work (%(default)s)")
    options = parser.parse_args()
    conditions = cores.told()
    recording = exchanges.record()
    most = options.slots / options.latency * 1000

    with tempfile.TemporaryDirectory(prefix="bench-knee-") as directory:
        place = Path(directory)

        def told(sessions: int, seconds: float, adaptive: str) -> service.Told:
            print(f"{sessions} sessions, adaptive = {adaptive}", file=sys.stderr, flush=True)
            rate = most if adaptive == "true" else min(most, sessions / options.latency * 1000)
            people.write(place / "list.csv", max(sessions, int(rate * seconds)), plain=True)
            knee = {"latency": options.latency / 1000, "slots": options.slots, "waiting": options.waiting}
            with service.serving(recording, place, **knee) as running:
                setting = (f"delivery.adaptive={adaptive}",)
                importing.run(place / "list.csv", running.url, place, sessions=sessions, settings=setting)
                return running.told()

        fixed = {sessions: told(sessions, options.seconds, "false") for sessions in options.fixed}
        adaptive = told(options.sessions, options.within + options.seconds, "true")
    steady = {sessions: each.rate(options.seconds / 6, options.seconds * 5 / 6) for sessions, each in fixed.items()}
    best = max(steady.values())
    found = adaptive.rate(options.within)
    reached = adaptive.reached(0.95 * best)
    rows = [
        [f"fixed, {sessions} sessions", f"{rate / best:.3f}", f"{rate:,.0f}", f"{fixed[sessions].refused:,}"]
        for sessions, rate in steady.items()
    ]
    rows.append([f"adaptive, {options.sessions}", f"{found / best:.3f}", f"{found:,.0f}", f"{adaptive.refused:,}"])
    print(f"{options.slots} slots of {options.latency:g} ms bear {most:,.0f} rows/s; {conditions}")
    print(tables.text(["", "x best fixed", "rows/s", "answered 503"], rows))
    print("adaptive: 95 % of the best " + ("never reached" if reached is None else f"reached after {reached:.1f} s"))
    print(f"the goal: 0.95 within {options.within:g} s")


if __name__ == "__main__":
    main()
