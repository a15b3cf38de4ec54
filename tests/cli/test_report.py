"""Reports for CI: annotations, step summaries and test cases, read back as those read them that they are for."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cli.kit import LIST, Ended
from hypothesis import given
from hypothesis import strategies as st
from junitparser import JUnitXml
from lxml import etree

from pipeline.records import Status
from pipeline.report import github, junit
from pipeline.report.digest import Digest, Example, Finding, Weight
from pipeline.run import digest_of
from pipeline.simulator import RunningSimulator

Command = Callable[..., Ended]
Serve = Callable[..., RunningSimulator]
Configured = Callable[..., Path]

IMPORT = ("import", "list.csv", "--config", "config.toml", "--run-dir", "run")
COMMAND = re.compile(r"::(error|warning|notice) (?:file=([^,:]*),)?(?:line=(\d+),)?title=([^,:]*)::(.*)")
ESCAPES = {"%0D": "\r", "%0A": "\n", "%3A": ":", "%2C": ",", "%25": "%"}


def unescaped(text: str) -> str:
    """As GitHub's runner reads it: %25 last."""
    for escape, char in ESCAPES.items():
        text = text.replace(escape, char)
    return text


def annotations(text: str) -> list[tuple[str, ...]]:
    """Kind, file, line, title and message of each command."""
    found = [COMMAND.fullmatch(line) for line in text.splitlines() if line.startswith("::")]
    return [tuple(unescaped(part or "") for part in each.groups()) for each in found if each]


def digest(**given: object) -> Digest:
    """A run with nothing to tell."""
    nothing = Digest(
        run_dir="run",
        campaign="c",
        created=datetime(2026, 11, 22, 14, tzinfo=UTC),
        paths={},
        checked=False,
        ended=True,
        headline="Finished.",
        error=None,
        exit_code=0,
        seconds=1.0,
        rows=0,
        counts={},
        findings=(),
        warnings=(),
        accepted=None,
        latencies=None,
        ledger=True,
        record={},
        summary=None,
        undone=False,
        undo=None,
    )
    return replace(nothing, **given)  # type: ignore[arg-type]


