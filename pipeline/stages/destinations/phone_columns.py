"""Phone numbers by the column: what `parse` and `is_valid_number` of phonenumbers say, wherever that is certain.

The steps are those of phonenumbers (phonenumberutil.py, named in brackets); each does to a column what that does to a
number, by the same metadata (phone_plans). A text that is neither valid nor refused here is for phonenumbers to judge.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, NamedTuple

import polars as pl
from phonenumbers import (
    PhoneNumberType,
    country_code_for_region,
    is_valid_number,
    number_type,
    region_code_for_country_code,
)

from pipeline.stages.destinations.phone import number_of
from pipeline.stages.destinations.phone_forms import Rows, told_apart
from pipeline.stages.destinations.phone_plans import LONGEST, Plan, country_codes, plan, plans

#: So few rows are not worth patterns that may have to be compiled anew: they are asked of phonenumbers itself.
_HANDFUL: Final = 4  # of a country code
_FEW: Final = 256  # of a country code, not valid in its main country

_N: Final = pl.col("n")
_LENGTH: Final = _N.str.len_bytes()


class Trouble(IntEnum):
    """Why a text is no valid number: the kinds of NumberParseException, and two more."""

    NOT_A_NUMBER = 1  # not a number
    NO_COUNTRY = 2  # neither a plus nor a region
    INVALID_COUNTRY_CODE = 3  # invalid country code
    TOO_SHORT_AFTER_IDD = 4  # too short after an international prefix
    TOO_SHORT = 5  # too short
    TOO_LONG = 6  # too long
    NOT_VALID = 7  # read, and not valid


class Refusal(NamedTuple):
    """A text that surely is no valid number."""

    at: int  # which
    trouble: Trouble
    code: int  # country code of what was read; 0: nothing was
    national: str  # what was read without it; empty: nothing was


@dataclass(frozen=True, slots=True)
class Answers:
    """What is certain of the texts of a column, in any order. The two never hold the same text."""

    home: Plan | None  # of the region that the texts are read in
    valid: list[pl.DataFrame] = field(default_factory=list)  # at, value (E.164), landline
    refused: list[Refusal] = field(default_factory=list)

    def refuse(self, rows: Rows, trouble: Trouble, code: int = 0) -> None:
        """Take in numbers that are none."""
        for at, text in zip(rows.at.to_list(), rows.text.to_list(), strict=True):
            self.refused.append(Refusal(at, trouble, code, text if code else ""))


def answers(texts: Rows, region: str | None) -> Answers:
    """What is certain of texts without nulls. `region` is one of phonenumbers' or None."""
    forms = told_apart(texts)
    home = None if region is None else plan(country_code_for_region(region), region)
    found = Answers(home)
    found.refuse(forms.hopeless, Trouble.NOT_A_NUMBER)
    astray = _with_codes(forms.international, found)
    if region is None:
        found.refuse(astray, Trouble.INVALID_COUNTRY_CODE)
        found.refuse(forms.national, Trouble.NO_COUNTRY)
    elif home is not None:
        # A plus without a country code after it may stand before an international prefix.
        found.refuse(_dialled_abroad(astray, home, found), Trouble.INVALID_COUNTRY_CODE)
        rest = _dialled_abroad(forms.national, home, found)
        _national(_without_plus(rest, home, found), home, found)
    return found


def _with_codes(numbers: Rows, found: Answers) -> Rows:
    """Read numbers that begin with their country code (_extract_country_code); gives those that have none."""
    if not numbers:
        return numbers
    codes = country_codes()[numbers.ask(_N.str.head(3).cast(pl.UInt16))]
    present = codes.unique().to_list()
    for code in present:
        main = plan(code, region_code_for_country_code(code)) if code else None
        if main is not None:
            of_code = numbers.where(codes == code) if len(present) > 1 else numbers
            if len(of_code) <= _HANDFUL:
                continue
            _national(of_code.put(of_code.ask(_N.str.slice(len(str(code))))), main, found)
    return numbers.where(codes == 0)


def _dialled_abroad(numbers: Rows, home: Plan, found: Answers) -> Rows:
    """Read numbers after an international prefix (_parse_prefix_as_idd); gives those that have none."""
    prefix = home.international_prefix
    if prefix is None or not numbers:
        return numbers
    begins = numbers.ask(_N.str.contains(prefix))
    if not begins.any():
        return numbers
    written = numbers.where(begins)
    dialled = written.put(written.ask(_N.str.replace(prefix, "")))
    none = dialled.ask(_N.str.starts_with("0"))  # no country code does
    short = dialled.ask(_LENGTH <= 2)
    found.refuse(dialled.where(short & ~none), Trouble.TOO_SHORT_AFTER_IDD)
    found.refuse(_with_codes(dialled.where(~short & ~none), found), Trouble.INVALID_COUNTRY_CODE)
    return numbers.where(~begins) + written.where(none)


