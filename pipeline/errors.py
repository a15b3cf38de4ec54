"""Exceptions, grouped by what the caller does next.

`RunError` and its children end a command; each carries its exit code (interface.md, "Exit codes") and a message that
says what happened, where, and what to do. `RowError` and its children are how a target answers one row call; `deliver`
holds the table that turns them into a recovery. Neither ever carries a secret, a session id or a destination.
"""

from collections.abc import Sequence


class PipelineError(Exception):
    """Everything that this package raises on purpose."""


# --- what ends a command --------------------------------------------------------------------------------------


class RunError(PipelineError):
    """A command ends with `exit_code`; the message is one or more sentences for a person."""

    exit_code = 8


class UsageError(RunError):
    """What was asked for cannot be done as asked: mend the command, the configuration or the source."""

    exit_code = 2


class ConfigError(UsageError):
    """One or more mistakes in the configuration, all of them at once.

    `problems` holds one line per mistake, each starting with its place.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class SourceError(UsageError):
    """The contact list cannot be read as it is; the message names the file and, where there is one, the line."""


class ThresholdReached(RunError):
    """`--max-bad` or `--expect` stopped the run; it can be resumed."""

    exit_code = 3


class TargetUnreachable(RunError):
    """Nothing gets through to the target: try again later; the run can be resumed."""

    exit_code = 5


class TargetUnusable(RunError):
    """Credentials, contract, campaign or canary: a person must act before the run can be resumed."""

    exit_code = 6


class Busy(RunError):
    """Another run holds this campaign or run directory; nothing was sent."""

    exit_code = 7


class MachineFailed(RunError):
    """This machine failed: disk full, an error of fsync, a damaged journal."""

    exit_code = 8


class Interrupted(RunError):
    """A signal came before anything was begun; the exit code is 128 and the signal's number."""

    def __init__(self, signal_number: int, words: str = "Stopped by a signal before anything was sent.") -> None:
        self.exit_code = 128 + signal_number
        super().__init__(words)


# --- how a row call ends, when it does not end well -----------------------------------------------------------


class RowError(PipelineError):
    """One call did not end in acceptance. `reason` is safe to show: no destination, no secret, no session id."""

    def __init__(self, reason: str, *, code: str | None = None) -> None:
        self.reason = reason
        self.code = code
        super().__init__(reason)


class NotDelivered(RowError):
    """Surely not processed: nothing was written, the connection was refused, 429 or 503.

    `retry_after` is the pause in seconds that the target asked for, or None.
    """

    def __init__(self, reason: str, *, retry_after: float | None = None) -> None:
        self.retry_after = retry_after
        super().__init__(reason)


class PutOff(RowError):
    """The target named a transient code for this row: send it again later; costs an attempt."""


class SessionExpired(RowError):
    """The session is gone and the row was not added: renew, send again."""


class Refused(RowError):
    """The target said no to this row."""


class AlreadyThere(RowError):
    """The target says that it holds this contact already."""


class OutcomeUnknown(RowError):
    """Sent, and no readable answer came: never send again before asking."""


class NoList(OutcomeUnknown):
    """A null list: the target's word for an error, never to be taken for an empty list."""


class OpeningRefused(PipelineError):
    """The target answered no to a further session (code and description are the target's own)."""

    def __init__(self, reason: str, *, code: str) -> None:
        self.reason = reason
        self.code = code
        super().__init__(reason)
