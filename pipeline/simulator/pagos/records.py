"""Saved records: what a GetResult saves and what it answers."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.simulator.pagos.settings import PagosSettings
from pipeline.simulator.record import Record, Swallowed

NO_ID = "00000000-0000-0000-0000-000000000000"


class WrongRequestError(Exception):
    """A request cannot be done; the text is the message of its answer."""


class Records:
    """The saved records of the application, in the order in which they were saved first."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._saved: dict[str, list[dict[str, Any]]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._saved.values()))

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (each for same in list(self._saved.values()) for each in same)

    def configure(self, settings: PagosSettings) -> None:
        """Go on with these settings."""
        self._settings = settings
        self._refuse = [
            (re.compile(pattern), settings.refused_message if message is None else message)
            for pattern, message in settings.refuse.items()
        ]

    def calculate(self, given: Mapping[str, Any], session: str, new_id: str, unanswered: str) -> str | None:
        """Take the inputs of a GetResult and save them if it says so; the id of the record, None if none was saved.

        `new_id` is for a record without one; `unanswered` is the fault that keeps the result from the caller.
        Raises WrongRequestError, and then nothing was saved."""
        settings = self._settings
        cells = _cells(given)
        if settings.refs and (unknown := sorted(set(cells) - settings.refs)):
            raise WrongRequestError(f"The reference {unknown[0]} is invalid.")
        for values in cells.values():
            for value in (value for line in values for value in line):
                for pattern, message in self._refuse:
                    if pattern.search(value):
                        raise WrongRequestError(message)
        saving = given.get("SaveInformation") or {}
        if not isinstance(saving, dict) or not isinstance(saving.get("RecordId") or "", str):
            raise WrongRequestError("SaveInformation is invalid.")
        if saving.get("Save") is not True:
            return None
        record_id: str = saving.get("RecordId") or NO_ID
        if record_id == NO_ID or settings.own_ids:
            record_id = new_id
        saved = {"id": record_id, "session": session, "cells": cells}
        same = self._saved.setdefault(record_id, [])
        if same and settings.taken_record == "refuse":
            raise WrongRequestError("The record exists already.")
        self._record.duplicates += bool(same)
        if settings.taken_record == "replace":
            same.clear()
        same.append(saved)
        self._record.stored += 1
        if unanswered:
            self._record.swallowed.append(Swallowed(settings.application_key, record_id, unanswered))
        return record_id


def _cells(given: Mapping[str, Any]) -> dict[str, list[list[str]]]:
    """The inputs of a request: reference -> lines of values."""
    cells: dict[str, list[list[str]]] = {}
    inputs = given.get("Inputs")
    if not isinstance(inputs, list) or not all(isinstance(each, dict) for each in inputs):
        raise WrongRequestError("Inputs is invalid.")
    for each in inputs:
        ref, lines = each.get("Ref"), each.get("Value")
        if not isinstance(ref, str) or not ref or ref in cells:
            raise WrongRequestError("Inputs is invalid: each needs a Ref of its own.")
        if not isinstance(lines, list) or not all(isinstance(line, list) for line in lines):
            raise WrongRequestError(f"Inputs is invalid: the Value of {ref} must be a list of lists.")
        cells[ref] = [[_value(cell, ref) for cell in line] for line in lines]
    if not isinstance(given.get("Outputs"), list):
        raise WrongRequestError("Outputs is invalid.")
    return cells


def _value(cell: Any, ref: str) -> str:
    value = cell.get("Value") if isinstance(cell, dict) else None
    if not isinstance(value, str):
        raise WrongRequestError(f"Inputs is invalid: a cell of {ref} must hold a Value that is text.")
    return value
