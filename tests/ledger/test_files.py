"""The ledger's files: made of screening and journal, in source order, without holding more than a few batches."""

import csv
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from ledger.material import CONTACTS, HEADER, LEDGER, QuickDisk, outcome, screened

from pipeline.config import LedgerSettings
from pipeline.errors import MachineFailed, SourceError
from pipeline.ledger.files import NAMED, NOT_ATTEMPTED, OTHERS, write_ledger
from pipeline.ledger.journal import Journal
from pipeline.ledger.recovery import UNANSWERED, Recovery, recover
from pipeline.records import LEDGER_SCHEMA, Outcome, Screened, Status


def journal(directory: Path, *slices: tuple[int, int, list[Outcome]]) -> Recovery:
    path = directory / "journal.jsonl"
    written = Journal.create(path, HEADER, disk=QuickDisk())
    for start, stop, outcomes in slices:
        written.settle(written.begin(start, stop, stop - start, ""), outcomes)
    written.commit()
    written.close()
    return recover(path)


INVALID = ("invalid", "the number is too short", "mobile")


def test_every_row_is_there_once_in_order_with_what_is_known_of_it(tmp_path: Path) -> None:
    recovery = journal(
        tmp_path,
        (0, 4, [outcome(3, Status.REJECTED), outcome(0)]),
        (4, 6, [outcome(5, Status.FAILED, code=None, attempts=5)]),
    )
    batches = [screened(0, 3, settled={1: INVALID}), screened(3, 8, settled={4: ("duplicate", "as row 1", None)})]
    tally = write_ledger(tmp_path, batches, recovery, LEDGER, CONTACTS)
    found = pl.read_parquet(tmp_path / "ledger.parquet")
    assert found.schema == LEDGER_SCHEMA
    assert found["row"].to_list() == list(range(1, 9))
    assert found["line"].to_list() == list(range(2, 10))
    assert found["source"].unique().to_list() == ["contacts.csv"]
    assert found["status"].to_list() == [
        "accepted",
        "invalid",
        "in_doubt",
        "rejected",
        "duplicate",
        "failed",
        "pending",
        "pending",
    ]
    assert found["reason"].to_list() == [
        None,
        "the number is too short",
        UNANSWERED,
        "the target said no to 3",
        "as row 1",
        "the target said no to 5",
        NOT_ATTEMPTED,
        NOT_ATTEMPTED,
    ]
    assert found["attempts"].to_list() == [1, 0, 1, 1, 0, 5, 0, 0]
    assert found["code"].to_list() == ["Success", None, None, "-1", None, None, None, None]
    assert found["sent_at"][3] == datetime.fromtimestamp(1_795_350_000.003, UTC).replace(microsecond=3000)
    assert found["latency_ms"][3] == 0.75
    assert found["warnings"].to_list()[4] == ["landline for SMS", "e-mail left out"]
    assert found["sms"][7] == "+14165550007"
    assert tally.rows == 8
    assert tally.counts == {
        "accepted": 1,
        "rejected": 1,
        "invalid": 1,
        "duplicate": 1,
        "changed": 0,
        "suppressed": 0,
        "failed": 1,
        "in_doubt": 1,
        "pending": 2,
    }
    assert tally.reasons[NOT_ATTEMPTED] == 2
    assert next(iter(tally.reasons)) == NOT_ATTEMPTED, "the most frequent comes first"
    assert tally.codes == {"-1": 1, "Success": 1}


