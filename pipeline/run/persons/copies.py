"""What a run directory holds of its list in the list's own words: the resubmit file, and a spooled standard input."""

import gzip
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO

import msgspec
import polars as pl

from pipeline.config import ContactsSettings
from pipeline.ledger.erased import Erased
from pipeline.ledger.lines import Header, encode, sight
from pipeline.ledger.private import replacing, write_private, writing
from pipeline.ledger.rundirectory import RunDirectory
from pipeline.run.persons.resubmitted import Resubmitted
from pipeline.run.recorded import record, recorded_sources
from pipeline.run.standard_input import NAME
from pipeline.stages.read import Source, batches, fingerprint, open_source

#: What stands in place of each byte that could tell of a person.
_FILL = ord("x")

#: Encodings in which these bytes, and no others, are what they are in ASCII: others cannot be overwritten in place.
_PLAIN = ("utf-8", "utf_8", "utf-8-sig", "utf_8_sig", "ascii", "latin-1", "iso-8859-1", "cp1252", "windows-1252")

_LEFT = (
    "its copy of standard input, {name}, still holds the persons: {why}. Delete that file (the run can no longer be "
    "resumed, verified or undone then), or prune the run"
)
_OTHER = "it is not the file that the run has read, so what is whose in it cannot be told"
_FORM = "it is written in a way in which a row cannot be overwritten without harm to others"
_WORKBOOK = "it is a workbook, which is never rewritten"


class _Unsafe(Exception):
    """Overwriting would change more than the rows it is meant for."""


def rows_told(directory: RunDirectory, asked: pl.DataFrame, contacts: ContactsSettings) -> set[tuple[str, int]]:
    """Rows (source, row) that hold one of those who are `asked` for (see `Questions.table`) in whatever cell, in the
    copies that a run has of its list; blocks. National numbers are read as those of `contacts`.
    """
    told: set[tuple[str, int]] = set()
    theirs = Resubmitted(asked, contacts)
    if directory.resubmit.exists():
        told |= theirs.rows_told(directory.resubmit)
    if directory.stdin.exists():
        for batch in batches([_spooled(directory)]):
            told.update((NAME, batch.row + at) for at in theirs.holding(batch.frame).arg_true())
    return told


def overwrite(directory: RunDirectory, erased: Erased) -> tuple[str, ...]:
    """Overwrite the rows that were erased in the copy of standard input, so that every row stays where it is: of a CSV
    byte for byte, within gzip too; of a Parquet file every cell becomes null. Blocks. What could not be done, in words.

    The run is bound to that file by its fingerprint, which stands in run.toml and in the heads of the journals: it is
    put right there. A fingerprint that neither the run nor the mark knows is never put right: somebody else has changed
    the file. Raises MachineFailed, OSError.
    """
    mine = erased.rows.filter(pl.col("source") == NAME)["row"].to_list()
    if not directory.stdin.exists() or not mine:
        return ()
    source = _spooled(directory)
    header = _header(directory.journal)
    recorded = next(each.fingerprint for each in header.sources if each.name == NAME)
    before = fingerprint(source)
    if before not in (recorded, erased.spooled):
        return (_LEFT.format(name=directory.stdin.name, why=_OTHER),)
    if source.format == "xlsx":
        return (_LEFT.format(name=directory.stdin.name, why=_WORKBOOK),)
    try:
        with replacing(directory.stdin) as part, writing(directory.stdin):
            if source.format == "parquet":
                _nullify(source, part, mine)
            else:
                _copy(source, part, _spans(source, set(mine)))
            changed = replace(source, path=part)
            _check(source, changed, set(mine))
            after = fingerprint(changed)
            # From here on the mark knows the file that is about to take the place of the one before.
            replace(erased, spooled=after, original=erased.original or recorded).write(directory.path)
    except _Unsafe:
        return (_LEFT.format(name=directory.stdin.name, why=_FORM),)
    for folder in (directory.undo, directory):
        if folder.journal.exists():
            _bind(folder.journal, after)
    digest = next(table["sha256"] for table in record(directory)["source"] if table["name"] == NAME)
    text = directory.settings.read_text(encoding="utf-8").replace(digest, after)
    write_private(directory.settings, text.encode())
    return ()


