"""Values for a message, built along the types of a WSDL: what we give, and what its types insist on."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any, Final, TypeAlias, Union

from zeep.xsd import ComplexType, Nil
from zeep.xsd.elements import Choice, Element, Group
from zeep.xsd.elements.indicators import Indicator
from zeep.xsd.types import builtins

from pipeline.targets.soap.copies import Copy, Node
from pipeline.targets.soap.moments import TimeOfDay, written

#: What to send as a member: text as it is to be written, a value that is written as the member's type asks for, null, a
#: part of an answer as it was told, the members of a nested type, or several of these.
Value: TypeAlias = Union[str, bool, int, date, TimeOfDay, Copy, "Wanted", Sequence["Value"], None]

#: What to send, by documented member name.
Wanted: TypeAlias = Mapping[str, Value]

_ZERO_GUID: Final = "00000000-0000-0000-0000-000000000000"

# As text: zeep loses values in a choice that are false to Python. Sub-classes come before their bases. 0001-01-01 is
# how .NET writes a date that was not set (contract.md).
_DEFAULTS: Final = (
    (builtins.Boolean, "false"),
    (builtins.PositiveInteger, "1"),
    (builtins.NegativeInteger, "-1"),
    ((builtins.Decimal, builtins.Float, builtins.Double), "0"),
    (builtins.DateTime, "0001-01-01T00:00:00"),
    (builtins.Date, "0001-01-01"),
    (builtins.Time, "00:00:00"),
    (builtins.Duration, "PT0S"),
)


class _Blank(str):
    """An empty text that zeep does not lose in a choice."""

    __slots__ = ()

    def __bool__(self) -> bool:
        return True


class UnknownMember(Exception):
    """The type at `place` has no member `name`."""

    def __init__(self, place: str, name: str) -> None:
        self.place = place
        self.name = name
        super().__init__(f"{place} has no member {name}")


def values_for(xsd_type: Any, wanted: Wanted, place: str, enumerations: Mapping[str, str]) -> dict[str, Any]:
    """Values of a complex type for zeep: `wanted`, found by local name (exactly, else whatever the case), and nil or a
    default for every other member that may not be left out. Raises UnknownMember; `place` names the type in it.
    """
    if not isinstance(xsd_type, ComplexType):
        raise UnknownMember(place, next(iter(wanted), ""))
    names = [element.name for element in _elements(xsd_type)]
    found = {_match(name, names, place): value for name, value in wanted.items()}
    values: dict[str, Any] = {}
    for _, nested in xsd_type.elements_nested:
        _collect(nested, found, values, place, enumerations, needed=True)
    for name, attribute in xsd_type.attributes:
        if getattr(attribute, "required", False):
            values[name] = _left_out(attribute, place, enumerations)
    return values


def _match(name: str, names: list[str], place: str) -> str:
    if name in names:
        return name
    alike = [each for each in names if each.lower() == name.lower()]
    if len(alike) != 1:
        raise UnknownMember(place, name)
    return alike[0]


def _collect(
    indicator: Any, found: Wanted, values: dict[str, Any], place: str, enumerations: Mapping[str, str], *, needed: bool
) -> None:
    """Add the values of one group of members; `needed`: it may not be left out whole."""
    if isinstance(indicator, Group):
        indicator = indicator.child
    if not isinstance(indicator, Indicator):
        return  # an xsd:any, or the text of a simple content: nothing that we know
    for name, element in _branches(indicator, found, needed=needed):
        if isinstance(element, Element):
            if element.name is not None and element.name in found:
                value = found[element.name]
                if not _is_null(value) or element.nillable or element.min_occurs > 0:
                    values[name] = _given(element, value, f"{place}/{element.name}", enumerations)
            elif element.min_occurs > 0 or isinstance(indicator, Choice):  # zeep makes what is in a choice optional
                values[name] = _left_out(element, place, enumerations)
        else:
            required = element.min_occurs > 0 or _holds(element, found)
            if required and not element.accepts_multiple:
                _collect(element, found, values, place, enumerations, needed=required)


def _branches(indicator: Any, found: Wanted, *, needed: bool) -> Iterator[tuple[str, Any]]:
    """The parts of a group that are sent: all of them, of a choice the one that holds what we give, else the first."""
    parts = indicator.elements_nested
    if not isinstance(indicator, Choice):
        yield from parts
        return
    held = [part for part in parts if _holds(part[1], found)]
    if held or needed:
        yield from (held or parts)[:1]


def _holds(part: Any, found: Wanted) -> bool:
    if isinstance(part, Element):
        return part.name in found
    return any(element.name in found for element in _elements(part))


def _elements(part: Any) -> Iterator[Any]:
    """All member elements below a type or a group, whatever groups lie between."""
    nested = part.child.elements_nested if isinstance(part, Group) else getattr(part, "elements_nested", ())
    for _, each in nested:
        if isinstance(each, Element):
            yield each
        else:
            yield from _elements(each)


def _is_null(value: Value) -> bool:
    return value is None or (isinstance(value, Copy) and value.node.nil and not value.changes)


def _given(element: Any, value: Value, place: str, enumerations: Mapping[str, str]) -> Any:
    if _is_null(value):
        return _left_out(element, place, enumerations)
    if isinstance(value, list | tuple):
        return [_given(element, each, place, enumerations) for each in value]
    if isinstance(value, Copy) and isinstance(element.type, ComplexType):
        value = _copied(element.type, value, place)
    if isinstance(value, Mapping):
        return values_for(element.type, value, place, enumerations)
    if isinstance(element.type, ComplexType):
        raise UnknownMember(place, "with a single value")
    text = written(value.node.text if isinstance(value, Copy) else value, element.type)
    return text or _Blank()


def _copied(xsd_type: Any, copy: Copy, place: str) -> Wanted:
    """The members of a copy, by the names of the type that they are sent as."""
    elements = {element.name: element for element in _elements(xsd_type)}
    told: dict[str, list[Node]] = {}
    for node in copy.node.children:
        names = [name for name in elements if name == node.name] or [
            name for name in elements if name is not None and name.lower() == node.name.lower()
        ]
        if len(names) == 1:
            told.setdefault(names[0], []).append(node)
    found: dict[str, Value] = {
        name: [Copy(node) for node in nodes] if elements[name].accepts_multiple else Copy(nodes[0])
        for name, nodes in told.items()
    }
    return found | {_match(name, list(elements), place): value for name, value in copy.changes.items()}


def _left_out(element: Any, place: str, enumerations: Mapping[str, str]) -> Any:
    if getattr(element, "nillable", False):
        return Nil
    if getattr(element, "default", None) is not None:
        return element.default
    if isinstance(element.type, ComplexType):
        return values_for(element.type, {}, f"{place}/{element.name}", enumerations)
    for kind, default in _DEFAULTS:
        if isinstance(element.type, kind):
            return default
    if element.type.qname is not None and element.type.qname.localname in enumerations:
        return enumerations[element.type.qname.localname]
    name = element.type.qname.localname.lower() if element.type.qname is not None else ""
    return _ZERO_GUID if "guid" in name or "uuid" in name else _Blank()
