"""Reads ledger files back, a part at a time and in order."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import polars as pl

from pipeline.ledger.files import CSV, PARQUET
from pipeline.records import LEDGER_SCHEMA

_PART: Final = 1 << 15  # rows of a part
_BLOCK: Final = 4 << 20  # bytes of CSV read at once
_TEXT: Final = pl.Schema(dict.fromkeys(LEDGER_SCHEMA, pl.String))


def ledger_parts(run_dir: Path, columns: Sequence[str] = tuple(LEDGER_SCHEMA)) -> Iterator[pl.DataFrame] | None:
    """These columns of a run's ledger in order, from whichever file there is; None: there is none.

    Raises OSError, ValueError and polars' exceptions where the file is not a ledger.
    """
    if (run_dir / PARQUET).exists():
        return parquet_parts(run_dir / PARQUET, columns)
    if (run_dir / CSV).exists():
        return (typed(part).select(columns) for part in csv_parts(run_dir / CSV))
    return None


def parquet_parts(path: Path, columns: Sequence[str] = tuple(LEDGER_SCHEMA)) -> Iterator[pl.DataFrame]:
    """These columns of ledger.parquet in order."""
    frame = pl.scan_parquet(path)
    if (found := frame.collect_schema()) != LEDGER_SCHEMA:
        raise ValueError(f"{path.name} has other columns than a ledger: {', '.join(found)}")
    return iter(frame.select(columns).collect_batches(chunk_size=_PART, maintain_order=True, lazy=True))


def csv_parts(path: Path) -> Iterator[pl.DataFrame]:
    """ledger.csv in order, every cell as text; parts end where a row does, after a newline outside of quotes."""
    with path.open("rb") as file:
        header = file.readline().rstrip(b"\r\n").decode(errors="replace")
        if header != ",".join(LEDGER_SCHEMA):
            raise ValueError(f"{path.name} has other columns than a ledger: {header[:200]}")
        rest = b""
        while block := file.read(_BLOCK):
            rest += block
            cut = _row_end(rest)
            if cut:
                yield as_read(rest[:cut])
                rest = rest[cut:]
        if rest:
            yield as_read(rest)


def _row_end(data: bytes) -> int:
    cut = data.rfind(b"\n") + 1
    quotes = data.count(b'"', 0, cut)
    while cut and quotes % 2:
        before = data.rfind(b"\n", 0, cut - 1) + 1
        quotes -= data.count(b'"', before, cut)
        cut = before
    return cut


def as_read(data: bytes) -> pl.DataFrame:
    """Rows of ledger.csv without header, every cell as text."""
    return pl.read_csv(data, has_header=False, schema=_TEXT)


def typed(part: pl.DataFrame) -> pl.DataFrame:
    """Rows of ledger.csv, with the types of LEDGER_SCHEMA."""
    moment = pl.Datetime("ms", "UTC")
    return part.select(
        pl.col(name).str.to_datetime("%Y-%m-%dT%H:%M:%S%.3fZ", time_unit="ms", time_zone="UTC")
        if kind == moment
        else pl.col(name).fill_null("").str.split("; ").list.eval(pl.element().filter(pl.element() != ""))
        if isinstance(kind, pl.List)
        else pl.col(name).cast(kind)
        for name, kind in LEDGER_SCHEMA.items()
    )


class Rows:
    """Hands out a stream of frames in portions of any size."""

    def __init__(self, parts: Iterator[pl.DataFrame]) -> None:
        self._parts = parts
        self._rest: pl.DataFrame | None = None

    def take(self, number: int) -> pl.DataFrame:
        """The next `number` rows, fewer at the end."""
        rest = self._rest
        while rest is None or rest.height < number:
            part = next(self._parts, None)
            if part is None:
                break
            rest = part if rest is None else pl.concat([rest, part])
        if rest is None:
            return pl.DataFrame(schema=LEDGER_SCHEMA)
        self._rest = rest.slice(number)
        return rest.head(number)
