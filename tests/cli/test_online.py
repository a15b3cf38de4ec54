"""`check --online`: the plan with what the target holds; nothing is sent, nothing is changed."""

from collections.abc import Callable
from pathlib import Path

import pytest
from cli.kit import Ended

from pipeline.simulator import RunningSimulator

CHECK = ("check", "list.csv", "--config", "config.toml", "--online")


def test_the_target_is_asked_and_nothing_sent(
    command: Callable[..., Ended],
    serve: Callable[..., RunningSimulator],
    configured: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    service = serve()
    configured(service)
    assert command("import", "list.csv", "--config", "config.toml", "--limit", "1").code == 0
    received = service.state()["adds"]["received"]
    fresh = ("--set", "state.directory=fresh", "--run-dir")
    ended = command(*CHECK, *fresh, "here")
    assert ended.code == 1, ended.err
    for words in (
        "  1  invalid\n  2  duplicate\n  2  pending\n",
        "  1  it is in the campaign already: the target lists it (first in line 2)\n",
        "The campaign:\n  Its list holds 1 contact with an id.\n",
    ):
        assert words in ended.out
    assert service.state()["adds"]["received"] == received
    assert service.state()["sessions"]["open"] == 0
    assert not Path("fresh").exists(), "a check leaves no state"
    assert "--online" not in ended.out, "the import that follows asks anyway"

    ended = command(*CHECK, *fresh, "there", "--campaign-id", "99999999-9999-4999-8999-999999999999")
    assert (ended.code, Path("there").exists()) == (6, False)
    assert service.state()["sessions"]["open"] == 0
    monkeypatch.delenv("TEST_PASSWORD")
    assert command(*CHECK, *fresh, "there").code == 2, "a session needs the password"
    assert command(*CHECK[:-1], *fresh, "there").code == 1, "a check alone does not"


def test_out_of_reach(command: Callable[..., Ended], configured: Callable[..., Path]) -> None:
    configured()
    ended = command(*CHECK, "--run-dir", "run")
    assert (ended.code, Path("run").exists()) == (5, False)
