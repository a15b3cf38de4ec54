"""When rows were accepted, and how long answers took: counted in parts and without loss, within the precision told."""

import math
from datetime import UTC, datetime

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from pipeline.records import Status
from pipeline.report.timing import SPANS, Timing

moments = st.integers(1_700_000_000_000, 1_700_000_000_000 + 10**10) | st.integers(0, 50_000)
latencies = st.floats(0.01, 1e6)
rows = st.lists(st.tuples(st.sampled_from(list(Status)), st.none() | moments, st.none() | latencies))


def counted(parts: list[list[tuple[Status, int | None, float | None]]]) -> Timing:
    timing = Timing()
    for part in parts:
        columns = (
            dict(zip(("status", "settled_at", "latency_ms"), zip(*part, strict=True), strict=True)) if part else {}
        )
        schema = {"status": pl.String, "settled_at": pl.Datetime("ms", "UTC"), "latency_ms": pl.Float64}
        timing.add(pl.DataFrame(columns, schema=schema))
    return timing


@given(st.lists(rows, max_size=5))
def test_no_row_is_lost_and_the_order_does_not_matter(
    parts: list[list[tuple[Status, int | None, float | None]]],
) -> None:
    timing = counted(parts)
    accepted = [at for part in parts for status, at, _ in part if status is Status.ACCEPTED and at is not None]
    told = timing.accepted()
    if told is None:
        assert not accepted
    else:
        start, stop = told.start, told.start.timestamp() + told.width * len(told.counts)
        assert sum(told.counts) == len(accepted)
        assert len(told.counts) <= SPANS
        assert start <= datetime.fromtimestamp(min(accepted) / 1000, UTC)
        assert stop * 1000 > max(accepted)
    assert told == counted(parts[::-1]).accepted()


@given(st.lists(latencies, min_size=1), st.floats(0.01, 1))
def test_quantiles_are_true_to_one_per_cent(values: list[float], share: float) -> None:
    told = counted([[(Status.REJECTED, None, value) for value in values]]).latencies()
    assert told is not None
    exact = sorted(values)[math.ceil(share * len(values)) - 1]
    assert abs(told.quantile(share) / exact - 1) < 0.0101
    assert (told.rows, told.longest) == (len(values), max(values))
    merged = told.merged(40)
    assert len(merged) <= 40
    assert sum(count for _, _, count in merged) == len(values)
