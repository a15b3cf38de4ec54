"""Which rows leave: those that wait for their turn count towards the limit, and nobody waits without need."""

import anyio
import polars as pl
import pytest

from pipeline.records import CONTACTS_SCHEMA
from pipeline.stages.encode import Slice
from pipeline.stages.queue import Queue
from pipeline.stages.settle import Begun
from pipeline.stages.traffic import Traffic

pytestmark = pytest.mark.anyio


def begun(rows: int) -> Begun:
    contacts = pl.DataFrame(schema=CONTACTS_SCHEMA)
    return Begun(0, Slice(0, rows, list(range(rows)), [(b"",)] * rows, contacts, ""))


def of_two(rows: int, stopped: anyio.Event | None = None) -> Traffic:
    """So many rows are ready, of which two may be in flight."""
    stopped = stopped or anyio.Event()
    traffic = Traffic(2, rate=0, adaptive=False, clock=anyio.current_time, stopped=stopped)
    traffic.add(begun(rows))
    return traffic


async def test_rows_that_wait_for_their_turn_count_as_in_flight():
    stopped = anyio.Event()
    traffic = of_two(9, stopped)
    traffic.hold(3600)
    taken: list[int] = []

    async def worker() -> None:
        if (row := await traffic.take()) is not None:
            taken.append(row.position)
            await traffic.turn()

    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(worker)
        await anyio.wait_all_tasks_blocked()
        assert taken == [0, 1], "of nine that are ready, as many as may be in flight"
        stopped.set()
        traffic.end()
    assert traffic.in_flight == 0


async def test_whoever_waits_for_the_limit_goes_on_when_another_has_landed():
    traffic = of_two(3)
    for _ in range(2):
        await traffic.take()
        traffic.take_off()
    async with anyio.create_task_group() as group:

        async def land() -> None:
            await anyio.wait_all_tasks_blocked()
            traffic.land()

        group.start_soon(land)
        with anyio.fail_after(60):
            row = await traffic.take()
    assert row is not None
    assert row.position == 2


async def test_whoever_has_no_row_takes_what_another_puts_off():
    """The other may have no session any more."""
    traffic = of_two(1)
    mine = await traffic.take()
    assert mine is not None
    async with anyio.create_task_group() as group:

        async def put_off() -> None:
            await anyio.wait_all_tasks_blocked()
            traffic.put_off(mine, 0.0)

        group.start_soon(put_off)
        with anyio.fail_after(60):
            assert await traffic.take() == mine


def test_while_many_rows_wait_to_be_sent_again_no_new_ones_are_given(monkeypatch):
    monkeypatch.setattr("pipeline.stages.queue.PUT_OFF_LIMIT", 2)
    queue = Queue(0)
    queue.add(begun(4))
    for due in (5.0, 6.0):
        row = queue.next(0.0)
        assert row is not None
        queue.put_off(row, due)
    assert queue.next(0.0) is None
    assert [row and row.position for row in map(queue.next, (5.0, 5.0, 6.0))] == [0, 2, 1]


def test_a_row_that_is_given_back_is_the_next_one():
    queue = Queue(0)
    queue.add(begun(3))
    first, second = queue.next(0.0), queue.next(0.0)
    assert first is not None
    queue.give_back(first)
    assert queue.next(0.0) is first is not second
