"""A Chromium that is installed."""

import shutil
from collections.abc import Callable

import pytest
from cli.conftest import command, configured, desk, serve
from page.kit import Shown, show

__all__ = ["chromium", "command", "configured", "desk", "serve"]


@pytest.fixture
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Shown]:
    """Chromium without a window and with an empty profile."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("Chromium is not installed (chromium; on Debian the package of that name)")
    profile = tmp_path_factory.mktemp("profile")
    return lambda page, *options: show(program, profile, page, *options)
