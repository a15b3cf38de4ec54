"""Writes the WSDL of the simulated service from the tables of its contract."""

from collections.abc import Callable

from lxml import etree

from pipeline.simulator.onc.contract import (
    ARRAYS,
    ASMX_TYPES,
    OPERATIONS,
    SERIALIZATION,
    TYPES,
    VALUE_DEFAULTS,
    Contract,
    Operation,
)
from pipeline.simulator.onc.settings import OncSettings

XS = "http://www.w3.org/2001/XMLSchema"
WSDL = "http://schemas.xmlsoap.org/wsdl/"
WSAW = "http://www.w3.org/2006/05/addressing/wsdl"
SOAP = {"1.1": "http://schemas.xmlsoap.org/wsdl/soap/", "1.2": "http://schemas.xmlsoap.org/wsdl/soap12/"}
TRANSPORT = "http://schemas.xmlsoap.org/soap/http"
GUID_PATTERN = r"[\da-fA-F]{8}-[\da-fA-F]{4}-[\da-fA-F]{4}-[\da-fA-F]{4}-[\da-fA-F]{12}"

_Element = etree._Element


class WsdlWriter:
    """Writes the WSDL and, where it is split, the schemas that it imports."""

    def __init__(self, settings: OncSettings, contract: Contract) -> None:
        self._settings = settings
        self._contract = contract
        self._wcf = contract.dialect == "wcf"
        self._namespaces = {"wsdl": WSDL, "xs": XS, "tns": contract.namespace, "g": contract.guid_namespace}
        for name, namespace in (("data", contract.data_namespace), ("arrays", contract.arrays_namespace)):
            if namespace not in self._namespaces.values():
                self._namespaces[name] = namespace
        self._prefixes = {namespace: prefix for prefix, namespace in self._namespaces.items()}

    def wsdl(self, address: str) -> bytes:
        """The document behind ?wsdl for a service at this address."""
        soap = {("soap" if version == "1.1" else "soap12"): SOAP[version] for version in self._versions}
        root = etree.Element(_name(WSDL, "definitions"), nsmap={**self._namespaces, **soap, "wsaw": WSAW})
        root.set("name", self._settings.service)
        root.set("targetNamespace", self._contract.namespace)
        types = _add(root, WSDL, "types")
        if self._settings.split_wsdl:
            schema = _add(types, XS, "schema", targetNamespace=self._contract.namespace.rstrip("/") + "/Imports")
            for number, namespace in enumerate(self._schemas()):
                location = f"{address}?xsd=xsd{number}"
                _add(schema, XS, "import", schemaLocation=location, namespace=namespace)
        else:
            for write in self._schemas().values():
                types.append(write())
        for operation in OPERATIONS.values():
            self._messages(root, operation)
        self._port_type(root)
        for version in self._versions:
            self._binding(root, version)
        service = _add(root, WSDL, "service", name=self._settings.service)
        for version in self._versions:
            binding = self._binding_name(version)
            port = _add(service, WSDL, "port", name=binding, binding=f"tns:{binding}")
            _add(port, SOAP[version], "address", location=address)
        return _document(root)

    def schema(self, name: str, address: str) -> bytes | None:
        """The schema behind ?xsd=NAME; None if there is none."""
        writers = list(self._schemas().values())
        names = [f"xsd{number}" for number in range(len(writers))]
        return _document(writers[names.index(name)](address)) if name in names else None

    @property
    def _versions(self) -> tuple[str, ...]:
        return self._settings.soap_versions

    def _schemas(self) -> dict[str, Callable[..., _Element]]:
        contract = self._contract
        schemas: dict[str, Callable[..., _Element]] = {
            contract.namespace: self._service_schema,
            contract.guid_namespace: self._guid_schema,
        }
        if self._wcf:
            # Whoever gives the service's own namespace to the data contracts gets one schema of both.
            if contract.data_namespace != contract.namespace:
                schemas[contract.data_namespace] = self._data_schema
            schemas[contract.arrays_namespace] = self._arrays_schema
        return schemas

    def _start(self, namespace: str, address: str | None, *imports: str) -> _Element:
        schema = etree.Element(_name(XS, "schema"), nsmap=self._namespaces)
        schema.set("elementFormDefault", "qualified")
        schema.set("targetNamespace", namespace)
        numbers = {each: number for number, each in enumerate(self._schemas())}
        for each in dict.fromkeys(imports):
            if each != namespace:
                element = _add(schema, XS, "import", namespace=each)
                if address is not None:
                    element.set("schemaLocation", f"{address}?xsd=xsd{numbers[each]}")
        return schema

    def _service_schema(self, address: str | None = None) -> _Element:
        contract = self._contract
        schema = self._start(
            contract.namespace,
            address,
            contract.data_namespace,
            contract.arrays_namespace,
            contract.guid_namespace,
        )
        for operation in OPERATIONS.values():
            sequence = _sequence(_add(schema, XS, "element", name=operation.name))
            for parameter in operation.parameters:
                self._member(sequence, parameter.name, parameter.kind)
            response = _sequence(_add(schema, XS, "element", name=f"{operation.name}Response"))
            self._member(response, f"{operation.name}Result", operation.result, is_list=operation.is_list)
        if contract.data_namespace == contract.namespace:
            self._types(schema)
        if contract.arrays_namespace == contract.namespace:
            self._guid_list(schema)
        return schema

    def _data_schema(self, address: str | None = None) -> _Element:
        schema = self._start(self._contract.data_namespace, address, self._contract.guid_namespace)
        self._types(schema)
        return schema

    def _arrays_schema(self, address: str | None = None) -> _Element:
        schema = self._start(ARRAYS, address, self._contract.guid_namespace)
        self._guid_list(schema)
        return schema

    def _guid_schema(self, address: str | None = None) -> _Element:
        schema = self._start(SERIALIZATION if self._wcf else ASMX_TYPES, address)
        simple = _add(schema, XS, "simpleType", name="guid")
        _add(_add(simple, XS, "restriction", base="xs:string"), XS, "pattern", value=GUID_PATTERN)
        if self._wcf:
            _add(schema, XS, "element", name="guid", nillable="true", type="g:guid")
        return schema

    def _types(self, schema: _Element) -> None:
        for name in TYPES:
            sequence = _add(_add(schema, XS, "complexType", name=name), XS, "sequence")
            for member in self._contract.members(name):
                self._member(sequence, member.name, member.kind)
            # A type and the answer of an operation share a name: in one namespace their elements would clash.
            if self._wcf and self._contract.data_namespace != self._contract.namespace:
                _add(schema, XS, "element", name=name, nillable="true", type=self._type(name))
        for name in dict.fromkeys(each.result for each in OPERATIONS.values() if each.is_list):
            if name in TYPES:
                self._list(schema, name, f"ArrayOf{name}", nillable=True)

    def _guid_list(self, schema: _Element) -> None:
        self._list(schema, "guid", "ArrayOfguid" if self._wcf else "ArrayOfGuid", nillable=False)

    def _list(self, schema: _Element, item: str, name: str, *, nillable: bool) -> None:
        sequence = _add(_add(schema, XS, "complexType", name=name), XS, "sequence")
        element = _add(sequence, XS, "element", minOccurs="0", maxOccurs="unbounded", name=item)
        if nillable:
            element.set("nillable", "true")
        element.set("type", self._type(item))
        if self._wcf:
            prefix = self._prefixes[str(schema.get("targetNamespace"))]
            _add(schema, XS, "element", name=name, nillable="true", type=f"{prefix}:{name}")

    def _member(self, sequence: _Element, name: str, kind: str, *, is_list: bool = False) -> None:
        is_value = kind in VALUE_DEFAULTS and not is_list
        element = _add(sequence, XS, "element")
        element.set("minOccurs", "0" if self._wcf or not is_value else "1")
        if not self._wcf:
            element.set("maxOccurs", "1")
        element.set("name", name)
        if self._wcf and not is_value:
            element.set("nillable", "true")
        element.set("type", self._list_type(kind) if is_list else self._type(kind))

    def _type(self, kind: str) -> str:
        if kind == "guid":
            return "g:guid"
        return f"{self._prefixes[self._contract.data_namespace]}:{kind}" if kind in TYPES else f"xs:{kind}"

    def _list_type(self, kind: str) -> str:
        if kind != "guid":
            return f"{self._prefixes[self._contract.data_namespace]}:ArrayOf{kind}"
        return f"{self._prefixes[self._contract.arrays_namespace]}:{'ArrayOfguid' if self._wcf else 'ArrayOfGuid'}"

    def _message_names(self, operation: str) -> tuple[str, str]:
        if self._wcf:
            stem = f"{self._settings.contract}_{operation}"
            return f"{stem}_InputMessage", f"{stem}_OutputMessage"
        return f"{operation}SoapIn", f"{operation}SoapOut"

    def _messages(self, root: _Element, operation: Operation) -> None:
        elements = (operation.name, f"{operation.name}Response")
        for name, element in zip(self._message_names(operation.name), elements, strict=True):
            _add(_add(root, WSDL, "message", name=name), WSDL, "part", name="parameters", element=f"tns:{element}")

    def _port_type(self, root: _Element) -> None:
        port_type = _add(root, WSDL, "portType", name=self._settings.contract)
        for name, action in self._contract.actions.items():
            operation = _add(port_type, WSDL, "operation", name=name)
            given, answered = self._message_names(name)
            for kind, message, suffix in (("input", given, ""), ("output", answered, "Response")):
                element = _add(operation, WSDL, kind, message=f"tns:{message}")
                if self._wcf:
                    element.set(_name(WSAW, "Action"), action + suffix)

    def _binding_name(self, version: str) -> str:
        if self._wcf:
            kind = "BasicHttpBinding" if version == "1.1" else "CustomBinding"
            return f"{kind}_{self._settings.contract}"
        return self._settings.service + ("Soap" if version == "1.1" else "Soap12")

    def _binding(self, root: _Element, version: str) -> None:
        soap = SOAP[version]
        binding = _add(root, WSDL, "binding", name=self._binding_name(version), type=f"tns:{self._settings.contract}")
        _add(binding, soap, "binding", transport=TRANSPORT)
        for name, action in self._contract.actions.items():
            operation = _add(binding, WSDL, "operation", name=name)
            _add(operation, soap, "operation", soapAction=action, style="document")
            for kind in ("input", "output"):
                _add(_add(operation, WSDL, kind), soap, "body", use="literal")


def _name(namespace: str, name: str) -> str:
    return f"{{{namespace}}}{name}"


def _add(parent: _Element, namespace: str, tag: str, /, **attributes: str) -> _Element:
    return etree.SubElement(parent, _name(namespace, tag), attrib=attributes)


def _sequence(element: _Element) -> _Element:
    return _add(_add(element, XS, "complexType"), XS, "sequence")


def _document(root: _Element) -> bytes:
    return etree.tostring(root, xml_declaration=True, encoding="utf-8", pretty_print=True)
