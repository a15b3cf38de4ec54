"""Do-not-contact lists: files of phones, mail addresses and keys that are never to be contacted."""

import csv
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import Final

import polars as pl

from pipeline.config import ContactsSettings
from pipeline.errors import SourceError
from pipeline.stages.destinations.authorities import Authorities

_DELIMITERS: Final = ",;\t|"


class Suppression:
    """What the lists hold, and the name of the list that holds it.

    Mail addresses are compared without case: they reach the same person.
    """

    def __init__(self) -> None:
        self._phones: dict[str, str] = {}
        self._mails: dict[str, str] = {}
        self._keys: dict[str, str] = {}

    def __bool__(self) -> bool:
        return bool(self._phones or self._mails or self._keys)

    def add(self, name: str, *, phones: pl.Series, mails: pl.Series, keys: pl.Series) -> None:
        """Take in the list `name`: E.164 phones, addresses as they are sent, keys."""
        for held, values in ((self._phones, phones), (self._mails, mails), (self._keys, keys)):
            for value in values.drop_nulls():
                held.setdefault(value.strip().casefold() if held is self._mails else value.strip(), name)

    def phones(self, numbers: pl.Series) -> pl.Series:
        """Per number the name of the list that holds it, else null."""
        return _looked_up(self._phones, numbers)

    def mails(self, addresses: pl.Series) -> pl.Series:
        """Per address the name of the list that holds it, else null."""
        return _looked_up(self._mails, pl.Series([text and text.casefold() for text in addresses], dtype=pl.String))

    def keys(self, keys: pl.Series) -> pl.Series:
        """Per key the name of the list that holds it, else null."""
        return _looked_up(self._keys, keys.str.strip_chars())


def load_suppression(paths: Sequence[Path], contacts: ContactsSettings, authorities: Authorities) -> Suppression:
    """Read the lists: CSV, Parquet, or text with one value per line.

    Phones and mail addresses are found in every column and normalised as those of the contacts are. Keys stand in the
    columns named as in `contacts.key`, else in the first column: a number elsewhere, say of the entry, is no key.
    A list that is missing or cannot be read raises SourceError: sending on without it would do harm.
    """
    region = contacts.region.upper() if contacts.region else None
    suppression = Suppression()
    for path in paths:
        columns = _parquet(path) if path.suffix.lower() in (".parquet", ".pq") else _text(path)
        cells = pl.concat([pl.Series("value", cells, pl.String) for cells in columns.values()] or [_NOTHING])
        texts = cells.str.strip_chars().unique(maintain_order=True)
        suppression.add(
            path.name,
            # These lists may be long, and few of their entries come up in the source: the memory is for that.
            phones=authorities.phones(texts.filter(texts.str.contains(r"\d")), region, remember=False)["value"],
            mails=authorities.mails(texts.filter(texts.str.contains("@", literal=True)), remember=False)["value"],
            keys=_keys(columns, contacts.key),
        )
    return suppression


_NOTHING: Final = pl.Series("value", [], pl.String)


def _keys(columns: dict[str, list[str | None]], names: tuple[str, ...]) -> pl.Series:
    if names and all(name in columns for name in names):
        held = [columns[name] for name in names]
    else:
        held = list(columns.values())[:1]
    joined = ["|".join(cell or "" for cell in cells) for cells in zip(*held, strict=True) if all(cells)]
    return pl.Series("key", [key for key in joined if key.strip()], pl.String)


def _text(path: Path) -> dict[str, list[str | None]]:
    """A text's columns by the name in its first line. That line counts as values too: the list may have no header."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise _unreadable(path, error.strerror or "it cannot be opened") from None
    except UnicodeDecodeError:
        raise _unreadable(path, "it is not UTF-8 text") from None
    delimiter = max(_DELIMITERS, key=text.partition("\n")[0].count)
    try:
        rows = list(csv.reader(StringIO(text, newline=""), delimiter=delimiter))
    except csv.Error as error:
        raise _unreadable(path, str(error)) from None
    names = [name.strip() for name in rows[0]] if rows else []
    width = max(map(len, rows), default=0)
    columns: dict[str, list[str | None]] = {}
    for index in range(width):
        name = names[index] if index < len(names) and names[index] not in columns else f"column {index + 1}"
        columns[name] = [row[index] if index < len(row) else None for row in rows]
    return columns


def _parquet(path: Path) -> dict[str, list[str | None]]:
    try:
        frame = pl.read_parquet(path, glob=False)
    except OSError as error:
        raise _unreadable(path, error.strerror or "it cannot be opened") from None
    except pl.exceptions.PolarsError:
        raise _unreadable(path, "it is not a Parquet file") from None
    # Nested columns hold no destinations.
    flat = [series for series in frame.get_columns() if not series.dtype.is_nested() and series.dtype != pl.Binary]
    return {series.name: series.cast(pl.String).to_list() for series in flat}


def _looked_up(held: dict[str, str], values: pl.Series) -> pl.Series:
    return pl.Series("list", [held.get(value) if value is not None else None for value in values], pl.String)


def _unreadable(path: Path, why: str) -> SourceError:
    return SourceError(f"{path}: the do-not-contact list of contacts.suppress cannot be read: {why}")
