"""What the service says: a message of XML, which stands as a string in the answer of each call.

It is read as XML first. What is no XML is searched for the four elements that count, and for nothing else: the
documents themselves print messages that no parser takes.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, TypeAlias
from xml.sax.saxutils import unescape

from lxml import etree

from pipeline.errors import OutcomeUnknown
from pipeline.targets.soap import answers
from pipeline.targets.soap.answers import Element, Unreadable
from pipeline.targets.soap.contract import Request

#: Characters. No documented message is near it.
LONGEST: Final = 64 * 1024


class Meaning(Enum):
    """What a message means for whoever made the call."""

    OPENED = auto()  # the session is open
    CLOSED = auto()  # the session is closed
    EXCEPTION = auto()  # something went wrong over there: nobody knows what was done
    CREDENTIALS = auto()  # user name or password is wrong
    SESSION_GONE = auto()  # the session has expired, or was never there
    COMPANY = auto()  # there is no such company
    AUTH_TYPE = auto()  # there is no such type of authentication
    APPLICATION_TYPE = auto()  # there is no such type of application


#: By the number in the message's id: one id is documented in two spellings. 7540: public documentation of the close.
MEANINGS: Final[Mapping[int, Meaning]] = {
    5035: Meaning.EXCEPTION,
    5086: Meaning.CREDENTIALS,
    7501: Meaning.SESSION_GONE,
    7503: Meaning.OPENED,
    7507: Meaning.SESSION_GONE,
    7509: Meaning.COMPANY,
    7538: Meaning.AUTH_TYPE,
    7539: Meaning.APPLICATION_TYPE,
    7540: Meaning.CLOSED,
}
_SUCCESSES: Final = (Meaning.OPENED, Meaning.CLOSED)

_NUMBER: Final = re.compile(r"([0-9]{1,9})[^0-9]*$")


@dataclass(frozen=True, slots=True)
class Message:
    """One message of the service. `token` is a secret: it is never shown."""

    id: str  # as the service prints it, e.g. SYN_REP_INFO_7503
    words: str  # Response/@Message, in the service's own words; may be empty
    token: str = ""  # Session/@Token; empty: there is none
    company: str = ""  # Company/@ID; empty: there is none

    def __repr__(self) -> str:
        return f"Message({self.code})"

    @property
    def code(self) -> str:
        """The id, cut down to what is safe to show."""
        return re.sub(r"[^A-Za-z0-9_.-]", "", self.id)[:64]

    @property
    def meaning(self) -> Meaning | None:
        """What the id's number means; None: it is not documented, or its id says the contrary of it."""
        number = _NUMBER.search(self.id)
        meaning = MEANINGS.get(int(number[1])) if number else None
        return None if meaning in _SUCCESSES and self._is_error else meaning

    @property
    def failed(self) -> bool:
        """Whether it tells of a failure: `_ERROR_` in its id is one whatever else it holds."""
        return self._is_error or not (self.meaning is None or self.meaning in _SUCCESSES)

    @property
    def _is_error(self) -> bool:
        return "_ERROR_" in self.id.upper()


def message(payload: Element, request: Request) -> Message:
    """The message in an answer's payload. Raises OutcomeUnknown where there is none that can be read."""
    element = answers.result(payload, request.result)
    if element is None:  # a wrapper of another name than the contract's
        element = next(answers.children(payload), None)
    if element is None or answers.is_nil(element):
        raise OutcomeUnknown(f"{request.operation} answers null")
    try:
        if next(answers.children(element), None) is not None:  # some services write it as elements, not as a string
            return _message(_elements(element))
        return read(element.text or "")
    except Unreadable as error:
        raise OutcomeUnknown(f"{request.operation}: {error}") from None


def read(text: str) -> Message:
    """The message in a string. Raises Unreadable, whose text is safe to show."""
    if len(text) > LONGEST:
        raise Unreadable(f"the message is longer than {LONGEST:,} characters")
    text = text.strip().lstrip("\ufeff")
    if text.startswith("&lt;"):  # escaped once more than it needs
        text = unescape(text, _ENTITIES)
    # A string has no encoding, whatever its declaration says.
    text = re.sub(r"^\s*<\?xml[^>]*\?>", "", text)
    if not text.strip():
        raise Unreadable("the message is empty")
    parser = etree.XMLParser(resolve_entities=False, load_dtd=False, no_network=True, encoding="utf-8")
    try:
        root = etree.fromstring(text.encode("utf-8", "replace"), parser)
    except etree.XMLSyntaxError:
        if "<!DOCTYPE" in text.upper():
            raise Unreadable("the message has a DTD") from None
        return _message(_pieces(text))
    if answers.has_doctype(root):
        raise Unreadable("the message has a DTD")
    return _message(_elements(root))


#: An element by its local name in lower case, and its attributes, by theirs.
_Found: TypeAlias = tuple[str, Mapping[str, str]]


#: Which attribute of an element tells what.
_TELLING: Final = {"response": "message", "session": "token", "company": "id"}


def _message(elements: Iterator[_Found]) -> Message:
    found: dict[str, str] = {}
    ids: list[str] = []
    for name, attributes in elements:
        if name == "message" and attributes.get("id"):
            ids.append(attributes["id"])
        elif name in _TELLING:
            found.setdefault(name, attributes.get(_TELLING[name], ""))
    if not ids:
        raise Unreadable("the message has no id")
    made = [
        Message(each, found.get("response", ""), found.get("session", ""), found.get("company", "")) for each in ids
    ]
    return next((each for each in made if each.failed), made[0])


def _elements(root: Element) -> Iterator[_Found]:
    for element in root.iter(etree.Element):
        named = ((str(name).rpartition("}")[2].lower(), str(value).strip()) for name, value in element.attrib.items())
        yield answers.local_name(element).lower(), dict(named)


_ENTITIES: Final = {"&quot;": '"', "&apos;": "'"}

#: The beginning of one of the four elements, up to the next one: where it ends is not to be relied on.
_PIECE: Final = re.compile(r"<\s*(?:[\w.-]{1,64}:)?(message|response|session|company)\b([^<]*)", re.IGNORECASE)

#: An attribute, in quotes of any kind or in none.
_ATTRIBUTE: Final = re.compile(
    r"\b(id|message|token)\s*=\s*(?:\"([^\">]*)\"|'([^'>]*)'|[‘’“”]([^‘’“”>]*)[‘’“”]|([^\s\"'‘’“”/>]+))", re.IGNORECASE
)


def _pieces(text: str) -> Iterator[_Found]:
    for name, rest in _PIECE.findall(text):
        attributes: dict[str, str] = {}
        for key, *values in _ATTRIBUTE.findall(rest):
            attributes.setdefault(key.lower(), unescape("".join(values), _ENTITIES).strip())
        yield name.lower(), attributes
