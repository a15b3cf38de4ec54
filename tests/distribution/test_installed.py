"""The wheel in an environment of its own: the core says what it lacks, and with the extras the demonstration runs."""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import requires
from pathlib import Path

import pytest
from cli.kit import CONFIG, LIST
from distribution.conftest import ROOT
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from xlsxwriter import Workbook

from pipeline.simulator import OncSettings, running

#: Fetching and installing what the package requires may take so long, in seconds.
INSTALLS_WITHIN = 600

#: Imports all there is but the simulator, and says where the package lies.
IMPORT_ALL = """
import importlib, pkgutil, pipeline
for module in pkgutil.walk_packages(pipeline.__path__, "pipeline."):
    if not module.name.startswith(("pipeline.simulator", "pipeline.__main__")):
        importlib.import_module(module.name)
print(pipeline.__file__)
"""

USER = """
from pathlib import Path

from pipeline import Settings, Summary, import_contacts
from pipeline.run import ImportOptions, load


async def imported(config: Path) -> Summary:
    settings, sources = load([config], [], ["my-list.csv"])
    given: Settings = settings
    return (await import_contacts(given, sources, ImportOptions(limit=10))).summary
"""


def locked(*extras: str) -> str:
    """What the package and these extras of it require, all the way down, as the lock has it: with hashes."""
    lock = (ROOT / "scripts/requirements-dev.lock").read_text(encoding="utf-8")
    entries = [(entry.partition("==")[0], entry) for entry in re.split(r"^(?=\w)", lock, flags=re.MULTILINE)]
    wanted = [Requirement(f"contact-pipeline[{','.join(extras)}]")]
    found: set[str] = set()
    for requirement in wanted:
        found.add(name := canonicalize_name(requirement.name))
        for each in map(Requirement, requires(name) or ()):
            told = [{"extra": extra} for extra in ("", *requirement.extras)]
            new = each.extras or canonicalize_name(each.name) not in found
            if new and (each.marker is None or any(map(each.marker.evaluate, told))):
                wanted.append(each)
    return "".join(entry for name, entry in entries if name in found)


@dataclass(frozen=True)
class Machine:
    """A machine with nothing but Python: a directory outside the checkout, with an environment of its own."""

    place: Path

    @property
    def python(self) -> Path:
        return self.place / ".venv/bin/python"

    def pip(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pip", "--python", self.python, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=INSTALLS_WITHIN)

    def install(self, wheel: Path, *extras: str) -> None:
        """Install the wheel; of a machine that cannot fetch what it requires no more can be told."""
        lock = self.place / "requirements.lock"
        lock.write_text(locked(*extras), encoding="utf-8")
        quick = ("install", "--quiet", "--no-compile")
        if (done := self.pip(*quick, "--require-hashes", "--requirement", lock)).returncode:
            pytest.skip(f"what the package requires could not be installed: {done.stderr.strip()[-300:]}")
        done = self.pip(*quick, "--no-deps", "--no-index", "--force-reinstall", wheel)
        assert done.returncode == 0, done.stderr
        done = self.pip("check")
        assert done.returncode == 0, done.stdout

    def run(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a program there: it is found in the environment, and knows nothing of ours."""
        home = self.place / "home"
        known = {"PATH": f"{self.python.parent}{os.pathsep}/usr/bin:/bin", "HOME": str(home), "LANG": "C.UTF-8"}
        return subprocess.run(
            arguments, cwd=self.place, env={**known, "TEST_PASSWORD": "password"}, capture_output=True, text=True,
            check=False, timeout=INSTALLS_WITHIN
        )  # fmt: skip

    def contact_pipeline(self, *arguments: str | Path) -> tuple[int, str]:
        """How the command ends, and the last line of what it says."""
        ended = self.run("contact-pipeline", *arguments)
        assert "Traceback" not in ended.stderr
        return ended.returncode, (ended.stdout + ended.stderr).strip().splitlines()[-1]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    machine = Machine(tmp_path / "machine")
    (machine.place / "home").mkdir(parents=True)
    interpreter = os.environ.get("PYTHON", sys.executable)  # scripts/environment takes the same
    subprocess.run([interpreter, "-m", "venv", "--without-pip", machine.place / ".venv"], check=True)
    return machine


def test_installed_on_a_bare_machine(machine: Machine, wheel: Path) -> None:
    """One environment for all of it: installing is what takes long."""
    machine.install(wheel)
    the_core_imports(machine)
    the_core_names_what_it_lacks(machine)
    machine.install(wheel, "all")
    the_demonstration_runs(machine)
    a_program_of_a_user_is_type_checked(machine)


def the_core_imports(machine: Machine) -> None:
    imported = machine.run("python", "-W", "error", "-c", IMPORT_ALL)
    assert imported.returncode == 0, imported.stderr
    assert Path(imported.stdout.strip()).is_relative_to(machine.place / ".venv")
    (machine.place / "list.csv").write_text(LIST, encoding="utf-8")
    with running(OncSettings()) as service:
        (machine.place / "config.toml").write_text(CONFIG.format(endpoint=service.url), encoding="utf-8")
        ended = machine.run(
            "contact-pipeline", "import", "list.csv", "--config", "config.toml", "--run-dir", "run", "--json"
        )
    assert ended.returncode == 1, ended.stderr
    counts = json.loads(ended.stdout)["counts"]
    assert {status: count for status, count in counts.items() if count} == {"accepted": 3, "invalid": 1, "duplicate": 1}
    assert machine.contact_pipeline("verify", "run")[0] == 0


def the_core_names_what_it_lacks(machine: Machine) -> None:
    with Workbook(machine.place / "list.xlsx") as book:
        book.add_worksheet().write_row(0, 0, LIST.splitlines()[0].split(","))
    lacking = {
        "simulator": ("simulate",),
        "excel": ("check", "list.xlsx", "--config", "config.toml"),
        "metrics": ("import", "list.csv", "--config", "config.toml", "--metrics", "run.prom"),
    }
    for extra, arguments in lacking.items():
        code, said = machine.contact_pipeline(*arguments)
        assert code == 2
        assert f"pip install 'contact-pipeline[{extra}]'" in said
    assert not (machine.place / "run.prom").exists()


def the_demonstration_runs(machine: Machine) -> None:
    """scripts/demo with samples and configurations, and nothing else of the checkout: the environment is there."""
    for name in ("configs", "samples"):
        shutil.copytree(ROOT / name, machine.place / name)
    (machine.place / "scripts").mkdir()
    shutil.copy(ROOT / "scripts/demo", machine.place / "scripts/demo")
    environment = machine.place / "scripts/environment"
    environment.write_text("#!/bin/sh\n", encoding="utf-8")
    environment.chmod(0o755)
    ended = machine.run("scripts/demo")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert len(list(machine.place.glob("runs/*-demo-*/ledger.parquet"))) == 1
    assert list((machine.place / "home").iterdir()) == [], "nothing is left in the home directory"


def a_program_of_a_user_is_type_checked(machine: Machine) -> None:
    def checked(program: str) -> str:
        (machine.place / "user.py").write_text(program, encoding="utf-8")
        command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--python-executable", machine.python]
        return subprocess.run(
            [*command, "user.py"], cwd=machine.place, capture_output=True, text=True, check=False
        ).stdout

    assert checked(USER) == "Success: no issues found in 1 source file\n"
    assert "[arg-type]" in checked(USER.replace("limit=10", 'limit="ten"')), "the types are those of the package"
