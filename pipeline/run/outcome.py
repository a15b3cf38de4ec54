"""How a run ends: thresholds while it goes on, the exit code and the result in the end."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pipeline.errors import RunError, ThresholdReached
from pipeline.ledger.summary import Summary
from pipeline.records import BAD, Status
from pipeline.stages.survey import Survey
from pipeline.values import Share

#: A signal's code stands above all; else the first of these that applies.
_MOST_SERIOUS: Final = (8, 7, 6, 5, 2, 3, 4, 1)

#: What a process ends with after SIGINT and SIGTERM (128 + the signal's number).
SIGNAL_CODES: Final = {2: 130, 15: 143}


@dataclass(frozen=True, slots=True)
class Result:
    """How a run ended. `error` says in words why it did not end normally."""

    summary: Summary
    error: str | None = None
    survey: Survey | None = None


def bad_rows(counts: Mapping[Status, int]) -> int:
    """Rows that are invalid, rejected or failed."""
    return sum(counts.get(status, 0) for status in BAD)


@dataclass(frozen=True, slots=True)
class Threshold:
    """`--max-bad`: how many bad rows a run bears; None: any number."""

    share: Share | None

    def judge(self, counts: Mapping[Status, int], total: int | None) -> ThresholdReached | None:
        """The error to stop with, if there are too many bad rows among those settled.

        `total` is the rows of the whole input; None: not known, a percentage is of the rows settled so far.
        """
        if self.share is None:
            return None
        bad, rows = bad_rows(counts), sum(counts.values()) if total is None else total
        if not self.share.exceeded(bad, rows, final=total is not None):
            return None
        return ThresholdReached(
            f"{bad} of {rows} rows are invalid, rejected or failed; --max-bad allows {self.share}. "
            "See resubmit.csv for the rows and why."
        )


def exit_code(
    counts: Mapping[Status, int], *, failure: RunError | None, received: int | None, tolerate: Share | None
) -> int:
    """The exit code (interface.md, "Exit codes"). `received`: the number of the signal that stopped the run."""
    if received is not None:
        return SIGNAL_CODES.get(received, 128 + received)
    codes = {failure.exit_code} if failure is not None else set()
    if counts.get(Status.IN_DOUBT):
        codes.add(4)
    rows, bad = sum(counts.values()), bad_rows(counts)
    tolerated = tolerate is not None and not tolerate.exceeded(bad, rows, final=True)
    if (bad and not tolerated) or counts.get(Status.CHANGED):
        codes.add(1)
    if counts.get(Status.PENDING) and not codes:
        codes.add(8)  # rows are left over and nothing says why: our own mistake, never to be called success
    return next((code for code in _MOST_SERIOUS if code in codes), 0)
