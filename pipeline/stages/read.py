"""The first stage: contact lists, CSV, Parquet or Excel, as batches of text with row and line numbers."""

import hashlib
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import anyio
import anyio.abc
import anyio.to_thread

from pipeline.errors import SourceError
from pipeline.ledger.resubmit import originals, restored
from pipeline.records import Batch
from pipeline.stages.sources import csv_file, csv_head, excel_file, parquet_file
from pipeline.stages.sources.csv_records import LONGEST_RECORD
from pipeline.stages.sources.csv_text import BLOCK, Form, unreadable
from pipeline.stages.sources.pieces import Piece, even

GZIP: Final = b"\x1f\x8b"
PARQUET: Final = b"PAR1"
_ENCRYPTED: Final = b"PARE"
ZIP: Final = b"PK\x03\x04"

#: Bytes that are hashed at once.
_HASHED: Final = 1 << 18


@dataclass(frozen=True, slots=True)
class Source:
    """A contact list that has been looked at: what it is, and how another file like it is written."""

    path: Path  # where it is read from
    name: str  # as the ledger names it: the path as the user gave it
    format: str  # "csv", "parquet" or "xlsx"
    columns: tuple[str, ...]  # in the file's order, without those that our own resubmit files add
    delimiter: str | None  # CSV: one character
    encoding: str | None  # CSV: name of a Python codec; byte order marks are not part of the text
    compressed: bool  # gzip
    rows: int | None  # where they are known without reading: Parquet
    size: int  # bytes on disk
    line_end: str | None = None  # CSV: "\n", "\r\n" or "\r": what most lines end with
    sheet: str | None = None  # Excel: name of the one sheet that is read


def open_source(
    path: Path,
    *,
    name: str | None = None,
    delimiter: str | None = None,
    encoding: str | None = None,
    sheet: str | None = None,
) -> Source:
    """Looks at the head of a file: its format (by content, not by name), its form, its columns.

    `delimiter` and `encoding` (of a CSV file) are guessed where they are not given; a byte order mark wins over
    `encoding`. `sheet` (of a workbook) must be given where more than one holds something. Raises SourceError.
    """
    name = str(path) if name is None else name
    try:
        _check_regular(path, name)
        with path.open("rb") as file:
            start = file.read(4)
        size = path.stat().st_size
    except OSError as error:
        raise unreadable(name, error) from error
    compressed = start.startswith(GZIP)
    if start == PARQUET:
        columns, rows = parquet_file.inspect(path, name)
        return Source(path, name, "parquet", _kept(columns, name), None, None, False, rows, size)
    if start == _ENCRYPTED:
        raise SourceError(f"{name}: is an encrypted Parquet file; write it without encryption")
    if start == ZIP:
        sheet, columns = excel_file.inspect(path, name, sheet)
        return Source(path, name, "xlsx", _kept(columns, name), None, None, False, None, size, sheet=sheet)
    form, columns = csv_head.inspect(path, name, compressed=compressed, delimiter=delimiter, encoding=encoding)
    return Source(
        path=path,
        name=name,
        format="csv",
        columns=_kept(columns, name),
        delimiter=form.delimiter,
        encoding=form.encoding,
        compressed=compressed,
        rows=None,
        size=size,
        line_end=form.line_end,
    )


def _check_regular(path: Path, name: str) -> None:
    """Raise SourceError where there is no file that can be read more than once; to open a pipe might wait for ever."""
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        raise SourceError(f"{name}: is a directory; name a file in it")
    if not stat.S_ISREG(mode):
        raise SourceError(
            f"{name}: is a pipe or a device, which can be read once only; give it on standard input, and - as its name"
        )


def fingerprint(source: Source, passed: Callable[[int], None] | None = None) -> str:
    """SHA-256 of the file's bytes as they lie on disk, in hex; `passed` hears of each block how many bytes it had.

    Raises SourceError.
    """
    digest, block = hashlib.sha256(), memoryview(bytearray(_HASHED))
    try:
        with source.path.open("rb", buffering=0) as file:
            while size := file.readinto(block):
                digest.update(block[:size])
                if passed is not None:
                    passed(size)
            return digest.hexdigest()
    except OSError as error:
        raise unreadable(source.name, error) from error


