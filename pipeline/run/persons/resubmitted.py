"""Persons in the resubmit file of a run, and the file without them.

People mend that file, sort it and add to it, so where a record stands says nothing of whose it is: that is told by
what stands in it. A record is theirs who are asked for if a destination is in any of its cells or it has their key,
as everywhere, and if it has the key of a row that is to be erased. What is found by neither is never guessed at.
"""

import csv
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice, zip_longest
from pathlib import Path
from typing import Final

import polars as pl

from pipeline.config import ContactsSettings
from pipeline.errors import RunError
from pipeline.ledger.erased import Erased, mendable_left
from pipeline.ledger.private import replacing, writing
from pipeline.ledger.reading import ledger_parts
from pipeline.ledger.resubmit import restored, written_with
from pipeline.run.persons.questions import trimmed_key
from pipeline.stages.destinations.authorities import Authorities
from pipeline.stages.suppression import destinations_in, keys_in, load_suppression
from pipeline.stages.verdicts import caseless

_RECORDS: Final = 1 << 14  # that are looked through at once
_TOLD: Final = ("key", "_status", "_reason")  # of a record that has no other name
_MASKED: Final = "***"

_UNTOLD: Final = (
    "{name} holds rows that may be those of persons who are to be erased, and neither a key nor a destination tells "
    "which. Take those rows out of it or delete it"
)
_STILL: Final = "{name} still tells of persons who are to be erased. Take them out of it or delete it"
_ODD: Final = "{name} cannot be read as the CSV that it was ({why}). Put it back or delete it"


class Resubmitted:
    """Who is asked for (see `Questions.table`), in the resubmit files of a run; national numbers are read as those of
    `contacts`.
    """

    def __init__(self, asked: pl.DataFrame, contacts: ContactsSettings) -> None:
        self._asked = asked.select("phone", "mail", "key")
        self._contacts = contacts
        self._authorities = Authorities()

    def holding(self, cells: pl.DataFrame) -> pl.Series:
        """Whether each of these rows has a destination, in whatever cell, of somebody who is asked for."""
        return self._holding(cells, self._asked)

    def _holding(self, cells: pl.DataFrame, asked: pl.DataFrame) -> pl.Series:
        at: list[int] = []
        if cells.height and cells.width:
            found = destinations_in(cells, self._contacts, self._authorities)
            there = _among(found["phone"], asked["phone"]) | _among(caseless(found["mail"]), asked["mail"])
            at = found.filter(there)["row"].to_list()
        rows = pl.Series("at", range(cells.height), dtype=pl.Int64)
        return _among(rows, pl.Series(at, dtype=pl.Int64))

    def rows_told(self, path: Path) -> set[tuple[str, int]]:
        """Rows (source, row) of the ledger beside it to which records of theirs belong.

        A record without a key has its row by status and reason: where it stands in the file that the run wrote, else
        if no other row can be meant.
        """
        records = self._records(path, self._asked).with_row_index("at")
        rows = _mendable(path)
        rows = rows.with_columns(key=trimmed_key(rows["key"])).with_row_index("at")
        keyed = rows.filter(_among(rows["key"], records.filter("theirs")["key"]))
        told = set(keyed.select("source", "row").iter_rows())
        alike = rows.filter(pl.col("key").is_null()).partition_by("status", "reason", as_dict=True)
        alone = records.filter(pl.col("theirs") & pl.col("key").is_null())
        for (status, reason), theirs in alone.partition_by("_status", "_reason", as_dict=True).items():
            rows = alike.get((status, reason), rows.clear())
            found = rows if rows.height == theirs.height else rows.filter(_among(rows["at"], theirs["at"]))
            told.update(found.select("source", "row").iter_rows())
        return told

    def leave_out(self, path: Path, erased: Erased) -> tuple[int, int] | None:
        """Leave out their records and those of the rows that are `erased`; how many there were and are, None: there was
        none of theirs. The other records stay byte for byte; may be repeated.

        Raises MachineFailed, and ValueError where nobody knows which they are; then the file is as it was.
        """
        if not path.exists():
            return None
        rows = _mendable(path)
        theirs = rows.filter(erased.among(rows))
        named = theirs["key"].is_not_null() & ~theirs["key"].str.contains(_MASKED, literal=True).fill_null(value=False)
        nameless = theirs.filter(~named)
        keys = trimmed_key(theirs.filter(named)["key"])
        asked = pl.concat(
            [
                self._asked,
                pl.DataFrame({"key": keys}),
                # Without a key it has but its destinations: with one, others of the household may share those.
                pl.concat([nameless["sms"], nameless["voice"]]).alias("phone").to_frame(),
                caseless(nameless["email"]).alias("mail").to_frame(),
            ],
            how="diagonal",
        )
        records = self._records(path, asked)
        out = records["theirs"] | self._nameless(records, rows, nameless, path.name)
        if not out.any():
            self._check(path, asked)  # it may be written in a way in which we find no records
            return None
        with replacing(path) as part, writing(path), part.open("wb") as file:
            for leave, record in zip([False, *out], _split(path), strict=True):
                if not leave:
                    file.write(record)
        self._check(path, asked)
        return len(out), len(out) - int(out.sum())

    def _nameless(self, records: pl.DataFrame, rows: pl.DataFrame, nameless: pl.DataFrame, name: str) -> pl.Series:
        """Records of rows without a key: by status and reason, where no other record can be meant."""
        out = pl.repeat(value=False, n=records.height, dtype=pl.Boolean, eager=True)
        all_rows, due = (Counter(each.select("key", "status", "reason").iter_rows()) for each in (rows, nameless))
        for told, number in due.items():
            same = pl.all_horizontal(
                pl.col(name).eq_missing(pl.lit(text, pl.String)) for name, text in zip(_TOLD, told, strict=True)
            )
            alike = records.select(same).to_series()
            left = number - int((alike & records["theirs"]).sum())
            open_ = alike & ~records["theirs"]
            if left <= 0 or open_.sum() == all_rows[told] - number:  # they are told, or were left out before
                continue
            if open_.sum() != left:
                raise ValueError(_UNTOLD.format(name=name))
            out |= open_
        return out

    def _check(self, path: Path, asked: pl.DataFrame) -> None:
        """Raise ValueError where a search would find somebody in it still."""
        try:
            held = load_suppression([path], self._contacts, self._authorities, tell=False)
        except RunError as error:
            raise ValueError(_ODD.format(name=path.name, why=type(error).__name__)) from None
        found = (held.phones(asked["phone"]), held.mails(asked["mail"]), held.keys(asked["key"]))
        if any(each.is_not_null().any() for each in found):
            raise ValueError(_STILL.format(name=path.name))

    def _records(self, path: Path, asked: pl.DataFrame) -> pl.DataFrame:
        """Per record its key, _status and _reason, and whether it is `theirs`."""
        parts = [pl.DataFrame(schema=dict.fromkeys(_TOLD, pl.String) | {"theirs": pl.Boolean})]
        for frame in _frames(path):
            cells, _ = restored(frame)
            keys = trimmed_key(keys_in(cells, self._contacts.key)) if cells.width else None
            told = pl.DataFrame({"key": keys}, schema={"key": pl.String}, height=frame.height).with_columns(
                frame[name] if name in frame.columns else pl.lit(None, pl.String).alias(name) for name in _TOLD[1:]
            )
            theirs = self._holding(cells, asked) | _among(told["key"], asked["key"])
            parts.append(told.with_columns(theirs=theirs))
        return pl.concat(parts)


