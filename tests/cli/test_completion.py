"""Completion, as the shells ask for it: by the words of the line in the environment."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


def asked(shell: str, line: str, **environment: str) -> list[str]:
    """What the command answers a shell for a line whose last word is being typed."""
    words = line.split(" ")
    given = {"_CONTACT_PIPELINE_COMPLETE": f"complete_{shell}", **environment}
    if shell == "bash":
        given |= {"COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    else:
        given |= {"_TYPER_COMPLETE_ARGS": line, "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    ended = subprocess.run(
        [sys.executable, "-m", "pipeline"], env=os.environ | given, capture_output=True, text=True, check=False
    )
    assert ended.stderr == ""
    return ended.stdout.splitlines()


@pytest.mark.parametrize(
    ("shell", "line", "offered"),
    [
        ("bash", "contact-pipeline ver", "verify"),
        ("zsh", "contact-pipeline import --mo", "--mode"),
        ("zsh", "contact-pipeline import list.csv --log-format j", "json"),
        ("fish", "contact-pipeline campaign pau", "pause"),
        ("fish", "contact-pipeline import --mode up", "upsert"),
    ],
)
def test_words_are_offered(shell: str, line: str, offered: str) -> None:
    assert any(offered in answer for answer in asked(shell, line))


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_files_are_left_to_the_shell(shell: str) -> None:
    for line in ("contact-pipeline import lis", "contact-pipeline check --config my"):
        assert not any("lis" in answer or "my" in answer.split() for answer in asked(shell, line))


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_it_is_installed(shell: str, tmp_path: Path) -> None:
    home = os.environ | {"HOME": str(tmp_path), "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    for option in ("--show-completion", "--install-completion"):
        ended = subprocess.run(
            [sys.executable, "-c", "from pipeline.cli import app; app(prog_name='contact-pipeline')", option, shell],
            env=home,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (ended.returncode, ended.stderr) == (0, ""), option
        assert shell in ended.stdout.lower() or "_CONTACT_PIPELINE_COMPLETE" in ended.stdout
    assert [path for path in tmp_path.rglob("*") if path.is_file() and "contact-pipeline" in path.name]


def test_bash_itself_completes(tmp_path: Path) -> None:
    bash = shutil.which("bash")
    assert bash is not None
    (tmp_path / "contact-pipeline").write_text(
        f'#!/bin/sh\nexec "{sys.executable}" -m pipeline "$@"\n', encoding="utf-8"
    )
    (tmp_path / "contact-pipeline").chmod(0o755)
    script = """
eval "$(_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION=1 contact-pipeline --show-completion bash)"
COMP_WORDS=(contact-pipeline import --mode u) COMP_CWORD=3
_contact_pipeline_completion contact-pipeline
echo "${COMPREPLY[*]}"
"""
    path = {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    ended = subprocess.run([bash, "-c", script], env=os.environ | path, capture_output=True, text=True, check=True)
    assert ended.stdout == "upsert\n"
