"""`explain`: whatever a run can end with, or say of a row, has a text; and what is not known is said to be so."""

import importlib
import json
import pkgutil
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import polars as pl
import pytest
import typer
from cli.kit import Ended

import pipeline
from pipeline.cli import app
from pipeline.errors import PipelineError, RunError
from pipeline.records import Status
from pipeline.report import explain
from pipeline.simulator import RunningSimulator

Command = Callable[..., Ended]
ROOT = Path(__file__).parents[2]
TOPICS = explain.topics()

#: interface.md, "Exit codes".
EXIT_CODES = ("0", "1", "2", "3", "4", "5", "6", "7", "8", "130", "143")

#: Modules in which reasons are made constants of.
REASONS = {
    "pipeline.records": (
        "TAKING_BACK",
        "TAKEN_BACK",
        "UNSENT",
        "UPDATE_UNANSWERED",
        "NOT_THERE",
        "NOT_ADDED",
        "WAS_UPDATED",
    ),
    "pipeline.ledger.files": ("NOT_ATTEMPTED", "OTHERS"),
    "pipeline.ledger.recovery": ("UNANSWERED",),
    "pipeline.ledger.resubmit": ("UNMENDED", "LOST", "HIDDEN"),
    "pipeline.run.known": ("SAME", "LISTED", "OTHER", "UNSURE", "DOUBTED"),
    "pipeline.run.reconciling": ("LISTED", "CHANGED", "NO_ANSWER", "AGAIN"),
    "pipeline.run.taking_back": ("AGAIN", "UNTOLD"),
}

#: How targets, lines and sessions say what became of a call; all of it can stand behind a row, or end a command.
RAISED = re.compile(
    r"(?:Refused|AlreadyThere|PutOff|OutcomeUnknown|SessionExpired|NotDelivered|NoList|Unreadable|Garbled|AnswerTooLarge)"
    r'\(\s*f?"([^"]+)"'
)


def explained(reason: str) -> bool:
    """Whether a reason is recognised as such, and not only as a part of something's name."""
    try:
        found = explain.find(reason, TOPICS)
    except explain.UnknownTopicError:
        return False
    return all(topic.kind in ("reason", "warning") for topic in found)


def subclasses(of: type) -> Iterator[type]:
    for each in of.__subclasses__():
        yield each
        yield from subclasses(each)


def test_every_exit_code_has_a_text(command: Command) -> None:
    for code in EXIT_CODES:
        ended = command("explain", code)
        assert (ended.code, ended.err) == (0, "")
        assert ended.out.startswith("exit code ")
        assert "What happened: " in ended.out
        assert "Where to look: " in ended.out
        assert "What to do: " in ended.out
    assert {name for topic in TOPICS if topic.kind == "exit" for name in topic.names} == set(EXIT_CODES)


def test_every_status_has_a_text(command: Command) -> None:
    for status in Status:
        assert command("explain", status.value).out.startswith(f"status {status.value}: ")
    assert {name for topic in TOPICS if topic.kind == "status" for name in topic.names} == set(Status)
    assert command("explain", "In doubt").out == command("explain", "in_doubt").out


