"""Assembles the files that people read from the source, walked and screened once more, and the journal.

They are a function of these two alone and can be made again at any time. Rows pass through a batch at a time, in the
order of the source, so memory does not grow with the file.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Final

import polars as pl
from polars.io.plugins import register_io_source

from pipeline.config import ContactsSettings, LedgerSettings
from pipeline.ledger.masking import masked
from pipeline.ledger.private import replacing, writing
from pipeline.ledger.recovery import Recovery
from pipeline.ledger.resubmit import DEFAULT_FORM, Form, ResubmitWriter
from pipeline.records import CHANNELS, LEDGER_SCHEMA, WAS_UPDATED, Batch, Screened, Status, told_apart
from pipeline.template import template_columns

#: Names of the files within the run directory.
PARQUET: Final = "ledger.parquet"
CSV: Final = "ledger.csv"
RESUBMIT: Final = "resubmit.csv"

#: How many reasons and codes a tally names; what is beyond is counted under OTHERS.
NAMED: Final = 1000
OTHERS: Final = "(others)"

#: Why a row is pending that no run has begun to send.
NOT_ATTEMPTED: Final = "not attempted yet"

_COUNTED: Final = 10 * NAMED  # different texts that are told apart while counting
_ZSTD: Final = 1  # of ids and hashes the usual level 3 makes a larger file, and takes twice as long
_ROW_GROUP: Final = 1 << 15  # rows of a row group in the Parquet file: they are held, and a footer of each group


@dataclass(frozen=True, slots=True)
class Tally:
    """What a ledger holds, counted."""

    rows: int
    counts: dict[str, int]  # rows by status, all nine of them
    reasons: dict[str, int]  # rows by reason, the most frequent first
    codes: dict[str, int]  # rows by the target's last code, the most frequent first


def write_ledger(
    run_dir: Path,
    screened: Iterable[Screened],
    recovery: Recovery | None,
    settings: LedgerSettings,
    contacts: ContactsSettings,
    *,
    form: Form = DEFAULT_FORM,
    read_again: Callable[[Batch], Batch] = lambda batch: batch,
    observe: Callable[[pl.DataFrame], None] | None = None,
    erase: Callable[[pl.DataFrame], tuple[pl.Series, pl.DataFrame]] | None = None,
) -> Tally:
    """Write ledger.parquet, ledger.csv (as `settings` ask) and resubmit.csv into `run_dir`, and count what is in them.

    `screened` is every batch of the input in order, from position 0; it is pulled one batch at a time, perhaps from
    another thread than the caller's, and there `observe` is called with every part of the ledger (LEDGER_SCHEMA,
    nothing masked). `recovery` is the journal; None: nothing was sent, every row that could be is pending. `form` is
    how resubmit.csv is written; `read_again` gives a batch with its cells, where `screened` has them without, and is
    asked in order for those that have rows to mend. `erase` gives which rows were erased, and all of them without what
    tells whose those are: the list holds them still. The files are put in place together at the end; if anything fails
    those that were there stay. Raises what `screened` raises, and MachineFailed where a file cannot be written.
    """
    counting = _Counting()
    destinations = frozenset(
        name for channel in contacts.channels.values() for name in template_columns(channel.destination)
    )
    with ExitStack() as stack:
        parquet, table = (
            stack.enter_context(replacing(run_dir / name)) if kind in settings.formats else None
            for kind, name in (("parquet", PARQUET), ("csv", CSV))
        )
        part = stack.enter_context(replacing(run_dir / RESUBMIT))
        with writing(run_dir / RESUBMIT):
            resubmit = ResubmitWriter(part, form, read_again, hidden=destinations if settings.mask else frozenset())
        stack.callback(resubmit.close)
        text = stack.enter_context(_begun_csv(table, run_dir / CSV)) if table else None
        hidden = [*CHANNELS, *["key"] * (not destinations.isdisjoint(contacts.key))] if settings.mask else []

        def assembled() -> Iterator[pl.DataFrame]:
            for batch in screened:
                rows = assemble(batch, recovery)
                counting.add(rows)
                if observe is not None:
                    observe(rows)
                status = rows["status"]
                if erase is not None:
                    erased, rows = erase(rows)
                    status = status.set(erased, None)  # in no file that a person is to mend
                with writing(run_dir / RESUBMIT):
                    resubmit.add(batch, status, rows["reason"])
                rows = rows.with_columns(masked(pl.col(name)) for name in hidden)
                if text:
                    with writing(run_dir / CSV):
                        rows.select(as_text()).write_csv(text, include_header=False)
                yield rows

        if parquet:
            sink_parquet(assembled(), LEDGER_SCHEMA, parquet, run_dir / PARQUET)
        else:
            for _ in assembled():
                pass
        with writing(run_dir / RESUBMIT):
            resubmit.finish()
    return counting.tally()


def sink_parquet(frames: Iterator[pl.DataFrame], schema: pl.Schema, part: Path, path: Path) -> None:
    """Write `part`, which is to become the Parquet file `path`, from a stream of frames: polars asks for the next one,
    perhaps from a thread of its own, when it has taken the last. Raises what `frames` raises, and MachineFailed.
    """
    failure: list[Exception] = []

    def watched(*_: object) -> Iterator[pl.DataFrame]:
        try:
            yield from frames
        except Exception as error:
            failure.append(error)
            raise

    try:
        register_io_source(watched, schema=schema).sink_parquet(
            part, compression="zstd", compression_level=_ZSTD, row_group_size=_ROW_GROUP
        )
    except (OSError, pl.exceptions.ComputeError) as error:
        if failure:  # not of the disk: the stream itself broke off
            raise failure[0] from None
        with writing(path):
            raise OSError(re.sub(r" \(os error \d+\)$", "", str(error))) from None


def _begun_csv(part: Path, path: Path) -> FileIO:
    # Without a buffer: closing it after a failed write does not fail a second time.
    with writing(path):
        text = part.open("wb", buffering=0)
        text.write(pl.DataFrame(schema=LEDGER_SCHEMA).select(as_text()).write_csv().encode())
    return text


def assemble(screened: Screened, recovery: Recovery | None) -> pl.DataFrame:
    """A batch's rows of the ledger (LEDGER_SCHEMA): settled by screening, else as the journal says, else pending."""
    batch = screened.batch
    first, height = batch.start, batch.frame.height
    rows = screened.contacts.with_columns(
        pl.lit(batch.source).alias("source"),
        pl.int_range(batch.row, batch.row + height, dtype=pl.UInt64).alias("row"),
        batch.lines.cast(pl.UInt64).alias("line"),
        pl.int_range(first, first + height, dtype=pl.UInt64).alias("position"),
    )
    told = ("code", "attempts", "sent_at", "settled_at", "latency_ms")
    standing = recovery.standing(first, first + height) if recovery else None
    if standing is None or standing.is_empty():
        rows = rows.with_columns(pl.lit(None).alias(name) for name in told)
    else:
        rows = rows.join(standing, on="position", how="left", maintain_order="left", suffix="_told")
        open_ = pl.col("status").is_null()
        rows = rows.with_columns(
            pl.coalesce("status", "status_told").alias("status"),
            pl.when(open_).then("reason_told").otherwise("reason").alias("reason"),
            *(pl.when(open_).then(name).alias(name) for name in told),
        )
        assert recovery is not None
        changed = recovery.changed(first, first + height)
        if len(changed):
            updated = pl.col("position").is_in(changed.implode()) & (pl.col("status") == Status.ACCEPTED.value)
            remark = pl.when(updated).then(pl.lit(WAS_UPDATED))
            rows = rows.with_columns(pl.concat_list("warnings", remark).list.drop_nulls().alias("warnings"))
    rows = rows.with_columns(
        pl.when(pl.col("status").is_null()).then(pl.lit(NOT_ATTEMPTED)).otherwise("reason").alias("reason"),
        pl.col("status").fill_null(Status.PENDING.value),
        pl.col("attempts").fill_null(0),
    )
    return rows.select(pl.col(name).cast(kind) for name, kind in LEDGER_SCHEMA.items())


