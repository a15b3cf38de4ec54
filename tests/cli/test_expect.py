"""`--expect`: nothing is sent where the list is not what it should be."""

import os
from collections.abc import Callable
from pathlib import Path
from time import time

import pytest
from cli.kit import LIST, Ended
from hypothesis import given
from hypothesis import strategies as st

from pipeline.run import Expectation
from pipeline.simulator import RunningSimulator

#: Of the list: 5 rows, one bad, one a duplicate, three that can be sent.
TRUE = ("rows>=5", "rows<=5", "rows=5", "rows > 4", "sendable=3", "bad<2", "duplicates = 1", "suppressed<1", "age<26h")
FALSE = ("rows>=6", "rows<5", "sendable>3", "bad=0", "duplicates=0", "changed>0", "age>1d")


@pytest.mark.parametrize("expected", TRUE)
def test_what_is_so_changes_nothing(
    expected: str, command: Callable[..., Ended], configured: Callable[..., Path]
) -> None:
    assert command("check", "list.csv", "--config", configured(), "--expect", expected).code == 1


@pytest.mark.parametrize("expected", FALSE)
def test_what_is_not_so_stops_before_the_first_row(
    expected: str,
    command: Callable[..., Ended],
    configured: Callable[..., Path],
    serve: Callable[..., RunningSimulator],
) -> None:
    service = serve()
    config = configured(service)
    ended = command(
        "import", "list.csv", "--config", config, "--expect", "rows=5", "--expect", expected, "--run-dir", "run"
    )
    assert ended.code == 3
    told = [line for line in ended.complaints if line.startswith("--expect")]
    assert [line.partition(": ")[0] for line in told] == [f"--expect {expected}"]
    assert service.state()["sessions"]["opened"] == 0
    assert command("check", "list.csv", "--config", config, "--expect", expected).code == 3
    assert command("verify", "run").code == 0
    assert command("resume", "run").code == 1, "a person has looked: what was expected is judged no more"
    assert len(service.rows()) == 3


def test_continue_judges_anew_until_a_row_has_left(
    command: Callable[..., Ended], configured: Callable[..., Path], serve: Callable[..., RunningSimulator]
) -> None:
    service = serve()
    line = ("import", "list.csv", "--config", configured(service), "--run-dir", "run", "--continue")
    long_ago = time() - 30 * 3600
    os.utime("list.csv", (long_ago, long_ago))
    for _ in range(2):
        ended = command(*line, "--expect", "age<26h")
        assert (ended.code, service.rows()) == (3, [])
        assert "--expect age<26h: the file is 30.0h old" in ended.err
    assert command(*line, "--expect", "rows>9").code == 3
    assert command(*line, "--expect", "age<31h", "--expect", "sendable=3").code == 1
    assert len(service.rows()) == 3
    assert command(*line, "--expect", "age<26h").code == 1, "it is finished: its verdict is repeated"


def test_the_oldest_of_several_files_counts(command: Callable[..., Ended], configured: Callable[..., Path]) -> None:
    Path("more.csv").write_text(LIST.replace("1,", "7,"), encoding="utf-8")
    long_ago = time() - 3 * 86400
    os.utime("more.csv", (long_ago, long_ago))
    ended = command("check", "list.csv", "more.csv", "--config", configured(), "--expect", "age<2d")
    assert (ended.code, "the oldest of the files is 3.0d old" in ended.err) == (3, True)


def test_what_is_there_already_cannot_be_sent(
    command: Callable[..., Ended], configured: Callable[..., Path], serve: Callable[..., RunningSimulator]
) -> None:
    config = configured(serve())
    assert command("import", "list.csv", "--config", config).code == 1
    ended = command("import", "list.csv", "--config", config, "--expect", "sendable>=1")
    assert (ended.code, "--expect sendable>=1: sendable=0" in ended.err) == (3, True)


@pytest.mark.parametrize(
    ("expected", "told"),
    [
        ("row>=5", "known are rows, sendable, bad, duplicates, changed, suppressed, age"),
        ("rows", "is not written as NAME>=NUMBER"),
        ("rows>=many", "rows is compared with a whole number"),
        ("age<tomorrow", "a duration is"),
    ],
)
def test_what_cannot_be_read_is_told(
    expected: str, told: str, command: Callable[..., Ended], configured: Callable[..., Path]
) -> None:
    ended = command("import", "list.csv", "--config", configured(), "--expect", expected)
    assert ended.code == 2
    assert ended.err.startswith("--expect: ")
    assert told in ended.err
    assert not Path("runs").exists()


def test_what_cannot_be_known_is_told(
    command: Callable[..., Ended],
    configured: Callable[..., Path],
    serve: Callable[..., RunningSimulator],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = configured(serve())
    ended = command("import", "list.csv", "--config", config, "--stream", "--expect", "rows>=5")
    assert (ended.code, "--stream leaves out" in ended.err) == (2, True)
    assert command("import", "list.csv", "--config", config, "--stream", "--expect", "age>1d").code == 3
    with Path("list.csv").open() as piped:
        monkeypatch.setattr("sys.stdin", piped)
        ended = command("import", "-", "--config", config, "--expect", "age<1d")
    assert (ended.code, "standard input has no age" in ended.err) == (2, True)


@given(st.sampled_from(["rows", "bad"]), st.integers(0, 10**6), st.integers(0, 10**6))
def test_exactly_one_of_the_three_holds(name: str, bound: int, value: int) -> None:
    below, same, above = (Expectation.parse(f"{name}{relation}{bound}").holds(value) for relation in ("<", "=", ">"))
    assert below + same + above == 1
    assert Expectation.parse(f"{name}<={bound}").holds(value) == (below or same)
    assert Expectation.parse(f"{name}>={bound}").holds(value) == (above or same)
