"""Mail addresses: a text to the address as it is sent or to the reason why not; email-validator is the authority."""

import re
from typing import Final, NamedTuple

from email_validator import validate_email
from email_validator.rfc_constants import EMAIL_MAX_LENGTH

from pipeline.stages.destinations.damage import damage

_BAD_BEFORE: Final = "a character before the @-sign that is not allowed there"
_BAD_AFTER: Final = "a character after the @-sign that is not allowed there"
_NO_PERIOD: Final = "no period after the @-sign: an ending such as .com is missing"

#: How email-validator's messages begin, and what they mean. Its own words repeat parts of the address, ours never do.
_MEANINGS: Final = {
    "An email address must have an @-sign": "has no @-sign",
    'The email address has the "full-width" at-sign': "has another sign in place of @",
    'The email address has the "small commercial at"': "has another sign in place of @",
    "There must be something after the @-sign": "nothing after the @-sign",
    "There must be something before the @-sign": "nothing before the @-sign",
    "A display name and angle brackets": "a name or angle brackets around the address",
    "The display name contains": "a name or angle brackets around the address",
    "An open angle bracket": "a name or angle brackets around the address",
    "There can't be anything after the email address": "a name or angle brackets around the address",
    "Extra character(s) found after close quote": "quotation marks before the @-sign",
    "Quoting the part before the @-sign": "quotation marks before the @-sign",
    "The email address contains invalid characters in quotes": "quotation marks before the @-sign",
    "The email address contains invalid characters before": _BAD_BEFORE,
    "The email address contains invalid characters after": "its domain is not valid",
    "The email address contains unsafe characters": "an invisible or unsafe character",
    "The part after the @-sign contains invalid characters": _BAD_AFTER,
    "An email address cannot have two periods": "two periods in a row",
    "An email address cannot start with a period": "begins with a period",
    "An email address cannot end with a period": "ends with a period",
    "An email address cannot end with a hyphen": "ends with a hyphen",
    "An email address cannot have a period immediately": "a period beside the @-sign",
    "An email address cannot have a hyphen immediately": "a hyphen after the @-sign",
    "An email address cannot have a period and a hyphen": "a period beside a hyphen",
    "An email address cannot have two letters followed": "its domain is not valid",
    "The email address is too long": "too long",
    "After the @-sign, periods cannot be separated": "too long",
    "The part after the @-sign is a special-use": "its domain is reserved and receives no mail",
    "The part after the @-sign is not valid. It should have a period": _NO_PERIOD,
    "The part after the @-sign is not valid. It is not within": "its domain has no valid ending",
    "The part after the @-sign": "its domain is not valid",
    "A bracketed IP address": "an IP address in place of a domain",
    "The address in brackets": "an IP address in place of a domain",
    "The IPv6 address in brackets": "an IP address in place of a domain",
}

#: What stands in a text for an address, to see whether there are several.
_ADDRESS = re.compile(r"[^\s@<>()\[\],;:\"]+@[\w-]+(?:\.[\w-]+)+")

_SPACE_AT_SIGN = re.compile(r"\s@|@\s")
_WORD_FOR_AT_SIGN = re.compile(r"[(\[{]\s*at\s*[)\]}]|\sat\s", re.IGNORECASE)


class Mail(NamedTuple):
    """What a text is as a mail address. Exactly one of `address` and `fault` is None."""

    address: str | None  # as it is sent: domain in lower case, and in ASCII where the part before the @-sign is ASCII
    fault: str | None  # why it is not one, in words without any part of it
    remark: str | None = None  # what to know of a valid one


def read_mail(text: str) -> Mail:
    """Read one address. No name server is asked."""
    if len(text) > EMAIL_MAX_LENGTH:  # no longer one is valid, and what the authority costs grows with the text
        several = len(_ADDRESS.findall(text[:EMAIL_MAX_LENGTH])) > 1
        return _refused("more than one address" if several else "too long")
    try:
        # The authority's own defaults, said aloud: they are globals of its module, which any program may change.
        address = validate_email(
            text,
            allow_smtputf8=True,
            allow_empty_local=False,
            allow_quoted_local=False,
            allow_domain_literal=False,
            allow_display_name=False,
            globally_deliverable=True,
            test_environment=False,
            check_deliverability=False,
        )
    except ValueError as error:  # EmailNotValidError is one; so are those of the IDNA and Unicode codecs beneath it
        return refused(text, str(error))
    remark = None
    # The authority is never overruled: what it takes is sent, with a word of doubt.
    if not text.isascii() and (damaged := damage(text)):
        remark = f"the address may be another than was meant: {damaged}"
    return Mail(address.ascii_email or address.normalized, None, remark)


def refused(text: str, message: str) -> Mail:
    """A text that the authority refuses with a message that begins so.

    What has visibly happened to the text says more to a person than what the authority says of it.
    """
    return visibly_refused(text) or _refused(_meaning(text, message))


def visibly_refused(text: str) -> Mail | None:
    """A text that the authority refuses, whatever it says, for what has visibly happened to it; None: nothing shows."""
    words = damage(text) or _mishap(text)
    return _refused(words) if words else None


def _refused(why: str) -> Mail:
    return Mail(None, f"not a valid mail address: {why}" if why else "not a valid mail address")


def _mishap(text: str) -> str | None:
    """What people and programs do to an address, if that shows."""
    if text[:7].casefold() == "mailto:":
        return "written as a link (mailto:)"
    signs = text.count("@")
    if signs == 0:
        return "a word in place of the @-sign" if _WORD_FOR_AT_SIGN.search(text) else None
    if signs > 1 and len(_ADDRESS.findall(text)) > 1:
        return "more than one address"
    if "<" in text or ">" in text:
        return "a name or angle brackets around the address"
    if _SPACE_AT_SIGN.search(text):
        return "a space beside the @-sign"
    if text[-1] in ",;":
        return "ends with a comma or a semicolon"
    if "," in text and signs == 1 and not _has_space(text):
        return "a comma in place of a period"
    return None


def _meaning(text: str, message: str) -> str:
    message = message.removeprefix("After Unicode normalization: ")
    meaning = _MEANINGS.get(message)
    if meaning is None:
        meaning = next((words for start, words in _MEANINGS.items() if message.startswith(start)), "")
    if meaning in (_BAD_BEFORE, _BAD_AFTER):  # the two that people make most often deserve their name
        if text.count("@") > 1:
            return "more than one @-sign"
        if _has_space(text):
            return "has a space"
    return meaning


def _has_space(text: str) -> bool:
    return any(character.isspace() for character in text)
