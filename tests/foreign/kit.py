"""Servers that others wrote, started over loopback; a list, its import, and what a server holds against the ledger."""

import csv
import html
import json
import os
import queue
import re
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any, Final
from urllib.request import urlopen

import anyio
import polars as pl

from pipeline import run

CAMPAIGN: Final = "4d1fbb35-8a4b-4f2e-9c55-6a0c7f1e22d0"
CHANNELS: Final = {"sms": "SMSCommInfo", "voice": "VoiceCommInfo", "email": "EmailCommInfo"}
RETRIES: Final = {"sms": 3, "voice": 0, "email": 255}

#: Destinations that every server refuses; the list holds some.
REFUSE: Final = "7[0-9]$|^no@"

#: What a server may take to come up, in seconds.
STARTS_WITHIN: Final = 30.0

#: What one import may take, in seconds.
IMPORTS_WITHIN: Final = 30.0

CONFIG: Final = """
[target]
system = "onc"
account_id = "acme"
username = "ann"
password = "p&<ss>"
campaign_id = "{CAMPAIGN}"
wsdl = "{wsdl}"
{endpoint}
[contacts]
key = ["number"]
region = "CA"
[contacts.sms]
destination = "{{mobile}}"
text = "{{greeting}}"
retries = 3
when = {{ column = "sms_ok", in = ["yes"] }}
[contacts.voice]
destination = "{{landline}}"
retries = 0
[contacts.email]
destination = "{{mail}}"
text = "<p>{{greeting}}</p>"
retries = 255
[delivery]
sessions = 4
calls_per_session = 2
"""

#: Texts that something on the way might change.
GREETINGS: Final = (
    "Hi Ann",
    "Zoë & Søn <b>\"quoted\"</b> 'single'",
    "]]> <![CDATA[x]]> &amp; &#65; %s {x}",
    "  leading and trailing  ",
    "two\nlines\tand a tab",
    "\U0001f600 naïve 漢字 \u202eעברית\u202c",
    "cr\r\nlf",
    "\u00a0hard\u2003space\u0085next",
    "-->  <!-- <?pi ?>",
    "0",
)


class Server:
    """A running server: where it is, what it has printed, and what it says it holds."""

    def __init__(self, process: subprocess.Popen[str], port: str) -> None:
        self._process = process
        self._port = re.compile(port)
        self._found: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self.said: list[str] = []
        self._reading = Thread(target=self._read, daemon=True)
        self._reading.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.said.append(line)
            if found := self._port.search(line):
                self._found.put(found[1])
        self._found.put(None)

    def wait(self) -> None:
        """Until the server has printed its port."""
        port = self._found.get(timeout=STARTS_WITHIN)
        assert port is not None, f"the server did not start: {''.join(self.said)}"
        self.url = f"http://127.0.0.1:{port}"

    def stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reading.join(10)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def dump(self) -> dict[str, Any]:
        with urlopen(f"{self.url}/dump", timeout=10) as answer:
            loaded: dict[str, Any] = json.load(answer)
        return loaded


@contextmanager
def started(
    command: list[str], directory: Path, *, port: str = r"^(\d+)$", environment: dict[str, str] | None = None
) -> Iterator[Server]:
    """Run a server in `directory` until the block ends. `port` finds the port in a line that it prints."""
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env={**os.environ, **(environment or {})},
        cwd=directory,
    )
    server = Server(process, port)
    try:
        server.wait()
        yield server
    finally:
        server.stop()


def write_list(path: Path, rows: int) -> list[dict[str, str]]:
    """A list in which every kind of row is found; gives it as it was written."""
    written = []
    for number in range(rows):
        row = {
            "number": f"c-{number}",
            "greeting": GREETINGS[number % len(GREETINGS)],
            "sms_ok": "no" if number % 7 == 3 else "yes",
            "mobile": f"416-555-{1000 + number % 9000}" if number % 5 else "",
            "landline": f"+1 (604) 555-{2000 + number % 7000}" if number % 3 == 0 else "",
            "mail": f"{'no' if number % 29 == 5 else f'p{number}'}@example.com" if number % 2 else "",
        }
        if number % 31 == 30:
            row["mobile"] = row["landline"] = row["mail"] = "12"  # invalid
        if number % 37 == 36:
            row["number"] = f"c-{number - 5}"  # a duplicate
        written.append(row)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, written[0].keys())
        writer.writeheader()
        writer.writerows(written)
    return written


