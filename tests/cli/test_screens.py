"""Plan and summary fit a screen, and name commands that can be pasted."""

import shlex
from collections import Counter
from pathlib import Path

import msgspec
import pytest
from cli.test_texts import ENDED, File

from pipeline.ledger.rundirectory import RunDirectory
from pipeline.records import UNSENT, Status
from pipeline.report.again import import_checked, import_resubmit
from pipeline.report.plan import plan
from pipeline.report.summary import summary
from pipeline.stages.survey import Example, Survey


def height(text: str, width: int) -> int:
    """Lines of a screen that a text takes."""
    return sum(max(1, -(-len(line) // width)) for line in text.splitlines())


@pytest.mark.parametrize("reasons", [0, 3, 12, 400])
def test_a_summary_fits_a_screen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reasons: int) -> None:
    monkeypatch.chdir(tmp_path)
    run = Path("runs/20261126T014600Z-contacts of may")
    run.mkdir(parents=True)
    for name in ("ledger.parquet", "ledger.csv", "resubmit.csv"):
        (run / name).touch()
    counts = dict.fromkeys(ENDED.counts, 1_000) if reasons == 400 else ENDED.counts | {"invalid": 5, "pending": 1}
    ended = msgspec.structs.replace(
        ENDED,
        counts=counts,
        reasons={f"reason {chr(65 + n % 26) * (n // 26 + 1)} {'of many words ' * 8}": 400 - n for n in range(reasons)},
        codes={str(code): 1 for code in range(reasons)},
        learnt=["target.keeps_ids = true"],
        exit_code=4 if reasons == 400 else 1,
        run_dir=str(run),
    )
    text = summary(ended)
    assert height(text, 80) < 24
    assert text.splitlines()[-1] == f"Run: {run}"
    assert f"Go on with: contact-pipeline resume '{run}'\n" in text
    assert ("all of them: contact-pipeline report" in text) == (reasons > 10)
    assert "other reasons" in text or reasons < 12
    assert ("contact-pipeline explain 4" in text) == (reasons == 400)


def test_what_pending_means_is_no_reason() -> None:
    assert "Reasons" not in summary(msgspec.structs.replace(ENDED, reasons={UNSENT: 3, "not attempted yet": 4}))


@pytest.mark.parametrize("screen", [(80, 24), (60, 24), (200, 50)])
def test_a_plan_fits_a_screen(screen: tuple[int, int]) -> None:
    survey = Survey(rows=10_000, counts=Counter({Status.PENDING: 6_000, Status.INVALID: 4_000}), warnings=50)
    survey.sources = [File(f"list-{number}.csv") for number in range(9)]
    for number in range(30):
        reason = f"sms: column 'mobile': reason {chr(65 + number)} {'of many words ' * 6}"
        survey.reasons[reason] = 30 - number
        survey.examples[reason] = Example("list.csv", number, number + 1)
        survey.remarks[f"warning {chr(65 + number)}"] = 5
    survey.channels = Counter({"sms": 5_000, "email": 5_000})
    survey.messages = [{"sms": "Words of a message. " * 20, "email": ""}] * 3
    text = plan(survey, "11111111-1111-4111-8111-111111111111", limit=20.0, screen=screen)
    assert height(text, screen[0]) < screen[1], "a line is left for the question"
    assert "10,000 rows read, 6,000 can be sent" in text
    assert "At delivery.rate = 20 that takes 5 min at least." in text
    assert "sms to [number]" in text


def test_the_next_command_is_whole(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path / "a run")
    directory.path.mkdir()
    called = (
        "contact-pipeline import 'my list.csv' b.csv --config c.toml --config=own.toml --set target.endpoint=... "
        "--set delivery.rate=... --set target.password=... --set target.codes.transient=... "
        "--set contacts.where.in=... --limit 5 --yes --run-dir 'a run' --wave may --json"
    )
    directory.settings.write_text(
        f"""[run]\ncommand = {msgspec.json.encode(called).decode()}\n"""
        """[settings.target]\nendpoint = "http://h/x y"\npassword = {env = "P"}\n"""
        """codes = {transient = ["901", "902"]}\n"""
        """[settings.contacts.where]\nin = ["ann@example.com"]\n[settings.delivery]\nrate = 20.0\n"""
    )
    kept = ["--config", "c.toml", "--config", "own.toml", "--set", "target.endpoint=http://h/x y"]
    kept += ["--set", "delivery.rate=20.0", "--set", "target.password=..."]
    kept += ["--set", 'target.codes.transient=["901", "902"]', "--set", "contacts.where.in=..."]
    told = import_resubmit(directory)
    assert shlex.split(told) == ["contact-pipeline", "import", str(directory.resubmit), *kept, "--wave", "may"]
    checked = import_checked(directory)
    assert checked is not None
    assert shlex.split(checked) == (
        ["contact-pipeline", "import", "my list.csv", "b.csv", *kept, "--limit", "5", "--wave", "may"]
    )
    directory.settings.unlink()
    assert shlex.split(import_resubmit(directory))[-2:] == ["--config", "FILE"]
    assert import_checked(directory) is None
