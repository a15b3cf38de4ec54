"""The two streams that a person or a script reads, and the questions that are asked on a terminal."""

import os
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO, TypeVar

from pipeline.cli.options import LogFormat
from pipeline.errors import MachineFailed

T = TypeVar("T")


def say(text: str) -> None:
    """Write a line to standard output. Whoever has stopped reading does not change how the command ends.

    Raises MachineFailed as `put` does.
    """
    try:
        put(text + "\n")
    except BrokenPipeError:
        _give_up(sys.stdout)


def put(text: str) -> None:
    """Write to standard output. Raises BrokenPipeError where nobody reads any more, MachineFailed where it is a file
    that cannot be written.
    """
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        _give_up(sys.stdout)
        raise MachineFailed(
            f"Standard output cannot be written: {error.strerror or error}. Free space where it goes; what the command "
            "has done until then stands: see with status, or give it again"
        ) from None


def complain(text: str) -> None:
    """Write a line to standard error."""
    try:
        sys.stderr.write(text + "\n")
        sys.stderr.flush()
    except OSError:  # there is nowhere else to tell of it
        _give_up(sys.stderr)


def _give_up(stream: TextIO) -> None:
    """Write nothing more: Python flushes once again on its way out, and that must not fail either."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def bear_any_text() -> None:
    """Let a console that lacks a character show a question mark in its place."""
    for stream in (sys.stdout, sys.stderr):
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="replace")


def standard_input() -> int | None:
    """The descriptor of standard input; None: it is closed."""
    try:
        return None if sys.stdin is None else sys.stdin.fileno()
    except (OSError, ValueError):  # something in its place that is no file
        return None


def interactive(*, piped: bool = False) -> bool:
    """Whether there is a person to ask; `piped`: somewhere else than on standard input, for that is the list."""
    if not sys.stderr.isatty():
        return False
    with _keyboard(piped) as keyboard:
        return keyboard is not None and keyboard.isatty()


def drawable() -> bool:
    """Whether standard error is a terminal that can be drawn on: one that moves its cursor."""
    return sys.stderr.isatty() and os.environ.get("TERM", "") not in ("dumb", "unknown")


def screen() -> tuple[int, int]:
    """Columns and lines of the terminal; where there is none, those of a small one."""
    from shutil import get_terminal_size

    if not sys.stdout.isatty() and sys.stderr.isatty():
        with suppress(OSError, ValueError):
            size = os.get_terminal_size(sys.stderr.fileno())
            return max(20, size.columns or 80), size.lines or 24
    found = get_terminal_size((80, 24))
    return max(20, found.columns), found.lines


def asked(question: str) -> str:
    """A question that is answered by yes or no, as it stands on the terminal."""
    from pipeline.report.text import wrapped

    choice = " [y/N] "
    return "\n".join(wrapped(question, screen()[0] - len(choice))) + choice


async def agreed(question: str, *, piped: bool = False) -> bool:
    """Ask on the terminal; anything but yes is no. Can be cancelled where the system can wait for a terminal."""
    import anyio
    import anyio.to_thread

    sys.stderr.write(asked(question))
    sys.stderr.flush()
    with _keyboard(piped) as keyboard:
        if keyboard is None:
            return False
        try:
            if sys.platform != "win32":  # only sockets can be waited for there
                await anyio.wait_readable(keyboard)
        except OSError:  # macOS cannot wait for a terminal by this name
            pass
        answer = await anyio.to_thread.run_sync(keyboard.readline, abandon_on_cancel=True)
    return answer.strip().lower() in ("y", "yes")


@contextmanager
def _keyboard(piped: bool) -> Iterator[TextIO | None]:
    """Where answers are read from."""
    if not piped or (sys.stdin is not None and sys.stdin.isatty()):
        yield sys.stdin
        return
    try:
        name = "CONIN$" if sys.platform == "win32" else "/dev/tty"
        terminal = Path(name).open(encoding="utf-8", errors="replace")  # noqa: SIM115 - closed below
    except OSError:
        yield None
        return
    with terminal:
        yield terminal


class _CurrentStderr:
    """Standard error as it is at the moment of writing: a progress display redirects it while it is shown."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()

    def isatty(self) -> bool:
        return sys.stderr.isatty()


def log_style(style: LogFormat | None) -> LogFormat:
    """How lines on standard error are written: as asked, else for a person on a terminal and as JSON elsewhere."""
    return style or (LogFormat.TEXT if sys.stderr.isatty() else LogFormat.JSON)


def start_logs(style: LogFormat | None) -> None:
    """Send log lines to standard error, in the `log_style`."""
    from pipeline import logs

    stream: Any = _CurrentStderr()
    logs.configure(log_style(style).value, stream)


def run_async(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run `work` on the fastest event loop there is."""
    import gc
    from importlib.util import find_spec

    import anyio

    gc.freeze()  # what was imported stays

    return anyio.run(work, backend="asyncio", backend_options={"use_uvloop": find_spec("uvloop") is not None})