@pytest.fixture
def step(desk: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A step of a job whose checkout is the working directory; where its summary goes."""
    monkeypatch.setenv("GITHUB_WORKSPACE", str(desk))
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(desk / "step.md"))
    (desk / "step.md").write_text("before\n")
    return desk / "step.md"


def test_annotations_and_a_step_summary(command: Command, serve: Serve, configured: Configured, step: Path) -> None:
    configured(serve())
    ended = command(*IMPORT, "--json", "--report", "github")
    assert ended.code == 1
    assert ended.out.startswith("{"), "standard output is the summary's alone"
    reason = "sms: column 'mobile': not a valid number: has no digits"
    expected = [
        ("error", "list.csv", "4", "1 row invalid", f"{reason} (list.csv:4)"),
        ("notice", "", "", "Import of 5 rows", f"{HEADLINE} accepted 3, invalid 1, duplicate 1."),
        ("notice", "list.csv", "6", "1 row duplicate", "the same key as an earlier row (list.csv:6)"),
    ]
    assert annotations(ended.err) == expected
    told = step.read_text()
    assert told.startswith("before\n### Import into campaign 11111111-")
    assert (
        "| 1 | invalid | sms&#58; column 'mobile'&#58; not a valid number&#58; has no digits | list&#46;csv&#58;4 |"
        in told
    )
    resumed = command("resume", "run", "--report", "github")
    assert (resumed.code, annotations(resumed.err)) == (1, expected), "a finished run is told of once more"
    again = command("report", "run", "--format", "github")
    assert (again.code, annotations(again.out), again.err) == (0, expected, "")


HEADLINE = "Finished; some rows need a look."


def test_what_lies_outside_of_the_checkout_has_no_file(
    command: Command, configured: Configured, step: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configured()
    monkeypatch.setenv("GITHUB_WORKSPACE", str(step.parent / "elsewhere"))
    ended = command("check", *IMPORT[1:], "--report", "github")
    assert {file for _, file, *_ in annotations(ended.err)} == {""}


def test_a_check_warns_of_no_row_that_can_be_sent(command: Command, configured: Configured, step: Path) -> None:
    configured()
    ended = command("check", *IMPORT[1:], "--report", "github", "--report", "junit=report.xml")
    assert [kind for kind, *_ in annotations(ended.err)] == ["error", "notice", "notice"]
    suite = etree.parse("report.xml").getroot()[0]
    assert suite.get("name") == "contact-pipeline check"
    cases = {case.get("name"): [each.tag for each in case] for case in suite.iter("testcase")}
    assert cases["rows can be sent"] == []


def test_tolerated_rows_are_no_error_of_a_green_job(
    command: Command, serve: Serve, configured: Configured, step: Path
) -> None:
    configured(serve())
    ended = command(*IMPORT, "--tolerate", "1", "--report", "github", "--report", "junit=report.xml")
    assert ended.code == 0
    assert [kind for kind, *_ in annotations(ended.err)] == ["warning", "notice", "notice"]
    suite = etree.parse("report.xml").getroot()[0]
    assert (suite.get("failures"), suite.get("errors"), suite.get("skipped")) == ("0", "0", "2")


def test_test_cases(command: Command, serve: Serve, configured: Configured, desk: Path) -> None:
    configured(serve())
    assert command(*IMPORT, "--report", "junit").code == 1
    root = etree.parse("run/report.xml").getroot()
    holds(root)
    cases = {(case.get("classname"), case.get("name")): list(case) for case in root.iter("testcase")}
    assert cases[("contact-pipeline.accepted", "rows are accepted")] == []
    assert cases[("contact-pipeline.run", "the run comes to its end")] == []
    reason = "sms: column 'mobile': not a valid number: has no digits"
    [failure] = cases[("contact-pipeline.invalid", reason)]
    assert (failure.tag, failure.get("message"), failure.text) == ("failure", f"1 row invalid: {reason}", "list.csv:4")
    [skipped] = cases[("contact-pipeline.duplicate", "the same key as an earlier row")]
    assert skipped.tag == "skipped"
    properties = {each.get("name"): each.get("value") for each in root.iter("property")}
    assert (properties["rows"], properties["accepted"], properties["invalid"]) == ("5", "3", "1")
    [read] = JUnitXml.fromfile("run/report.xml")
    told = (read.tests, read.failures, read.errors, read.skipped)
    read.update_statistics()  # counted by the parser itself
    assert (read.tests, read.failures, read.errors, read.skipped) == told == (4, 1, 0, 1)
    assert [(case.classname, case.name) for case in read] == list(cases)
    ended = command("report", "run", "--format", "junit", "--output", "again.xml")
    assert (ended.code, ended.out, Path("again.xml").read_bytes()) == (0, "", Path("run/report.xml").read_bytes())


def holds(root: etree._Element) -> None:
    """What the schemas in use ask for: which elements may stand where, which attributes must be there, and sums."""
    attributes = {
        "testsuites": set[str](),
        "testsuite": {
            "name",
            "timestamp",
            "hostname",
            "tests",
            "failures",
            "errors",
            "skipped",
            "time",
            "id",
            "package",
        },
        "properties": set(),
        "property": {"name", "value"},
        "testcase": {"name", "classname", "time"},
        "failure": {"type", "message"},
        "error": {"type", "message"},
        "skipped": {"message"},
        "system-out": set(),
        "system-err": set(),
    }
    for element in root.iter():
        assert set(element.attrib) == attributes[str(element.tag)]
    suite = root[0]
    tags = [str(element.tag) for element in suite]
    assert tags == ["properties", *["testcase"] * tags.count("testcase"), "system-out", "system-err"]
    assert int(suite.get("tests", "")) == tags.count("testcase")
    for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        assert int(suite.get(attribute, "")) == len(list(suite.iter(tag)))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", suite.get("timestamp", ""))
    assert re.fullmatch(r"\d+\.\d{3}", suite.get("time", ""))
    assert all(len(case) <= 1 for case in suite.iter("testcase"))


def test_no_destination_and_no_key(command: Command, serve: Serve, configured: Configured, step: Path) -> None:
    """Keys are mail addresses here, and cells of every kind are wrong."""
    config = configured(serve())
    config.write_text(config.read_text().replace('key = ["customer_id"]', 'key = ["email"]'))
    rows = ["9,Eve,555-0175-4,eve@@example.com", "7,Flo,+1 416 555 0176 5550176,", "8,Gil,4165550177,gil@example.com"]
    Path("list.csv").write_text(LIST + "\n".join(rows * 2) + "\n")
    ended = command(*IMPORT, "--report", "github", "--report", "junit")
    assert ended.code == 1
    told = "\n".join(line for line in ended.err.splitlines() if line.startswith("::"))
    told += step.read_text() + Path("run/report.xml").read_text()
    assert "invalid" in told
    for part in ("example.com", "ann@", "gil", "Eve"):
        assert part not in told
    assert not re.search(r"416\D{0,2}555|555\D?01\d\d", told), "seconds are numbers too, but none so long"


def test_a_target_that_repeats_a_number(command: Command, serve: Serve, configured: Configured) -> None:
    """Reasons hold none, but a target's words stand in some of them."""
    configured(serve())
    assert command(*IMPORT, "--set", 'ledger.formats=["csv"]').code == 1
    ledger = Path("run/ledger.csv")
    ledger.write_text(ledger.read_text().replace("has no digits", "no to +14165550101 of ann@example.com"))
    for form in ("github", "junit"):
        told = command("report", "run", "--format", form).out
        assert "no to [number] of [mail]" in told


def test_what_is_wrong_before_there_is_a_run(command: Command, configured: Configured, step: Path) -> None:
    configured()
    ended = command(
        "import", "none.csv", "--config", "config.toml", "--report", "github", "--report", "junit=report.xml"
    )
    assert ended.code == 2
    said = "none.csv: there is no such file; check the path"
    assert annotations(ended.err) == [("error", "", "", "Import: Not begun: nothing was sent.", said)]
    root = etree.parse("report.xml").getroot()
    holds(root)
    assert [(error.get("type"), error.text) for error in root.iter("error")] == [("exit code 2", said)]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("pdf", "'pdf' is no form of report; there are: html, junit, github"),
        ("junit=no/report.xml", "no is no directory"),
    ],
)
def test_a_report_that_cannot_be_stops_before_anything_is_sent(
    command: Command, serve: Serve, configured: Configured, given: str, said: str
) -> None:
    service = serve()
    configured(service)
    ended = command(*IMPORT, "--report", given)
    assert (ended.code, service.rows(), Path("run").exists()) == (2, [], False)
    assert said in ended.err


