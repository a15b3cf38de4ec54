"""Fixtures: the command, a simulated service, a working directory, a configuration."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from cli.kit import CONFIG, LIST, Ended, run

from pipeline.simulator import OncSettings, RunningSimulator, running


@pytest.fixture(autouse=True)
def hurried(short_pauses: None) -> None:
    """Nothing waits for long before it is tried again."""


@pytest.fixture
def command() -> Callable[..., Ended]:
    return run


@pytest.fixture
def serve() -> Iterator[Callable[..., RunningSimulator]]:
    """Serve a simulator with these settings until the test ends."""
    with ExitStack() as stack:
        yield lambda **settings: stack.enter_context(running(OncSettings(**settings)))


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a contact list."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TEST_PASSWORD", "password")
    (tmp_path / "list.csv").write_text(LIST, encoding="utf-8")
    return tmp_path


@pytest.fixture
def configured(desk: Path) -> Callable[..., Path]:
    """A configuration for a service at this address."""

    def write(service: RunningSimulator | str = "http://127.0.0.1:9/onc.svc") -> Path:
        endpoint = service if isinstance(service, str) else service.url
        (desk / "config.toml").write_text(CONFIG.format(endpoint=endpoint), encoding="utf-8")
        return Path("config.toml")

    return write
