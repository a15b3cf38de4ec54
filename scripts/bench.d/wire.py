"""How fast row calls are: our wire alone, under httpx, and httpx's own, against wrk with the same bytes.

nginx answers every POST at once with a fixed SOAP answer. It has one core and whoever calls it the other, where the
machine has two; all of them send the same request over as many connections, in turns, several times round. `CPU` is
the time of the calling process for one call; other processes on the machine weigh on calls a second, little on it.
"""

import argparse
import asyncio
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from time import perf_counter, process_time

import httpx

from pipeline.config import HttpSettings
from pipeline.wire import Line, client_factory

NGINX = """
master_process off;
daemon off;
pid PLACE/pid;
error_log PLACE/error.log crit;
events { worker_connections 1024; }
http {
  access_log off;
  keepalive_requests 1000000000;
  client_body_temp_path PLACE/body; proxy_temp_path PLACE/proxy; fastcgi_temp_path PLACE/fastcgi;
  uwsgi_temp_path PLACE/uwsgi; scgi_temp_path PLACE/scgi;
  server { listen 127.0.0.1:PORT; location / { default_type "text/xml; charset=utf-8"; return 200 'ANSWER'; } }
}
"""
ANSWER = (
    '<?xml version="1.0" encoding="utf-8"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>'
    '<AddCampaignContactResponse xmlns="http://tempuri.org/"><AddCampaignContactResult>0</AddCampaignContactResult>'
    "</AddCampaignContactResponse></s:Body></s:Envelope>"
)
HEADERS = {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": '"http://tempuri.org/IOnc/AddCampaignContact"'}

#: A message as an encoder gives it: what all rows share, the session's token, and what this row has of its own.
PARTS = (b"<s:Envelope>" + b"a" * 300, b"5f3c2e1a-0000-4000-8000-000000000000", b"b" * 650 + b"</s:Envelope>")

#: Makes `count` calls on `connections` connections.
Caller = Callable[[str, int, int], Awaitable[None]]


async def alone(url: str, connections: int, count: int) -> None:
    """Our wire alone: what a row call costs."""
    clients = client_factory(HttpSettings(), 30.0)
    client = clients()
    line = Line(client, url, HEADERS)
    await line.post(PARTS)  # the first one goes through httpx

    async def worker() -> None:
        for _ in range(count // connections):
            await line.post(PARTS)

    await asyncio.gather(*(worker() for _ in range(connections)))
    await client.aclose()


async def under_httpx(url: str, connections: int, count: int) -> None:
    """Our wire as httpx's transport: what any other call costs. A client for each session, as the targets have it."""
    make = client_factory(HttpSettings(), 30.0)
    await _through([make() for _ in range(connections)], url, count)


async def plain_httpx(url: str, connections: int, count: int) -> None:
    """httpx as it is, a client for each session."""
    verify = httpx.create_ssl_context()
    await _through([httpx.AsyncClient(verify=verify) for _ in range(connections)], url, count)


async def _through(clients: list[httpx.AsyncClient], url: str, count: int) -> None:
    async def worker(client: httpx.AsyncClient) -> None:
        for _ in range(count // len(clients)):
            (await client.post(url, headers=HEADERS, content=b"".join(PARTS))).raise_for_status()

    await asyncio.gather(*map(worker, clients))
    for client in clients:
        await client.aclose()


CALLERS: dict[str, tuple[Caller, float]] = {
    "wire alone": (alone, 1.0),
    "wire under httpx": (under_httpx, 0.03),
    "httpx": (plain_httpx, 0.02),
}


def measured(name: str, url: str, connections: int, count: int, loop: str) -> tuple[float, float]:
    """Calls a second, and seconds of CPU for one, in this process."""
    caller, share = CALLERS[name]
    made = max(connections, int(count * share) // connections * connections)

    async def main() -> tuple[float, float]:
        began, used = perf_counter(), process_time()
        await caller(url, connections, made)
        return made / (perf_counter() - began), (process_time() - used) / made

    if loop == "uvloop":
        import uvloop

        return uvloop.run(main())
    return asyncio.run(main())


def in_process(name: str, options: argparse.Namespace, url: str) -> tuple[float, float]:
    """The same in a fresh process, on a core of its own."""
    command = [*pinned(1), sys.executable, __file__, "--one", name, "--url", url, "--loop", options.loop]
    command += ["--connections", str(options.connections), "--count", str(options.count)]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603 - our own
    rate, cpu = json.loads(told)
    return rate, cpu


def wrk(options: argparse.Namespace, url: str, place: Path) -> tuple[float, float]:
    """The ceiling: the same bytes from a program in C."""
    script = place / "wrk.lua"
    if not script.exists():
        request = httpx.AsyncClient().build_request("POST", url, headers=HEADERS, content=b"".join(PARTS))
        del request.headers["content-length"]  # wrk adds its own
        lines = [f"wrk.headers[{json.dumps(k)}] = {json.dumps(v)}" for k, v in request.headers.items()]
        body = json.dumps(b"".join(PARTS).decode())
        done = 'done = function(s, l, r) io.write(string.format("%d %d\\n", s.requests, s.duration)) end'
        script.write_text("\n".join(['wrk.method = "POST"', f"wrk.body = {body}", *lines, done]))
    command = [*pinned(1), "wrk", "-t1", f"-c{options.connections}", f"-d{options.seconds}s", "-s", str(script), url]
    before = getrusage(RUSAGE_CHILDREN)
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603 - our own
    after = getrusage(RUSAGE_CHILDREN)
    calls, microseconds = map(int, told.split("\n")[-2].split())
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return calls / microseconds * 1e6, used / calls


def pinned(core: int) -> list[str]:
    """What pins a command to a core, where the machine allows."""
    several = hasattr(os, "sched_getaffinity") and len(os.sched_getaffinity(0)) > 1
    if not several or not shutil.which("taskset"):
        return []
    return ["taskset", "-c", str(sorted(os.sched_getaffinity(0))[core])]


@contextmanager
def nginx(place: Path) -> Iterator[str]:
    """nginx on a core of its own; gives its address."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    text = NGINX.replace("PLACE", str(place)).replace("PORT", str(port)).replace("ANSWER", ANSWER)
    (place / "nginx.conf").write_text(text)
    command = [*pinned(0), "nginx", "-p", str(place), "-c", str(place / "nginx.conf")]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:  # noqa: S603 - our own
        try:
            while process.poll() is None:
                try:
                    socket.create_connection(("127.0.0.1", port)).close()
                    break
                except ConnectionRefusedError:
                    os.sched_yield()
            yield f"http://127.0.0.1:{port}/onc.svc"
        finally:
            process.terminate()


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
    parser.add_argument("--url", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measured(options.one, options.url, options.connections, options.count, options.loop)))
        return
    missing = [name for name in ("nginx", "wrk") if not shutil.which(name)]
    if missing:
        raise SystemExit(f"{' and '.join(missing)} cannot be found: apt-get install nginx-light wrk")
    figures: dict[str, list[tuple[float, float]]] = {name: [] for name in ("wrk", *CALLERS)}
    with tempfile.TemporaryDirectory(prefix="bench-wire-") as directory, nginx(Path(directory)) as url:
        for number in range(options.rounds):
            for name in figures:
                taken = wrk(options, url, Path(directory)) if name == "wrk" else in_process(name, options, url)
                figures[name].append(taken)
            print(f"round {number + 1} of {options.rounds}", file=sys.stderr)
    ceiling = statistics.median(rate for rate, _ in figures["wrk"])
    best = max(rate for rate, _ in figures["wrk"])
    size = sum(map(len, PARTS))
    print(f"{options.connections} connections, {size:,} bytes a message, {options.loop}, {options.rounds} rounds")
    print(f"{'':<18}{'x wrk':>8}{'best x best':>13}{'calls/s':>11}{'best':>10}{'CPU µs':>9}{'least':>8}")
    for name, taken in figures.items():
        rates, costs = zip(*taken, strict=True)
        rate, cost = statistics.median(rates), statistics.median(costs) * 1e6
        print(
            f"{name:<18}{rate / ceiling:>8.3f}{max(rates) / best:>13.3f}{rate:>11,.0f}{max(rates):>10,.0f}"
            f"{cost:>9.1f}{min(costs) * 1e6:>8.1f}"
        )


if __name__ == "__main__":
    main()
