"""Mail addresses: a text to the address as it is sent or to the reason why not; email-validator is the authority."""

from typing import Final, NamedTuple

from email_validator import validate_email

#: Longer than any address may be (RFC 5321 by way of email-validator): not worth the work of saying more.
_LONGEST: Final = 254

#: How email-validator's messages begin, and what they mean. Its own words repeat parts of the address, ours never do.
_MEANINGS: Final = (
    ("An email address must have an @-sign", "has no @-sign"),
    ('The email address has the "full-width" at-sign', "has another sign in place of @"),
    ('The email address has the "small commercial at"', "has another sign in place of @"),
    ("There must be something after the @-sign", "nothing after the @-sign"),
    ("There must be something before the @-sign", "nothing before the @-sign"),
    ("A display name and angle brackets", "a name or angle brackets around the address"),
    ("The display name contains", "a name or angle brackets around the address"),
    ("An open angle bracket", "a name or angle brackets around the address"),
    ("There can't be anything after the email address", "text after the address"),
    ("Extra character(s) found after close quote", "quotation marks before the @-sign"),
    ("Quoting the part before the @-sign", "quotation marks before the @-sign"),
    ("The email address contains invalid characters in quotes", "quotation marks before the @-sign"),
    ("The email address contains invalid characters before", "a character before the @-sign that is not allowed there"),
    ("The email address contains unsafe characters", "an invisible or unsafe character"),
    ("The part after the @-sign contains invalid characters", "a character after the @-sign that is not allowed there"),
    ("An email address cannot have two periods", "two periods in a row"),
    ("An email address cannot start with a period", "begins with a period"),
    ("An email address cannot end with a period", "ends with a period"),
    ("An email address cannot end with a hyphen", "ends with a hyphen"),
    ("An email address cannot have a period immediately", "a period beside the @-sign"),
    ("An email address cannot have a hyphen immediately", "a hyphen after the @-sign"),
    ("An email address cannot have a period and a hyphen", "a period beside a hyphen"),
    ("The email address is too long", "too long"),
    ("After the @-sign, periods cannot be separated", "too long"),
    ("The part after the @-sign is a special-use", "its domain is reserved and receives no mail"),
    ("The part after the @-sign is not valid. It should have a period", "no period after the @-sign"),
    ("The part after the @-sign is not valid. It is not within", "its domain has no valid ending"),
    ("The part after the @-sign", "its domain is not valid"),
    ("A bracketed IP address", "an IP address in place of a domain"),
    ("The address in brackets", "an IP address in place of a domain"),
    ("The IPv6 address in brackets", "an IP address in place of a domain"),
)


class Mail(NamedTuple):
    """What a text is as a mail address. Exactly one of `address` and `fault` is None."""

    address: str | None  # as it is sent: domain in lower case, and in ASCII where the part before the @-sign is ASCII
    fault: str | None  # why it is not one, in words without any part of it


def read_mail(text: str) -> Mail:
    """Read one address. No name server is asked."""
    if len(text) > _LONGEST:
        return _refused("too long")
    try:
        address = validate_email(text, check_deliverability=False)
    except ValueError as error:  # EmailNotValidError is one; so are those of the IDNA and Unicode codecs beneath it
        return _refused(_meaning(text, str(error)))
    return Mail(address.ascii_email or address.normalized, None)


def _refused(why: str) -> Mail:
    return Mail(None, f"not a valid mail address: {why}" if why else "not a valid mail address")


def _meaning(text: str, message: str) -> str:
    message = message.removeprefix("After Unicode normalization: ")
    meaning = next((words for start, words in _MEANINGS if message.startswith(start)), "")
    if "not allowed there" in meaning:  # the two that people make most often deserve their name
        if text.count("@") > 1:
            return "more than one @-sign"
        if any(character.isspace() for character in text):
            return "has a space"
    return meaning
