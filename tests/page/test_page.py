"""report.html: in every run directory, true, closed in itself, and free of people's numbers; read by a browser too."""

import re
import stat
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cli.kit import LIST, Ended
from hypothesis import given
from hypothesis import strategies as st
from lxml.etree import tostring
from page.kit import Shown, Strict

from pipeline.records import Status
from pipeline.report.charts import by_status, of_latencies, over_time
from pipeline.report.page import page as html_page
from pipeline.report.page import prose, tag
from pipeline.report.timing import Accepted, AnswerTimes
from pipeline.simulator import RunningSimulator

Command = Callable[..., Ended]
Serve = Callable[..., RunningSimulator]
Configured = Callable[..., Path]

IMPORT = ("import", "list.csv", "--config", "config.toml", "--run-dir", "run")
REPORT = Path("run/report.html")


def page(path: Path = REPORT) -> Strict:
    return Strict(path.read_text(encoding="utf-8"))


def test_in_a_browser(
    command: Command, serve: Serve, configured: Configured, desk: Path, chromium: Callable[..., Shown]
) -> None:
    """A name that would be a script is read as a name, nothing is asked for, and the style is the page's own."""
    configured(serve(refuse={"0102$": None}))
    name = "<script>alert(1)</script>.csv"
    Path(name).parent.mkdir()
    Path(name).write_text(LIST, encoding="utf-8")
    assert command("import", name, *IMPORT[2:]).code == 1
    shown = chromium(REPORT.absolute())
    assert shown.complaints == ()
    for words in (
        "Import into campaign 11111111-1111-4111-8111-111111111111, begun ",
        "Finished; some rows need a look.",
        "Exit code 1",
        "Rows5Accepted2To mend2",
        "contact-pipeline import run/resubmit.csv --config config.toml",
        "contact-pipeline resume run --again rejected",
        "accepted240.0%the target took it",
        "How long answers took",
        "invalidsms: column 'mobile': not a valid number: has no digitsLeave nothing but the number in the cell",
        f"in {name}; what cells hold is never shown.",
        "line 4",
        "passwordfrom the environment: TEST_PASSWORD",
    ):
        assert words in shown.text
    told = page()
    assert set(told.found) & {"script", "img", "link", "iframe", "form"} == set()
    assert told.policy.startswith("default-src 'none'; style-src 'sha256-")
    whole = REPORT.read_text(encoding="utf-8")
    assert not re.search(r"555\D?01\d\d|ann@|dora@", whole), "what is drawn has numbers too, but none so long"
    # What the browser refuses it tells of: else the first of these would show nothing.
    broken = desk / "broken.html"
    broken.write_text(whole.replace("</h1>", "</h1><script>alert(1)</script>").replace("--page: #", "--page:  #"))
    assert len(chromium(broken).complaints) == 2


def test_what_is_folded_away_is_printed(
    command: Command, configured: Configured, desk: Path, on_paper: Callable[[Path], int]
) -> None:
    """The page is no scroll: the weightiest reasons stand there, others and settings are a touch away."""
    configured()
    ragged = [f"{row},Ann" + ",x" * row + "\n" for row in range(3, 23)]
    Path("list.csv").write_text(LIST + "".join(ragged), encoding="utf-8")
    assert command("check", *IMPORT[1:]).code == 1
    whole = REPORT.read_text(encoding="utf-8")
    assert "<summary>14 other reasons, of 14 rows</summary>" in whole
    shown, folded = whole.split("<summary>14 other reasons")
    assert shown.count(" fields where the header has 4") == 8
    assert folded.count(" fields where the header has 4") == 12
    assert "the same key as an earlier row" in folded, "what is as it should be comes last"
    assert [part.partition("<")[0] for part in folded.split("<summary><h2>")[1:]] == ["The run", "Settings"]
    opened = desk / "opened.html"
    opened.write_text(whole.replace("<details>", "<details open>"), encoding="utf-8")
    assert on_paper(REPORT.absolute()) == on_paper(opened) > 2


def test_every_command_leaves_one(command: Command, serve: Serve, configured: Configured) -> None:
    configured(serve())
    assert command("check", *IMPORT[1:-1], "checked").code == 1
    told = page(Path("checked/report.html")).text
    assert "Checked: some rows cannot be sent." in told
    assert "Nothing to show: a check sends nothing." in told
    assert "contact-pipeline import list.csv --config config.toml" in told
    stopped = command(*IMPORT, "--max-bad", "0")
    assert (stopped.code, "Exit code 3" in page().text) == (3, True)
    assert "contact-pipeline resume run" in page().text
    assert command("resume", "run").code == 1
    assert "Finished; some rows need a look." in page().text
    assert stat.S_IMODE(REPORT.stat().st_mode) == 0o600
    before = REPORT.read_bytes()
    assert command("report", "run", "--format", "html", "--output", "again.html").code == 0
    assert Path("again.html").read_bytes() == before
    assert command("undo", "run", "--yes").code == 0
    assert "It was undone since" in page().text
    assert " 3 " in page().text.partition("Contacts that this run had added")[2].partition("taken back")[2][:20]
    assert "resume run" not in page().text


