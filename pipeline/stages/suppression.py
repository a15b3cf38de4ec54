"""Suppression: phones, mail addresses and keys of do-not-contact lists, looked up a batch at a time."""

import re
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

#: One destination, if it is one at all: nothing else can be in such a cell.
_SINGLE: Final = r"^(?:\+?[\d ().\-]*\d|\w[^@=&]*@[^@]*\w)$"
_DECIMAL: Final = r"([0-9]{7})[.,]0+(\D|$)"

#: Addresses among other things in a cell. What is no letter may belong to the part before the @, or to what is around.
_ADDRESSES: Final = r"[^\s<>()\[\],;:\"|/@]+@[\w.\-\u{3002}\u{FF0E}\u{FF61}]+"
_AROUND: Final = r"^[^\p{L}\p{N}]+|[^\p{L}\p{N}]+$"
_BEFORE: Final = r"^.*[=&]"

#: Digits among other things in a cell, what may stand between those of a number, and how many of them it may have, an
#: international prefix included.
_DIGITS: Final = re.compile(r"\+?\d+")
_BETWEEN: Final = re.compile(r"[\s().*/\-]*")
_FEWEST, _MOST = 7, 18
_SCIENTIFIC: Final = re.compile(r"([0-9])[.,]([0-9]+)[eE]\+?([0-9]{1,2})")

_TIME: Final = r"\d\d?:\d\d(?::\d\d(?:[.,]\d{1,9})?)?(?: ?(?:Z|[+-]\d\d:?\d\d))?"
_DATE: Final = rf"^(?:\d{{4}}-\d\d?-\d\d?|\d\d?[./]\d\d?[./]\d{{2,4}})(?:[T ]{_TIME})?$"

#: What a person takes for a phone: seven digits or more, and nothing but what stands between digits.
_NUMBER: Final = r"^\+?(?:[ ().\-/]*\d){7,15}[ ().\-/]*$"
#: What may have been meant for a destination.
_SEVERAL_DIGITS: Final = r"(?:\d\D*){7}"
_MEANT: Final = rf"[@\u{{FF20}}]|{_SEVERAL_DIGITS}|^\d[.,]\d*[eE]\+?\d+$"


