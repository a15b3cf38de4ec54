"""How fast row calls are: our wire alone, under httpx, and httpx's own, against wrk with the same bytes.

nginx answers every POST at once with a fixed SOAP answer. It has one core and whoever calls it the other, where the
machine has two; all of them send the same request over as many connections, in turns, several times round. `CPU` is
the time of the calling process for one call; other processes on the machine weigh on calls a second, little on it.
"""

import argparse
import asyncio
import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from time import perf_counter, process_time

import httpx
from rig import cores, exchanges, nginx, tables, tools, wrk
from rig.cores import CLIENT, pinned
from rig.exchanges import Recording
from rig.rounds import Taken, measured

from pipeline.config import HttpSettings
from pipeline.wire import Line, client_factory

#: A message as an encoder gives it: what all rows share, the session's token, and what this row has of its own.
Parts = Sequence[bytes]

#: Makes `count` calls on `connections` connections.
Caller = Callable[["Call", int, int], Awaitable[None]]


class Call:
    """The row call that is made, as it was recorded."""

    def __init__(self, path: Path, url: str) -> None:
        told = json.loads(path.read_text(encoding="utf-8"))
        self.url = url
        self.headers: dict[str, str] = told["headers"]
        self.parts: Parts = [part.encode() for part in told["parts"]]

    @staticmethod
    def keep(recording: Recording, place: Path) -> Path:
        """Put it down for another process."""
        row, path = recording.row, place / "row.json"
        headers = {"Content-Type": row.headers["content-type"], "SOAPAction": row.action}
        parts = [part.decode() for part in row.request.partition(recording.token)]
        path.write_text(json.dumps({"headers": headers, "parts": parts}), encoding="utf-8")
        return path


async def alone(call: Call, connections: int, count: int) -> None:
    """Our wire alone: what a row call costs."""
    clients = client_factory(HttpSettings(), 30.0)
    client = clients()
    line = Line(client, call.url, call.headers)
    await line.post(call.parts)  # the first one goes through httpx

    async def worker() -> None:
        for _ in range(count // connections):
            await line.post(call.parts)

    await asyncio.gather(*(worker() for _ in range(connections)))
    await client.aclose()


async def under_httpx(call: Call, connections: int, count: int) -> None:
    """Our wire as httpx's transport: what any other call costs. A client for each session, as the targets have it."""
    make = client_factory(HttpSettings(), 30.0)
    await _through([make() for _ in range(connections)], call, count)


async def plain_httpx(call: Call, connections: int, count: int) -> None:
    """httpx as it is, a client for each session."""
    verify = httpx.create_ssl_context()
    await _through([httpx.AsyncClient(verify=verify) for _ in range(connections)], call, count)


async def _through(clients: list[httpx.AsyncClient], call: Call, count: int) -> None:
    async def worker(client: httpx.AsyncClient) -> None:
        for _ in range(count // len(clients)):
            (await client.post(call.url, headers=call.headers, content=b"".join(call.parts))).raise_for_status()

    await asyncio.gather(*map(worker, clients))
    for client in clients:
        await client.aclose()


CALLERS: dict[str, tuple[Caller, float]] = {
    "wire alone": (alone, 1.0),
    "wire under httpx": (under_httpx, 0.03),
    "httpx": (plain_httpx, 0.02),
}


def in_this(name: str, call: Call, connections: int, count: int, loop: str) -> tuple[float, float]:
    """Calls a second, and seconds of CPU for one, in this process."""
    caller, share = CALLERS[name]
    made = max(connections, int(count * share) // connections * connections)

    async def main() -> tuple[float, float]:
        began, used = perf_counter(), process_time()
        await caller(call, connections, made)
        return made / (perf_counter() - began), (process_time() - used) / made

    if loop == "uvloop":
        import uvloop

        return uvloop.run(main())
    return asyncio.run(main())


def in_process(
    name: str, recording: Recording, url: str, place: Path, connections: int, count: int, loop: str = "uvloop"
) -> Taken:
    """The same in a fresh process, on a core of its own."""
    command = [*pinned(CLIENT), sys.executable, __file__, "--one", name, "--url", url, "--loop", loop]
    command += ["--call", str(Call.keep(recording, place)), "--connections", str(connections), "--count", str(count)]
    told = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout  # noqa: S603 - our own
    return Taken(*json.loads(told))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="scripts/bench wire", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds (%(default)s)")
    parser.add_argument("--connections", type=int, default=32, help="connections at once (%(default)s)")
    parser.add_argument("--count", type=int, default=100_000, help="calls of a turn of our wire alone (%(default)s); "
                        "slower ones make fewer")  # fmt: skip
    parser.add_argument("--seconds", type=int, default=2, help="seconds of a turn of wrk (%(default)s)")
    parser.add_argument("--loop", choices=("uvloop", "asyncio"), default="uvloop", help="event loop (%(default)s)")
    parser.add_argument("--one", choices=CALLERS, help=argparse.SUPPRESS)  # the fresh process
    parser.add_argument("--call", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # without a trace: whoever started us ends too
        call = Call(options.call, options.url)
        print(json.dumps(in_this(options.one, call, options.connections, options.count, options.loop)))
        return
    tools.need("nginx", "wrk")
    conditions = cores.told()
    recording = exchanges.record()
    with tempfile.TemporaryDirectory(prefix="bench-wire-") as directory:
        place = Path(directory)
        with nginx.serving(recording, place) as url:

            def ceiling() -> Mapping[str, Taken]:
                many, long = options.connections, options.seconds
                return {"wrk": wrk.measured(recording.row, url, place, connections=many, seconds=long)}

            def caller(name: str) -> Mapping[str, Taken]:
                many = options.connections
                return {name: in_process(name, recording, url, place, many, options.count, options.loop)}

            ways = {"wrk": ceiling} | {name: partial(caller, name) for name in CALLERS}
            figures = measured(ways, options.rounds)
    print(
        f"{options.connections} connections, {len(recording.row.request):,} bytes a message, {options.loop}, "
        f"{options.rounds} rounds; {conditions}"
    )
    best = {name: max(each.rate for each in taken) for name, taken in figures.taken.items()}
    rows = [
        [
            name,
            f"{figures.ratio(name, 'wrk'):.3f}",
            f"{best[name] / best['wrk']:.3f}",
            f"{figures.rate(name):,.0f}",
            f"{best[name]:,.0f}",
            f"{(figures.cpu(name) or 0) * 1e6:.1f}",
        ]
        for name in ways
    ]
    print(tables.text(["", "x wrk", "best x best", "calls/s", "best", "CPU µs"], rows))


if __name__ == "__main__":
    main()
