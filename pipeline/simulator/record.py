"""The simulator's own account of what happened: tests compare with it, not with the ledger alone."""

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple


class Refused(NamedTuple):
    """An AddCampaignContact that was answered with another code than 0."""

    campaign: str  # id
    contact: str  # id, as it was sent
    code: int


class Swallowed(NamedTuple):
    """An AddCampaignContact that took effect and whose result was never told."""

    campaign: str  # id
    contact: str  # id, as it is stored
    how: str  # kind of the fault


@dataclass(slots=True)
class Record:
    """Counters and lists, since the start."""

    calls: Counter[str] = field(default_factory=Counter)  # by operation, however they ended
    faults: Counter[str] = field(default_factory=Counter)  # by kind: calls of any operation that a fault hit
    rejected: Counter[str] = field(default_factory=Counter)  # requests that were no calls: by fault or HTTP status
    codes: Counter[int] = field(default_factory=Counter)  # results of AddCampaignContact that were told, by code
    stored: int = 0  # contacts that were added
    duplicates: int = 0  # those among them whose id was taken
    bad_session: int = 0  # calls of any operation without a good session
    refused_openings: int = 0  # OpenAPISession answered with another code than 0
    refused: list[Refused] = field(default_factory=list)
    swallowed: list[Swallowed] = field(default_factory=list)
