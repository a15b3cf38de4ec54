"""The forms in which people write numbers: texts to digits where it is certain which of them phonenumbers would read.

What is said here of a text holds for `_build_national_number_for_parsing`, `_is_viable_phone_number`,
`_maybe_strip_extension` and `_normalize` of phonenumbers: what stands before the first digit or plus is no part of the
number, nor what follows the last letter or digit, and an extension is told by its label.
"""

import re
from dataclasses import dataclass
from typing import Final

import polars as pl

#: phonenumbers refuses longer texts unread.
_LONGEST: Final = 250

#: What may stand between the digits of a number.
_BETWEEN: Final = r"-. ()\[\]/*"

#: What is skipped at the end: ASCII but letters and digits and #, which may end an extension.
_SKIPPED: Final = r"[\x00-\x7F&&[^0-9A-Za-z#]]"

#: Digits with the usual between them. After them no plus, and before them no semicolon, which begins parameters.
_PLAIN: Final = (
    rf"^[\x00-\x7F&&[^0-9+;]]*\+*(?:[{_BETWEEN}]*[0-9]){{3,}}[\x00-\x7F&&[^0-9A-Za-z#+]]*$"
)  # fmt: skip

# The rest is for ASCII texts alone that have at least three digits.

#: More than is ever read as an extension, or as a parameter.
_EXTENDED: Final = (
    r"(?i)(?:x(?:t(?:ensio?)?n?)?|int|anexo|[#~,;=])[:.]?[ \t,-]*[0-9]{1,20}#?" + _SKIPPED + "*$"
    "|#" + _SKIPPED + r"*$|[\\/] *x|;phone-context=|;isub="
)  # fmt: skip

#: Whatever phonenumbers takes for a number to try. It reads letters as the keys of a telephone where there are three.
_VIABLE: Final = rf"^[^0-9+]*(\+*(?:[{_BETWEEN}~xX]*[0-9]){{3,}}[{_BETWEEN}~A-Za-z0-9]*){_SKIPPED}*$"

_THREE_LETTERS: Final = r"(?:[A-Za-z][^A-Za-z]*){3}"
_KEYS: Final = {
    letter: key
    for key, letters in enumerate(("ABC", "DEF", "GHI", "JKL", "MNO", "PQRS", "TUV", "WXYZ"), start=2)
    for upper in letters
    for letter, key in ((upper, str(key)), (upper.lower(), str(key)))
}

_NO_DIGITS: Final = [chr(code) for code in range(128) if not chr(code).isdigit()]

# Characters beyond ASCII that are to phonenumbers as one of ASCII is: what may stand between digits...
_LIKE_A_HYPHEN = re.compile("[\u00a0\u00ad\u200b\u2010-\u2015\u2060\u2212\u3000\uff08\uff09\uff0d-\uff0f\uff3b\uff3d]")
# ...and what may begin an extension.
_MAY_EXTEND: Final = "\uff03\uff5e\u301c\u223c\u2053\u0301"


@dataclass(frozen=True, slots=True)
class Forms:
    """A column of texts, taken apart by what phonenumbers does with them first. What is in neither is not certain."""

    numbers: pl.DataFrame  # at, digits (all that count, in ASCII), plus (whether a plus stands before them)
    hopeless: pl.DataFrame  # at: of those that it does not even take for a number to try


def told_apart(texts: pl.DataFrame) -> Forms:
    """The forms of texts without nulls: columns at, text."""
    text = pl.col("text")
    short = text.str.len_bytes() <= _LONGEST
    is_plain = texts.select(text.str.contains(_PLAIN) & short).to_series()
    plain, rest = texts.filter(is_plain), texts.filter(~is_plain)
    numbers = [plain.select("at", digits=text.str.replace_many(_NO_DIGITS, [""]), plus=text.str.contains("+", literal=True))]
    hopeless = rest.select("at").clear()
    if rest.height:
        certain = rest.filter(
            short
            & text.str.contains(r"^[\x00-\x7F]*$")
            & text.str.contains(r"(?:[0-9][^0-9]*){3}")
            & ~text.str.contains(_EXTENDED)
        ).with_columns(number=text.str.extract(_VIABLE))
        hopeless = certain.filter(pl.col("number").is_null()).select("at")
        number = pl.col("number")
        spelt = number.str.replace_many(_KEYS)
        dialled = pl.when(number.str.contains(_THREE_LETTERS)).then(spelt).otherwise(number)
        numbers.append(
            certain.filter(number.is_not_null()).select(
                "at", digits=dialled.str.replace_all("[^0-9]", ""), plus=number.str.starts_with("+")
            )
        )
    return Forms(pl.concat(numbers), hopeless)


def in_ascii(texts: pl.Series) -> pl.Series:
    """The same texts with what is beyond ASCII replaced by what is the same to phonenumbers, as far as there is.

    It says nothing of why a text is no number: some of what is replaced is damage.
    """
    found = set("".join(texts)) - set(map(chr, range(128)))
    same = {character: _like(character) for character in found}
    return texts.str.replace_many({character: like for character, like in same.items() if like})


def _like(character: str) -> str | None:
    if character.isdecimal():
        return str(int(character))
    if character == "\uff0b":
        return "+"
    if _LIKE_A_HYPHEN.match(character):
        return "-"
    if character.isalnum() or character in _MAY_EXTEND:
        return None
    return "!"  # of no meaning: skipped before and after a number, and nothing between digits
