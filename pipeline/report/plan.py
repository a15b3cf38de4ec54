"""The plan that is shown before the first row is sent: what would be sent, what would not, and why."""

import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from pipeline.records import Status
from pipeline.report.text import alike, counts, cut, fitting, left, line, number, rows, safe, table, tally

#: The screen that a text fits where nothing else is known, in columns and lines.
SCREEN: Final = (80, 24)


@dataclass(frozen=True, slots=True)
class Extent:
    """How much of each kind is shown."""

    reasons: int
    warnings: int
    sources: int
    whole: bool  # whether messages and reasons are shown whole, or cut to a line each
    messages: int = 3
    table: bool = True  # whether counts stand below each other


#: From the most that is shown to the least.
EXTENTS: Final = (
    Extent(10, 5, 5, whole=True),
    Extent(6, 4, 4, whole=True),
    Extent(5, 3, 3, whole=False),
    Extent(3, 2, 2, whole=False),
    Extent(3, 2, 2, whole=False, messages=2),
    Extent(2, 1, 1, whole=False, messages=1),
    Extent(2, 1, 1, whole=False, messages=1, table=False),
)

_FORMATS: Final = {"csv": "CSV", "parquet": "Parquet", "xlsx": "Excel workbook"}
_DELIMITERS: Final = {",": "comma", ";": "semicolon", "\t": "tab"}


class Place(Protocol):
    """Where a reason was met first."""

    @property
    def source(self) -> str: ...
    @property
    def row(self) -> int: ...
    @property
    def line(self) -> int | None: ...


class Read(Protocol):
    """How a source is read."""

    @property
    def name(self) -> str: ...
    @property
    def format(self) -> str: ...
    @property
    def columns(self) -> Sequence[str]: ...
    @property
    def delimiter(self) -> str | None: ...
    @property
    def encoding(self) -> str | None: ...
    @property
    def sheet(self) -> str | None: ...


class Surveyed(Protocol):
    """What the survey found out. Rows that can be sent count as pending."""

    rows: int
    warnings: int
    longest: int

    @property
    def sources(self) -> Sequence[Read]: ...
    @property
    def outlook(self) -> Sequence[str]: ...
    @property
    def counts(self) -> Mapping[Status, int]: ...
    @property
    def reasons(self) -> Mapping[str, int]: ...
    @property
    def examples(self) -> Mapping[str, Place]: ...
    @property
    def remarks(self) -> Mapping[str, int]: ...
    @property
    def channels(self) -> Mapping[str, int]: ...
    @property
    def segments(self) -> Mapping[int, int]: ...
    @property
    def foreign(self) -> Mapping[str, int]: ...
    @property
    def messages(self) -> Sequence[Mapping[str, str]]: ...


def plan(
    survey: Surveyed,
    campaign: str,
    told: Collection[str] = (),
    *,
    limit: float = 0.0,
    screen: tuple[int, int] = SCREEN,
) -> str:
    """The plan as lines of text that fit a `screen` of so many columns and lines; `campaign` names where the rows would
    go, `told` is as in `read`, `limit` is the rate that is allowed, in rows per second (0: any).
    """
    width, height = screen
    sendable = survey.counts.get(Status.PENDING, 0)
    kept_back: dict[Status, int] = {
        status: count for status, count in survey.counts.items() if status is not Status.PENDING
    }
    head = [f"{rows(survey.rows)} read, {number(sendable)} can be sent to campaign {safe(campaign)}."]
    if sendable and limit:
        head.append(f"At delivery.rate = {limit:g} that takes {left(sendable / limit)} at least.")

    def form(extent: Extent) -> list[str]:
        lines = read(survey.sources, told, extent.sources) + head
        if any(kept_back.values()):
            why = reasons(survey, extent.reasons)
            lines += [f"Not sent: {counts(kept_back)}.", *(why if extent.whole else (cut(each, width) for each in why))]
        return lines + outlook(survey, extent, width)

    return "\n".join(fitting(map(form, EXTENTS), width, height))


