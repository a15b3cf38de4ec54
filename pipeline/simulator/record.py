"""A service's own account of what happened: tests compare with it, not with the ledger alone."""

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple


class Refused(NamedTuple):
    """A row that was answered with no."""

    campaign: str  # what names the place it was meant for
    contact: str  # id, as it was sent
    code: int | str  # code or message of the answer


class Swallowed(NamedTuple):
    """A row that was stored and whose result was never told."""

    campaign: str  # what names the place it went to
    contact: str  # id, as it is stored
    how: str  # kind of the fault


@dataclass(slots=True)
class Record:
    """Counters and lists, since the start."""

    calls: Counter[str] = field(default_factory=Counter)  # by operation, however they ended
    faults: Counter[str] = field(default_factory=Counter)  # by kind: calls of any operation that a fault hit
    rejected: Counter[str] = field(default_factory=Counter)  # requests that were no calls: by fault or HTTP status
    codes: Counter[int | str] = field(default_factory=Counter)  # answers to rows that were told, by code or message
    received: int = 0  # rows that came in, by whatever call, however it ended
    stored: int = 0  # rows that were added
    accepted: int = 0  # rows that were answered with yes
    duplicates: int = 0  # those among the stored whose id was taken
    bad_session: int = 0  # calls of any operation without a good session
    refused_openings: int = 0  # openings of a session that were answered with no
    refused: list[Refused] = field(default_factory=list)
    swallowed: list[Swallowed] = field(default_factory=list)

    def told(self, code: int | str, no: Refused | None) -> None:
        """A row's result goes out to the caller; `no` is what was refused, if it was."""
        self.codes[code] += 1
        if no is None:
            self.accepted += 1
        else:
            self.refused.append(no)
