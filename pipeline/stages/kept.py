"""What screening made of the whole input, kept by one walk for those that follow it in the same run."""

import os
import tempfile
import weakref
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from threading import Lock
from typing import IO, Final, NamedTuple

import polars as pl

from pipeline.errors import MachineFailed, SourceError
from pipeline.records import CONTACTS_SCHEMA, Batch, Screened

_LINE: Final = "line"  # where each row starts
_SCHEMA: Final = pl.Schema([*CONTACTS_SCHEMA.items(), (_LINE, pl.UInt64)])


class Kept:
    """The contacts of a walk that came to its end; screens as that walk did, at a tenth of the cost.

    They lie in a file without a name, which nobody else can open, and which is gone with the process however that ends:
    some 250 bytes a row. It is a cache alone: where the disk does not take it every walk screens anew.
    """

    def __init__(self) -> None:
        self._file: IO[bytes] | None = None
        self._places: dict[int, _Place] = {}  # by position of the first row
        self._reading = Lock()

    @property
    def whole(self) -> bool:
        """Whether a walk was kept."""
        return self._file is not None

    def keeping(self, walk: Iterator[Screened], directory: Path, *, rows: int) -> Iterator[Screened]:
        """The walk as it is, kept in `directory` when it has come to its end, in batches of at most `rows`."""
        try:
            file = tempfile.TemporaryFile(buffering=0, dir=directory)  # noqa: SIM115 - it is to stay open
        except OSError:
            yield from walk
            return
        weakref.finalize(self, file.close)
        places: dict[int, _Place] = {}
        seen: dict[tuple[str, ...], tuple[str, ...]] = {}
        end = 0
        for screened in walk:
            if not file.closed:
                try:
                    batch = screened.batch
                    contacts = screened.contacts.with_columns(batch.lines.alias(_LINE))
                    columns = tuple(batch.frame.columns)
                    columns = seen.setdefault(columns, columns)
                    for at in range(0, contacts.height, rows):
                        part = contacts[at : at + rows]
                        _write(part, file)
                        start, end = end, file.seek(0, os.SEEK_END)
                        place = _Place(start, end - start, batch.source, batch.row + at, part.height, columns)
                        places[batch.start + at] = place
                except (OSError, pl.exceptions.ComputeError):
                    file.close()
            yield screened
        if not file.closed:
            self._file, self._places = file, places

    def batches(self) -> Iterator[Batch]:
        """The batches that were kept, for those that ask of them only which rows they are: nothing is read again.

        Their frames have the columns, which are of nulls, not of text; lines and damage are null.
        """
        for start, place in self._places.items():
            nothing = pl.Series([None], dtype=pl.String).new_from_index(0, place.height)
            frame = pl.DataFrame([nothing.cast(pl.Null).alias(name) for name in place.columns])
            yield Batch(place.source, start, place.row, frame, nothing.cast(pl.UInt64), nothing)

    def screened(self) -> Iterator[Screened]:
        """The walk as it was, but for cells and damage: these are null, and nothing is read of the source.

        Raises MachineFailed.
        """
        for batch in self.batches():
            contacts, lines = self._taken(batch)
            yield Screened(replace(batch, lines=lines), contacts)

    def screen(self, batch: Batch) -> Screened:
        """A batch as the walk that was kept had settled it; it has to be cut as that walk was kept.

        Raises SourceError where there was no such batch: the source is another one now. Raises MachineFailed.
        """
        return Screened(batch, self._taken(batch)[0])

    def _taken(self, batch: Batch) -> tuple[pl.DataFrame, pl.Series]:
        """The contacts of a batch, and its lines."""
        assert self._file is not None
        place = self._places.get(batch.start)
        if place is None or place.height != batch.frame.height:
            raise SourceError(f"{batch.source}: changed while it was read; start again")
        try:
            with self._reading:
                self._file.seek(place.offset)
                packed = self._file.read(place.length)
        except OSError as error:
            raise MachineFailed(
                f"{batch.source}: what was made of it cannot be read again: {error.strerror or error}. Mend the disk of"
                " the run directory, and resume"
            ) from None
        return _read(packed)


class _Place(NamedTuple):
    """Where the contacts of a batch lie in the file, and which batch it is."""

    offset: int
    length: int
    source: str
    row: int
    height: int
    columns: tuple[str, ...]


def _write(contacts: pl.DataFrame, file: IO[bytes]) -> None:
    """Write the columns that hold anything: one of nulls would take eight bytes a row."""
    frame = pl.DataFrame([column for column in contacts if column.null_count() < len(column)])
    frame.write_ipc_stream(file, compression="uncompressed", compat_level=pl.CompatLevel.oldest())


def _read(packed: bytes) -> tuple[pl.DataFrame, pl.Series]:
    frame = pl.read_ipc_stream(BytesIO(packed)).match_to_schema(_SCHEMA, missing_columns="insert")
    return frame.drop(_LINE), frame[_LINE]
