"""The simulation can fail: every planted mistake breaks one of the first seeds."""

from contextlib import closing

import pytest
from simulation.planted import PLANTED

SEEDS = 300


@pytest.mark.parametrize("mistake", PLANTED)
def test_a_planted_mistake_is_found(workers, mistake):
    with closing(workers.play(range(SEEDS), planted=mistake)) as outcomes:
        found = next((outcome for outcome in outcomes if outcome.broken is not None), None)
    assert found is not None, f"{mistake} breaks none of {SEEDS} seeds: {PLANTED[mistake].__doc__}"
