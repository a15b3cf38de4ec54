"""The distribution as it would be published, built once for a worker."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def build(checkout: Path, into: Path, *kinds: str) -> list[Path]:
    """Build distributions with the build backend of the lock: no environment is made for it, nothing is fetched."""
    options = [f"--target={kind}" for kind in kinds]
    command = [sys.executable, "-m", "hatchling", "build", "--directory", str(into), *options]
    done = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return sorted(into.iterdir())


@pytest.fixture(scope="session")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The wheel and the source archive of this checkout."""
    wheel, archive = build(ROOT, tmp_path_factory.mktemp("dist"), "sdist", "wheel")
    return wheel, archive


@pytest.fixture(scope="session")
def wheel(distributions: tuple[Path, Path]) -> Path:
    return distributions[0]


@pytest.fixture(scope="session")
def archive(distributions: tuple[Path, Path]) -> Path:
    return distributions[1]
