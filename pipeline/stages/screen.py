"""Fields to contacts: what is invalid, duplicate or suppressed settles here, the rest can be sent."""

from collections.abc import Sequence
from functools import reduce
from operator import or_
from typing import Protocol

import anyio
import anyio.to_thread
import polars as pl
from anyio.abc import ObjectReceiveStream, ObjectSendStream
from polars.selectors import by_name

from pipeline.config import MADE, ContactsSettings
from pipeline.errors import ConfigError, SourceError
from pipeline.records import CHANNELS, CONTACTS_SCHEMA, Batch, Screened, Status
from pipeline.stages.channel import Channel, Reading, meets
from pipeline.stages.columns import check_characters, check_columns, check_mapping
from pipeline.stages.destinations.authorities import Authorities
from pipeline.stages.destinations.phone import check_region
from pipeline.stages.duplicates import Duplicates
from pipeline.stages.identity import SENT, contact_ids, contents, destination_keys
from pipeline.stages.suppression import Suppression, load_suppression
from pipeline.stages.texts import write
from pipeline.stages.verdicts import Verdicts, code_point, first, nothing, only, say
from pipeline.template import Template, blank

__all__ = [
    "Authorities",
    "Carrier",
    "Screener",
    "Screens",
    "Suppression",
    "check_columns",
    "check_mapping",
    "check_region",
    "load_suppression",
    "screen",
]


class Carrier(Protocol):
    """What the target can carry; `encode.Encoder` is one."""

    @property
    def forbidden(self) -> str:
        """A regular expression (Rust syntax) of the characters that the target cannot carry; empty: none."""

    def unfit(self, contacts: pl.DataFrame) -> pl.Series:
        """Per row of `contacts` (CONTACTS_SCHEMA), why the target cannot take it; null where it can."""


class Screens(Protocol):
    """What settles rows; a `Screener` is one."""

    def screen(self, batch: Batch) -> Screened:
        """A batch with what is settled of it."""


