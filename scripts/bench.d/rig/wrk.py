"""The ceiling: wrk, a program in C that does nothing but send one request over and over, with a row call of ours."""

import json
import subprocess
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage

from rig.cores import CLIENT, pinned
from rig.exchanges import Exchange
from rig.rounds import Taken


def measured(row: Exchange, url: str, place: Path, *, connections: int, seconds: int) -> Taken:
    """Send it for so many seconds."""
    script = place / "row.lua"
    # wrk adds the length and the host.
    lines = [f"wrk.headers[{json.dumps(name)}] = {json.dumps(value)}" for name, value in row.headers.items()]
    done = (
        "done = function(s, l, r) local e = s.errors io.write(string.format("
        '"%d %d %d\\n", s.requests, s.duration, e.connect + e.read + e.write + e.status + e.timeout)) end'
    )
    body = json.dumps(row.request.decode(), ensure_ascii=False)
    script.write_text("\n".join(['wrk.method = "POST"', f"wrk.body = {body}", *lines, done]))
    command = [*pinned(CLIENT), "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(script), url]
    before = getrusage(RUSAGE_CHILDREN)
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603 - our own
    after = getrusage(RUSAGE_CHILDREN)
    calls, microseconds, errors = map(int, told.split("\n")[-2].split())
    if errors:
        raise SystemExit(f"of {calls:,} calls of wrk {errors:,} failed")
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Taken(calls / microseconds * 1e6, used / calls)
