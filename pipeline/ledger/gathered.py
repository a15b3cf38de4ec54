"""Contacts by the million, given back in the order of their ids, while few of them are in memory."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

import polars as pl

from pipeline.ledger.private import writing

_HELD: Final = 1 << 16  # contacts in memory at once, or a few more

#: The ids are random: by their first two digits they come in so many parts of about the same size.
_STARTS: Final = pl.Series([f"{number:02x}" for number in range(256)])

_ROW: Final = 36 + 1 + 32 + 1  # bytes of a line of two texts
_SCHEMA: Final = pl.Schema({"contact_id": pl.String, "content": pl.String})

#: Of random ids the first eight digits are order enough, and as a number they are sorted four times as fast.
_KEY: Final = pl.col("contact_id").cast(pl.Binary).bin.head(8).bin.reinterpret(dtype=pl.UInt64, endianness="big")


class Gathered:
    """Takes contact_id and content, both as in the ledger and never null.

    What is too much to hold lies, sorted by the hundred thousand, in a file without a name in `directory`: 70 bytes
    each. Raises MachineFailed where that cannot be written.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._held: list[pl.DataFrame] = []
        self._count = 0  # contacts held
        self._file: IO[bytes] | None = None
        self._end = 0  # contacts in the file
        self._runs: list[list[int]] = []  # of each that was sorted by itself, where the parts begin and the last ends

    def __enter__(self) -> "Gathered":
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, contacts: pl.DataFrame) -> None:
        """Take some more."""
        self._held.append(contacts.select(_SCHEMA.names()))
        self._count += contacts.height
        if self._count >= _HELD:
            with writing(self._directory / "contacts"):
                self._put_away()

    def take(self) -> Iterator[pl.DataFrame]:
        """All that were added, in order of their ids, and those of one id as they came; they are gathered no more."""
        if self._file is not None and self._end:
            with writing(self._directory / "contacts"):
                self._put_away()
                yield from self._merged(self._file)
                self._file.truncate(0)
        elif self._held:
            yield self._sorted()
        self._runs, self._end = [], 0

    def _sorted(self) -> pl.DataFrame:
        held, self._held, self._count = pl.concat(self._held), [], 0
        return held.sort(_KEY, maintain_order=True)

    def _put_away(self) -> None:
        if not self._held:
            return
        contacts = self._sorted()
        if self._file is None:
            self._file = tempfile.TemporaryFile(buffering=0, dir=self._directory)  # noqa: SIM115 - see __exit__
        self._file.seek(self._end * _ROW)
        contacts.write_csv(self._file, include_header=False)
        starts = contacts["contact_id"].search_sorted(_STARTS, "left").to_list()
        self._runs.append([self._end + start for start in [*starts, contacts.height]])
        self._end += contacts.height
        assert self._file.tell() == self._end * _ROW

    def _merged(self, file: IO[bytes]) -> Iterator[pl.DataFrame]:
        step = max(1, len(_STARTS) * _HELD // self._end)  # parts that are held at once
        given = 0
        for part in range(0, len(_STARTS), step):
            texts = []
            for run in self._runs:
                start, stop = run[part], run[min(part + step, len(_STARTS))]
                file.seek(start * _ROW)
                texts.append(file.read((stop - start) * _ROW))
            if text := b"".join(texts):
                contacts = pl.read_csv(text, has_header=False, schema=_SCHEMA).sort(_KEY, maintain_order=True)
                given += contacts.height
                yield contacts
        assert given == self._end, "none may be lost on the way"
