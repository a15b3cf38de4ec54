"""Whether an import keeps all sessions busy where the target takes its time: its rate against sessions / latency.

A service on a core of its own answers everything after a fixed latency, counted from when the kernel had a row to when
its answer is sent; what it was on average is told. `steady` leaves out the first fifth of the time, in which sessions
are opened and the limit grows, and the last tenth; `sending` is what the summary tells, from first send to last answer.
The way back, and what the caller does before it sends again, are not in the latency and cost some per cent of 1 ms:
what wrk reaches is what can be reached.
"""

import argparse
import tempfile
from pathlib import Path

from rig import cores, exchanges, importing, people, service, tables, tools, wrk


def case(text: str) -> tuple[float, int]:
    """MS:SESSIONS."""
    latency, _, sessions = text.partition(":")
    return float(latency), int(sessions)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="scripts/bench latency", description=__doc__)
    parser.add_argument("cases", nargs="*", type=case, metavar="MS:SESSIONS", default=[(1, 8), (20, 100), (100, 400)],
                        help="milliseconds of latency, and sessions (1:8 20:100 100:400)")  # fmt: skip
    parser.add_argument("--seconds", type=float, default=10, help="so long an import should take (%(default)s)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting, repeatable")
    options = parser.parse_args()
    conditions = cores.told()
    recording = exchanges.record()
    rows = []
    with tempfile.TemporaryDirectory(prefix="bench-latency-") as directory:
        place = Path(directory)
        for milliseconds, sessions in options.cases:
            most = sessions / milliseconds * 1000
            people.write(place / "list.csv", max(sessions, int(most * options.seconds)), plain=True)
            with service.serving(recording, place, latency=milliseconds / 1000) as running:
                imported = importing.run(
                    place / "list.csv", running.url, place, sessions=sessions, settings=options.set
                )
                told = running.told()
                ceiling = (
                    None
                    if tools.missing("wrk")
                    else wrk.measured(
                        recording.row,
                        running.url,
                        place,
                        connections=sessions,
                        seconds=max(1, round(options.seconds / 3)),
                    )
                )
            span = len(told.counts) * service.SPAN
            steady = told.rate(span / 5, span * 9 / 10)
            measured = told.latency * 1000
            rows.append(
                [
                    f"{milliseconds:g} ms",
                    str(sessions),
                    f"{steady / most:.3f}",
                    f"{imported.sending / most:.3f}",
                    f"{ceiling.rate / most:.3f}" if ceiling else "no wrk",
                    f"{steady / ceiling.rate:.3f}" if ceiling else "",
                    f"{most:,.0f}",
                    f"{steady:,.0f}",
                    f"{measured:.2f}",
                ]
            )
    print(conditions)
    head = [
        "latency",
        "sessions",
        "steady x S/L",
        "sending x S/L",
        "wrk x S/L",
        "steady x wrk",
        "S/L",
        "steady rows/s",
        "latency was",
    ]
    print(tables.text(head, rows))
    print(
        "the goal: 0.98 wherever S/L is at most half of what our wire alone makes (scripts/bench), and wrk has as much"
    )


if __name__ == "__main__":
    main()
