"""The country of a list, told from its national phone numbers: the one in which most of them are valid."""

from collections import Counter
from collections.abc import Sequence
from itertools import zip_longest
from typing import Final

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumber, PhoneNumberFormat, PhoneNumberType

#: So many numbers are tried in every country, and so many more in those that are left.
_FEW: Final = 20
_MANY: Final = 100

#: Countries whose share of valid numbers is so near to the best are as likely.
_NEAR: Final = 0.05

#: Fewer valid numbers tell no country.
_LEAST: Final = 0.5

#: Where a language is spoken, first where most lists in it come from.
_SPOKEN: Final = {
    "en": ("US", "GB", "AU", "IE", "NZ", "ZA", "IN"),
    "de": ("DE", "AT", "CH"),
    "fr": ("FR", "BE", "CH"),
    "es": ("ES", "MX", "AR", "CO", "CL", "PE"),
    "it": ("IT", "CH"),
    "pt": ("BR", "PT"),
    "nl": ("NL", "BE"),
    "pl": ("PL",),
}


def region_of(
    numbers: Sequence[str], *, mobile: bool, domains: Sequence[str], languages: Sequence[str]
) -> tuple[str | None, tuple[str, ...]]:
    """The region (ISO 3166) of numbers without a country code, and others that are nearly as likely.

    Between countries in which the numbers are as valid, it is told by how they are written, by numbers that have a
    country code, by the `domains` of mail addresses (their last labels), and in the end by the `languages` of the
    names of columns. `mobile`: landlines count as not valid. None: no number lacks its country code, or they are
    valid nowhere.
    """
    national = [number for number in numbers if _read(number, None) is None]
    if not national:
        return None, ()
    shares = {
        regions[0]: _share(national[:_FEW], regions[0], mobile=mobile)
        for regions in phonenumbers.COUNTRY_CODE_TO_REGION_CODE.values()
        if regions[0] != phonenumbers.REGION_CODE_FOR_NON_GEO_ENTITY
    }
    best = max(shares.values())
    if best < _LEAST:
        return None, ()
    many = national[:_MANY]
    shares = {region: _share(many, region, mobile=mobile) for region in shares if shares[region] >= best - 2 * _NEAR}
    abroad = Counter(_region(number, None) for number in numbers)
    at_home = Counter({"UK": "GB"}.get(label.upper(), label.upper()) for label in domains)
    usual = _usual(languages)

    def likely(region: str) -> tuple[float, int, float]:
        written = sum(_is_written_so(number, region) for number in many) / len(many)
        telling = abroad[region] / len(numbers) + at_home[region] / max(1, len(domains))
        return round(written + telling, 1), -usual.get(region, len(usual)), shares[region]

    near = sorted((region for region in shares if shares[region] >= max(shares.values()) - _NEAR), key=likely)
    chosen = near.pop()
    # Several countries may share a country code, and its numbers say which of them they are of.
    members = Counter(region for number in many if (region := _region(number, chosen)))
    return members.most_common(1)[0][0], tuple(reversed(near[-3:]))


def _usual(languages: Sequence[str]) -> dict[str, int]:
    """Countries in the order in which they are believed: those of the languages first, then those of all others."""
    tongues = [*(tongue for tongue in languages if tongue in _SPOKEN), *_SPOKEN]
    own = [region for tongue in tongues[:1] for region in _SPOKEN[tongue]]
    others = [region for row in zip_longest(*(_SPOKEN[tongue] for tongue in tongues)) for region in row if region]
    return {region: order for order, region in enumerate(dict.fromkeys([*own, *others]))}


def _share(numbers: Sequence[str], region: str, *, mobile: bool) -> float:
    """How many of these are valid there, from 0 to 1."""
    read = [_read(number, region) for number in numbers]
    landline = PhoneNumberType.FIXED_LINE
    good = [number for number in read if number and not (mobile and phonenumbers.number_type(number) == landline)]
    return len(good) / len(numbers)


def _region(number: str, region: str | None) -> str | None:
    """The region that a valid number is of."""
    read = _read(number, region)
    return phonenumbers.region_code_for_number(read) if read else None


def _is_written_so(number: str, region: str) -> bool:
    """Whether a number is written with the spaces and signs that are usual in a country, some at least."""
    read = None if number.isdigit() else _read(number, region)
    return read is not None and phonenumbers.format_number(read, PhoneNumberFormat.NATIONAL) == number


def _read(number: str, region: str | None) -> PhoneNumber | None:
    try:
        read = phonenumbers.parse(number, region)
    except NumberParseException:
        return None
    return read if phonenumbers.is_valid_number(read) else None
