"""How long answers took: counted by bounds at most 11 % apart, which is cheap to keep and tells percentiles."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import Final, Protocol


def _bounds() -> tuple[float, ...]:
    """From 0.1 ms to 100 s, among them those by which metrics are told: 1, 2.5 and 5 of every power of ten, and 30."""
    bounds = [30.0]
    for power in range(-4, 2):
        for low, high, steps in ((1.0, 2.5, 9), (2.5, 5.0, 7), (5.0, 10.0, 7)):
            bounds += [float(f"{low * (high / low) ** (step / steps):.3f}e{power}") for step in range(steps)]
    return (*sorted(bounds), 100.0)


#: Upper bounds, in seconds; what is longer is counted behind the last.
BOUNDS: Final = _bounds()

_MILLISECONDS: Final = tuple(bound * 1000 for bound in BOUNDS)


class Timed(Protocol):
    """A row that was settled."""

    @property
    def latency_ms(self) -> float | None: ...


class Latencies:
    """Filled on the event loop; another thread may read."""

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)  # answers by the first bound that they are not above
        self.seconds = 0.0  # all of them together

    def hear(self, outcomes: Iterable[Timed]) -> None:
        """Take in rows that were just settled."""
        counts, total = self.counts, 0.0
        for outcome in outcomes:
            latency = outcome.latency_ms
            if latency is not None:
                counts[bisect_left(_MILLISECONDS, latency)] += 1
                total += latency
        self.seconds += total / 1000


def percentile(counts: Sequence[int], share: float) -> float | None:
    """Seconds within which `share` of the answers came, at most 11 % off; None: there are none."""
    wanted = share * sum(counts)
    if not wanted:
        return None
    passed = 0
    for position, count in enumerate(counts):
        if count and passed + count >= wanted:
            low = BOUNDS[position - 1] if position else 0.0
            high = BOUNDS[min(position, len(BOUNDS) - 1)]
            return low + (high - low) * (wanted - passed) / count
        passed += count
    return BOUNDS[-1]
