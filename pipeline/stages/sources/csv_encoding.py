"""Which encoding a CSV file is in: by its byte order mark, by what was told, or by evidence in its text.

Nearly all bytes can be read as Windows-1252, though they may be Polish, Greek, Japanese or an old Mac's French. So the
guess needs evidence; without it a file is UTF-8 with damaged rows or, where there are many of them, refused.
"""

import codecs
import re
from collections.abc import Iterator
from itertools import chain
from typing import Final

from pipeline.errors import SourceError
from pipeline.stages.sources.csv_records import with_lf

WESTERN: Final = "windows-1252"  # as far as letters go, Latin-1 is the same

#: The longer ones first: the mark of UTF-32 begins as that of UTF-16 does.
_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)

_BEYOND_ASCII: Final = re.compile(rb"[\x80-\xff]")

#: Places that prove nothing by themselves and would be rare in another encoding: a letter, O’Brien, 100 €, a – b.
_EVIDENCE: Final = re.compile(r"[À-ÖØ-öø-ÿŒœ]|(?<=[A-Za-z])’(?=[A-Z]|s\b)|(?<=\d)[  ]?€|€[  ]?(?=\d)|(?<= )[–—](?= )")

#: Places at which text of another encoding shows, read as Windows-1252.
_IMPLAUSIBLE: Final = re.compile(
    r"""
      \ufffd                                          # a byte that it does not have
    | [ŠšŽžŸÝýÐðÞþ¤]                                  # Central European, Turkish, Baltic; an old Mac's ö, é, ü
    | [ÂÃ][\u00a1-¿€‚-‰‹‘-™›]                         # RenÃ©e: UTF-8
    | (?!(?P<one>.)(?P=one)|[çÇ][ãõÃÕ]|[äöü]ß|[áéíóúÁÉÍÓÚ][ñÑ])[À-ÖØ-öø-ÿŒœƒ]{2,}  # Cyrillic, Greek, Chinese
    | (?<=[a-zß-öø-ÿ])[À-ÖØ-ÞŒ]                       # RenÈe
    | (?<=[A-Z])[à-öø-ÿ](?=[A-Z]) | (?<=[A-Za-z])ƒ    # GARCêA
    | (?<=[A-Za-z])[‚„†‡ˆ‰‹‘“”•˜™›€\u00a1-¶¸-¿×÷](?=[A-Za-z])         # Wo¿niak, M„ller
    | (?<=[a-z])[–—\u00a0](?=[a-z])                   # Mu–oz
    | (?<![A-Za-z])[£¥¯¬¦¼½¾³¹¢](?=[A-Za-z]{2})       # £ukasz
    | (?<=[A-Za-z]{3})[³¹¿¾½¼ºª]                      # Micha³
    | [¢-©¬-¶¸¹»-¾×÷–—•†‡ˆ‰˜™…](?=[À-ÖØ-öø-ÿ])        # Japanese, Korean
    | [œŒ](?![acdinsuACDINSU])                        # Œwierk
    | (?<![A-Za-zß-ÿ])[çÇ](?=[b-df-hj-np-tv-xzB-DF-HJ-NP-TV-XZ])       # çngel
    | [ñÑ](?![aeiouáéíóúüAEIOUÁÉÍÓÚÜ])                # Gdañsk
    | [ãÃ](?=[a-df-np-rt-zA-DF-NP-RT-Z])              # Bãlescu
    | [õÕ](?![eE])                                    # Erdõs
    | [øØ](?=[aeiouáéíóúAEIOUÁÉÍÓÚ])                  # Dvoøák
    | [èÈ](?=[aeiouáéíóúkAEIOUÁÉÍÓÚK])                # Novaèek
    | [ìùÌÙ](?=[A-Za-zß-ÿ])                           # Nìmec
    | (?<=[iI])[æÆ] | [æÆ](?![A-Za-zß-ÿ])             # Babiæ
    """,
    re.VERBOSE,
)

#: One implausible place in so many with evidence is borne: lists have a few words of another language.
_BORNE: Final = 20

#: Bytes of such lines that are looked at.
_ENOUGH: Final = 64 << 10


