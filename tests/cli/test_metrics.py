"""`--metrics`: what the file says is what the run has done, in the words of both text formats."""

import builtins
import re
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cli.kit import LIST, Ended
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as text_format

from pipeline.run import metrics
from pipeline.simulator import RunningSimulator

CAMPAIGN = {"system": "onc", "campaign": "11111111-1111-4111-8111-111111111111"}
STATUSES = ["accepted", "rejected", "invalid", "duplicate", "changed", "suppressed", "failed", "in_doubt", "pending"]


class Told:
    """A file of metrics, read by the parser of its format."""

    def __init__(self, text: str) -> None:
        self.families = {family.name: family for family in openmetrics(text)}
        self.samples = [sample for family in self.families.values() for sample in family.samples]

    def value(self, name: str, **labels: str) -> float:
        [found] = [
            s.value for s in self.samples if s.name == f"contact_pipeline_{name}" and s.labels == CAMPAIGN | labels
        ]
        return found

    def rows(self) -> dict[str, float]:
        return {status: self.value("rows", status=status) for status in STATUSES}

    @property
    def phase(self) -> str:
        [phase] = self.families["contact_pipeline_phase"].samples
        return phase.labels["phase"]


def test_a_run_is_told_as_it_was(
    command: Callable[..., Ended], configured: Callable[..., Path], serve: Callable[..., RunningSimulator]
) -> None:
    ended = command("import", "list.csv", "--config", configured(serve()), "--metrics", "run.prom", "--json")
    assert ended.code == 1, ended.err
    text = Path("run.prom").read_text(encoding="utf-8")
    told = Told(text)
    assert {status: count for status, count in told.rows().items() if count} == {
        "accepted": 3,
        "invalid": 1,
        "duplicate": 1,
    }
    assert (told.value("input_rows"), told.value("exit_code"), told.phase) == (5, 1, "done")
    assert told.value("send_latency_seconds_count") == told.value("sent_rows_total") == 3
    assert told.value("send_latency_seconds_bucket", le="+Inf") == 3
    assert 0 < told.value("send_latency_seconds_sum") < 30
    assert told.value("sessions_total", event="opened") == told.value("sessions_total", event="closed") > 0
    assert [told.value(name) for name in ("sessions_open", "in_flight", "journal_lag_rows")] == [0, 0, 0]
    assert told.value("start_time_seconds") < told.value("end_time_seconds")
    assert told.value("rows_per_second") > 0
    assert not re.search(r"416\D{0,2}555\D?\d{4}", text), "moments are numbers too, but none so long"
    assert "example.com" not in text


def test_it_is_what_the_textfile_collector_takes(
    command: Callable[..., Ended], configured: Callable[..., Path], serve: Callable[..., RunningSimulator]
) -> None:
    """That is a parser of the older format: it knows no other types, and refuses times."""
    command("import", "list.csv", "--config", configured(serve()), "--metrics", "run.prom")
    text = Path("run.prom").read_text(encoding="utf-8")
    samples = [sample for family in text_format(text) for sample in family.samples]
    assert {sample.name: sample.value for sample in samples}["contact_pipeline_sent_rows_total"] == 3
    assert all(sample.timestamp is None for sample in samples)
    types = {line.split()[3] for line in text.splitlines() if line.startswith("# TYPE")}
    assert types == {"gauge", "counter", "histogram"}
    assert stat.S_IMODE(Path("run.prom").stat().st_mode) == 0o644, "the collector is another user"
    assert [path.name for path in Path().iterdir() if "run.prom" in path.name] == ["run.prom"]


def test_it_is_told_while_the_run_goes_on(
    command: Callable[..., Ended],
    configured: Callable[..., Path],
    serve: Callable[..., RunningSimulator],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whenever it is read, it is whole, and the statuses add up to the rows."""
    rows = 40
    lines = [f"{row},Ann,+1 416 555 01{row:02},a{row}@example.com" for row in range(rows)]
    Path("list.csv").write_text("\n".join((LIST.splitlines()[0], *lines)) + "\n", encoding="utf-8")
    monkeypatch.setattr(metrics, "EVERY", 0.02)
    read: list[Told] = []
    over = threading.Event()

    def collect() -> None:
        while not over.wait(0.01):
            if Path("run.prom").exists():
                read.append(Told(Path("run.prom").read_text(encoding="utf-8")))

    collector = threading.Thread(target=collect)
    collector.start()
    try:  # at such a rate it lasts two seconds at least
        line = ("import", "list.csv", "--config", configured(serve()), "--set", "delivery.rate=20", "--canary", "0")
        assert command(*line, "--metrics", "run.prom").code == 0
    finally:
        over.set()
        collector.join()
    sending = [told for told in read if told.phase == "sending"]
    assert all(sum(told.rows().values()) == rows for told in sending)
    assert any(0 < told.rows()["accepted"] < rows for told in sending)
    assert any(0 < told.value("send_latency_seconds_count") < rows for told in sending)
    assert any(told.value("sessions_open") for told in sending)
    assert any(told.value("rows_per_second") for told in sending)
    assert not any("contact_pipeline_exit_code" in told.families for told in sending)


def test_a_resumption_is_told_too(
    command: Callable[..., Ended], configured: Callable[..., Path], serve: Callable[..., RunningSimulator]
) -> None:
    config = configured(serve())
    assert command("import", "list.csv", "--config", config, "--run-dir", "run", "--max-bad", "0").code == 3
    assert command("resume", "run", "--metrics", "run.prom").code == 1
    told = Told(Path("run.prom").read_text(encoding="utf-8"))
    assert (told.rows()["accepted"], told.value("exit_code")) == (3, 1)


def test_a_failure_is_told(command: Callable[..., Ended], configured: Callable[..., Path]) -> None:
    ended = command("import", "list.csv", "--config", configured(), "--metrics", "run.prom")
    told = Told(Path("run.prom").read_text(encoding="utf-8"))
    assert ended.code == told.value("exit_code") == 5
    assert told.rows()["pending"] == 3


def test_what_cannot_be_written_is_said_first(
    command: Callable[..., Ended],
    configured: Callable[..., Path],
    serve: Callable[..., RunningSimulator],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    line = ("import", "list.csv", "--config", configured(serve()), "--metrics")
    for place in ("nowhere/run.prom", "."):
        ended = command(*line, place)
        assert (ended.code, ended.err.startswith(f"--metrics {place}: ")) == (2, True)

    real = builtins.__import__

    def missing(name: str, *rest: Any) -> Any:
        if name.startswith("prometheus_client"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", missing)
    ended = command(*line, "run.prom")
    assert (ended.code, "pip install 'contact-pipeline[metrics]'" in ended.err) == (2, True)
    assert not Path("runs").exists()


def test_a_full_disk_stops_no_run(
    command: Callable[..., Ended],
    configured: Callable[..., Path],
    serve: Callable[..., RunningSimulator],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = metrics.Metrics.replace

    def full(self: metrics.Metrics, content: bytes | None) -> None:
        if content is not None:
            raise OSError(28, "No space left on device")
        real(self, content)

    monkeypatch.setattr(metrics.Metrics, "replace", full)
    monkeypatch.setattr(metrics, "EVERY", 0.01)
    ended = command("import", "list.csv", "--config", configured(serve()), "--metrics", "run.prom")
    assert ended.code == 1
    assert ended.err.count("metrics.failed") == 1