def _without_plus(numbers: Rows, home: Plan, found: Answers) -> Rows:
    """Read numbers that begin with the country code of the region and make more sense without it; gives the others.

    The end of _maybe_extract_country_code.
    """
    code = str(home.code)
    main = plan(home.code, region_code_for_country_code(home.code))
    begins = numbers.ask(_N.str.starts_with(code))
    rest = numbers.where(~begins)
    if not begins.any() or main is None:
        return rest
    after = numbers.where(begins)
    for written, cut in _without_prefix(after.put(after.ask(_N.str.slice(len(code)))), home):
        whole = written.put(written.ask(code + _N))
        better = (~whole.ask(home.viable) & cut.ask(home.viable)) | whole.ask(home.too_long)
        _national(cut.where(better), main, found)
        rest += whole.where(~better)
    return rest


def _without_prefix(numbers: Rows, of: Plan) -> Iterator[tuple[Rows, Rows]]:
    """Numbers as they are, and the same without national prefix (_maybe_strip_national_prefix_carrier_code)."""
    if of.national_prefix is None or not numbers.ask(_N.str.contains(of.national_prefix)).any():
        yield numbers, numbers
        return
    ways = [(numbers, _N.str.replace(of.national_prefix, ""))]
    if of.transforms is not None and of.transformed is not None:
        begins = numbers.ask(_N.str.contains(of.transforms))
        ways = [(numbers.where(~begins), ways[0][1]), (numbers.where(begins), of.transformed)]
    for written, way in ways:
        if written:
            cut = written.put(written.ask(way))
            better = cut.ask(of.viable)
            if not better.all():
                better |= ~written.ask(of.viable)
            yield written, cut.or_else(written, better)


def _national(numbers: Rows, of: Plan, found: Answers) -> None:
    """Read numbers without a country code: the end of `parse`."""
    if numbers:
        for written, cut in _without_prefix(numbers, of):
            _judge(cut if cut is written else cut.or_else(written, cut.ask(of.possible)), of, found)


def _judge(numbers: Rows, of: Plan, found: Answers) -> None:
    """Whether national numbers are valid, and landlines (region_code_for_number, is_valid_number, number_type)."""
    code, sharing = of.code, plans(of.code)
    if sharing is None:
        return
    for rest, asked in _by_region(numbers, sharing):
        regions = asked
        likely = found.home if found.home in asked else of
        if likely in asked and all(region.landline is None for region in asked):
            regions = (likely, *(region for region in asked if region is not likely))  # the same in any order
        for index, region in enumerate(regions):
            if not rest:
                break
            if index and len(rest) <= _FEW:
                rest = _judge_few(rest, code, regions[index:], found)
                break
            valid = rest.ask(region.valid)
            good = rest if valid.all() else rest.where(valid)
            landline = valid ^ valid if region.landline is None else good.ask(region.landline)
            landline = landline.head(len(good)).alias("landline")
            found.valid.append(pl.DataFrame([good.at, good.ask(region.international), landline]))
            rest = rest.where(~valid)
        if rest:
            length = rest.ask(_LENGTH)
            found.refuse(rest.where(length < 2), Trouble.TOO_SHORT)
            found.refuse(rest.where(length > LONGEST), Trouble.TOO_LONG)
            found.refuse(rest.where(length.is_between(2, LONGEST)), Trouble.NOT_VALID, code)


def _judge_few(numbers: Rows, code: int, regions: tuple[Plan, ...], found: Answers) -> Rows:
    """The same by phonenumbers itself: so few are not worth the patterns of further regions. Gives the invalid ones."""
    at, values, landlines = list[int](), list[str](), list[bool]()
    for row, national in zip(numbers.at.to_list(), numbers.text.to_list(), strict=True):
        if any(region.general.fullmatch(national) for region in regions):
            number = number_of(code, national)
            if is_valid_number(number):
                at.append(row)
                values.append(f"+{code}{national}")
                landlines.append(number_type(number) == PhoneNumberType.FIXED_LINE)
    columns = {"at": at, "value": values, "landline": landlines}
    found.valid.append(pl.DataFrame(columns, schema={"at": pl.UInt32, "value": pl.String, "landline": pl.Boolean}))
    return numbers.where(~numbers.at.is_in(at)) if at else numbers


def _by_region(numbers: Rows, sharing: tuple[Plan, ...]) -> Iterator[tuple[Rows, tuple[Plan, ...]]]:
    """Numbers of a country code with the regions that they may be of, in the order in which those are asked.

    A region with leading digits has all numbers that begin with them, valid or not; the others have what is valid.
    """
    leading = [region.leading_digits for region in sharing if region.leading_digits]
    if not leading:
        yield numbers, sharing
        return
    led = numbers.ask(_N.str.contains("|".join(leading)))
    yield numbers.where(~led), tuple(region for region in sharing if not region.leading_digits)
    claimed = numbers.where(led)
    if not claimed:
        return
    heads = claimed.ask(_N.str.head(max(region.leads for region in sharing)))
    owned: dict[int, list[str]] = {}
    for head in heads.unique():
        owned.setdefault(_owner(head, sharing), []).append(head)
    for owner, of_owner in owned.items():
        before = tuple(region for region in sharing[:owner] if not region.leading_digits)
        yield claimed.where(heads.is_in(of_owner)), (*before, sharing[owner])


def _owner(head: str, sharing: tuple[Plan, ...]) -> int:
    """Which region is the first whose leading digits a number has."""
    patterns = enumerate(region.leading_digits for region in sharing)
    return next(index for index, pattern in patterns if pattern and re.match(pattern, head))
