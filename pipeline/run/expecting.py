"""What a list is expected to be (`--expect`), judged when it was surveyed and before its first row is sent."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import eq, ge, gt, le, lt
from typing import Final

from pipeline.errors import SourceError, ThresholdReached, UsageError
from pipeline.records import Status
from pipeline.run.standard_input import NAME, StandardInput
from pipeline.stages.read import Source
from pipeline.values import seconds

_RELATIONS: Final[dict[str, Callable[[float, float], bool]]] = {">=": ge, "<=": le, ">": gt, "<": lt, "=": eq}

_FORM: Final = re.compile(r"\s*(\w+)\s*(>=|<=|>|<|=)\s*(.+?)\s*")

#: What is expected of the file and not of its rows: seconds since it was changed last.
AGE: Final = "age"

#: What can be counted of a list before its first row is sent.
COUNTED: Final[dict[str, Callable[[Mapping[Status, int]], int]]] = {
    "rows": lambda counts: sum(counts.values()),
    "sendable": lambda counts: counts.get(Status.PENDING, 0),
    "bad": lambda counts: counts.get(Status.INVALID, 0),
    "duplicates": lambda counts: counts.get(Status.DUPLICATE, 0),
    "changed": lambda counts: counts.get(Status.CHANGED, 0),
    "suppressed": lambda counts: counts.get(Status.SUPPRESSED, 0),
}


@dataclass(frozen=True, slots=True)
class Expectation:
    """One thing that is expected: `name` stands in `relation` to `bound`, in rows or, for the age, in seconds."""

    name: str
    relation: str
    bound: float
    text: str  # as it was given

    @classmethod
    def parse(cls, text: str) -> "Expectation":
        """Read "rows>=1000" or "age<26h"; raises ValueError."""
        form = _FORM.fullmatch(text)
        if form is None:
            raise ValueError(f"{text!r} is not written as NAME>=NUMBER, e.g. rows>=1000 or age<26h")
        name, relation, bound = form.groups()
        if name == AGE:
            return cls(name, relation, seconds(float(bound) if bound.isdecimal() else bound), text)
        if name not in COUNTED:
            raise ValueError(f"nothing is known of {name!r}; known are {', '.join((*COUNTED, AGE))}")
        if not (bound.isascii() and bound.isdecimal()):
            raise ValueError(f"{text!r}: {name} is compared with a whole number")
        return cls(name, relation, int(bound), text)

    def holds(self, value: float) -> bool:
        """Whether `value` is as expected."""
        return _RELATIONS[self.relation](value, self.bound)


def check_expectations(
    expected: Sequence[Expectation], sources: Sequence[Source | StandardInput], *, stream: bool
) -> None:
    """Raise UsageError where something is expected that cannot be known before the first row."""
    for each in expected:
        if each.name == AGE:
            if any(isinstance(source, StandardInput) or source.name == NAME for source in sources):
                raise UsageError(f"--expect {each.text}: standard input has no age: leave it out, or name a file")
        elif stream:
            raise UsageError(f"--expect {each.text}: rows are counted by the survey, which --stream leaves out")


def judge(
    expected: Sequence[Expectation], counts: Mapping[Status, int], sources: Sequence[Source], now: float
) -> ThresholdReached | None:
    """The error to stop with, if anything is not as expected (blocking).

    `counts` are those of the survey, rows that can be sent as pending; `now` is in seconds since the epoch. Of several
    sources the age is that of the oldest. Raises SourceError where one is gone.
    """
    broken = []
    for each in expected:
        if each.name == AGE:
            found: float = now - min(map(_changed, sources))
            words = f"{'the oldest of the files' if len(sources) > 1 else 'the file'} is {_span(found)} old"
        else:
            found = COUNTED[each.name](counts)
            words = f"{each.name}={found}"
        if not each.holds(found):
            broken.append(f"--expect {each.text}: {words}")
    if not broken:
        return None
    return ThresholdReached("\n".join((*broken, "The list is not as expected: nothing was sent.")))


def _changed(source: Source) -> float:
    try:
        return source.path.stat().st_mtime
    except OSError as error:
        raise SourceError(f"{source.name}: cannot be read: {error.strerror or error}") from None


def _span(age: float) -> str:
    """An age in the unit in which it can be read."""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if abs(age) >= 2 * size:
            return f"{age / size:.1f}{unit}"
    return f"{age:.0f}s"
