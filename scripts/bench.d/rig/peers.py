"""The peers: scripts as a good user of each library would write them, with packages of their own in `.bench`.

Each gets a list without repeated, spoilt or silent rows, a session that is open already, and the envelope of our row
call with placeholders, so that it renders the same bytes. It reads the list, sends as many rows at once as there are
connections, checks the answers and writes a line of results for each row.
"""

import csv
import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from rig import people, tools
from rig.cores import CLIENT, pinned
from rig.exchanges import Recording
from rig.rounds import Taken, Unavailable

SCRIPTS = Path(__file__).parents[1] / "peers"
CAMPAIGN = "11111111-1111-4111-8111-111111111111"


@dataclass(frozen=True, slots=True)
class Peer:
    """A script, how it is called, and how many rows it is given at most: each takes some seconds."""

    script: str
    rows: int
    arguments: tuple[str, ...] = ()


PEERS = {
    "zeep, synchronous": Peer("zeep_threads.py", 2_000),
    "saturate": Peer("saturate_soap.py", 2_000),
    "httpx, one client": Peer("httpx_asyncio.py", 2_000, ("shared",)),
    "httpx, a client each": Peer("httpx_asyncio.py", 3_000, ("each",)),
    "aiohttp, uvloop": Peer("aiohttp_uvloop.py", 20_000),
    "Node, undici": Peer("undici.js", 30_000),
}


class Peers:
    """Makes what the peers need, once, and measures them; `home` outlives the measurement, `place` does not."""

    def __init__(self, home: Path, place: Path, recording: Recording, url: str, connections: int) -> None:
        self._home = home
        self._place = place
        self._failed: dict[Path, str] = {}  # why packages could not be installed, by where they were meant to go
        self._job = {
            "url": url,
            "action": recording.row.action,
            "token": recording.token.decode(),
            "campaign": CAMPAIGN,
            "wsdl": str(SCRIPTS.parents[2] / "pipeline/targets/onc/contracts/wcf.wsdl"),
            "connections": connections,
            "envelope": _template(recording, place),
        }

    def measured(self, name: str, rows: int) -> Taken:
        """Let a peer send so many rows; raises Unavailable."""
        peer = PEERS[name]
        runtime = self._node() if peer.script.endswith(".js") else self._python()
        source = self._place / f"plain-{rows}.csv"
        if not source.exists():
            people.write(source, rows, plain=True)
        job = self._place / "job.json"
        job.write_text(json.dumps({**self._job, "list": str(source), "results": str(self._place / "results.csv")}))
        command = [*pinned(CLIENT), *runtime, peer.script, str(job), *peer.arguments]
        ended = subprocess.run(command, capture_output=True, text=True, cwd=self._scripts(peer))  # noqa: S603 - our own
        if ended.returncode:
            raise Unavailable(f"it failed:\n{ended.stderr.strip()[-1500:]}")
        told = json.loads(ended.stdout)
        if told["rows"] != rows:
            raise Unavailable(f"of {rows:,} rows it sent {told['rows']:,}")
        return Taken(rows / told["seconds"], told["cpu"] / rows)

    def _scripts(self, peer: Peer) -> Path:
        return self._home / "node" if peer.script.endswith(".js") else SCRIPTS

    def _python(self) -> list[str]:
        venv = self._home / "venv"
        python = venv / "bin" / "python"
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        wanted = SCRIPTS / "requirements.txt"
        self._install(wanted, venv, [sys.executable, "-m", "venv", "--clear", str(venv)], [*pip, "-r", str(wanted)])
        return [str(python)]

    def _node(self) -> list[str]:
        if told := tools.missing("node", "npm"):
            raise Unavailable(told)
        node = self._home / "node"
        node.mkdir(exist_ok=True)
        wanted = SCRIPTS / "package.json"
        shutil.copy(wanted, node)
        npm = [
            "npm",
            "install",
            "--no-package-lock",
            "--no-audit",
            "--no-fund",
            "--loglevel=error",
            "--fetch-retries=1",
        ]
        self._install(wanted, node, [*npm, "--prefix", str(node)])
        shutil.copy(SCRIPTS / "undici.js", node)  # Node looks for packages beside the script
        return ["node"]

    def _install(self, wanted: Path, made: Path, *commands: list[str]) -> None:
        """Run these commands, unless what is `wanted` has been `made` before; raises Unavailable, and at once again."""
        installed = made / "installed"
        if installed.exists() and installed.read_bytes() == wanted.read_bytes():
            return
        if why := self._failed.get(made):
            raise Unavailable(why)
        print(f"installing the packages of {wanted.name} for the peers", file=sys.stderr, flush=True)
        for command in commands:
            ended = subprocess.run(command, capture_output=True, text=True)  # noqa: S603 - our own
            if ended.returncode:
                lines = ended.stderr.strip().splitlines() or ["no reason told"]
                reason = next((line for line in lines if line.startswith(("ERROR", "npm error"))), lines[-1])
                told = (
                    f"its packages cannot be installed: {reason}\n(they come from the index that pip or npm is set to)"
                )
                self._failed[made] = told
                raise Unavailable(self._failed[made])
        shutil.copy(wanted, installed)


def _template(recording: Recording, place: Path) -> str:
    """Our own row call with placeholders where the first row of the list stands."""
    people.write(place / "first.csv", 1, plain=True)
    with (place / "first.csv").open(encoding="utf-8", newline="") as file:
        (first,) = csv.DictReader(file)
    text = recording.row.request.decode()
    values = {name: first[name] for name in ("landline", "email", "first_name", "appointment")}
    values["mobile"] = "+1" + re.sub(r"\D", "", first["mobile"])
    values["token"] = recording.token.decode()
    values["contact_id"] = re.findall(r"Id>([0-9a-f-]{36})</\w+:Id>", text)[0]
    for name, value in values.items():
        assert text.count(value) == 1, f"{name} must stand once in the message"
        text = text.replace(value, f"{{{name}}}")
    return text