class Screener:
    """One walk over the input: the same input gives the same result, however it is cut into batches.

    It remembers which rows came by, to find duplicates, so every walk takes a new one. Reasons and warnings name
    columns and causes and never repeat what a cell holds: they go to logs and reports.
    """

    def __init__(
        self,
        contacts: ContactsSettings,
        *,
        campaign: str,
        wave: str | None,
        carrier: Carrier,
        authorities: Authorities,
        suppression: Suppression | None = None,
    ) -> None:
        """Raises ConfigError where the mapping cannot work with any source."""
        if problems := check_mapping(contacts) or check_characters(contacts, carrier.forbidden):
            raise ConfigError(problems)
        self._contacts = contacts
        self._campaign = campaign
        self._wave = wave
        self._carrier = carrier
        self._authorities = authorities
        self._suppression = suppression or Suppression()
        self._region = contacts.region.upper() if contacts.region else None
        self._channels = [
            Channel.of(name, settings, contacts.phone_type) for name, settings in contacts.channels.items()
        ]
        self._fields = [Template.parse(text) for text in contacts.fields.values()]
        self._retries = {name: settings.retries for name, settings in contacts.channels.items()}
        self._duplicates = Duplicates(contacts, self._channels)

    def screen(self, batch: Batch) -> Screened:
        """The contacts of the next batch. Batches come in order; meant for a worker thread.

        Raises SourceError where the batch lacks a column of the mapping.
        """
        frame = batch.frame
        if problems := check_columns(frame.columns, self._contacts, batch.source):
            raise SourceError("\n".join(problems))
        verdicts = Verdicts(frame.height)
        # The cells of a row that is broken may stand in the wrong columns, so none of them is read.
        verdicts.settle(Status.INVALID, batch.damage)
        whole = verdicts.open
        if where := self._contacts.where:
            verdicts.settle(Status.SUPPRESSED, say(~meets(frame, where), "filtered"), where.column)
        wanted = verdicts.open
        keys = self._keys(frame, verdicts)
        readings = {
            channel.name: channel.read(frame, wanted, self._authorities, self._region) for channel in self._channels
        }
        left_out = self._judge_destinations(readings, verdicts)
        valid = {name: reading.value for name, reading in readings.items()}
        keys = destination_keys(_channels_of(valid, frame.height)) if keys is None else only(keys, whole)
        self._judge_characters(frame, valid, verdicts)
        sent = self._judge_consent(frame, valid, verdicts, left_out)
        self._judge_suppression(keys, valid, verdicts)
        texts, said_of_texts = self._texts(frame, sent, verdicts)
        remarks = [
            only(remark, sent[name].is_not_null()) for name, reading in readings.items() for remark in reading.remarks
        ]
        made = pl.DataFrame(
            {
                "key": keys,
                "contact_id": contact_ids(self._campaign, self._wave, keys),
                "content": nothing(frame.height),
                "status": verdicts.status,
                "reason": verdicts.reason,
                "column": verdicts.column,
                "warnings": _lists([*left_out, *remarks, *said_of_texts], frame.height),
                **_channels_of(sent, frame.height).to_dict(),
                **texts,
            }
        )
        made = made.with_columns(fields=self._filled(frame, made)).select(CONTACTS_SCHEMA.names())
        verdicts.settle(Status.INVALID, self._carrier.unfit(made))
        self._duplicates.judge(batch, made, verdicts)
        return Screened(batch, self._finish(made, verdicts))

    # --- the rules, in the order in which they are applied ------------------------------------------------------

    def _keys(self, frame: pl.DataFrame, verdicts: Verdicts) -> pl.Series | None:
        """The configured keys as read; None where the destinations are the key."""
        names = self._contacts.key
        if not names:
            return None
        empty = [blank(frame[name]) for name in names]
        for name, cells in zip(names, empty, strict=True):
            verdicts.settle(Status.INVALID, say(cells, f"column {name!r}: the key is empty"), name)
        if len(names) == 1:
            return only(frame[names[0]], ~empty[0])
        return only(frame.select(pl.concat_str(names, separator="|")).to_series(), ~_any(empty))

    def _judge_destinations(self, readings: dict[str, Reading], verdicts: Verdicts) -> list[pl.Series]:
        """Settles rows without a valid destination; returns the warnings of the others, a series for each channel."""
        usable = _any([reading.value.is_not_null() for reading in readings.values()])
        faults = {name: reading.fault for name, reading in readings.items() if not _none(reading.fault)}
        faulty = _any([fault.is_not_null() for fault in faults.values()]) if faults else ~usable & usable
        names = list(dict.fromkeys(name for channel in self._channels for name in channel.destination.columns))
        several = len(names) > 1
        empty = f"no destination: column{'s' * several} {', '.join(names)} {'are' if several else 'is'} empty"
        verdicts.settle(Status.INVALID, say(~faulty & ~usable, empty), names[0] if len(names) == 1 else None)
        if not faults:
            return []
        every = pl.select(
            pl.concat_str([name + ": " + fault for name, fault in faults.items()], separator="; ", ignore_nulls=True)
        ).to_series()
        refused = faulty if self._contacts.on_invalid == "row" else faulty & ~usable
        columns = {channel.name: channel.column for channel in self._channels}
        at_fault = first(*(say(fault.is_not_null(), columns[name] or "") for name, fault in faults.items()))
        verdicts.settle(Status.INVALID, only(every, refused), at_fault.replace("", None))
        return [only(f"{name} left out: " + fault, ~refused) for name, fault in faults.items()]

    def _judge_characters(self, frame: pl.DataFrame, valid: dict[str, pl.Series], verdicts: Verdicts) -> None:
        """Refuses characters that the target cannot carry, where they would be sent."""
        if not (forbidden := self._carrier.forbidden):
            return
        sent: dict[str, list[pl.Series]] = {}
        for channel in self._channels:
            used = valid[channel.name].is_not_null()
            for name in (*channel.destination.columns, *(channel.text.columns if channel.text else ())):
                sent.setdefault(name, []).append(used)
        for name in {name for field in self._fields for name in field.columns}.difference(MADE):
            sent.setdefault(name, []).append(pl.repeat(value=True, n=frame.height, dtype=pl.Boolean, eager=True))
        holding = frame.select(by_name(*sent).str.contains(forbidden).any()).row(0, named=True)
        for name, senders in sent.items():
            if not holding[name]:
                continue
            found = only(frame[name].str.extract(f"({forbidden})", 1), _any(senders))
            words = found.replace_strict(
                {
                    text: f"column {name!r} holds a character ({code_point(text)}) that the target cannot carry"
                    for text in found.drop_nulls().unique()
                },
                return_dtype=pl.String,
            )
            verdicts.settle(Status.INVALID, words, name)

    def _judge_consent(
        self, frame: pl.DataFrame, valid: dict[str, pl.Series], verdicts: Verdicts, left_out: list[pl.Series]
    ) -> dict[str, pl.Series]:
        """The destinations that consent allows; suppresses rows where it leaves none, and warns of the others."""
        sent = dict(valid)
        columns = []
        for channel in self._channels:
            if channel.consent is None:
                continue
            withheld = ~channel.consents(frame) & valid[channel.name].is_not_null()
            if not withheld.any():
                continue
            name = channel.consent.column
            left_out.append(say(withheld, f"{channel.name} left out: no consent in column {name!r}"))
            columns.append(say(withheld, name))
            sent[channel.name] = only(valid[channel.name], ~withheld)
        if columns:
            had = _any([value.is_not_null() for value in valid.values()])
            has = _any([value.is_not_null() for value in sent.values()])
            verdicts.settle(Status.SUPPRESSED, say(had & ~has, "no consent for any channel"), first(*columns))
        return sent

    def _judge_suppression(self, keys: pl.Series, valid: dict[str, pl.Series], verdicts: Verdicts) -> None:
        """Suppresses a row as a whole where its key or any destination of it, consented or not, is on a list."""
        if not self._suppression:
            return
        reason = "on the do-not-contact list "
        verdicts.settle(Status.SUPPRESSED, reason + self._suppression.keys(keys), next(iter(self._contacts.key), None))
        for channel in self._channels:
            held = self._suppression.mails if channel.name == "email" else self._suppression.phones
            verdicts.settle(Status.SUPPRESSED, reason + held(valid[channel.name]), channel.column)

    def _texts(
        self, frame: pl.DataFrame, sent: dict[str, pl.Series], verdicts: Verdicts
    ) -> tuple[dict[str, pl.Series], list[pl.Series]]:
        """The texts of the channels that are used, and warnings of them; refuses empty ones."""
        texts = {f"{name}_text": nothing(frame.height) for name in CHANNELS}
        remarks: list[pl.Series] = []
        for channel in self._channels:
            if channel.text is None:
                continue
            written = write(channel.name, channel.text, frame, sent[channel.name].is_not_null(), channel.segments)
            verdicts.settle(Status.INVALID, written.fault, next(iter(channel.text.columns), None))
            texts[f"{channel.name}_text"] = written.text
            remarks += written.remarks
        return texts, remarks

    def _filled(self, frame: pl.DataFrame, made: pl.DataFrame) -> pl.Series:
        """The values of the fields, a list for each row."""
        if not self._fields:
            return _lists([], made.height)
        names = {name: name.removeprefix("contact.").replace("id", "contact_id") for name in MADE}
        frame = frame.with_columns(made[column].alias(name) for name, column in names.items())
        return pl.select(pl.concat_list(field.fill(frame) for field in self._fields)).to_series()

    # --- around them --------------------------------------------------------------------------------------------

    def _finish(self, made: pl.DataFrame, verdicts: Verdicts) -> pl.DataFrame:
        indices = verdicts.open.arg_true()
        sent = made.select(column for column in made.columns if column in SENT)
        finished = made.with_columns(
            made["content"].scatter(indices, contents(sent[indices], self._retries)),
            verdicts.status.alias("status"),
            verdicts.reason.alias("reason"),
            verdicts.column.alias("column"),
        )
        return finished.match_to_schema(CONTACTS_SCHEMA)