class Suppression:
    """What the lists hold, and the name of the first list that holds it: about 24 bytes for each.

    Mail addresses are compared without case: they reach the same person. Keys are compared without the blanks around
    each of their parts.
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
        taken = ((self._phones, phones), (self._mails, caseless(mails)), (self._keys, _trimmed(keys)))
        for held, values in taken:
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
        return self._looked_up(self._keys, keys, _trimmed)

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


def load_suppression(
    paths: Sequence[Path], contacts: ContactsSettings, authorities: Authorities, *, tell: bool = True
) -> Suppression:
    """Read the lists: CSV, Parquet, workbooks, or text with one value per line.

    Phones and mail addresses are found in every column, several of them in a cell too, and normalised as those of the
    contacts are. Keys stand in the columns named as in `contacts.key`, else in the first column: a number elsewhere,
    say of the entry, is no key. What was found is logged, and a warning where entries can hold nobody back,
    unless `tell` is false: whoever looks for somebody in a list holds nobody back by it. A list
    that is missing or cannot be read raises SourceError: sending on without it would do harm.
    """
    suppression = Suppression()
    for path in paths:
        found: Counter[str] = Counter()
        for number, frame in enumerate(lists.frames(path, contacts.key)):
            cells = _cells(frame)
            destinations = _destinations(cells["text"].unique(), contacts.region, authorities)
            suppression.add(
                path.name,
                phones=destinations["phone"],
                mails=destinations["mail"],
                keys=keys_in(frame, contacts.key).drop_nulls(),
            )
            found.update(_counted(cells, destinations, contacts.key, headed=number == 0))
        if tell:
            _tell(path.name, found, contacts.region)
    return suppression


def destinations_in(frame: pl.DataFrame, contacts: ContactsSettings, authorities: Authorities) -> pl.DataFrame:
    """The destinations that are found anywhere in the cells of rows, as in a list: `row` from 0, `phone` or `mail`."""
    cells = _cells(frame)
    found = _destinations(cells["text"].unique(), contacts.region, authorities)
    return cells.join(found, on="text").select("row", "phone", "mail").unique()


def _trimmed(keys: pl.Series) -> pl.Series:
    return keys.str.strip_chars().str.replace_all(r"\s*\|\s*", "|")


def _cells(frame: pl.DataFrame) -> pl.DataFrame:
    """`row`, `column` and `text` of every cell that is not blank."""
    rows = pl.int_range(frame.height, eager=True).alias("row")
    cells = [
        pl.DataFrame([rows, column.str.strip_chars().alias("text")]).with_columns(column=pl.lit(column.name))
        for column in frame
    ]
    return pl.concat(cells).filter(pl.col("text") != "")


def _destinations(texts: pl.Series, region: str | None, authorities: Authorities) -> pl.DataFrame:
    """The destinations that are in the texts: `text`, and its `phone` or its `mail`.

    A text that is a destination as a whole may hold others too: the authority takes a second number for an extension.
    """
    found = _asked(pl.DataFrame({"text": texts, "part": texts}), region, authorities)
    text = pl.col("text")
    single = found.filter(text.str.contains(_SINGLE) & ~text.str.contains(_DECIMAL))["text"]
    rest = pl.DataFrame({"text": texts}).filter(~text.is_in(single.implode()) & ~text.str.contains(_DATE))
    plain = (
        text.str.replace_all(r"\p{Cf}", "")  # invisible
        .str.replace_all(r"\p{Pd}|\u{2212}", "-")
        .str.replace_all(r"\p{Zs}", " ")
        .str.replace_all(_DECIMAL, "${1}${2}")
        .str.strip_chars()
    )
    rest = rest.with_columns(part=plain)
    with_digits = rest.filter(pl.col("part").str.contains(_SEVERAL_DIGITS))
    numbers = pl.Series("part", [_numbers(part) for part in with_digits["part"]], dtype=pl.List(pl.String))
    addresses = rest.with_columns(pl.col("part").str.extract_all(_ADDRESSES)).explode("part").drop_nulls()
    part = pl.col("part")
    bare = [
        addresses.with_columns(part.str.replace_all(_AROUND, "")),
        addresses.with_columns(part.str.replace(_BEFORE, "").str.replace_all(_AROUND, "")),
    ]
    parts = pl.concat([with_digits.with_columns(numbers).explode("part").drop_nulls(), addresses, *bare])
    return pl.concat([found, _asked(parts.unique(), region, authorities)])


def _numbers(text: str) -> list[str]:
    """Whatever in a text may be a number, with or without the digits that stand beside it: "2025-01-01 4165550123"."""
    if written := _SCIENTIFIC.fullmatch(text):
        return [written[1] + written[2]] if len(written[2]) == int(written[3]) else []  # else digits are cut off
    runs: list[list[str]] = [[]]
    end = 0
    for digits in _DIGITS.finditer(text):
        # Letters beside few digits make a word of them, as in a UUID.
        around = text[max(digits.start() - 1, 0) : digits.start()] + text[digits.end() : digits.end() + 1]
        word = any(character.isalpha() or character == "_" for character in around)
        if word or digits[0].startswith("+") or not _BETWEEN.fullmatch(text, end, digits.start()):
            runs.append([])
        runs[-1].append(digits[0])
        if word:
            runs.append([])
        end = digits.end()
    found = []
    for run in runs:
        for start in range(len(run)):
            number = ""
            for digits_of in run[start:]:
                number += digits_of
                if len(number) > _MOST:
                    break
                if len(number) >= _FEWEST:
                    found.append(number)
                    if number.startswith("+"):
                        found.append(number[1:])  # it may stand between two numbers
    return found


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


def keys_in(frame: pl.DataFrame, names: tuple[str, ...]) -> pl.Series:
    """The key of each row of a list, null where a part of it is blank."""
    held = list(names) if names and set(names) <= set(frame.columns) else frame.columns[:1]
    keys = frame.select(
        pl.concat_str((pl.when(pl.col(name).str.strip_chars() != "").then(name) for name in held), separator="|")
    )
    return keys.to_series()


def _counted(cells: pl.DataFrame, destinations: pl.DataFrame, key: tuple[str, ...], *, headed: bool) -> dict[str, int]:
    """How many cells are what, and how many rows hold no destination.

    A first row without a destination, or what looks like one, is a header.
    """
    of_texts = destinations.group_by("text").agg(pl.col("phone", "mail").drop_nulls().first())
    there = pl.any_horizontal(pl.col("phone", "mail").is_not_null())
    text = pl.col("text")
    # A key beside a destination is nothing but a key.
    missed = ~there & ~text.str.contains(_DATE) & ~(there.any().over("row") & pl.col("column").is_in(key))
    told = cells.join(of_texts, on="text", how="left").with_columns(
        there=there,
        number=missed & text.str.contains(_NUMBER),
        unread=missed & ~text.str.contains(_NUMBER) & text.str.contains(_MEANT),
    )
    by_row = told.group_by("row").agg(pl.col("there", "number").any(), pl.col("unread").sum())
    if headed:
        entry = pl.col("there") | pl.col("number") | (pl.col("unread") > 0)
        by_row = by_row.filter(entry | (pl.col("row") > 0) | (pl.len() == 1))
    return {
        "rows": by_row.height,
        "phones": told["phone"].count(),
        "mails": told["mail"].count(),
        "neither": by_row.filter(~pl.col("there")).height,
        "numbers": int(by_row["number"].sum()),
        "unread": int(by_row["unread"].sum()),
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
    if found["unread"]:
        advice = (
            "they have an @ or seven digits, but no phone and no mail address that is understood: they hold nobody "
            "back, unless they are keys"
        )
        logger().warning("suppression.unread", list=name, cells=found["unread"], advice=advice)
    if not found["numbers"] and not found["unread"] and found["neither"] == found["rows"]:
        advice = "no phone and no mail address is in it: its entries are compared with keys alone"
        logger().warning("suppression.keys_alone", list=name, advice=advice)
