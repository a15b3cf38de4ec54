"""What the tests of kills share: a state directory of each test's own."""

import pytest


@pytest.fixture(autouse=True)
def _state(tmp_path, monkeypatch):
    monkeypatch.setenv("CONTACT_PIPELINE_STATE", str(tmp_path / "state"))