def recognised(blocks: Iterator[bytes], name: str, *, told: str | None) -> str:
    """The codec to read a file of these bytes with; reads on only as long as there is nothing but ASCII.

    A byte order mark is proof, even against what was told. Raises SourceError.
    """
    first = next(blocks, b"")
    if (codec := marked(first)) is not None:
        return codec
    if told is not None:
        return _known(told, name)
    if (wide := _wide(first[:4096], name)) is not None:
        return wide
    line = 1
    for data in chain([first], blocks):
        if (found := _BEYOND_ASCII.search(data)) is not None:
            start = data.rfind(b"\n", 0, found.start()) + 1
            following = next(blocks, None)
            window = with_lf(data[start:] + (following or b""))
            return _by_evidence(window, name, line=line + data.count(b"\n", 0, start), complete=following is None)
        line += data.count(b"\n")
    return "utf-8"


def marked(data: bytes) -> str | None:
    """The codec that a byte order mark at the beginning tells, which reads the mark as U+FEFF; None: there is none."""
    return next((codec for mark, codec in _MARKS if data.startswith(mark)), None)


def not_text(place: str) -> str:
    """What to tell a person about bytes at `place` that are not UTF-8."""
    return (
        f"{place}: holds characters that are not UTF-8; save the file as CSV UTF-8, "
        "or name its encoding (often windows-1252)"
    )


def _known(told: str, name: str) -> str:
    try:
        known = codecs.lookup(told).name
        "a,1\n".encode(told)  # codecs that are no encoding of text are found out here
    except (LookupError, UnicodeError, ValueError):
        raise SourceError(
            f"{name}: there is no encoding called {told!r}; use utf-8, utf-16, windows-1252 or latin-1"
        ) from None
    without_mark = {"utf-8-sig": "utf-8", "utf-16": "utf-16-le", "utf-32": "utf-32-le"}
    return known if known == "utf-8" else without_mark.get(known, told.lower())


def _wide(data: bytes, name: str) -> str | None:
    """UTF-16 without a byte order mark, told by the NULs beside ASCII; None: it is not."""
    pairs = len(data) // 2
    for codec, beside, within in (("utf-16-le", data[1::2], data[::2]), ("utf-16-be", data[::2], data[1::2])):
        if 8 * beside.count(0) >= pairs > 0 and 20 * within.count(0) <= beside.count(0):
            text = data[: 2 * pairs].decode(codec, errors="replace")
            ends = text.count("\n") + text.count("\r")
            if ends and 2 * ends > data.count(b"\n") + data.count(b"\r") and "\ufffd" not in text[:-1]:
                return codec
    if data.count(0) > len(data) // 4:
        raise SourceError(
            f"{name}: looks like UTF-16 without a byte order mark; save it as CSV UTF-8, "
            "or name its encoding (utf-16-le or utf-16-be)"
        )
    return None


def _by_evidence(window: bytes, name: str, *, line: int, complete: bool) -> str:
    """UTF-8 or Windows-1252, by a part of the file that begins with its physical line `line`."""
    lines = window.split(b"\n")
    if not complete and len(lines) > 1:
        lines.pop()  # it may end in the middle of a character
    telling, broken = [], []
    for number, content in enumerate(lines, start=line):
        if not content.isascii():
            telling.append(content)
            try:
                content.decode()
            except UnicodeDecodeError:
                broken.append(number)
    proven = len(telling) - len(broken)
    if len(broken) > proven and _is_western(b"\n".join(telling)[:_ENOUGH]):
        return WESTERN
    # Where other lines prove that the file is UTF-8, or nearly all are ASCII, one that is not is a damaged row.
    if len(broken) <= max(1, proven, len(lines) // 10):
        return "utf-8"
    raise SourceError(not_text(f"{name}, line {broken[0]}"))


def _is_western(data: bytes) -> bool:
    """Whether text makes sense as Windows-1252 (and, but for the punctuation, as Latin-1)."""
    text, implausible = _IMPLAUSIBLE.subn("", data.decode(WESTERN, errors="replace"))
    evidence = len(_EVIDENCE.findall(text))
    return evidence > 0 and _BORNE * implausible <= evidence
