"""A service's interface as a WSDL states it: its operations compiled to envelopes.

Nothing outside the WSDL knows a namespace, an order of members or a SOAPAction. zeep reads it and serialises each
operation once, with marks in place of values; from then on envelopes are cut and filled as text.
"""

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, cast

from lxml import etree
from zeep.exceptions import Error as ZeepError
from zeep.settings import Settings as ZeepSettings
from zeep.wsdl import Document
from zeep.wsdl.bindings.soap import Soap11Binding, Soap12Binding
from zeep.xsd import ComplexType

from pipeline.errors import ConfigError, RunError
from pipeline.targets.soap import answers
from pipeline.targets.soap.documents import Documents
from pipeline.targets.soap.members import UnknownMember, Wanted, values_for
from pipeline.targets.soap.template import Template

_XSI: Final = "http://www.w3.org/2001/XMLSchema-instance"


@dataclass(frozen=True, slots=True)
class Needs:
    """What a target wants of a WSDL."""

    service: str  # what it must be the WSDL of, for messages
    operations: tuple[str, ...]  # what is called, by documented name
    bare_with: Mapping[str, str]  # an answer's element that has this member itself is the operation's result
    optional: frozenset[str] = frozenset()  # operations that are missed only when they are called
    spellings: Mapping[str, str] = field(default_factory=dict)  # another way in which an operation's name is printed


@dataclass(frozen=True, slots=True)
class Request:
    """One operation with its places for values."""

    operation: str
    headers: dict[str, str]  # Content-Type and, with SOAP 1.1, SOAPAction
    template: Template
    result: str | None  # local name of the answer's result member; None: the answer's element is the result itself


