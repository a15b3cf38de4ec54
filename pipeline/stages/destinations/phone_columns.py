"""Phone numbers by the column: what `parse` and `is_valid_number` of phonenumbers say, wherever that is certain.

The steps are those of phonenumbers and carry its names in brackets; each does to a column what that does to a number.
Its metadata are used as they are (phone_plans), so what is certain here is what it would say, and all else is left to it.
"""

import re
from collections.abc import Iterator
from enum import IntEnum
from typing import Final

import polars as pl
from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, country_code_for_region, region_code_for_country_code

from pipeline.stages.destinations.phone_forms import told_apart
from pipeline.stages.destinations.phone_plans import INVALID, LANDLINE, LONGEST, Plan, country_codes, plan, plans


class Trouble(IntEnum):
    """Why a text is no valid number, in the words of NumberParseException or of nobody."""

    NOT_A_NUMBER = 1
    NO_COUNTRY = 2  # neither a plus nor a region
    INVALID_COUNTRY_CODE = 3
    TOO_SHORT_AFTER_IDD = 4
    TOO_SHORT_NSN = 5
    TOO_LONG = 6
    NOT_VALID = 7  # it was read, and is not valid


#: What is certain of texts, those of which nothing is certain left out.
ANSWERS: Final = pl.Schema(
    [
        ("at", pl.UInt32),  # which text
        ("number", pl.String),  # E.164; null: it is not valid
        ("landline", pl.Boolean),
        ("trouble", pl.UInt8),  # why it is not valid; 0: it is
        ("code", pl.UInt16),  # country code of what was read, 0 where nothing was
        ("national", pl.String),  # what was read, null where nothing was
    ]
)


def answers(texts: pl.DataFrame, region: str | None) -> pl.DataFrame:
    """What is certain of texts without nulls (columns at, text): columns as in ANSWERS, in any order."""
    forms = told_apart(texts)
    found = [_troubled(forms.hopeless, Trouble.NOT_A_NUMBER)]
    found += _read(forms.numbers, region)
    return pl.concat(found)


def international(numbers: pl.DataFrame) -> pl.DataFrame:
    """What is certain of at least three digits after a plus (columns at, digits): columns as in ANSWERS."""
    extracted = _extracted(numbers)
    none = _troubled(extracted.filter(pl.col("code") == 0), Trouble.INVALID_COUNTRY_CODE)
    return pl.concat([none, *_with_codes(extracted.filter(pl.col("code") > 0))])


def _read(numbers: pl.DataFrame, region: str | None) -> Iterator[pl.DataFrame]:
    """Numbers with and without a country code (_maybe_extract_country_code). Columns at, digits, plus."""
    abroad, home = numbers.filter("plus").select("at", "digits"), numbers.filter(~pl.col("plus")).select("at", "digits")
    extracted = _extracted(abroad)
    yield from _with_codes(extracted.filter(pl.col("code") > 0))
    astray = extracted.filter(pl.col("code") == 0).select("at", "digits")
    if region is None:
        yield _troubled(astray, Trouble.INVALID_COUNTRY_CODE)
        yield _troubled(home, Trouble.NO_COUNTRY)
        return
    dialled_in = plan(country_code_for_region(region), region)
    if dialled_in is None:
        return
    # A plus before no country code is given another chance as an international prefix.
    rest, short, dialled = _after_prefix(astray, dialled_in)
    yield _troubled(rest, Trouble.INVALID_COUNTRY_CODE)
    yield from _dialled(short, dialled)
    rest, short, dialled = _after_prefix(home, dialled_in)
    yield from _dialled(short, dialled)
    yield from _at_home(rest, dialled_in, region)


def _dialled(short: pl.DataFrame, dialled: pl.DataFrame) -> Iterator[pl.DataFrame]:
    yield _troubled(short, Trouble.TOO_SHORT_AFTER_IDD)
    extracted = _extracted(dialled)
    yield _troubled(extracted.filter(pl.col("code") == 0), Trouble.INVALID_COUNTRY_CODE)
    yield from _with_codes(extracted.filter(pl.col("code") > 0))


def _after_prefix(numbers: pl.DataFrame, dialled_in: Plan) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Numbers without an international prefix, and those after one: too short, and the others (_parse_prefix_as_idd)."""
    if dialled_in.international_prefix is None or not numbers.height:
        return numbers, numbers.clear(), numbers.clear()
    digits = pl.col("digits")
    begins = numbers.select(digits.str.contains(dialled_in.international_prefix)).to_series()
    if not begins.any():
        return numbers, numbers.clear(), numbers.clear()
    cut = numbers.filter(begins).with_columns(after=digits.str.replace(dialled_in.international_prefix, ""))
    none = pl.col("after").str.starts_with("0")  # no country code begins with it
    short = pl.col("after").str.len_bytes() <= 2
    return (
        pl.concat([numbers.filter(~begins), cut.filter(none).select("at", "digits")]),
        cut.filter(~none & short).select("at", "digits"),
        cut.filter(~none & ~short).select("at", digits="after"),
    )


def _extracted(numbers: pl.DataFrame) -> pl.DataFrame:
    """Numbers of at least three digits with their country codes, 0 where they have none (_extract_country_code)."""
    first = numbers["digits"].str.head(3).cast(pl.UInt16)
    return numbers.with_columns(country_codes().gather(first).alias("code"))


def _with_codes(numbers: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Numbers that begin with their country code (columns at, digits, code)."""
    for code in numbers["code"].unique().to_list():
        main = plan(code, region_code_for_country_code(code))
        if main is not None:
            of_code = numbers.filter(pl.col("code") == code).select("at", pl.col("digits").str.slice(len(str(code))))
            yield from _national(of_code, main)


