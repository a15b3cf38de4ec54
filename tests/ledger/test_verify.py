"""The proof: it passes what the pipeline made, and finds every kind of damage that is planted."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from ledger.material import CONTACTS, HEADER, QuickDisk, outcome, screened
from msgspec.structs import replace

from pipeline.config import LedgerSettings
from pipeline.ledger.files import write_ledger
from pipeline.ledger.journal import Journal
from pipeline.ledger.recovery import recover
from pipeline.ledger.summary import Seconds, Sessions, Summary
from pipeline.ledger.verify import verify
from pipeline.records import TAKEN_BACK, Batch, Screened, Status

SETTLED = {2: ("invalid", 'too,\n"short"', "mobile"), 5: ("duplicate", 'as "row 1",\r\nsee there', None)}


def batches() -> list[Screened]:
    return [
        screened(0, 4, settled=SETTLED),
        screened(4, 9, settled=SETTLED),
        screened(9, 12, source="b.csv", row=1),
    ]


class Run:
    """A run directory to damage: journal, ledger, resubmit file and summary of twelve rows from two sources."""

    def __init__(self, directory: Path, *, formats: tuple[str, ...] = ("parquet", "csv")) -> None:
        self.path = directory
        self.journal = directory / "journal.jsonl"
        journal = Journal.create(self.journal, HEADER, disk=QuickDisk())
        first = journal.begin(0, 8, 6, "")
        journal.settle(first, [outcome(0), outcome(1, Status.REJECTED), outcome(3), outcome(4, Status.PENDING)])
        journal.commit()
        second = journal.begin(4, 10, 3, "")
        journal.settle(second, [outcome(4), outcome(8, Status.FAILED)])  # 6, 7 and 9 are in doubt
        journal.commit()
        journal.close()
        settings = LedgerSettings.model_validate({"formats": formats})
        self.tally = write_ledger(directory, batches(), recover(self.journal), settings, CONTACTS)
        self.summarise()

    def summarise(self, **other: Any) -> None:
        summary = Summary.of(
            self.tally,
            complete=False,
            seconds=Seconds(1.0, 0.25, 0.5),
            rate=12.0,
            sessions=Sessions(1, 0, 1, 0),
            exit_code=4,
            run_dir=self.path,
        )
        replace(summary, **other).write(self.path)

    def append(self, what: Callable[[Journal], None]) -> None:
        journal = Journal.resume(recover(self.journal), disk=QuickDisk())
        what(journal)
        journal.commit()
        journal.close()

    def change(self, change: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
        path = self.path / "ledger.parquet"
        change(pl.read_parquet(path)).write_parquet(path)

    def problems(self, source: list[Batch] | str | None = "whole") -> list[str]:
        read = [some.batch for some in batches()] if source == "whole" else source
        assert not isinstance(read, str)
        return verify(self.path, read, recover(self.journal))


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


@pytest.mark.parametrize("formats", [("parquet", "csv"), ("parquet",), ("csv",)])
def test_an_honest_run_has_no_problems(tmp_path: Path, formats: tuple[str, ...]) -> None:
    run = Run(tmp_path, formats=formats)
    assert run.tally.counts["in_doubt"] == 3
    assert run.problems() == []
    assert run.problems(None) == []


def test_many_rows_in_many_parts(tmp_path: Path) -> None:
    """More rows than are compared at once, in batches, slices and parts that share no boundary."""
    rows, some = 36_000, 9_999
    journal = Journal.create(tmp_path / "journal.jsonl", HEADER, disk=QuickDisk())
    for start in range(0, 30_000, 8_000):
        number = journal.begin(start, start + 8_000, 8_000, "")
        journal.settle(number, [outcome(p, reason='a "b",' + 20 * "\n") for p in range(start + 5, start + 8_000)])
    journal.commit()
    journal.close()
    recovery = recover(tmp_path / "journal.jsonl")
    made = [screened(start, min(start + some, rows)) for start in range(0, rows, some)]
    tally = write_ledger(tmp_path, made, recovery, LedgerSettings(), CONTACTS)
    Summary.of(
        tally,
        complete=False,
        seconds=Seconds(),
        rate=0,
        sessions=Sessions(),
        exit_code=4,
        run_dir=tmp_path,
    ).write(tmp_path)
    assert tally.counts["in_doubt"] == 20
    assert verify(tmp_path, (each.batch for each in made), recovery) == []
    (tmp_path / "ledger.parquet").unlink()
    assert verify(tmp_path, None, recovery) == []


def with_row(number: int, **values: Any) -> Callable[[pl.DataFrame], pl.DataFrame]:
    """Change the row at a position of the ledger."""

    def change(frame: pl.DataFrame) -> pl.DataFrame:
        here = pl.int_range(pl.len()) == number
        return frame.with_columns(
            pl.when(here).then(pl.lit(value, frame.schema[name])).otherwise(name).alias(name)
            for name, value in values.items()
        )

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda frame: frame.head(11), ["ends after 11 rows, the source has 1 more", "1 row more than ledger.parquet"]),
        (lambda frame: pl.concat([frame, frame.tail(1)]), ["1 rows more than the source", "row 3 stands where row 4"]),
        (lambda frame: pl.concat([frame.head(3), frame.slice(4)]), ["row 5 stands where row 4 is due"]),
        (lambda frame: pl.concat([frame.slice(1, 1), frame.head(1), frame.slice(2)]), ["row 2 stands where row 1"]),
        (lambda frame: pl.concat([frame.slice(9), frame.head(9)]), ["is due, the ledger has row 1 (line 2) of b.csv"]),
        (with_row(3, line=99), ["row 4 (line 5) of contacts.csv is due, the ledger has row 4 (line 99)"]),
        (with_row(10, source="c.csv"), ["of b.csv is due", "its rows do not stand together"]),
        (with_row(3, status="sent"), ["row 4 of contacts.csv has the status sent, which there is not"]),
        (with_row(3, status="rejected"), ["says rejected (code Success, sends 1), the journal says accepted"]),
        (with_row(0, attempts=2), ["the ledger says accepted (code Success, sends 2)"]),
        (with_row(1, code=None), ["the ledger says rejected (code None, sends 2)"]),
        (with_row(6, status="pending"), ["the ledger says pending", "the journal says in_doubt"]),
        (with_row(11, status="accepted"), ["the journal says that it was never handed to delivery"]),
        (with_row(11, attempts=1), ["the journal says that it was never handed to delivery"]),
        (with_row(0, status="invalid"), ["the ledger says invalid", "the journal says accepted"]),
        (with_row(2, status="accepted"), ["row 3 of contacts.csv: the ledger says accepted"]),
        (with_row(7, sms="+14165559999"), ["row 8 of contacts.csv: ledger.csv and ledger.parquet differ"]),
        (with_row(8, sent_at=None), ["ledger.csv and ledger.parquet differ", "the journal says failed"]),
        (lambda frame: frame.drop("code"), ["ledger.parquet has other columns than a ledger"]),
    ],
)
def test_a_changed_ledger_is_found(run: Run, change: Callable[[pl.DataFrame], pl.DataFrame], words: list[str]) -> None:
    run.change(change)
    problems = run.problems()
    for word in words:
        assert any(word in problem for problem in problems), problems


def test_a_change_that_keeps_the_sums_is_found_without_the_source_too(run: Run) -> None:
    run.change(lambda frame: pl.concat([frame.head(3), frame.slice(4, 1), frame.slice(4)]))
    assert any("row 5 stands where row 4 is due" in problem for problem in run.problems(None))


def test_another_source_is_found(run: Run) -> None:
    read = [some.batch for some in batches()]
    assert any("12 rows" in problem or "3 rows more" in problem for problem in run.problems(read[:2]))
    longer = [*read, screened(12, 14, source="b.csv", row=4).batch]
    assert any("the source has 2 more" in problem for problem in run.problems(longer))


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        (b",accepted,", b",rejected,", "ledger.csv and ledger.parquet differ"),
        (b"source,row", b"source,now", "ledger.csv has other columns"),
        (b"+14165550003", b"+14165550004", "row 4 of contacts.csv: ledger.csv and ledger.parquet differ"),
    ],
)
def test_a_changed_csv_is_found(run: Run, old: bytes, new: bytes, word: str) -> None:
    path = run.path / "ledger.csv"
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new))
    assert any(word in problem for problem in run.problems())


def test_a_csv_of_other_length_is_found(run: Run) -> None:
    path = run.path / "ledger.csv"
    content = path.read_bytes()
    last = content.rindex(b"\n", 0, -1) + 1
    path.write_bytes(content + content[last:])
    assert any("ledger.csv has at least 1 row more" in problem for problem in run.problems())
    path.write_bytes(content[:last])
    assert any("ledger.csv ends after 11 rows" in problem for problem in run.problems())


@pytest.mark.parametrize(
    ("other", "word"),
    [
        ({"rows": 11}, "counts 11 rows, the ledger has 12"),
        ({"counts": {"accepted": 12}}, "counts 12 rows as accepted, the ledger has 3"),
        ({"complete": True}, "is complete, but rows are pending"),
    ],
)
def test_a_summary_that_does_not_add_up_is_found(run: Run, other: dict[str, Any], word: str) -> None:
    run.summarise(**other)
    assert any(word in problem for problem in run.problems())


def test_missing_files_are_found(run: Run) -> None:
    (run.path / "summary.json").unlink()
    (run.path / "resubmit.csv").unlink()
    problems = run.problems()
    assert any("there is no summary.json" in problem for problem in problems)
    assert any("resubmit.csv: is missing" in problem for problem in problems)
    (run.path / "ledger.csv").unlink()
    (run.path / "ledger.parquet").unlink()
    assert run.problems() == [f"{run.path}: there is no ledger"]


def test_a_resubmit_file_with_other_rows_is_found(run: Run) -> None:
    path = run.path / "resubmit.csv"
    content = path.read_bytes()
    path.write_bytes(content[: content.rindex(b"\n", 0, -1) + 1])
    assert any("resubmit.csv has the rows" in problem for problem in run.problems())


def test_a_file_that_is_no_ledger_is_told(run: Run) -> None:
    (run.path / "ledger.parquet").write_bytes(b"PAR1 nothing PAR1")
    assert any("cannot be read through" in problem for problem in run.problems())


@pytest.mark.parametrize(
    ("append", "word"),
    [
        (lambda journal: journal.settle(0, [outcome(1)]), "the ledger says rejected"),
        (lambda journal: journal.settle(0, [outcome(9)]), "slice 0 settles the row at position 9, which is not of it"),
        (
            lambda journal: journal.settle(0, [outcome(0, Status.FAILED, attempts=4)]),
            "row 1 of contacts.csv was on record as accepted, and later as failed (sends 4)",
        ),
        (lambda journal: journal.settle(0, [outcome(0, attempts=2)]), "and later as accepted (sends 2)"),
        (lambda journal: journal.begin(11, 13, 2, ""), "slice 2 of the journal reaches to row 13 of 12"),
        (lambda journal: journal.settle(1, [outcome(p) for p in (4, 6, 7, 9)]), "slice 1 began with 3 rows to send"),
    ],
)
def test_a_journal_that_says_other_things_is_found(run: Run, append: Callable[[Journal], None], word: str) -> None:
    run.append(append)
    assert any(word in problem for problem in run.problems())


def test_what_the_canary_took_back_is_no_second_sending(run: Run) -> None:
    run.append(lambda journal: journal.settle(0, [outcome(0, Status.PENDING, reason=TAKEN_BACK, code=None)]))
    assert not any("was on record as accepted" in problem for problem in run.problems())
    run.append(lambda journal: journal.settle(0, [outcome(3, Status.PENDING, reason="of no account")]))
    assert any("row 4 of contacts.csv was on record as accepted" in problem for problem in run.problems())


def test_a_tail_is_told(run: Run) -> None:
    with run.journal.open("ab") as file:
        file.write(b'{"c":"12')
    assert any("ends in 8 bytes of a write that did not finish" in problem for problem in run.problems())


def test_of_many_alike_only_some_are_told(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path / "journal.jsonl", HEADER, disk=QuickDisk())
    journal.settle(journal.begin(0, 50, 50, ""), [outcome(p) for p in range(50)])
    journal.commit()
    journal.close()
    write_ledger(tmp_path, [screened(0, 50)], None, LedgerSettings(formats=("parquet",)), CONTACTS)
    problems = verify(tmp_path, None, recover(tmp_path / "journal.jsonl"))
    assert sum("the journal says accepted" in problem for problem in problems) == 10
    assert "... and 40 more like this" in problems
