"""SOAP as any service has it: envelopes, actions, faults, text."""

import re
from collections.abc import Mapping
from typing import Literal

from lxml import etree

ENVELOPES = {
    "http://schemas.xmlsoap.org/soap/envelope/": "1.1",
    "http://www.w3.org/2003/05/soap-envelope": "1.2",
}
ENVELOPE_OF = {version: namespace for namespace, version in ENVELOPES.items()}
CONTENT_TYPES = {"1.1": b"text/xml; charset=utf-8", "1.2": b"application/soap+xml; charset=utf-8"}
"""Content-Type of an answer, by SOAP version."""
XSI = "http://www.w3.org/2001/XMLSchema-instance"

FaultName = Literal["ActionNotSupported", "DeserializationFailed", "InternalServiceFault"]

ASMX_TEXTS: Mapping[FaultName, str] = {
    "ActionNotSupported": "Server did not recognize the value of HTTP Header SOAPAction: %s.",
    "DeserializationFailed": "Server was unable to read request. ---> There is an error in XML document. ---> %s.",
    "InternalServiceFault": "Server was unable to process request. ---> Object reference not set to an instance of "
    "an object.%s",
}
"""What an ASMX service says in a fault; %s is the detail."""

_NIL = f"{{{XSI}}}nil"
_MEDIA_TYPES = {"text/xml": "1.1", "application/soap+xml": "1.2"}


class UnreadableRequestError(Exception):
    """The request cannot be read as a call of the operation; the text says why."""


def secure_parser() -> etree.XMLParser:
    """A parser with entities, DTDs and the network off: what arrives here is as hostile as anywhere."""
    return etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True, remove_pis=True
    )


def opened(body: bytes, parser: etree.XMLParser) -> tuple[str, "etree._Element | None"]:
    """The SOAP version of an envelope and the first element of its body, None if that is empty.

    Raises UnreadableRequestError if it is no envelope."""
    try:
        root = etree.fromstring(body, parser)
    except etree.XMLSyntaxError as error:
        raise UnreadableRequestError(f"the message is not well-formed XML: {error.msg}") from None
    if root.getroottree().docinfo.internalDTD is not None:
        raise UnreadableRequestError("for security reasons DTD is prohibited in this XML document")
    name = etree.QName(root)
    version = ENVELOPES.get(name.namespace or "")
    if version is None or name.localname != "Envelope":
        raise UnreadableRequestError("the message is no SOAP envelope")
    content = root.find(f"{{{name.namespace}}}Body")
    return version, content[0] if content is not None and len(content) else None


def is_nil(element: "etree._Element") -> bool:
    """Whether an element says that it is null."""
    value = element.get(_NIL)
    return value is not None and value.strip() in ("true", "1")


def version_of(headers: Mapping[bytes, bytes]) -> str | None:
    """The SOAP version of a request by its content type; None if that is of none, or of another charset."""
    media_type, *parameters = headers.get(b"content-type", b"").decode("latin-1").lower().split(";")
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "charset" and value.strip().strip('"') not in ("utf-8", "utf8"):
            return None
    return _MEDIA_TYPES.get(media_type.strip())


def action_of(headers: Mapping[bytes, bytes], version: str) -> str | None:
    """The action of a request without its quotes; None if there is none, or none in quotes."""
    if version == "1.1":
        raw = headers.get(b"soapaction", b"").decode("latin-1").strip()
    else:
        found = re.search(r';\s*action\s*=\s*("[^"]*")', headers.get(b"content-type", b"").decode("latin-1"))
        raw = found[1] if found else ""
    return raw[1:-1] if len(raw) > 1 and raw[0] == raw[-1] == '"' else None


def fault_envelope(name: FaultName, text: str, version: str, namespace: str = "") -> bytes:
    """A SOAP fault. `namespace` is that of its name where the service tells the name; "" = as ASMX does, which only
    tells whose mistake it is."""
    sender = name != "InternalServiceFault"
    declared = f' xmlns:a="{namespace}"' if namespace else ""
    if version == "1.1":
        code = f"a:{name}" if namespace else ("s:Client" if sender else "s:Server")
        inner = f'<faultcode{declared}>{code}</faultcode><faultstring xml:lang="en-US">{escape(text)}</faultstring>'
    else:
        subcode = f"<s:Subcode><s:Value{declared}>a:{name}</s:Value></s:Subcode>" if namespace else ""
        inner = (
            f"<s:Code><s:Value>{'s:Sender' if sender else 's:Receiver'}</s:Value>{subcode}</s:Code>"
            f'<s:Reason><s:Text xml:lang="en-US">{escape(text)}</s:Text></s:Reason>'
        )
    soap = ENVELOPE_OF[version]
    return f'<s:Envelope xmlns:s="{soap}"><s:Body><s:Fault>{inner}</s:Fault></s:Body></s:Envelope>'.encode()


def escape(text: str) -> str:
    """Text as the content of an element. A carriage return is kept from being read as a line feed."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\r", "&#xD;") if text else text


def escape_attribute(text: str) -> str:
    """Text as the value of an attribute in double quotes."""
    return escape(text).replace('"', "&quot;").replace("\n", "&#xA;").replace("\t", "&#x9;")
