"""What Intelliview NXT says: the table of its messages, and the XML in which it says them."""

import re
from collections.abc import Set
from typing import Literal, NamedTuple

from pipeline.simulator.soap import escape

Quirk = Literal["unquoted", "stray", "open"]


class Message(NamedTuple):
    """A message of the table."""

    id: str
    text: str


EXCEPTION = Message("SYN_REPO_ERROR_5035", "Exception has occurred. Contact your Administrator")
CREDENTIALS = Message("SYN_REP_ERROR_5086", "Invalid user name/password")
NOT_VALID = Message("SYN_REP_ERROR_7501", "Intelliview NXT session is expired or not initialized or not valid.")
OPENED = Message("SYN_REP_INFO_7503", "Intelliview NXT session initialization is successful")
NOT_INITIALIZED = Message("SYN_REP_ERROR_7507", "Intelliview NXT session is not initialized / expired.")
COMPANY = Message("SYN_REP_ERROR_7509", "Company short name is not valid")
AUTH_TYPE = Message("SYN_REP_ERROR_7538", "Authentication type is not valid")
APPLICATION_TYPE = Message("SYN_REP_ERROR_7539", "Application type is not valid")


def success(message: Message, version: str, token: str = "", company: int = 0) -> str:
    """A good answer in the form of the document's sample; `token` and `company` are those of an opened session."""
    session = f" <Session Token='{_value(token)}'/>\n<Company ID='{company}'/>" if token else ""
    return (
        f"<ResponseMessage>\n<Message ID='{_value(message.id)}'/>\n"
        f"<Response Message='{_value(message.text)}'/>{session}\n"
        f"<Version No='{_value(version)}' />\n</ResponseMessage>"
    )


def error(message: Message, version: str) -> str:
    """A bad answer in the form of the document's sample, the blank before the text included."""
    return (
        f"<ResponseMessage>\n<Message ID='{_value(message.id)}'/>\n"
        f"<Response Message= '{_value(message.text)}'/>\n"
        f"<Version No='{_value(version)}'/>\n</ResponseMessage>"
    )


def distorted(text: str, quirks: Set[Quirk]) -> str:
    """An answer with mistakes that make it no XML: "unquoted" (Company/@ID and Version/@No stand without quotes),
    "stray" (Version has an attribute without a value), "open" (the last end tag is missing)."""
    if "unquoted" in quirks:
        text = re.sub(r"(<Company ID|<Version No)='([^']*)'", r"\1=\2", text)
    if "stray" in quirks:
        text = re.sub(r"(<Version [^/]*?) ?/>", r"\1 Build/>", text)
    if "open" in quirks:
        text = text.removesuffix("\n</ResponseMessage>")
    return text


def _value(text: str) -> str:
    return escape(text).replace("'", "&apos;")
