"""The two operations on the wire: their parameters, how a call of them is read, and the WSDL that tells of them."""

import re
from typing import NamedTuple

from lxml import etree

from pipeline.simulator.intelliview.settings import IntelliviewSettings
from pipeline.simulator.soap import UnreadableRequestError, is_nil

XS = "http://www.w3.org/2001/XMLSchema"
WSDL = "http://schemas.xmlsoap.org/wsdl/"
SOAP = "http://schemas.xmlsoap.org/wsdl/soap/"


class Parameter(NamedTuple):
    """A parameter of an operation."""

    name: str
    kind: type  # str or int
    required: bool = False  # an int without a documented default


OPERATIONS: dict[str, tuple[Parameter, ...]] = {
    "ivnInitializeSession": (
        Parameter("CompanyShortName", str),
        Parameter("UserName", str),
        Parameter("Password", str),
        Parameter("Timeout", int),
        Parameter("AuthType", int, required=True),
        Parameter("ApplicationType", int, required=True),
        Parameter("Language", str),
        Parameter("ExtraParam", str),
    ),
    "ivnCloseSession": (
        Parameter("SessionToken", str),
        Parameter("CompanyID", int, required=True),
        Parameter("UserName", str),
        Parameter("Password", str),
    ),
}
"""Parameters in the order of the signatures."""


def actions(namespace: str) -> dict[str, str]:
    """SOAPAction without quotes -> operation."""
    prefix = namespace if namespace.endswith("/") else namespace + "/"
    return {prefix + name: name for name in OPERATIONS}


def read_call(wrapper: "etree._Element | None", operation: str, namespace: str) -> dict[str, str | int | None]:
    """The arguments of a call by name, None or 0 where nothing was sent. Elements may come in any order; unknown ones
    and those of other namespaces are skipped. Raises UnreadableRequestError."""
    if wrapper is None or wrapper.tag != f"{{{namespace}}}{operation}":
        raise UnreadableRequestError(f"the body must hold the element {operation} of namespace {namespace}")
    arguments: dict[str, str | int | None] = {}
    for name, kind, required in OPERATIONS[operation]:
        element = wrapper.find(f"{{{namespace}}}{name}")
        if element is not None and len(element):
            raise UnreadableRequestError(f"the element {name} holds other elements")
        if kind is str:
            arguments[name] = None if element is None or is_nil(element) else element.text or ""
        elif element is None:
            if required:
                raise UnreadableRequestError(f"{operation}: the required element {name} is missing")
            arguments[name] = 0
        else:
            text = (element.text or "").strip()
            if not re.fullmatch(r"[+-]?[0-9]{1,10}", text) or not -(2**31) <= int(text) < 2**31:
                raise UnreadableRequestError(f"the element {name} holds no int")
            arguments[name] = int(text)
    return arguments


def wsdl(settings: IntelliviewSettings, address: str) -> bytes:
    """The document behind ?wsdl for a service at this address."""
    names = {"wsdl": WSDL, "xs": XS, "soap": SOAP, "tns": settings.namespace}
    root = etree.Element(f"{{{WSDL}}}definitions", nsmap=names)
    root.set("targetNamespace", settings.namespace)
    types = etree.SubElement(root, f"{{{WSDL}}}types")
    schema = _add(types, XS, "schema", elementFormDefault="qualified", targetNamespace=settings.namespace)
    for operation, parameters in OPERATIONS.items():
        sequence = _element(schema, operation)
        for name, kind, required in parameters:
            shape = {"minOccurs": "1" if required else "0", "maxOccurs": "1", "name": name}
            _add(sequence, XS, "element", **shape, type="xs:int" if kind is int else "xs:string")
        result = _element(schema, f"{operation}Response")
        _add(result, XS, "element", minOccurs="0", maxOccurs="1", name=f"{operation}Result", type="xs:string")
        for suffix, element in (("SoapIn", operation), ("SoapOut", f"{operation}Response")):
            message = _add(root, WSDL, "message", name=operation + suffix)
            _add(message, WSDL, "part", name="parameters", element=f"tns:{element}")
    binding_name = f"{settings.service}Soap"
    port_type = _add(root, WSDL, "portType", name=binding_name)
    binding = _add(root, WSDL, "binding", name=binding_name, type=f"tns:{binding_name}")
    _add(binding, SOAP, "binding", transport="http://schemas.xmlsoap.org/soap/http")
    for action, operation in actions(settings.namespace).items():
        abstract = _add(port_type, WSDL, "operation", name=operation)
        concrete = _add(binding, WSDL, "operation", name=operation)
        _add(concrete, SOAP, "operation", soapAction=action, style="document")
        for way, suffix in (("input", "SoapIn"), ("output", "SoapOut")):
            _add(abstract, WSDL, way, message=f"tns:{operation}{suffix}")
            _add(_add(concrete, WSDL, way), SOAP, "body", use="literal")
    service = _add(root, WSDL, "service", name=settings.service)
    port = _add(service, WSDL, "port", name=binding_name, binding=f"tns:{binding_name}")
    _add(port, SOAP, "address", location=address)
    return etree.tostring(root, xml_declaration=True, encoding="utf-8", pretty_print=True)


def _add(parent: etree._Element, namespace: str, tag: str, /, **attributes: str) -> etree._Element:
    return etree.SubElement(parent, f"{{{namespace}}}{tag}", attrib=attributes)


def _element(schema: etree._Element, name: str) -> etree._Element:
    return _add(_add(_add(schema, XS, "element", name=name), XS, "complexType"), XS, "sequence")
