"""A whole import into SpreadsheetWEB, by the command: what expires, is refused or lost on the way, one by one and in
batches.
"""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from cli.kit import run
from loopback import Asked
from targets.pagos_kit import APPLICATION, NO_TOKEN, SECRET, TOKEN, Service
from targets.rest_kit import CUT, Told, serving

CONFIG = """\
[target]
system = "pagos"
endpoint = "{url}"
application_key = "{application}"
token_url = "{url}/connect/token"
client_id = "importer"
client_secret = {{ env = "TEST_SECRET" }}
[contacts]
key = ["id"]
region = "CA"
[contacts.sms]
destination = "{{mobile}}"
[contacts.fields]
"Sheet1!A1" = "{{id}}"
"Sheet1!A5" = "{{contact.sms}}"
[delivery]
sessions = 3
late_effect = 0.1
outage = 5
"""

ROWS = 50


class Course:
    """What happens on the way of some rows, once each."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.seen: set[str] = set()
        self.cut = False

    def __call__(self, asked: Asked) -> Told | None:
        if not asked.path.endswith("Result") and not asked.path.endswith("Results"):
            return None
        message = asked.message
        parts = [part["Request"] for part in message["Requests"]] if "Requests" in message else [message]
        keys = {self.service.values(part)[0] for part in parts if part["Inputs"]}
        new, self.seen = keys - self.seen, self.seen | keys
        if new & {"r10", "r30"}:
            self.service.sessions.clear()
        if new & {"r20", "r34", "r48"}:  # again and again: what a token's end looks like is never learnt as acceptance
            self.service.tokens.clear()
        if "r40" in keys and not self.cut:
            before = len(self.service.records)
            told = self.service.answer(asked)
            self.cut = len(self.service.records) > before
            return CUT if self.cut else told  # done, and the answer lost: a session may have ended first
        return None


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """A working directory with a list and a configuration for a service that is served."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TEST_SECRET", SECRET)
    rows = [f"r{n},{'nobody' if n == 5 else f'514-555-01{n:02}'}" for n in range(ROWS)]
    Path("list.csv").write_text("\n".join(["id,mobile", *rows]) + "\n", encoding="utf-8")
    service = Service()
    service.refusals["r15"] = "The number +15145550115 is not wanted."
    with serving(service) as served:
        config = CONFIG.format(url=served.url, application=APPLICATION)
        Path("config.toml").write_text(config, encoding="utf-8")
        yield service


@pytest.mark.parametrize("batch", [1, 10])
def test_an_import(desk: Service, batch: int) -> None:
    desk.rules.append(Course(desk))
    options = ("--config", "config.toml", "--set", f"target.batch={batch}", "--set", "delivery.calls_per_session=4")
    ended = run("import", "list.csv", *options, "--run-dir", "runs/r", "--json")
    assert ended.code == 4, ended.err
    ledger = pl.read_parquet("runs/r/ledger.parquet")
    told: dict[str, Any] = {row["key"]: row for row in ledger.iter_rows(named=True)}
    doubtful = {key for key, row in told.items() if row["status"] == "in_doubt"}
    assert "r40" in doubtful
    assert len(doubtful) <= batch
    expected = dict.fromkeys((f"r{n}" for n in range(ROWS)), "accepted")
    expected |= {"r5": "invalid", "r15": "rejected", **dict.fromkeys(doubtful, "in_doubt")}
    assert {key: row["status"] for key, row in told.items()} == expected
    assert told["r15"]["reason"] == "the target refused it (The number *** is not wanted.)"
    saved = Counter(desk.values(record)[0] for record in desk.records)
    assert saved == dict.fromkeys(expected.keys() - {"r5", "r15"}, 1), "nothing is lost and nothing is there twice"
    ids = {desk.values(record)[0]: record["SaveInformation"]["RecordId"] for record in desk.records}
    assert ids == {key: told[key]["contact_id"] for key in ids}
    assert 2 <= len(desk.fetched) <= 4
    assert not desk.sessions, "every session is closed"
    assert json.loads(ended.out)["sessions"]["expired"] >= 2

    assert run("verify", "runs/r").code == 0
    assert run("resume", "runs/r").code == 4, "what is in doubt cannot be asked for and is not sent again"
    assert Counter(desk.values(record)[0] for record in desk.records) == saved
    for command in (("verify", "runs/r", "--against-target"), ("undo", "runs/r", "--yes")):
        refused = run(*command)
        assert refused.code == 2
        assert "a target of system pagos" in refused.err.lower()
    for path in Path("runs").rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert SECRET.encode() not in content
            assert b"fetched-" not in content, "no token is kept"


def test_session_check(desk: Service) -> None:
    ended = run("session", "check", "--config", "config.toml")
    assert (ended.code, ended.out.strip()) == (0, "A session was opened, proven and closed.")
    assert not desk.sessions
    assert desk.records == []


def test_a_login_that_fails_ends_the_run_and_is_not_repeated(desk: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_SECRET", "wrong-horse")
    ended = run("import", "list.csv", "--config", "config.toml", "--run-dir", "runs/r")
    assert ended.code == 6
    assert "refuses our client credentials (invalid_client)" in ended.err
    assert "horse" not in ended.err
    assert len(desk.fetched) == 1
    monkeypatch.setenv("TEST_SECRET", SECRET)
    assert run("resume", "runs/r").code == 1
    assert len(desk.records) == ROWS - 2


def test_a_token_that_is_no_more_taken_stops_the_run_and_another_goes_on(desk: Service) -> None:
    config = Path("config.toml").read_text(encoding="utf-8")
    head, tail = config.partition("token_url")[0], config.partition("[contacts]")[2]
    Path("config.toml").write_text(f'{head}token = "{TOKEN}"\n[contacts]{tail}', encoding="utf-8")
    desk.rules.append(lambda asked: Told(NO_TOKEN) if len(desk.records) >= 20 else None)
    ended = run("import", "list.csv", "--config", "config.toml", "--run-dir", "runs/r")
    assert ended.code == 6
    assert "Check target.token" in ended.err
    assert TOKEN not in ended.err
    desk.rules.clear()
    desk.tokens = {"another"}
    problem = run("resume", "runs/r")
    assert problem.code == 2
    assert "target: token is missing" in problem.err
    assert run("resume", "runs/r", "--set", "target.token=another").code == 1
    assert len(desk.records) == ROWS - 2
