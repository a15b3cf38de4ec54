"""Shows how far a run has come: a display on a terminal, plain lines elsewhere, both on standard error.

A thread looks at the run's progress now and then, so the display goes on whatever the event loop is busy with.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from pipeline.cli.options import LogFormat
from pipeline.cli.terminal import complain, drawable, log_style

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live

    from pipeline.report.progress import Meter, Reading, Watched

#: Seconds until the first line, and between lines at most; the time between them doubles from the one to the other.
FIRST_LINE: Final = 1.0
LONGEST_PAUSE: Final = 10.0

#: Seconds between two looks at the run.
LOOK: Final = 0.5

#: A display is drawn so often, in times per second.
FRAMES: Final = 4

#: How the lines of a display look.
STYLES: Final = {"stage": "bold", "counts": "", "traffic": "dim", "problem": "yellow"}


class Display:
    """What shows a run's progress; it can be put aside while the terminal is needed for a question."""

    def __init__(self, make: "Callable[[], Live] | None" = None) -> None:
        """`make`: makes what is drawn, anew for each time that it begins; None: nothing is."""
        self._make = make
        self._live: Live | None = None

    def begin(self) -> None:
        """Draw from now on."""
        if self._make is not None:
            self._live = self._make()
            self._live.start()

    def end(self) -> None:
        """Leave nothing of it on the terminal."""
        if self._live is not None:
            self._live.stop()

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Show nothing inside."""
        self.end()
        try:
            yield
        finally:
            self.begin()


def showing(progress: "Watched", *, quiet: bool, style: LogFormat | None) -> AbstractContextManager[Display]:
    """Show `progress` inside; `quiet`: show nothing. Lines are written as those of the log are, in the `log_style`:
    whatever collects those from standard error meets one form there.
    """
    from pipeline.report.progress import Meter

    if quiet:
        return nullcontext(Display())
    meter = Meter(progress)
    return _live(meter) if drawable() else _lines(meter, _log if log_style(style) is LogFormat.JSON else _write)


@contextmanager
def _lines(meter: "Meter", write: "Callable[[Reading], None]") -> Iterator[Display]:
    """A line now and then, less often the longer it takes."""
    stopped = threading.Event()

    def work() -> None:
        pause, waited = FIRST_LINE, 0.0
        while not stopped.wait(LOOK):
            reading = meter.read()  # also where nothing is written, so that the next line has a rate to tell
            waited += LOOK
            if waited >= pause:
                write(reading)
                pause, waited = min(pause * 2, LONGEST_PAUSE), 0.0

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

    console = Console(stderr=True)
    began = monotonic()

    def make() -> Live:
        # Standard output stays as it is: it holds the summary alone. Begun again, the same one would draw over what was
        # written meanwhile.
        return Live(
            console=console,
            get_renderable=lambda: _picture(meter.read(), console, monotonic() - began),
            refresh_per_second=FRAMES,
            transient=True,
            redirect_stdout=False,
        )

    display = Display(make)
    display.begin()
    try:
        yield display
    finally:
        display.end()


def _picture(reading: "Reading", console: "Console", elapsed: float) -> Any:
    from rich.text import Text

    from pipeline.report.view import view

    plain = not console.encoding.startswith("utf")
    size = console.size
    lines = view(reading, width=size.width, height=size.height, elapsed=elapsed, plain=plain)
    text = Text(no_wrap=True, overflow="crop")
    for position, (kind, line) in enumerate(lines):
        text.append(("\n" if position else "") + line, STYLES[kind])
    return text