def test_the_csv_says_the_same_in_text(tmp_path: Path) -> None:
    reason = 'no: "a, b"\r\nor\rc'
    recovery = journal(tmp_path, (0, 5, [outcome(p, Status.REJECTED, reason=reason) for p in range(5)]))
    write_ledger(tmp_path, [screened(0, 2), screened(2, 5)], recovery, LEDGER, CONTACTS)
    with (tmp_path / "ledger.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == list(LEDGER_SCHEMA)
    assert [row["row"] for row in rows] == ["1", "2", "3", "4", "5"]
    assert [row["reason"] for row in rows] == [reason] * 5
    assert rows[4]["warnings"] == "landline for SMS; e-mail left out"
    assert rows[0]["warnings"] == ""
    assert rows[3]["sent_at"] == "2026-11-22T12:20:00.003Z"
    assert rows[3]["latency_ms"] == "0.75"
    assert rows[3]["sms"] == "+14165550003", "it is read by machines: no guard"
    assert rows[3]["voice"] == ""


@pytest.mark.parametrize("formats", [("parquet",), ("csv",)])
def test_only_the_formats_that_were_asked_for(tmp_path: Path, formats: tuple[str, ...]) -> None:
    tally = write_ledger(
        tmp_path, [screened(0, 3)], None, LedgerSettings.model_validate({"formats": formats}), CONTACTS
    )
    assert {path.name for path in tmp_path.iterdir()} == {f"ledger.{formats[0]}", "resubmit.csv"}
    assert tally.counts["pending"] == 3


def test_files_are_private_and_nothing_is_left_beside_them(tmp_path: Path) -> None:
    (tmp_path / ".ledger.csv.part").write_text("of a run that was killed")
    for _ in range(2):
        write_ledger(tmp_path, [screened(0, 3, settled={0: INVALID})], None, LEDGER, CONTACTS)
        files = list(tmp_path.iterdir())
        assert {path.name for path in files} == {"ledger.parquet", "ledger.csv", "resubmit.csv"}
        assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


def test_an_input_without_rows_makes_files_without_rows(tmp_path: Path) -> None:
    tally = write_ledger(tmp_path, [], None, LEDGER, CONTACTS)
    assert pl.read_parquet(tmp_path / "ledger.parquet").schema == LEDGER_SCHEMA
    assert (tmp_path / "ledger.csv").read_text() == ",".join(LEDGER_SCHEMA) + "\n"
    assert tally.rows == 0
    assert set(tally.counts.values()) == {0}
    assert len(tally.counts) == 9


@pytest.mark.parametrize("error", [SourceError("contacts.csv: line 7"), OSError(5, "Input/output error")])
@pytest.mark.parametrize("formats", [("parquet", "csv"), ("csv",)])
def test_a_failing_source_leaves_the_former_files(tmp_path: Path, error: Exception, formats: tuple[str, ...]) -> None:
    settings = LedgerSettings.model_validate({"formats": formats})
    write_ledger(tmp_path, [screened(0, 3)], None, settings, CONTACTS)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def failing() -> Iterator[Screened]:
        yield screened(0, 2)
        raise error

    with pytest.raises(type(error)) as raised:
        write_ledger(tmp_path, failing(), None, settings, CONTACTS)
    assert raised.value is error
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_batches_are_pulled_when_the_last_was_taken_and_given_up_then(tmp_path: Path) -> None:
    """What polars has taken and not yet written is bounded, whatever the length of the input."""
    import weakref

    alive: list[weakref.ref[pl.DataFrame]] = []
    most = 0

    def batches() -> Iterator[Screened]:
        nonlocal most
        for number in range(120):
            batch = screened(number * 50, number * 50 + 50)
            alive.append(weakref.ref(batch.contacts))
            yield batch
            del batch
            most = max(most, sum(ref() is not None for ref in alive))

    tally = write_ledger(tmp_path, batches(), None, LEDGER, CONTACTS)
    assert tally.rows == 6_000
    assert most <= 2


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """Four times the rows take no more than a quarter more: a row group fills in the first run as well."""
    program = """
import resource, sys
from pathlib import Path
import polars as pl
from ledger.material import CONTACTS, LEDGER, screened
from pipeline.ledger.files import write_ledger
from dataclasses import replace

first = screened(0, 8_000)

def batches(number):
    for at in range(number):
        yield replace(first, batch=replace(first.batch, start=8_000 * at, row=8_000 * at + 1))

for number in (18, 72):
    assert write_ledger(Path(sys.argv[1]), batches(number), None, LEDGER, CONTACTS).rows == 8_000 * number
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
    tests = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        env={"PYTHONPATH": f"{tests}:{tests.parent}", "POLARS_MAX_THREADS": "2"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    few, many = map(int, done.stdout.split())
    assert many < 1.25 * few


def test_a_full_disk_is_the_machines_failure(tmp_path: Path) -> None:
    program = """
import resource, signal, sys
from pathlib import Path
from ledger.material import CONTACTS, screened
from pipeline.config import LedgerSettings
from pipeline.errors import MachineFailed
from pipeline.ledger.files import write_ledger

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
directory = Path(sys.argv[1])
invalid = {position: ("invalid", f"wrong {position**3}", None) for position in range(3_000)}
for format, settled in (("parquet", {}), ("csv", {}), ("parquet", invalid)):
    try:
        rows = [screened(0, 3_000, settled=settled)]
        write_ledger(directory, rows, None, LedgerSettings(formats=(format,)), CONTACTS)
    except MachineFailed as error:
        print(error)
    assert not list(directory.iterdir())
"""
    tests = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        env={"PYTHONPATH": f"{tests}:{tests.parent}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert len(said) == 3
    for line, name in zip(said, ("ledger.parquet", "ledger.csv", "resubmit.csv"), strict=True):
        assert line.startswith(f"{tmp_path / name}: cannot be written:")
        assert "too large" in line.lower()
        assert "then resume the run" in line


def test_masked_destinations_show_their_end_alone(tmp_path: Path) -> None:
    contacts = CONTACTS.model_copy(update={"key": ("mobile",)})
    frame = pl.DataFrame(
        {"id": ["p0", "p1"], "mobile": ["(416) 555-0199", "12"], "mail": ["Ann@example.com", None]},
        schema=dict.fromkeys(("id", "mobile", "mail"), pl.String),
    )
    batch = screened(0, 2, frame=frame, settled={0: INVALID, 1: INVALID})
    write_ledger(tmp_path, [batch], None, LedgerSettings(mask=True), contacts)
    found = pl.read_parquet(tmp_path / "ledger.parquet")
    assert found["sms"].to_list() == ["**********00", "**********01"]
    assert found["email"].to_list() == ["p***@example.com"] * 2
    assert found["key"].to_list() == ["**", "**"], "a key that is a destination hides it too"
    for file in ("ledger.csv", "resubmit.csv"):
        content = (tmp_path / file).read_text(encoding="utf-8-sig")
        assert not re.search(r"555\D?0199", content)
        assert "nn@" not in content
    with (tmp_path / "resubmit.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[0]["mobile"] == "************99"
    assert rows[0]["mail"] == "A***@example.com"
    assert rows[1] == {
        "id": "p1",
        "mobile": "**",
        "mail": "",
        "_status": "invalid",
        "_column": "mobile",
        "_reason": "the number is too short",
    }


def test_reasons_and_codes_stay_bounded(tmp_path: Path) -> None:
    rows = 12 * NAMED
    outcomes = [
        outcome(p, Status.REJECTED, reason="again" if p % 2 else f"ticket {p}", code=str(p)) for p in range(rows)
    ]
    recovery = journal(tmp_path, (0, rows, outcomes))
    tally = write_ledger(tmp_path, [screened(0, rows)], recovery, LedgerSettings(formats=("csv",)), CONTACTS)
    assert tally.reasons["again"] == rows // 2
    for named in (tally.reasons, tally.codes):
        assert len(named) == NAMED + 1
        assert sum(named.values()) == rows
        assert named[OTHERS] > 1


def test_a_directory_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(MachineFailed, match=r"ledger\.parquet: cannot be written: No such file"):
        write_ledger(tmp_path / "absent", [screened(0, 1)], None, LEDGER, CONTACTS)
