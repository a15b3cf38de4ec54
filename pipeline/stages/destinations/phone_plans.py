"""Numbering plans: the metadata of the installed phonenumbers as regular expressions that polars evaluates on columns.

Each function here does to a column what one of phonenumbers (phonenumberutil.py) does to a number, by the same metadata.
A plan whose patterns Rust's regular expressions may understand otherwise than Python's has no such form: None.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, reduce
from operator import or_
from typing import Final

import phonenumbers
import polars as pl
from phonenumbers import PhoneMetadata, PhoneNumberDesc

#: The whole language of the metadata: digits, classes of them, groups, alternatives, repetitions. Nothing of it means
#: another thing in Rust; look-ahead, references and whatever else may come do not match and make a plan None.
_UNDERSTOOD = re.compile(r"(?:\\d|\d|\[(?:\d-\d|\d|\\d)+\]|\((?:\?:)?|\)|\||\?|\{\d+(?:,\d*)?\}|\$)*")

_ONE_DIGIT = re.compile(r"(\{[^}]*\})|\\d|\[[^]]*\]|\d")

#: The types of a valid number but fixed lines; their order does not matter to us, as any of them comes before those.
_OTHER_TYPES: Final = (
    "premium_rate", "toll_free", "shared_cost", "voip", "personal_number", "pager", "uan", "voicemail", "mobile",
)  # fmt: skip

#: The longest national number that phonenumbers reads.
LONGEST: Final = 17


class _NotUnderstood(Exception):
    """A pattern of the metadata has more in it than we know to mean the same in Rust."""


@dataclass(frozen=True, slots=True)
class _Numbers:
    """A set of national numbers: those that match a pattern as a whole and have one of its lengths, if it has any."""

    tests: tuple[tuple[str, tuple[int, ...]], ...]  # pattern for Rust, lengths in digits; empty: the pattern decides

    @classmethod
    def of(cls, descriptions: Iterable[PhoneNumberDesc | None]) -> "_Numbers":
        """Those of any of the descriptions."""
        patterns: dict[tuple[int, ...], list[str]] = {}
        for description in descriptions:
            if description is not None and (pattern := description.national_number_pattern):
                lengths = tuple(description.possible_length)
                if _lengths(pattern).issubset(lengths):
                    lengths = ()
                patterns.setdefault(lengths, []).append(_in_rust(pattern))
        return cls(tuple((f"^(?:{'|'.join(held)})$", lengths) for lengths, held in patterns.items()))

    def hold(self, number: pl.Expr) -> pl.Expr:
        """Which numbers of a column are of them."""
        found = [
            number.str.contains(pattern) & number.str.len_bytes().is_in(lengths)
            if lengths
            else number.str.contains(pattern)
            for pattern, lengths in self.tests
        ]
        return reduce(or_, found) if found else pl.lit(value=False)


@dataclass(frozen=True, slots=True)
class Plan:
    """How numbers of one region, or of one country code without regions, are written and told apart."""

    code: int  # country code
    international_prefix: str | None  # pattern of what is dialled before a country code
    leading_digits: str | None  # pattern of the numbers that are of this region among those that share its country code
    leads: int  # at how many digits that pattern looks, at most
    national_prefix: str | None  # pattern of what is dialled before a national number, and is no part of it
    _transformed: str | None  # what is put in its place where the last group of the pattern takes part
    _groups: int  # of that pattern
    _lengths: tuple[int, ...]  # that national numbers have; ascending
    _local_lengths: tuple[int, ...]  # that numbers without their area code have
    _viable: str  # pattern of whatever may be a national number, of any length
    _general: _Numbers
    _fixed: _Numbers
    _other: _Numbers
    _one_for_both: bool  # fixed lines and mobiles have the same numbers: nobody can tell

    def is_viable(self, number: pl.Expr) -> pl.Expr:
        """Which numbers look like one of this plan at all."""
        return number.str.contains(self._viable)

    def is_too_long(self, number: pl.Expr) -> pl.Expr:
        """Which numbers have more digits than any of this plan."""
        length = number.str.len_bytes()
        return (length > self._lengths[-1]) & ~length.is_in(self._local_lengths)

    def without_prefix(self, number: pl.Expr) -> pl.Expr:
        """Numbers without their national prefix (_maybe_strip_national_prefix_carrier_code)."""
        if self.national_prefix is None:
            return number
        cut = number.str.replace(self.national_prefix, "")
        if self._transformed:
            taken = number.str.extract(self.national_prefix, self._groups).is_not_null()
            cut = pl.when(taken).then(number.str.replace(self.national_prefix, self._transformed)).otherwise(cut)
        return pl.when(self.is_viable(number) & ~self.is_viable(cut)).then(number).otherwise(cut)

    def national(self, number: pl.Expr) -> pl.Expr:
        """The national number of a text that has no country code any more, as `parse` makes it."""
        cut = self.without_prefix(number)
        length = cut.str.len_bytes()
        takes = ~length.is_in(self._local_lengths) & (length.is_in(self._lengths) | (length > self._lengths[-1]))
        return pl.when(takes).then(cut).otherwise(number)

    def judged(self, numbers: pl.Series) -> tuple[pl.Series, pl.Series]:
        """Which national numbers are valid in this region, and which are surely landlines (_number_type_helper)."""
        number = pl.col("n")
        general, fixed, other = numbers.to_frame("n").select(
            general=self._general.hold(number), fixed=self._fixed.hold(number), other=self._other.hold(number)
        )
        valid = general & (fixed | other)
        return valid, valid & ~valid if self._one_for_both else valid & fixed & ~other


@cache
def plan(code: int, region: str) -> Plan | None:
    """The plan of a region, or of a country code whose region is "001"; None: it cannot be put into columns."""
    metadata = PhoneMetadata.metadata_for_region_or_calling_code(code, region)
    try:
        return None if metadata is None else _plan(metadata)
    except _NotUnderstood:
        return None


@cache
def plans(code: int) -> tuple[Plan, ...] | None:
    """The plans of all regions that share a country code, the main one first; None: one cannot be put into columns."""
    found = [plan(code, region) for region in phonenumbers.COUNTRY_CODE_TO_REGION_CODE[code]]
    if any(held is None for held in found):
        return None
    return tuple(held for held in found if held is not None)


@cache
def country_codes() -> pl.Series:
    """Country code (u16) by the first three digits of an international number; 0: none has it."""
    known = phonenumbers.COUNTRY_CODE_TO_REGION_CODE
    found = [
        next((int(digits[:size]) for size in (1, 2, 3) if int(digits[:size]) in known), 0) if digits[0] != "0" else 0
        for digits in (f"{number:03}" for number in range(1000))
    ]
    return pl.Series("code", found, pl.UInt16)


def _plan(metadata: PhoneMetadata) -> Plan:
    general = metadata.general_desc
    prefix, rule = metadata.national_prefix_for_parsing, metadata.national_prefix_transform_rule
    groups = re.compile(prefix or "").groups
    if not general.possible_length or not general.national_number_pattern or (rule and not groups):
        raise _NotUnderstood  # phonenumbers itself could not read a number by it
    if rule and not re.fullmatch(r"(?:\d|\\\d)*", rule):
        raise _NotUnderstood
    return Plan(
        metadata.country_code,
        _beginning(metadata.international_prefix),
        _beginning(metadata.leading_digits),
        max(_lengths(metadata.leading_digits)) if metadata.leading_digits else 0,
        _beginning(prefix),
        re.sub(r"\\(\d)", r"${\1}", rule) if rule else None,
        groups,
        tuple(general.possible_length),
        tuple(general.possible_length_local_only),
        f"^(?:{_in_rust(general.national_number_pattern)})$",
        _Numbers.of([general]),
        _Numbers.of([metadata.fixed_line]),
        _Numbers.of(getattr(metadata, name) for name in _OTHER_TYPES),
        bool(metadata.same_mobile_and_fixed_line_pattern),
    )


def _beginning(pattern: str | None) -> str | None:
    return f"^(?:{_in_rust(pattern)})" if pattern else None


def _in_rust(pattern: str) -> str:
    """The same pattern for Rust; raises _NotUnderstood. Numbers are ASCII digits by now, and Rust's \\d is all digits."""
    if not _UNDERSTOOD.fullmatch(pattern):
        raise _NotUnderstood
    return pattern.replace(r"\d", "[0-9]")


def _lengths(pattern: str) -> set[int]:
    """How long the numbers are that match: any digit is as good as another."""
    shape = re.compile(_ONE_DIGIT.sub(lambda found: found[1] or "1", pattern))
    return {length for length in range(LONGEST + 2) if shape.fullmatch("1" * length)}

