"""Texts that stand where mail addresses should, and whether columns of them are read as each is alone."""

from collections.abc import Iterable, Iterator
from itertools import product
from random import Random
from typing import Final

import polars as pl
from email_validator import SPECIAL_USE_DOMAIN_NAMES
from email_validator.rfc_constants import CASE_INSENSITIVE_MAILBOX_NAMES

from pipeline.stages.destinations.authorities import Authorities
from pipeline.stages.destinations.email import read_mail

LOCALS: Final = (
    *("ann", "Ann.B", "a", "A", "1", "ann+news", "o'neil", "a_b-c", "!#$%&'*+-/=?^_`{|}~", "x.y.z", "ANN", "-", "-a-"),
    *(*CASE_INSENSITIVE_MAILBOX_NAMES, "Info", "POSTMASTER", "Sales.", "infos"),
    *(
        "zoë",
        "zoe\u0308",
        "ann.müller",
        "用户",
        "\u0301a",
        "ａｎｎ",
        "a\u200b",
        "a\u00adb",
        "\ufeffann",
        "ſales",
        "K",
        "ı",
    ),
    *(".ann", "ann.", "a..b", "a b", "a,b", "a;b", "a:b", "a(b)", "a[b]", "a\\b", "a\tb", "a\nb", "a\0b", "a\x7fb", ""),
    *(
        '"ann"',
        '"a b"',
        '"a@b"',
        '"a\\"b"',
        '"a',
        'a"b',
        "'ann'",
        "mailto:ann",
        "MAILTO:ann",
        "a@b",
        "@",
        "&amp;",
        "Ã©",
    ),
)
DOMAINS: Final = (
    *("example.com", "EXAMPLE.Com", "mail.example.co.uk", "x.org", "a-b.de", "a1.b2.c3", "1.2.com", "x.y", "gmail.com"),
    *(*SPECIAL_USE_DOMAIN_NAMES, *(f"a.{name}" for name in SPECIAL_USE_DOMAIN_NAMES), "a.TEST", "atest", "a.atest"),
    *("test.com", "local.host", "a.example", "example", "gmail", "localhost.localdomain", "A.Local", "a.loc\u0430l"),
    *(
        "a.b1",
        "a.1b",
        "a.1",
        "a.c-m",
        "a.1-1",
        "1.1.1.1",
        "[1.1.1.1]",
        "[IPv6:::1]",
        "[ipv6:zz]",
        "[x]",
        "[",
        "]",
        "a[.b",
    ),
    *(
        "münchen.de",
        "xn--mnchen-3ya.de",
        "XN--MNCHEN-3YA.de",
        "xn--a.com",
        "xn--.com",
        "ab--c.com",
        "a--b.com",
        "a---b.de",
    ),
    *(
        "例え.jp",
        "例え。jp",
        "ｅｘ．ｃｏｍ",
        "a．com",
        "faß.de",
        "ſ.com",
        "K.com",
        "a.İt",
        "א.com",
        "1.א.com",
        "a\u200d.com",
    ),
    *(".a.com", "a.com.", "a..com", "-a.com", "a-.com", "a.-com", "a.com-", "a.com.-", ".", "-", "..", ".-", "-.", ""),
    *(
        "exa mple.com",
        "exa_mple.com",
        "example,com",
        "example.com,",
        "example.com;",
        "a.com\n",
        "a.com\0",
        "a.com>",
        "a/b.c",
    ),
)
SIGNS: Final = (
    *["@"] * 20,
    "@@",
    "",
    " @",
    "@ ",
    " @ ",
    "＠",
    "﹫",
    "(at)",
    " at ",
    "@\u0301",
    "@<",
    "<@",
    '"@',
    ".@.",
)
AROUND: Final = (
    *[("", "")] * 20,
    *(
        ("Jane <", ">"),
        ("<", ">"),
        ('"Jane, B." <', ">"),
        ("Jane ", ""),
        ("", " (home)"),
        ("(x)", ""),
        ("<", ""),
        ("", ">"),
    ),
    *(
        ("", "; b@y.org"),
        ("b@y.org,", ""),
        ("", " b@y.org"),
        ("", "\n"),
        ("\t", ""),
        ("'", "'"),
        ("mailto:", "?subject=x"),
    ),
    *(("\ufeff", ""), ("\u202a", "\u202c"), ("&lt;", "&gt;"), ("<b>", "</b>"), ('="', '"'), ("", "."), ("", "\u00c2")),
    *(
        ("\u2264", ""),
        ("<\u0338", ">"),
        ("e-mail: ", ""),
        ("", "/b@y.org"),
        ("http://", "/"),
        ("x" * 60, ""),
        ("", ".x" * 30),
    ),
)
CELLS: Final = (
    "",
    " ",
    "N/A",
    "none",
    "keine",
    "-",
    "#REF!",
    "416 555 0123",
    "www.example.com",
    "ann",
    "<>",
    '"',
    "\\",
)
#: What mutations put in: all of ASCII, and what looks like it or hides in it.
CHARACTERS: Final = (
    "".join(map(chr, range(128))) + "..@@--  ,;éßſKıİ．。｡＠﹫‐–\u00a0\u00ad\u200b\u202e\u0301\ufeff\ufffd日א🙂"
)


