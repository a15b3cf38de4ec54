"""How a command ends that does not end well: sentences on standard error, and an exit code."""

import os
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer

from pipeline.cli.terminal import complain
from pipeline.errors import ConfigError, MachineFailed, RunError

#: Set to anything, it shows the traceback of an unexpected error. Tracebacks may hold people's numbers.
DEBUG = "CONTACT_PIPELINE_DEBUG"

#: What a shell reports for a command that SIGINT ended.
INTERRUPTED = 130


@contextmanager
def ending() -> Iterator[None]:
    """Turn what is raised inside into sentences and typer.Exit with the exit code of interface.md."""
    try:
        yield
    except KeyboardInterrupt:
        complain("Stopped.")
        raise typer.Exit(INTERRUPTED) from None
    except typer.Exit:
        raise
    except Exception as error:  # noqa: BLE001 - the last stop before the user
        raise typer.Exit(_explain(_cause(error))) from None


def _cause(error: BaseException) -> BaseException:
    """The first error of a group: tasks that run side by side fail as one."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _explain(error: BaseException) -> int:
    if isinstance(error, ConfigError):
        for problem in error.problems:
            complain(problem)
        return error.exit_code
    if isinstance(error, RunError):
        complain(str(error))
        return error.exit_code
    if os.environ.get(DEBUG):
        traceback.print_exception(error)
    # The message of a foreign exception may hold anything, so only its kind and place are shown.
    complain(
        f"An unexpected {type(error).__name__} in {_place(error)}. This is a mistake in contact-pipeline: "
        f"please report it with this line. {DEBUG}=1 shows where it comes from."
    )
    return MachineFailed.exit_code


def _place(error: BaseException) -> str:
    """The innermost line of this package that the error came through."""
    package = Path(__file__).parents[1]
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename).is_relative_to(package)
    ]
    if not frames:
        return "the command line"
    return f"{Path(frames[-1].filename).relative_to(package.parent).as_posix()}, line {frames[-1].lineno}"
