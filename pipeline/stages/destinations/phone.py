"""Phone numbers: a text to E.164 or to the reason why not; phonenumbers is the authority."""

import re
from functools import cache
from typing import Final, NamedTuple

import phonenumbers
from phonenumbers import NumberParseException, PhoneMetadata, PhoneNumber, PhoneNumberType, ValidationResult

from pipeline.stages.destinations.damage import damage

#: What spreadsheets make of numbers, and its name. phonenumbers reads the digits that are left, in some countries as a
#: valid number.
CUTS: Final = (
    (r"[+-]?[0-9]+(?:[.,][0-9]*)?[eE][+-]?[0-9]+", "a spreadsheet has cut it to scientific notation"),
    (r"\+?[0-9]{7,}[.,]0+", "a spreadsheet or a program has made it a decimal number"),
)
#: What such a number is sent with, if it is valid: the authority is never overruled.
DOUBT: Final = "the number may be another than was meant: "

_CUTS = tuple((re.compile(pattern), words) for pattern, words in CUTS)

# What stands between numbers where a cell has more than one that is too long to be one...
_SEPARATOR = re.compile(r"[/;,|\n]|\b(?:or|ou|oder|and)\b", re.IGNORECASE)
# ...and where each part has to have the digits of a number. A plus begins another number too.
_PARTED = re.compile(
    r"[/\\;,|&\t\n\r]|\s{2,}|\s[-\u2013\u2014]\s|\b(?:or|ou|oder|o|u|and|und|et|e|y)\b|(?<=[0-9)])\s*(?=\+)",
    re.IGNORECASE,
)
_FEWEST_OF_PART: Final = 6

#: A text with fewer digits is no number at all to phonenumbers, whatever else is in it.
_FEWEST_DIGITS: Final = 3
#: A number with its country code has hardly ever fewer.
_FEWEST_WITH_CODE: Final = 10
_FIRST_OF_CODES: Final = frozenset("123456789")

_PLUS: Final = ("+", "\uff0b")  # the second is the full-width sign of East Asian keyboards

#: Codes that people write where the ISO 3166 code is another one.
_OFTEN_MEANT: Final = {"UK": "GB", "EN": "GB", "GBR": "GB", "USA": "US", "CAN": "CA", "AUS": "AU", "FRA": "FR"}


class Phone(NamedTuple):
    """What a text is as a phone number. Exactly one of `number` and `fault` is None."""

    number: str | None  # E.164
    fault: str | None  # why it is not one, in words without any of its digits
    landline: bool = False  # surely a fixed line; in some countries, as in CA and US, nobody can tell
    remark: str | None = None  # what to know of a valid one


def read_phone(text: str, region: str | None) -> Phone:
    """Read one number; `region` (ISO 3166, upper case) tells the country of a number without a country code."""
    done = cut(text)
    try:
        number = phonenumbers.parse(text, region)
    except NumberParseException as error:
        return _refused(_damage(text, done) or _unreadable(text, region, error))
    if not phonenumbers.is_valid_number(number):
        return _refused(_damage(text, done) or _not_valid(text, region, number))
    remark = DOUBT + done if done else None
    if number.extension:
        several = are_several(text)  # a semicolon begins an extension too
        remark = "more than one number: only the first is taken" if several else "the number's extension is left out"
    return Phone(
        phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164),
        None,
        landline=phonenumbers.number_type(number) == PhoneNumberType.FIXED_LINE,
        remark=remark,
    )


def check_region(region: str | None) -> str | None:
    """What is wrong with `contacts.region`, one line; None: nothing is."""
    if region is None or region.upper() in phonenumbers.SUPPORTED_REGIONS:
        return None
    meant = _OFTEN_MEANT.get(region.upper())
    advice = f"did you mean {meant}?" if meant else "it is a code of two letters such as CA, GB or FR"
    return f"contacts.region: {region!r} is no region with phone numbers; {advice}"


def cut(text: str) -> str | None:
    """What a spreadsheet or a program has done to a number, if that shows."""
    return next((words for pattern, words in _CUTS if pattern.fullmatch(text)), None)


def _damage(text: str, done: str | None) -> str | None:
    """What has happened to a text that is refused, if that shows."""
    if done:
        return f": {done}"
    if are_several(text):
        return ": more than one number"
    if happened := damage(text):
        return f": {happened}"
    return None


def are_several(text: str) -> bool:
    """Whether a refused text has parts that may be numbers by themselves, each of them."""
    parts = [part for part in _PARTED.split(text) if part.strip()]
    return len(parts) > 1 and all(sum(map(str.isdecimal, part)) >= _FEWEST_OF_PART for part in parts)


