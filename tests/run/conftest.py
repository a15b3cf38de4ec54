"""What the tests of runs share: nothing waits for long before it is tried again."""

import pytest


@pytest.fixture(autouse=True)
def hurried(short_pauses: None) -> None:
    """For every test here."""
