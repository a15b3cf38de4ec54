"""Shows how far a run has come: a display on a terminal, plain lines elsewhere, both on standard error.

A thread looks at the run's progress now and then, so the display goes on whatever the event loop is busy with.
"""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Final

from pipeline.cli.terminal import complain

if TYPE_CHECKING:
    from rich.live import Live

    from pipeline.report.progress import Meter, Reading, Watched

#: Seconds until the first line, and between lines at most; the time between them doubles from the one to the other.
FIRST_LINE: Final = 1.0
LONGEST_PAUSE: Final = 10.0

#: A display is drawn so often, in times per second.
FRAMES: Final = 4


class Display:
    """What shows a run's progress; it can be put aside while the terminal is needed for a question."""

    def __init__(self, live: "Live | None" = None) -> None:
        self._live = live

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Show nothing inside."""
        if self._live is None:
            yield
            return
        self._live.stop()
        try:
            yield
        finally:
            self._live.start()


def showing(progress: "Watched", *, quiet: bool, as_json: bool) -> AbstractContextManager[Display]:
    """Show `progress` inside; `quiet`: show nothing, `as_json`: log lines of JSON without a terminal."""
    from pipeline.report.progress import Meter

    if quiet:
        return nullcontext(Display())
    meter = Meter(progress)
    return _live(meter) if sys.stderr.isatty() else _lines(meter, _log if as_json else _write)


@contextmanager
def _lines(meter: "Meter", write: "Callable[[Reading], None]") -> Iterator[Display]:
    """A line now and then, less often the longer it takes."""
    stopped = threading.Event()

    def work() -> None:
        pause = FIRST_LINE
        while not stopped.wait(pause):
            write(meter.read())
            pause = min(pause * 2, LONGEST_PAUSE)

    thread = threading.Thread(target=work, name="progress", daemon=True)
    thread.start()
    try:
        yield Display()
    finally:
        stopped.set()
        thread.join()


def _write(reading: "Reading") -> None:
    from datetime import UTC, datetime

    complain(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {reading.line()}")


def _log(reading: "Reading") -> None:
    from pipeline.logs import logger

    logger().info("progress", **reading.fields())


@contextmanager
def _live(meter: "Meter") -> Iterator[Display]:
    """A display that is drawn anew; what is logged meanwhile goes above it."""
    from rich.console import Console
    from rich.live import Live

    # Standard output stays as it is: it holds the summary alone.
    live = Live(
        console=Console(stderr=True),
        get_renderable=lambda: _picture(meter.read()),
        refresh_per_second=FRAMES,
        transient=True,
        redirect_stdout=False,
    )
    with live:
        yield Display(live)


def _picture(reading: "Reading") -> Any:
    """Two lines: a bar with numbers, and the counts."""
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    from pipeline.report.text import counts, number

    bar = Table.grid(padding=(0, 2))
    known = reading.total is not None
    bar.add_row(
        Text(reading.phase, style="bold"),
        ProgressBar(total=reading.total, completed=reading.done, width=30, pulse=not known),
        Text(f"{number(reading.done)}/{number(reading.total)}" if reading.total is not None else number(reading.done)),
        Text(reading.pace),
    )
    return Group(bar, Text(counts(reading.counts), style="dim"))
