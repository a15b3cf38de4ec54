"""A target and a client of it under a virtual clock: a heap of events, one source of randomness, no sleeps."""

import heapq
import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from pipeline.stages.limit import Limit

#: Seconds that a call takes to be refused.
REFUSAL = 0.001


@dataclass(slots=True)
class Target:
    """Calls take a slot for `seconds(now, random)`, wait for one, or are refused where `waiting` wait already."""

    slots: float
    seconds: Callable[[float, Random], float]
    waiting: float = math.inf
    flaky: float = 0.0  # share of calls that are refused for no reason
    busy: int = 0
    queue: deque[int] = field(default_factory=deque)


@dataclass(slots=True)
class Told:
    """What a run has shown."""

    answers: list[float] = field(default_factory=list)  # when they came
    refusals: list[float] = field(default_factory=list)
    allowed: list[tuple[float, int]] = field(default_factory=list)  # when it changed, and to what
    most_in_flight: int = 0

    def rate(self, start: float, end: float) -> float:
        """Answers a second."""
        return sum(start <= at < end for at in self.answers) / (end - start)

    def refused(self, start: float, end: float) -> int:
        return sum(start <= at < end for at in self.refusals)


def run(
    target: Target,
    limit: Limit,
    *,
    lanes: int,
    seconds: float,
    seed: int = 1,
    tick: float = 0.0,
    changes: tuple[tuple[float, Callable[[Target], None]], ...] = (),
) -> Told:
    """Send as many rows as the limit lets for so long, over `lanes` calls at most. `tick`: the clock's resolution.

    A lane whose call is refused pauses for a quarter to half a second, like a worker.
    """
    random, told = Random(seed), Told()
    heap: list[tuple[float, int, str, int]] = []
    began: dict[int, float] = {}
    idle = deque(range(lanes))
    number = 0

    def clock(now: float) -> float:
        return math.floor(now / tick) * tick if tick else now

    def later(at: float, what: str, lane: int) -> None:
        nonlocal number
        number += 1
        heapq.heappush(heap, (at, number, what, lane))

    def serve(now: float) -> None:
        while target.queue and target.busy < target.slots:
            target.busy += 1
            later(now + target.seconds(now, random), "answer", target.queue.popleft())

    def send(now: float) -> None:
        while idle and len(began) < limit.allowed:
            lane = idle.popleft()
            began[lane] = clock(now)
            full = target.busy >= target.slots and len(target.queue) >= target.waiting
            if full or (target.flaky and random.random() < target.flaky):
                later(now + REFUSAL, "refusal", lane)
            else:
                target.queue.append(lane)
                serve(now)
        told.most_in_flight = max(told.most_in_flight, len(began))
        if not told.allowed or told.allowed[-1][1] != limit.allowed:
            told.allowed.append((now, limit.allowed))

    for index, (at, _) in enumerate(changes):
        later(at, "change", index)
    now = 0.0
    send(now)
    while now < seconds:
        now, _, what, lane = heapq.heappop(heap)
        if what == "answer":
            target.busy -= 1
            serve(now)
            told.answers.append(now)
            limit.answered(clock(now) - began[lane], len(began), clock(now))
            del began[lane]
            idle.append(lane)
        elif what == "refusal":
            told.refusals.append(now)
            limit.pushed_back(len(began), clock(now))
            del began[lane]
            later(now + 0.25 + random.random() / 4, "back", lane)
        elif what == "back":
            idle.append(lane)
        else:
            changes[lane][1](target)
            serve(now)
        send(now)
    return told