def test_out_of_reach(command: Command, configured: Configured) -> None:
    configured()
    assert command(*IMPORT, "--set", "delivery.outage=0.1").code == 5
    told = page().text
    assert "Nothing to show: no row was answered." in told
    assert "no connection to 127.0.0.1:9" in told
    assert "contact-pipeline session check --config config.toml" in told


def test_a_run_that_was_killed(command: Command, serve: Serve, configured: Configured) -> None:
    """Its journal tells."""
    configured(serve(refuse={"0102$": None}))
    assert command(*IMPORT).code == 1
    Path("run/summary.json").unlink()
    assert command("report", "run", "--format", "html", "--output", "page.html").code == 0
    told = page(Path("page.html"))
    assert "Not ended: it goes on, or was killed." in told.text
    assert "contact-pipeline resume run" in told.text
    assert "the target refused it" in told.text
    assert told.found["svg"] > 1


@pytest.mark.parametrize("given", ['ledger.formats=["csv"]', "ledger.mask=true", "no ledger"])
def test_other_ledgers(command: Command, serve: Serve, configured: Configured, given: str) -> None:
    configured(serve())
    if given != "no ledger":
        assert command(*IMPORT, "--set", given).code == 1
        assert page().found["svg"] > 1
        return
    assert command(*IMPORT).code == 1
    for ledger in Path("run").glob("ledger.*"):
        ledger.unlink()
    told = Strict(command("report", "run", "--format", "html").out)
    assert "Nothing to show: there is no ledger" in told.text
    assert "for reasons that are not told here" in told.text


def test_a_page_that_cannot_be_written_fails_no_run(command: Command, serve: Serve, configured: Configured) -> None:
    """Neither does one that cannot be made."""
    configured(serve())
    assert command(*IMPORT, "--max-bad", "0").code == 3
    REPORT.unlink()
    Path("run/.report.html.part").mkdir()
    ended = command("resume", "run")
    assert (ended.code, REPORT.exists()) == (1, False)
    assert "report.failed" in ended.err
    assert "Finished; some rows need a look." in ended.out


def test_secrets_and_values_of_rows_are_left_out(command: Command, serve: Serve, configured: Configured) -> None:
    config = configured(serve())
    text = config.read_text().replace('{ env = "TEST_PASSWORD" }', '"password"')
    text += 'when = { column = "email", in = ["ann@example.com", "planted-cell"] }\n'
    text += '[notify]\nurl = "http://127.0.0.1:9/planted"\n'
    config.write_text(text)
    assert command("check", *IMPORT[1:]).code == 1
    whole = REPORT.read_text(encoding="utf-8")
    assert "email.when.in" in whole
    for part in ("planted", "ann@", "password<"):
        assert part not in whole.replace('<th scope="row">password</th>', "")


def test_charts() -> None:
    """Every bar says what it is of; nothing of the library's own is left but shapes and words."""
    accepted = Accepted(datetime(2026, 11, 22, 14, tzinfo=UTC), 10.0, (5, 0, 1200))
    latencies = AnswerTimes(tuple((float(n), n + 1.0, n) for n in range(1, 100)), 99.5)
    where = by_status({Status.ACCEPTED: 999, Status.FAILED: 1})
    drawn = {len(list(each.iter("{*}title"))): each for each in (*over_time(accepted), *of_latencies(latencies), where)}
    assert [title.text for title in drawn[3].iter("{*}title")] == [
        "14:00:00: 5 rows",
        "14:00:10: 0 rows",
        "14:00:20: 1,200 rows",
    ]
    said = "Rows accepted in each 10 s, from 14:00:00 to 14:00:20 UTC; at most 1,200 rows, around 14:00:20."
    assert drawn[3].get("aria-label") == said
    assert [title.text for title in where.iter("{*}title")] == ["accepted: 999 rows", "failed: 1 row"]
    for each in drawn.values():
        assert {str(part.tag).partition("}")[2] for part in each.iter()} <= {
            "svg",
            "g",
            "rect",
            "path",
            "text",
            "title",
        }
        words = [text.text for text in each.iter("{*}text") if text.text]
        assert len(words) == len(set(words)), "a label stands twice"
        assert b"http" not in tostring(each).replace(b"http://www.w3.org/2000/svg", b"")


@given(st.text(st.characters()))
def test_no_text_becomes_markup(text: str) -> None:
    told = Strict(html_page(text, "", tag("p", text, title=text), prose("p", text)))
    assert {name for name in told.found if name != "code"} == {"html", "head", "meta", "title", "style", "body", "p"}
    assert (told.found["meta"], told.found["p"]) == (4, 2)


def test_without_a_run(command: Command, configured: Configured) -> None:
    configured()
    ended = command("import", "none.csv", "--config", "config.toml", "--report", "html=page.html")
    assert ended.code == 2
    told = page(Path("page.html")).text
    assert "none.csv: there is no such file; check the path" in told
    assert "Exit code 2" in told
