"""The forms in which people write numbers: texts to digits where it is certain which of them phonenumbers would read.

What is said here of a text holds for `_build_national_number_for_parsing`, `_is_viable_phone_number`,
`_maybe_strip_extension` and `_normalize` of phonenumbers: what stands before the first digit or plus is no part of the
number, nor what follows the last letter or digit, and an extension is told by its label.
"""

import re
from dataclasses import dataclass
from typing import Final

import polars as pl

_N: Final = pl.col("n")

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

_THREE_DIGITS: Final = "(?:[0-9][^0-9]*){3}"
_THREE_LETTERS: Final = r"(?:[A-Za-z][^A-Za-z]*){3}"
_KEYS: Final = dict(
    zip("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", 2 * "22233344455566677778889999", strict=True)
)

_NO_DIGITS: Final = bytes(code for code in range(128) if not chr(code).isdigit())

#: What stands between texts in ASCII that are put together for a while: no part of any.
_BETWEEN_TEXTS: Final = "\u00b7"

_IS_PLAIN: Final = _N.str.contains(_PLAIN) & (_N.str.len_bytes() <= _LONGEST)
_HAS_PLUS: Final = _N.str.contains("+", literal=True)

# Characters beyond ASCII that are to phonenumbers as one of ASCII is: what may stand between digits...
_LIKE_A_HYPHEN = re.compile("[\u00a0\u00ad\u200b\u2010-\u2015\u2060\u2212\u3000\uff08\uff09\uff0d-\uff0f\uff3b\uff3d]")
# ...and what may begin an extension.
_MAY_EXTEND: Final = "\uff03\uff5e\u301c\u223c\u2053\u0301"


@dataclass(frozen=True, slots=True)
class Rows:
    """Some texts of a column. Series are filtered, not frames: of a frame it costs fifty times more."""

    at: pl.Series  # u32: which rows of the column
    text: pl.Series

    @classmethod
    def of(cls, texts: pl.Series) -> "Rows":
        """All of a column but nulls."""
        at = pl.int_range(len(texts), dtype=pl.UInt32, eager=True).alias("at")
        rows = cls(at, texts)
        return rows.where(texts.is_not_null()) if texts.null_count() else rows

    def __len__(self) -> int:
        return len(self.at)

    def __add__(self, other: "Rows") -> "Rows":
        return Rows(pl.concat([self.at, other.at]), pl.concat([self.text, other.text])) if other else self

    def where(self, mask: pl.Series) -> "Rows":
        """Those where it is true."""
        return Rows(self.at.filter(mask), self.text.filter(mask))

    def put(self, text: pl.Series) -> "Rows":
        """Other texts in their place."""
        return Rows(self.at, text)

    def or_else(self, others: "Rows", mask: pl.Series) -> "Rows":
        """Those where it is true, and the others, of the same rows, where it is not."""
        return self if mask.all() else Rows(self.at, self.text.zip_with(mask, others.text))

    def ask(self, expression: pl.Expr) -> pl.Series:
        """The value of an expression of column "n", which is the text, per row."""
        return self.text.to_frame("n").select(expression).to_series()


@dataclass(frozen=True, slots=True)
class Forms:
    """Texts taken apart by what phonenumbers does with them first; of what is in none of the three it is uncertain."""

    international: Rows  # after a plus: all digits that count, in ASCII
    national: Rows  # without a plus: the same
    hopeless: Rows  # not even a number to try


def told_apart(texts: Rows) -> Forms:
    """The forms of texts without nulls."""
    plain = texts.ask(_IS_PLAIN)
    known = texts if plain.all() else texts.where(plain)
    plus = known.ask(_HAS_PLUS)
    numbers = known.put(_digits(known.text))
    forms = Forms(numbers.where(plus), numbers.where(~plus), numbers.where(plus & ~plus))
    return forms if plain.all() else _others(texts.where(~plain), forms)


def _digits(texts: pl.Series) -> pl.Series:
    """The digits of texts in ASCII that have some. All texts at once cost a third of one after the other."""
    if not len(texts):
        return texts
    whole = texts.str.join(_BETWEEN_TEXTS).cast(pl.Binary).item().translate(None, _NO_DIGITS)
    return pl.Series("n", [whole], dtype=pl.Binary).cast(pl.String).str.split(_BETWEEN_TEXTS).explode()


def _others(texts: Rows, forms: Forms) -> Forms:
    """Add what is certain of texts in other than the usual forms."""
    certain = texts.where(
        texts.ask(
            (_N.str.len_bytes() <= _LONGEST)
            & (_N.str.len_bytes() == _N.str.len_chars())  # ASCII
            & _N.str.contains(_THREE_DIGITS)
            & ~_N.str.contains(_EXTENDED)
        )
    )
    if not certain:
        return forms
    extracted = certain.ask(_N.str.extract(_VIABLE))
    viable = extracted.is_not_null()
    numbers = certain.put(extracted).where(viable)
    plus = numbers.ask(_N.str.starts_with("+"))
    spelt = pl.when(_N.str.contains(_THREE_LETTERS)).then(_N.str.replace_many(_KEYS)).otherwise(_N)
    numbers = numbers.put(numbers.ask(spelt.str.replace_all("[^0-9]", "")))
    return Forms(
        forms.international + numbers.where(plus), forms.national + numbers.where(~plus), certain.where(~viable)
    )


def in_ascii(texts: Rows) -> Rows:
    """The same texts with what is beyond ASCII replaced by what is the same to phonenumbers, as far as there is.

    Left out are those with three letters, for where letters are keys digits beyond ASCII are skipped. The texts say
    nothing of why one is no number: some of what is replaced is damage.
    """
    texts = texts.where(~texts.ask(_N.str.contains(_THREE_LETTERS)))
    found = set("".join(texts.text.to_list())) - set(map(chr, range(128)))
    same = {character: like for character in found if (like := _like(character))}
    return texts.put(texts.ask(_N.str.replace_many(same))) if same else texts


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
