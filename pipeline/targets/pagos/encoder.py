"""Contacts to GetResult messages that save a record, a batch at a time, column by column."""

import json
from typing import Final

import polars as pl

from pipeline.config import ContactsSettings
from pipeline.stages.encode import Body
from pipeline.targets import jsontext
from pipeline.targets.pagos.settings import PagosSettings

#: What is asked for without saving anything: nothing.
_NOTHING: Final = ',"Inputs":[],"Outputs":[],"SaveInformation":{"Save":false}}'


class RecordEncoder:
    """The `Encoder` of saved records. Each field of the mapping is a cell or a range of one; what is empty in a row is
    left out there.
    """

    def __init__(self, target: PagosSettings, contacts: ContactsSettings) -> None:
        self._head = f'{{"ApplicationKey":{json.dumps(target.application_key)},"SessionId":"'
        self._refs = [json.dumps(name, ensure_ascii=False) for name in contacts.fields]
        self._record_id = target.record_id

    @property
    def idle(self) -> Body:
        """A message that calculates and saves nothing."""
        return self._head.encode(), f'"{_NOTHING}'.encode()

    def unfit(self, contacts: pl.DataFrame) -> pl.Series:
        """Per row, that nothing would be saved; null: something would."""
        filled = [jsontext.filled(jsontext.field(position)) for position in range(len(self._refs))]
        empty = pl.lit("every field of the record is empty")
        return contacts.select(pl.when(~pl.any_horizontal(filled)).then(empty).alias("unfit")).to_series()

    def encode(self, contacts: pl.DataFrame) -> list[Body]:
        """One message per row, in order, cut where the session id goes."""
        inputs = pl.concat_str(self._input(position, ref) for position, ref in enumerate(self._refs)).str.slice(1)
        pieces = [pl.lit('","Inputs":['), inputs, pl.lit('],"Outputs":[],"SaveInformation":{"Save":true')]
        if self._record_id:
            pieces += [pl.lit(',"RecordId":'), jsontext.quoted(pl.col("contact_id"))]
        written = contacts.select(pl.concat_str(*pieces, pl.lit("}}")).cast(pl.Binary)).to_series()
        head = self._head.encode()
        return [(head, tail) for tail in written]

    @staticmethod
    def _input(position: int, ref: str) -> pl.Expr:
        value = jsontext.field(position)
        written = pl.concat_str(pl.lit(f',{{"Ref":{ref},"Value":[[{{"Value":'), jsontext.quoted(value), pl.lit("}]]}"))
        return pl.when(jsontext.filled(value)).then(written).otherwise(pl.lit(""))
