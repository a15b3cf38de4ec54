"""Rounds: every way is measured once in each, so that whatever else the machine does weighs on all of them."""

import statistics
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Taken:
    """One figure of one round."""

    rate: float  # rows a second
    cpu: float | None = None  # seconds of the calling process' processor for one row; None: not known apart


class Unavailable(Exception):
    """A way cannot be measured here; the text says why, and what to do."""


#: Measures once and gives figures by name; raises Unavailable.
Way: TypeAlias = Callable[[], Mapping[str, Taken]]


@dataclass(slots=True)
class Figures:
    """What all rounds have given."""

    taken: dict[str, list[Taken]]  # by name, a figure for each round
    unavailable: dict[str, str]  # why a way could not be measured, by its name

    def rate(self, name: str) -> float:
        """The median."""
        return statistics.median(each.rate for each in self.taken[name])

    def cpu(self, name: str) -> float | None:
        """The median, in seconds for one row; None: not known."""
        known = [each.cpu for each in self.taken[name] if each.cpu is not None]
        return statistics.median(known) if known else None

    def ratio(self, name: str, to: str) -> float | None:
        """How many times as fast as another: the median of the rounds' ratios; None: one of them is missing."""
        if name not in self.taken or to not in self.taken:
            return None
        # A way that fails in a later round has figures of the first ones alone.
        both = zip(self.taken[name], self.taken[to], strict=False)
        return statistics.median(one.rate / other.rate for one, other in both)


def measured(ways: Mapping[str, Way], rounds: int) -> Figures:
    """Measure every way in every round, and say on standard error how far it is."""
    figures = Figures({}, {})
    for number in range(rounds):
        for name, way in ways.items():
            if name in figures.unavailable:
                continue
            print(f"round {number + 1} of {rounds}: {name}", file=sys.stderr, flush=True)
            try:
                for figure, taken in way().items():
                    figures.taken.setdefault(figure, []).append(taken)
            except Unavailable as why:
                figures.unavailable[name] = str(why)
    return figures
