"""The breaker: it probes with pauses, and whoever listens can tell a person what goes on."""

from random import Random

import anyio
import pytest

from pipeline.errors import NotDelivered, OutcomeUnknown
from pipeline.report.troubles import Troubles
from pipeline.stages.breaker import Breaker


class Recorded(Breaker):
    """A breaker that tells of its pauses in place of sleeping."""

    def __init__(self, listener: Troubles) -> None:
        super().__init__(900.0, anyio.Event(), Random(1), listener)
        self.pauses: list[float] = []

    async def stopped_within(self, seconds: float) -> bool:
        self.pauses.append(seconds)
        return False


def test_every_probe_but_the_first_waits_and_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        monkeypatch.setattr("pipeline.stages.breaker.anyio.current_time", lambda: 0.0)  # failures take no time
        now = 0.0
        troubles = Troubles(clock=lambda: now)
        breaker = Recorded(troubles)
        probed = 0

        async def probe() -> None:
            nonlocal probed
            probed += 1
            if probed <= 5:
                raise NotDelivered("no connection")

        breaker.failed(OutcomeUnknown("no answer"))
        assert breaker.open
        turn = await breaker.passage(probe)
        assert turn is not None
        assert (probed, len(breaker.pauses)) == (6, 5), "none hammers the target"
        assert min(breaker.pauses) > 0
        (told,) = troubles.words(1)
        assert told.startswith("no connection (5 times; ")
        assert "giving up in 15 min" in told
        breaker.succeeded()
        turn.release()
        now = 100.0
        assert troubles.words(1) == ["no connection (5 times; last 1 min 40 s ago)"]

    anyio.run(scenario)


def test_trial_rows_that_fail_after_a_good_answer_are_not_sent_one_after_the_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario() -> None:
        monkeypatch.setattr("pipeline.stages.breaker.anyio.current_time", lambda: 0.0)  # failures take no time
        breaker = Recorded(Troubles(clock=lambda: 0.0))

        async def probe() -> None:
            pass

        breaker.failed(OutcomeUnknown("no answer"))
        for trials in range(5):
            turn = await breaker.passage(probe)
            assert turn is not None
            assert len(breaker.pauses) == trials, "the first alone leaves at once"
            breaker.failed(OutcomeUnknown("no answer"))
            turn.release()
        assert min(breaker.pauses) > 0

    anyio.run(scenario)
