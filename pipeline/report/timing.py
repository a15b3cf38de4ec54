"""When rows were accepted and how long answers took, counted as a ledger passes by, in memory that does not grow."""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from typing import Final

import polars as pl

from pipeline.records import Status

#: What the columns are called that are counted: moments in milliseconds since the epoch or as datetimes.
COLUMNS: Final = ("status", "settled_at", "latency_ms")

#: So many spans of time are told apart at most.
SPANS: Final = 80

#: A span of time in milliseconds: the shortest with which SPANS are enough is taken; days double without end.
_WIDTHS: Final = (100, 200, *(1000 * s for s in (1, 2, 10, 30, 60, 120, 600, 1800, 3600, 7200, 21_600, 43_200, 86_400)))

#: AnswerTimes within so much of each other are one: a quantile is told to half of that.
_RATIO: Final = 1.02
_SHORTEST: Final = 0.001  # milliseconds; what is shorter is told as this


@dataclass(frozen=True, slots=True)
class Accepted:
    """Rows that were accepted, by the span of time in which they were."""

    start: datetime  # in UTC; of the first span
    width: float  # seconds of a span
    counts: tuple[int, ...]  # rows; the first and the last are not 0


@dataclass(frozen=True, slots=True)
class AnswerTimes:
    """From a row's last send to its answer, in milliseconds."""

    bins: tuple[tuple[float, float, int], ...]  # from, to, rows; each so much longer than the one before, none left out
    longest: float

    @property
    def rows(self) -> int:
        """How many answers were measured."""
        return sum(rows for _, _, rows in self.bins)

    def quantile(self, share: float) -> float:
        """The time within which `share` of the answers came (nearest rank), to one per cent."""
        rank, passed = math.ceil(share * self.rows), 0
        for low, high, rows in self.bins:
            passed += rows
            if passed >= rank:
                return min(math.sqrt(low * high), self.longest)
        raise AssertionError("a share is at most 1")

    def merged(self, most: int) -> "tuple[tuple[float, float, int], ...]":
        """The same in at most so many bins, all equally wide on a logarithmic scale."""
        size = math.ceil(len(self.bins) / most)
        parts = [self.bins[first : first + size] for first in range(0, len(self.bins), size)]
        return tuple((part[0][0], part[-1][1], sum(rows for _, _, rows in part)) for part in parts)


@dataclass(slots=True)
class Timing:
    """Counts as parts of a ledger pass by, in any order."""

    _width: int = _WIDTHS[0]
    _moments: Counter[int] = field(default_factory=Counter)  # rows by number of the span since the epoch
    _latencies: Counter[int] = field(default_factory=Counter)  # rows by logarithm to the base _RATIO
    _longest: float = 0.0

    def add(self, rows: pl.DataFrame) -> None:
        """Rows with COLUMNS."""
        accepted = rows.filter(pl.col("status") == Status.ACCEPTED.value)["settled_at"].drop_nulls()
        _count(self._moments, accepted.cast(pl.Int64) // self._width)
        while self._moments and max(self._moments) - min(self._moments) >= SPANS:
            width = next((width for width in _WIDTHS if width > self._width), 2 * self._width)
            wider: Counter[int] = Counter()
            for number, found in self._moments.items():
                wider[number * self._width // width] += found
            self._width, self._moments = width, wider
        latencies = rows["latency_ms"].drop_nulls().cast(pl.Float64)
        if len(latencies):
            self._longest = max(self._longest, float(latencies.max()))  # type: ignore[arg-type]
            _count(self._latencies, (latencies.clip(_SHORTEST).log(_RATIO)).floor().cast(pl.Int64))

    def accepted(self) -> Accepted | None:
        """None: no row was, as far as it is known when."""
        if not self._moments:
            return None
        first, last = min(self._moments), max(self._moments)
        start = datetime.fromtimestamp(first * self._width / 1000, UTC)
        return Accepted(start, self._width / 1000, tuple(self._moments[n] for n in range(first, last + 1)))

    def latencies(self) -> AnswerTimes | None:
        """None: there was no answer."""
        if not self._latencies:
            return None
        numbers = range(min(self._latencies), max(self._latencies) + 2)
        edges = pairwise(_RATIO**number for number in numbers)
        return AnswerTimes(
            tuple((*edge, self._latencies[n]) for n, edge in zip(numbers, edges, strict=False)), self._longest
        )


def _count(counter: Counter[int], numbers: pl.Series) -> None:
    pairs: Iterable[tuple[int, int]] = numbers.value_counts().iter_rows()
    for number, found in pairs:
        counter[number] += found
