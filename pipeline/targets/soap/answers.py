"""Answers read by local name: namespaces, prefixes, order, unknown elements and whitespace do not matter.

Real peers answer nested members in other namespaces than their WSDL says, so nothing here looks at one. DTDs are
refused, entities are never resolved, and sizes are bounded by whoever reads the answer off the wire.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from enum import Enum
from typing import Any, Final, TypeAlias

from lxml import etree

Element: TypeAlias = etree._Element

_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,10}")
_GUID: Final = re.compile(r"[0-9a-f]{8}(-?)[0-9a-f]{4}\1[0-9a-f]{4}\1[0-9a-f]{4}\1[0-9a-f]{12}")
_MOMENT: Final = re.compile(
    r"([0-9]{4})-([0-9][0-9])-([0-9][0-9])(?:T([0-9][0-9]):([0-9][0-9])(?::([0-9][0-9])(?:\.([0-9]{1,7}))?)?)?\s*(?:(Z)|([+-])([0-9][0-9]):?([0-9][0-9]))?"
)
_BOOLEANS: Final = {"true": True, "1": True, "false": False, "0": False}

#: Fault codes that say that our message is not the one that the target reads, by local name.
_MISMATCHES: Final = frozenset(
    {
        "ActionNotSupported",
        "DeserializationFailed",
        "SchemaValidationError",
        "VersionMismatch",
        "MustUnderstand",
        "DataEncodingUnknown",
    }
)
#: ASMX has no fault code of its own for these two; its texts are fixed unless the server speaks another language.
_MISMATCH_TEXTS: Final = (
    "HTTP Header SOAPAction",
    "Server was unable to read request",
    "Unmarshalling Error",
    "Violation of encoding rules",
    "cvc-",
    "Unexpected subelement",
    "Procedure '",
)


class Presence(Enum):
    """What stands where a result is expected. Only EMPTY means "none"; mixing it up with the first two would import
    everything twice (contract.md, "Traps")."""

    NIL = "nil"  # there, and marked as null
    ABSENT = "absent"  # not there, which means null as well
    EMPTY = "empty"  # there, without children
    ITEMS = "items"  # there, with children

    @property
    def null(self) -> bool:
        """Whether this means null, which for a list means an error."""
        return self in (Presence.NIL, Presence.ABSENT)


class Unreadable(Exception):
    """The answer is no SOAP, or does not hold what was asked for; the text is safe to show."""


class SoapFault(Exception):
    """The answer is a fault. `code` is its innermost code, cut down to what is safe to show."""

    def __init__(self, code: str, *, mismatch: bool) -> None:
        self.code = code
        self.mismatch = mismatch  # whether contract and target do not fit together
        super().__init__(code)


def envelope_payload(body: bytes, parser: "etree.XMLParser") -> Element:
    """The element in an answer's Body. Raises Unreadable, SoapFault."""
    try:
        # Some servers put blank lines before the declaration.
        root: Element | None = etree.fromstring(body.lstrip(), parser)
    except (etree.XMLSyntaxError, ValueError):
        raise Unreadable("the answer is not XML") from None
    if root is None or is_broken(parser.error_log):
        raise Unreadable("the answer is not XML")
    if has_doctype(root) or local_name(root) != "Envelope":
        raise Unreadable("the answer is not SOAP")
    soap_body = child(root, "Body")
    for payload in children(soap_body) if soap_body is not None else ():
        if local_name(payload) == "Fault":
            raise soap_fault(payload)
        return payload
    raise Unreadable("the answer's body is empty")


def has_doctype(root: Element) -> bool:
    """Whether the document has a DTD; no SOAP message may (SOAP 1.1, 3)."""
    info: Any = root.getroottree().docinfo
    return bool(info.doctype)


def parser() -> "etree.XMLParser":
    """A parser for answers; it may be used again and again, by one thread at a time."""
    return etree.XMLParser(
        resolve_entities=False, load_dtd=False, no_network=True, remove_comments=True, remove_pis=True, recover=True
    )


def is_broken(log: Any) -> bool:
    """Whether a parser that recovers met more than undeclared prefixes: some servers write xsi:nil with one."""
    return any(entry.type != etree.ErrorTypes.NS_ERR_UNDEFINED_NAMESPACE for entry in log)


def result(payload: Element, name: str | None) -> Element | None:
    """The result member of an answer; None: it is not there. `name` None: the answer's element is the result."""
    if name is None or local_name(payload) == name:
        return payload
    return child(payload, name)


def presence(element: Element | None) -> Presence:
    """What stands there. Raises Unreadable where it is text, which is neither a list nor an object."""
    if element is None:
        return Presence.ABSENT
    if is_nil(element):
        return Presence.NIL
    if next(children(element), None) is not None:
        return Presence.ITEMS
    if (element.text or "").strip():
        raise Unreadable("the answer holds text where a list or an object should be")
    return Presence.EMPTY