async def screen(receive: ObjectReceiveStream[Batch], send: ObjectSendStream[Screened], screener: Screens) -> None:
    """The stage: batches in, screened batches out in the same order, off the event loop. Closes both ends."""
    async with receive, send:
        async for batch in receive:
            await send.send(await anyio.to_thread.run_sync(screener.screen, batch))


def _any(conditions: Sequence[pl.Series]) -> pl.Series:
    return reduce(or_, conditions)


def _none(values: pl.Series) -> bool:
    return values.null_count() == len(values)


def _lists(texts: Sequence[pl.Series], height: int) -> pl.Series:
    """Row by row those of the texts that are not null. Nearly all of these lists are empty: the others are made."""
    if not (texts := [text for text in texts if not _none(text)]):
        return pl.Series([[]], dtype=pl.List(pl.String)).new_from_index(0, height)
    there = [pl.DataFrame({"row": text.is_not_null().arg_true(), "text": text.drop_nulls()}) for text in texts]
    lists = pl.concat(there).group_by("row", maintain_order=True).agg("text")
    rows = pl.int_range(height, dtype=pl.UInt32, eager=True).to_frame("row")
    return rows.join(lists, on="row", how="left", maintain_order="left")["text"].fill_null([])


def _channels_of(values: dict[str, pl.Series], height: int) -> pl.DataFrame:
    """The columns sms, voice, email; null where a channel is not mapped."""
    return pl.DataFrame({name: values.get(name, nothing(height)) for name in CHANNELS})
