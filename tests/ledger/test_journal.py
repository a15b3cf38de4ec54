"""The journal as it is written: its lines, what a commit promises, and how it dies."""

import json
import random
import stat
import threading
from pathlib import Path
from zlib import crc32

import pytest
from ledger.material import HEADER, CrashingDisk, outcome
from msgspec.structs import astuple

from pipeline.errors import Busy, MachineFailed, UsageError
from pipeline.ledger.journal import ROWS_A_LINE, Journal
from pipeline.ledger.recovery import recover
from pipeline.records import Status


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.jsonl"


def test_every_line_is_json_with_the_checksum_of_its_record(path: Path) -> None:
    journal = Journal.create(path, HEADER)
    journal.settle(journal.begin(0, 3, 2, "d1"), [outcome(0), outcome(2, Status.REJECTED, reason='nö,\n"no"')])
    journal.note("stopped", {"exit_code": 130, "rows": None, "codes": ["-7"]})
    journal.commit()
    journal.close()
    lines = path.read_bytes().splitlines(keepends=True)
    assert len(lines) == 4
    for line in lines:
        frame = json.loads(line)
        assert list(frame) == ["c", "r"]
        record = line[len(b'{"c":"00000000","r":') : -len(b"}\n")]
        assert json.loads(record) == frame["r"]
        assert frame["c"] == f"{crc32(record):08x}"
    header, begun, settled, note = (json.loads(line)["r"] for line in lines)
    assert header["t"] == "header"
    assert header["version"] == 1
    assert header["sources"][0]["size"] == 1234
    assert begun == {
        "t": "begun",
        "number": 0,
        "start": 0,
        "stop": 3,
        "rows": 2,
        "digest": "d1",
        "durable": len(lines[0]),
        "known": [],
    }
    assert settled["rows"][1] == list(astuple(outcome(2, Status.REJECTED, reason='nö,\n"no"')))
    assert note["fields"] == {"exit_code": 130, "rows": None, "codes": ["-7"]}


def test_it_is_private_and_its_name_is_durable(path: Path) -> None:
    disk = CrashingDisk()
    Journal.create(path, HEADER, disk=disk).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert disk.calls == ["create", "write", "sync", "sync_directory"]


def test_a_directory_is_not_used_twice(path: Path) -> None:
    Journal.create(path, HEADER).close()
    with pytest.raises(UsageError, match="begun here already"):
        Journal.create(path, HEADER)


def test_every_line_names_what_was_durable_before_its_commit(path: Path) -> None:
    journal = Journal.create(path, HEADER)
    starts = {}
    for turn in range(3):
        starts[turn] = journal.durable
        journal.settle(journal.begin(turn, turn + 1, 1, ""), [outcome(turn)])
        journal.note("canary", {"turn": turn})
        assert journal.commit() == journal.durable == path.stat().st_size
    journal.close()
    records = [json.loads(line)["r"] for line in path.read_bytes().splitlines()[1:]]
    assert [record["durable"] for record in records] == [starts[turn] for turn in range(3) for _ in range(3)]


def test_nothing_is_written_before_a_commit_and_one_write_does_for_all(path: Path) -> None:
    disk = CrashingDisk()
    journal = Journal.create(path, HEADER, disk=disk)
    size = path.stat().st_size
    number = journal.begin(0, 10, 10, "")
    for position in range(10):
        journal.settle(number, [outcome(position)])
    assert path.stat().st_size == size
    disk.calls.clear()
    journal.commit()
    assert disk.calls == ["write", "sync"]
    disk.calls.clear()
    assert journal.commit() == path.stat().st_size
    assert disk.calls == [], "there was nothing to make durable"
    journal.close()
    assert len(path.read_bytes().splitlines()) == 3, "outcomes of one slice share a line"


def test_a_line_holds_a_bounded_number_of_rows(path: Path) -> None:
    rows = 2 * ROWS_A_LINE + 1
    journal = Journal.create(path, HEADER)
    journal.settle(journal.begin(0, rows, rows, ""), map(outcome, range(rows)))
    journal.commit()
    journal.close()
    settled = [json.loads(line)["r"]["rows"] for line in path.read_bytes().splitlines()[2:]]
    assert [len(part) for part in settled] == [ROWS_A_LINE, ROWS_A_LINE, 1]
    assert recover(path).outcomes(0, rows)["position"].to_list() == list(range(rows))


def test_short_writes_are_continued(path: Path) -> None:
    journal = Journal.create(path, HEADER, disk=CrashingDisk(piece=7))
    journal.settle(journal.begin(0, 5, 5, ""), map(outcome, range(5)))
    journal.commit()
    journal.close()
    assert recover(path).outcomes(0, 5).height == 5