def local_name(element: Element) -> str:
    """The name without its namespace; empty for what is no element."""
    tag: Any = element.tag
    return _local(tag) if isinstance(tag, str) else ""  # comments have a function there


def _local(name: str) -> str:
    return name.rpartition("}")[2].rpartition(":")[2]  # a prefix that nobody declared is part of the name


def child(element: Element, name: str) -> Element | None:
    """The first child of this local name, exactly, else whatever the case."""
    for each in children(element):
        if local_name(each) == name:
            return each
    lowered = name.lower()
    return next((each for each in children(element) if local_name(each).lower() == lowered), None)


def descendant(element: Element, name: str) -> Element | None:
    """The nearest element of this local name at any depth, the element itself among them."""
    level = [element]
    while level:
        for each in level:
            if local_name(each).lower() == name.lower():
                return each
        level = [below for each in level for below in children(each)]
    return None


def is_nil(element: Element) -> bool:
    """Whether the element is marked as null."""
    return any(
        _local(str(name)) == "nil" and str(value).strip() in ("true", "1") for name, value in element.attrib.items()
    )


def text(element: Element | None) -> str | None:
    """Text as it stands; None where it is null. Raises Unreadable where it holds elements."""
    if element is None or is_nil(element):
        return None
    if next(children(element), None) is not None:
        raise Unreadable("the answer holds elements where text should be")
    return element.text or ""


def integer(element: Element | None) -> int | None:
    """A number; None where it is null. Raises Unreadable."""
    value = _trimmed(element)
    if value is None:
        return None
    if _INTEGER.fullmatch(value) is None:
        raise Unreadable("the answer holds no number where one should be")
    return int(value)


def boolean(element: Element | None) -> bool | None:
    """true, false, 1 or 0; None where it is null. Raises Unreadable."""
    value = _trimmed(element)
    if value is None:
        return None
    if value.lower() not in _BOOLEANS:
        raise Unreadable("the answer holds no true or false where one should be")
    return _BOOLEANS[value.lower()]


def guid(element: Element | None) -> str | None:
    """A GUID in lower case without braces; None where it is null. Raises Unreadable."""
    # Millions of them come in lists: what reads like one needs no look at attributes and children.
    plain = element.text.strip().lower() if element is not None and element.text else ""
    if len(plain) == 36 and _GUID.fullmatch(plain):
        return plain
    value = _trimmed(element)
    if value is None:
        return None
    value = value.lower()
    if value.startswith("{") and value.endswith("}"):
        value = value[1:-1]
    match = _GUID.fullmatch(value)
    if match is None:
        raise Unreadable("the answer holds no GUID where one should be")
    if match[1]:
        return value
    return f"{value[:8]}-{value[8:12]}-{value[12:16]}-{value[16:20]}-{value[20:]}"


def moment(element: Element | None) -> datetime | None:
    """A point in time, with its zone if it has one; None where it is null or unset (year 1). The seventh digit of a
    fraction is dropped. Raises Unreadable.
    """
    value = _trimmed(element)
    if value is None:
        return None
    match = _MOMENT.fullmatch(value)
    if match is None:
        raise Unreadable("the answer holds no date where one should be")
    year, month, day, hour, minute, second = (int(part or 0) for part in match.groups()[:6])
    if year <= 1:
        return None
    zone: tzinfo | None = None
    if match[8]:
        zone = UTC
    elif match[9]:
        offset = timedelta(hours=int(match[10]), minutes=int(match[11]))
        zone = timezone(offset if match[9] == "+" else -offset)
    try:
        fraction = int((match[7] or "").ljust(6, "0")[:6])
        return datetime(year, month, day, hour, minute, second, fraction, tzinfo=zone)
    except ValueError:
        raise Unreadable("the answer holds no date where one should be") from None


def soap_fault(fault: Element) -> SoapFault:
    """What a Fault element of SOAP 1.1 or 1.2 says."""
    codes = [
        (each.text or "").strip().rpartition(":")[2]
        for each in fault.iter()
        if local_name(each) in ("faultcode", "Value") and not _below(each, ("Detail", "detail"), fault)
    ]
    words = " ".join(each.text or "" for each in fault.iter() if local_name(each) in ("faultstring", "Text"))
    parts = {part for code in codes for part in code.split(".")}
    mismatch = not _MISMATCHES.isdisjoint(parts) or any(known in words for known in _MISMATCH_TEXTS)
    code = re.sub(r"[^A-Za-z0-9.]", "", codes[-1] if codes else "")[:80]
    return SoapFault(code or "unnamed", mismatch=mismatch)


def _below(element: Element, names: tuple[str, ...], top: Element) -> bool:
    above = element.getparent()
    while above is not None and above is not top:
        if local_name(above) in names:
            return True
        above = above.getparent()
    return False


def children(element: Element) -> Iterator[Element]:
    """The elements in an element, comments and the like left out."""
    return element.iterchildren(tag=etree.Element)


def _trimmed(element: Element | None) -> str | None:
    value = text(element)
    return value.strip() if value is not None else None
