"""Delivery against a target in memory, with a real journal: the recovery table, the breaker, stopping."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from time import time
from typing import Any

import anyio
import polars as pl
import pytest

from pipeline.config import DeliverySettings, SessionsSettings
from pipeline.errors import (
    AlreadyThere,
    NotDelivered,
    OpeningRefused,
    OutcomeUnknown,
    PutOff,
    Refused,
    SessionExpired,
    TargetUnreachable,
    TargetUnusable,
)
from pipeline.ledger.journal import Journal
from pipeline.ledger.lines import Header
from pipeline.ledger.recovery import recover
from pipeline.records import CONTACTS_SCHEMA, NOT_THERE, UNSENT, Outcome, Status
from pipeline.report.troubles import Troubles
from pipeline.run import updating
from pipeline.sessions import SessionPool
from pipeline.stages import breaker
from pipeline.stages.deliver import RENEWALS_PER_ROW, Deliverer
from pipeline.stages.encode import Body, Slice
from pipeline.stages.limit import FIRST
from pipeline.stages.sender import Sender
from pipeline.stages.settle import ADDING, Begun, Settler, begin

pytestmark = pytest.mark.anyio

Answer = BaseException | str | None


@dataclass
class Target(Sender[int]):
    """Does to each row what `script` says, answer by answer; what it does not name is accepted."""

    script: dict[int, list[Answer]] = field(default_factory=dict)
    every: Callable[[int], Answer] | None = None
    calls: list[tuple[int, int]] = field(default_factory=list)  # session and row
    stored: list[int] = field(default_factory=list)
    opened: int = 0
    refuse_from: int = 10**9  # openings from this one on are refused
    closed: list[int] = field(default_factory=list)
    gone: set[int] = field(default_factory=set)
    probes: list[Answer] = field(default_factory=list)
    probed: int = 0
    most_sessions: None = None
    session_life: None = None
    in_flight: int = 0
    most: int = 0
    on_call: Callable[[int], Any] | None = None
    judged: int = 0

    async def open(self) -> int:
        if self.opened + 1 >= self.refuse_from:
            raise OpeningRefused("full", code="9")
        self.opened += 1
        return self.opened

    async def prove(self, handle: int) -> bool:
        self.probed += 1
        answer = self.probes.pop(0) if self.probes else None
        if isinstance(answer, BaseException):
            raise answer
        return handle not in self.gone

    async def close(self, handle: int) -> None:
        self.closed.append(handle)

    async def send(self, handle: int, body: Body) -> str:
        return await self.taken(handle, body)

    async def taken(self, handle: int, body: Body) -> str:
        row = int(body[0])
        self.calls.append((handle, row))
        self.in_flight += 1
        self.most = max(self.most, self.in_flight)
        try:
            await anyio.lowlevel.checkpoint()
            if self.on_call is not None:
                await self.on_call(row)
            answer = self.script[row].pop(0) if self.script.get(row) else None
            if answer is None and self.every is not None:
                answer = self.every(row)
            if isinstance(answer, BaseException):
                raise answer
            self.stored.append(row)
            return answer or "0"
        finally:
            self.in_flight -= 1


class Forbidden(Exception):
    """A line's answer that has to be reconsidered."""


class Lined(Target):
    """The same, but its rows go by a line, and what it says to a row is an answer that has to be judged."""

    def line(self, handle: int) -> Any:
        return OwnLine(self, handle)

    async def send(self, handle: int, body: Body) -> str:
        raise AssertionError("there is a line")

    async def judge(self, handle: int, body: Body, answer: Any) -> str:
        self.judged += 1
        if answer.error is not None:
            raise answer.error
        return str(answer.body.decode())


@dataclass
class OwnLine:
    target: Target
    session: int

    async def post(self, parts: Body, follow: Callable[[Any], Body | None]) -> Any:
        following: Body | None = parts
        while following is not None:
            try:
                answer = Said(200, (await self.target.taken(self.session, following)).encode())
            except Forbidden:
                answer = Said(403, b"forbidden")
            except (AlreadyThere, PutOff, Refused, SessionExpired) as error:
                answer = Said(200, b"no", error)
            following = follow(answer)
        return answer