def _spooled(directory: RunDirectory) -> Source:
    sources, _ = recorded_sources(directory)
    return next(source for source in sources if source.name == NAME)


def _header(journal: Path) -> Header:
    with journal.open("rb") as file:
        header = sight(file.readline().removesuffix(b"\n"))
    assert isinstance(header, Header), "whoever listed the run has looked at it"
    return header


def _bind(journal: Path, after: str) -> None:
    """Put another fingerprint of standard input into the head of a journal, which stays as long as it is: the offsets
    in its lines hold.
    """
    header = _header(journal)
    sources = tuple(
        msgspec.structs.replace(each, fingerprint=after) if each.name == NAME else each for each in header.sources
    )
    line = encode(msgspec.structs.replace(header, sources=sources))
    with journal.open("rb") as file, replacing(journal) as part, writing(journal):
        if len(file.readline()) != len(line):
            raise ValueError(f"{journal.name} cannot be bound to the list anew: its head would have another length")
        with part.open("wb") as new:
            new.write(line)
            shutil.copyfileobj(file, new, 1 << 20)


def _spans(source: Source, rows: set[int]) -> Iterator[tuple[int, int | None]]:
    """The lines, from 1, on which each of these rows starts, and the next row does; None: it is the last."""
    start: int | None = None
    for batch in batches([source]):
        for row, line in enumerate(batch.lines, batch.row):
            if start is not None:
                yield start, line
            start = line if row in rows else None
    if start is not None:
        yield start, None


def _copy(source: Source, part: Path, spans: Iterator[tuple[int, int | None]]) -> None:
    """A CSV, whose cells in these lines are overwritten. Raises _Unsafe where bytes are no characters in it."""
    if (source.encoding or "utf-8").lower() not in _PLAIN:
        raise _Unsafe
    kept = {*(source.delimiter or ",").encode(), *b'"\r\n'}
    table = bytes(byte if byte in kept else _FILL for byte in range(256))
    span = next(spans, None)
    with _opened(source, source.path, "rb") as old, _opened(source, part, "wb") as new:
        for number, line in enumerate(old, 1):
            while span is not None and span[1] is not None and number >= span[1]:
                span = next(spans, None)
            new.write(line.translate(table) if span is not None and number >= span[0] else line)


@contextmanager
def _opened(source: Source, path: Path, mode: str) -> Iterator[IO[bytes] | gzip.GzipFile]:
    """A file that is written like `source`, as its text."""
    with path.open(mode) as file:
        if not source.compressed:
            yield file
            return
        # The head of gzip would hold a name and a moment otherwise.
        with gzip.GzipFile("", mode, 6, file, mtime=0) as text:
            yield text


def _nullify(source: Source, part: Path, rows: list[int]) -> None:
    """A Parquet file, in whose rows of these numbers, from 1, nothing stands; columns that we leave out are no less
    theirs.
    """
    columns = list(pl.read_parquet_schema(source.path))
    number = "_" * (1 + max(map(len, columns)))  # the name of none of them
    cells = pl.when(~pl.col(number).is_in(rows)).then(pl.exclude(number))
    scan = pl.scan_parquet(source.path, glob=False).with_row_index(number, offset=1)
    scan.with_columns(cells).drop(number).sink_parquet(part)
    if open_source(part, name=source.name).columns != source.columns:
        raise _Unsafe


def _check(before: Source, after: Source, rows: set[int]) -> None:
    """Raise _Unsafe unless both have the same rows on the same lines, and differ in these rows alone."""
    for old, new in zip(batches([before]), batches([after]), strict=False):
        kept = pl.Series([row not in rows for row in range(old.row, old.row + old.frame.height)], dtype=pl.Boolean)
        if (
            old.frame.height != new.frame.height
            or not old.lines.equals(new.lines)
            or not old.frame.filter(kept).equals(new.frame.filter(kept))
            or not old.damage.filter(kept).equals(new.damage.filter(kept))
        ):
            raise _Unsafe
    if sum(each.frame.height for each in batches([before])) != sum(each.frame.height for each in batches([after])):
        raise _Unsafe
