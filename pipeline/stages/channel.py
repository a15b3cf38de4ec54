"""One channel of the mapping: its destinations, texts, consent and faults, a batch at a time."""

from dataclasses import dataclass
from typing import Literal

import polars as pl

from pipeline.config import ChannelSettings, Condition, SmsSettings
from pipeline.stages.destinations.authorities import Authorities
from pipeline.stages.verdicts import first, only, say
from pipeline.template import Template


@dataclass(frozen=True, slots=True)
class Reading:
    """The destinations of one channel in one batch, one value per row."""

    value: pl.Series  # str: as it is sent; null where there is none or it is not valid
    fault: pl.Series  # str: where the text stands and why it is no destination; null where it is one or blank
    remarks: tuple[pl.Series, ...]  # str each: what to know of a valid one; null: nothing


@dataclass(frozen=True, slots=True)
class Channel:
    """How one channel of a row is read."""

    name: str  # one of CHANNELS
    destination: Template
    text: Template | None
    consent: Condition | None
    phone_type: Literal["off", "warn", "error"]
    segments: int = 0  # a text that needs more is warned of; 0: never

    @classmethod
    def of(cls, name: str, settings: ChannelSettings, phone_type: Literal["off", "warn", "error"]) -> "Channel":
        """The channel as it is configured; raises ValueError where a template cannot be read."""
        text = None if settings.text is None else Template.parse(settings.text)
        return cls(
            name,
            Template.parse(settings.destination),
            text,
            settings.when,
            phone_type if name == "sms" else "off",  # a landline is as good as any phone to be called on
            settings.segments if isinstance(settings, SmsSettings) else 0,
        )

    @property
    def column(self) -> str | None:
        """The column to look at when the destination is at fault."""
        return next(iter(self.destination.columns), None)

    def read(self, frame: pl.DataFrame, rows: pl.Series, authorities: Authorities, region: str | None) -> Reading:
        """The destinations of those `rows` of the batch that are true; the others have none."""
        texts = self.destination.fill(frame).str.strip_chars()
        # In nearly every mapping a destination is a column as it is.
        blank = texts == "" if len(self.destination.parts) == 1 else self.destination.blank(frame)
        texts = only(texts, rows & ~blank)
        asked = authorities.mails(texts) if self.name == "email" else authorities.phones(texts, region)
        value, fault, landline, remark = (asked[name] for name in ("value", "fault", "landline", "remark"))
        landline = landline.fill_null(value=False) if self.phone_type != "off" else _never(frame.height)
        if self.phone_type == "error" and landline.any():
            fault = first(fault, say(landline, "the number is a landline"))
            value = value.set(landline, None)
        remarks = []
        if remark.null_count() < frame.height:
            remarks.append(f"{self.name}: " + only(remark, value.is_not_null()))
        if self.phone_type == "warn" and landline.any():
            remarks.append(say(landline, f"{self.name}: the number is a landline"))
        if fault.null_count() < frame.height:
            fault = self._place() + fault
        return Reading(value, fault, tuple(remarks))

    def consents(self, frame: pl.DataFrame) -> pl.Series:
        """Which rows allow this channel to be used."""
        if self.consent is None:
            return ~_never(frame.height)
        return meets(frame, self.consent)

    def _place(self) -> str:
        names = self.destination.columns
        if not names:
            return f"contacts.{self.name}.destination: "
        return f"column{'s' if len(names) > 1 else ''} {', '.join(repr(name) for name in names)}: "


def meets(frame: pl.DataFrame, condition: Condition) -> pl.Series:
    """Which rows have one of the condition's values, without regard to case and surrounding white space."""
    wanted = {value.strip().casefold() for value in condition.values}
    cells = frame[condition.column].fill_null("")
    good = [cell for cell in cells.unique() if cell.strip().casefold() in wanted]
    return cells.is_in(good)


def _never(height: int) -> pl.Series:
    return pl.Series([False], dtype=pl.Boolean).new_from_index(0, height)
