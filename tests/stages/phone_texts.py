"""Texts that stand where phone numbers should, and whether columns of them are read as each is alone."""

from collections.abc import Iterator, Sequence
from functools import cache
from random import Random
from typing import Final
from unittest.mock import patch

import phonenumbers
import polars as pl
from phonenumbers import COUNTRY_CODES_FOR_NON_GEO_REGIONS, SUPPORTED_REGIONS, PhoneNumber, PhoneNumberType

from pipeline.stages.destinations import phone_columns
from pipeline.stages.destinations.authorities import Authorities
from pipeline.stages.destinations.phone import read_phone

REGIONS: Final = (*sorted(SUPPORTED_REGIONS), *[None] * 12)
ALPHABET: Final = "0123456789" * 3 + "++ -./()[]*#~,;:xX\t\n\0aEé０９٣＋－\u00a0\u200b\u202a\u2013|&<="

_DIGITS: Final = "0123456789"
_BETWEEN: Final = (
    "",
    " ",
    "-",
    ".",
    "/",
    "  ",
    " - ",
    "\u00a0",
    "\u2011",
    "\u200b",
    "\u202f",
    "_",
    "·",
    "*",
    "~",
    "\t",
)
_BEFORE: Final = (
    *(
        "00",
        "011",
        "0",
        "+",
        "++",
        "+ ",
        "1",
        "Tel: ",
        "tel:",
        "tél. ",
        "(",
        "'",
        "+0",
        "8",
        "15",
        "0011",
        "810",
        "int ",
    ),
    *("00 ", "0000", "\u202a", "＋", "+00", "(+", "x", "fax ", ";", "=", "<b>", "#", "$", "\ufeff", "err:", "mobile "),
)
_AFTER: Final = (
    *(
        " ext 12",
        "x",
        "x12",
        "#",
        " mobile",
        ".",
        ".0",
        ",00",
        " +",
        "/",
        "; ",
        ",",
        ";ext=5",
        "  12#",
        " (home)",
        "x 9/x8",
    ),
    *(
        " extension 7",
        ",,5",
        ";7",
        "~3",
        "\u202c",
        "E+11",
        "e9",
        " доб 4",
        "anexo 1",
        "int 5",
        "!",
        "_",
        "é",
        ";isub=1",
    ),
    *(";phone-context=+44", "&nbsp;", " a", " ab", " call", "\0", "²", "\n"),
)
_AND: Final = ("/", " / ", ";", "; ", ",", ", ", " or ", " oder ", "|", "\n", "  ", " - ", " & ", " +", "", " ", " y ")
_WORDS: Final = (
    "",
    "-",
    "N/A",
    "none",
    "000",
    "xx",
    "0",
    "+",
    "12",
    "1 2",
    "3",
    "John",
    "4.47911E+11",
    "1e5",
    "#REF!",
    "５",
)
_OTHER_DIGITS: Final = ("０１２３４５６７８９", "٠١٢٣٤٥٦٧٨٩", "۰۱۲۳۴۵۶۷۸۹", "०१२३४५६७८९")


@cache
def examples() -> tuple[PhoneNumber, ...]:
    """An example of every type of number that each region and each country code without regions has."""
    found = [
        phonenumbers.example_number_for_type(region, kind)
        for region in sorted(SUPPORTED_REGIONS)
        for kind in PhoneNumberType.values()
    ]
    found += [
        phonenumbers.example_number_for_non_geo_entity(code) for code in sorted(COUNTRY_CODES_FOR_NON_GEO_REGIONS)
    ]
    return tuple(number for number in found if number is not None)


@cache
def examples_of(region: str) -> tuple[PhoneNumber, ...]:
    """Those of one region."""
    code = phonenumbers.country_code_for_region(region)
    return tuple(number for number in examples() if number.country_code == code)


