"""Outbound records: what AddRecord stores and what it answers."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.simulator.genesys.parameters import RECORD, wrong_record
from pipeline.simulator.genesys.settings import Code, Failure, GenesysSettings
from pipeline.simulator.record import Record, Swallowed


class Records:
    """The outbound records of all calling lists."""

    def __init__(self, record: Record) -> None:
        self.unknown: Counter[str] = Counter()  # members of requests that no document names
        self._record = record
        self._stored: list[dict[str, Any]] = []
        self._taken: Counter[tuple[Any, ...]] = Counter()

    def __len__(self) -> int:
        return len(self._stored)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(list(self._stored))

    def configure(self, settings: GenesysSettings) -> None:
        """Go on with these settings."""
        self._settings = settings
        self._refuse = [
            (re.compile(pattern), Code.VALIDATION if code is None else code)
            for pattern, code in settings.refuse.items()
        ]

    def add(self, user: str, given: Mapping[str, Any], unanswered: str) -> Failure | None:
        """Store a record; why not, if it was not. `unanswered` is the fault that keeps the result from the caller."""
        settings = self._settings
        known = {parameter.name for parameter in RECORD}
        self.unknown.update(name for name in given if name not in known and name != "operationName")
        failure = wrong_record(given)
        if failure is not None:
            return failure
        if settings.campaigns and given["campaignName"] not in settings.campaigns:
            return Failure(Code.NOT_FOUND, "There is no such campaign")
        for pattern, code in self._refuse:
            if pattern.search(given["phoneNumber"]):
                return Failure(code, "The record is refused")
        same = tuple(given.get(name) for name in settings.duplicate_by)
        if self._taken[same]:
            if settings.duplicates == "refuse":
                return Failure(Code.ALREADY_EXISTS, "The record exists already")
            self._record.duplicates += 1
        self._taken[same] += 1
        handle = len(self._stored) + 1
        self._stored.append({"id": handle, "user": user, **{name: given[name] for name in given if name in known}})
        self._record.stored += 1
        if unanswered:
            self._record.swallowed.append(Swallowed(*named(given), unanswered))
        return None


def named(given: Mapping[str, Any]) -> tuple[str, str]:
    """What names the place of a record and the record: campaign and reference."""
    return str(given.get("campaignName", "")), str(given.get("referenceId", ""))
