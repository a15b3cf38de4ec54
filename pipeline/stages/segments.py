"""Segments: as how many short messages a text is sent, and paid for.

A text whose characters all are in GSM 7 bit's default alphabet or its extension (3GPP TS 23.038, 6.2.1) is counted in
septets, an extended character as two: 160 fit into one message, else 153 into each of several. Any other text is
counted in UTF-16 code units: 70, or 67 each. Neither the two septets of an extended character nor a surrogate pair is
split between messages. National language tables, which few gateways use, are left out of account.
"""

import re
from typing import Final

import polars as pl

from pipeline.stages.verdicts import code_point, nothing

_BASIC: Final = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENDED: Final = "\f^{}\\[~]|€"

_GSM_DOUBLE: Final = f"[{re.escape(_EXTENDED)}]"
_UCS_DOUBLE: Final = r"[\x{10000}-\x{10FFFF}]"
_NOT_GSM: Final = f"[^{re.escape(_BASIC + _EXTENDED)}]"
_NOT_BASIC: Final = f"[^{re.escape(_BASIC)}]"

#: Units of a text that is sent in one message, and of each message where there are several.
_GSM: Final = (160, 153)
_UCS: Final = (70, 67)

#: What segments are told of a text: how many it needs, and the first character that GSM 7 bit has not (null: none).
SEGMENTS: Final = pl.Schema([("segments", pl.UInt32), ("foreign", pl.String)])


def segments(texts: pl.Series) -> pl.DataFrame:
    """Per text the columns of SEGMENTS; both null where there is no text.

    A text of one segment may have a foreign character that is not told: it costs nothing.
    """
    made = pl.select(
        segments=pl.when(texts.is_not_null()).then(pl.lit(1, pl.UInt32)),
        foreign=pl.Series([None], dtype=pl.String).new_from_index(0, len(texts)),
    )
    # A character is no more units than bytes in UTF-8, or two septets: what has so few bytes is one message for sure.
    long = (texts.str.len_bytes() > _UCS[0]).fill_null(value=False).arg_true()
    told = texts.gather(long)
    # Nor is one that has none but basic characters, and few enough: most texts.
    long = long.filter((told.str.len_chars() > _GSM[0]) | told.str.contains(_NOT_BASIC))
    if not len(long):
        return made
    told = texts.gather(long)
    foreign = told.str.extract(f"({_NOT_GSM})", 1)
    gsm = foreign.is_null()
    counts = pl.Series([0], dtype=pl.UInt32).new_from_index(0, len(told))
    for chosen, double, sizes in ((gsm, _GSM_DOUBLE, _GSM), (~gsm, _UCS_DOUBLE, _UCS)):
        at = chosen.arg_true()
        if len(at):
            counts = counts.scatter(at, _count(told.gather(at), double, *sizes))
    return made.with_columns(
        segments=made["segments"].scatter(long, counts), foreign=made["foreign"].scatter(long, foreign)
    )


def too_many(texts: pl.Series, limit: int) -> pl.Series:
    """What to say of the texts that need more than `limit` segments, in words; null for the others. 0: no limit."""
    said = nothing(len(texts))
    # No character is more code units than bytes, and two septets at most.
    at = (texts.str.len_bytes() > _UCS[1] * limit).fill_null(value=False).arg_true()
    if not limit or not len(at):
        return said
    told = segments(texts.gather(at))
    why = told["foreign"].replace_strict(
        {char: f"UCS-2, because of {code_point(char)}" for char in told["foreign"].drop_nulls().unique()},
        default="GSM-7",
        return_dtype=pl.String,
    )
    words = told.select(
        pl.when(pl.col("segments") > limit).then(pl.format("the text needs {} segments ({})", "segments", why))
    ).to_series()
    return said.scatter(at, words)


def _count(texts: pl.Series, double: str, one: int, each: int) -> pl.Series:
    """Segments of texts of one alphabet, in which characters that match `double` are two units and all others one."""
    doubled = texts.str.count_matches(double)
    units = texts.str.len_chars() + doubled
    fewest, most = (units + each - 1) // each, (units + each - 2) // (each - 1)
    counts = pl.select(pl.when(units <= one).then(1).otherwise(fewest)).to_series().cast(pl.UInt32)
    # Each message but the last may lack one unit, where a pair did not fit any more. Only now and then that matters.
    at = ((units > one) & (doubled > 0) & (fewest < most)).arg_true()
    if len(at):
        # The text by its units, in ASCII; as much as fits that does not end between the two of a pair, and again.
        pairs = texts.gather(at).str.replace_all(f"[^{double[1:]}", ".").str.replace_all("[^.]", "<>")
        counts = counts.scatter(at, pairs.str.count_matches(f"[.<>]{{0,{each - 1}}}[.>]"))
    return counts
