"""Writes report.html into a run's directory at the end of whatever was done with the run; that never fails the run."""

import polars as pl

from pipeline.errors import PipelineError
from pipeline.ledger.rundirectory import RunDirectory
from pipeline.logs import logger
from pipeline.report import html
from pipeline.run.inspecting import digest_of


def write_report(directory: RunDirectory) -> None:
    """Make the page anew from what lies in the directory (blocking). Raises nothing; a warning in the log tells."""
    try:
        directory.write_private(directory.report.name, html.render(digest_of(directory.path)))
    # The run stands, whatever becomes of its page; a panic of polars is no Exception.
    except (Exception, pl.exceptions.PanicException) as error:  # noqa: BLE001
        # The message of a foreign exception may hold anything.
        reason = str(error) if isinstance(error, PipelineError) else type(error).__name__
        advice = "the run itself is not concerned; `contact-pipeline report RUN_DIR --format html` makes the page anew"
        logger().warning("report.failed", reason=reason, advice=advice)