def test_a_report_that_cannot_be_written_is_told(command: Command, serve: Serve, configured: Configured) -> None:
    configured(serve())
    Path("taken").mkdir()
    ended = command(*IMPORT, "--tolerate", "1", "--report", "junit=taken")
    assert ended.code == 8
    assert "taken: the report cannot be written" in ended.err
    assert ended.out.endswith("Run: run\n"), "the run itself is told of as ever"
    assert command("report", "run", "--format", "junit", "--output", "taken").code == 8


def test_a_run_that_was_killed(command: Command, serve: Serve, configured: Configured, step: Path) -> None:
    """Without a summary the journal alone tells; a ledger of an earlier stop is not believed."""
    configured(serve())
    assert command(*IMPORT).code == 1
    Path("run/summary.json").unlink()
    ended = command("report", "run", "--format", "github")
    assert ended.code == 0
    [[kind, _, _, _, message]] = annotations(ended.out)
    assert (kind, message) == ("notice", "Not ended: it goes on, or was killed. accepted 3.")
    assert "Go on with: <code>contact&#45;pipeline resume run" not in step.read_text()
    assert "Go on with: <code>contact-pipeline resume run</code>" in step.read_text()
    root = etree.fromstring(command("report", "run", "--format", "junit").out.encode())
    holds(root)
    assert [error.get("type") for error in root.iter("error")] == ["not ended"]


@pytest.mark.parametrize("there", [True, False])
def test_other_ledgers(command: Command, serve: Serve, configured: Configured, there: bool) -> None:
    """Of every status findings add up to its count, whatever of a ledger there is."""
    configured(serve())
    assert command(*IMPORT, "--set", 'ledger.formats=["csv"]').code == 1
    if not there:
        Path("run/ledger.csv").unlink()
    told = digest_of(Path("run"))
    assert [(each.status, each.count) for each in told.findings] == [(Status.INVALID, 1), (Status.DUPLICATE, 1)]
    assert bool(told.findings[0].examples) is there