def _refused(why: str) -> Phone:
    return Phone(None, "not a valid number" + why)


def _unreadable(text: str, region: str | None, error: NumberParseException) -> str:
    kind = error.error_type
    digits = sum(character.isdigit() for character in text)
    if not digits:
        return ": has no digits"
    if kind == NumberParseException.INVALID_COUNTRY_CODE:
        # The same error stands for a country code that does not exist and for none at all.
        if region is None and not any(plus in text for plus in _PLUS):
            return ": no country code and contacts.region is not set" + _without_plus(text, region)
        return ": no country has its country code"
    if kind == NumberParseException.TOO_LONG:
        return ": more than one number" if has_separator(text) else ": too long"
    if _has_letters(text):
        return ": has letters"
    if kind == NumberParseException.TOO_SHORT_AFTER_IDD:
        return ": too short after the international prefix"
    if kind == NumberParseException.TOO_SHORT_NSN or digits < _FEWEST_DIGITS:
        return ": too short"
    return ": has a character that no number has"


def _not_valid(text: str, region: str | None, number: PhoneNumber) -> str:
    where = _country(region, number.country_code or 0)
    reason = phonenumbers.is_possible_number_with_reason(number)
    if reason == ValidationResult.TOO_LONG and has_separator(text):
        return ": more than one number"
    if _has_letters(text) and not number.extension:
        return ": has letters"
    if lacks_zero(number.country_code or 0, phonenumbers.national_significant_number(number)):
        return ": its leading zero is missing"
    return _shape(where, reason) + _without_plus(text, region)


def _shape(where: str, reason: int) -> str:
    if reason == ValidationResult.TOO_SHORT:
        return f": too short for a number of region {where}"
    if reason == ValidationResult.TOO_LONG:
        return f": too long for a number of region {where}"
    if reason == ValidationResult.IS_POSSIBLE_LOCAL_ONLY:
        return ": the area code is missing"
    if reason == ValidationResult.INVALID_LENGTH:
        return f": wrong length for a number of region {where}"
    return f" for its country ({where})"


def has_separator(text: str) -> bool:
    """Whether a text that is too long for one number has what stands between two."""
    return bool(_SEPARATOR.search(text))


def lacks_zero(code: int, national: str) -> bool:
    """Whether a refused number is valid with a zero in front.

    In some countries, as in Italy, a zero at the beginning is a part of the number, and spreadsheets drop it.
    """
    return _is_one(code, "0" + national)


def code_without_plus(text: str) -> int:
    """The country code with which a refused number begins, if all it lacks is the plus before it; else 0.

    It is digits alone, as spreadsheets leave it, or the code stands apart. Of other numbers, too long by a digit say,
    many would pass by chance.
    """
    if text[:1] not in _FIRST_OF_CODES:
        return 0
    for size in (1, 2, 3):
        code = text[:size]
        if not code.isdecimal():
            return 0
        if int(code) in phonenumbers.COUNTRY_CODE_TO_REGION_CODE:
            digits = text if text.isdecimal() else "".join(filter(str.isdecimal, text))
            apart = text.isdecimal() or not text[size].isdecimal()
            return int(code) if apart and len(digits) >= _FEWEST_WITH_CODE and _is_one(int(code), digits[size:]) else 0
    return 0


def _is_one(code: int, national: str) -> bool:
    """Whether these are the digits of a valid number, without any prefix, by the rules of the code's main country."""
    if not _general(code).fullmatch(national):
        return False  # most are not, and this is the quick way to know
    return phonenumbers.is_valid_number(number_of(code, national))


def number_of(code: int, national: str) -> PhoneNumber:
    """The number with these digits."""
    zeros = len(national) - len(national.lstrip("0"))
    return PhoneNumber(code, int(national), italian_leading_zero=zeros > 0, number_of_leading_zeros=zeros)


@cache
def _general(code: int) -> re.Pattern[str]:
    """What any national number of a country code matches."""
    main = phonenumbers.region_code_for_country_code(code)
    metadata = PhoneMetadata.metadata_for_region_or_calling_code(code, main)
    return re.compile((metadata and metadata.general_desc and metadata.general_desc.national_number_pattern) or r"(?!)")


def _without_plus(text: str, region: str | None) -> str:
    code = code_without_plus(text)
    return f"; with a plus in front it would be one of region {_country(region, code)}" if code else ""


def _country(region: str | None, code: int) -> str:
    """The country (ISO 3166) of a country code, which may be shared: +1 is Canada to a Canadian list."""
    if region is not None and phonenumbers.country_code_for_region(region) == code:
        return region
    return phonenumbers.region_code_for_country_code(code)


def _has_letters(text: str) -> bool:
    return any(character.isalpha() for character in text)
