"""The limit against targets of every kind, in a simulation: laws about throughput, refusals and how fast it follows."""

import math
from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stages.knee import Target, Told, run

from pipeline.stages.limit import Limit

Seconds = Callable[[float, Random], float]
Kind = Callable[[float], Seconds]  # of a mean


def fixed(seconds: float) -> Seconds:
    return lambda now, random: seconds


def jittered(seconds: float) -> Seconds:
    """Log-normal around a mean of `seconds`."""
    sigma = 0.6
    return lambda now, random: random.lognormvariate(math.log(seconds) - sigma * sigma / 2, sigma)


def straggling(seconds: float) -> Seconds:
    """A tenth takes ten times as long; `seconds` is the mean of all."""
    usual = jittered(seconds / 1.9)
    return lambda now, random: usual(now, random) * (10 if random.random() < 0.1 else 1)


def drifting(first: float, last: float, start: float, end: float) -> Seconds:
    """From `first` to `last` seconds between two times."""
    return lambda now, random: first + (last - first) * min(1.0, max(0.0, (now - start) / (end - start)))


def slots(count: float) -> Callable[[Target], None]:
    def change(target: Target) -> None:
        target.slots = count

    return change


def takes(seconds: Seconds) -> Callable[[Target], None]:
    def change(target: Target) -> None:
        target.seconds = seconds

    return change


def mean_allowed(told: Told, end: float) -> float:
    """Calls allowed in the mean over time."""
    until = [at for at, _ in told.allowed[1:]] + [end]
    return sum((stop - at) * calls for (at, calls), stop in zip(told.allowed, until, strict=True)) / end


# --- the knee -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def best() -> float:
    """Answers a second of the best fixed setting: 24 slots of 20 ms, refusals beyond 48 that wait."""
    sweep = (8, 16, 20, 24, 28, 32, 40, 48, 64, 72, 80, 100, 200)
    return max(run(Target(24, fixed(0.02), 48), Limit(n, False), lanes=n, seconds=5).rate(1, 5) for n in sweep)


@pytest.mark.parametrize("most", [24, 32, 100, 200])
def test_the_knee_is_found_and_kept(most: int, best: float) -> None:
    told = run(Target(24, fixed(0.02), 48), Limit(most), lanes=most, seconds=20, tick=0.001)
    assert told.rate(1, 10) >= 0.95 * best
    assert told.rate(10, 20) >= 0.99 * best
    assert told.refused(0, 20) <= 10
    assert told.most_in_flight <= most


@pytest.mark.parametrize("waiting", [0, 4, 48, math.inf])
@pytest.mark.parametrize("seconds", [jittered, straggling])
def test_the_knee_is_found_where_latencies_differ(waiting: float, seconds: Kind) -> None:
    def told(limit: Limit, lanes: int) -> Told:
        return run(Target(24, seconds(0.02), waiting), limit, lanes=lanes, seconds=14)

    found, known = told(Limit(200), 200), told(Limit(24, False), 24)
    for span in ((2, 8), (8, 14)):
        assert found.rate(*span) >= 0.95 * known.rate(*span)
    assert found.refused(1, 14) <= 0.01 * len(found.answers)


@settings(max_examples=12, deadline=None)
@given(
    count=st.integers(2, 60),
    milliseconds=st.integers(5, 60),
    waiting=st.sampled_from((0, 5, 48, 200, math.inf)),
    most=st.integers(1, 300),
)
def test_any_knee_is_found(count: int, milliseconds: int, waiting: float, most: int) -> None:
    target = Target(count, fixed(milliseconds / 1000), waiting)
    told = run(target, Limit(most), lanes=most, seconds=14, tick=0.001)
    assert told.rate(8, 14) >= 0.95 * min(count, most) / (milliseconds / 1000)
    assert told.refused(4, 14) <= max(50, 0.01 * len(told.answers))


