"""resubmit.csv in a spreadsheet: opened and saved it holds what it held, and mended there it completes the job."""

import csv
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from cli.kit import Ended
from cli.mending import FAULTS, MENDED, mend, people
from ledger.cells import CHANGED, KEPT
from ledger.material import CONTACTS, screened
from spreadsheet.kit import Office

from pipeline.config import LedgerSettings
from pipeline.ledger.files import write_ledger
from pipeline.ledger.resubmit import Form
from pipeline.simulator import RunningSimulator
from pipeline.stages.read import batches, open_source

SETTINGS = LedgerSettings(formats=("csv",))

#: What dates, times, amounts and numbers are made of, in several languages.
PIECES = [*"0123456789012345./-:,'% ()+=@eEhT", "00", "2024", "31", "12", " am", " PM", "€", "$", "kr", "Jan", "märz "]
PIECES += [
    "mai",
    "déc",
    "Oct ",
    "lut",
    "x",
    "Ann",
    "\u00a0",
    "\u202f",
    "−",
    "＝",
    "１",
    "月",
    "TRUE",
    "wahr",
    "\n",
    "\t",
]


def made_up(number: int) -> list[str]:
    """Cells without end, the same in every run."""
    chance = random.Random(5)
    return ["".join(chance.choices(PIECES, k=chance.randint(1, 7))) for _ in range(number)]


def lines(cell: str | None) -> str | None:
    """A cell, whatever ends its lines: that no spreadsheet keeps."""
    return cell and cell.replace("\r\n", "\n").replace("\r", "\n")


def test_libreoffice_changes_what_is_not_guarded(tmp_path: Path, office: Office) -> None:
    """Else the other tests would show nothing."""
    with (tmp_path / "plain.csv").open("w", newline="", encoding="utf-8-sig") as file:
        csv.writer(file).writerows([number, cell] for number, cell in enumerate(CHANGED))
    (tmp_path / "out").mkdir()
    changed = set()
    for language in ("en-US", "de-DE", "fr-FR"):
        saved = office.saved(tmp_path / "plain.csv", tmp_path / "out", language=language)
        with saved.open(newline="", encoding="utf-8-sig") as file:
            changed |= {CHANGED[number] for number, (_, cell) in enumerate(csv.reader(file)) if cell != CHANGED[number]}
    assert {"0416", "1,50", "03.04.", "=1+1", "1e5", "true", "12:30", "5 mars", "5%", "\xa05", "Jan-24"} <= changed
    assert len(changed) > len(CHANGED) / 2


@pytest.mark.parametrize("language", ["en-US", "de-DE", "fr-FR", "pl-PL", "ja-JP"])
@pytest.mark.parametrize(
    ("special", "workbook"), [(False, False), (True, False), (True, True)], ids=["plain", "special", "workbook"]
)
def test_opened_and_saved_it_holds_what_it_held(
    tmp_path: Path, office: Office, language: str, special: bool, workbook: bool
) -> None:
    values = [*CHANGED, *KEPT, *made_up(3000)]
    frame = pl.DataFrame({"0id": [f"row{at}x" for at in range(len(values))], "=x": values, "mail": values[::-1]})
    settled = dict.fromkeys(range(len(values)), ("invalid", "=not so", "=x"))
    delimiter = "," if language == "en-US" else ";"
    batch = screened(0, len(values), frame=frame, settled=settled)
    write_ledger(tmp_path, [batch], None, SETTINGS, CONTACTS, form=Form(delimiter, "\r\n"))
    (tmp_path / "out").mkdir()
    saved = office.saved(
        tmp_path / "resubmit.csv",
        tmp_path / "out",
        delimiter=delimiter,
        language=language,
        special=special,
        workbook=workbook,
        saves=delimiter,
    )
    source = open_source(saved)
    assert source.columns == ("0id", "=x", "mail")
    found = pl.concat([batch.frame for batch in batches([source])])
    assert found["0id"].to_list() == frame["0id"].to_list()
    for name in ("=x", "mail"):
        pairs = zip(frame[name], found[name], strict=True)
        assert [(was, now) for was, now in pairs if (lines(was) or None) != lines(now)] == []


@pytest.mark.parametrize(
    ("language", "delimiter", "encoding", "workbook"),
    [("en-US", ",", "utf-8", False), ("de-DE", ";", "windows-1252", True), ("fr-FR", ";", "windows-1252", False)],
)
def test_mended_in_a_spreadsheet_it_completes_the_job(
    command: Callable[..., Ended],
    serve: Callable[..., RunningSimulator],
    configured: Callable[..., Path],
    office: Office,
    language: str,
    delimiter: str,
    encoding: str,
    workbook: bool,
) -> None:
    """Opened, saved, mended, and saved once more, so that what was typed is read as a spreadsheet reads it."""
    service = serve(refuse={"77$": None})
    given = ("--config", configured(service), "--encoding", encoding, "--delimiter", delimiter)
    Path("list.csv").write_bytes(FAULTS.replace(";", delimiter).encode(encoding))
    assert command("import", "list.csv", *given, "--run-dir", "runs/first").code == 1
    habits = {"delimiter": delimiter, "language": language, "workbook": workbook, "saves": delimiter}
    Path("opened").mkdir()
    opened = office.saved(Path("runs/first/resubmit.csv"), Path("opened"), **habits)
    assert command("import", opened, *given, "--run-dir", "runs/unmended").code == 1
    counted = Counter(pl.read_parquet("runs/unmended/ledger.parquet")["status"])
    assert counted == {"invalid": 5, "rejected": 1}, "a spreadsheet alone mends nothing"
    mend(opened, Path("typed.csv"), delimiter)
    Path("mended").mkdir()
    # In the office's own encoding: what was told of the list fits this file too.
    mended = office.saved(Path("typed.csv"), Path("mended"), encoding=encoding, **habits)
    ended = command("import", mended, *given, "--run-dir", "runs/second")
    assert ended.code == 0, ended.out + ended.err
    assert people(service) == MENDED


def test_a_ledger_opened_as_text_holds_what_it_held(tmp_path: Path, office: Office) -> None:
    """As the README says; opened as it comes, telephone numbers lose their plus and formulas are run."""
    settled = {0: ("invalid", "=1+1", "=x"), 1: ("invalid", "0416", None)}
    write_ledger(tmp_path, [screened(0, 6, settled=settled)], None, SETTINGS, CONTACTS)
    (tmp_path / "out").mkdir()

    def opened(texts: int) -> pl.DataFrame:
        saved = office.saved(tmp_path / "ledger.csv", tmp_path / "out", texts=texts)
        return pl.read_csv(saved, infer_schema=False).fill_null("")

    ledger = pl.read_csv(tmp_path / "ledger.csv", infer_schema=False).fill_null("")
    assert opened(texts=ledger.width).equals(ledger)
    guessed = opened(texts=0)
    assert guessed["sms"].to_list() == [number.removeprefix("+") for number in ledger["sms"]]
    assert guessed["reason"].to_list()[:2] == ["2", "416"]
