"""Worker processes for the seeds, started once: each has to load data frames and to look at phone numbers first."""

from collections.abc import Iterator

import pytest
from simulation.suite import Workers


@pytest.fixture(scope="session")
def workers() -> Iterator[Workers]:
    with Workers() as started:
        yield started
