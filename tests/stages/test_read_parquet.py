"""Reading Parquet: every value as the text a person would have typed."""

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from pipeline.errors import SourceError
from pipeline.stages.read import batches, open_source


def texts(path: Path, values: Any, dtype: Any = None) -> list[str | None]:
    pl.DataFrame({"column": pl.Series(values, dtype=dtype)}).write_parquet(path)
    source = open_source(path)
    assert source.columns == ("column",)
    assert source.rows == len(values)
    found: list[str | None] = []
    for batch in batches([source], batch_rows=2):
        assert batch.frame.schema == {"column": pl.String}
        assert batch.lines.dtype == pl.UInt64
        assert batch.lines.null_count() == batch.frame.height == batch.damage.null_count()
        found += batch.frame["column"].to_list()
    return found


day = dt.date(2026, 1, 2)
noon = dt.datetime(2026, 1, 2, 12)  # noqa: DTZ001 - a file may hold times without zone
NOON_IN_TORONTO = "2026-01-02T12:00:00-05:00"


@pytest.mark.parametrize(
    ("values", "dtype", "expected"),
    [
        (["a", "", None, " b "], pl.String, ["a", None, None, " b "]),
        (["x", "y", "x", None], pl.Categorical, ["x", "y", "x", None]),
        (["x", None, "y"], pl.Enum(["x", "y"]), ["x", None, "y"]),
        ([b"\xc3\xa9", b"", None], pl.Binary, ["é", None, None]),
        ([15551234567, -1, None, 0], pl.Int64, ["15551234567", "-1", None, "0"]),
        ([2**64 - 1], pl.UInt64, ["18446744073709551615"]),
        ([2**100, None], pl.Int128, ["1267650600228229401496703205376", None]),
        ([4.16555e9, 1e300], pl.Float64, ["4165550000", "1e+300"]),
        (
            [15551234567.0, 2.5, None, float("nan"), -0.0, 0.1, 2.0**53 - 1],
            pl.Float64,
            ["15551234567", "2.5", None, None, "0", "0.1", "9007199254740991"],
        ),
        ([16777216.0, 1.5], pl.Float32, ["16777216", "1.5"]),
        ([1.5, 0.5, 2.0], pl.Float16, ["1.5", "0.5", "2"]),
        ([float("inf")], pl.Float64, ["inf"]),
        ([Decimal("1.50"), Decimal("2.00"), None], pl.Decimal(12, 2), ["1.50", "2", None]),
        ([Decimal(4165550100), None], pl.Decimal(20, 0), ["4165550100", None]),
        ([dt.timedelta(days=1, hours=2), None], pl.Duration, ["P1DT2H", None]),
        ([noon.replace(tzinfo=ZoneInfo("America/Toronto"))], pl.Datetime("ms", "America/Toronto"), [NOON_IN_TORONTO]),
        ([True, False, None], pl.Boolean, ["true", "false", None]),
        ([day, None], pl.Date, ["2026-01-02", None]),
        (
            [noon, noon.replace(microsecond=120000), noon.replace(microsecond=1), None],
            pl.Datetime("us"),
            ["2026-01-02T12:00:00", "2026-01-02T12:00:00.12", "2026-01-02T12:00:00.000001", None],
        ),
        ([noon, noon.replace(microsecond=500000)], pl.Datetime("ms"), ["2026-01-02T12:00:00", "2026-01-02T12:00:00.5"]),
        ([noon], pl.Datetime("ns"), ["2026-01-02T12:00:00"]),
        (
            [noon.replace(tzinfo=dt.UTC), noon.replace(microsecond=100, tzinfo=dt.UTC)],
            pl.Datetime("us", "UTC"),
            ["2026-01-02T12:00:00+00:00", "2026-01-02T12:00:00.0001+00:00"],
        ),
        ([dt.time(10, 20), dt.time(10, 20, 30, 500000)], pl.Time, ["10:20:00", "10:20:30.5"]),
        ([None, None], pl.Null, [None, None]),
    ],
)
def test_every_type_is_text(tmp_path: Path, values: Any, dtype: Any, expected: list[str | None]) -> None:
    assert texts(tmp_path / "list.parquet", values, dtype) == expected


def test_rows_keep_their_order_and_numbers(tmp_path: Path) -> None:
    path = tmp_path / "list.parquet"
    count = 150_001
    pl.DataFrame({"b": range(count), "a": [float(number) for number in range(count)]}).write_parquet(
        path, row_group_size=7_000
    )
    source = open_source(path, name="people")
    assert (source.format, source.columns, source.rows) == ("parquet", ("b", "a"), count)
    assert (source.delimiter, source.encoding, source.line_end, source.compressed) == (None, None, None, False)
    assert source.size == path.stat().st_size
    start = 0
    for batch in batches([source], batch_rows=10_000):
        assert (batch.source, batch.start, batch.row) == ("people", start, start + 1)
        numbers = [str(number) for number in range(start, batch.stop)]
        assert batch.frame.to_dict(as_series=False) == {"b": numbers, "a": numbers}
        start = batch.stop
    assert start == count


def test_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "list.parquet"
    pl.DataFrame({"a": range(10)}).write_parquet(path)
    assert [batch.frame.height for batch in batches([open_source(path)], batch_rows=4, limit=6)] == [4, 2]


