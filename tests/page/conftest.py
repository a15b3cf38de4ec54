"""A Chromium that is installed."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from cli.conftest import command, configured, desk, hurried, serve
from page.kit import Shown, printed, show

__all__ = ["chromium", "command", "configured", "desk", "hurried", "on_paper", "serve"]


@pytest.fixture
def chromium(browser: tuple[str, Path]) -> Callable[..., Shown]:
    """What Chromium makes of a page."""
    return lambda page, *options: show(*browser, page, *options)


@pytest.fixture
def on_paper(browser: tuple[str, Path]) -> Callable[[Path], int]:
    """How many sheets of paper Chromium prints a page on."""
    return lambda page: printed(*browser, page)


@pytest.fixture
def browser(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """Chromium without a window, and an empty profile for it."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("Chromium is not installed (chromium; on Debian the package of that name)")
    return program, tmp_path_factory.mktemp("profile")