def read(sources: Sequence[Read], told: Collection[str] = (), most: int = EXTENTS[0].sources) -> list[str]:
    """How the sources are read, a line each: a wrong guess shows here. `told`: what was not found out, of "delimiter"
    and "encoding".
    """
    lines = []
    for source in sources[:most]:
        parts = [_FORMATS.get(source.format, source.format)]
        if source.sheet is not None:
            parts.append(f"sheet {line(source.sheet)}")
        if source.delimiter is not None:
            name = _DELIMITERS.get(source.delimiter, source.delimiter)
            parts.append(f"delimiter {name}{'' if 'delimiter' in told else ' (found out)'}")
        if source.encoding is not None:
            parts.append(f"encoding {source.encoding}{'' if 'encoding' in told else ' (found out)'}")
        parts.append(f"{number(len(source.columns))} column{'' if len(source.columns) == 1 else 's'}")
        lines.append(f"Read {line(source.name)}: {', '.join(parts)}.")
    if len(sources) > most:
        lines.append(f"And {number(len(sources) - most)} more.")
    return lines


def reasons(survey: Surveyed, most: int = EXTENTS[0].reasons) -> list[str]:
    """The commonest reasons why rows are not sent, with their counts, and where each was met first."""
    examples: dict[str, Place] = {}
    only = len(survey.sources) == 1
    for reason, place in survey.examples.items():
        for text in alike({reason: 1}):
            examples.setdefault(safe(text), place)
    return table(
        [
            (count, f"{text} ({_example(examples[text], only=only)})" if text in examples else text)
            for count, text in tally(survey.reasons, most)
        ]
    )


def outlook(survey: Surveyed, extent: Extent, width: int) -> list[str]:
    """What is to be known of the rows that can be sent: channels, texts, warnings, the first messages."""
    lines = []
    channels = ", ".join(f"{name} {number(count)}" for name, count in survey.channels.items() if count)
    if channels:
        lines.append(f"By channel: {channels}.")
    lines += _segments(survey)
    if survey.outlook:
        lines += ["The campaign:", *(f"  {safe(sentence)}" for sentence in survey.outlook)]
    if survey.warnings:
        lines.append(f"{rows(survey.warnings)} with a warning; the ledger names them:")
        remarks = table(tally(survey.remarks, extent.warnings, "warning"))
        lines += remarks if extent.whole else [cut(each, width) for each in remarks]
    if survey.messages:
        lines.append("The first of them:")
        for message in survey.messages[: extent.messages]:
            lines += [each if extent.whole else cut(each, width) for each in _message(message)]
    return lines


def _segments(survey: Surveyed) -> list[str]:
    """As how many short messages the texts go, which is what they cost; what costs more than it looks like is named."""
    if not survey.segments:
        return []
    told = ", ".join(
        f"{number(survey.segments[count])} of {count} segment{'' if count == 1 else 's'}"
        for count in sorted(survey.segments)
    )
    total = sum(count * texts for count, texts in survey.segments.items())
    characters = f"{number(survey.longest)} character{'' if survey.longest == 1 else 's'}"
    lines = [f"Texts of sms: {told}; {number(total)} in all; the longest has {characters}."]
    if survey.foreign:
        common = sorted(survey.foreign, key=lambda char: (-survey.foreign[char], char))
        names = ", ".join(f"U+{ord(char):04X} ({unicodedata.name(char, 'no name').lower()})" for char in common[:3])
        more = f" and {len(common) - 3} more" if len(common) > 3 else ""
        lines.append(f"  {number(sum(survey.foreign.values()))} of them as UCS-2, because of {names}{more}.")
    return lines


def _example(place: Place, *, only: bool) -> str:
    """`only`: there is no other source."""
    where = f"row {number(place.row)}" if place.line is None else f"line {number(place.line)}"
    return f"first in {where}" if only else f"first in {line(place.source)}, {where}"


def _message(message: Mapping[str, str]) -> list[str]:
    lines = []
    for position, (channel, text) in enumerate(message.items()):
        to = "[mail]" if channel == "email" else "[number]"
        said = f'"{safe(text)}"' if text else "the campaign's own text"
        lines.append(f"  {'-' if position == 0 else ' '} {channel} to {to}: {said}")
    return lines
