"""Columns of texts to verdicts on phones: what is valid by the column, and of what is not, one of each kind.

What is wrong with a text is for `read_phone` to say, in whose words it is a question of the number's kind, not of its
digits: its country, its length, whether there are letters. So one text of a kind is read, and its fault is that of all of
the kind. Even bad lists have but a few hundred kinds.
"""

from typing import Final

import polars as pl

from pipeline.stages.destinations.phone import BEFORE_PLUS, CUTS, DOUBT, PARTED, SEPARATOR, read_phone
from pipeline.stages.destinations.phone_columns import Trouble, answers, international
from pipeline.stages.destinations.phone_forms import in_ascii

_ASCII: Final = r"^[\x00-\x7F]*$"
_TEXT: Final = pl.col("text")
_IS_VALID: Final = pl.col("number").is_not_null()

# What may be damage (damage.py) is left to the authority: signs of HTML and of formulas, controls, and what has nothing
# but zeros, crosses and punctuation in it.
_DAMAGED: Final = r"(?i)[<&=#\x00-\x08\x0E-\x1F\x7F]|err:"
_MEANT: Final = r"[1-9A-WYZa-wyz]"

#: Stands between the parts of a text; a control, so it is in none of those.
_BORDER: Final = "\x1f"

#: What the fault of an invalid number depends on, all of it.
_KIND: Final = ("trouble", "code", "length", "letters", "separated", "plus", "cut", "zero", "other", "several")


class PhoneColumns:
    """Verdicts on columns of numbers of one region; remembers the fault of each kind that came up."""

    def __init__(self, region: str | None) -> None:
        """`region` is upper case, and one of those that phonenumbers knows."""
        self._region = region
        self._faults: dict[tuple[object, ...], str] = {}

    def read(self, texts: pl.Series) -> pl.DataFrame:
        """The verdicts that are certain: columns at (position in `texts`), value, fault, landline, remark, in any order.

        Nulls have none. For other texts that are missing the authority is to be asked.
        """
        given = pl.DataFrame({"text": texts}, schema={"text": pl.String}).with_row_index("at").drop_nulls()
        plain = given.select(_TEXT.str.contains(_ASCII)).to_series()
        if plain.all():
            return self._verdicts(given)
        strange = given.filter(~plain)
        same = strange.with_columns(in_ascii(strange["text"]).alias("text"))
        # Only what is valid: the reason why the rest is not may be what has just been replaced.
        valid = _valid(answers(same, self._region), same)
        return pl.concat([self._verdicts(given.filter(plain)), valid])

    def _verdicts(self, texts: pl.DataFrame) -> pl.DataFrame:
        read = answers(texts, self._region)
        refused = read.filter(~_IS_VALID)
        if not refused.height:
            return _valid(read, texts)
        return pl.concat([_valid(read, texts), self._refused(refused.join(texts, on="at"))])

    def _refused(self, refused: pl.DataFrame) -> pl.DataFrame:
        kinds = self._kinds(refused)
        of_each = kinds.group_by(_KIND).agg(_TEXT.first())
        faults = []
        for text, *kind in of_each.select("text", *_KIND).iter_rows():
            fault = self._faults.get(tuple(kind)) or read_phone(text, self._region).fault
            assert fault, "phonenumbers takes what its own metadata refuse"
            faults.append(self._faults.setdefault(tuple(kind), fault))
        of_each = of_each.select(_KIND).with_columns(pl.Series("fault", faults, pl.String))
        return kinds.join(of_each, on=_KIND, nulls_equal=True).select(
            "at",
            pl.lit(None, pl.String).alias("value"),
            "fault",
            pl.lit(value=False).alias("landline"),
            pl.lit(None, pl.String).alias("remark"),
        )

    def _kinds(self, refused: pl.DataFrame) -> pl.DataFrame:
        """Refused texts with what their fault depends on; those of which that is not certain are left out."""
        refused = refused.filter(_TEXT.str.contains(_MEANT) & ~_TEXT.str.contains(_DAMAGED))
        was_read = pl.col("trouble") == Trouble.NOT_VALID.value
        kinds = refused.with_columns(
            length=pl.when(was_read).then(pl.col("national").str.len_bytes()),
            letters=_TEXT.str.contains("[A-Za-z]"),
            separated=_TEXT.str.contains(SEPARATOR),
            plus=_TEXT.str.contains("+", literal=True),
            cut=_cut(),
            digits=_TEXT.str.replace_all("[^0-9]", ""),
        )
        # Would it be valid with a zero, or with a plus?
        zero = kinds.filter(was_read).select("at", digits=pl.format("{}0{}", "code", "national"))
        plus = kinds.filter((was_read | (pl.col("trouble") == Trouble.NO_COUNTRY.value)) & ~pl.col("plus"))
        for name, asked in (("zero", zero), ("other", plus.select("at", "digits"))):
            read = international(asked).select("at", pl.when(_IS_VALID).then(pl.col("code")).otherwise(0).alias(name))
            uncertain = asked.join(read, on="at", how="anti")
            kinds = kinds.join(uncertain, on="at", how="anti").join(read, on="at", how="left")
        kinds = kinds.join(self._parts(kinds), on="at", how="left")
        return kinds.filter(pl.col("certain").fill_null(value=True))

    def _parts(self, texts: pl.DataFrame) -> pl.DataFrame:
        """Of texts that have parts (column at): whether each is a number (several), and whether that is certain."""
        split = _TEXT.str.replace_all(BEFORE_PLUS, "${1}|+").str.replace_all(PARTED, _BORDER).str.split(_BORDER)
        parted = texts.select("at", text=split).filter(_TEXT.list.len() > 1).explode("text")
        parted = parted.filter(_TEXT.str.strip_chars() != "").with_row_index("part")
        read = answers(parted.select(pl.col("part").alias("at"), "text"), self._region).select("at", valid=_IS_VALID)
        valid = pl.when(_TEXT.str.contains("[0-9]")).then(pl.col("valid")).otherwise(pl.lit(value=False))
        each = parted.join(read, left_on="part", right_on="at", how="left").with_columns(valid=valid).group_by("at")
        # all() of null and true is true, of null and false is false
        several = (pl.len() > 1) & pl.col("valid").all()
        return each.agg(several=several, certain=~several | pl.col("valid").is_not_null().all())


def _valid(read: pl.DataFrame, texts: pl.DataFrame) -> pl.DataFrame:
    """Verdicts on those that are valid."""
    valid = read.filter(_IS_VALID)
    cut = texts.filter(_TEXT.str.contains(f"^(?:{'|'.join(pattern for pattern, _ in CUTS)})$"))
    remark = pl.lit(None, pl.String).alias("remark")
    if cut.height:
        valid = valid.join(cut, on="at", how="left")
        remark = (DOUBT + _cut()).alias("remark")
    return valid.select("at", pl.col("number").alias("value"), pl.lit(None, pl.String).alias("fault"), "landline", remark)


def _cut() -> pl.Expr:
    """What has been done to a number by the name that CUTS gives it, else null."""
    words = [pl.when(_TEXT.str.contains(f"^(?:{pattern})$")).then(pl.lit(words)) for pattern, words in CUTS]
    return pl.coalesce(words)
