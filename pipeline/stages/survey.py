"""The survey: what the whole input looks like after screening, before the first row is sent."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import polars as pl

from pipeline.records import CHANNELS, Screened, Status, told_apart

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
    channels: Counter[str] = field(default_factory=Counter)  # rows that can be sent, by channel
    outlook: Sequence[str] = ()  # what the campaign would not do with these, in sentences
    messages: list[dict[str, str]] = field(default_factory=list)  # channel and text of the first that have a text

    def add(self, screened: Screened) -> None:
        """Count one batch."""
        contacts, batch = screened.contacts, screened.batch
        self.rows += contacts.height
        for status, count in contacts["status"].value_counts().iter_rows():
            self.counts[Status(status) if status else Status.PENDING] += count
        self.warnings += int((contacts["warnings"].list.len() > 0).sum())
        sendable = contacts.filter(pl.col("status").is_null())
        for channel in CHANNELS:
            self.channels[channel] += sendable[channel].count()
        settled = contacts.with_row_index("_row").filter(pl.col("reason").is_not_null())
        for reason, count, first in (
            settled.group_by(told_apart(pl.col("reason"))).agg(pl.len(), pl.col("_row").min()).iter_rows()
        ):
            if reason not in self.reasons and len(self.reasons) >= REASONS_LIMIT:
                continue
            self.reasons[reason] += count
            if reason not in self.examples:
                self.examples[reason] = Example(batch.source, batch.row + first, batch.lines[first])
        if len(self.messages) < MESSAGES:
            for row in sendable.head(MESSAGES - len(self.messages)).iter_rows(named=True):
                texts = {channel: row[f"{channel}_text"] or "" for channel in CHANNELS if row[channel]}
                self.messages.append(texts)
