"""Which rows leave: those that wait for their turn count towards the limit."""

import anyio
import polars as pl
import pytest

from pipeline.records import CONTACTS_SCHEMA
from pipeline.stages.encode import Slice
from pipeline.stages.settle import Begun
from pipeline.stages.traffic import Traffic

pytestmark = pytest.mark.anyio


async def test_rows_that_wait_for_their_turn_count_as_in_flight():
    stopped = anyio.Event()
    traffic = Traffic(2, rate=0, adaptive=False, clock=anyio.current_time, stopped=stopped)
    contacts = pl.DataFrame(schema=CONTACTS_SCHEMA)
    traffic.add(Begun(0, Slice(0, 9, list(range(9)), [(b"",)] * 9, contacts, "")))
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