def import_list(
    directory: Path, source: Path, wsdl: str, endpoint: str | None, overrides: Sequence[str] = ()
) -> run.Result:
    """Import a list with a WSDL; the run lies in `directory`/run."""
    config = directory / "import.toml"
    values = {"CAMPAIGN": CAMPAIGN, "wsdl": wsdl, "endpoint": f'endpoint = "{endpoint}"' if endpoint else ""}
    config.write_text(CONFIG.format_map(values), encoding="utf-8")
    state = f"state.directory={json.dumps(str(directory / 'state'))}"
    settings, sources = run.load([config], [state, *overrides], [str(source)])

    async def main() -> run.Result:
        with anyio.fail_after(IMPORTS_WITHIN):
            return await run.import_contacts(settings, sources, run.ImportOptions(run_dir=directory / "run"))

    return anyio.run(main)


def differences(directory: Path, rows: list[dict[str, str]], dump: dict[str, Any]) -> list[str]:
    """Where the ledger and what the server holds tell different stories, row by row; empty: nowhere."""
    ledger = pl.read_parquet(directory / "run" / "ledger.parquet")
    wrong = run.verify_run(directory / "run")
    held: dict[str, list[dict[str, Any]]] = {}
    for contact in dump["held"]:
        held.setdefault(contact["Id"].lower(), []).append(contact)
    if ledger["row"].to_list() != list(range(1, len(rows) + 1)):
        wrong.append("the ledger's rows are not those of the list")
    for row, line in zip(rows, ledger.iter_rows(named=True), strict=True):
        found = held.pop(line["contact_id"], []) if line["status"] in ("accepted", "rejected", "in_doubt") else []
        name = f"row {line['row']} ({line['status']})"
        if line["status"] == "accepted":
            if len(found) == 1:
                wrong += [f"{name}: {what}" for what in _changed(row, line, found[0])]
            else:
                wrong.append(f"{name}: the server holds it {len(found)} times")
        elif found:
            wrong.append(f"{name}: the server holds it")
        refused = any(re.search(REFUSE, line[channel] or "") for channel in CHANNELS)
        expected = _expected(row, line, refused=refused)
        if line["status"] != expected:
            wrong.append(f"{name}: should be {expected} ({line['code']}, {line['reason']})")
    wrong += [f"the server holds {contact}, which the ledger does not" for contact in held]
    return wrong


def _expected(row: dict[str, str], line: dict[str, Any], *, refused: bool) -> str:
    number = line["row"] - 1
    if number % 31 == 30:
        return "invalid" if row["sms_ok"] == "yes" or row["landline"] else "suppressed"
    if not any((row["mobile"] and row["sms_ok"] == "yes", row["landline"], row["mail"])):
        return "suppressed" if row["mobile"] else "invalid"
    if number % 37 == 36:
        return "duplicate"
    return "rejected" if refused else "accepted"


def _changed(row: dict[str, str], line: dict[str, Any], contact: dict[str, Any]) -> Iterator[str]:
    """What a contact holds otherwise than it was sent; a blank text means the campaign's (documented), as none does."""
    texts = {
        "sms": row["greeting"],
        "voice": None,
        "email": f"<p>{html.escape(row['greeting']).replace('&#x27;', '&#39;')}</p>",
    }
    for channel, member in CHANNELS.items():
        way = contact.get(member)
        if line[channel] is None or not way:
            if way or line[channel] is not None:
                yield f"{channel} is {way}, sent was {line[channel]}"
            continue
        sent = (line[channel], texts[channel], RETRIES[channel])
        there = (way["Destination"], way.get("TextToSendOverwrite") or None, int(way["RetryCount"]))
        if there != sent:
            yield f"{channel} is {there}, sent was {sent}"
