"""Who is looked for: the lines of standard input, as the phones, addresses, keys and ids that they may be."""

import re
from collections.abc import Sequence
from typing import Final

import polars as pl

from pipeline.stages.destinations.authorities import Authorities
from pipeline.stages.identity import contact_id
from pipeline.stages.verdicts import caseless

#: Columns in which a person may stand, by what they are compared with.
_COMPARED: Final = (
    ("sms", "phone"),
    ("voice", "phone"),
    ("email", "mail"),
    ("key", "key"),
    ("contact_id", "id"),
    ("contact_id", "made"),
)


#: What a person would take for a telephone number.
_LIKE_A_PHONE: Final = re.compile(r"[+(]?\d(?:[\s().\-/]*\d){6,}")

_NO_MAIL: Final = "Line {line}: is no mail address that could receive anything, so it was looked for as a key alone."
_NO_PHONE: Final = (
    "Line {line}: is no valid telephone number{where}, so it was looked for as a key alone. If it is to be one, check "
    "its digits, and write it with + and country code."
)


class Questions:
    """Who is looked for."""

    def __init__(self, lines: Sequence[str]) -> None:
        told = [(number, text.strip("\ufeff \t\r\n")) for number, text in enumerate(lines, 1)]
        self._told = [(number, text) for number, text in told if text]
        self.lines = tuple(number for number, _ in self._told)
        self._looked = False  # whether there was anything to compare them with
        self._understood: set[int] = set()  # lines that are a destination, in whatever region was asked for yet
        self._authorities = Authorities()

    def misread(self, missing: Sequence[int], region: str | None) -> list[str]:
        """What of the `missing` lines looks like a destination and is none, so that it was looked for as a key alone.
        `region`: the one that was asked for, if any.
        """
        told: list[str] = []
        for line, text in self._told if self._looked else ():
            if line not in missing or line in self._understood:
                continue
            if "@" in text:
                told.append(_NO_MAIL.format(line=line))
            elif _LIKE_A_PHONE.fullmatch(text):
                where = "" if text.startswith("+") else f" in {region}" if region else " in the countries of the runs"
                told.append(_NO_PHONE.format(line=line, where=where))
        return told

    def table(self, region: str | None, campaign: str, wave: str | None) -> pl.DataFrame:
        """Per question its `line`, and what it is as a `phone`, a `mail`, a `key` and an `id`, each null where it is
        none; `made` is the id of that key in this campaign.
        """
        texts = pl.Series("text", [text for _, text in self._told], dtype=pl.String)
        is_mail = texts.str.contains("@", literal=True)
        phones = self._authorities.phones(texts.set(is_mail, None), region)["value"]
        mails = self._authorities.mails(texts.set(~is_mail, None))["value"]
        self._looked = True
        readable = (phones.is_not_null() | mails.is_not_null()).to_list()
        self._understood.update(line for line, good in zip(self.lines, readable, strict=True) if good)
        made = [contact_id(campaign, wave, text) for text in texts]
        return pl.DataFrame(
            {
                "line": pl.Series(self.lines, dtype=pl.UInt32),
                "phone": phones,
                "mail": caseless(mails),
                "key": trimmed_key(texts),
                "id": texts.str.to_lowercase(),
                "made": pl.Series(made, dtype=pl.String),
            }
        )


def trimmed_key(texts: pl.Series) -> pl.Series:
    """Keys as do-not-contact lists compare them: without the blanks around their parts."""
    return texts.str.strip_chars().str.replace_all(r"\s*\|\s*", "|")


def matches(rows: pl.DataFrame, asked: pl.DataFrame) -> pl.DataFrame:
    """The rows in which somebody stands, each with the `line` of the question, once for each."""
    rows = rows.with_row_index("at")
    found = []
    for column, kind in _COMPARED:
        if column not in rows.columns:
            continue
        values = rows[column]
        if kind in ("mail", "key"):
            values = caseless(values) if kind == "mail" else trimmed_key(values)
        wanted = asked.select("line", value=kind).drop_nulls()
        found.append(rows.select("at", value=values).join(wanted, on="value").select("at", "line"))
    hits = pl.concat(found).unique().sort("at", "line")
    return hits.join(rows, on="at", how="left", maintain_order="left")
