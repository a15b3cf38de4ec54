"""The lines of journal.jsonl: their records, field by field, and the frame with the checksum around each.

A line is `{"c":"<crc32 of the record, 8 lower-case hex digits>","r":<record>}` and a newline, so the journal is valid
JSON line by line. The checksum is of the record's bytes as written; nothing else may stand in the line, therefore no
bit of it can change unnoticed. The first line is a Header; `durable` is 0-based and counts bytes of the file.
"""

from collections.abc import Sequence
from typing import Any, Final, TypeAlias
from zlib import crc32

import msgspec

from pipeline.records import Outcome

#: Written into the header; a reader refuses what it does not know.
VERSION: Final = 1

#: The event of the note that ends a run which needs no resuming.
FINISHED: Final = "finished"


class Source(msgspec.Struct, frozen=True):
    """One file of the input."""

    name: str  # as the ledger names it
    path: str  # absolute, where it was read from; relative: in the run directory
    size: int  # bytes
    fingerprint: str  # hash of its content, as the reader makes it


class Header(msgspec.Struct, frozen=True, tag="header", tag_field="t"):
    """What the journal is bound to. A run is only resumed into the same campaign with the same mapping."""

    run_id: str
    created: int  # milliseconds since the epoch, UTC
    mapping: str  # hash of everything that decides what is sent for a row
    system: str  # the target's kind, as `target.system` has it
    place: str  # the target's address and account, without secrets
    campaign: str
    wave: str
    sources: tuple[Source, ...]  # in the order in which they are read
    rows: int | None  # rows that the survey counted; None: there was no survey
    version: int = VERSION


class SliceBegun(msgspec.Struct, frozen=True, tag="begun", tag_field="t"):
    """From here on rows of this range may have been sent, all but the `known` ones. Durable before the first is sent.

    What is known stands in the same line: a line of its own might be lost, and such a row be taken for one of ours.
    """

    number: int  # counts the slices of the journal, from 0, through all resumptions
    start: int  # position of the first row in the whole input
    stop: int  # one more than the position of the last
    rows: int  # how many rows of the range are handed to delivery or known
    digest: str  # hash of what is sent for them
    durable: int = 0  # so much of the journal was durable before the write that holds this line
    known: Sequence[Outcome] = ()  # rows that are not sent, since the campaign holds them already, or may


class Settled(msgspec.Struct, frozen=True, tag="settled", tag_field="t"):
    """Outcomes of rows of one slice. A later line wins over an earlier one, in a line the later row."""

    slice: int  # number of a slice that began earlier
    durable: int
    rows: list[Outcome]


class Note(msgspec.Struct, frozen=True, tag="note", tag_field="t"):
    """Something of the run that must outlive it: the canary's verdict, a learnt code, a stop."""

    event: str
    fields: dict[str, str | int | float | bool | list[str] | None]
    durable: int = 0


class SettledFrame(msgspec.Struct, frozen=True, tag="settled", tag_field="t"):
    """A Settled whose rows are not looked into: what a reader needs to find them again."""

    slice: int
    durable: int
    rows: msgspec.Raw


class SliceFrame(msgspec.Struct, frozen=True, tag="begun", tag_field="t"):
    """A SliceBegun whose known rows are not looked into."""

    number: int
    start: int
    stop: int
    rows: int
    digest: str
    durable: int
    known: msgspec.Raw = msgspec.Raw(b"[]")


_Rows: TypeAlias = list[tuple[int, str, str | None, str | None, int, int | None, int | None, float | None]]


class KnownRows(msgspec.Struct, frozen=True, tag="begun", tag_field="t"):
    """The known rows of a SliceBegun, as those of a SettledRows."""

    known: _Rows = []


class SettledRows(msgspec.Struct, frozen=True, tag="settled", tag_field="t"):
    """A Settled whose rows are plain tuples: a status stays text, which is all that a column wants."""

    rows: _Rows


Record: TypeAlias = Header | SliceBegun | Settled | Note
Sighted: TypeAlias = Header | SliceFrame | SettledFrame | Note

PREFIX: Final = b'{"c":"'
MIDDLE: Final = b'","r":'
END: Final = b"}"
RECORD_AT: Final = len(PREFIX) + 8 + len(MIDDLE)

_encoder: Final = msgspec.json.Encoder()
_sighting: Final[msgspec.json.Decoder[Sighted]] = msgspec.json.Decoder(Sighted)
_outcomes: Final = msgspec.json.Decoder(SettledRows | KnownRows)


class Damaged(ValueError):
    """A line that is not as it was written; the text says in which way."""


def encode(record: Record) -> bytes:
    """The record's line, with its newline."""
    body = _encoder.encode(record)
    return b'{"c":"%08x","r":%b}\n' % (crc32(body), body)


def sight(line: bytes) -> Sighted:
    """Check a line (without its newline) and read it, but for the rows of a Settled. Raises Damaged."""
    try:
        return _sighting.decode(_checked(line))
    except msgspec.DecodeError as error:
        raise Damaged(f"holds a record that this version cannot read ({error})") from None


def rows(line: bytes) -> Sequence[tuple[Any, ...]]:
    """Check a Settled or SliceBegun line (without its newline) and read its outcomes as plain tuples, fields in order
    of Outcome. Raises Damaged.
    """
    try:
        record = _outcomes.decode(_checked(line))
        return record.rows if isinstance(record, SettledRows) else record.known
    except msgspec.DecodeError as error:
        raise Damaged(f"holds outcomes that this version cannot read ({error})") from None


def _checked(line: bytes) -> memoryview:
    # The frame is compared byte by byte and the checksum as text: reading it as a number would let a flipped case pass.
    body = memoryview(line)[RECORD_AT:-1]
    if len(line) <= RECORD_AT or line[:RECORD_AT] != b'{"c":"%08x","r":' % crc32(body) or line[-1:] != END:
        raise Damaged("is not as it was written: its checksum does not fit")
    return body
