"""summary.json: a run in numbers, for scripts and for the last lines on the screen."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from pipeline.errors import MachineFailed
from pipeline.ledger.files import Tally
from pipeline.ledger.private import write_private

#: Name of the file within the run directory.
SUMMARY: Final = "summary.json"


class Seconds(msgspec.Struct, frozen=True):
    """How long the run took, over all its resumptions."""

    total: float = 0.0
    survey: float = 0.0
    sending: float = 0.0


class Sessions(msgspec.Struct, frozen=True):
    """What became of sessions."""

    opened: int = 0
    renewed: int = 0
    closed: int = 0
    expired: int = 0


class Summary(msgspec.Struct, frozen=True):
    """A run in numbers; the fields are the keys of summary.json."""

    rows: int  # read, duplicates and invalid ones among them
    complete: bool  # the whole input was read and no row is pending
    counts: dict[str, int]  # rows by status, all nine of them; they add up to `rows`
    reasons: dict[str, int]  # rows by reason, the most frequent first
    codes: dict[str, int]  # rows by the target's last code
    learnt: list[str]  # what the run learnt about the target, as lines for the configuration
    seconds: Seconds
    rate: float  # rows per second while sending
    sessions: Sessions
    exit_code: int
    error: str | None  # why the run did not end normally, in words
    run_dir: str

    @classmethod
    def of(
        cls,
        tally: Tally,
        *,
        complete: bool,
        seconds: Seconds,
        rate: float,
        sessions: Sessions,
        exit_code: int,
        run_dir: Path,
        learnt: Sequence[str] = (),
        error: str | None = None,
    ) -> "Summary":
        """The summary of a ledger that was just written."""
        return cls(
            rows=tally.rows,
            complete=complete,
            counts=tally.counts,
            reasons=tally.reasons,
            codes=tally.codes,
            learnt=list(learnt),
            seconds=seconds,
            rate=rate,
            sessions=sessions,
            exit_code=exit_code,
            error=error,
            run_dir=str(run_dir),
        )

    def to_json(self) -> str:
        """The text of summary.json, with a newline at its end."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2).decode() + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> "Summary":
        """Read what `to_json` wrote; raises ValueError."""
        return msgspec.json.decode(text, type=cls)

    def write(self, run_dir: Path) -> None:
        """Put summary.json into `run_dir`; raises MachineFailed."""
        write_private(run_dir / SUMMARY, self.to_json().encode())

    @classmethod
    def read(cls, run_dir: Path) -> "Summary | None":
        """The summary of `run_dir`, None where there is none yet; raises MachineFailed where it cannot be read."""
        path = run_dir / SUMMARY
        try:
            return cls.from_json(path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise MachineFailed(f"{path}: cannot be read: {error}") from None
