"""Mistakes that a careful reader might overlook, planted into the pipeline one at a time: each has to be found."""

from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import anyio.lowlevel
from simulation.target import SimTarget

from pipeline.errors import NoList, NotDelivered, OutcomeUnknown
from pipeline.ledger.disk import Disk
from pipeline.ledger.journal import Journal
from pipeline.ledger.recovery import Recovery
from pipeline.records import Outcome, Status
from pipeline.run import updating
from pipeline.run.reconciling import Reconciler
from pipeline.sessions import SessionPool
from pipeline.stages.canary import Held
from pipeline.stages.deliver import Deliverer
from pipeline.stages.settle import Settler
from pipeline.wire import Answer


def no_sync_before_sending() -> AbstractContextManager[Any]:
    """Rows of a slice leave while the record that they may is still on its way to the disk."""

    async def durable(self: Any) -> None:
        self._appended += 1
        self._work.set()
        await anyio.lowlevel.checkpoint()

    return patch.object(Settler, "durable", durable)


def outcome_before_answer() -> AbstractContextManager[Any]:
    """A row counts as accepted when it is sent, until an answer says otherwise."""
    original = Deliverer._send

    async def send(self: Any, lease: Any, handle: Any, flight: Any, turn: Any) -> None:
        row = flight.row
        accepted = Outcome(row.position, Status.ACCEPTED, None, None, row.attempts + 1, None, None, None)
        self._settler._noted[row.slice_number].append(accepted)
        self._settler._stir()
        await original(self, lease, handle, flight, turn)

    return patch.object(Deliverer, "_send", send)


def resend_after_lost_answer() -> AbstractContextManager[Any]:
    """A row whose answer was lost is sent again as if it had never left."""
    original = SimTarget.answered

    async def answered(self: Any, handle: Any, body: Any) -> Answer:
        try:
            return await original(self, handle, body)
        except OutcomeUnknown as error:
            raise NotDelivered(error.reason) from None

    return patch.object(SimTarget, "answered", answered)


def null_list_is_empty() -> AbstractContextManager[Any]:
    """A null list, which is an error, is read as a list of nothing."""
    original = SimTarget._list

    async def read(self: Any, handle: Any, operation: str) -> AsyncGenerator[Held]:
        try:
            async for held in original(self, handle, operation):
                yield held
        except NoList:
            return

    return patch.object(SimTarget, "_list", read)


def no_begin_record() -> AbstractContextManager[Any]:
    """A slice is begun without a word in the journal until its first outcomes are written."""

    original_begin, original_settle = Journal.begin, Journal.settle

    def begin(self: Any, *told: Any) -> int:
        pending, number = self._pending, original_begin(self, *told)
        _HELD_BACK.setdefault(id(self), {})[number] = pending.pop()
        return number

    def settle(self: Any, number: int, outcomes: Any) -> None:
        held = _HELD_BACK.get(id(self), {})
        for first in sorted(n for n in held if n <= number):
            self._pending.append(held.pop(first))
        original_settle(self, number, outcomes)

    @contextmanager
    def planted() -> Iterator[None]:
        _HELD_BACK.clear()
        with patch.object(Journal, "begin", begin), patch.object(Journal, "settle", settle):
            yield

    return planted()


_HELD_BACK: dict[int, dict[int, Any]] = {}  # begin records by journal and slice


def no_wait_for_late_effects() -> AbstractContextManager[Any]:
    """The target is asked at once what became of rows without an answer, and its word is taken as the last."""
    original = Reconciler.__init__

    def init(self: Any, doubt: Any, *more: Any, **named: Any) -> None:
        doubt.not_before = float("-inf")
        original(self, doubt, *more, **named)

    return patch.object(Reconciler, "__init__", init)


def failed_sync_is_forgiven() -> AbstractContextManager[Any]:
    """What could not be made durable once is made durable with the next sync, it is thought."""
    original = Journal._put

    def put(self: Any, offset: int, data: bytes) -> None:
        disk = self._disk

        class Forgiving:
            def __getattr__(self, name: str) -> Any:
                return getattr(disk, name)

            def sync(self, handle: int) -> None:
                try:
                    disk.sync(handle)
                except OSError:
                    disk.sync(handle)

        self._disk = Forgiving()
        try:
            original(self, offset, data)
        finally:
            self._disk = disk

    return patch.object(Journal, "_put", put)


def tail_is_believed() -> AbstractContextManager[Any]:
    """A resumed run appends behind what it could read, without making that durable first."""

    def resume(cls: Any, recovery: Recovery, *, disk: Disk) -> Journal:
        handle = disk.open(recovery.path, write=True)
        disk.truncate(handle, recovery.end)
        return Journal(recovery.path, disk, handle, begun=len(recovery.slices), end=recovery.end)

    return patch.object(Journal, "resume", classmethod(resume))


def sessions_left_open() -> AbstractContextManager[Any]:
    """A run goes without closing its sessions."""

    async def aclose(self: Any) -> None:
        await anyio.lowlevel.checkpoint()

    return patch.object(SessionPool, "aclose", aclose)


def unanswered_update_is_believed() -> AbstractContextManager[Any]:
    """An update whose answer was lost counts as done."""
    original = SimTarget.update

    async def update(self: Any, handle: Any, body: Any) -> str:
        try:
            return await original(self, handle, body)
        except OutcomeUnknown:
            return "0"

    return patch.object(SimTarget, "update", update)


def interrupted_update_is_found_by_the_list() -> AbstractContextManager[Any]:
    """A row whose update was in flight when the run stopped counts as one that was to be added."""
    return patch.object(updating, "TERMS", replace(updating.TERMS, unanswered=None, repeatable=False))


#: By name, so that a worker process can be told which.
PLANTED: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    plant.__name__: plant
    for plant in (
        no_sync_before_sending,
        outcome_before_answer,
        resend_after_lost_answer,
        null_list_is_empty,
        no_begin_record,
        no_wait_for_late_effects,
        failed_sync_is_forgiven,
        tail_is_believed,
        sessions_left_open,
        unanswered_update_is_believed,
        interrupted_update_is_found_by_the_list,
    )
}
