"""Do-not-contact lists through the command: whom they hold back, and what is said where they hold nobody back."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from cli.kit import Ended

Command = Callable[..., Ended]
Configured = Callable[..., Path]


def logged(ended: Ended) -> dict[str, dict[str, object]]:
    """The log lines about lists, by event."""
    lines = [json.loads(line) for line in ended.err.splitlines() if line.startswith("{")]
    return {line["event"]: line for line in lines if line["event"].startswith("suppression.")}


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "windows-1252"])
def test_lists_of_any_form_hold_people_back(command: Command, configured: Configured, encoding: str) -> None:
    Path("no.csv").write_bytes("Zo\u00eb;416.555.0101\r\nx;647 555 0188 / (416) 555-0102\r\n".encode(encoding))
    Path("mails.txt").write_text("DORA@example.com\n")
    lists = 'contacts.suppress=["no.csv", "mails.txt"]'
    ended = command("check", "list.csv", "--config", configured(), "--run-dir", "r", "--set", lists)
    ledger = Path("r/ledger.csv").read_text(encoding="utf-8")
    assert json.loads(Path("r/summary.json").read_text())["counts"]["suppressed"] == 4, ended.err
    assert ledger.count("on the do-not-contact list no.csv") == 3
    assert ledger.count("on the do-not-contact list mails.txt") == 1


def test_a_list_that_holds_nobody_back_is_warned_of(command: Command, configured: Configured) -> None:
    Path("no.csv").write_text("number\n416 555 0101\n(123) 555-0188\nann at @example.com\n")
    Path("empty.txt").write_text("\n")
    lists = 'contacts.suppress=["no.csv", "empty.txt"]'
    ended = command("check", "list.csv", "--config", configured(), "--run-dir", "r", "--set", lists)
    said = logged(ended)
    assert (said["suppression.list"]["phones"], said["suppression.list"]["neither"]) == (1, 2)
    assert (said["suppression.unread"]["level"], said["suppression.unread"]["cells"]) == ("warning", 1)
    assert (said["suppression.numbers"]["level"], said["suppression.numbers"]["rows"]) == ("warning", 1)
    assert (said["suppression.empty"]["level"], said["suppression.empty"]["list"]) == ("warning", "empty.txt")
    assert not re.search(r"555\D?01\d\d", ended.said)
    assert "example" not in ended.err


@pytest.mark.parametrize(("name", "why"), [("gone.csv", "No such file or directory"), (".", "Is a directory")])
def test_a_list_that_is_not_there_is_called_by_what_it_is(
    command: Command, configured: Configured, name: str, why: str
) -> None:
    ended = command("check", "list.csv", "--config", configured(), "--set", f'contacts.suppress=["{name}"]')
    assert ended.code == 2
    assert ended.complaints == [f"{name}: the do-not-contact list of contacts.suppress cannot be read: {why}"]
    assert not list(Path("runs").glob("*"))