@pytest.mark.parametrize("waiting", [0, 48, math.inf])
@pytest.mark.parametrize("seconds", [fixed, jittered])
def test_a_capacity_that_changes_is_followed_within_seconds(waiting: float, seconds: Kind) -> None:
    changes = ((8.0, slots(8)), (16.0, slots(48)))
    told = run(Target(24, seconds(0.02), waiting), Limit(100), lanes=100, seconds=24, changes=changes)
    assert told.rate(4, 8) >= 0.95 * 1200
    assert told.rate(12, 16) >= 0.93 * 400  # what waited for 24 slots is gone, and little is counted
    assert told.rate(20, 24) >= 0.95 * 2400
    assert told.refused(1, 24) <= 0.01 * len(told.answers)
    allowed_at_15 = [calls for at, calls in told.allowed if at < 15][-1]
    assert allowed_at_15 <= 40


# --- no knee --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("most", [1, 8, 32, 200])
@pytest.mark.parametrize("seconds", [0.001, 0.02, 0.1])
def test_a_fixed_latency_is_used_in_full(most: int, seconds: float) -> None:
    span = 10 if most / seconds <= 2000 else 5 if most / seconds <= 20_000 else 0.3
    told = run(Target(math.inf, fixed(seconds)), Limit(most), lanes=most, seconds=span, tick=0.001)
    assert told.rate(0, span) >= 0.98 * most / seconds
    assert told.allowed[-1][1] == most


@pytest.mark.parametrize(("most", "seconds"), [(32, 0.02), (32, 0.1), (200, 0.1)])
@pytest.mark.parametrize("kind", [jittered, straggling])
@pytest.mark.parametrize("seed", [1, 2])
def test_latencies_that_differ_do_not_throttle(most: int, seconds: float, kind: Kind, seed: int) -> None:
    told = run(Target(math.inf, kind(seconds)), Limit(most), lanes=most, seconds=10, seed=seed, tick=0.001)
    assert mean_allowed(told, 10) >= 0.96 * most
    assert told.allowed[-1][1] == most


@pytest.mark.parametrize("most", [32, 200, 1000])
def test_our_own_process_as_the_bottleneck_costs_nothing(most: int) -> None:
    """One server, of fewer microseconds a row the more rows it finds at once, as a loop does."""
    rates = []
    for adaptive in (True, False):
        target = Target(1, fixed(0))
        target.seconds = lambda now, random, target=target: (15 + 60 / (len(target.queue) + 1)) * 1e-6
        told = run(target, Limit(most, adaptive), lanes=most, seconds=0.2, tick=0.001)
        rates.append(told.rate(0, 0.2))
    assert rates[0] >= 0.99 * rates[1]


# --- drift ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", [drifting(0.02, 0.1, 5, 65), drifting(0.1, 0.02, 5, 65)])
def test_a_latency_that_drifts_does_not_throttle(change: Seconds) -> None:
    told = run(Target(math.inf, change), Limit(64), lanes=64, seconds=70)
    assert told.allowed[-1][1] == 64
    assert mean_allowed(told, 70) >= 0.98 * 64


@pytest.mark.parametrize("kind", [fixed, jittered, straggling])
def test_a_latency_that_leaps_does_not_throttle(kind: Kind) -> None:
    changes = ((4.0, takes(kind(0.2))), (10.0, takes(kind(0.02))), (14.0, takes(kind(0.08))))
    told = run(Target(math.inf, kind(0.02)), Limit(100), lanes=100, seconds=20, changes=changes)
    assert told.allowed[-1][1] == 100
    assert mean_allowed(told, 20) >= 0.9 * 100


def test_fast_first_answers_do_not_throttle() -> None:
    """Nearly twice the latency of the first calls is neither few nor many: a trial with more calls must tell."""
    told = run(
        Target(math.inf, fixed(0.011)), Limit(200), lanes=200, seconds=5, changes=((0.01, takes(fixed(0.0205))),)
    )
    assert [calls for at, calls in told.allowed if at < 1][-1] == 200


def test_a_knee_that_drifts_is_followed() -> None:
    told = run(Target(24, drifting(0.02, 0.08, 5, 45)), Limit(200), lanes=200, seconds=60)
    assert told.rate(50, 60) >= 0.95 * 24 / 0.08
    late = [calls for at, calls in told.allowed if at > 40] or [told.allowed[-1][1]]
    assert max(late) <= 100


