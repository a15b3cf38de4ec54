"""Every command that is shown anywhere: found in its place, parsed as it stands, and run with stand-ins for its files.

A shown command that this module cannot read, or the program does not take, fails.
"""

import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from cli.kit import CONFIG, LIST, run

from pipeline.cli import app
from pipeline.simulator import OncSettings, running

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


# --- and run ---------------------------------------------------------------------------------------------------------

CAMPAIGN = "11111111-1111-4111-8111-111111111111"

#: What a word of a shown command stands for.
STANDS_FOR = {
    r"FILE|my\.toml|import\.toml|configs/demo\.toml": "config.toml",
    r"SOURCE|my-list\.csv|lists/contacts\.csv|samples/contacts\.csv|FIRST\.csv": "list.csv",
    r"SECOND\.csv": "second.csv",
    r"RUN_DIR|runs/first": "first",
    r"RUN_DIR/resubmit\.csv": "first/resubmit.csv",
    r"ID": CAMPAIGN,
    r"NAME": "accepted",
}

#: What is run elsewhere, by what stands in it, and where.
ELSEWHERE = {
    "$": "with the variables of a job or a scheduler: test_ci, test_batch",
    " simulate": "until it is stopped: test_documents",
    "extra.xlsx": "with a workbook: test_sources",
    "import - ": "with a pipe: test_standard_input",
    "< whom.txt": "with questions on standard input: test_person, test_person_erase",
    "--install-completion": "in shells: test_completion",
    "configs/genesys.toml": "test_configs",
    "configs/pagos.toml": "test_configs",
    "configs/intelliview.toml": "test_configs",
    "configs/wcf.toml": "test_configs",
    "campaign add": "test_campaign",
    "campaign update": "test_campaign",
}

#: How those end that end neither well nor with rows to look at.
ENDS = {"undo": 2, "--expect": 3}  # it wants --yes here; the list has five rows


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Lists, a configuration, and a run into a simulated service."""
    place = tmp_path_factory.mktemp("world")
    with running(OncSettings()) as service, pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setenv("TEST_PASSWORD", "password")
        config = CONFIG.format(endpoint=service.url) + "[delivery]\nlate_effect = 0.1\n"
        Path("config.toml").write_text(config, encoding="utf-8")
        for name in ("list.csv", "second.csv"):
            Path(name).write_text(LIST, encoding="utf-8")
        assert run("import", "list.csv", "--config", "config.toml", "--run-dir", "first").code == 1
        yield place


@pytest.mark.parametrize("shown", [shown for shown in SHOWN if not any(mark in shown for mark in ELSEWHERE)])
def test_it_runs(shown: str, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(world)
    words = []
    for word in parsed(shown):
        stands_for = [there for pattern, there in STANDS_FOR.items() if re.fullmatch(pattern, word)]
        words += stands_for or [word]
    if "--run-dir" in words and words[0] in ("import", "check") and "RUN_DIR" not in shown:
        words[words.index("--run-dir") + 1] = str(tmp_path / "run")
    if shown in NAMED:
        words += ["--config", "config.toml"]
    ended = run(*words)
    expected = [code for mark, code in ENDS.items() if mark in words]
    assert ended.code in (expected or (0, 1)), ended.err
