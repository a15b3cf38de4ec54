"""The command on a terminal: it shows the plan, asks, and draws its progress."""

import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from cli.kit import LIST
from cli.screen import Screen

from pipeline.simulator import RunningSimulator

Serve = Callable[..., RunningSimulator]
Configured = Callable[..., Path]


def on_terminal(
    answer: bytes | None, *arguments: str, interrupt: bytes | None = None, term: str = "xterm"
) -> tuple[int, str, str]:
    """Exit code, standard output and what the terminal showed; `answer` is typed when the question stands there, and
    SIGINT comes when `interrupt` does.
    """
    screen = Screen(*arguments, term=term)
    if interrupt is not None:
        screen.type(b"", after=interrupt)
        screen.process.send_signal(signal.SIGINT)
    if answer is not None:
        screen.type(answer, after=b"[y/N] ")
    return screen.end()


def test_undo_asks(serve: Serve, configured: Configured) -> None:
    service = serve()
    on_terminal(None, "import", "list.csv", "--config", str(configured(service)), "--run-dir", "r", "--yes")
    assert len(service.contacts()) == 3
    code, out, shown = on_terminal(b"\n", "undo", "r")
    assert (code, out, len(service.contacts())) == (2, "", 3)
    assert "Delete 3 contacts from campaign 11111111-1111-4111-8111-111111111111? [y/N] " in shown
    assert "Stopped at the question: nothing was deleted." in shown
    code, out, shown = on_terminal(b"y\n", "undo", "r")
    assert (code, service.contacts()) == (0, [])
    assert "Traceback" not in shown


def test_the_plan_is_shown_and_yes_sends(serve: Serve, configured: Configured) -> None:
    service = serve()
    config = str(configured(service))
    code, out, shown = on_terminal(b"y\n", "import", "list.csv", "--config", config)
    assert code == 1
    for part in (
        "5 rows read, 3 can be sent to campaign 11111111-1111-4111-8111-111111111111.",
        "Not sent: invalid 1, duplicate 1.",
        "first in line 4",
        "By channel: sms 2, email 2.",
        "Nothing is known here of what it holds: rows that stand in its list are not sent.",
        '  - sms to [number]: "Hi Ann"',
        "    email to [mail]: the campaign's own text",
        f"Send 3 rows to campaign 11111111-1111-4111-8111-111111111111 at {urlsplit(service.url).netloc}? [y/N] ",
    ):
        assert " ".join(part.split()) in " ".join(shown.split()), "lines are broken between words"
    assert not re.search(r"416\D{0,2}555\D?\d{4}", shown), "destinations are masked"
    assert "\x1b[" in shown, "progress is drawn"
    assert out.splitlines()[-1].startswith("Run: runs")
    assert len(service.contacts()) == 3
    code, _, shown = on_terminal(b"n\n", "import", "list.csv", "--config", config, "--wave", "again")
    assert (code, len(service.contacts())) == (2, 3)
    told = "It holds 3 contacts known here, perhaps others too: rows that stand in its list are not sent."
    assert told in " ".join(shown.split())


@pytest.mark.parametrize("term", ["xterm", "dumb"])
def test_a_run_is_shown_and_stopped(serve: Serve, configured: Configured, term: str) -> None:
    rows = [f"{number},Ann,416555{number:04},ann{number}@example.com" for number in range(1, 9_000)]
    Path("list.csv").write_text("customer_id,first_name,mobile,email\n" + "\n".join(rows) + "\n", encoding="utf-8")
    config = str(configured(serve(latency=0.02)))
    code, out, shown = on_terminal(
        None, "import", "list.csv", "--config", config, "--yes", interrupt=b" of 8,999 rows", term=term
    )
    assert code == 130
    flat = " ".join(re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown).split())
    for part in (
        r"sending.* [\d,]+ of 8,999 rows",
        r"accepted [\d,]+",
        r"latency p50 [\d.]+ ms, p95 [\d.]+ ms",
        r"sessions \d",
        r"in flight \d+ of \d+",
        r"finishing \d+ calls? in flight, at most 20 s; Ctrl-C again to wait for nothing",
    ):
        assert re.search(part, flat), part
    assert not re.search(r"416\D{0,2}555\D?\d{4}", shown)
    assert ("\x1b[" in shown) == (term == "xterm"), "a terminal that moves no cursor is given plain lines"
    assert re.search(r"^Go on with: contact-pipeline resume runs/", out, re.MULTILINE)
    assert "Traceback" not in shown


def test_anything_but_yes_sends_nothing(serve: Serve, configured: Configured) -> None:
    service = serve()
    code, out, shown = on_terminal(b"\n", "import", "list.csv", "--config", str(configured(service)))
    assert (code, out) == (2, "")
    assert "nothing was sent" in shown
    assert service.state()["adds"]["received"] == 0, "the campaign was looked at, no more"
    assert not list(Path("runs").glob("*"))


@pytest.mark.parametrize("columns", [160, 60])
def test_campaigns_are_a_table_and_deleting_one_asks(serve: Serve, configured: Configured, columns: int) -> None:
    service = serve()
    config = ("--config", str(configured(service)))
    code, _, shown = Screen("campaign", "list", *config, out=True, columns=columns).end()
    assert code == 0
    assert "│ 11111111-1111-4111-8111-111111111111 │ " in shown, "ids are never folded"
    if columns == 160:
        assert "channels" in shown
        assert "│ 11111111-1111-4111-8111-111111111111 │ running │" in shown

    code, out, screen = on_terminal(b"\n", "campaign", "delete", *config)
    assert (code, out) == (2, "")
    told = 'Delete campaign 11111111-1111-4111-8111-111111111111 "Simulated" and all its contacts? [y/N]'
    assert told in " ".join(screen.split())
    assert "Stopped at the question: nothing was deleted." in screen
    assert len(service.state()["campaigns"]) == 1
    code, out, screen = on_terminal(b"y\n", "campaign", "delete", *config)
    assert (code, out) == (0, "Campaign 11111111-1111-4111-8111-111111111111 is deleted.\n")
    assert service.state()["campaigns"] == {}


@pytest.mark.parametrize(("answer", "code", "sent"), [(b"y\n", 1, 3), (b"n\n", 2, 0)])
def test_the_plan_is_asked_on_the_terminal_behind_the_pipe(
    serve: Serve, configured: Configured, answer: bytes, code: int, sent: int
) -> None:
    service = serve()
    stdin, end = os.pipe()
    os.write(end, LIST.encode())
    os.close(end)
    screen = Screen("import", "-", "--config", str(configured(service)), stdin=stdin)
    os.close(stdin)
    screen.type(answer, after=b"? [y/N] ")
    ended, _, shown = screen.end()
    assert ended == code, shown
    assert len(service.contacts()) == sent
    assert bool(list(Path("runs").glob("*-stdin"))) == bool(sent)


def test_a_list_can_be_typed(serve: Serve, configured: Configured) -> None:
    service = serve()
    screen = Screen("import", "-", "--config", str(configured(service)))
    screen.type(LIST.encode() + b"\x04", after=b"The list is read from this terminal: end it with Ctrl-D.")
    screen.type(b"y\n", after=b"? [y/N] ")
    ended, _, shown = screen.end()
    assert ended == 1, shown
    assert len(service.contacts()) == 3
