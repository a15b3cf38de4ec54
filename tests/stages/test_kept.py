"""A kept walk: the next ones give the same, whatever the disk does, and nothing of it can be seen in the directory."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pipeline.errors import SourceError
from pipeline.records import CONTACTS_SCHEMA, Batch, Screened
from pipeline.stages import kept as module
from pipeline.stages.kept import Kept


def batch(start: int, height: int) -> Batch:
    column = pl.Series("name", [f"{start + row}" for row in range(height)], dtype=pl.String)
    nothing = pl.Series([None] * height, dtype=pl.String)
    return Batch("list.csv", start, start + 1, column.to_frame(), nothing.cast(pl.UInt64), nothing)


def screened(start: int, rows: list[dict[str, Any]]) -> Screened:
    empty = dict.fromkeys(CONTACTS_SCHEMA.names()) | {"warnings": [], "fields": []}
    return Screened(batch(start, len(rows)), pl.DataFrame([empty | row for row in rows], schema=CONTACTS_SCHEMA))


WALK = [
    screened(
        0, [{"key": "Zoë\n", "sms": "+14165550100", "fields": ["", "a"]}, {"status": "invalid", "warnings": [""]}]
    ),
    screened(2, [{}, {}, {}]),
    screened(5, [{"key": "", "email_text": "x" * 100_000}]),
]


def kept(directory: Path, walk: list[Screened] = WALK, rows: int = 10) -> Kept:
    whole = Kept()
    given = list(whole.keeping(iter(walk), directory, rows=rows))
    assert given == walk
    return whole


def test_a_kept_walk_is_the_same_in_any_order_and_any_number_of_times(tmp_path: Path) -> None:
    again = kept(tmp_path)
    assert again.whole
    for each in [*WALK, *WALK[::-1]]:
        made = again.screen(each.batch)
        assert made.batch is each.batch
        assert made.contacts.schema == CONTACTS_SCHEMA
        assert made.contacts.equals(each.contacts)


def test_its_batches_are_those_of_the_walk_without_what_is_in_them(tmp_path: Path) -> None:
    again = kept(tmp_path)
    for _ in range(2):
        bare = list(again.batches())
        places = [(each.source, each.start, each.row, each.stop, each.lines.len(), each.damage.len()) for each in bare]
        assert places == [
            (each.source, each.start, each.row, each.stop, each.frame.height, each.frame.height)
            for each in (screened.batch for screened in WALK)
        ]
        for each, given in zip(bare, WALK, strict=True):
            assert again.screen(each).contacts.equals(given.contacts)


def test_the_walk_is_had_again_without_its_source_but_for_the_cells(tmp_path: Path) -> None:
    lines = ([2, 3], [4, 7, 8], [None])
    walk = [
        replace(each, batch=replace(each.batch, lines=pl.Series(numbers, dtype=pl.UInt64)))
        for each, numbers in zip(WALK, lines, strict=True)
    ]
    for given, again in zip(walk, kept(tmp_path, walk).screened(), strict=True):
        assert again.contacts.equals(given.contacts)
        assert again.batch.lines.equals(given.batch.lines)
        assert again.batch.frame.columns == given.batch.frame.columns
        assert again.batch.frame.dtypes == [pl.Null]
        assert (again.batch.source, again.batch.row, again.batch.stop) == (
            "list.csv",
            given.batch.row,
            given.batch.stop,
        )


def test_it_may_be_cut_finer_than_the_walk(tmp_path: Path) -> None:
    again = kept(tmp_path, rows=2)
    bare = list(again.batches())
    assert [(each.start, each.row, each.stop) for each in bare] == [(0, 1, 2), (2, 3, 4), (4, 5, 5), (5, 6, 6)]
    made = pl.concat(again.screen(each).contacts for each in bare)
    assert made.equals(pl.concat(each.contacts for each in WALK))


def test_nothing_of_it_has_a_name(tmp_path: Path) -> None:
    again = kept(tmp_path)
    assert again.whole
    assert list(tmp_path.iterdir()) == []


def test_a_walk_that_is_broken_off_is_not_kept(tmp_path: Path) -> None:
    again = Kept()
    walk = again.keeping(iter(WALK), tmp_path, rows=10)
    next(walk)
    walk.close()  # type: ignore[attr-defined]
    assert not again.whole

    def broken() -> Iterator[Screened]:
        yield WALK[0]
        raise SourceError("list.csv: is cut short")

    with pytest.raises(SourceError):
        list(again.keeping(broken(), tmp_path, rows=10))
    assert not again.whole


def test_rows_that_stand_elsewhere_now_are_a_changed_source(tmp_path: Path) -> None:
    again = kept(tmp_path)
    for other in (batch(0, 1), batch(1, 1), batch(2, 4), batch(6, 1)):
        with pytest.raises(SourceError, match=r"^list\.csv: changed while it was read"):
            again.screen(other)


def test_without_a_place_to_keep_it_the_walk_goes_on(tmp_path: Path) -> None:
    assert not kept(tmp_path / "nowhere").whole


def test_a_full_disk_ends_the_keeping_and_not_the_walk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writes: list[pl.DataFrame] = []

    def write(contacts: pl.DataFrame, _: object) -> None:
        writes.append(contacts)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "_write", write)
    assert not kept(tmp_path).whole
    assert len(writes) == 1
