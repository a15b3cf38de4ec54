"""Suppression: phones, mail addresses and keys of do-not-contact lists, looked up a batch at a time."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import polars as pl

from pipeline.config import ContactsSettings
from pipeline.logs import logger
from pipeline.stages import lists
from pipeline.stages.destinations.authorities import Authorities
from pipeline.stages.digests import Digester
from pipeline.stages.seen import Seen
from pipeline.stages.verdicts import caseless, nothing

#: Destinations among other things in a cell.
_NUMBERS: Final = r"\+?\(?\b\d[\d ().\-]{5,}\d\b"
_ADDRESSES: Final = r"[^\s<>()\[\],;:\"'|/]+@[^\s<>()\[\],;:\"'|/]+"

#: What a person takes for a phone: seven digits or more, and nothing but what stands between digits.
_NUMBER: Final = r"^\+?(?:[ ().\-/]*\d){7,15}[ ().\-/]*$"


class Suppression:
    """What the lists hold, and the name of the first list that holds it: about 24 bytes for each.

    Mail addresses are compared without case: they reach the same person.
    """

    def __init__(self) -> None:
        self._digester = Digester()
        self._names: list[str] = []
        self._phones, self._mails, self._keys = Seen(), Seen(), Seen()

    def __bool__(self) -> bool:
        return bool(self._phones or self._mails or self._keys)

    def add(self, name: str, *, phones: pl.Series, mails: pl.Series, keys: pl.Series) -> None:
        """Take in entries of the list `name`: E.164 phones, addresses as they are sent, keys."""
        if name not in self._names[-1:]:
            self._names.append(name)
        for held, values in ((self._phones, phones), (self._mails, caseless(mails)), (self._keys, keys)):
            digests = self._digester.of(values.str.strip_chars().drop_nulls()).unique()
            digests = digests.filter(held.holders(digests).is_null())
            held.keep(digests, pl.Series([len(self._names) - 1], dtype=pl.UInt64).new_from_index(0, len(digests)))

    def phones(self, numbers: pl.Series) -> pl.Series:
        """Per number the name of the list that holds it, else null."""
        return self._looked_up(self._phones, numbers)

    def mails(self, addresses: pl.Series) -> pl.Series:
        """Per address the name of the list that holds it, else null."""
        return self._looked_up(self._mails, addresses, caseless)

    def keys(self, keys: pl.Series) -> pl.Series:
        """Per key the name of the list that holds it, else null."""
        return self._looked_up(self._keys, keys, lambda texts: texts.str.strip_chars())

    def _looked_up(
        self, held: Seen, values: pl.Series, form: Callable[[pl.Series], pl.Series] | None = None
    ) -> pl.Series:
        if not held:
            return nothing(len(values))
        there = held.holders(self._digester.of(form(values) if form else values))
        if (rows := there.is_not_null().arg_true()).is_empty():
            return nothing(len(values))
        names = pl.Series(self._names, dtype=pl.String).gather(there.gather(rows))
        return nothing(len(values)).scatter(rows, names)


def load_suppression(paths: Sequence[Path], contacts: ContactsSettings, authorities: Authorities) -> Suppression:
    """Read the lists: CSV, Parquet, workbooks, or text with one value per line.

    Phones and mail addresses are found in every column, several of them in a cell too, and normalised as those of the
    contacts are. Keys stand in the columns named as in `contacts.key`, else in the first column: a number elsewhere,
    say of the entry, is no key. What was found is logged, and a warning where entries can hold nobody back.
    A list that is missing or cannot be read raises SourceError: sending on without it would do harm.
    """
    suppression = Suppression()
    for path in paths:
        found: Counter[str] = Counter()
        for number, frame in enumerate(lists.frames(path)):
            cells = _cells(frame)
            destinations = _destinations(cells["text"].unique(), contacts.region, authorities)
            suppression.add(
                path.name,
                phones=destinations["phone"],
                mails=destinations["mail"],
                keys=_keys(frame, contacts.key),
            )
            found.update(_counted(cells, destinations, headed=number == 0))
        _tell(path.name, found, contacts.region)
    return suppression


def _cells(frame: pl.DataFrame) -> pl.DataFrame:
    """`row` and `text` of every cell that is not blank."""
    rows = pl.int_range(frame.height, eager=True).alias("row")
    cells = [pl.DataFrame([rows, column.str.strip_chars().alias("text")]) for column in frame]
    return pl.concat(cells).filter(pl.col("text") != "")


def _destinations(texts: pl.Series, region: str | None, authorities: Authorities) -> pl.DataFrame:
    """The destinations that are in the texts: `text`, and its `phone` or its `mail`."""
    whole = pl.DataFrame({"text": texts, "part": texts})
    found = _asked(whole, region, authorities)
    rest = whole.filter(~pl.col("text").is_in(found["text"].implode()))
    parts = [rest.with_columns(pl.col("part").str.extract_all(form)) for form in (_NUMBERS, _ADDRESSES)]
    several = pl.concat(parts).explode("part").drop_nulls()
    return pl.concat([found, _asked(several.filter(pl.col("part") != pl.col("text")), region, authorities)])


def _asked(parts: pl.DataFrame, region: str | None, authorities: Authorities) -> pl.DataFrame:
    """Those of `text` and `part` whose part is a destination, as the authorities say."""
    is_mail = pl.col("part").str.contains("@", literal=True)
    mails = parts.filter(is_mail)
    phones = parts.filter(~is_mail & pl.col("part").str.contains(r"\d"))
    # Lists may be long, and few of their entries come up in the source: the authorities' memory is for that.
    called = authorities.phones(phones["part"], region.upper() if region else None, remember=False)["value"]
    written = authorities.mails(mails["part"], remember=False)["value"]
    found = pl.concat([phones.select("text", phone=called), mails.select("text", mail=written)], how="diagonal")
    return found.filter(pl.any_horizontal(pl.col("phone", "mail").is_not_null()))


def _keys(frame: pl.DataFrame, names: tuple[str, ...]) -> pl.Series:
    held = list(names) if names and set(names) <= set(frame.columns) else frame.columns[:1]
    keys = frame.select(pl.concat_str((pl.when(pl.col(name) != "").then(name) for name in held), separator="|"))
    return keys.to_series().filter(keys.to_series().str.strip_chars() != "")


def _counted(cells: pl.DataFrame, destinations: pl.DataFrame, *, headed: bool) -> dict[str, int]:
    """How many cells are what, and how many rows hold no destination.

    A first row without a destination, or what looks like one, is a header.
    """
    told = cells.join(destinations.unique("text"), on="text", how="left")
    by_row = told.group_by("row").agg(
        there=pl.any_horizontal(pl.col("phone", "mail").is_not_null()).any(),
        number=pl.col("text").str.contains(_NUMBER).any(),
    )
    if headed:
        by_row = by_row.filter(pl.col("there") | pl.col("number") | (pl.col("row") > 0) | (pl.len() == 1))
    return {
        "rows": by_row.height,
        "phones": told["phone"].count(),
        "mails": told["mail"].count(),
        "neither": by_row.filter(~pl.col("there")).height,
        "numbers": by_row.filter(~pl.col("there") & pl.col("number")).height,
    }


def _tell(name: str, found: Counter[str], region: str | None) -> None:
    if not found["rows"]:
        logger().warning("suppression.empty", list=name, advice="it holds nobody back: check contacts.suppress")
        return
    counts = {kind: found[kind] for kind in ("rows", "phones", "mails", "neither")}
    logger().info("suppression.list", list=name, **counts)
    if found["numbers"]:
        why = (
            f"no numbers of region {region.upper()}"
            if region
            else "without country code, and contacts.region is not set"
        )
        advice = f"they look like phones but are {why}: they hold nobody back, unless they are keys"
        logger().warning("suppression.numbers", list=name, rows=found["numbers"], advice=advice)
    elif found["neither"] == found["rows"]:
        advice = "no phone and no mail address is in it: its entries are compared with keys alone"
        logger().warning("suppression.keys_alone", list=name, advice=advice)