@pytest.mark.parametrize(("fault", "word"), [({"fail_write": 3}, "No space left"), ({"fail_sync": 3}, "Input/output")])
def test_after_a_failure_the_journal_is_dead_and_the_run_can_be_resumed(
    path: Path, fault: dict[str, int], word: str
) -> None:
    disk = CrashingDisk(**fault)
    journal = Journal.create(path, HEADER, disk=disk)
    number = journal.begin(0, 4, 4, "")
    journal.commit()
    journal.settle(number, [outcome(0)])
    with pytest.raises(MachineFailed, match=f"{word}.*resume") as failure:
        journal.commit()
    assert failure.value.exit_code == 8
    calls = len(disk.calls)
    for again in (
        journal.commit,
        lambda: journal.begin(4, 5, 1, ""),
        lambda: journal.settle(number, [outcome(1)]),
        lambda: journal.note("stopped", {}),
    ):
        with pytest.raises(MachineFailed, match=word):
            again()
    assert len(disk.calls) == calls, "neither a write nor an fsync is tried again"
    journal.close()
    disk.crash(random.Random(1))
    found = recover(path)
    assert found.standing(0, 4)["status"].to_list() == ["in_doubt"] * 4
    resumed = Journal.resume(found)
    resumed.settle(0, [outcome(position) for position in range(4)])
    resumed.commit()
    resumed.close()
    assert recover(path).standing(0, 4)["status"].to_list() == ["accepted"] * 4


def test_a_broken_off_commit_kills_the_journal(path: Path) -> None:
    class Interrupted(CrashingDisk):
        def sync(self, handle: int) -> None:
            if "sync" in self.calls:
                raise KeyboardInterrupt
            super().sync(handle)

    journal = Journal.create(path, HEADER, disk=Interrupted())
    journal.note("a", {})
    with pytest.raises(KeyboardInterrupt):
        journal.commit()
    with pytest.raises(MachineFailed, match="broken off"):
        journal.note("b", {})
    journal.close()


def test_a_journal_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    with pytest.raises(MachineFailed, match="No such file"):
        Journal.create(tmp_path / "absent" / "journal.jsonl", HEADER)
    with pytest.raises(MachineFailed, match="No space left"):
        Journal.create(tmp_path / "journal.jsonl", HEADER, disk=CrashingDisk(fail_write=1))


def test_mistakes_of_the_caller_are_told_at_once(path: Path) -> None:
    journal = Journal.create(path, HEADER)
    for start, stop, rows in ((3, 3, 0), (-1, 2, 1), (0, 2, 3)):
        with pytest.raises(ValueError, match="a slice is a range"):
            journal.begin(start, stop, rows, "")
    with pytest.raises(ValueError, match="never begun"):
        journal.settle(0, [outcome(0)])
    journal.close()
    with pytest.raises(MachineFailed, match="is closed"):
        journal.commit()


def test_appending_goes_on_while_a_commit_is_at_work(path: Path) -> None:
    class Waiting(CrashingDisk):
        started = threading.Event()
        go_on = threading.Event()

        def sync(self, handle: int) -> None:
            if self.calls.count("sync"):
                self.started.set()
                assert self.go_on.wait(10)
            super().sync(handle)

    disk = Waiting()
    journal = Journal.create(path, HEADER, disk=disk)
    number = journal.begin(0, 2, 2, "")
    journal.settle(number, [outcome(0)])
    worker = threading.Thread(target=journal.commit)
    worker.start()
    assert disk.started.wait(10)
    journal.settle(number, [outcome(1)])  # returns though the disk is at work
    disk.go_on.set()
    worker.join()
    assert recover(path).outcomes(0, 2)["position"].to_list() == [0]
    journal.commit()
    journal.close()
    assert recover(path).outcomes(0, 2)["position"].to_list() == [0, 1]


def test_nothing_is_lost_between_threads(path: Path) -> None:
    rows = 20_000
    journal = Journal.create(path, HEADER, disk=CrashingDisk())
    number = journal.begin(0, rows, rows, "")
    done = threading.Event()

    def commit() -> None:
        while not done.is_set():
            journal.commit()

    workers = [threading.Thread(target=commit) for _ in range(2)]
    for worker in workers:
        worker.start()
    for position in range(rows):
        journal.settle(number, [outcome(position)])
    done.set()
    for worker in workers:
        worker.join()
    journal.commit()
    journal.close()
    assert recover(path).outcomes(0, rows)["position"].to_list() == list(range(rows))


def test_a_journal_that_grew_since_it_was_read_is_left_alone(path: Path) -> None:
    journal = Journal.create(path, HEADER)
    found = recover(path)
    journal.note("more", {})
    journal.commit()
    content = path.read_bytes()
    with pytest.raises(Busy, match="another process"):
        Journal.resume(found)
    journal.note("still alive", {})
    journal.commit()
    journal.close()
    assert path.read_bytes().startswith(content)


def test_resuming_writes_once_more_what_no_line_names_as_durable(path: Path) -> None:
    journal = Journal.create(path, HEADER)
    journal.begin(0, 2, 2, "")
    journal.commit()
    first = journal.durable
    journal.settle(0, [outcome(0)])
    journal.commit()
    journal.close()
    with path.open("ab") as file:
        file.write(b'{"c":"0000')
    written = []

    class Watching(CrashingDisk):
        def write(self, handle: int, offset: int, data: memoryview) -> int:
            written.append((offset, bytes(data)))
            return super().write(handle, offset, data)

    disk = Watching()
    found = recover(path)
    assert found.durable == first
    assert found.tail == 10
    Journal.resume(found, disk=disk).close()
    content = path.read_bytes()
    assert content.endswith(b"}\n")
    assert written == [(first, content[first:])]
    assert disk.calls[-1] == "sync"
    assert recover(path).tail == 0
    assert path.stat().st_size == found.end
