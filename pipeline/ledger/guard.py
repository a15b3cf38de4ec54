"""Cells that a spreadsheet would change, kept as they are by an apostrophe in front, and taken back from it.

A spreadsheet reads a CSV as if somebody had typed its cells: `=1+1` runs, `0416` becomes 416, `4.5` in some countries
the fourth of May, and what it made of them is saved. The apostrophe makes a cell text, and is saved with it. What is
guarded was found by opening and saving cells with LibreOffice in many languages; where Excel is known to go further,
that too: whole numbers of more than 11 digits are saved rounded, `1-2` and `DEC1` become dates. What both leave alone,
such as `416-555-0100` and `(416) 555-0100`, stays as it is.
"""

from typing import Final

import polars as pl

#: A whole number that comes out as it went in.
_PLAIN: Final = r"^(?:0|[1-9][0-9]{0,10})$"

# In these \d is a digit of any script, as it is to some spreadsheets, and case does not matter.
_FORMULA: Final = r"[=+\-@＝＋－＠].*"
_MONEY: Final = r"(?:\p{Sc}|[a-z]{0,3}\$|kr|chf|fr|eur|usd|gbp|zł|kč|ft|lei|tl|rs|rp|rm|r)\.?"
_AROUND: Final = rf"(?:[-+−()%\s]|{_MONEY})*"
_NUMBER: Final = rf"{_AROUND}[.,]?\d[\d.,'’\s]*(?:e\s*[-+]?\d+[.,]?)?{_AROUND}"
_FRACTION: Final = r"\d+\s+\d+\s*/\s*\d+"
_TIME: Final = r"[-+−\d.,\s]*:[-+−\d:.,\s]*(?:[ap]\.?m?\.?|\p{L}{0,2})|[\d.,\s]+[ap]\.?(?:m\.?)?"
# Two or three numbers, of which one at most can be a year: the groups of a telephone number are longer.
_NUMERIC: Final = (
    r"\d{1,2}\s*[-/.]\s*\d{1,2}(?:\s*[-/.]\s*\d{0,4})?|\d{1,2}\s*[-/.]\s*\d{3,4}"
    r"|\d{4}\s*[-/.]\s*\d{1,2}(?:\s*[-/.]\s*\d{1,2})?[-/.]?"
)
#: How the names of months begin in languages with Latin letters; in other scripts any word will do.
_BEGINNINGS: Final = (
    "abr|ago|aou|aoû|apr|ara|aug|avr|ağu|bře|cze|dec|dez|dic|dub|déc|eki|elo|ene|eyl|feb|fev|"
    "fév|gen|giu|gru|haz|hei|hel|huh|ian|iul|iun|jan|jou|jui|jul|jun|júl|jún|kas|kes|kvě|kwi|"
    "led|lip|lis|lok|lug|lut|maa|mag|mai|maj|mar|may|mei|mrt|máj|már|mär|nis|noi|nov|oca|oct|"
    "okt|ott|out|paź|pro|sep|set|sie|srp|sty|syy|sze|tam|tem|tou|wrz|zář|ápr|úno|čer|říj|şub"
)
_MONTH: Final = rf"(?:{_BEGINNINGS}|[\p{{L}}--\p{{Latin}}])\p{{L}}*[.,]?"
_BETWEEN: Final = r"[\s.,/’'-]*(?:de\s+)?"
_WORDED: Final = (
    rf"(?:\p{{L}}+[.,]*\s+)?(?:\d+{_BETWEEN}{_MONTH}(?:{_BETWEEN}\d+)?|{_MONTH}{_BETWEEN}\d+(?:[\s.,/’'-]+\d+)?)"
    r"(?:[\s.,-]*|\p{L}{1,3})"
)
_EASTERN: Final = r"[\p{L}--\p{Latin}]*\d+\s*[年月日時分년월일시분].*"
_MOMENT: Final = rf"(?:{_NUMERIC}|{_WORDED})(?:[\sT,]*(?:{_TIME}))?\s*z?|{_TIME}|{_EASTERN}"
_TRUTH: Final = (
    "true|false|wahr|falsch|vrai|faux|verdadero|falso|verdadeiro|vero|waar|onwaar|sant?|sann|falskt?|sand|usann|usand"
    "|tosi|epätosi|prawda|fałsz|pravda|nepravda|igaz|hamis|adevărat|fals|doğru|yanlış|истина|ложь|αληθης|ψευδης"
)
_CHANGED: Final = rf"\s*(?:{_FORMULA}|{_NUMBER}|{_FRACTION}|{_MOMENT}|{_TRUTH})\s*|[\t\r\n].*"

_RISKY: Final = rf"(?si)^(?:{_CHANGED})$"
# Somebody who mends a guarded cell may leave the apostrophe. A name that begins with one, `'t Hooft`, is no such cell.
_GUARDED: Final = rf"(?si)^'+(?:[^\p{{L}}'].*|{_CHANGED})$"


def guarded(column: pl.Expr) -> pl.Expr:
    """Cells as they stand in resubmit.csv."""
    risky = column.str.contains(_RISKY) & ~column.str.contains(_PLAIN)
    # The plain branch comes first: its name is the one that the cells keep.
    return pl.when(~(risky | column.str.contains(_GUARDED))).then(column).otherwise("'" + column)


def unguarded(column: pl.Expr) -> pl.Expr:
    """Cells as the source had them: the inverse of `guarded`."""
    return pl.when(column.str.contains(_GUARDED)).then(column.str.slice(1)).otherwise(column)
