"""A whole import into Web Services, by the command: what expires, is refused, put off or lost on the way."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from cli.kit import run
from loopback import Asked
from targets.genesys_kit import PASSWORD, RECORDS, Service, code
from targets.rest_kit import CUT, Told, serving

CONFIG = """\
[target]
system = "genesys"
endpoint = "{url}"
campaign_name = "Spring"
calling_list = "List 1"
users = [
  {{ username = "agent1", password = {{ env = "TEST_PASSWORD" }} }},
  {{ username = "agent2", password = {{ env = "TEST_PASSWORD" }} }},
  {{ username = "agent3", password = {{ env = "TEST_PASSWORD" }} }},
]
[contacts]
key = ["id"]
region = "CA"
[contacts.sms]
destination = "{{mobile}}"
[contacts.fields]
applicationId = "134"
phoneType = "Mobile"
timeZone = "{{zone}}"
from = "0"
until = "86339"
devicePath = "/devices/7"
chainId = "{{chain}}"
referenceId = "{{id}}"
[delivery]
late_effect = 0.1
outage = 5
"""

ROWS = 50


class Course:
    """What happens on the way of some rows, by their reference: each once, but for what is refused for good."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.happened: Counter[str] = Counter()

    def __call__(self, asked: Asked) -> Told | None:
        if asked.path != RECORDS:
            return None
        reference = asked.message["referenceId"]
        self.happened[reference] += 1
        first = self.happened[reference] == 1
        if reference in ("r10", "r30") and first:
            self.service.expire()
            return None
        if reference in ("r8", "r22", "r35", "r47") and first:  # what is to be echoed changes: forbidden, then taken
            self.service.token += "+"
            return None
        if reference == "r15":
            return code(6, "no such calling list")
        if reference == "r20" and first:
            return code(19, "in use")
        if reference == "r25":
            return code(18)
        if reference == "r40" and first:  # it is taken, and the answer is lost
            self.service.records.append(asked.message)
            return CUT
        if reference == "r41" and first:
            return Told(b"<html>Bad gateway</html>", 502)
        return None


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A working directory with a list and a configuration for a service that is served."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TEST_PASSWORD", PASSWORD)
    rows = [f"r{n},514-555-01{n:02},GMT,{'x' if n == 5 else n}" for n in range(ROWS)]
    Path("list.csv").write_text("\n".join(["id,mobile,zone,chain", *rows]) + "\n", encoding="utf-8")
    service = Service(3)
    with serving(service) as served:
        Path("config.toml").write_text(CONFIG.format(url=served.url), encoding="utf-8")
        yield service


def statuses(run_dir: str) -> dict[str, tuple[str, str | None]]:
    ledger = pl.read_parquet(Path(run_dir) / "ledger.parquet")
    return {key: (status, told) for key, status, told in ledger.select("key", "status", "code").iter_rows()}


@pytest.mark.parametrize("calls", [1, 4])
def test_an_import(desk: Service, calls: int) -> None:
    desk.rules.append(Course(desk))
    options = ("--config", "config.toml", "--set", f"delivery.calls_per_session={calls}")
    ended = run("import", "list.csv", *options, "--run-dir", "runs/r", "--json")
    assert ended.code == 4, ended.err
    summary = json.loads(ended.out)
    told = statuses("runs/r")
    expected = {f"r{n}": ("accepted", "0") for n in range(ROWS)}
    expected |= {
        "r5": ("invalid", None),
        "r15": ("rejected", "6"),
        "r25": ("duplicate", "18"),
        "r40": ("in_doubt", None),
        "r41": ("in_doubt", None),
    }
    assert told == expected
    sent = Counter(record["referenceId"] for record in desk.records)
    added = {key for key, (status, _) in expected.items() if status == "accepted"} | {"r40"}
    assert sent == dict.fromkeys(added, 1), "nothing is lost and nothing is there twice"
    assert desk.twice == []
    assert not desk.started, "every session is ended"
    assert summary["sessions"]["expired"] >= 2
    reasons = {row["key"]: row["reason"] for row in pl.read_parquet("runs/r/ledger.parquet").iter_rows(named=True)}
    assert reasons["r5"] == "chainId is not a whole number"
    assert reasons["r15"] == "the target refused it (code 6: no such calling list)"

    assert run("verify", "runs/r").code == 0
    again = run("resume", "runs/r")
    assert again.code == 4, "what is in doubt cannot be asked for and is not sent again"
    assert Counter(record["referenceId"] for record in desk.records) == sent
    for command in (("verify", "runs/r", "--against-target"), ("undo", "runs/r", "--yes")):
        refused = run(*command)
        assert refused.code == 2
        assert "a target of system genesys" in refused.err.lower()
    for path in Path("runs").rglob("*"):
        assert path.is_dir() or PASSWORD.encode() not in path.read_bytes(), path


def test_a_run_that_was_stopped_goes_on(desk: Service) -> None:
    desk.rules.append(lambda asked: Told(b"", 503) if asked.path == RECORDS and len(desk.records) >= 20 else None)
    options = ("--config", "config.toml", "--run-dir", "runs/r", "--set", "delivery.outage=0.3")
    stopped = run("import", "list.csv", *options)
    assert stopped.code == 5, stopped.err
    assert not desk.started
    desk.rules.clear()
    users = [f'{{username="agent{n}",password={{env="OTHER"}}}}' for n in (1, 2)]
    problem = run("resume", "runs/r", "--set", f"target.users=[{','.join(users)}]")
    assert problem.code == 2
    assert "the environment variable OTHER is not set" in problem.err
    ended = run("resume", "runs/r")
    assert ended.code == 1, ended.err
    assert len(desk.records) == ROWS - 1


def test_session_check(desk: Service) -> None:
    ended = run("session", "check", "--config", "config.toml")
    assert (ended.code, ended.out.strip()) == (0, "A session was opened, proven and closed.")
    assert desk.ended == ["agent1"]
    desk.users["agent1"] = "another"
    refused = run("session", "check", "--config", "config.toml")
    assert refused.code == 6
    assert "code HTTP 401: not authenticated" in refused.err
    assert PASSWORD not in refused.out + refused.err


def test_check_needs_no_secret_and_no_service(desk: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TEST_PASSWORD")
    ended = run("check", "list.csv", "--config", "config.toml")
    assert ended.code == 1
    assert desk.records == []
