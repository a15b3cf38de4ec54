"""What the wheel and the source archive hold: all that the program needs, and nothing else."""

import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path

from distribution.conftest import ROOT, build

from pipeline import __version__

INFO = f"contact_pipeline-{__version__}.dist-info"


def files(*places: str) -> set[str]:
    """The files of the checkout that stand there, but for what Python itself writes."""
    found = (path for place in places for path in (ROOT / place).rglob("*") if path.is_file())
    return {path.relative_to(ROOT).as_posix() for path in found if "__pycache__" not in path.parts}


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as opened:
        names = set(opened.namelist())
    about = {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE"}
    assert names == files("pipeline") | {f"{INFO}/{name}" for name in about}
    assert {Path(name).suffix for name in files("pipeline")} == {".css", ".json", ".py", ".toml", ".typed", ".wsdl"}
    assert "pipeline/py.typed" in names


def test_the_wheel_says_what_it_is(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as opened:
        told = Parser().parsestr(opened.read(f"{INFO}/METADATA").decode())
        commands = opened.read(f"{INFO}/entry_points.txt").decode()
    assert (told["Name"], told["Version"], told["Requires-Python"]) == ("contact-pipeline", __version__, ">=3.11")
    assert set(told.get_all("Provides-Extra") or []) == {"all", "excel", "http2", "metrics", "simulator"}
    assert commands.split() == ["[console_scripts]", "contact-pipeline", "=", "pipeline.__main__:main"]
    assert wheel.name.endswith("-py3-none-any.whl"), "one for every system"


def test_the_archive_makes_the_same_wheel(wheel: Path, archive: Path, tmp_path: Path) -> None:
    with tarfile.open(archive) as opened:
        opened.extractall(tmp_path, filter="data")
    [unpacked] = tmp_path.iterdir()
    [again] = build(unpacked, tmp_path / "again", "wheel")
    assert again.name == wheel.name
    assert again.read_bytes() == wheel.read_bytes()
    held = {path.relative_to(unpacked).as_posix() for path in unpacked.rglob("*") if path.is_file()}
    assert held >= files("pipeline", "configs", "samples", "scripts", "tests"), "its README's commands work there"
    assert held >= {"CHANGELOG.md", "LICENSE", "README.md", "pyproject.toml"}