def as_text() -> list[pl.Expr]:
    """The ledger's columns as they stand in ledger.csv: no lists, moments as `2026-11-22T14:00:00.000Z`."""
    moments = {name: pl.col(name).map_batches(_moments, pl.String) for name in ("sent_at", "settled_at")}
    exprs = {name: pl.col(name) for name in LEDGER_SCHEMA} | {"warnings": pl.col("warnings").list.join("; ")}
    return list((exprs | moments).values())


def _moments(column: pl.Series) -> pl.Series:
    # Many rows share a millisecond, and to spell one out takes ten times as long as to find it among the others.
    different = column.unique()
    texts = different.dt.strftime("%Y-%m-%dT%H:%M:%S%.3fZ")
    return column.replace_strict(different, texts, return_dtype=pl.String) if len(column) else texts


class _Counting:
    """Counts a ledger as it passes by; texts without number (a target may put an id into every reason) stay bounded."""

    def __init__(self) -> None:
        self._counters: dict[str, Counter[str]] = {name: Counter() for name in ("status", "reason", "code")}

    def add(self, rows: pl.DataFrame) -> None:
        for name, counter in self._counters.items():
            texts = pl.col(name) if name != "reason" else told_apart(pl.col(name))
            counts = rows.select(texts).to_series().drop_nulls().value_counts()
            for text, number in counts.iter_rows():
                counter[text if text in counter or len(counter) < _COUNTED else OTHERS] += number

    def tally(self) -> Tally:
        by_status = self._counters["status"]
        counts = {status.value: by_status[status.value] for status in Status}
        return Tally(sum(counts.values()), counts, _named(self._counters["reason"]), _named(self._counters["code"]))


def _named(counter: Counter[str]) -> dict[str, int]:
    others = counter.pop(OTHERS, 0)
    ranked = sorted(counter.items(), key=lambda item: (-item[1], item[0]))
    named = dict(ranked[:NAMED])
    if others := others + sum(number for _, number in ranked[NAMED:]):
        named[OTHERS] = others
    return named
