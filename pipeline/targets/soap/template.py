"""Envelopes with places: bytes as they are sent, cut where values go."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

# Private-use characters: no name or address in a WSDL has them, and XML carries them as they are.
_OPEN: Final = "\ue0f0"
_CLOSE: Final = "\ue0f1"
_MARK: Final = re.compile(f"{_OPEN}([a-z_]+){_CLOSE}")

#: Rust and Python: what XML 1.0 cannot carry (XML 1.0, 2.2 "Char"); a lone surrogate cannot occur in UTF-8.
FORBIDDEN: Final = "[^\\t\\n\\r\\x20-\\x{D7FF}\\x{E000}-\\x{FFFD}\\x{10000}-\\x{10FFFF}]"
_FORBIDDEN: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

#: What must be written in another way between tags. `>` for the sake of "]]>"; a carriage return would be read as a
#: line feed (XML 1.0, 2.11). Quotes have no meaning there.
ESCAPES: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"}
_TRANSLATION: Final = str.maketrans(ESCAPES)


def mark(name: str) -> str:
    """What stands for a value while an envelope is serialised."""
    return f"{_OPEN}{name}{_CLOSE}"


def escape(text: str) -> str:
    """Text as the content of an element. Raises ValueError for characters that XML cannot carry."""
    if _FORBIDDEN.search(text):
        raise ValueError("holds a character that XML cannot carry")
    return text.translate(_TRANSLATION)


@dataclass(frozen=True, slots=True)
class Template:
    """`literals[0] + value of names[0] + literals[1] + …`; one literal more than names."""

    literals: tuple[str, ...]
    names: tuple[str, ...]

    @classmethod
    def cut(cls, envelope: str) -> "Template":
        """Cut a serialised envelope at its marks."""
        pieces = _MARK.split(envelope)
        return cls(tuple(pieces[0::2]), tuple(pieces[1::2]))

    def fill(self, values: Mapping[str, str]) -> bytes:
        """The envelope with values, which are escaped here. Raises ValueError like `escape`."""
        pieces = [self.literals[0]]
        for name, literal in zip(self.names, self.literals[1:], strict=True):
            pieces += (escape(values[name]), literal)
        return "".join(pieces).encode()

    def bind(self, values: Mapping[str, str]) -> tuple[bytes, ...]:
        """The envelope with all values but the session id, cut where that goes. Raises ValueError like `escape`."""
        pieces = [self.literals[0]]
        for name, literal in zip(self.names, self.literals[1:], strict=True):
            if name == "session":
                pieces.append(literal)
            else:
                pieces[-1] += escape(values[name]) + literal
        return tuple(piece.encode() for piece in pieces)

    @property
    def size(self) -> int:
        """Bytes of all literals."""
        return sum(len(literal.encode()) for literal in self.literals)
