"""Contacts to AddRecord messages, a batch at a time, column by column."""

import json
from typing import Final

import polars as pl

from pipeline.config import ContactsSettings
from pipeline.stages.encode import Body
from pipeline.targets import jsontext
from pipeline.targets.genesys import fields
from pipeline.targets.genesys.settings import GenesysSettings

#: A whole number that any reader of JSON can hold.
_INTEGER: Final = r"^-?[0-9]{1,15}$"


class RecordEncoder:
    """The `Encoder` of outbound records. A field that is empty in a row is left out there."""

    def __init__(self, target: GenesysSettings, contacts: ContactsSettings) -> None:
        constants = {name: value for name, (_, value) in target.constants.items()}
        message = {"operationName": "AddRecord", **constants}
        self._head = json.dumps(message, ensure_ascii=False, separators=(",", ":"))[:-1] + ',"phoneNumber":'
        self._names = list(contacts.fields)

    def unfit(self, contacts: pl.DataFrame) -> pl.Series:
        """Per row, which field is no whole number where it must be, or empty where it must not; null: none."""
        faults = [pl.lit(None, pl.String)]
        for position, name in enumerate(self._names):
            value = jsontext.field(position)
            if name in fields.REQUIRED:
                faults.append(pl.when(~jsontext.filled(value)).then(pl.lit(f"{name} is empty: a record must have it")))
            if name in fields.INTEGERS:
                strange = jsontext.filled(value) & ~value.str.strip_chars().str.contains(_INTEGER)
                faults.append(pl.when(strange).then(pl.lit(f"{name} is not a whole number")))
        return contacts.select(pl.coalesce(faults).alias("unfit")).to_series()

    def encode(self, contacts: pl.DataFrame) -> list[Body]:
        """One message per row, in order, in one piece: the session stands in the headers."""
        others = [
            jsontext.member(name.removeprefix(fields.OTHER), jsontext.quoted(value), jsontext.filled(value))
            for name, value in self._values()
            if name.startswith(fields.OTHER)
        ]
        pieces = [
            pl.lit(self._head),
            jsontext.quoted(pl.coalesce("sms", "voice")),
            *(self._member(name, value) for name, value in self._values() if not name.startswith(fields.OTHER)),
        ]
        if others:
            within = pl.concat_str(others).str.slice(1)  # without the first comma
            there = within != ""
            pieces.append(jsontext.member("otherFields", pl.concat_str(pl.lit("{"), within, pl.lit("}")), there))
        written = contacts.select(pl.concat_str(*pieces, pl.lit("}")).cast(pl.Binary)).to_series()
        return [(body,) for body in written]

    def _values(self) -> list[tuple[str, pl.Expr]]:
        return [(name, jsontext.field(position)) for position, name in enumerate(self._names)]

    @staticmethod
    def _member(name: str, value: pl.Expr) -> pl.Expr:
        written = jsontext.quoted(value)
        if name in fields.INTEGERS:  # written anew: JSON knows no leading zeros
            written = value.str.strip_chars().cast(pl.Int64, strict=False).cast(pl.String).fill_null("0")
        return jsontext.member(name, written, jsontext.filled(value))