def _at_home(numbers: pl.DataFrame, dialled_in: Plan, region: str) -> Iterator[pl.DataFrame]:
    """Numbers as they are dialled in a region, and those that have its country code and no plus."""
    digits, code = pl.col("digits"), str(dialled_in.code)
    begins = numbers.select(digits.str.starts_with(code)).to_series()
    if begins.any():
        cut = numbers.filter(begins).with_columns(after=digits.str.slice(len(code)))
        cut = cut.with_columns(after=dialled_in.without_prefix(pl.col("after")))
        better = ~dialled_in.is_viable(digits) & dialled_in.is_viable(pl.col("after"))
        cut = cut.with_columns(coded=better | dialled_in.is_too_long(digits))
        main = plan(dialled_in.code, region_code_for_country_code(dialled_in.code))
        if main is not None:
            yield from _national(cut.filter("coded").select("at", digits="after"), main)
        numbers = pl.concat([numbers.filter(~begins), cut.filter(~pl.col("coded")).select("at", "digits")])
    yield from _national(numbers, dialled_in)


def _national(numbers: pl.DataFrame, of: Plan) -> Iterator[pl.DataFrame]:
    """Numbers without their country code: the end of `parse`, and `is_valid_number`."""
    digits = pl.col("digits")
    prefixed = numbers.select(of.has_prefix(digits)).to_series()
    number = pl.when(digits.str.len_bytes() < 2).then(digits).otherwise(of.national(digits)) if prefixed.any() else digits
    numbers = numbers.select("at", national=number)
    length = numbers["national"].str.len_bytes()
    usual = length.is_between(2, LONGEST)
    if not usual.all():
        yield _troubled(numbers.filter(length < 2), Trouble.TOO_SHORT_NSN)
        yield _troubled(numbers.filter(length > LONGEST), Trouble.TOO_LONG)
        numbers = numbers.filter(usual)
    if numbers.height:
        yield from _judged(numbers, of.code)


def _judged(numbers: pl.DataFrame, code: int) -> Iterator[pl.DataFrame]:
    """Whether national numbers are valid, and landlines (region_code_for_number, is_valid_number, number_type)."""
    sharing = plans(code)
    if sharing is None:
        return
    for rows, asked in _regions(numbers, sharing):
        rest = rows
        for region in asked:
            if not rest.height:
                break
            judged = region.judged(rest)
            valid = judged != INVALID
            yield rest.filter(valid).select(
                "at",
                ("+" + str(code) + pl.col("national")).alias("number"),
                (judged.filter(valid) == LANDLINE).alias("landline"),
                pl.lit(0, pl.UInt8).alias("trouble"),
                pl.lit(code, pl.UInt16).alias("code"),
                "national",
            )
            rest = rest.filter(~valid)
        yield _troubled(rest, Trouble.NOT_VALID, code)


def _regions(numbers: pl.DataFrame, sharing: tuple[Plan, ...]) -> Iterator[tuple[pl.DataFrame, tuple[Plan, ...]]]:
    """Numbers of a country code with the regions that they may be of, in the order in which those are asked.

    A region with leading digits has all numbers that begin with them, valid or not; the others have what is valid.
    """
    leading = [region.leading_digits for region in sharing if region.leading_digits]
    if not leading:
        yield numbers, sharing
        return
    anyone = tuple(region for region in sharing if not region.leading_digits)
    led = numbers.select(pl.col("national").str.contains("|".join(leading))).to_series()
    yield numbers.filter(~led), anyone
    claimed = numbers.filter(led).with_columns(head=pl.col("national").str.head(max(region.leads for region in sharing)))
    owners: dict[int, list[str]] = {}
    for head in claimed["head"].unique():
        owner = next(
            index
            for index, region in enumerate(sharing)
            if region.leading_digits and re.match(region.leading_digits, head)
        )
        owners.setdefault(owner, []).append(head)
    for owner, heads in owners.items():
        before = tuple(region for region in sharing[:owner] if not region.leading_digits)
        yield claimed.filter(pl.col("head").is_in(heads)).drop("head"), (*before, sharing[owner])


def _troubled(rows: pl.DataFrame, trouble: Trouble, code: int = 0) -> pl.DataFrame:
    return rows.select(
        "at",
        pl.lit(None, pl.String).alias("number"),
        pl.lit(value=False).alias("landline"),
        pl.lit(trouble.value, pl.UInt8).alias("trouble"),
        pl.lit(code, pl.UInt16).alias("code"),
        ("national" if "national" in rows.columns else pl.lit(None, pl.String).alias("national")),
    )