def test_every_error_has_a_text_and_its_exit_code() -> None:
    for module in pkgutil.walk_packages(pipeline.__path__, "pipeline."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    ours = {e for e in (PipelineError, *subclasses(PipelineError)) if e.__module__.startswith("pipeline.")}
    known = {name: topic for topic in TOPICS if topic.kind == "error" for name in topic.names}
    assert {error.__name__ for error in ours if not error.__name__.startswith("_")} == set(known)
    for error in ours:
        if issubclass(error, RunError) and "exit_code" in vars(error):
            assert str(error.exit_code) in known[error.__name__].see


def test_every_constant_reason_has_a_text() -> None:
    for name, constants in REASONS.items():
        for constant in constants:
            reason = getattr(importlib.import_module(name), constant).format(attempts=3)
            assert explained(reason), reason
    for status in Status:
        assert explained(f"this run had not added it: {status.value}")


def test_every_reason_of_a_call_has_a_text() -> None:
    """Read out of the source, with something in place of what stands in braces."""
    paths = [path for folder in ("targets", "wire") for path in (ROOT / "pipeline" / folder).rglob("*.py")]
    sources = [path.read_text(encoding="utf-8") for path in (*paths, ROOT / "pipeline/sessions.py")]
    reasons = {reason for source in sources for reason in RAISED.findall(source)}
    assert len(reasons) > 70
    fixed = {reason for reason in reasons if len(re.sub(r"\{.*\}", "", reason)) > len("code : ()")}
    filled = {re.sub(r"\{[^}]*\}", "17", reason.replace("answered {code}", "answered HTTP 500")) for reason in fixed}
    assert {reason for reason in filled if not explained(reason)} == set()


#: Faults of mail addresses of which there is no more to say than of all of them.
OF_ALL_MAILS = {
    "a character before the @-sign that is not allowed there",
    "a character after the @-sign that is not allowed there",
    "two periods in a row",
    "begins with a period",
    "ends with a period",
    "ends with a hyphen",
    "a period beside the @-sign",
    "a hyphen after the @-sign",
    "a period beside a hyphen",
    "too long",
}


def test_every_fault_of_a_destination_has_a_text_of_its_own() -> None:
    """Read out of the source: beside these words there is the text for all invalid destinations."""
    from pipeline.stages.destinations import damage, email, phone

    def general(what: str, words: set[str]) -> set[str]:
        found = {word: explain.find(f"{what}: {word}", TOPICS)[0].names for word in words}
        return {word for word, names in found.items() if names == (what,)}

    source = Path(damage.__file__).read_text(encoding="utf-8").partition("def damage")[2].partition("def _plain")[0]
    damages = set(re.findall(r'return f?"([^"]+)"', source)) | {"has an invisible character (U+0001)"}
    assert len(damages) > 6
    mails = damages | set(email._MEANINGS.values()) | {"ends with a comma or a semicolon", "more than one @-sign"}
    assert general("not a valid mail address", mails) == OF_ALL_MAILS
    source = Path(phone.__file__).read_text(encoding="utf-8")
    phones = (
        damages
        | {words for _, words in phone.CUTS}
        | {words.replace("{where}", "CA") for words in re.findall(r'return f?": ([^"{][^"]*)"', source)}
    )
    assert len(phones) > 20
    assert general("not a valid number", phones) == set()


def test_every_reason_of_a_nasty_list_has_a_text(
    command: Command, serve: Callable[..., RunningSimulator], desk: Path
) -> None:
    for name in ("samples", "configs"):
        shutil.copytree(ROOT / name, desk / name)
    rows = (
        b"8001,Ann,,+1 416 555 0101,ann@example.com,yes,,,\n"  # too few
        b'8002,"Ann" x,Lee,416-555-0102,,,yes,,,\n'
        b"8003,A\0n,Lee,416-555-0103,,,yes,,,\n"
        b"8004,A\xffn,Lee,416-555-0104,,,yes,,,\n"
        b"8005,Ann,Lee,39061234567,,ann@@x,yes,A,en,x\n"
        b"8006,Ann,Lee,#REF!,,&amp;@x.com,yes,A,en,x\n"
        b"8007,Ann,Lee,+44 1,,ann at x.com,yes,A,en,x\n"
        b'8008,Ann,Lee,416-555-0108,,,yes,A,en,"open\n'
    )
    sample = (desk / "samples/contacts.csv").read_bytes()
    header = sample.partition(b"\n")[0] + b"\n"
    (desk / "nasty.csv").write_bytes(sample + rows[: rows.index(b"8008")] + header + rows[rows.index(b"8008") :])
    address = f"target.endpoint={serve().url}"
    for number in (1, 2):  # the second time all is there already
        ended = command(
            "import", "nasty.csv", "--config", "configs/demo.toml", "--set", address, "--run-dir", f"r{number}",
            "--set", 'target.password="password"',
        )  # fmt: skip
        assert ended.code == 1, ended.err
        ledger = pl.read_parquet(desk / f"r{number}" / "ledger.parquet")
        reasons = ledger["reason"].drop_nulls().unique().to_list()
        assert len(reasons) > 20
        assert [reason for reason in reasons if not explained(reason)] == []
        warnings = ledger["warnings"].explode().drop_nulls().unique().to_list()
        assert [warning for warning in warnings if not explained(warning)] == []


def test_a_reason_with_several_causes_is_explained_cause_by_cause(command: Command) -> None:
    reason = "sms: column 'a': not a valid number: has no digits; email: column 'b': not a valid mail address: too long"
    ended = command("explain", reason)
    assert [line for line in ended.out.splitlines() if line.startswith("reason ")] == [
        "reason not a valid number: has no digits",
        "reason not a valid mail address",
    ]
    assert command("explain", *reason.split()) == ended, "quotes may be left out"


def test_what_differs_from_row_to_row_does_not_matter(command: Command) -> None:
    ended = command("explain", "the session is gone (code 101)")
    assert (ended.code, ended.out.splitlines()[0]) == (0, "reason the session is gone")
    ended = command("explain", "the target refused it (code 17: no; way)")
    assert ended.out.splitlines()[0] == "reason the target refused * (*)"


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("acepted", "Nearest: accepted"),
        ("TargetUnusabel", "Nearest: TargetUnusable"),
        ("99", "target.codes"),
        ("campaign", "may be one of several: "),
        ("qqq", "`contact-pipeline explain` lists what there is"),
        ("*", "explain: "),
    ],
)
def test_what_is_not_known_is_said(command: Command, asked: str, told: str) -> None:
    ended = command("explain", asked)
    assert (ended.code, ended.out) == (2, "")
    assert told in ended.err


