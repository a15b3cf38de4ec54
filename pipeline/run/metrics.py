"""Writes how a run goes, while it goes on, to a file that node_exporter's textfile collector reads (`--metrics`).

The file is OpenMetrics, and at the same time the older text format, which is what that collector takes: it holds
gauges, counters and histograms alone, and no times of its own. A thread writes it, so it tells of a run that is busy
with something else too. Nobody's destination stands in it, and another user has to read it: its mode is 0644.
"""

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic, time
from typing import TYPE_CHECKING, Final, TypeAlias

from pipeline.errors import RunError, UsageError
from pipeline.ledger.summary import Summary
from pipeline.logs import logger
from pipeline.records import Status
from pipeline.report.latencies import BOUNDS as FINE
from pipeline.run.progress import Progress

if TYPE_CHECKING:
    from prometheus_client.core import Metric

#: Seconds between two writings.
EVERY: Final = 2.0

#: Upper bounds of the histogram of latencies, in seconds; what is longer stands under +Inf. Each is one of
#: the finer ones by which a run counts.
BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

_NAMES: Final = "contact_pipeline_"

#: Numbers by the values of the labels that stand behind system and campaign.
Values: TypeAlias = Mapping[tuple[str, ...], float]


class Metrics:
    """What is told of one run. `collect` is what prometheus_client asks of a collector."""

    def __init__(self, progress: Progress, path: Path) -> None:
        self._progress = progress
        self._path = path
        self._started = time()
        self._before = (monotonic(), 0)  # when the rate was told last, and rows sent by then
        self._exit_code: int | None = None  # None: the run goes on
        self._mean: float | None = None  # rows per second while sending; None: not told
        self._failed = False  # whether the last writing failed

    def end(self, summary: Summary) -> None:
        """The run has come to its end."""
        self._exit_code, self._mean = summary.exit_code, summary.rate

    def fail(self, exit_code: int) -> None:
        """It has ended without an account."""
        self._exit_code = exit_code

    # --- what is told -----------------------------------------------------------------------------------------------

    def collect(self) -> "Iterator[Metric]":
        """All metrics as they are now."""
        progress = self._progress
        counts = dict(progress.counts)
        settled = {status: counts.get(status, 0) for status in Status if status is not Status.PENDING}
        pending = max(0, progress.rows - sum(settled.values())) if progress.rows is not None else 0
        by_status: Values = {(status.value,): count for status, count in (*settled.items(), (Status.PENDING, pending))}
        yield self._gauge("rows", "Rows by what has become of them so far; pending ones once all are known.", by_status)
        if progress.rows is not None:
            yield self._gauge("input_rows", "Rows of the input.", {(): progress.rows})
        yield self._counter("sent_rows", "Rows that delivery has settled.", {(): progress.sent})
        rate = "Rows that delivery settles per second: lately, and after the end while it was sending."
        yield self._gauge("rows_per_second", rate, {(): self._rate()})
        yield self._latencies()
        yield self._gauge("sessions_open", "Sessions that are open now.", {(): progress.open_sessions})
        sessions = progress.sessions
        events: Values = {(name,): getattr(sessions, name) for name in ("opened", "renewed", "closed", "expired")}
        yield self._counter("sessions", "Sessions by what has become of them.", events, "event")
        yield self._gauge("in_flight", "Calls without an answer now.", {(): progress.in_flight})
        lag = "Rows whose outcome is known and not yet durable in the journal."
        yield self._gauge("journal_lag_rows", lag, {(): progress.lag()})
        yield self._gauge("phase", "What the run does now: 1.", {(progress.phase,): 1}, "phase")
        started = "When the run, or its resumption, began: seconds since the epoch."
        yield self._gauge("start_time_seconds", started, {(): self._started})
        if self._exit_code is not None:
            yield self._gauge("exit_code", "How the run ended; absent while it goes on.", {(): self._exit_code})
            yield self._gauge("end_time_seconds", "When it ended: seconds since the epoch.", {(): time()})

    def _rate(self) -> float:
        if self._mean is not None:
            return self._mean
        (then, before), now, sent = self._before, monotonic(), self._progress.sent
        self._before = (now, sent)
        return round(max(0, sent - before) / (now - then), 1) if now > then else 0.0

    def _latencies(self) -> "Metric":
        from prometheus_client.core import HistogramMetricFamily

        latencies = self._progress.latencies
        counts, seconds = latencies.counts.copy(), latencies.seconds
        buckets = [(f"{bound}", sum(counts[: FINE.index(bound) + 1])) for bound in BOUNDS]
        buckets.append(("+Inf", sum(counts)))
        family = HistogramMetricFamily(
            f"{_NAMES}send_latency_seconds", "From a row's last send to its answer.", labels=self._names()
        )
        family.add_metric(self._values(), buckets, seconds)
        return family

    def _gauge(self, name: str, words: str, values: Values, label: str = "status") -> "Metric":
        from prometheus_client.core import GaugeMetricFamily

        family = GaugeMetricFamily(_NAMES + name, words, labels=self._names(values, label))
        for labels, value in values.items():
            family.add_metric([*self._values(), *labels], value)
        return family

    def _counter(self, name: str, words: str, values: Values, label: str = "") -> "Metric":
        from prometheus_client.core import CounterMetricFamily

        family = CounterMetricFamily(_NAMES + name, words, labels=self._names(values, label))
        for labels, value in values.items():
            family.add_metric([*self._values(), *labels], value)
        return family

    @staticmethod
    def _names(values: Values | None = None, label: str = "") -> list[str]:
        more = [label] if any(values or ()) else []
        return ["system", "campaign", *more]

    def _values(self) -> list[str]:
        return [self._progress.system, self._progress.campaign]

    # --- the file ---------------------------------------------------------------------------------------------------

    def write(self) -> None:
        """Replace the file. That it cannot be written is told once, and fails nothing."""
        from prometheus_client import CollectorRegistry
        from prometheus_client.openmetrics.exposition import generate_latest

        if not self._progress.system:
            return  # it is not known yet whose run it is
        registry = CollectorRegistry()
        registry.register(self)
        try:
            self.replace(generate_latest(registry))  # type: ignore[no-untyped-call]
        except OSError as error:
            if not self._failed:
                logger().warning("metrics.failed", file=str(self._path), reason=error.strerror or type(error).__name__)
            self._failed = True
        else:
            self._failed = False

    def replace(self, content: bytes | None) -> None:
        """Put the file in place whole; None: only find out whether that can be done. Raises OSError.

        It is not made durable, as the ledger is: the disk is left to the journal.
        """
        part = self._path.with_name(f".{self._path.name}.{os.getpid()}")  # the collector reads what ends with .prom
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content or b"")
            if content is not None:
                part.chmod(0o644)  # whatever the umask says
                part.replace(self._path)
        finally:
            with suppress(FileNotFoundError):
                part.unlink()


@contextmanager
def measured(progress: Progress, path: Path | None) -> Iterator[Metrics | None]:
    """Write the metrics of the run that fills `progress` to `path` inside, and once more at the end.

    None: nobody wants them. Raises UsageError where the extra is not installed or there is no place for the file.
    """
    if path is None:
        yield None
        return
    metrics = Metrics(progress, path)
    try:
        import prometheus_client  # noqa: F401 - that it is there is said before anything begins

        if path.is_dir():
            raise UsageError(f"--metrics {path}: is a directory; name a file in it")
        metrics.replace(None)
    except ImportError:
        raise UsageError("--metrics: needs an extra: pip install 'contact-pipeline[metrics]'") from None
    except OSError as error:
        raise UsageError(f"--metrics {path}: cannot be written: {error.strerror or error}") from None
    stopped = threading.Event()

    def work() -> None:
        while not stopped.wait(EVERY):
            metrics.write()

    thread = threading.Thread(target=work, name="metrics", daemon=True)
    thread.start()
    try:
        yield metrics
    except RunError as error:
        metrics.fail(error.exit_code)
        raise
    finally:
        stopped.set()
        thread.join()
        metrics.write()
