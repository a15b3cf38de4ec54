"""The plan that is shown before the first row is sent: what would be sent, what would not, and why."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from pipeline.records import Status
from pipeline.report.text import alike, counts, number, rows, safe, table, tally

#: So many different reasons are shown.
REASONS = 10


class Place(Protocol):
    """Where a reason was met first."""

    @property
    def source(self) -> str: ...
    @property
    def row(self) -> int: ...
    @property
    def line(self) -> int | None: ...


class Surveyed(Protocol):
    """What the survey found out. Rows that can be sent count as pending."""

    rows: int
    warnings: int

    @property
    def outlook(self) -> Sequence[str]: ...
    @property
    def counts(self) -> Mapping[Status, int]: ...
    @property
    def reasons(self) -> Mapping[str, int]: ...
    @property
    def examples(self) -> Mapping[str, Place]: ...
    @property
    def channels(self) -> Mapping[str, int]: ...
    @property
    def messages(self) -> Sequence[Mapping[str, str]]: ...


def plan(survey: Surveyed, campaign: str) -> str:
    """The plan as lines of text; `campaign` names where the rows would go."""
    sendable = survey.counts.get(Status.PENDING, 0)
    kept_back: dict[Status, int] = {
        status: count for status, count in survey.counts.items() if status is not Status.PENDING
    }
    lines = [f"{rows(survey.rows)} read, {number(sendable)} can be sent to campaign {safe(campaign)}."]
    if any(kept_back.values()):
        lines += [f"Not sent: {counts(kept_back)}.", *table(_reasons(survey))]
    channels = ", ".join(f"{name} {number(count)}" for name, count in survey.channels.items() if count)
    if channels:
        lines.append(f"By channel: {channels}.")
    if survey.outlook:
        lines += ["The campaign:", *(f"  {safe(sentence)}" for sentence in survey.outlook)]
    if survey.warnings:
        lines.append(f"{rows(survey.warnings)} with a warning, e.g. a channel left out: the ledger will name them.")
    if survey.messages:
        lines.append("The first of them:")
        for message in survey.messages:
            lines += _message(message)
    return "\n".join(lines)


def _reasons(survey: Surveyed) -> list[tuple[int, str]]:
    examples: dict[str, Place] = {}
    for reason, place in survey.examples.items():
        for text in alike({reason: 1}):
            examples.setdefault(safe(text), place)
    return [
        (count, f"{text} ({_example(examples[text])})" if text in examples else text)
        for count, text in tally(survey.reasons, REASONS)
    ]


def _example(place: Place) -> str:
    where = f"row {number(place.row)}" if place.line is None else f"line {number(place.line)}"
    return f"first in {place.source}, {where}"


def _message(message: Mapping[str, str]) -> list[str]:
    lines = []
    for position, (channel, text) in enumerate(message.items()):
        to = "[mail]" if channel == "email" else "[number]"
        said = f'"{safe(text)}"' if text else "the campaign's own text"
        lines.append(f"  {'-' if position == 0 else ' '} {channel} to {to}: {said}")
    return lines
