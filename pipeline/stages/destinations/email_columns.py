"""Columns of mail addresses: the common forms decided with certainty, without asking the authority for each.

What is decided here is what email-validator says too, and nothing else is decided: whatever is long, not ASCII, quoted,
in brackets or near to IDNA is left to it. Its lists and limits are read from the installed one.
"""

import re
from collections.abc import Callable
from typing import Final

import email_validator
import polars as pl
from email_validator.rfc_constants import (
    ATEXT,
    CASE_INSENSITIVE_MAILBOX_NAMES,
    DNS_LABEL_LENGTH_LIMIT,
    DOMAIN_MAX_LENGTH,
    EMAIL_MAX_LENGTH,
    LOCAL_PART_MAX_LENGTH,
)

from pipeline.stages.destinations.email import Mail, refused, visibly_refused

#: Up to so many characters no limit of any part can be passed.
_SHORT: Final = min(DNS_LABEL_LENGTH_LIMIT, DOMAIN_MAX_LENGTH, EMAIL_MAX_LENGTH, LOCAL_PART_MAX_LENGTH)

#: And with so many of a domain none of the whole: an international character takes up to four bytes.
_SHORT_DOMAIN: Final = (EMAIL_MAX_LENGTH - 1 - _SHORT) // 4

_NAME: Final = rf"[{ATEXT}]+(?:\.[{ATEXT}]+)*"
_LABEL: Final = "(?:[A-Za-z0-9]+-)*[A-Za-z0-9]+"  # no two hyphens in a row: what has them may be IDNA
_ENDING: Final = "(?:[A-Za-z0-9]+-)*[A-Za-z0-9]*[A-Za-z]"  # ends with a letter, as all top-level domains do

#: An address that is valid if its domain is not reserved (Rust syntax).
_WELL_FORMED: Final = rf"^{_NAME}@(?:{_LABEL}\.)+{_ENDING}$"

_PLAIN_NAME = re.compile(_NAME)
_BEFORE = re.compile(rf"[.{ATEXT}]*")
_AFTER = re.compile(r"[A-Za-z0-9.-]*")

#: What an address holds in quotes, in brackets or beside itself, if anywhere: none of that is taken.
_NOWHERE = re.compile(rf"[^{ATEXT}.@\u0080-\U0010ffff]")

#: Quotes, angle brackets and domain literals have rules of their own; two hyphens may be IDNA.
_LEFT_TO_THE_AUTHORITY = re.compile(r'["<>\[\]]|--')


def well_formed(texts: pl.Series) -> pl.Series:
    """The address of each text that has the common form, as `read_mail` gives it; null for every other text."""
    text = pl.col("text")
    certain = (
        (text.str.len_bytes() <= _SHORT)
        & text.str.contains(_WELL_FORMED)
        & ~text.str.contains(rf"[@.](?i:{'|'.join(map(re.escape, _reserved()))})$")
    )
    rows = pl.DataFrame({"text": texts}, schema={"text": pl.String})
    addresses = texts.zip_with(rows.select(certain).to_series(), pl.Series([None], dtype=pl.String))
    # Most are in lower case, and then are sent as they are.
    mixed = addresses.str.contains("[A-Z]").arg_true()
    if mixed.is_empty():
        return addresses
    return addresses.scatter(mixed, _normalised(addresses.gather(mixed)))


def _normalised(addresses: pl.Series) -> pl.Series:
    """Well-formed addresses with the domain in lower case, and the part before it where it names a role (RFC 2142)."""
    parts = addresses.str.splitn("@", 2).struct.unnest()
    before, after = (pl.col(name) for name in parts.columns)
    lowered = before.str.to_lowercase()
    before = pl.when(lowered.is_in(CASE_INSENSITIVE_MAILBOX_NAMES)).then(lowered).otherwise(before)
    return parts.select(pl.concat_str(before, pl.lit("@"), after.str.to_lowercase())).to_series()


def surely_refused(text: str) -> Mail | None:
    """What `read_mail` says of a text that is surely not valid, where that is plain; None where it has to be asked."""
    if len(text) <= _SHORT and text.isascii() and not _LEFT_TO_THE_AUTHORITY.search(text):
        message = _message(text)
        return refused(text, message) if message else None
    if len(text) <= EMAIL_MAX_LENGTH and (text.count("@") != 1 or not text.isprintable() or _NOWHERE.search(text)):
        return visibly_refused(text)
    return None


def by_domain(text: str, ask: Callable[[str], Mail]) -> Mail | None:
    """What `read_mail` says of a plain name at a valid domain; None where it has to be asked.

    `ask` is given the domain and answers for an address there. Nearly all that the authority costs is international
    domains, of which a list has few, and a plain name before the @-sign changes nothing about one.
    """
    before, _, after = text.partition("@")
    if len(before) > _SHORT or len(after) > _SHORT_DOMAIN or not _PLAIN_NAME.fullmatch(before):
        return None
    mail = ask(after)
    if mail.address is None:
        return None
    domain = mail.address.partition("@")[2]
    if len(domain) > _SHORT_DOMAIN:
        return None
    name = before.lower() if before.lower() in CASE_INSENSITIVE_MAILBOX_NAMES else before
    return mail._replace(address=f"{name}@{domain}")


def _message(text: str) -> str | None:
    """How the authority's message begins. The order is its own: the first fault is the one that it tells."""
    before, sign, after = text.partition("@")
    if not sign:
        return "An email address must have an @-sign"
    if not before:
        return "There must be something before the @-sign"
    if not _BEFORE.fullmatch(before):
        return "The email address contains invalid characters before"
    if before[-1] == ".":
        return "An email address cannot have a period immediately"
    if before[0] == ".":
        return "An email address cannot start with a period"
    if ".." in before:
        return "An email address cannot have two periods"
    if not after:
        return "There must be something after the @-sign"
    return _message_after(after)


def _message_after(after: str) -> str | None:
    if not _AFTER.fullmatch(after):
        return "The part after the @-sign contains invalid characters"
    if after[-1] == ".":
        return "An email address cannot end with a period"
    if after[0] == ".":
        return "An email address cannot have a period immediately"
    if ".." in after:
        return "An email address cannot have two periods"
    if after[-1] == "-":
        return "An email address cannot end with a hyphen"
    if after[0] == "-":
        return "An email address cannot have a hyphen immediately"
    if ".-" in after or "-." in after:
        return "An email address cannot have a period and a hyphen"
    if "." not in after:
        return "The part after the @-sign is not valid. It should have a period"
    if not after[-1].isalpha():
        return "The part after the @-sign is not valid. It is not within"
    if any(f".{after}".lower().endswith(f".{name}") for name in _reserved()):
        return "The part after the @-sign is a special-use"
    return None


def _reserved() -> list[str]:
    """Domains that receive no mail: a list that a program may change, so it is read each time."""
    return email_validator.SPECIAL_USE_DOMAIN_NAMES
