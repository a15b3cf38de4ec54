"""Writes answer envelopes: results, streamed lists and faults."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from pipeline.simulator.onc.contract import OPERATIONS, TYPES, Contract
from pipeline.simulator.soap import ENVELOPE_OF, XSI, FaultName, escape, escape_attribute, fault_envelope

CHUNK = 65_536  # characters after which a streamed list is handed on

_DISPATCHER = "http://schemas.microsoft.com/net/2005/12/windowscommunicationfoundation/dispatcher"
_FAULT_NAMESPACES = {
    "ActionNotSupported": "http://schemas.microsoft.com/ws/2005/05/addressing/none",
    "DeserializationFailed": _DISPATCHER,
    "InternalServiceFault": _DISPATCHER,
}
_Write = Callable[[Any], str]


class _Item(NamedTuple):
    """How one element is written: what it is when null, and what it is otherwise."""

    null: str
    start: str
    end: str
    text: _Write


class AnswerWriter:
    """Writes the answers of one contract. `nil` writes null as i:nil, otherwise it is left out; `foreign` is the
    namespace that members are put in instead of their own ("" = their own)."""

    def __init__(self, contract: Contract, *, nil: bool, foreign: str = "") -> None:
        self._contract = contract
        self._nil = nil
        self._data = foreign or contract.data_namespace
        self._arrays = foreign or contract.arrays_namespace
        # Members without a prefix would take the namespace of the service from the wrapper.
        self._prefix = "a:" if foreign or contract.dialect == "wcf" else ""
        self._values: dict[str, _Write] = {
            "string": escape,
            "guid": str,
            "dateTime": str,
            "int": str,
            "boolean": lambda value: "true" if value else "false",
        }
        for name in TYPES:
            self._values[name] = self._type_writer(name)

    def answer(self, operation: str, value: Any, version: str) -> bytes:
        """The answer of an operation; for a list, `value` is None or an iterable."""
        return b"".join(self.stream(operation, value, version))

    def stream(self, operation: str, value: Any, version: str) -> Iterator[bytes]:
        """The answer of an operation, piece by piece."""
        head, tail = self._envelope(operation, version)
        if value is None:
            yield (head + self._null_result(operation) + tail).encode()
            return
        described = OPERATIONS[operation]
        start, end = self._result(operation, described.is_list)
        if not described.is_list:
            yield f"{head}{start}{self._values[described.result](value)}{end}{tail}".encode()
            return
        yield (head + start).encode()
        yield from _chunks(self._items(described.result, value))
        yield (end + tail).encode()

    def fault(self, name: FaultName, text: str, version: str) -> bytes:
        """A SOAP fault as the server of the dialect words it."""
        namespace = _FAULT_NAMESPACES[name] if self._contract.dialect == "wcf" else ""
        return fault_envelope(name, text, version, namespace)

    def _envelope(self, operation: str, version: str) -> tuple[str, str]:
        soap, namespace = ENVELOPE_OF[version], escape_attribute(self._contract.namespace)
        declaration = "" if self._contract.dialect == "wcf" else '<?xml version="1.0" encoding="utf-8"?>'
        return (
            f'{declaration}<s:Envelope xmlns:s="{soap}"><s:Body><{operation}Response xmlns="{namespace}">',
            f"</{operation}Response></s:Body></s:Envelope>",
        )

    def _null_result(self, operation: str) -> str:
        return f'<{operation}Result i:nil="true" xmlns:i="{XSI}"/>' if self._nil else ""

    def _result(self, operation: str, is_list: bool) -> tuple[str, str]:
        kind = OPERATIONS[operation].result
        namespace = self._arrays if is_list and kind not in TYPES else self._data
        declared = f' xmlns:a="{escape_attribute(namespace)}"' if self._prefix else ""
        declared = "" if kind == "int" else f'{declared} xmlns:i="{XSI}"'
        return f"<{operation}Result{declared}>", f"</{operation}Result>"

    def _items(self, kind: str, values: Iterable[Any]) -> Iterator[str]:
        name = self._prefix + kind
        write = self._values[kind]
        return (f"<{name}>{write(value)}</{name}>" for value in values)

    def _type_writer(self, name: str) -> _Write:
        items = []
        for slot in self._contract.orders[name]:
            member = TYPES[name].members[slot]
            element = self._prefix + member.name
            null = f'<{element} i:nil="true"/>' if self._nil else ""
            items.append((slot, _Item(null, f"<{element}>", f"</{element}>", self._values[member.kind])))

        def write(value: Any) -> str:
            return "".join(
                [
                    item.null if value[slot] is None else item.start + item.text(value[slot]) + item.end
                    for slot, item in items
                ]
            )

        return write


def _chunks(items: Iterator[str]) -> Iterator[bytes]:
    pieces: list[str] = []
    length = 0
    for item in items:
        pieces.append(item)
        length += len(item)
        if length >= CHUNK:
            yield "".join(pieces).encode()
            pieces, length = [], 0
    yield "".join(pieces).encode()