def test_names_that_are_up_to_no_good(command: Command, configured: Configured, step: Path) -> None:
    """A reason repeats the name of a column, and a file has a name."""
    config = configured()
    column = "mo<b>`%::error::\x1b@x"
    config.write_text(config.read_text().replace("{mobile}", column.join("{}").replace("\x1b", "\\u001b")))
    Path("a,b:%25 |*.csv").write_text(LIST.replace("mobile", column, 1))
    ended = command("check", "a,b:%25 |*.csv", "--config", config, "--run-dir", "run", "--report", "github")
    assert ended.code == 1, ended.err
    [(kind, file, line, _, message), *_] = annotations(ended.err)
    assert (kind, file, line) == ("error", "a,b:%25 |*.csv", "4")
    assert "mo<b>`%::error::" in message
    rows = [row for row in step.read_text().splitlines() if row.startswith("|")]
    assert all(row.count("|") in (3, 5) for row in rows)
    assert "<b>" not in step.read_text()
    holds(etree.fromstring(command("report", "run", "--format", "junit").out.encode()))


@given(st.integers(0, 30), st.integers(0, 30))
def test_at_most_ten_of_a_kind(errors: int, notices: int) -> None:
    found = [Finding(Status.INVALID, f"r{n}", 2, (Example("l", n, n + 1),), Weight.ERROR) for n in range(errors)]
    found += [Finding(Status.DUPLICATE, f"d{n}", 3, (), Weight.NOTICE) for n in range(notices)]
    told = annotations(github.commands(digest(findings=tuple(found)), Path("/")))
    for kind, number, each in (("error", errors, 2), ("notice", notices, 3)):
        own = [message for name, *_, message in told if name == kind]
        assert len(own) == min(number, 10)
        if number > 10:
            assert own[-1] == f"{number - 9} more reasons, {(number - 9) * each} times in all."


@given(st.text(min_size=1), st.text())
def test_no_text_leaves_its_place(reason: str, source: str) -> None:
    """Of a reason, or of a name, nothing but its characters is ever read by GitHub, Markdown or XML."""
    found = Finding(Status.INVALID, reason, 1, (Example(source, 1, 1),), Weight.ERROR)
    told = digest(
        findings=(found,), paths={source: "/c/" + source}, headline=reason, error=reason, exit_code=6, campaign=source
    )
    commands = github.commands(told, Path("/c"))
    assert [line[:8] for line in commands.split("\n")] == ["::error ", "::error ", ""]
    assert "\r" not in commands
    [row] = [row for row in github.step_summary(told).splitlines() if row.startswith("| 1 |")]
    assert row.count("|") == 5
    assert not re.search(r"[<>`*_\[\]\\]", row)
    holds(etree.fromstring(junit.render(told).encode("utf-8", "surrogatepass")))


def test_a_job_that_is_run_again_on_a_fresh_machine_sends_nothing_twice(
    command: Command, serve: Serve, configured: Configured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same list, neither state nor run directory, and a target that keeps ids."""
    service = serve()
    configured(service)
    Path("list.csv").write_text("".join(LIST.splitlines(keepends=True)[:3]))
    line = ("import", "list.csv", "--config", "config.toml", "--continue", "--report", "junit")
    line += ("--set", "delivery.late_effect=0.1", "--run-dir")  # before a machine without state sends, it waits so long
    codes, accepted = [], []
    for machine in ("first", "second"):
        monkeypatch.setenv("CONTACT_PIPELINE_STATE", str(tmp_path / machine / "state"))
        codes.append(command(*line, tmp_path / machine / "run").code)
        accepted.append(digest_of(tmp_path / machine / "run").counts)
    assert codes == [0, 0]
    assert (accepted[0][Status.ACCEPTED], accepted[1][Status.ACCEPTED]) == (2, 0)
    assert accepted[1][Status.DUPLICATE] == 2
    assert len(service.rows()) == 2
