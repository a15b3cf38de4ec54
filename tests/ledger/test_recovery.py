"""What is read back from a journal: the same as was put in, whatever became of the file behind the durable part."""

import itertools
import random
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ledger.material import HEADER, CrashingDisk, QuickDisk, outcome
from msgspec.structs import astuple, replace

from pipeline.errors import MachineFailed, UsageError
from pipeline.ledger import lines
from pipeline.ledger.disk import OsDisk
from pipeline.ledger.journal import Journal
from pipeline.ledger.recovery import UNANSWERED, NothingBegun, Recovery, Slice, recover
from pipeline.records import Outcome, Status

ROWS = 24
STATUSES = (Status.ACCEPTED, Status.REJECTED, Status.FAILED, Status.IN_DOUBT, Status.PENDING)


@dataclass
class Model:
    """What a journal says, kept in plain dictionaries."""

    slices: list[Slice] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    doubtful: set[int] = field(default_factory=set)  # positions that a slice covers and no later outcome settles

    def begin(self, start: int, stop: int) -> None:
        self.slices.append(Slice(len(self.slices), start, stop, stop - start, f"digest {len(self.slices)}"))
        for position in range(start, stop):
            known = self.outcomes.get(position)
            if known is None or known.status is Status.PENDING:
                self.doubtful.add(position)

    def settle(self, outcomes: list[Outcome]) -> None:
        for told in outcomes:
            self.outcomes[told.position] = told
            self.doubtful.discard(told.position)

    def standing(self) -> dict[int, str]:
        status = {position: told.status.value for position, told in self.outcomes.items()}
        return status | dict.fromkeys(self.doubtful, "in_doubt")

    def agrees(self, found: Recovery) -> None:
        assert [found.slice(number) for number in range(len(found.slices))] == self.slices
        assert [note.event for note in found.notes] == self.notes
        read = found.outcomes(0, ROWS)
        assert {row[0]: row for row in read.iter_rows()} == {p: astuple(told) for p, told in self.outcomes.items()}
        assert read["position"].to_list() == sorted(self.outcomes)
        standing = found.standing(0, ROWS)
        assert dict(standing.select("position", "status").iter_rows()) == self.standing()
        walked = recover(found.path)
        for part in range(0, ROWS, 5):  # in parts the same as at once
            assert walked.standing(part, part + 5).equals(
                standing.filter(standing["position"].is_between(part, part + 4))
            )


step = st.one_of(
    st.tuples(st.just("begin"), st.integers(0, ROWS - 1), st.integers(1, 10)),
    st.tuples(
        st.just("settle"),
        st.integers(0, 10),
        st.lists(
            st.tuples(st.integers(0, 9), st.sampled_from(STATUSES), st.sampled_from([None, "", 'no: {"c":\n'])),
            max_size=4,
        ),
    ),
    st.tuples(st.just("note"), st.sampled_from(["canary", "learnt", lines.FINISHED])),
    st.just(("commit",)),
)
steps = st.lists(step, max_size=24)


def play(path: Path, script: list[tuple[object, ...]]) -> list[tuple[int, Model]]:
    """Write a journal as `script` says; returns the model after every line, with the offset behind the line."""
    journal = Journal.create(path, HEADER, disk=QuickDisk())
    done = perform(journal, script)
    journal.close()
    ends = [at + 1 for at, byte in enumerate(path.read_bytes()) if byte == ord("\n")]
    assert len(ends) == len(done) + 1
    return [(end, after(done[:number])) for number, end in enumerate(ends)]


def perform(journal: Journal, script: list[tuple[object, ...]]) -> list[tuple[object, ...]]:
    """Make the calls of `script` and a last commit; returns what each line says that comes of them."""
    done: list[tuple[object, ...]] = []
    shared = False  # whether outcomes of the same slice still go into the last line
    slices: list[tuple[int, int]] = []
    for number, (kind, *values) in enumerate([*script, ("commit",)]):
        if kind == "begin":
            start, stop = values[0], min(ROWS, values[0] + values[1])
            journal.begin(start, stop, stop - start, f"digest {len(slices)}")
            slices.append((start, stop))
            done.append(("begin", start, stop))
        elif kind == "settle" and slices:
            which = values[0] % len(slices)
            start, stop = slices[which]
            told = [
                outcome(start + at % (stop - start), status, reason=reason, attempts=number)
                for at, status, reason in values[1]
            ]
            journal.settle(which, told)
            if told and shared and done[-1][:2] == ("settle", which):
                done[-1] = ("settle", which, [*done[-1][2], *told])
            elif told:
                done.append(("settle", which, told))
                shared = True
        elif kind == "note":
            journal.note(values[0], {})
            done.append(("note", values[0]))
        elif kind == "commit":
            journal.commit()
            shared = False
    return done


