"""What a run says while it waits: every wait there is, met through the command, with what for and how long yet."""

import ast
import re
from collections.abc import Callable
from pathlib import Path
from time import monotonic

import pytest
from cli.kit import Ended

import pipeline
from pipeline.errors import MachineFailed
from pipeline.report.progress import Meter
from pipeline.run import Progress
from pipeline.run.looking import DELETED_LATELY, SENT_ELSEWHERE, SENT_LATELY
from pipeline.run.reconciling import LAGS, LATE
from pipeline.simulator import Fault, RunningSimulator

DELETION = "DeleteCampaignContact"
NO_ANSWER = {"faults": (Fault("cut", first=2, last=2),)}  # to the second row

BY_LIST_ALONE = ("--set", 'state.known=["target"]')
ANOTHER_MACHINE = ("--set", "state.directory=fresh")

#: What the service does, what was done before, what is done, and all that is said of its first wait.
WAITS: dict[str, tuple[dict[str, object], tuple[tuple[str, ...], ...], tuple[str, ...], str]] = {
    "rows of another machine": (
        {},
        (("import", "a"),),
        ("import", "b", *ANOTHER_MACHINE),
        f"asking the target what it holds: {SENT_ELSEWHERE}",
    ),
    "an earlier run": (
        {},
        (("import", "a"),),
        ("import", "b", *BY_LIST_ALONE),
        f"asking the target what it holds: {SENT_LATELY}",
    ),
    "an undo before": (
        {},
        (("import", "a"), ("undo", "a")),
        ("import", "b"),
        f"asking the target what it holds: {DELETED_LATELY}",
    ),
    "no answer": (NO_ANSWER, (), ("import", "a"), f"asking about unanswered rows: {LATE}"),
    "a list that lags": (
        NO_ANSWER | {"listing_lag": 60.0},
        (),
        ("import", "a"),
        f"asking about unanswered rows: {LAGS}",
    ),
    "no answer, once resumed": (
        NO_ANSWER,
        (("import", "a"),),
        ("resume", "a"),
        f"asking about unanswered rows: {LATE}",
    ),
    "no answer to an earlier run": (
        NO_ANSWER,
        (("import", "a"),),
        ("import", "b"),
        f"asking about rows that an earlier run left open: {LATE}",
    ),
    "an undo of a row without an answer": (
        NO_ANSWER,
        (("import", "a"),),
        ("undo", "a"),
        "before anything is deleted: an addition that got no answer may yet take effect",
    ),
    "a deletion without an answer": (
        {"faults": (Fault("cut", first=1, last=1, operation=DELETION),)},
        (("import", "a"),),
        ("undo", "a"),
        "asking about unanswered rows: the list may show still what was deleted lately",
    ),
}


@pytest.mark.parametrize("case", list(WAITS))
def test_what_is_waited_for_is_told(
    case: str,
    command: Callable[..., Ended],
    serve: Callable[..., RunningSimulator],
    configured: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The wait is long, so whatever speed this machine has it is met; it is not sat out, the command ends with it."""
    service, before, last, words = WAITS[case]
    config = configured(serve(**service))
    told: list[str] = []

    async def sleep(progress: Progress, seconds: float, why: str) -> None:
        if seconds > 0:
            progress.wait = why, monotonic() + seconds
            told.append(Meter(progress).read().line())
            raise MachineFailed("The test has heard enough.")

    monkeypatch.setattr(Progress, "sleep", sleep)
    late = ("--set", "delivery.late_effect=36000")
    for what, run_dir, *more in (*before, last):
        told.clear()
        if what == "import":
            ended = command(
                "import", "list.csv", "--config", config, "--run-dir", run_dir, "--canary", "0", *late, *more
            )
        else:
            ended = command(what, run_dir, *(("--yes",) if what == "undo" else ()))
    assert ended.code == 8, ended.err
    assert len(told) == 1
    until = "1 s" if LAGS in words else r"\d\d? h( \d+ min)?"  # a list is read again before long
    assert re.match(rf"{re.escape(words)}; ({until}) to wait \(delivery\.late_effect\)", told[0])


def test_there_is_no_wait_whose_words_are_not_here() -> None:
    """Words stand where a wait is, or as a constant of its module, in capitals."""
    here = " ".join(words for *_, words in WAITS.values())
    met = 0
    paths = list((Path(pipeline.__file__).parent / "run").rglob("*.py"))
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in paths}
    constants = {
        node.target.id: ast.literal_eval(node.value)
        for tree in trees.values()
        for node in tree.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and _is_text(node.value)
    }
    for path, tree in trees.items():
        for function in ast.walk(tree):
            if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            named = [node.id for node in ast.walk(function) if isinstance(node, ast.Name) and node.id in constants]
            for node in ast.walk(function):
                if (
                    isinstance(node, ast.Call)
                    and getattr(node.func, "attr", "").endswith("sleep")
                    and len(node.args) == 2
                ):
                    why = node.args[1]
                    if isinstance(why, ast.Name):  # a variable stands for any of the constants beside it
                        texts = [constants[name] for name in ([why.id] if why.id in constants else named)]
                    else:
                        texts = [ast.literal_eval(why)]
                    assert texts, (path.name, node.lineno)
                    assert all(text in here for text in texts), (path.name, texts)
                    met += 1
    assert met >= 8


def _is_text(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)
