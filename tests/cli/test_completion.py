"""Completion, as the shells ask for it: by the words of the line in the environment."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import phonenumbers
import pytest
import typer

from pipeline.cli import app
from pipeline.report.explain import topics
from pipeline.report.forms import FORMS
from pipeline.run import AGAIN
from pipeline.simulator import SERVICES
from pipeline.simulator.onc.contract import TYPES
from pipeline.simulator.settings import FAULT_KINDS

#: Values that are none of few: of an option, by what stands for them in its help.
OPEN = {
    *("N", "N|P%", "NAME>=N", "KEY=VALUE", "ID", "CHAR", "NAME", "AGE", "REGEX", "CODE", "SECONDS", "CALLS"),
    *("SOURCE", "RUN_DIR", "DIR", "FILE", "[ID]", "[FILE]", "[DIRECTORY]", "[DIRECTORY]...", None),
}

#: What is to be offered where nothing in the type says so, from the modules that mean it.
OFFERED = {
    "--format": list(FORMS),
    "--report": list(FORMS),
    "--again": [status.value for status in AGAIN],
    "--system": [service.system for service in SERVICES.values()],
    "--fault": list(FAULT_KINDS),
    "--lose": [member.name for member in TYPES["CommunicationInfo"].members],
    "--region": sorted(phonenumbers.SUPPORTED_REGIONS),
    "topic": [name for each in topics() if each.kind in ("exit", "status", "error") for name in each.names],
}


def parameters(command: Any, *words: str) -> Iterator[tuple[tuple[str, ...], Any, Any]]:
    """All options and arguments that take a value, with the words and the context of their command."""
    for name, below in getattr(command, "commands", {}).items():
        yield from parameters(below, *words, name)
    for each in () if hasattr(command, "commands") else command.params:
        if not getattr(each, "is_flag", False):
            yield words, typer.Context(command, info_name=words[-1]), each


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
        ("zsh", "contact-pipeline report r --format j", "junit"),
        ("bash", "contact-pipeline resume r --again rejected,", "rejected,failed"),
        ("fish", "contact-pipeline simulate --system pa", "pagos"),
    ],
)
def test_words_are_offered(shell: str, line: str, offered: str) -> None:
    assert any(offered in answer for answer in asked(shell, line))


@pytest.mark.parametrize(
    ("shell", "line", "answer"),
    [
        ("zsh", "contact-pipeline import --mode=u", ["compset -P '--mode=';", "_arguments '*: :((\"upsert\"))'"]),
        ("zsh", "contact-pipeline import --config=my", ["compset -P '--config=';", "_files"]),
        ("fish", "contact-pipeline import --mode=", ["--mode=add", "--mode=upsert"]),
        ("fish", "contact-pipeline import --config=my", []),
    ],
)
def test_a_value_is_completed_where_it_is_joined_to_its_option(shell: str, line: str, answer: list[str]) -> None:
    """zsh is told where the value begins, fish of the whole word; what bash does is seen below, as it splits words."""
    assert [each for each in asked(shell, line) if each] == answer


def test_every_value_that_is_one_of_few_is_offered() -> None:
    met = set()
    for words, context, each in parameters(typer.main.get_command(app)):
        name = each.opts[0] if each.param_type_name == "option" else each.name
        choices = [choice.value for choice in each.type_descriptor.choices or ()]
        wanted = choices or OFFERED.get(name, [])
        met.add("" if choices else name)
        assert offered(context, each, "") == wanted, (words, name)
        # What is not offered is left to the shell, which completes files: nothing else may be one of few.
        assert wanted or each.metavar in OPEN, (words, name)
    assert set(OFFERED) <= met


def offered(context: Any, parameter: Any, typed: str) -> list[str]:
    """What typer would answer, asked within this process: there are many."""
    return [item.value for item in parameter.shell_complete(context, typed)]


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
COMP_WORDS=(contact-pipeline import --set a = b --log-format =) COMP_CWORD=7  # as bash splits --log-format=
_contact_pipeline_completion contact-pipeline
echo "${COMPREPLY[*]}"
COMP_WORDS=(contact-pipeline import --set a = b --log-format = j) COMP_CWORD=8
_contact_pipeline_completion contact-pipeline
echo "${COMPREPLY[*]}"
"""
    path = {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    ended = subprocess.run([bash, "-c", script], env=os.environ | path, capture_output=True, text=True, check=True)
    assert ended.stdout.splitlines() == ["upsert", "text json", "json"]
