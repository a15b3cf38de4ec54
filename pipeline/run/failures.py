"""What ended a run that did not end well, as the one error that is told of it."""

from pathlib import Path
from traceback import extract_tb

from pipeline.errors import MachineFailed, RunError
from pipeline.logs import logger


def first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """The one exception that says most: an error of ours before any other."""
    flat: list[BaseException] = []
    stack: list[BaseException] = [errors]
    while stack:
        error = stack.pop()
        if isinstance(error, BaseExceptionGroup):
            stack.extend(error.exceptions)
        else:
            flat.append(error)
    return next((error for error in flat if isinstance(error, RunError)), flat[0])


def as_run_error(error: Exception) -> RunError:
    """The error that the account of a run tells; one that is no error of ours is a mistake of ours."""
    found = first(error) if isinstance(error, BaseExceptionGroup) else error
    return found if isinstance(found, RunError) else _unexpected(found)


def _unexpected(error: BaseException) -> MachineFailed:
    """A mistake of ours, without its text: that may hold anything."""
    frames = [frame for frame in extract_tb(error.__traceback__) if "pipeline" in frame.filename]
    place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    logger().error("run.unexpected", error=type(error).__name__, place=place.strip())
    return MachineFailed(
        f"An unexpected {type(error).__name__}{place} ended the run; this is a mistake in contact-pipeline, please "
        "report it. What became of the rows is in the ledger."
    )
