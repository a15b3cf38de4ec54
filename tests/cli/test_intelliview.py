"""A system that takes no contacts, as a user meets it: sessions are checked, and everything else says why not."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from cli.kit import Ended
from targets.intelliview_server import COMPANY, FAILED, PASSWORD, USER, Habits, IntelliviewServer, serving

Command = Callable[..., Ended]
CONFIG = Path(__file__).parents[2] / "configs" / "intelliview.toml"


@pytest.fixture(autouse=True)
def account(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("IVN_COMPANY", COMPANY), ("IVN_USER", USER), ("IVN_PASSWORD", PASSWORD)):
        monkeypatch.setenv(name, value)


def check(command: Command, service: IntelliviewServer, *more: str) -> Ended:
    ended = command("session", "check", "--config", CONFIG, "--set", f"target.endpoint={service.url}", *more)
    for secret in (PASSWORD, *service.tokens):
        assert secret not in ended.out + ended.err
    return ended


def test_session_check_says_what_was_proven(command: Command) -> None:
    with serving() as service:
        ended = check(command, service)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith("A session was opened and closed. No call that only proves a session is documented")
    assert [operation for operation, _ in service.requests] == ["ivnInitializeSession", "ivnCloseSession"]
    assert service.sessions == set()


def test_a_session_that_is_not_closed_is_no_proof(command: Command) -> None:
    with serving(Habits(closed=FAILED.format(number=7501, words="expired."))) as service:
        ended = check(command, service)
    assert (ended.code, ended.out) == (6, "")
    words = "a session was opened, but the target did not close the session (SYN_REP_ERROR_7501: expired). "
    assert ended.err.startswith(words)


def test_a_timeout_of_zero_is_warned_of(command: Command) -> None:
    with serving() as service:
        ended = check(command, service, "--set", "target.timeout=0", "--log-format", "json")
    assert ended.code == 0
    assert "sessions.never_end" in ended.err
    assert service.requests[0][1]["Timeout"] == "0"


@pytest.mark.parametrize("mapping", ["", '[contacts.sms]\ndestination = "{mobile}"\n'])
@pytest.mark.parametrize("name", ["import", "check"])
def test_importing_says_why_not(command: Command, desk: Path, name: str, mapping: str) -> None:
    config = desk / "config.toml"
    config.write_text(CONFIG.read_text(encoding="utf-8") + mapping, encoding="utf-8")
    ended = command(name, "list.csv", "--config", config)
    assert (ended.code, ended.out, len(ended.complaints)) == (2, "", 1)
    assert "target.system: no call that adds a contact is documented for Intelliview NXT" in ended.err
    assert not Path("runs").exists()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_session_that_is_being_opened_when_a_signal_comes_is_closed(number: int, code: int) -> None:
    arrived, go_on = threading.Event(), threading.Event()

    class Slow(IntelliviewServer):
        def answer(self, envelope: str, headers: dict[str, str]) -> str:
            if not self.requests:
                arrived.set()
                assert go_on.wait(60)
            return super().answer(envelope, headers)

    with serving(kind=Slow) as service:
        arguments = ("session", "check", "--config", str(CONFIG), "--set", f"target.endpoint={service.url}")
        with subprocess.Popen(
            [sys.executable, "-m", "pipeline", *arguments, "--log-format", "text"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "NO_COLOR": "1"},
        ) as process:
            assert process.stderr is not None
            assert arrived.wait(60)
            process.send_signal(number)
            while "run.stopping" not in (line := process.stderr.readline()):
                assert line, "the command ended without a word of the signal"
            go_on.set()
            out, err = process.communicate(timeout=60)
        assert (process.returncode, out, "Traceback" in err) == (code, "", False)
        assert len(service.tokens) == 1
        assert service.sessions == set()
