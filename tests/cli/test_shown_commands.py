"""Every command that is shown anywhere is one that the program takes: found in its place, and parsed as it stands.

Parsed, not run: what they do is tested by name (test_documents, test_configs, test_batch, test_ci, test_explain). A
shown command that this module cannot read, or the program does not know, fails.
"""

import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from pipeline.cli import app

ROOT = Path(__file__).parents[2]
NAME = "contact-pipeline"

#: Named in a sentence without what it needs: the name alone is looked up.
NAMED = {"contact-pipeline session check"}


def parsed(line: str) -> list[str]:
    """The arguments of a command as a shell would hand them over, without redirections and what follows."""
    line = re.sub(r"\$\([^)]*\)|\$\{?\w+\}?", "STAND-IN", line.replace("\\%", "%"))
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split, lexer.commenters = True, "#"
    words = list(lexer)
    end = next((at for at, word in enumerate(words) if set(word) <= set("|&;<>")), len(words))
    return words[1 : end - 1 if end < len(words) and words[end - 1] in ("1", "2") else end]


def readme() -> Iterator[str]:
    for page in ("README.md", "configs/reference.md"):
        text = (ROOT / page).read_text(encoding="utf-8")
        for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL):
            yield from (line[line.index(NAME) :] for line in block.splitlines() if f"{NAME} " in line)
        yield from re.findall(rf"(?<!`)`({NAME} [^`\n]+)`(?!`)", text)


def topics() -> Iterator[str]:
    found = tomllib.loads((ROOT / "pipeline/report/topics.toml").read_text(encoding="utf-8"))

    def commands(node: object) -> Iterator[str]:
        if isinstance(node, dict):
            for key, value in node.items():
                yield from value if key == "commands" else commands(value)
        elif isinstance(node, list):
            for value in node:
                yield from commands(value)

    yield from commands(found)


def configs() -> Iterator[str]:
    for file in sorted((ROOT / "configs").rglob("*")):
        if file.is_file() and file.suffix not in (".md", ".service"):  # test_batch runs a unit's line with a shell
            for line in file.read_text(encoding="utf-8").splitlines():
                if found := re.search(rf"(?<![\w.-]){NAME} ([a-z]+ .*)", line):
                    yield f"{NAME} {found[1].partition(', and in another')[0]}"


def sources() -> Iterator[str]:
    """In texts of the program; what is filled in stands for a run."""
    for file in sorted((ROOT / "pipeline").rglob("*.py")):
        for line in file.read_text(encoding="utf-8").splitlines():
            for found in re.findall(rf"{NAME} ([a-z]+ [^\"`]*)", line):
                if re.match(r"(resume|undo|verify|status|check|import|explain|session|runs|campaign|person) ", found):
                    shown = re.sub(r"\{.*\}", "RUN_DIR", found).split(", or")[0].rstrip(". ")
                    yield f"{NAME} {shown}"


SHOWN = sorted({command for place in (readme, topics, configs, sources) for command in place()})


def test_they_are_found() -> None:
    for place, least in ((readme, 25), (topics, 50), (configs, 8), (sources, 6)):
        assert len(list(place())) >= least, place.__name__


@pytest.mark.parametrize("shown", SHOWN)
def test_the_program_takes_it(shown: str) -> None:
    arguments = parsed(shown)
    assert arguments, "a shown command that cannot be read"
    command = typer.main.get_command(app)
    if arguments[0].startswith("-"):
        assert arguments[0] == "--help" or any(arguments[0] in known.opts for known in command.params), shown
        return
    context = typer.Context(command)
    while hasattr(command, "commands"):
        name = arguments.pop(0)
        assert name in command.commands, f"{shown}: there is no {name}"
        command = command.commands[name]
        context = typer.Context(command, info_name=name, parent=context)
    if shown in NAMED:
        return
    try:
        command.parse_args(typer.Context(command, info_name="x"), arguments)
    except typer.Exit:
        pass  # --schema prints and ends
