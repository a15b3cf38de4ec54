"""What all tests share: asyncio as the one backend, a state for each, and skips that fail where REQUIRE_ALL is set."""

import os

import pytest
from hypothesis import settings

# No test depends on speed: an example may take as long as it takes.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def state_of_its_own(tmp_path_factory, monkeypatch) -> None:
    """What one test has brought into a campaign is none of another's business."""
    monkeypatch.setenv("CONTACT_PIPELINE_STATE", str(tmp_path_factory.mktemp("state")))


@pytest.fixture
def short_pauses(monkeypatch) -> None:
    """Whatever waits before it tries again, in this process, waits no longer than a test should."""
    from tenacity import wait_none

    for module in ("breaker", "deliver"):
        monkeypatch.setattr(f"pipeline.stages.{module}.FIRST_PAUSE", 0.02)
        monkeypatch.setattr(f"pipeline.stages.{module}.LONGEST_PAUSE", 0.2)
    monkeypatch.setattr("pipeline.sessions.wait_exponential_jitter", lambda **_: wait_none())


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if os.environ.get("REQUIRE_ALL") and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped although REQUIRE_ALL is set: {report.longrepr}"
