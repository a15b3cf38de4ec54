"""What tells contacts apart where the target keeps no ids of ours: a hash of their destinations, and of texts too.

Targets write phones and mail addresses in their own way, so only digits and the mail without case are compared; of a
text every run of white space counts as one space.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pipeline.config import ContactsSettings
from pipeline.records import CHANNELS
from pipeline.stages.canary import Held, plain


@dataclass(frozen=True, slots=True)
class Face:
    """One contact as it looks from outside; both are hashes of 16 bytes."""

    destinations: bytes
    whole: bytes | None  # texts too; None: the target fills in a text that we do not know


class Faces:
    """Makes faces for one mapping: only channels whose text it gives have their text compared."""

    def __init__(self, contacts: ContactsSettings) -> None:
        self._texts = [name for name, channel in contacts.channels.items() if channel.text is not None]

    def held(self, contact: Held) -> Face:
        """The face of a contact as the target holds it."""
        destinations = {name: c.destination for name, c in contact.channels.items() if c.destination}
        return self._face(destinations, {name: c.text for name, c in contact.channels.items()})

    def of(self, destinations: Mapping[str, str]) -> bytes:
        """What tells contacts with these destinations, by channel, from others."""
        return self._face(destinations, {}).destinations

    def sent(self, row: Mapping[str, str | None]) -> Face:
        """The face of a contact as it is sent: `row` has the columns of CHANNELS and their texts."""
        destinations = {name: destination for name in CHANNELS if (destination := row[name])}
        texts = {name: row[f"{name}_text"] for name in destinations}
        face = self._face(destinations, texts)
        unknown = any(texts[name] is None for name in destinations if name in self._texts)
        return Face(face.destinations, None) if unknown else face

    def _face(self, destinations: Mapping[str, str], texts: Mapping[str, str | None]) -> Face:
        lines = [f"{name}={plain(destinations[name])}" for name in CHANNELS if name in destinations]
        whole = [f"{name}:{' '.join((texts.get(name) or '').split())}" for name in self._texts if name in destinations]
        return Face(_hash(lines), _hash(["whole", *lines, *whole]))


def _hash(lines: Iterable[str]) -> bytes:
    return hashlib.blake2b("\n".join(lines).encode(), digest_size=16).digest()
