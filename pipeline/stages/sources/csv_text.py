"""The bytes of a CSV file as blocks of UTF-8, whatever it is compressed with or encoded in."""

import codecs
import gzip
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from pipeline.errors import SourceError

#: Bytes read at once: large enough for the work per block to be small, small enough for flat memory.
BLOCK = 2 << 20

#: Bytes. A line that is longer is no row of a list of contacts, and is not gathered in memory.
LONGEST_LINE = 4 << 20

#: Bytes that are transcoded at once: what lies in the processor's cache is done twice as fast.
_IN_CACHE: Final = 64 << 10

_BREAK = re.compile(rb"[\r\n]")


class CutShort(Exception):
    """The compressed file ends or breaks here; what came before it has been yielded."""


@dataclass(frozen=True, slots=True)
class Form:
    """How a CSV file is written."""

    path: Path
    name: str  # as messages name it
    compressed: bool  # gzip
    encoding: str  # name of a Python codec
    delimiter: str
    line_end: str  # "\n", "\r\n" or "\r": what most lines end with; any may end one


def unreadable(name: str, error: OSError) -> SourceError:
    """What to tell a person about a file that the operating system does not hand out."""
    if isinstance(error, FileNotFoundError):
        return SourceError(f"{name}: there is no such file; check the path")
    if isinstance(error, IsADirectoryError):
        return SourceError(f"{name}: is a directory; name a file in it")
    if isinstance(error, PermissionError):
        return SourceError(f"{name}: may not be read; ask for permission to read it or copy it")
    return SourceError(f"{name}: cannot be read ({error.strerror or error}); check the disk or copy the file")


def raw(
    path: Path,
    name: str,
    *,
    compressed: bool,
    block: int = BLOCK,
    passed: Callable[[int], None] | None = None,
) -> Iterator[bytes]:
    """The file's bytes, decompressed, in blocks of `block` bytes, only the last one smaller.

    `passed` hears how many bytes of the file, as it lies on disk, have been handed out, when more of it is asked for.
    Raises SourceError where the file cannot be read, CutShort where its compression breaks.
    """
    try:
        with path.open("rb") as file:
            for data in _inflated(file, block) if compressed else iter(lambda: file.read(block), b""):
                yield data
                if passed is not None:
                    passed(file.tell())
    except OSError as error:
        raise unreadable(name, error) from error


def _inflated(file: BinaryIO, block: int) -> Iterator[bytes]:
    held = bytearray()
    try:
        with gzip.GzipFile(fileobj=file, mode="rb") as stream:
            # read1 hands out what there is: read would throw it away when it meets the break.
            while data := stream.read1(min(block, 1 << 18)):
                held += data
                if len(held) >= block:
                    yield bytes(held[:block])
                    del held[:block]
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        yield bytes(held)
        raise CutShort(str(error)) from error
    while held:
        yield bytes(held[:block])
        del held[:block]


def text(form: Form, *, block: int = BLOCK, passed: Callable[[int], None] | None = None) -> Iterator[bytes]:
    """The file in blocks of UTF-8 without BOM, in which no line is much longer than LONGEST_LINE.

    Bytes that the encoding does not know come out as bytes that are not UTF-8 either, so that the row they stand in can
    be told. Of a longer line the beginning is left, which is too long as well. `passed` as in `raw`, which says what is
    raised.
    """
    blocks = raw(form.path, form.name, compressed=form.compressed, block=block, passed=passed)
    if form.encoding != "utf-8":
        blocks = _transcoded(blocks, form)
    return _cropped(_without_bom(blocks))


def _transcoded(blocks: Iterator[bytes], form: Form) -> Iterator[bytes]:
    # Surrogates carry what cannot be decoded through to the other side, where they are no valid UTF-8.
    errors = "surrogatepass" if form.encoding.startswith(("utf-16", "utf-32")) else "surrogateescape"
    decoder = codecs.getincrementaldecoder(form.encoding)(errors)
    try:
        for data in blocks:
            parts = (data[at : at + _IN_CACHE] for at in range(0, len(data), _IN_CACHE))
            yield b"".join([decoder.decode(part).encode("utf-8", errors) for part in parts])
        yield decoder.decode(b"", final=True).encode("utf-8", errors)
    except UnicodeDecodeError as error:
        if error.end < len(error.object) or not form.encoding.startswith("utf-16"):
            raise SourceError(
                f"{form.name}: cannot be read as {form.encoding}; save it as UTF-8 or name its true encoding"
            ) from error
        yield b"\xff"  # half a character at the very end: damages the row it stands in


def _without_bom(blocks: Iterator[bytes]) -> Iterator[bytes]:
    head = b""
    for data in blocks:
        head += data
        if len(head) >= len(codecs.BOM_UTF8):
            break
    yield head.removeprefix(codecs.BOM_UTF8)
    yield from blocks


def _cropped(blocks: Iterator[bytes]) -> Iterator[bytes]:
    length = 0  # bytes so far of the line that goes on
    for data in blocks:
        found = _BREAK.search(data)
        room = max(0, LONGEST_LINE + 1 - length)
        if found is None:
            length += len(data)
            yield data[:room]
        else:
            length = len(data) - 1 - max(data.rfind(b"\n"), data.rfind(b"\r"))
            yield data if found.start() <= room else data[:room] + data[found.start() :]
