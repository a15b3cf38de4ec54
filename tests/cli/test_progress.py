"""What a run shows of itself: rates and time left that are true within seconds, latencies, problems, lines that fit."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import check_contacts
from pipeline.records import Status
from pipeline.report.latencies import BOUNDS, Latencies, percentile
from pipeline.report.pace import STILL, Rate
from pipeline.report.progress import Meter, to_go
from pipeline.report.troubles import Troubles
from pipeline.report.view import view
from pipeline.run import Progress, describing, metrics
from pipeline.run.looking import SENT_ELSEWHERE
from pipeline.sessions import Counts
from pipeline.stages.read import fingerprint

STEP = 0.25  # seconds between two looks

RATES = st.floats(0.5, 20_000)


@dataclass
class Run:
    """Stands in for what a run tells."""

    phase: str = "starting"
    rows: int | None = None
    surveyed: int = 0
    counts: Counter[Status] = field(default_factory=Counter)
    sessions: Counts = field(default_factory=Counts)
    open_sessions: int = 0
    renewing: int = 0
    in_flight: int = 0
    allowed: int = 0
    answered: int = 0
    to_send: int | None = None
    stop_by: float | None = None
    latencies: Latencies = field(default_factory=Latencies)
    troubles: Troubles = field(default_factory=Troubles)
    limit: int | None = None
    size: int | None = None
    passed: int = 0
    accounted: int = 0
    put_off: int = 0
    wait: tuple[str, float] | None = None


# --- rates --------------------------------------------------------------------------------------------------------


def patience(*rates: float) -> float:
    """Seconds after which a rate is told as it is: five, and of a slow one forty rows, a minute at most."""
    return max(5.0, *(min(60.0, 41 / rate) for rate in rates)) + 2 * STEP


@given(first=RATES, second=RATES, lag=st.floats(0, STEP, exclude_max=True))
def test_a_steady_rate_is_told_and_so_is_a_changed_one(first: float, second: float, lag: float) -> None:
    rate, now, moved = Rate(), 0.0, 0.0
    for each in (first, second):
        until = now + patience(first, second)
        while now < until:
            now += STEP
            moved += each * STEP
            told = rate.read(now + lag, int(moved))
        assert told == pytest.approx(each, rel=0.05, abs=2 / 60)


@given(before=st.floats(5, 10_000), after=st.floats(50, 10_000), pause=st.floats(STILL + 2 * STEP, 600))
def test_a_pause_leaves_no_trace(before: float, after: float, pause: float) -> None:
    rate, now, moved = Rate(), 0.0, 0.0
    for _ in range(100):
        now, moved = now + STEP, moved + before * STEP
        rate.read(now, int(moved))
    still = now + pause
    while now < still:
        now += STEP
        told = rate.read(now, int(moved))
    assert told == 0 or pause < STILL + 10 / before, "what stands still has no rate"
    for _ in range(8):
        now, moved = now + STEP, moved + after * STEP
        told = rate.read(now, int(moved))
    if pause > STILL + 12 / before:
        assert told == pytest.approx(after, rel=0.05), "two seconds later the rate is that of now"


@given(looks=st.lists(st.tuples(st.floats(0, 100), st.integers(-5, 5_000)), max_size=60))
def test_a_rate_is_a_number(looks: list[tuple[float, int]]) -> None:
    rate, now, moved = Rate(), 0.0, 0
    for passed, rows in looks:
        now, moved = now + passed, max(0, moved + rows)
        assert 0 <= rate.read(now, moved) < float("inf")


def test_rows_that_will_not_be_sent_do_not_disturb_the_time_left() -> None:
    counts = Counter({Status.INVALID: 3_000, Status.DUPLICATE: 2_000, Status.ACCEPTED: 400, Status.REJECTED: 100})
    assert to_go(10_000, 5_000, counts) == 4_500, "they were counted by the survey"
    counts = Counter({Status.INVALID: 10, Status.ACCEPTED: 400, Status.REJECTED: 100})
    assert to_go(10_000, 5_000, counts) == 4_500, "they lie ahead, in a run that is gone on with"
    assert to_go(10_000, 9_000, Counter({Status.DUPLICATE: 9_900})) == 100, "the target's list knew them"
    assert to_go(None, None, counts) is to_go(10_000, None, counts) is None
    assert to_go(10, 10, Counter({Status.ACCEPTED: 12})) == 0


def test_survey_and_sending_have_totals_of_their_own() -> None:
    now = 0.0
    run = Run()
    meter = Meter(run, clock=lambda: now)
    assert meter.read().line() == "starting"
    run.phase, run.surveyed = "surveying", 1_000
    assert meter.read().line() == "reading and screening: 1,000 rows"
    now, run.surveyed = 1.0, 51_000
    assert meter.read().line() == "reading and screening: 51,000 rows, 50,000 rows/s"
    run.phase, run.rows, run.to_send = "sending", 60_000, 50_000
    run.counts = Counter({Status.INVALID: 10_000})
    assert meter.read().line() == "sending: 0 of 50,000 rows; invalid 10,000"
    now, run.answered, run.open_sessions, run.in_flight, run.allowed = 3.0, 200, 8, 7, 16
    run.counts[Status.ACCEPTED] += 200
    run.latencies.hear([SimpleNamespace(latency_ms=20.0)] * 90 + [SimpleNamespace(latency_ms=200.0)] * 10)
    reading = meter.read()
    assert reading.line() == (
        "sending: 200 of 50,000 rows, 100 rows/s, 8 min 20 s left; accepted 200, invalid 10,000; "
        f"{reading.traffic[0]}; sessions 8; in flight 7 of 16"
    )
    assert reading.fields()["left"] == 498.0
    now, run.answered = 20.0, 200
    assert (meter.read().rate, meter.read().left) == (0.0, None)


@given(
    size=st.integers(10**6, 10**10),
    rate=st.floats(10_000, 10**8),
    limited=st.floats(0.05, 3.0),
    lag=st.floats(0, STEP, exclude_max=True),
)
def test_a_survey_ends_with_the_last_byte_or_the_last_row_asked_for(
    size: int, rate: float, limited: float, lag: float
) -> None:
    """It knows neither how long rows are nor how many there are."""
    now = 0.0
    run = Run("surveying", size=size, limit=max(1, int(size * limited / 80)))
    meter = Meter(run, clock=lambda: now)
    ends = min(size, run.limit * 80) / rate
    assert meter.read().share == 0
    for _ in range(200):
        now += STEP
        run.passed, run.surveyed = int(rate * now), int(rate * now / 80)
        if now >= ends:
            break
        now += lag
        reading = meter.read()
        now -= lag
        assert reading.share == pytest.approx(now / ends, abs=0.001 + 100 / (run.limit * 80))
        if now > patience(rate / 80):
            assert reading.left == pytest.approx(ends - now, rel=0.06, abs=ends * 0.02)
            assert reading.total is None


def test_what_a_survey_says() -> None:
    now = 0.0
    run = Run("surveying", size=1_000_000)
    meter = Meter(run, clock=lambda: now)
    meter.read()
    now, run.surveyed, run.passed = 4.0, 3_000, 400_000
    assert meter.read().line() == "reading and screening: 3,000 rows, 40 %, 750 rows/s, 6 s left"
    assert [line for _, line in view(meter.read(), width=80, height=24, elapsed=0.0, plain=True)] == [
        "reading and screening  ######----------   40 %  3,000 rows  750 rows/s, 6 s left"
    ]
    now, run.surveyed, run.passed = 10.0, 7_500, 1_000_000
    assert (meter.read().share, meter.read().left) == (1.0, None)
    run.phase, run.rows, run.accounted = "writing", 7_500, 2_500
    assert meter.read().line() == "writing the ledger: 2,500 of 7,500 rows"
    now, run.accounted = 11.0, 5_000
    assert meter.read().line() == "writing the ledger: 5,000 of 7,500 rows, 2,500 rows/s, 1 s left"


def test_hashing_has_words_of_its_own_and_a_share_by_bytes() -> None:
    now = 0.0
    run = Run("hashing", size=2_000_000_000, surveyed=60_000, rows=60_000)
    meter = Meter(run, clock=lambda: now)
    assert meter.read().line() == "taking the fingerprint of the list: 0 %"
    now, run.passed = 2.0, 500_000_000
    assert meter.read().line() == "taking the fingerprint of the list: 25 %, 6 s left"
    run.size = 0
    assert meter.read().line() == "taking the fingerprint of the list"


def test_a_list_is_hashed_before_it_is_surveyed_and_that_is_told(
    configured: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    progress, seen = Progress(), []

    def noting(*given: Any) -> str:
        seen.append((progress.phase, progress.passed))
        digest = fingerprint(*given)
        seen.append((progress.phase, progress.passed))
        return digest

    monkeypatch.setattr(describing, "fingerprint", noting)
    anyio.run(partial(check_contacts, str(configured()), ["list.csv"], progress=progress))
    size = Path("list.csv").stat().st_size
    assert seen[:2] == [("hashing", 0), ("hashing", size)]
    assert progress.phase == "done"


def test_a_wait_is_told_with_its_end() -> None:
    now = 100.0
    run = Run("looking", wait=(SENT_ELSEWHERE, 128.4))
    meter = Meter(run, clock=lambda: now)
    assert meter.read().line() == (
        "asking the target what it holds: it lists rows of this list that were not sent from here; of those the last "
        "may come late, so it is asked once more; 28 s to wait (delivery.late_effect)"
    )
    assert meter.read().fields()["waiting"] == {"for": SENT_ELSEWHERE, "seconds": 28.4}
    assert len(view(meter.read(), width=80, height=24, elapsed=0.0)) == 3, "all of it is shown"
    now = 200.0
    assert "; 0 s to wait" in meter.read().line()
    run.wait = None
    assert meter.read().line() == "asking the target what it holds"


# --- latencies and problems ----------------------------------------------------------------------------------------


@given(st.lists(st.floats(0.2, 90_000), min_size=1, max_size=200), st.sampled_from([0.5, 0.95]))
def test_percentiles_are_near(milliseconds: list[float], share: float) -> None:
    heard = Latencies()
    heard.hear([SimpleNamespace(latency_ms=each) for each in milliseconds] + [SimpleNamespace(latency_ms=None)])
    ordered = sorted(milliseconds)
    exact = ordered[bisect_left([(i + 1) / len(ordered) for i in range(len(ordered))], share)] / 1000
    told = percentile(heard.counts, share)
    assert told == pytest.approx(exact, rel=0.13)
    assert heard.seconds == pytest.approx(sum(milliseconds) / 1000)
    assert percentile([0] * len(heard.counts), share) is None


def test_the_bounds_of_the_metrics_are_among_those_that_are_counted_by() -> None:
    assert set(metrics.BOUNDS) <= set(BOUNDS)
    assert list(BOUNDS) == sorted(set(BOUNDS))


def test_problems_are_told_with_what_is_done_about_them() -> None:
    now = 0.0
    troubles = Troubles(clock=lambda: now)
    for number in range(3):
        troubles.row(Status.REJECTED, f"no such number +1416555010{number}, as in row {number}")
    troubles.failed("the target is busy (HTTP 503)", row=False, lasts=900)
    troubles.waits(12.0, asked=True)
    assert troubles.words(4) == [
        "the target is busy (HTTP 503) (1 time; waiting 12 s, then trying again; giving up in 15 min)",
        "no such number [number], as in row ... (3 rows rejected)",
    ]
    troubles.over()
    assert troubles.words(1) == ["the target is busy (HTTP 503) (1 time; waiting 12 s, then trying again)"]
    now = 20.0
    assert troubles.words(1) == ["the target is busy (HTTP 503) (1 time; last 20 s ago)"]
    troubles.failed("no answer", row=True, lasts=900)
    troubles.row(Status.IN_DOUBT, "no answer")
    assert troubles.words(1) == [
        "no answer (1 row in doubt, asked about before one is sent again; trying again; giving up in 15 min)"
    ]
    for number in range(3):
        troubles.put_off(f"the target is busy (code 901), says row {number}")
    assert troubles.words(1) == ["the target is busy (code 901), says row ... (put off 3 times, sent again later)"]
    for number in range(100):
        troubles.row(Status.FAILED, f"reason {chr(65 + number)}")
    assert len(troubles.words(1_000)) == 20, "an endless run keeps few of them"


# --- lines ---------------------------------------------------------------------------------------------------------


@given(
    width=st.integers(10, 220),
    height=st.integers(1, 60),
    phase=st.sampled_from(["starting", "surveying", "canary", "sending", "stopping", "writing", "reconciling"]),
    sent=st.integers(0, 10**7),
    elapsed=st.floats(0, 1e6),
    plain=st.booleans(),
)
def test_lines_fit_the_terminal(width: int, height: int, phase: str, sent: int, elapsed: float, *, plain: bool) -> None:
    run = Run(phase, 10**7, sent, Counter({Status.ACCEPTED: sent}), answered=sent, to_send=10**7, open_sessions=3)
    run.allowed, run.renewing, run.sessions.expired, run.stop_by = 64, 1, 12, 5.0
    run.troubles.row(Status.REJECTED, "words " * 60)
    run.latencies.hear([SimpleNamespace(latency_ms=20.0)])
    lines = view(Meter(run, clock=lambda: 0.0).read(), width=width, height=height, elapsed=elapsed, plain=plain)
    assert 1 <= len(lines) <= max(1, height - 1)
    assert all(len(line) <= width for _, line in lines)
    if plain:
        assert all(line.isascii() for _, line in lines)


def test_lines_on_a_usual_and_on_a_narrow_terminal() -> None:
    now = 0.0
    run = Run("sending", 10_000, 10_000, Counter({Status.INVALID: 226}), to_send=9_774, open_sessions=4, allowed=16)
    meter = Meter(run, clock=lambda: now)
    meter.read()
    now, run.answered, run.in_flight = 10.0, 1_860, 12
    run.counts[Status.ACCEPTED] = 1_860
    run.troubles.row(Status.REJECTED, "the target refused it (code 301)")
    reading = meter.read()
    assert [line for _, line in view(reading, width=80, height=24, elapsed=1.0, plain=True)] == [
        "sending  ###-----------------   19 %  1,860 of 9,774 rows  186 rows/s, 43 s left",
        "accepted 1,860, invalid 226",
        "sessions 4; in flight 12 of 16",
        "! the target refused it (code 301) (1 row rejected)",
    ]
    assert [line for _, line in view(reading, width=44, height=24, elapsed=1.0)] == [
        "sending",
        " 19 %  1,860 of 9,774 rows",
        "186 rows/s, 43 s left",
        "accepted 1,860, invalid 226",
        "sessions 4; in flight 12 of 16",
        "! the target refused it (code 301) (1 row",
        "  rejected)",
    ]