def test_topics_are_listed_and_given_as_data(command: Command) -> None:
    listed = command("explain")
    assert listed.code == 0
    told = json.loads(command("explain", "--json").out)
    assert len(told) == len(TOPICS)
    for topic in told:
        assert f"  {', '.join(topic['names'])}" in listed.out
    [five] = json.loads(command("explain", "5", "--json").out)
    assert (five["kind"], five["names"]) == ("exit", ["5"])
    assert "contact-pipeline resume RUN_DIR" in five["commands"]


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.names[0])
def test_texts_are_whole_and_their_commands_exist(topic: explain.Topic) -> None:
    for words in (topic.happened, topic.look, topic.act):
        assert words.endswith((".", ":", "?"))
        assert words.count(". ") <= 2, "three sentences at most"
    names = {name for each in TOPICS for name in each.names}
    assert set(topic.see) <= names
    for line in topic.commands:
        program, *words = shlex.split(line)
        assert program == "contact-pipeline"
        at: click.Command = typer.main.get_command(app)
        while isinstance(at, click.Group) or hasattr(at, "commands"):
            at = at.commands[words.pop(0)]  # type: ignore[union-attr]
        options = {name for parameter in at.params for name in parameter.opts} | {"--help"}
        assert {word for word in words if word.startswith("--")} <= options, line


def test_names_are_unique() -> None:
    names = [name.casefold() for topic in TOPICS for name in topic.names]
    assert len(names) == len(set(names))


def test_the_commands_of_the_readme(command: Command) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.startswith("contact-pipeline explain")]
    assert len(lines) == 4
    for line in lines:
        assert command(*shlex.split(line, comments=True)[1:]).code == 0


def test_readme_is_current() -> None:
    ended = subprocess.run(
        [sys.executable, ROOT / "scripts/documents", "--check"], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
