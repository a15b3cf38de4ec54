"""A fifth system in one short module: all that it takes, and what is promised of one that cannot be asked."""

import re
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from conformance.line import Purpose, Strike
from conformance.system import ROWS, Bench
from conformance.toy_server import KEY, TOY

from pipeline.ledger.recovery import recover

Opened = Callable[..., Bench]

ROOT = Path(__file__).parents[2]
CODE = (Path(__file__).parent / "toy.py").read_text(encoding="utf-8")

#: Calls in flight. Of a system that cannot be asked, four times as many rows may be in doubt after a crash.
CALLS = 2
FEW = 4 * CALLS

LOST = Strike("cut", "row", first=10, last=30, every=10)
DOUBTFUL = 3


def test_a_system_is_less_than_sixty_lines() -> None:
    assert len([line for line in CODE.splitlines() if line.strip()]) < 60


def test_the_readme_shows_the_same_code() -> None:
    assert f"```python\n{CODE}```" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_nothing_of_the_house_knows_it() -> None:
    for path in (ROOT / "pipeline").rglob("*.py"):
        assert not re.search(r"\btoy\b", path.read_text(encoding="utf-8"), re.IGNORECASE), path


def test_there_is_no_canary_and_slices_are_small(opened: Opened) -> None:
    here = opened(TOY)
    ended = here.import_("--sessions", str(CALLS), "--canary", "5", "--log-format", "json")
    assert ended.code == 0, ended.err
    assert "canary" not in ended.err.replace(str(here.desk), "")
    slices = recover(here.run_dir / "journal.jsonl").slices
    assert slices["rows"].to_list() == [FEW // 2] * (ROWS // (FEW // 2))
    here.assert_agreement()


def test_what_got_no_answer_stays_in_doubt_and_is_never_sent_again(opened: Opened) -> None:
    here = opened(TOY, LOST)
    assert here.import_().code == 4
    expected = {"accepted": ROWS - DOUBTFUL, "in_doubt": DOUBTFUL}
    assert here.counts == expected
    ledger = here.ledger
    for _ in range(2):
        assert here.resume().code == 4
        assert here.counts == expected
        assert here.ledger.equals(ledger)
    assert here.line.calls["row"] == ROWS
    assert here.verify().code == 0
    here.assert_agreement()


def test_the_state_prevents_repeats_and_keeps_the_doubt(opened: Opened) -> None:
    here = opened(TOY, LOST)
    here.import_(run_dir=here.desk / "run-before")
    ended = here.import_()
    assert ended.code == 4, ended.err
    assert here.counts == {"duplicate": ROWS - DOUBTFUL, "in_doubt": DOUBTFUL}
    assert here.line.calls["row"] == ROWS


@pytest.mark.parametrize("rows", [1, 17, 30])
def test_a_kill_leaves_few_rows_in_doubt(opened: Opened, rows: int) -> None:
    here = opened(TOY)
    config = here.config.read_text(encoding="utf-8").replace("sessions = 4", f"sessions = {CALLS}")
    here.config.write_text(config, encoding="utf-8")
    arrived, go_on = threading.Event(), threading.Event()

    def hold(purpose: Purpose, count: int) -> None:
        if purpose == "row" and count >= rows:
            arrived.set()
            assert go_on.wait(60)

    here.line.on_call = hold
    with here.started() as process:
        assert arrived.wait(60)
        process.kill()
        process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    here.line.on_call = None
    go_on.set()
    ended = here.resume()
    assert ended.code == 4, ended.err
    assert 1 <= here.counts["in_doubt"] <= FEW
    assert here.counts["in_doubt"] + here.counts["accepted"] == ROWS
    assert here.verify().code == 0


def test_what_needs_the_systems_list_is_refused_with_the_reason(opened: Opened) -> None:
    here = opened(TOY)
    assert here.import_().code == 0
    calls = here.line.calls.copy()
    proven = here.verify("--against-target")
    assert (proven.code, proven.out) == (2, "")
    assert "a target of system toy cannot be asked what it holds" in proven.err
    undone = here.undo()
    assert (undone.code, undone.out) == (2, "")
    assert "has no call that deletes what was added" in undone.err
    assert here.line.calls == calls, "nothing was asked"
    assert here.counts == {"accepted": ROWS}
    assert here.resume().code == 0


def test_rows_that_it_cannot_take_are_invalid(opened: Opened) -> None:
    here = opened(TOY)
    with here.config.open("a", encoding="utf-8") as config:
        config.write('[contacts.email]\ndestination = "{mail}"\n')
    here.list.write_text("customer_id,mobile,mail\n1,,a@example.com\n2,+14165550100,\n", encoding="utf-8")
    assert here.import_().code == 1
    assert here.counts == {"accepted": 1, "invalid": 1}


def test_a_secret_of_any_name_can_be_given_again(opened: Opened) -> None:
    """A literal secret is on no record; resuming takes it by --set, whatever the system calls it."""
    here = opened(TOY, Strike("busy", "row", first=20))
    text = here.config.read_text(encoding="utf-8").replace('{ env = "TOY_TEST_KEY" }', f'"{KEY}"')
    here.config.write_text(text, encoding="utf-8")
    assert here.import_().code == 5
    here.line.strikes = ()
    ended = here.resume()
    assert ended.code == 2
    assert "target.key: is missing (a secret that stood in the configuration itself is not recorded" in ended.err
    refused = here.resume("--set", "target.endpoint=http://127.0.0.1:9")
    assert refused.code == 2
    assert (
        "cannot be changed for a run that was begun; can be: delivery.*, sessions.*, http.*, notify.*, target.key"
        in refused.err
    )
    assert here.resume("--set", f"target.key={KEY}").code == 0
    assert here.counts == {"accepted": ROWS}