def after(done: list[tuple[object, ...]]) -> Model:
    model = Model()
    for kind, *values in done:
        if kind == "begin":
            model.begin(values[0], values[1])
        elif kind == "settle":
            model.settle(values[1])
        else:
            model.notes.append(values[0])
    return model


def durable_in(content: bytes) -> int:
    """The greatest offset that a whole line of `content` names."""
    named = [0]
    for line in content.split(b"\n")[:-1]:
        try:
            record = lines.sight(line)
        except lines.Damaged:
            continue
        named.append(getattr(record, "durable", 0))
    return max(named)


@settings(max_examples=60, deadline=None)
@given(steps)
def test_any_sequence_of_appends_reads_back_as_it_was_put_in(script: list[tuple[object, ...]]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "journal.jsonl"
        states = play(path, script)
        found = recover(path)
        states[-1][1].agrees(found)
        assert found.header == HEADER
        assert found.end == found.size == states[-1][0]
        assert found.tail == 0


@settings(max_examples=60, deadline=None)
@given(steps, st.data())
def test_any_cut_leaves_what_its_whole_lines_say(script: list[tuple[object, ...]], data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "journal.jsonl"
        states = play(path, script)
        content = path.read_bytes()
        cut = data.draw(st.integers(0, len(content)))
        path.write_bytes(content[:cut])
        left = [(end, model) for end, model in states if end <= cut]
        if not left:
            with pytest.raises(NothingBegun, match="before anything was sent"):
                recover(path)
            return
        found = recover(path)
        end, model = left[-1]
        assert (found.end, found.tail) == (end, cut - end)
        model.agrees(found)
        # Going on from there adds to it, and cuts the tail for good.
        journal = Journal.resume(found, disk=QuickDisk())
        assert journal.begin(0, 2, 2, f"digest {len(model.slices)}") == len(model.slices)
        journal.commit()
        journal.close()
        model.begin(0, 2)
        resumed = recover(path)
        assert resumed.tail == 0
        model.agrees(resumed)


@settings(max_examples=120, deadline=None)
@given(steps, st.data())
def test_any_flipped_bit_is_cut_as_tail_or_named(script: list[tuple[object, ...]], data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "journal.jsonl"
        states = play(path, script)
        content = bytearray(path.read_bytes())
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] ^= 1 << data.draw(st.integers(0, 7))
        path.write_bytes(content)
        durable = durable_in(bytes(content))
        line = 1 + sum(end <= place for end, _ in states)
        before = [(end, model) for end, model in states if end <= place]
        if (before[-1][0] if before else 0) < durable:
            with pytest.raises(MachineFailed, match=rf"line {line} \(at byte \d+\).*restore"):
                recover(path)
        elif not before:
            with pytest.raises(NothingBegun):
                recover(path)
        else:
            found = recover(path)
            assert found.end == before[-1][0]
            before[-1][1].agrees(found)


@settings(max_examples=60, deadline=None)
@given(steps, st.integers(0, 2**32), st.integers(1, 12), st.booleans())
def test_no_crash_takes_back_what_a_commit_promised(
    script: list[tuple[object, ...]], seed: int, failing: int, on_sync: bool
) -> None:
    """The disk fails at some write or sync, then power fails: sectors of the last commit arrive or not, by chance."""
    with tempfile.TemporaryDirectory() as directory:
        whole = Path(directory) / "whole.jsonl"
        states = play(whole, script)
        path = Path(directory) / "journal.jsonl"
        # The first write and sync are those of the header.
        disk = CrashingDisk(**{"fail_sync" if on_sync else "fail_write": failing + 1})
        promised = 0
        try:
            journal = Journal.create(path, HEADER, disk=disk)
            promised = journal.durable
            perform(journal, script)
        except MachineFailed:
            promised = path.stat().st_size
        else:
            promised = journal.durable
        disk.crash(random.Random(seed))
        found = recover(path)
        assert found.end >= promised
        model = next(model for end, model in states if end == found.end)
        model.agrees(found)


# --- single cases ---------------------------------------------------------------------------------------------


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.jsonl"


def test_a_row_stands_as_its_latest_outcome_says_or_is_in_doubt(path: Path) -> None:
    journal = Journal.create(path, HEADER)
    first = journal.begin(10, 16, 6, "")
    journal.settle(first, [outcome(10), outcome(11, Status.REJECTED), outcome(12, Status.PENDING, attempts=0)])
    journal.settle(first, [outcome(13, Status.IN_DOUBT, attempts=1), outcome(14, Status.PENDING, attempts=2)])
    second = journal.begin(14, 18, 3, "")
    journal.settle(second, [outcome(17), outcome(17, Status.FAILED)])
    journal.commit()
    journal.close()
    found = recover(path).standing(0, 100)
    assert dict(found.select("position", "status").iter_rows()) == {
        10: "accepted",
        11: "rejected",
        12: "pending",
        13: "in_doubt",
        14: "in_doubt",  # it was released, and then covered by a slice once more
        15: "in_doubt",
        16: "in_doubt",
        17: "failed",
    }
    assert found.filter(found["reason"] == UNANSWERED)["position"].to_list() == [14, 15, 16]
    assert dict(found.select("position", "attempts").iter_rows())[14] == 3, "a send that nobody saw is counted"
    assert recover(path).standing(18, 30).is_empty()


def test_outcomes_of_slices_in_any_order_are_found_by_slice(path: Path) -> None:
    journal = Journal.create(path, HEADER)
    for start in (0, 10, 20, 30):
        journal.begin(start, start + 10, 10, "")
    for at in range(10):
        for number in (2, 0, 3, 1):
            journal.settle(number, [outcome(10 * number + at)])
    journal.commit()
    journal.close()
    for start in (0, 10, 20, 30):
        found = recover(path)
        assert found.outcomes(start, start + 10)["position"].to_list() == list(range(start, start + 10))
        assert found.record([start // 10])["slice"].unique().to_list() == [start // 10]
    assert found.record([1, 3, 0])["at"].is_sorted()


def test_the_later_line_wins_however_the_rows_are_walked(path: Path) -> None:
    journal = Journal.create(path, HEADER)
    first, second = journal.begin(0, 10, 10, ""), journal.begin(5, 15, 10, "")
    journal.settle(second, [outcome(7, Status.FAILED)])
    journal.settle(first, [outcome(7), outcome(8)])
    journal.settle(second, [outcome(8, Status.REJECTED)])
    journal.commit()
    journal.close()
    for parts in ((0, 15), (0, 5, 15), (0, 7, 8, 15)):
        found = recover(path)
        walked = [found.outcomes(*part) for part in itertools.pairwise(parts)]
        assert [list(rows) for frame in walked for rows in frame.select("position", "status").iter_rows()] == [
            [7, "accepted"],
            [8, "rejected"],
        ]


def test_lines_reach_over_the_blocks_in_which_the_file_is_read(path: Path) -> None:
    rows = 80_000
    journal = Journal.create(path, HEADER)
    journal.settle(journal.begin(0, rows, rows, ""), map(outcome, range(rows)))
    journal.commit()
    journal.note("after", {})
    journal.commit()
    journal.close()
    assert path.stat().st_size > 4 << 20
    found = recover(path)
    assert (found.tail, [note.event for note in found.notes]) == (0, ["after"])
    assert found.outcomes(0, rows)["position"].to_list() == list(range(rows))


def test_the_end_of_a_run_is_known_from_its_last_line_alone(path: Path) -> None:
    journal = Journal.create(path, HEADER)
    journal.note(lines.FINISHED, {"exit_code": 1})
    journal.commit()
    assert recover(path).finished
    journal.begin(0, 1, 1, "")
    journal.commit()
    journal.close()
    assert not recover(path).finished


def test_damage_before_the_durable_end_names_line_and_byte(path: Path) -> None:
    journal = Journal.create(path, HEADER)
    for number in range(3):
        journal.begin(number, number + 1, 1, "")
        journal.commit()
    journal.close()
    content = path.read_bytes()
    second = content.index(b"\n", content.index(b"\n") + 1) + 1
    path.write_bytes(content[: second + 40] + b"?" + content[second + 41 :])
    with pytest.raises(MachineFailed, match=rf"journal.jsonl: line 3 \(at byte {second}\) is not as it was written"):
        recover(path)


def test_a_line_in_the_wrong_place_is_not_believed(path: Path) -> None:
    header = lines.encode(HEADER)
    begun = lines.encode(lines.SliceBegun(0, 0, 1, 1, ""))
    settled = lines.encode(lines.Settled(0, 0, [outcome(0)]))
    for content, word in (
        (begun, "line 1 .*the header stands in the first line"),
        (header + header, "line 2 .*the header stands in the first line"),
        (header + settled, "settles rows of slice 0, which was not begun"),
        (header + begun + begun, "line 3 .*begins slice 0, not 1"),
        (lines.encode(replace(HEADER, version=2)), "version 2, and this program knows 1"),
    ):
        path.write_bytes(content)
        with pytest.raises(MachineFailed, match=word):
            recover(path)


def test_what_is_no_journal_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no run was begun here"):
        recover(tmp_path / "journal.jsonl")
    (tmp_path / "a.csv").write_text("id;name\n1;x\n")
    with pytest.raises(NothingBegun):
        recover(tmp_path / "a.csv")
    with pytest.raises(MachineFailed, match="cannot be read"):
        recover(tmp_path)


def test_a_tail_of_zeros_is_cut(path: Path) -> None:
    journal = Journal.create(path, HEADER)
    journal.begin(0, 1, 1, "")
    journal.commit()
    journal.close()
    with path.open("ab") as file:
        file.truncate(path.stat().st_size + 9_000_000)
    found = recover(path)
    assert found.tail == 9_000_000
    assert len(found.slices) == 1


def test_walking_in_order_reads_every_line_once(path: Path) -> None:
    class Counting(OsDisk):
        reads = 0

        def read(self, handle: int, offset: int, size: int) -> bytes:
            self.reads += 1
            return super().read(handle, offset, size)

    journal = Journal.create(path, HEADER)
    for start in range(0, 1000, 70):
        number = journal.begin(start, start + 70, 70, "")
        for _ in range(2):
            journal.settle(number, [outcome(position) for position in range(start, start + 70)])
            journal.commit()
    journal.close()
    disk = Counting()
    found = recover(path, disk=disk)
    disk.reads = 0
    for start in range(0, 1050, 64):
        assert found.standing(start, start + 64)["status"].unique().to_list() == ["accepted"]
        found.outcomes(start, start + 64)
    assert disk.reads == len(found.slices), "lines that lie side by side are read at once"


def test_a_journal_that_changes_underfoot_is_noticed(path: Path) -> None:
    journal = Journal.create(path, HEADER)
    journal.settle(journal.begin(0, 1, 1, ""), [outcome(0)])
    journal.commit()
    journal.close()
    found = recover(path)
    content = path.read_bytes()
    path.write_bytes(content.replace(b"accepted", b"rejected"))
    with pytest.raises(MachineFailed, match="has changed since it was read first"):
        found.outcomes(0, 1)
    path.write_bytes(content[:-20])
    with pytest.raises(MachineFailed, match="shorter than when it was read"):
        found.outcomes(0, 1)


def test_the_index_takes_a_bounded_number_of_bytes_a_row(path: Path) -> None:
    """The smallest slices that deliver makes: 4 × one call in flight."""
    rows = 4_000
    journal = Journal.create(path, HEADER)
    for start in range(0, rows, 4):
        journal.settle(journal.begin(start, start + 4, 4, ""), [outcome(p) for p in range(start, start + 4)])
    journal.commit()
    journal.close()
    found = recover(path)
    assert (found.slices.estimated_size() + found._index.estimated_size()) / rows <= 24


def test_what_is_known_already_stands_in_the_line_that_begins_the_slice(path: Path) -> None:
    journal = Journal.create(path, HEADER)
    there = [outcome(1, Status.DUPLICATE, attempts=0), outcome(3, Status.CHANGED, attempts=0)]
    journal.begin(0, 5, 4, "d", there)
    journal.commit()
    journal.close()
    found = recover(path)
    assert dict(found.standing(0, 5).select("position", "status").iter_rows()) == {
        0: "in_doubt",
        1: "duplicate",
        2: "in_doubt",
        3: "changed",
        4: "in_doubt",
    }
    assert found.settled_counts() == {"duplicate": 1, "changed": 1}
    assert found.slice(0) == Slice(0, 0, 5, 4, "d")
