"""A LibreOffice that is installed, for one worker's tests alone."""

import shutil

import pytest
from cli.conftest import command, configured, desk, serve
from spreadsheet.kit import Office

__all__ = ["command", "configured", "desk", "office", "serve"]


@pytest.fixture(scope="session")
def office(tmp_path_factory: pytest.TempPathFactory) -> Office:
    """LibreOffice with an empty profile."""
    program = shutil.which("soffice")
    if program is None:
        pytest.skip("LibreOffice Calc is not installed (soffice; on Debian the package libreoffice-calc)")
    return Office(program, tmp_path_factory.mktemp("profile"))