def _among(values: pl.Series, wanted: pl.Series) -> pl.Series:
    return values.is_in(wanted.drop_nulls().implode()).fill_null(value=False)


def _mendable(path: Path) -> pl.DataFrame:
    """Rows of the ledger beside it that a person is to mend, and that are not erased."""
    columns = ("source", "row", "key", "status", "reason", "sms", "voice", "email")
    return pl.concat([mendable_left(part).select(columns) for part in ledger_parts(path.parent) or ()])


def _frames(path: Path) -> Iterator[pl.DataFrame]:
    """The records below the header, every cell as text; those without a name have one of ours."""
    records = _split(path)
    try:
        header = next(records, b"").decode("utf-8-sig")
        delimiter = _delimiter(path, header)
        names = _cells(header, delimiter)
        while some := list(islice(records, _RECORDS)):
            rows = [_cells(record.decode(), delimiter) for record in some]
            width = max(len(names), *map(len, rows))
            columns = [*names, *(f"_more{number}" for number in range(width - len(names)))]
            cells = dict(zip(columns, zip_longest(*rows, fillvalue=None), strict=False))
            if len(set(columns)) < len(columns):
                raise ValueError("a column stands twice in it")
            schema = dict.fromkeys(columns, pl.String)
            frame = pl.DataFrame({name: cells.get(name, [None] * len(rows)) for name in columns}, schema=schema)
            yield frame.with_columns(pl.when(pl.all() != "").then(pl.all()))
    except (csv.Error, ValueError) as error:
        why = type(error).__name__ if isinstance(error, UnicodeDecodeError) else str(error)
        raise ValueError(_ODD.format(name=path.name, why=why)) from None


def _delimiter(path: Path, header: str) -> str:
    try:
        return written_with(path)
    except ValueError:  # its columns stand in another order, or fewer of them
        return max(",;\t|", key=header.count)


def _cells(record: str, delimiter: str) -> Sequence[str]:
    return next(csv.reader(io.StringIO(record, newline=""), delimiter=delimiter), [])


def _split(path: Path) -> Iterator[bytes]:
    """The records of a CSV as they stand, the header first: one ends with a newline outside of quotes."""
    record, quotes = b"", 0
    with path.open("rb") as file:
        for line in file:
            record += line
            quotes += line.count(b'"')
            if quotes % 2 == 0:
                yield record
                record, quotes = b"", 0
    if record:
        yield record
