"""The examples for cron, systemd and Kubernetes: valid, true, and their command lines run as they stand there."""

import configparser
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kubernetes_validate
import polars as pl
import pytest
import yaml
from simulator.halting import struck

from pipeline import sessions
from pipeline.config import DeliverySettings
from pipeline.run import notifying
from pipeline.simulator import RunningSimulator

BATCH = Path(__file__).parents[2] / "configs/batch"
COMMAND = Path(sys.executable).with_name("contact-pipeline")
ROWS = 120

JOB = yaml.safe_load((BATCH / "job.yaml").read_text(encoding="utf-8"))
CRONJOB = yaml.safe_load((BATCH / "cronjob.yaml").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Line:
    """A command as a scheduler starts it."""

    arguments: list[str]
    environment: dict[str, str]


def _container(job: dict[str, Any]) -> dict[str, Any]:
    [container] = job["template"]["spec"]["containers"]
    assert isinstance(container, dict)
    return container


def _unit(name: str) -> configparser.ConfigParser:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read(BATCH / name, encoding="utf-8")
    return unit


def _placed(text: str, desk: Path) -> str:
    """The same with places of this desk."""
    places = {
        "/opt/contact-pipeline/bin/contact-pipeline": str(COMMAND),
        "/etc/contact-pipeline/import.toml": f"{desk}/config.toml",
        "/config/import.toml": f"{desk}/config.toml",
        "/srv/lists/": f"{desk}/lists/",
        "/lists/": f"{desk}/lists/",
        "/var/lib/contact-pipeline/": f"{desk}/",
        "/run/contact-pipeline/": f"{desk}/",
        "/runs/": f"{desk}/runs/",
    }
    # Where a path begins: what stands within one is none of these.
    return re.sub(rf"(?<![\w/])({'|'.join(places)})", lambda found: places[found[1]], text)


def _cron(desk: Path) -> Line:
    lines = (BATCH / "crontab").read_text(encoding="utf-8").splitlines()
    environment = dict(line.split("=", 1) for line in lines if re.match(r"[A-Z_]+=", line))
    [line] = [line for line in lines if re.match(r"[*\d]", line)]
    command = line.split(None, 5)[5].replace("\\%", "%")
    return Line(["/bin/sh", "-c", _placed(command, desk)], {k: _placed(v, desk) for k, v in environment.items()})


def _systemd(desk: Path) -> Line:
    service = _unit("contact-import.service")["Service"]
    name, _, value = service["Environment"].partition("=")
    words = [word.replace("$$", "$").replace("%%", "%") for word in shlex.split(service["ExecStart"])]
    return Line([_placed(word, desk) for word in words], {name: _placed(value, desk)})


def _kubernetes(job: dict[str, Any], desk: Path) -> Line:
    container = _container(job)
    environment = {each["name"]: _placed(each["value"], desk) for each in container["env"] if "value" in each}
    arguments = [_placed(word.replace("$(JOB)", "contact-import-1"), desk) for word in container["args"]]
    [command] = container["command"]
    assert command == COMMAND.name
    return Line([str(COMMAND), *arguments], environment)


LINES: dict[str, Callable[[Path], Line]] = {
    "crontab": _cron,
    "contact-import.service": _systemd,
    "job.yaml": lambda desk: _kubernetes(JOB["spec"], desk),
    "cronjob.yaml": lambda desk: _kubernetes(CRONJOB["spec"]["jobTemplate"]["spec"], desk),
}


@pytest.fixture
def list_of_today(desk: Path) -> Path:
    """Where the examples look for a list, and for what they write."""
    for name in ("lists", "runs"):
        (desk / name).mkdir()
    rows = (f"{row},Ann,+1 416 555 {100 + row % 100:04},a{row}@example.com" for row in range(ROWS))
    path = desk / "lists/contacts.csv"
    path.write_text("\n".join(("customer_id,first_name,mobile,email", *rows)) + "\n", encoding="utf-8")
    return path


@pytest.fixture(params=LINES)
def line(request: pytest.FixtureRequest, list_of_today: Path, desk: Path) -> Line:
    """Each example's command."""
    return LINES[request.param](desk)


def _start(line: Line) -> subprocess.Popen[str]:
    environment = {**os.environ, **line.environment, "TEST_PASSWORD": "password"}
    return subprocess.Popen(
        line.arguments,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def _run(line: Line) -> tuple[int, str]:
    process = _start(line)
    out, err = process.communicate(timeout=120)
    assert "Traceback" not in err
    return process.returncode, out


def _ledgers(desk: Path) -> list[pl.DataFrame]:
    return [pl.read_parquet(path) for path in desk.glob("runs/*/ledger.parquet")]


def test_all_are_run() -> None:
    assert {path.name for path in BATCH.iterdir()} == {*LINES, "contact-import.timer"}


def test_its_line_imports_and_repeats_its_verdict(
    line: Line, desk: Path, configured: Callable[..., Path], serve: Callable[..., RunningSimulator]
) -> None:
    service = serve()
    configured(service)
    for _ in range(2):
        code, out = _run(line)
        assert code == 0
        if out:  # that of cron goes to a log
            assert json.loads(out)["counts"]["accepted"] == ROWS
        assert len(service.rows()) == ROWS
    [ledger] = _ledgers(desk)
    assert ledger["status"].to_list() == ["accepted"] * ROWS
    assert (desk / line.environment["CONTACT_PIPELINE_STATE"]).is_dir()
    if "--metrics" in " ".join(line.arguments):
        [metrics] = [*desk.glob("*.prom"), *desk.glob("runs/*.prom")]
        assert 'phase="done"' in metrics.read_text(encoding="utf-8")


def test_its_line_stops_at_a_list_of_last_week(
    line: Line,
    list_of_today: Path,
    configured: Callable[..., Path],
    serve: Callable[..., RunningSimulator],
) -> None:
    service = serve()
    configured(service)
    os.utime(list_of_today, (1, 1))
    code, out = _run(line)
    mailed = "The contact import ended with exit code 3.\n"
    assert code == 3 or out == mailed
    assert service.rows() == []


@pytest.mark.parametrize("name", [name for name in LINES if name != "crontab"])
def test_its_line_bears_a_stop(
    name: str,
    list_of_today: Path,
    desk: Path,
    configured: Callable[..., Path],
    serve: Callable[..., RunningSimulator],
) -> None:
    """What is stopped as the scheduler stops it is gone on with by the same line, and nothing is sent twice."""
    service = serve()
    configured(service)
    line = LINES[name](desk)
    process = _start(line)
    out, err = struck(service, process, 10, by=signal.SIGTERM)
    assert process.returncode == 143, err
    assert 0 < len(service.rows()) < ROWS
    assert json.loads(out)["counts"]["in_doubt"] == 0
    assert _run(line)[0] == 0
    assert len(service.rows()) == ROWS
    [ledger] = _ledgers(desk)
    assert ledger["status"].to_list() == ["accepted"] * ROWS


def test_its_line_says_later_where_nobody_answers(line: Line, configured: Callable[..., Path]) -> None:
    configured()
    code, out = _run(line)
    assert code == 5 or out == "The contact import ended with exit code 5.\n"


# --- what else stands there -----------------------------------------------------------------------------------------

#: How long a stop takes at most, beside the ledger.
STOPPING = DeliverySettings().stop_within + sessions.CLOSE_WITHIN + notifying.WITHIN


def test_systemd_takes_the_units(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed: apt-get install systemd")
    for name in ("contact-import.service", "contact-import.timer"):
        text = (BATCH / name).read_text(encoding="utf-8")
        (tmp_path / name).write_text(text.replace("/opt/contact-pipeline/bin/contact-pipeline", str(COMMAND)))
    units = sorted(tmp_path.glob("contact-import.*"))
    ended = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_the_service_follows_the_exit_codes() -> None:
    service = _unit("contact-import.service")["Service"]
    assert service["RestartForceExitStatus"].split() == ["5", "7"]
    assert service["SuccessExitStatus"].split() == ["1", "143"]
    assert float(service["TimeoutStopSec"]) > STOPPING
    assert service["StateDirectoryMode"] == "0700"


@pytest.mark.parametrize("job", [JOB["spec"], CRONJOB["spec"]["jobTemplate"]["spec"]], ids=["job", "cronjob"])
def test_kubernetes_follows_the_exit_codes(job: dict[str, Any]) -> None:
    pod, container = job["template"]["spec"], _container(job)
    actions = {
        code: rule["action"]
        for rule in job["podFailurePolicy"]["rules"]
        if "onExitCodes" in rule
        for code in rule["onExitCodes"]["values"]
    }
    assert {rule.get("onExitCodes", {}).get("operator", "In") for rule in job["podFailurePolicy"]["rules"]} == {"In"}
    assert actions == dict.fromkeys((1, 2, 3, 4, 6, 8), "FailJob") | dict.fromkeys((5, 7), "Count")
    assert pod["restartPolicy"] == "Never", "podFailurePolicy wants it"
    assert job["backoffLimit"] > 0
    assert pod["terminationGracePeriodSeconds"] > STOPPING
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    mounts = {mount["mountPath"]: volumes[mount["name"]] for mount in container["volumeMounts"]}
    assert len(mounts) == len(volumes)
    assert "persistentVolumeClaim" in mounts["/runs"], "runs and state outlive the pod"
    used = [path for word in container["args"] for path in re.findall(r"(?:^|=)(/\w+)/", word)]
    assert set(used) == {"/lists", "/config", "/runs"}
    environment = {each["name"]: each.get("value") for each in container["env"]}
    assert environment["CONTACT_PIPELINE_STATE"].startswith("/runs/")


@pytest.mark.parametrize("version", ["1.31", kubernetes_validate.latest_version()])
@pytest.mark.parametrize("resource", [JOB, CRONJOB], ids=["job", "cronjob"])
def test_kubernetes_takes_them(resource: dict[str, Any], version: str) -> None:
    """By the schemas of its releases: the first in which podFailurePolicy is settled, and the last that is known."""
    kubernetes_validate.validate(resource, version, strict=True)
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(resource | {"spec": resource["spec"] | {"nonsense": 1}}, version, strict=True)


def test_the_cron_job_is_the_job_on_a_schedule() -> None:
    assert CRONJOB["spec"]["jobTemplate"]["spec"] == JOB["spec"]
    assert CRONJOB["spec"]["concurrencyPolicy"] == "Forbid"
