"""Reads request envelopes, as strictly about order and namespaces as the simulated server would be."""

import re
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn

from lxml import etree

from pipeline.simulator.onc.contract import OPERATIONS, TYPES, VALUE_DEFAULTS, Contract, Member
from pipeline.simulator.soap import UnreadableRequestError, is_nil, opened, secure_parser

_INT = re.compile(r"[+-]?[0-9]{1,20}")
_GUID = re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}|[0-9a-fA-F]{32}")
_TIME = re.compile(
    r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,7})?(Z|[+-]\d\d:\d\d)?"
)
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}

_Read = Callable[["etree._Element"], Any]


class Call(NamedTuple):
    """A request that was read: one argument for each parameter, in signature order."""

    soap_version: str
    arguments: tuple[Any, ...]


class RequestReader:
    """Reads the requests of one contract.

    As a DataContract reader does, it goes through the members of the contract once, forward: an element that is
    unknown, in another namespace or behind its place is skipped without a word and its member keeps the default.
    `tolerant` reads members in any order. `skipped` counts skipped elements by name."""

    def __init__(self, contract: Contract, *, tolerant: bool, drop: frozenset[str]) -> None:
        unknown = drop - {member.name for member in TYPES["CommunicationInfo"].members}
        if unknown:
            raise ValueError(f"drop_members: {', '.join(sorted(unknown))}: no member of CommunicationInfo")
        self.skipped: Counter[str] = Counter()
        self._contract = contract
        self._forward = not tolerant and contract.dialect == "wcf"
        self._required = contract.dialect == "asmx"
        self._drop = drop
        self._parser = secure_parser()
        self._complex: dict[str, _Read] = {}
        # Ordered so that a type follows those that it is made of.
        for name in TYPES:
            self._complex[name] = self._type_reader(name)
        self._operations = {
            f"{{{contract.namespace}}}{name}": (
                name,
                self._sequence(
                    name,
                    operation.parameters,
                    tuple(range(len(operation.parameters))),
                    contract.namespace,
                    frozenset(),
                ),
            )
            for name, operation in OPERATIONS.items()
        }

    def read(self, body: bytes, operation: str) -> Call:
        """Read the call of an operation. Raises UnreadableRequestError."""
        version, wrapper = opened(body, self._parser)
        found = self._operations.get(str(wrapper.tag)) if wrapper is not None else None
        if found is None or found[0] != operation:
            raise UnreadableRequestError(
                f"the body must hold the element {operation} of namespace {self._contract.namespace}"
            )
        assert wrapper is not None
        return Call(version, tuple(found[1](wrapper)))

    def _sequence(
        self,
        owner: str,
        members: tuple[Member, ...],
        order: tuple[int, ...],
        namespace: str,
        drop: frozenset[str],
    ) -> Callable[["etree._Element"], list[Any]]:
        """A function that reads the children of an element: values in the order of `members`."""
        table: dict[str, tuple[int, int, _Read]] = {}
        for place, slot in enumerate(order):
            member = members[slot]
            if member.name not in drop:
                table[f"{{{namespace}}}{member.name}"] = (place, slot, self._value_reader(member))
        defaults = [VALUE_DEFAULTS.get(member.kind) for member in members]
        required = {
            slot: member.name
            for slot, member in enumerate(members)
            if self._required and member.kind in VALUE_DEFAULTS and member.name not in drop
        }
        forward, skipped = self._forward, self.skipped

        def read(element: "etree._Element") -> list[Any]:
            values = list(defaults)
            seen: set[int] = set()
            reached = -1
            for child in element:
                entry = table.get(child.tag)
                if entry is None or (entry[0] <= reached if forward else entry[1] in seen):
                    skipped[etree.QName(child).localname] += 1
                    continue
                reached, slot, read_value = entry
                values[slot] = read_value(child)
                seen.add(slot)
            for slot, name in required.items():
                if slot not in seen:
                    raise UnreadableRequestError(f"{owner}: the required element {name} is missing")
            return values

        return read

    def _type_reader(self, name: str) -> _Read:
        type_ = TYPES[name]
        drop = self._drop if name == "CommunicationInfo" else frozenset()
        sequence = self._sequence(name, type_.members, self._contract.orders[name], self._contract.data_namespace, drop)
        make: Callable[[list[Any]], Any] = type_.value._make

        def read(element: "etree._Element") -> Any:
            return None if is_nil(element) else make(sequence(element))

        return read

    def _value_reader(self, member: Member) -> _Read:
        if member.kind in TYPES:
            return self._complex[member.kind]
        return {
            "string": _read_string,
            "int": _read_int,
            "boolean": _read_boolean,
            "guid": _read_guid,
            "dateTime": _read_time,
        }[member.kind]


def _wrong(element: "etree._Element", kind: str) -> NoReturn:
    raise UnreadableRequestError(f"the element {etree.QName(element).localname} holds no {kind}")


def _read_string(element: "etree._Element") -> str | None:
    if is_nil(element):
        return None
    if len(element):
        _wrong(element, "string")
    return element.text or ""


def _text(element: "etree._Element", kind: str) -> str:
    if is_nil(element) or len(element):
        _wrong(element, kind)
    return (element.text or "").strip()


def _read_int(element: "etree._Element") -> int:
    text = _text(element, "int")
    if not _INT.fullmatch(text):
        _wrong(element, "int")
    value = int(text)
    if not -(2**31) <= value < 2**31:
        _wrong(element, "int")
    return value


def _read_boolean(element: "etree._Element") -> bool:
    value = _BOOLEANS.get(_text(element, "boolean"))
    if value is None:
        _wrong(element, "boolean")
    return value


def _read_guid(element: "etree._Element") -> str:
    text = _text(element, "Guid")
    value = guid(text)
    if value is None:
        _wrong(element, "Guid")
    return value


def _read_time(element: "etree._Element") -> str:
    text = _text(element, "dateTime")
    if not _TIME.fullmatch(text):
        _wrong(element, "dateTime")
    return text


def guid(text: str) -> str | None:
    """A Guid in its usual form, lower case with hyphens; None if the text is none."""
    if text.startswith("{") and text.endswith("}"):
        text = text[1:-1]
    if not _GUID.fullmatch(text):
        return None
    text = text.lower()
    if len(text) == 32:
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
    return text
