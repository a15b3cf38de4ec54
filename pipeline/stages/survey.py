"""The survey: what the whole input looks like after screening, before the first row is sent."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import polars as pl

from pipeline.records import CHANNELS, Screened, Status, told_apart
from pipeline.stages.read import Source
from pipeline.stages.segments import segments

#: So many different reasons are told apart; the rest is counted by status alone.
REASONS_LIMIT = 1000

#: So many messages are shown as they would be sent.
MESSAGES = 3


@dataclass(frozen=True, slots=True)
class Example:
    """Where a reason was met first."""

    source: str
    row: int
    line: int | None


@dataclass(slots=True)
class Survey:
    """Totals over the input. Rows that can be sent count as pending."""

    rows: int = 0
    counts: Counter[Status] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    examples: dict[str, Example] = field(default_factory=dict)
    warnings: int = 0  # rows with at least one warning
    remarks: Counter[str] = field(default_factory=Counter)  # the warnings, by their words
    segments: Counter[int] = field(default_factory=Counter)  # short messages that can be sent with a text of ours
    longest: int = 0  # characters of the longest of them
    foreign: Counter[str] = field(default_factory=Counter)  # those of several that are UCS-2, by the character at fault
    channels: Counter[str] = field(default_factory=Counter)  # rows that can be sent, by channel
    sources: Sequence[Source] = ()  # what was read
    outlook: Sequence[str] = ()  # what the campaign would not do with these, in sentences
    messages: list[dict[str, str]] = field(default_factory=list)  # channel and text of the first that have a text

    def add(self, screened: Screened) -> None:
        """Count one batch."""
        contacts, batch = screened.contacts, screened.batch
        self.rows += contacts.height
        for status, count in contacts["status"].value_counts().iter_rows():
            self.counts[Status(status) if status else Status.PENDING] += count
        self._add_warnings(contacts["warnings"])
        pending = contacts["status"].is_null()
        for channel in CHANNELS:
            self.channels[channel] += contacts[channel].filter(pending).count()
        self._add_texts(contacts["sms_text"].filter(pending))
        settled = contacts.select("reason").with_row_index("_row").drop_nulls("reason")
        for reason, count, first in (
            settled.group_by(told_apart(pl.col("reason"))).agg(pl.len(), pl.col("_row").min()).iter_rows()
        ):
            if reason not in self.reasons and len(self.reasons) >= REASONS_LIMIT:
                continue
            self.reasons[reason] += count
            if reason not in self.examples:
                self.examples[reason] = Example(batch.source, batch.row + first, batch.lines[first])
        if len(self.messages) < MESSAGES:
            for row in contacts.filter(pending).head(MESSAGES - len(self.messages)).iter_rows(named=True):
                texts = {channel: row[f"{channel}_text"] or "" for channel in CHANNELS if row[channel]}
                self.messages.append(texts)

    def _add_warnings(self, warnings: pl.Series) -> None:
        warned = warnings.filter(warnings.list.len() > 0)
        self.warnings += len(warned)
        for remark, count in warned.explode().value_counts().iter_rows():
            if remark in self.remarks or len(self.remarks) < REASONS_LIMIT:
                self.remarks[remark] += count

    def _add_texts(self, texts: pl.Series) -> None:
        if texts.null_count() == len(texts):
            return
        longest = texts.str.len_chars().max()
        assert isinstance(longest, int)
        self.longest = max(self.longest, longest)
        counted = segments(texts.drop_nulls())
        for count, number in counted["segments"].value_counts().iter_rows():
            self.segments[count] += number
        for character, number in counted.filter(pl.col("segments") > 1)["foreign"].value_counts().iter_rows():
            if character is not None:
                self.foreign[character] += number