def forms(number: PhoneNumber) -> Iterator[str]:
    """A number in every form in which phonenumbers writes it, and in a few in which people do."""
    for form in range(4):  # E.164, international, national, RFC 3966
        yield phonenumbers.format_number(number, form)
    plain = phonenumbers.national_significant_number(number)
    yield plain
    yield f"{number.country_code}{plain}"
    yield f"00{number.country_code} {plain}"
    yield f"+{number.country_code} (0) {plain}"
    yield "0" + plain


def generated(random: Random, size: int = 250) -> Iterator[tuple[str | None, list[str]]]:
    """For ever: a region, and so many texts that may stand in a list of it."""
    while True:
        region = random.choice(REGIONS)
        yield region, [_text(random, region) for _ in range(size)]


def _text(random: Random, region: str | None) -> str:
    if random.random() < 0.03:
        return random.choice(_WORDS)
    abroad = region is None or random.random() < 0.3
    text = _written(random, random.choice(examples() if abroad or region is None else examples_of(region)))
    if random.random() < 0.05:
        text += random.choice(_AND) + _written(random, random.choice(examples()))
    for _ in range(random.choice((0, 0, 1, 1, 1, 2, 3))):
        text = _spoilt(random, text)
    return text


def _written(random: Random, number: PhoneNumber) -> str:
    if random.random() < 0.5:  # of the example's kind, or nearly
        digits = list(phonenumbers.national_significant_number(number))
        for at in range(random.randrange(len(digits)), len(digits)):
            digits[at] = random.choice(_DIGITS)
        zeros = len(digits) - len("".join(digits).lstrip("0"))
        number = PhoneNumber(number.country_code, int("".join(digits)), italian_leading_zero=zeros > 0)
        number.number_of_leading_zeros = zeros
    return random.choice(tuple(forms(number)))


def _spoilt(random: Random, text: str) -> str:
    at = random.randrange(len(text) + 1)
    match random.randrange(14):
        case 0:
            return text[:at] + text[at + 1 :]
        case 1:
            return text[:at] + random.choice(_DIGITS) + text[at:]
        case 2:
            return text[:at] + random.choice(_DIGITS) + text[at + 1 :]
        case 3:
            return text[:at] + random.choice(ALPHABET) + text[at:]
        case 4:
            return random.choice(_BEFORE) + text
        case 5:
            return text + random.choice(_AFTER)
        case 6:
            return text.lstrip("+0")
        case 7:
            return text.replace(" ", random.choice(_BETWEEN))
        case 8:
            return text[:at]
        case 9:
            return text + random.choice(_AND) + text
        case 10:
            return "".join(character for character in text if character.isdigit())
        case 11:
            return text.translate(str.maketrans(_DIGITS, random.choice(_OTHER_DIGITS)))
        case 12:
            return text[:at] + random.choice(_BETWEEN) + text[at:]
    return text[:at] + random.choice(("O", "l", "CALL", "abc", "x", "FLOWERS")) + text[at:]


def disagreements(texts: Sequence[str | None], region: str | None, *, all_by_column: bool = True) -> list[str]:
    """How columns and `read_phone` differ. `all_by_column`: few rows of a kind are treated as many are."""
    authorities = Authorities()
    few = (0, 0) if all_by_column else (phone_columns._HANDFUL, phone_columns._FEW)
    with patch.multiple(phone_columns, _HANDFUL=few[0], _FEW=few[1]):
        told = authorities.phones(pl.Series(texts, dtype=pl.String), region)
    # A kind whose example the authority takes is left to it, which mends what it is a mistake to refuse: none may be.
    faults = authorities._phone_columns[region]._faults
    found = [f"{kind} in {region}: refused in a column, taken alone" for kind, fault in faults.items() if not fault]
    for text, row in zip(texts, told.iter_rows(), strict=True):
        phone = None if text is None else read_phone(text, region)
        expected = phone and (phone.number, phone.fault, phone.landline, phone.remark)
        if row != (expected or (None, None, None, None)):
            found.append(f"{text!r} in {region}: {row} in a column, {expected} alone")
    return found