@dataclass
class Said:
    """An answer as far as it matters here."""

    status: int
    body: bytes
    error: BaseException | None = None


@pytest.fixture(params=["by its call", "by its line"], autouse=True)
def _both_ways(request, monkeypatch):
    """Rows go by `send`, one by one, or follow each other on a line: what becomes of them is the same."""
    if request.param == "by its line":
        monkeypatch.setattr(f"{__name__}.Target", Lined)


def header() -> Header:
    return Header("run", 0, "mapping", "test", "place", "campaign", "", (), None)


def pieces(rows: int, size: int) -> list[Slice]:
    contacts = pl.DataFrame(schema=CONTACTS_SCHEMA)
    return [
        Slice(
            start,
            min(start + size, rows),
            list(range(start, min(start + size, rows))),
            [(str(at).encode(),) for at in range(start, min(start + size, rows))],
            contacts,
            "",
        )
        for start in range(0, rows, size)
    ]


class Bench:
    """Everything between a list of slices and the outcomes on record."""

    def __init__(self, directory: Path, target: Target, **delivery: Any) -> None:
        sessions, terms = delivery.pop("sessions", 3), delivery.pop("terms", ADDING)
        claim, doubtful = delivery.pop("claim", lambda *_: None), delivery.pop("doubtful", None)
        self.settings = DeliverySettings.model_validate({"sessions": sessions, **delivery})
        self.target = target
        self.path = directory / "journal.jsonl"
        self.journal = Journal.create(self.path, header())
        self.pool: SessionPool[int] = SessionPool(
            target, self.settings.sessions, self.settings.calls_per_session, SessionsSettings()
        )
        self.heard: list[int] = []
        self.troubles = Troubles()
        self.settler = Settler(
            self.journal,
            lambda _, outcomes, __: self.heard.extend(o.position for o in outcomes),
            claim,
            terms,
            doubtful=doubtful,
        )
        self.deliverer: Deliverer[int] = Deliverer(
            target, self.pool, self.settler, self.settings, terms=terms, wall_clock=time, random=Random(7),
            troubles=self.troubles,
        )  # fmt: skip

    async def run(
        self, rows: int, size: int = 7, *, cancel: anyio.Event | None = None
    ) -> dict[int, tuple[str, Any, int]]:
        send_slices, slices = anyio.create_memory_object_stream[Slice](100)
        send_begun, begun = anyio.create_memory_object_stream[Begun](0)
        for piece in pieces(rows, size):
            send_slices.send_nowait(piece)
        send_slices.close()
        async with anyio.create_task_group() as outer:
            outer.start_soon(self.settler.run)
            async with anyio.create_task_group() as group:

                async def feed() -> None:
                    try:
                        await begin(slices, send_begun, self.settler)
                    except anyio.BrokenResourceError:
                        pass

                async def cancelling() -> None:
                    await cancel.wait()
                    group.cancel_scope.cancel()

                if cancel is not None:
                    group.start_soon(cancelling)
                group.start_soon(feed)
                await self.deliverer.run(begun)
                group.cancel_scope.cancel()
            self.settler.release(0)
            self.settler.close()
        await self.pool.aclose()
        self.journal.close()
        outcomes = recover(self.path).outcomes(0, rows)
        return {
            row["position"]: (row["status"], row["code"], row["attempts"]) for row in outcomes.iter_rows(named=True)
        }


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch):
    """Pauses are what is tested elsewhere; here they only have to happen."""
    monkeypatch.setattr(breaker, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(breaker, "LONGEST_PAUSE", 0.01)
    monkeypatch.setattr("pipeline.stages.deliver.FIRST_PAUSE", 0.001)
    monkeypatch.setattr("pipeline.stages.deliver.LONGEST_PAUSE", 0.01)


async def test_every_row_is_sent_once_and_on_record(tmp_path):
    target = Target()
    outcomes = await Bench(tmp_path, target).run(50)
    assert sorted(target.stored) == list(range(50))
    assert outcomes == dict.fromkeys(range(50), ("accepted", "0", 1))
    assert target.most == 3
    assert sorted(target.closed) == [1, 2, 3]


async def test_a_slice_is_durable_before_its_first_row_leaves(tmp_path):
    target = Target()
    bench = Bench(tmp_path, target)

    async def look(row: int) -> None:
        begun = recover(bench.path).slices
        assert begun.filter((pl.col("start") <= row) & (pl.col("stop") > row)).height == 1

    target.on_call = look
    await bench.run(20, 3)
    assert len(target.stored) == 20


class SlowCommit:
    """Commits write at once, and are done when they may go on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.goes_on = threading.Event()
        self._written = threading.Event()
        commit = Journal.commit

        def slow(journal: Journal) -> int:
            durable = commit(journal)
            self._written.set()
            assert self.goes_on.wait(60)
            return durable

        monkeypatch.setattr(Journal, "commit", slow)

    async def written(self) -> None:
        """The first has written."""
        await anyio.to_thread.run_sync(self._written.wait)


@pytest.fixture
def slow_commit(monkeypatch: pytest.MonkeyPatch) -> SlowCommit:
    return SlowCommit(monkeypatch)


async def test_a_slice_that_is_begun_during_a_commit_waits_for_the_next_one(tmp_path, slow_commit):
    bench = Bench(tmp_path, Target())
    first, second = pieces(4, 2)
    async with anyio.create_task_group() as group:
        group.start_soon(bench.settler.run)
        group.start_soon(bench.settler.begin, first)
        await slow_commit.written()

        async def go_on() -> None:
            while bench.journal.next_slice < 2:
                await anyio.lowlevel.checkpoint()
            slow_commit.goes_on.set()

        group.start_soon(go_on)
        await bench.settler.begin(second)
        assert recover(bench.path).slices.height == 2
        group.cancel_scope.cancel()
    bench.journal.close()


async def test_where_nobody_can_be_asked_few_rows_are_begun_and_open(tmp_path):
    claimed: list[int] = []
    bench = Bench(tmp_path, Target(), claim=lambda number, _: claimed.append(number), doubtful=8)
    first, second, third = pieces(12, 4)
    async with anyio.create_task_group() as group:
        group.start_soon(bench.settler.run)
        await bench.settler.begin(first)
        await bench.settler.begin(second)
        group.start_soon(bench.settler.begin, third)
        for _ in range(3):
            await bench.settler.durable()
        assert claimed == [0, 1]
        for at in first.positions:
            bench.settler.settle(0, Outcome(at, Status.ACCEPTED, "0", None, 1, 1, 1, 1.0))
        with anyio.fail_after(60):
            while bench.journal.next_slice < 3:
                await anyio.lowlevel.checkpoint()
        assert recover(bench.path).outcomes(0, 12)["position"].to_list() == first.positions
        group.cancel_scope.cancel()
    bench.journal.close()


async def test_what_is_accepted_during_the_last_commit_is_on_record_too(tmp_path, slow_commit):
    bench = Bench(tmp_path, Target())
    [piece] = pieces(2, 2)
    async with anyio.create_task_group() as group:
        group.start_soon(bench.settler.run)
        group.start_soon(bench.settler.begin, piece)
        await slow_commit.written()
        for at in piece.positions:
            bench.settler.accept(0, Outcome(at, Status.ACCEPTED, "0", None, 1, 1, 1, 1.0))
        bench.settler.close()
        slow_commit.goes_on.set()
    bench.journal.close()
    assert recover(bench.path).outcomes(0, 2)["position"].to_list() == piece.positions


async def test_one_row_opens_one_session(tmp_path):
    target = Target()
    await Bench(tmp_path, target, sessions=8).run(1)
    assert target.opened == 1


async def test_calls_per_session_share_sessions(tmp_path):
    target = Target()
    eight = anyio.Event()

    async def wait_for_eight(_: int) -> None:
        if target.in_flight == 8:
            eight.set()
        await eight.wait()

    target.on_call = wait_for_eight
    await Bench(tmp_path, target, sessions=2, calls_per_session=4).run(200, 50)
    assert target.most == 8
    assert target.opened == 2


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (Refused("no", code="7"), "rejected"),
        (AlreadyThere("there", code="8"), "duplicate"),
    ],
)
async def test_an_answer_settles_a_row(tmp_path, answer, status):
    outcomes = await Bench(tmp_path, Target({4: [answer]})).run(9)
    assert outcomes.pop(4) == (status, answer.code, 1)
    assert {status for status, _, _ in outcomes.values()} == {"accepted"}


async def test_what_was_not_delivered_is_sent_again_and_costs_nothing(tmp_path):
    target = Target({4: [NotDelivered("refused")] * 3})
    outcomes = await Bench(tmp_path, target, attempts=1).run(9)
    assert outcomes[4] == ("accepted", "0", 1)
    assert sum(row == 4 for _, row in target.calls) == 4


async def test_what_is_there_already_after_a_send_without_answer_is_accepted(tmp_path, monkeypatch):
    sent_before = [replace(piece, attempts={0: 1, 1: 1}, doubted=frozenset({0})) for piece in pieces(2, 7)]
    monkeypatch.setattr(f"{__name__}.pieces", lambda *_: sent_before)
    target = Target(script={row: [AlreadyThere("there", code="8")] for row in (0, 1)})
    outcomes = await Bench(tmp_path, target).run(2)
    assert outcomes == {0: ("accepted", "8", 2), 1: ("duplicate", "8", 2)}


async def test_a_row_that_is_put_off_uses_up_its_attempts(tmp_path):
    target = Target({4: [PutOff("busy", code="901")] * 9, 5: [PutOff("busy", code="901")] * 2})
    bench = Bench(tmp_path, target, attempts=3)
    waiting: set[int] = set()

    async def look(_: int) -> None:
        waiting.add(bench.deliverer.put_off)

    target.on_call = look
    outcomes = await bench.run(9)
    assert outcomes[4] == ("failed", "901", 3)
    assert outcomes[5] == ("accepted", "0", 3)
    assert max(waiting) >= 1
    assert bench.deliverer.put_off == 0
    assert bench.troubles.words(1) == ["busy (put off 4 times, sent again later)"], "the last ones are failures"


async def test_rows_put_off_do_not_stand_in_the_way_of_a_canary(tmp_path):
    """All rows of the only slice are put off; no further slice comes before they are settled."""
    target = Target({row: [PutOff("busy", code="901")] for row in range(3)})
    outcomes = await Bench(tmp_path, target).run(3)
    assert {status for status, _, _ in outcomes.values()} == {"accepted"}


async def test_an_expired_session_is_renewed_and_costs_nothing(tmp_path):
    target = Target({4: [SessionExpired("gone", code="101")]})
    bench = Bench(tmp_path, target, sessions=1, attempts=1)
    outcomes = await bench.run(9)
    assert outcomes[4] == ("accepted", "0", 1)
    assert (bench.pool.counts.opened, bench.pool.counts.expired, bench.pool.counts.renewed) == (2, 1, 1)


async def test_once_a_session_was_renewed_no_row_leaves_on_the_old_one(tmp_path):
    target = Target({6: [SessionExpired("gone")]})
    bench = Bench(tmp_path, target, sessions=1, calls_per_session=2)

    async def wait_for_the_renewal(row: int) -> None:
        while row > 6 and bench.pool.counts.opened < 2:
            await anyio.lowlevel.checkpoint()

    target.on_call = wait_for_the_renewal
    outcomes = await bench.run(40, 40)
    assert outcomes == dict.fromkeys(range(40), ("accepted", "0", 1))
    sessions = [session for session, _ in target.calls]
    assert set(sessions) == {1, 2}
    assert sessions == sorted(sessions)


async def test_a_row_whose_session_is_always_gone_fails(tmp_path):
    target = Target({4: [SessionExpired("gone", code="101")] * 99})
    outcomes = await Bench(tmp_path, target).run(9)
    assert outcomes[4] == ("failed", "101", RENEWALS_PER_ROW + 1)
    assert sum(status == "accepted" for status, _, _ in outcomes.values()) == 8


async def test_a_lost_answer_is_in_doubt_and_never_sent_again(tmp_path):
    target = Target({4: [OutcomeUnknown("cut")]})
    outcomes = await Bench(tmp_path, target).run(30)
    assert outcomes[4] == ("in_doubt", None, 1)
    assert sum(row == 4 for _, row in target.calls) == 1
    assert sum(status == "accepted" for status, _, _ in outcomes.values()) == 29


async def test_an_update_without_an_answer_is_sent_again_until_its_attempts_are_used(tmp_path):
    target = Target({4: [OutcomeUnknown("cut")], 5: [OutcomeUnknown("cut")] * 9})
    bench = Bench(tmp_path, target, terms=updating.TERMS, attempts=3, sessions=1)
    outcomes = await bench.run(9)
    assert outcomes[4] == ("accepted", "0", 2)
    assert outcomes[5] == ("in_doubt", None, 3)
    assert sum(status == "accepted" for status, _, _ in outcomes.values()) == 8


async def test_a_target_gone_dark_leaves_one_row_in_doubt_per_call_and_goes_on_when_it_is_back(tmp_path):
    dark = {"from": 20, "probes": 5}
    target = Target(probes=[])

    def answer(_: int) -> Answer:
        return OutcomeUnknown("no answer in time") if dark["from"] <= len(target.calls) and dark["probes"] else None

    async def prove(handle: int) -> bool:
        if len(target.calls) >= dark["from"] and dark["probes"]:
            dark["probes"] -= 1
            raise OutcomeUnknown("no answer in time")
        return True

    target.every = answer
    target.prove = prove  # type: ignore[method-assign]
    bench = Bench(tmp_path, target, sessions=4)
    outcomes = await bench.run(100)
    doubtful = [at for at, (status, _, _) in outcomes.items() if status == "in_doubt"]
    assert 1 <= len(doubtful) <= 4
    assert sum(status == "accepted" for status, _, _ in outcomes.values()) == 100 - len(doubtful)
    assert bench.deliverer.failure is None


async def test_a_target_that_stays_dark_ends_the_run(tmp_path):
    target = Target()
    target.every = lambda _: OutcomeUnknown("cut") if len(target.calls) > 20 else None

    async def prove(_: int) -> bool:
        if len(target.calls) > 20:
            raise NotDelivered("refused")
        return True

    target.prove = prove  # type: ignore[method-assign]
    bench = Bench(tmp_path, target, sessions=4, outage=0.05)
    outcomes = await bench.run(100)
    assert isinstance(bench.deliverer.failure, TargetUnreachable)
    assert sum(status == "in_doubt" for status, _, _ in outcomes.values()) <= 4
    begun = recover(bench.path).standing(0, 100)
    assert begun.filter(pl.col("status") == "in_doubt").height <= 4, "rows that were not sent are pending"


async def test_a_target_that_answers_probes_but_no_rows_is_tried_row_by_row(tmp_path):
    """HTTP 500 to every row call: the doubt stays bounded by the pauses, not by the file."""
    target = Target()
    target.every = lambda _: OutcomeUnknown("HTTP 500")
    bench = Bench(tmp_path, target, sessions=4, outage=0.05)
    await bench.run(5000, 1000)
    assert isinstance(bench.deliverer.failure, TargetUnreachable)
    assert len(target.calls) < 100


async def test_an_outage_that_ends_with_a_lost_answer_leaves_that_row_in_doubt(tmp_path):
    """The last failure settles its row and ends the run; the row must not be given back as unsent."""
    target = Target()
    target.every = lambda _: OutcomeUnknown("no answer in time")
    bench = Bench(tmp_path, target, sessions=1, outage=0.02)
    outcomes = await bench.run(2000, 500)
    assert isinstance(bench.deliverer.failure, TargetUnreachable)
    sent = {row for _, row in target.calls}
    assert {at for at, (status, _, _) in outcomes.items() if status == "in_doubt"} == sent
    assert len(target.calls) == len(sent)


async def test_sessions_that_are_gone_for_good_end_the_run(tmp_path):
    """Nobody has a session any more and none can be had: once the outage is over nobody tries to log in again."""
    target = Target()
    openings = 0

    async def open_() -> int:
        nonlocal openings
        openings += 1
        if openings > 2:
            raise NotDelivered("no connection")
        return openings

    target.open = open_  # type: ignore[method-assign]
    target.every = lambda _: SessionExpired("gone") if len(target.calls) > 20 else None
    bench = Bench(tmp_path, target, sessions=2, outage=0.05)
    with anyio.fail_after(10):
        outcomes = await bench.run(50)
    assert isinstance(bench.deliverer.failure, TargetUnreachable)
    assert {at for at, (status, _, _) in outcomes.items() if status == "accepted"} == set(target.stored)
    assert {status for status, _, _ in outcomes.values()} == {"accepted", "pending"}


async def test_a_pause_longer_than_the_outage_ends_the_run(tmp_path):
    target = Target({3: [NotDelivered("the target is busy", retry_after=86_400)]})
    bench = Bench(tmp_path, target, sessions=1)
    with anyio.fail_after(10):
        await bench.run(9)
    assert isinstance(bench.deliverer.failure, TargetUnreachable)
    assert "86400 seconds" in str(bench.deliverer.failure)


async def test_retry_after_holds_everybody_back(tmp_path):
    target = Target({0: [NotDelivered("503", retry_after=0.3)]})
    bench = Bench(tmp_path, target, sessions=1)
    began = anyio.current_time()
    await bench.run(3)
    assert anyio.current_time() - began >= 0.3


async def test_rate_is_a_ceiling(tmp_path):
    bench = Bench(tmp_path, Target(), sessions=4, rate=100)
    began = anyio.current_time()
    await bench.run(41)
    assert anyio.current_time() - began >= 0.25  # 40 intervals of 10 ms, of which ten may be caught up with


async def test_an_unusable_target_stops_the_run_and_leaves_the_row_pending(tmp_path):
    target = Target({10: [TargetUnusable("contract")]})
    bench = Bench(tmp_path, target)
    outcomes = await bench.run(50)
    assert isinstance(bench.deliverer.failure, TargetUnusable)
    assert outcomes[10][0] == "pending"
    assert {at for at, (status, _, _) in outcomes.items() if status == "accepted"} == set(target.stored)
    assert not [status for status, _, _ in outcomes.values() if status == "in_doubt"]


async def test_stop_finishes_what_is_in_flight(tmp_path):
    target = Target()
    bench = Bench(tmp_path, target)

    async def stop(row: int) -> None:
        if row == 20:
            bench.deliverer.stop()

    target.on_call = stop
    outcomes = await bench.run(60, 10)
    statuses = {at: status for at, (status, _, _) in outcomes.items()}
    assert {at for at, status in statuses.items() if status == "accepted"} == set(target.stored)
    assert 20 in target.stored
    assert len(target.stored) < 60
    standing = recover(bench.path).standing(0, 60)
    assert standing.filter(pl.col("status") == "in_doubt").is_empty(), "nothing begun is left without an outcome"


async def test_of_what_never_reached_the_workers_it_stays_known_that_it_was_sent_before(tmp_path):
    bench = Bench(tmp_path, Target())
    [piece] = pieces(3, 3)
    async with anyio.create_task_group() as group:
        group.start_soon(bench.settler.run)
        await bench.settler.begin(replace(piece, attempts={1: 2}, doubted=frozenset({1})))
        bench.settler.release(0)
        bench.settler.close()
    bench.journal.close()
    released = recover(bench.path).standing(0, 3)
    assert released.select("position", "status", "attempts", "reason").rows() == [
        (0, "pending", 0, UNSENT), (1, "pending", 2, NOT_THERE), (2, "pending", 0, UNSENT),
    ]  # fmt: skip


async def test_a_stop_does_not_forget_that_a_row_was_sent_without_an_answer(tmp_path, monkeypatch):
    """Once it is sent again, what is there already is there by that send: the next process has to know."""
    sent_before = [replace(piece, doubted=frozenset({1, 8})) for piece in pieces(14, 7)]
    monkeypatch.setattr(f"{__name__}.pieces", lambda *_: sent_before)
    target = Target()
    bench = Bench(tmp_path, target, sessions=1)

    async def stop(_: int) -> None:
        bench.deliverer.stop()

    target.on_call = stop
    assert (await bench.run(14))[0] == ("accepted", "0", 1)
    pending = recover(bench.path).standing(0, 14).filter(status="pending")
    reasons = dict(pending.select("position", "reason").iter_rows())
    assert reasons.pop(1) == NOT_THERE
    assert reasons.pop(8, NOT_THERE) == NOT_THERE
    assert set(reasons.values()) == {UNSENT}


async def test_cancelling_leaves_only_what_was_in_flight_in_doubt(tmp_path):
    target = Target()
    bench = Bench(tmp_path, target)
    cancel = anyio.Event()
    hanging = []

    async def hang(row: int) -> None:
        if row >= 20:
            hanging.append(row)
            if len(hanging) == 3:
                cancel.set()
            await anyio.sleep_forever()

    target.on_call = hang
    outcomes = await bench.run(60, 10, cancel=cancel)
    in_doubt = {at: attempts for at, (status, _, attempts) in outcomes.items() if status == "in_doubt"}
    assert in_doubt == dict.fromkeys(hanging, 1), "each was sent once"
    standing = recover(bench.path).standing(0, 60)
    assert set(standing.filter(pl.col("status") == "in_doubt")["position"]) == set(hanging)


async def test_a_refused_further_session_does_not_lose_rows(tmp_path):
    target = Target(refuse_from=3)
    outcomes = await Bench(tmp_path, target, sessions=8).run(50)
    assert {status for status, _, _ in outcomes.values()} == {"accepted"}
    assert target.opened == 2
    assert target.most == 2


async def test_a_mistake_of_ours_in_mid_call_leaves_the_row_in_doubt(tmp_path):
    target = Target({10: [ValueError("a bug")]})
    bench = Bench(tmp_path, target)
    with pytest.raises(BaseExceptionGroup):
        await bench.run(50)
    bench.settler.close()
    standing = recover(bench.path).standing(0, 50)
    assert standing.filter(pl.col("position") == 10)["status"].to_list() == [Status.IN_DOUBT]


async def test_answers_that_are_known_are_not_judged_again(tmp_path):
    target = Lined({20: [Refused("no", code="7")]})
    outcomes = await Bench(tmp_path, target, sessions=1).run(50, 10)
    assert outcomes.pop(20) == ("rejected", "7", 1)
    assert set(outcomes.values()) == {("accepted", "0", 1)}
    assert target.judged == 2, "the first one, and the one that says no"


async def test_a_target_hears_of_what_it_did_not_judge_before_it_judges(tmp_path):
    heard = []

    class Hearing(Lined):
        def accepted(self, handle: int) -> None:
            heard.append(("accepted", handle))

        async def judge(self, handle: int, body: Body, answer: Any) -> str:
            heard.append(("judged", handle))
            return await super().judge(handle, body, answer)

    await Bench(tmp_path, Hearing({3: [Refused("no", code="7")]}), sessions=1).run(6)
    assert heard == [("judged", 1), ("accepted", 1), ("judged", 1), ("accepted", 1)]


async def test_few_calls_are_in_flight_until_the_target_has_borne_them(tmp_path):
    target = Target()
    first = []

    async def hold(row: int) -> None:
        first.append(row)
        if len(first) <= FIRST:
            await anyio.wait_all_tasks_blocked()
            assert target.in_flight <= FIRST

    target.on_call = hold
    await Bench(tmp_path, target, sessions=40).run(400, 100)
    assert target.most > FIRST
    assert sorted(target.stored) == list(range(400))


async def test_a_fixed_limit_is_used_at_once(tmp_path):
    target = Target()
    everybody = anyio.Event()

    async def wait(_: int) -> None:
        if target.in_flight == 40:
            everybody.set()
        await everybody.wait()

    target.on_call = wait
    with anyio.fail_after(30):
        await Bench(tmp_path, target, sessions=40, adaptive=False).run(100, 50)
    assert target.most == 40


async def test_an_answer_that_was_reconsidered_is_not_learnt(tmp_path):
    """The token has run out, row after row: what that looks like never accepts a row by itself."""
    sent_again = []

    class Forgetful(Lined):
        async def reconsidered(self, handle: int, line: Any, body: Body, answer: Any) -> Any:
            if answer.status != 403:
                return answer
            sent_again.append(int(body[0]))
            return await OwnLine(self, handle).post(body, lambda _: None)

    target = Forgetful({row: [Forbidden()] for row in (3, 4, 9, 20)})
    outcomes = await Bench(tmp_path, target, sessions=1).run(30, 10)
    assert outcomes == dict.fromkeys(range(30), ("accepted", "0", 1))
    assert sent_again == [3, 4, 9, 20]
    assert sorted(target.stored) == list(range(30))


@pytest.mark.parametrize(("retry_after", "rate"), [(None, 0), (0.02, 0), (None, 2000)])
async def test_rows_that_waited_leave_no_more_at_once_than_the_limit_allows(tmp_path, retry_after, rate):
    """A target that takes four rows at once: pauses and turns end for many rows in the same moment."""
    target = Target()
    at_once: list[int] = []

    async def crowd(_: int) -> None:
        at_once.append(target.in_flight)
        if target.in_flight > 4:
            raise NotDelivered("503", retry_after=retry_after)
        for _ in range(20):  # for so long it is at work
            await anyio.lowlevel.checkpoint()

    target.on_call = crowd
    await Bench(tmp_path, target, sessions=64, rate=rate).run(600, 200)
    assert sorted(target.stored) == list(range(600))
    later = at_once[len(at_once) // 3 :]
    assert max(later) < 20, "of 64"
    assert sum(number > 4 for number in later) < len(later) / 3


async def test_whoever_rests_goes_on_when_answers_are_back(tmp_path, monkeypatch):
    monkeypatch.setattr(breaker, "FIRST_PAUSE", 600.0)
    monkeypatch.setattr(breaker, "LONGEST_PAUSE", 600.0)
    target = Target({0: [NotDelivered("503")]})
    with anyio.fail_after(60):
        outcomes = await Bench(tmp_path, target, sessions=2).run(20)
    assert set(outcomes.values()) == {("accepted", "0", 1)}


async def test_a_stop_wakes_whoever_rests(tmp_path, monkeypatch):
    monkeypatch.setattr(breaker, "FIRST_PAUSE", 600.0)
    monkeypatch.setattr(breaker, "LONGEST_PAUSE", 600.0)
    target = Target()
    target.every = lambda _: NotDelivered("503")
    bench = Bench(tmp_path, target, sessions=2)
    called = anyio.Event()

    async def notice(_: int) -> None:
        if len(target.calls) == 2:
            called.set()

    target.on_call = notice

    async def stop_when_all_rest() -> None:
        await called.wait()
        await anyio.wait_all_tasks_blocked()
        bench.deliverer.stop()

    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            group.start_soon(stop_when_all_rest)
            await bench.run(20)
    assert target.stored == []
