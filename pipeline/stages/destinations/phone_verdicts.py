"""Columns of texts to verdicts on phones: what is valid by the column, and of what is not, one of each kind.

What is wrong with a text is for `read_phone` to say, in whose words it is a question of the number's kind, not of its
digits: its country, its length, whether there are letters. So one text of a kind is read, and its fault is that of all
of the kind. Even bad lists have but a few hundred kinds.
"""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

import polars as pl

from pipeline.stages.destinations.phone import (
    CUTS,
    DOUBT,
    are_several,
    code_without_plus,
    cut,
    has_separator,
    lacks_zero,
    read_phone,
)
from pipeline.stages.destinations.phone_columns import Answers, Refusal, Trouble, answers
from pipeline.stages.destinations.phone_forms import Rows, in_ascii

_N: Final = pl.col("n")
_CUT: Final = _N.str.contains(f"^(?:{'|'.join(pattern for pattern, _ in CUTS)})$")

# What may be damage (damage.py) is left to the authority: signs of HTML and of formulas, controls, and what has nothing
# but zeros, crosses and punctuation in it.
_MAY_BE_DAMAGED = re.compile(r"[<&=#\x00-\x08\x0e-\x1f\x7f]|err:|^[^1-9a-wyz]*$", re.IGNORECASE)
_LETTER = re.compile("[A-Za-z]")

#: Digits that make no difference to a shape are the same one in it.
_SAME: Final = str.maketrans("23456789", "1" * 8)
_MOST_SHAPES: Final = 20_000


_VALID: Final = pl.DataFrame(schema={"at": pl.UInt32, "value": pl.String, "landline": pl.Boolean})
_NONE: Final = pl.DataFrame(
    schema={"at": pl.UInt32, "value": pl.String, "fault": pl.String, "landline": pl.Boolean, "remark": pl.String}
)


class Shape(NamedTuple):
    """What the fault of an invalid number depends on, and its digits do not matter to, but for zeros."""

    letters: bool
    separator: bool
    plus: bool
    cut: str | None
    damaged: bool  # or it may be: the authority is to be asked
    several: bool  # more than one number

    @classmethod
    def of(cls, text: str) -> "Shape":
        """That of a text, or of another with the same shape."""
        return cls(
            letters=_LETTER.search(text) is not None,
            separator=has_separator(text),
            plus="+" in text,
            cut=cut(text),
            damaged=_MAY_BE_DAMAGED.search(text) is not None,
            several=are_several(text),
        )


class Kind(NamedTuple):
    """All that the fault of an invalid number depends on, but for its region."""

    trouble: Trouble
    code: int  # country code of what was read
    length: int  # of its national number
    shape: Shape
    lacks_zero: bool
    without_plus: int  # country code that it has if only a plus is missing


class PhoneColumns:
    """Verdicts on columns of numbers of one region; remembers the fault of each kind that came up."""

    def __init__(self, region: str | None) -> None:
        """`region` is upper case, and one of those that phonenumbers knows."""
        self._region = region
        self._faults: dict[Kind, str | None] = {}
        self._shapes: dict[str, Shape] = {}

    def read(self, texts: pl.Series) -> pl.DataFrame:
        """The verdicts that are certain: at (position in `texts`, u32), value, fault, landline, remark; in any order.

        Of a text that is missing nothing is certain: the authority is to be asked. Nulls are always missing.
        """
        rows = Rows.of(texts)
        plain = rows.ask(_N.str.len_bytes() == _N.str.len_chars())
        if plain.all():
            return pl.concat([_NONE, *self._verdicts(rows)], how="diagonal")
        strange = rows.where(~plain)
        # Only what is valid: the reason why the rest is not may be what is replaced.
        valid = _valid(answers(in_ascii(strange), self._region), strange)
        return pl.concat([_NONE, *self._verdicts(rows.where(plain)), valid], how="diagonal")

    def _verdicts(self, rows: Rows) -> list[pl.DataFrame]:
        read = answers(rows, self._region)
        valid = _valid(read, rows)
        return [valid, self._refused(read.refused, rows)] if read.refused else [valid]

    def _refused(self, refused: list[Refusal], rows: Rows) -> pl.DataFrame:
        """Verdicts on numbers that are not valid."""
        at, faults = list[int](), list[str]()
        for text, kind, refusal in self._kinds(refused, rows):
            if kind not in self._faults:
                self._faults[kind] = read_phone(text, self._region).fault
            if fault := self._faults[kind]:  # else the authority takes it, and is to be asked about all of the kind
                at.append(refusal.at)
                faults.append(fault)
        told = {"at": at, "fault": faults, "landline": [False] * len(at)}
        return pl.DataFrame(told, schema={"at": pl.UInt32, "fault": pl.String, "landline": pl.Boolean})

    def _kinds(self, refused: list[Refusal], rows: Rows) -> Iterator[tuple[str, Kind, Refusal]]:
        """Texts that are refused, each with its kind; those whose kind is not certain are left out."""
        positions = pl.Series([refusal.at for refusal in refused], dtype=pl.UInt32)
        texts = rows.text.gather(rows.at.search_sorted(positions)).to_list()
        for text, refusal in zip(texts, refused, strict=True):
            shape = self._shape(text)
            if not shape.damaged:
                read = refusal.trouble == Trouble.NOT_VALID
                zero = read and lacks_zero(refusal.code, refusal.national)
                plus = code_without_plus(text) if read or refusal.trouble == Trouble.NO_COUNTRY else 0
                yield text, Kind(refusal.trouble, refusal.code, len(refusal.national), shape, zero, plus), refusal

    def _shape(self, text: str) -> Shape:
        same = text.translate(_SAME)
        shape = self._shapes.get(same)
        if shape is None:
            shape = Shape.of(same)
            if len(self._shapes) < _MOST_SHAPES:
                self._shapes[same] = shape
        return shape


def _valid(read: Answers, rows: Rows) -> pl.DataFrame:
    """Verdicts on valid numbers."""
    told = pl.concat([_VALID, *read.valid])
    cuts = rows.where(rows.ask(_CUT))
    refused = {refusal.at for refusal in read.refused} if cuts else set()
    doubtful = {at: cut(text) for at, text in zip(cuts.at.to_list(), cuts.text.to_list(), strict=True)}
    remarks = {at: DOUBT + done for at, done in doubtful.items() if done and at not in refused}
    if not remarks:  # as nearly always: the others are not worth joining
        return told
    columns = {"at": remarks.keys(), "remark": remarks.values()}
    return told.join(pl.DataFrame(columns, schema={"at": pl.UInt32, "remark": pl.String}), on="at", how="left")