def generated(random: Random) -> Iterator[str]:
    """Addresses of every shape, whole and spoilt, without end."""
    while True:
        text = random.choice(LOCALS) + random.choice(SIGNS) + random.choice(DOMAINS)
        before, after = random.choice(AROUND)
        yield (text := before + text + after)
        yield _spoilt(random, text)
        plain = f"{_word(random, '._+-A')}@{_word(random, '.-A')}.{random.choice(('com', 'Net', 'a1', 'test', 'x-y'))}"
        yield plain
        yield _spoilt(random, plain)
        yield random.choice(CELLS)


def _word(random: Random, others: str) -> str:
    letters = "abcdefghijklmnopqrstuvwxyz0123456789" + others
    return "".join(random.choices(letters, k=random.choice((1, 2, 5, 8, 12))))


def _spoilt(random: Random, text: str) -> str:
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        start = random.randrange(len(text) + 1)
        stop = min(len(text), start + random.choice((0, 0, 1, 2)))
        put = random.choice(("", random.choice(CHARACTERS), random.choice(CHARACTERS), text[stop : stop + 2]))
        text = text[:start] + put + text[stop:]
    return random.choice((text, text, text, text.upper(), text.title(), text[::-1]))


def enumerated() -> Iterator[str]:
    """Every text of up to six characters of the few that the rules are about; each of ASCII in every place."""
    for length in range(7):
        yield from map("".join, product("a@.-A ", repeat=length))
    for length in range(6):
        for middle in map("".join, product("a1.-", repeat=length)):
            yield f"x@{middle}"
            yield f"x@{middle}.Com"
            yield f"x@x.{middle}"
            yield f"{middle}@x.de"
    for character in map(chr, range(256)):
        for place in range(len("ab@cd.ef") + 1):
            yield "ab@cd.ef"[:place] + character + "ab@cd.ef"[place:]
            yield "ab@cd.ef"[:place] + character + "ab@cd.ef"[place + 1 :]


def lengths() -> Iterator[str]:
    """Addresses about as long as any part of one may be, in one byte a character and in more."""
    for letter, size in product("aAé日", (*range(58, 70), *range(120, 130), *range(245, 260))):
        word = letter * size
        labels = ".".join([letter * 50] * 5)[:size]
        yield from (
            f"{word}@x.de",
            f"x@{word}.de",
            f"x@x.{word}",
            f"x@{labels}.de",
            f"{labels}@x.de",
            word,
            f"x@{word}",
        )
        yield from (f"{letter * 60}@{labels}.de", f"{word}@{word}.de", f"{letter * (size - 5)}@x.de", f"x y@{word}")
    for size in (1, 2, 12, 13, 30, 63, 64, 250, 300):
        yield from (f"{'a' * size} @x.de", f"{'a' * size} <a@x.de>", f"{'é' * size}; a@x.de", f"{'a ' * size}@x.de")
        # Characters that become several: of 26 characters, 251 in ASCII.
        yield from (f"{'a' * size}@{'.'.join(['㍿㍿'] * labels)}" for labels in range(1, 11))


def disagreements(texts: Iterable[str]) -> Iterator[str]:
    """What of a column is not read as `read_mail` reads it, in words."""
    column = pl.Series(texts, dtype=pl.String)
    verdicts = Authorities().mails(column)
    for text, value, fault, landline, remark in zip(column, *verdicts.get_columns(), strict=True):
        if (alone := read_mail(text)) != (value, fault, remark) or landline is not False:
            yield f"{text!r} alone is {alone}, in a column {(value, fault, landline, remark)}"