def batches(
    sources: Sequence[Source],
    *,
    batch_rows: int = 8192,
    limit: int | None = None,
    block: int = BLOCK,
    longest_cell: int = LONGEST_RECORD,
    passed: Callable[[int], None] | None = None,
) -> Iterator[Batch]:
    """The rows of all sources, in order. No batch spans two sources; all but the last of a source have `batch_rows`.

    Empty cells are null, quoted or not; blanks are kept. Blank lines are no rows, but count as lines. A row whose
    structure is broken is one row with `damage`; it keeps of its cells what could be read: missing ones are null,
    surplus ones are in the last column, joined by the delimiter. `limit`: the first so many rows of all.
    `block`: bytes read at once; `longest_cell`: bytes after which a quoted cell counts as not closed. `passed` hears
    now and then of how many bytes of the sources, as they lie on disk, the rows have been given, but for less than a
    batch, and for what is read ahead of a gzip.
    Raises SourceError, also midway: a file may turn out to be cut short.
    """
    tell: Callable[[int], None] = passed or (lambda _: None)
    if limit is not None and limit <= 0:
        return
    start, before = 0, 0
    for source in sources:
        row = 1

        def told(at: int, before: int = before) -> None:
            tell(before + at)

        pieces = even(_pieces(source, block=block, longest_cell=longest_cell, passed=told), batch_rows)
        for frame, lines, damage in pieces:
            left = frame.height if limit is None else min(frame.height, limit - start)
            batch = Batch(
                source=source.name,
                start=start,
                row=row,
                frame=frame.head(left),
                lines=lines.head(left),
                damage=damage.head(left),
            )
            start, row = start + left, row + left
            yield batch
            if start == limit:
                return
            if source.rows:
                told(source.size * min(row - 1, source.rows) // source.rows)
        before += source.size
        tell(before)


async def read(walk: Iterator[Batch], send: anyio.abc.ObjectSendStream[Batch]) -> None:
    """The stage: sends the batches of a walk and closes `send` at the end, however it ends.

    Files are read and parsed in a worker thread, one batch at a time. Raises SourceError, and what `send` raises where
    nobody receives any more.
    """
    async with send:
        while (batch := await anyio.to_thread.run_sync(next, walk, None)) is not None:
            await send.send(batch)


def _pieces(source: Source, *, block: int, longest_cell: int, passed: Callable[[int], None] | None) -> Iterator[Piece]:
    if source.format == "parquet":
        pieces = parquet_file.pieces(source.path, source.name)
    elif source.format == "xlsx":
        assert source.sheet is not None
        pieces = excel_file.pieces(source.path, source.name, source.sheet, passed)
    else:
        form = Form(
            path=source.path,
            name=source.name,
            compressed=source.compressed,
            encoding=source.encoding or "utf-8",
            delimiter=source.delimiter or ",",
            line_end=source.line_end or "\n",
        )
        pieces = csv_file.pieces(form, block=block, longest=longest_cell, passed=passed)
    for frame, lines, damage in pieces:
        if tuple(frame.columns) == source.columns:
            yield Piece(frame, lines, damage)
            continue
        kept = _kept(frame.columns, source.name)
        if kept != source.columns:
            raise SourceError(f"{source.name}: its columns changed while it was read; start again")
        frame, unmended = restored(frame)
        yield Piece(frame, lines, damage.zip_with(damage.is_not_null(), unmended))


def _kept(columns: Sequence[str], name: str) -> tuple[str, ...]:
    """The columns without those of our own resubmit files, and as the source of such a file had them."""
    kept = tuple(originals(columns).values())
    if not kept:
        raise SourceError(f"{name}: has no columns but {', '.join(columns)}; export the list again")
    if len(set(kept)) < len(kept):
        raise SourceError(f"{name}: two columns differ by an apostrophe alone; give each column its own name")
    return kept
