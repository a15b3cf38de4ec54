"""An Excel workbook as the archive that it is: its sheets, whether it is safe to read, and which cells hold errors.

The reader of cells lays a sheet out as a full rectangle in memory and leaves out error values. So before it is let at a
workbook, sizes are counted here, byte by byte and not as the file tells them, and errors are found here.
"""

import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from pipeline.errors import SourceError
from pipeline.stages.sources.csv_text import unreadable

if TYPE_CHECKING:
    from lxml import etree

#: Bytes that a workbook may unpack to, all of its parts together.
LARGEST: Final = 2 << 30

#: Cells that a sheet may have room for, from the first to the last one used: some 30 bytes each while it is read.
CELLS: Final = 50_000_000

#: Bytes that are unpacked at once, and at most for what tells of the sheets.
_BLOCK: Final = 1 << 20
_PLAN: Final = 16 << 20

_WORKBOOK: Final = "xl/workbook.xml"
_RELATIONS: Final = "xl/_rels/workbook.xml.rels"

#: In a cell: its place, its value, and that it is an error.
_PLACE: Final = re.compile(rb"""\sr\s*=\s*["']([A-Za-z]+)([0-9]+)["']""")
_VALUE: Final = re.compile(rb"<(?:\w+:)?(?:v|t)[\s>]")
_ERROR: Final = re.compile(
    rb"""<(?:\w+:)?c(?=\s)(?=[^>]*\st\s*=\s*["']e["'])[^>]*\sr\s*=\s*["']([A-Za-z]+)([0-9]+)["'][^>]*>"""
    rb"""(?:<(?:\w+:)?f(?:\s[^>]*)?(?:/>|>[^<]*</(?:\w+:)?f>))?<(?:\w+:)?v(?:\s[^>]*)?>([^<]*)<"""
)


class Sheet(NamedTuple):
    """One sheet of cells, in the workbook's order."""

    name: str
    visible: bool
    filled: bool = False  # a cell of it holds something
    rows: int = 0  # down to the last cell, counted from the sheet's first row
    columns: int = 0


def sheets(path: Path, name: str) -> list[Sheet]:
    """The sheets of a workbook that is safe to read. Unpacks all of it once. Raises SourceError."""
    with _opened(path, name) as archive:
        members = _members(archive, name)
        size = 0
        for info in archive.infolist():
            for data in _blocks(archive, info):
                size += len(data)
                if size > LARGEST:
                    raise SourceError(
                        f"{name}: unpacks to more than {LARGEST >> 30} GB; save the sheet as CSV UTF-8, or split it"
                    )
                if info.filename in members:
                    members[info.filename] = _seen(members[info.filename], data)
        return list(members.values())


def _seen(sheet: Sheet, data: bytes) -> Sheet:
    """What is known of a sheet when some more of it was looked at."""
    filled = sheet.filled or _VALUE.search(data) is not None
    found = _PLACE.findall(data)
    if not found:
        return sheet._replace(filled=filled)
    letters, digits = zip(*found, strict=True)
    rows, columns = max(map(int, digits)), max(map(_column, set(letters)))
    return sheet._replace(filled=filled, rows=max(sheet.rows, rows), columns=max(sheet.columns, columns))


def errors(path: Path, name: str, sheet: str) -> dict[tuple[int, int], str]:
    """The cells of `sheet` that hold an error value, by row and column from 0, as Excel shows them: "#N/A"."""
    found: dict[tuple[int, int], str] = {}
    with _opened(path, name) as archive:
        member = next(member for member, each in _members(archive, name).items() if each.name == sheet)
        for data in _blocks(archive, archive.getinfo(member)):
            if b'"e"' in data or b"'e'" in data:  # there are few, and the whole expression is slow
                for letters, digits, text in _ERROR.findall(data):
                    found[int(digits) - 1, _column(letters) - 1] = text.decode("utf-8", "replace")
    return found


@contextmanager
def _opened(path: Path, name: str) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if _WORKBOOK not in names:
                raise SourceError(f"{name}: {_foreign(names)}")
            yield archive
    except OSError as error:
        raise unreadable(name, error) from error
    # What zipfile raises at damaged archives, encrypted members (RuntimeError) and compressions that it does not know.
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, KeyError, ValueError) as error:
        raise damaged(name) from error


def damaged(name: str) -> SourceError:
    """What to tell a person about a workbook that cannot be read."""
    return SourceError(
        f"{name}: this Excel workbook, or ZIP archive, is incomplete or damaged; fetch it again, or save the sheet as "
        "CSV UTF-8"
    )


def _foreign(names: list[str]) -> str:
    if "xl/workbook.bin" in names:
        return "is a binary Excel workbook (.xlsb); save it as .xlsx, or the sheet as CSV UTF-8"
    if "mimetype" in names and "content.xml" in names:
        return "is an OpenDocument file; save it as .xlsx, or the sheet as CSV UTF-8"
    return "is a ZIP archive; unpack it"


def _members(archive: zipfile.ZipFile, name: str) -> dict[str, Sheet]:
    """The sheets by the part of the archive that holds their cells. Charts and macros are none."""
    targets = {}
    for relation in _tree(archive, _RELATIONS):
        if str(relation.get("Type")).endswith("/worksheet"):
            target = str(relation.get("Target"))
            targets[relation.get("Id")] = target.removeprefix("/") if target.startswith("/") else f"xl/{target}"
    found: dict[str, Sheet] = {}
    for element in _tree(archive, _WORKBOOK).iter("{*}sheet"):
        identity = next((value for key, value in element.items() if str(key).endswith("}id")), None)
        if identity in targets:
            visible = element.get("state", "visible") == "visible"
            found[targets[identity]] = Sheet(str(element.get("name")), visible)
    if not found:
        raise SourceError(f"{name}: has no sheet with cells; save the list as .xlsx or CSV UTF-8")
    return found


def _tree(archive: zipfile.ZipFile, member: str) -> "etree._Element":
    from lxml import etree

    with archive.open(member) as file:
        content = file.read(_PLAN + 1)
    if len(content) > _PLAN:
        raise ValueError(member)
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        return etree.fromstring(content, parser)
    except etree.XMLSyntaxError as error:
        raise ValueError(member) from error


def _blocks(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Iterator[bytes]:
    """A part of the archive, unpacked; where there are cells a block ends with the end of one."""
    info.file_size = LARGEST + 1  # what the archive says of it may be a lie, behind which there is more
    held = b""
    with archive.open(info) as file:
        while data := file.read(_BLOCK):
            held += data
            stop = held.rfind(b"c>") + 2
            if stop < 2:
                stop = len(held)
            yield held[:stop]
            held = held[stop:]
    if held:
        yield held


def _column(letters: bytes) -> int:
    """The number of a column, from 1: A, B, ..., Z, AA."""
    number = 0
    for letter in letters.upper():
        number = number * 26 + letter - 64
    return number