class Contract:
    """One port of a WSDL.

    `address` is where the WSDL says the service is, None where it does not.
    """

    def __init__(self, port: Any, place: str, enumerations: Mapping[str, str], needs: Needs) -> None:
        self._binding = port.binding
        self._needs = needs
        self._enumerations = enumerations
        self._place = place
        self.address: str | None = (port.binding_options or {}).get("address") or None

    @classmethod
    def load(cls, documents: Documents, needs: Needs) -> "Contract":
        """Read a WSDL and choose its port: one with as many operations as there are, SOAP 1.1 before SOAP 1.2.

        Raises ConfigError, and what `documents` raises.
        """
        place = documents.place
        settings = ZeepSettings(strict=True, forbid_dtd=True, forbid_entities=True)
        try:
            with warnings.catch_warnings():
                # zeep warns about operations that it leaves out; those we need are asked for below.
                warnings.simplefilter("ignore")
                document: Any = Document(documents.root, cast("Any", documents), settings=settings)
        except RunError:
            raise
        except ZeepError as error:
            raise ConfigError([f"{place}: {_unreadable(error.message or type(error).__name__)}"]) from error
        except Exception as error:  # zeep meets a broken document with errors of every kind
            raise ConfigError([f"{place}: {_unreadable(f'{type(error).__name__}: {error}')}"]) from error
        ports = [port for service in document.services.values() for port in service.ports.values() if _is_soap(port)]
        if not ports:
            raise ConfigError([f"{place}: names no SOAP service over HTTP (for the address of a service add ?wsdl)"])
        enumerations = _enumerations(documents.loaded.values())
        contract = min((cls(port, place, enumerations, needs) for port in ports), key=cls._rank)
        lacking = contract._lacking()
        if not needs.optional.issuperset(lacking):
            raise ConfigError([f"{place}: lacks {', '.join(lacking)}: it must be the WSDL of {needs.service}"])
        return contract

    def has(self, operation: str) -> bool:
        """Whether the WSDL has an operation."""
        return self._find(operation) is not None

    def request(self, operation: str, wanted: Wanted, marks: Iterable[str]) -> Request:
        """Compile an operation. `wanted` gives its parameters by documented name, with `mark`s where values go;
        `marks` names them. Raises ConfigError where the WSDL lacks the operation, or its types have no place for one.
        """
        bound = self._find(operation)
        if bound is None:
            raise ConfigError([f"{self._place}: lacks {operation}, which is needed for this"])
        try:
            values = values_for(bound.input.body.type, wanted, operation, self._enumerations)
            envelope = bound.create(**values).content
        except UnknownMember as error:
            raise ConfigError([f"{self._place}: {error.place} has no member {error.name}, which we send"]) from None
        except Exception as error:  # as above
            raise ConfigError(
                [f"{self._place}: no {operation} can be written with it: {type(error).__name__}: {error}"]
            ) from error
        template = Template.cut(_serialised(envelope))
        if sorted(template.names) != sorted(marks):
            raise ConfigError([f"{self._place}: the types of {operation} do not carry text as it is given"])
        return Request(operation, self._headers(bound), template, self._result_name(bound, operation))

    def _result_name(self, bound: Any, operation: str) -> str | None:
        """Where the answer's result stands. Most contracts wrap it; with a bare one, and where a list's items lie flat
        in the answer's element, that element is the result. Not to know would take any answer for a good one.
        """
        body = bound.output.body if bound.output is not None else None
        if body is None:
            return f"{operation}Result"
        if not isinstance(body.type, ComplexType):
            return None
        members = {element.name.lower(): element for _, element in body.type.elements}
        for name in (f"{operation}Result", "return", "result"):
            element = members.get(name.lower())
            if element is not None and not element.accepts_multiple:
                return str(element.name)
        if self._needs.bare_with.get(operation, "").lower() in members:
            return None
        if len(members) == 1:
            (element,) = members.values()
            return None if element.accepts_multiple else str(element.name)
        raise ConfigError([f"{self._place}: does not say which member of its answer is the result of {operation}"])

    def _find(self, operation: str) -> Any:
        """The bound operation, by its name, else by its name in another case or spelling; None: there is none."""
        operations = self._binding.all()
        name = operation if operation in operations else None
        for spelling in (operation, self._needs.spellings.get(operation, operation)):
            if name is None:
                name = next((each for each in operations if each.lower() == spelling.lower()), None)
        bound = operations.get(name)
        return bound if bound is not None and bound.input is not None and bound.input.body is not None else None

    def _lacking(self) -> list[str]:
        return [name for name in self._needs.operations if self._find(name) is None]

    def _rank(self) -> tuple[int, bool]:
        return len(self._lacking()), isinstance(self._binding, Soap12Binding)

    def _headers(self, bound: Any) -> dict[str, str]:
        action = bound.soapaction or ""
        if isinstance(self._binding, Soap12Binding):
            parameter = f'; action="{action}"' if action else ""
            return {"Content-Type": f"application/soap+xml; charset=utf-8{parameter}"}
        return {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": f'"{action}"'}


def _enumerations(documents: Iterable[bytes]) -> dict[str, str]:
    """The first value of every enumeration, by the local name of its type, or of the element that it stands in: zeep
    keeps the types and drops their values.
    """
    found: dict[str, str] = {}
    for document in documents:
        for simple in etree.fromstring(document, answers.parser()).iter("{*}simpleType"):
            value = simple.find("{*}restriction/{*}enumeration")
            above = simple.getparent()
            name = simple.get("name") or (above.get("name") if above is not None else None)
            if value is not None and name:
                found.setdefault(name, value.get("value", ""))
    return found


def _is_soap(port: Any) -> bool:
    return isinstance(port.binding, Soap11Binding | Soap12Binding)


def _serialised(envelope: Any) -> str:
    """An envelope as text, every namespace declared once at its root: zeep declares them over and over."""
    spaces = {etree.QName(element).namespace for element in envelope.iter()} - {None}
    spaces |= {etree.QName(name).namespace for element in envelope.iter() for name in element.attrib} - {None}
    known = {etree.QName(envelope).namespace, _XSI}
    prefixes = {f"n{number}": space for number, space in enumerate(sorted(spaces - known))}
    if _XSI in spaces:
        prefixes["xsi"] = _XSI  # some servers know it by this prefix alone
    etree.cleanup_namespaces(envelope, top_nsmap=prefixes)
    return etree.tostring(envelope, encoding="unicode")


def _unreadable(why: str) -> str:
    return f"is no WSDL that can be read: {' '.join(why.split())[:200]} (for the address of a service add ?wsdl)"