def test_a_knee_that_gets_faster_is_followed() -> None:
    told = run(Target(24, fixed(0.1)), Limit(200), lanes=200, seconds=12, changes=((4.0, takes(fixed(0.02))),))
    assert told.rate(8, 12) >= 0.95 * 1200


# --- refusals -------------------------------------------------------------------------------------------------------


def shut(target: Target) -> None:
    target.slots, target.waiting = 0, 0


def open_again(target: Target) -> None:
    target.slots, target.waiting = 24, 48


@pytest.mark.parametrize("seconds", [0.3, 1, 5])
def test_after_an_outage_the_knee_is_found_again(seconds: float) -> None:
    changes = ((5.0, shut), (5.0 + seconds, open_again))
    told = run(Target(24, fixed(0.02), 48), Limit(100), lanes=100, seconds=16 + seconds, changes=changes)
    assert told.refused(5, 6) <= 100  # nobody hammers
    assert told.rate(10 + seconds, 16 + seconds) >= 0.95 * 1200


@pytest.mark.parametrize("flaky", [0.002, 0.01])
def test_a_few_refusals_without_reason_do_not_throttle_for_long(flaky: float) -> None:
    rates = []
    for adaptive in (True, False):
        target = Target(math.inf, fixed(0.02), flaky=flaky)
        rates.append(run(target, Limit(32, adaptive), lanes=32, seconds=20).rate(10, 20))
    assert rates[0] >= 0.9 * rates[1]


def test_each_refusal_takes_its_place_along_and_many_cost_a_fifth_of_the_others_at_once() -> None:
    limit = settled(64)
    for in_flight in (64, 63):  # two among some thousand answers mean nothing more
        limit.pushed_back(in_flight, 9.0)
        assert limit.allowed == in_flight - 1
    limit.pushed_back(62, 9.0)
    assert limit.allowed == 49
    for in_flight in range(61, 24, -1):  # those that left together with them
        limit.pushed_back(in_flight, 9.001)
    assert limit.allowed == 24
    limit.pushed_back(24, 9.2)
    assert limit.allowed == 18


def test_the_first_refusal_of_all_is_one_too_many() -> None:
    limit = Limit(16)
    limit.pushed_back(11, 1.0)
    assert limit.allowed == 8


def test_the_number_refused_is_tried_again_only_after_a_while() -> None:
    limit = settled(200)
    for in_flight in range(200, 39, -1):
        limit.pushed_back(in_flight, 9.0)
    reached, now = [], 9.0
    while now < 14:
        now += 0.1
        for _ in range(limit.allowed):
            limit.answered(0.02, limit.allowed, now)
        reached.append((now, limit.allowed))
    assert max(calls for at, calls in reached if at < 11) == 39
    assert reached[-1][1] == 200


# --- laws -----------------------------------------------------------------------------------------------------------


def settled(most: int) -> Limit:
    """A limit that has reached `most` with 20 ms, where none waits."""
    limit = Limit(most)
    for _ in range(10 * most):
        limit.answered(0.02, limit.allowed, 1.0)
    assert limit.allowed == most
    return limit


@given(
    most=st.integers(1, 40),
    events=st.lists(
        st.tuples(st.booleans(), st.sampled_from((0.0, 0.001, 0.02, 5.0, 30.0)), st.floats(0, 3)), max_size=400
    ),
    full=st.booleans(),
    adaptive=st.booleans(),
)
def test_one_to_most_whatever_happens(
    most: int, events: list[tuple[bool, float, float]], full: bool, adaptive: bool
) -> None:
    limit, now = Limit(most, adaptive), 0.0
    for answered, latency, passed in events:
        now += passed
        for _ in range(8):
            if answered:
                limit.answered(latency, limit.allowed if full else 1, now)
            else:
                limit.pushed_back(limit.allowed if full else 1, now)
            assert 1 <= limit.allowed <= most
            assert adaptive or limit.allowed == most


def test_what_is_not_used_does_not_grow() -> None:
    limit = Limit(100)
    for second in range(2000):
        limit.answered(0.02, 5, float(second))
    assert limit.allowed == 16
