"""Numbering plans: the metadata of the installed phonenumbers as regular expressions that polars evaluates on columns.

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


_N: Final = pl.col("n")
_LENGTH: Final = _N.str.len_bytes()


class _NotUnderstood(Exception):
    """A pattern of the metadata has more in it than we know to mean the same in Rust."""


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """How numbers of one region, or of one country code without regions, are written and told apart.

    Expressions are of column "n", which holds digits alone.
    """

    code: int  # country code
    international_prefix: str | None  # pattern of what is dialled before a country code
    leading_digits: str | None  # pattern of the numbers that are of this region among those that share its country code
    leads: int  # at how many digits that pattern looks, at most
    national_prefix: str | None  # pattern of what is dialled before a national number, and is no part of it
    transforms: str | None  # pattern of all numbers whose prefix may be replaced, instead of left out
    transformed: pl.Expr | None  # such numbers without their prefix
    general: re.Pattern[str]  # of whatever may be a national number, of any length
    viable: pl.Expr  # whether it matches that
    possible: pl.Expr  # whether it is long enough, and no number without its area code, so that `parse` takes it
    too_long: pl.Expr
    valid: pl.Expr  # whether it is a number of any type (_number_type_helper)
    landline: pl.Expr | None  # whether a valid number is surely a fixed line; None: none is, as far as anybody can tell
    international: pl.Expr  # E.164


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
    general, code = metadata.general_desc, metadata.country_code
    if general is None or code is None or not (pattern := general.national_number_pattern):
        raise _NotUnderstood
    lengths, local = tuple(general.possible_length), tuple(general.possible_length_local_only)
    if not lengths or set(lengths).intersection(local):
        raise _NotUnderstood
    valid_types = [getattr(metadata, name) for name in _OTHER_TYPES]
    other, typed = _any_of(valid_types), _any_of([*valid_types, metadata.fixed_line])
    is_general = _any_of([general])
    assert is_general is not None
    landline = None if metadata.same_mobile_and_fixed_line_pattern else _any_of([metadata.fixed_line])
    if landline is not None and other is not None:
        landline &= ~other
    beyond = _LENGTH.gt(lengths[-1]) & ~_LENGTH.is_in(local)
    transforms, transformed = _transforming(metadata)
    return Plan(
        code,
        _beginning(metadata.international_prefix),
        _beginning(metadata.leading_digits),  # and so they are understood
        max(_lengths(metadata.leading_digits)) if metadata.leading_digits else 0,
        _beginning(metadata.national_prefix_for_parsing),
        transforms,
        transformed,
        re.compile(pattern),
        _N.str.contains(f"^(?:{_in_rust(pattern)})$"),
        _LENGTH.is_in(lengths) | beyond,
        beyond,
        pl.lit(value=False) if typed is None else is_general & typed,
        landline,
        (f"+{code}" + _N).alias("value"),
    )


def _any_of(descriptions: Iterable[PhoneNumberDesc | None]) -> pl.Expr | None:
    """Whether a number is of any of the descriptions: matches its pattern and has one of its lengths, if it has any."""
    patterns: dict[tuple[int, ...], list[str]] = {}
    for description in descriptions:
        if description is not None and (pattern := description.national_number_pattern):
            rust, lengths = _in_rust(pattern), tuple(description.possible_length)
            if _lengths(pattern).issubset(lengths):
                lengths = ()  # the pattern sees to it
            patterns.setdefault(lengths, []).append(rust)
    tests = []
    for lengths, held in patterns.items():
        matches = _N.str.contains(f"^(?:{'|'.join(dict.fromkeys(held))})$")
        tests.append(matches & _LENGTH.is_in(lengths) if lengths else matches)
    return reduce(or_, tests) if tests else None


def _transforming(metadata: PhoneMetadata) -> tuple[str | None, pl.Expr | None]:
    """Which numbers may have a prefix that is replaced, and how: where the last group of its pattern takes part."""
    prefix, rule = metadata.national_prefix_for_parsing, metadata.national_prefix_transform_rule
    if not prefix or not rule:
        return None, None
    pattern = re.compile(prefix)
    if not pattern.groups or not re.fullmatch(r"(?:\d|\\\d)*", rule):
        raise _NotUnderstood
    if any((found := pattern.match(digit)) and found[pattern.groups] is not None for digit in "0123456789"):
        raise _NotUnderstood  # `parse` refuses so short a number before it looks for a prefix
    begins = _beginning(prefix)
    assert begins is not None
    taken = _N.str.extract(begins, pattern.groups).is_not_null()
    put = _N.str.replace(begins, re.sub(r"\\(\d)", r"${\1}", rule))
    # Finding groups is slow. A group at the end that may be missing takes part only where it is there.
    last = _last_group(prefix)
    certain = prefix[:-1] if last is not None and re.compile(last).groups else prefix
    return _beginning(certain), pl.when(taken).then(put).otherwise(_N.str.replace(begins, ""))


def _last_group(pattern: str) -> str | None:
    """The group at the end of a pattern that may be missing, as in `0?(?:(11)15)?`; None: there is none."""
    if not pattern.endswith(")?"):
        return None
    depth = 0
    for at in range(len(pattern) - 2, -1, -1):
        depth += {")": 1, "(": -1}.get(pattern[at], 0)
        if not depth:
            return pattern[at:-1]
    return None


def _beginning(pattern: str | None) -> str | None:
    return f"^(?:{_in_rust(pattern)})" if pattern else None


def _in_rust(pattern: str) -> str:
    """The same pattern for Rust, to which \\d is every digit of Unicode; raises _NotUnderstood."""
    if not _UNDERSTOOD.fullmatch(pattern):
        raise _NotUnderstood
    return pattern.replace(r"\d", "[0-9]")


def _lengths(pattern: str) -> set[int]:
    """How long the numbers are that match: any digit is as good as another."""
    shape = re.compile(_ONE_DIGIT.sub(lambda found: found[1] or "1", pattern))
    return {length for length in range(LONGEST + 2) if shape.fullmatch("1" * length)}
