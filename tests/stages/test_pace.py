"""The pace under a virtual clock: the rate holds, bursts are bounded, nobody who waits is needed for the others."""

import heapq
import math
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.stages.pace import LAG, SHORTEST_WAIT, Pace


def sent(
    pace: Pace,
    seconds: float,
    *,
    lanes: int,
    latency: float,
    tick: float = 0.001,
    cancelled: int = 0,
    pause: tuple[float, float] = (math.inf, math.inf),
) -> list[float]:
    """When rows leave. A lane asks again when its answer has come; those that find no turn queue behind one sleeper.

    The clock has a resolution of `tick`, and a sleeper wakes at the first tick after it is due. Of those that queue,
    every `cancelled`-th gives up (0: none) and comes back like an answered one. In a `pause` nothing happens at all.
    """
    left: list[float] = []
    heap = [(0.0, lane) for lane in range(lanes)]
    waiting: list[int] = []
    asleep = False
    waited = 0
    for step in count():
        assert step < 500_000, "it spins"
        now, lane = heapq.heappop(heap)
        if now >= seconds:
            break
        if pause[0] <= now < pause[1]:
            heapq.heappush(heap, (pause[1], lane))
            continue
        clock = math.floor(now / tick + 1e-6) * tick
        if lane < 0:
            asleep = False
        elif waiting:
            waiting.append(lane)
        else:
            waiting = [lane]
        if asleep:
            continue
        while waiting and not (wait := pace.wait(clock)):
            left.append(now)
            heapq.heappush(heap, (now + latency, waiting.pop(0)))
        if waiting:
            waited += 1
            if cancelled and not waited % cancelled:
                heapq.heappush(heap, (now + latency, waiting.pop(0)))
            asleep = True
            heapq.heappush(heap, (math.ceil((clock + wait) / tick - 1e-6) * tick, -1))
    return left


@pytest.mark.parametrize("tick", [0.001, 0.000001])
@pytest.mark.parametrize("lanes", [1, 32])
@pytest.mark.parametrize("rate", [1, 3, 10, 333, 5000, 50_000])
def test_the_rate_holds(rate: int, lanes: int, tick: float) -> None:
    seconds = 10 if rate < 10_000 else 2
    left = sent(Pace(rate), seconds - 0.0001, lanes=lanes, latency=min(0.5 / rate, 0.0002), tick=tick)
    assert rate * seconds * 0.98 <= len(left) <= rate * seconds * 1.02


@settings(max_examples=60, deadline=None)
@given(
    rate=st.floats(1, 3000),
    lanes=st.integers(1, 40),
    milliseconds=st.integers(0, 300),
    cancelled=st.sampled_from((0, 2, 7)),
    pause=st.tuples(st.floats(0, 2), st.floats(0, 3)),
)
def test_the_rate_is_never_exceeded_and_nothing_is_caught_up_with_after_a_pause(
    rate: float, lanes: int, milliseconds: int, cancelled: int, pause: tuple[float, float]
) -> None:
    begin, length = pause
    latency = 0.0005 + milliseconds / 1000
    left = sent(Pace(rate), 4, lanes=lanes, latency=latency, cancelled=cancelled, pause=(begin, begin + length))
    for span in (0.01, 0.1, 1.0, 3.0):
        first = 0
        for last, at in enumerate(left):
            while left[first] < at - span:
                first += 1
            assert last - first + 1 <= rate * (span + LAG + 0.001) + 1.001  # the clock may be a tick behind
    if not length and lanes / latency > 1.1 * rate and not cancelled:
        assert len(left) >= math.floor(rate * 3.9 * 0.98)


def test_those_who_give_up_lose_no_turn() -> None:
    left = sent(Pace(100), 10, lanes=20, latency=0.01, cancelled=2)
    assert 980 <= len(left) <= 1020


@given(rate=st.floats(0.1, 1e5), times=st.lists(st.floats(0, 5), min_size=1, max_size=50))
def test_who_comes_back_as_told_has_a_turn(rate: float, times: list[float]) -> None:
    pace, now = Pace(rate), 1000.0
    for passed in times:
        now += passed
        wait = pace.wait(now)
        assert wait == 0.0 or wait >= SHORTEST_WAIT
        assert wait <= max(SHORTEST_WAIT, 1 / rate) + 1e-6
        if wait:
            now += wait + 1e-9
            assert pace.wait(now) == 0.0


def test_no_rate_is_no_wait() -> None:
    pace = Pace(0)
    assert [pace.wait(now) for now in (5.0, 5.0, 5.0, 7.0)] == [0.0] * 4


@pytest.mark.parametrize("rate", [0, 100])
def test_the_target_may_ask_to_wait(rate: float) -> None:
    pace = Pace(rate)
    pace.hold(2.0)
    assert pace.wait(0.0) == 2.0
    pace.hold(8.0)
    pace.hold(4.0)
    assert pace.wait(3.0) == 5.0
    assert pace.wait(8.0) == 0.0
    if rate:
        assert pace.wait(8.0) == pytest.approx(0.01)  # no burst after it


def test_the_first_rows_are_no_burst() -> None:
    pace = Pace(10_000)
    assert pace.wait(50.0) == 0.0
    assert pace.wait(50.0) > 0.0