def test_bytes_that_are_no_text_damage_their_row(tmp_path: Path) -> None:
    path = tmp_path / "list.parquet"
    pl.DataFrame({"a": [b"x", b"\xff", b"y"], "b": ["1", "2", "3\0"]}).write_parquet(path)
    (batch,) = batches([open_source(path)])
    assert batch.frame["a"].to_list() == ["x", None, "y"]
    assert batch.damage.to_list() == [None, 'holds bytes in column "a" that are not utf-8', "holds a NUL byte"]


def test_a_column_of_bytes_that_are_no_text_is_left_out_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "list.parquet"
    rows = 5000
    digests = [None, *([b"\xff\x00", b"\xfe\x01", b"ok"] * rows)][:rows]
    late = [b"fine"] * (rows - 1) + [b"\xff"]
    pl.DataFrame({"digest": digests, "a": range(rows), "late": late}).write_parquet(path)
    source = open_source(path)
    assert source.columns == ("a", "late")
    assert caplog.text.count("source.column_left_out") == 1
    assert "'digest'" in caplog.text
    for size in (100, rows):
        found = list(batches([source], batch_rows=size))
        assert all(batch.frame.columns == ["a", "late"] for batch in found)
        damage = [damage for batch in found for damage in batch.damage]
        assert damage == [None] * (rows - 1) + ['holds bytes in column "late" that are not utf-8']


def test_a_file_of_nothing_but_bytes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "list.parquet"
    pl.DataFrame({"digest": [b"\xff"]}).write_parquet(path)
    with pytest.raises(SourceError, match="has no columns but of lists or structures, or of bytes that are no text"):
        open_source(path)


def test_columns_without_name_and_of_a_resubmit_file(tmp_path: Path) -> None:
    path = tmp_path / "list.parquet"
    pl.DataFrame({"a": [1], "": [2], "_status": [3], "_reason": [4]}).write_parquet(path)
    source = open_source(path)
    assert source.columns == ("a", "column_2")
    (batch,) = batches([source])
    assert batch.frame.rows() == [("1", "2")]


def test_a_name_with_wildcards_is_one_file(tmp_path: Path) -> None:
    for name in ("list[1].parquet", "list1.parquet"):
        pl.DataFrame({"a": [name] * len(name)}).write_parquet(tmp_path / name)
    source = open_source(tmp_path / "list[1].parquet")
    assert source.rows == len("list[1].parquet")
    (batch,) = batches([source])
    assert batch.frame.rows() == [("list[1].parquet",)] * len("list[1].parquet")


@pytest.mark.parametrize("values", [[[1, 2]], [{"x": 1}]])
def test_nested_columns_are_left_out_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, values: Any
) -> None:
    path = tmp_path / "list.parquet"
    pl.DataFrame({"a": [1], "tags": values, "": ["b"]}).write_parquet(path)
    source = open_source(path)
    assert source.columns == ("a", "column_3")
    assert "source.column_left_out" in caplog.text
    assert "tags" in caplog.text
    (batch,) = batches([source])
    assert batch.frame.rows() == [("1", "b")]


def test_a_file_of_nested_columns_alone(tmp_path: Path) -> None:
    path = tmp_path / "list.parquet"
    pl.DataFrame({"tags": [[1]]}).write_parquet(path)
    with pytest.raises(SourceError, match="has no columns but of lists or structures, or of bytes"):
        open_source(path)


def test_an_encrypted_file(tmp_path: Path) -> None:
    path = tmp_path / "list.parquet"
    path.write_bytes(b"PARE" + bytes(100) + b"PARE")
    with pytest.raises(SourceError, match="is an encrypted Parquet file"):
        open_source(path)


def test_many_columns_in_many_parts(tmp_path: Path) -> None:
    path = tmp_path / "list.parquet"
    columns = [f"c{number}" for number in range(3_000)]
    frame = pl.DataFrame({name: range(20) for name in columns})
    frame.write_parquet(path, row_group_size=3)
    source = open_source(path)
    assert source.columns == tuple(columns)
    (batch,) = batches([source])
    assert batch.frame.equals(frame.cast(pl.String))


def test_the_index_of_pandas_is_a_column(tmp_path: Path) -> None:
    path = tmp_path / "list.parquet"
    pl.DataFrame({"a": ["x"], "__index_level_0__": [7]}).write_parquet(path)
    (batch,) = batches([open_source(path)])
    assert batch.frame.rows() == [("x", "7")]


def test_a_file_without_rows(tmp_path: Path) -> None:
    path = tmp_path / "list.parquet"
    pl.DataFrame({"a": []}, schema={"a": pl.String}).write_parquet(path)
    with pytest.raises(SourceError, match="has columns and no rows"):
        open_source(path)


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    whole = tmp_path / "whole.parquet"
    pl.DataFrame({"a": [f"{number * 7919 % 10007}" for number in range(50_000)]}).write_parquet(whole)
    content = whole.read_bytes()
    path = tmp_path / "list.parquet"
    for damaged in (content[:4], content[:1000], content[:-1], content[:1000] + b"\xff" * 2000 + content[3000:]):
        path.write_bytes(damaged)
        with pytest.raises(SourceError, match="this Parquet file is incomplete or damaged; write it or fetch it again"):
            list(batches([open_source(path)]))
