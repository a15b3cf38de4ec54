"""What a list of the target proves of rows in doubt, and when: a campaign in memory, under virtual time."""

from collections.abc import AsyncGenerator, Callable
from functools import partial
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import anyio
import polars as pl
import pytest
from simulation import virtual

from pipeline.errors import OutcomeUnknown
from pipeline.ledger.recovery import UNANSWERED
from pipeline.records import TAKING_BACK, Outcome, Status
from pipeline.run.doubt import Doubt
from pipeline.run.reconciling import Reconciler
from pipeline.run.standing import _ROWS, Standing

NOW, LATE = 1000.0, 30.0  # on the loop's clock; seconds

DOUBTFUL, ACCEPTED = 0, 1  # positions


def contact_id(position: int) -> str:
    return str(UUID(int=position))


def row(position: int, reason: str | None = None, attempts: int = 1) -> pl.DataFrame:
    values = {"position": position, "contact_id": contact_id(position), "content": "00", "reason": reason}
    return pl.DataFrame([dict.fromkeys(_ROWS) | values | {"attempts": attempts}], schema=_ROWS)


class Campaign:
    """A lookup, a lease on its one session, and the journal: of two rows the target lists the accepted one."""

    def __init__(self) -> None:
        self.removed_at = 0.0
        self.settled: list[tuple[float, Outcome]] = []

    async def contact_ids(self, handle: Any) -> AsyncGenerator[str]:
        await anyio.lowlevel.checkpoint()
        yield contact_id(ACCEPTED)

    def encode_removal(self, contact_ids: pl.Series) -> list[Any]:
        return [(each.encode(),) for each in contact_ids]

    async def remove(self, handle: Any, body: Any) -> str:
        self.removed_at = anyio.current_time()
        raise OutcomeUnknown("no answer to the removal")

    async def handle(self) -> Any:
        return None

    async def prove(self, handle: Any) -> bool:
        return True

    def settle(self, number: int, outcomes: list[Outcome]) -> None:
        self.settled += [(anyio.current_time(), each) for each in outcomes]

    def commit(self) -> None:
        pass

    async def reconcile(self, doubtful: pl.DataFrame, give_up: int | None, not_before: float) -> None:
        doubt = Doubt(
            walk=lambda: (),
            recovery=SimpleNamespace(slice_of=lambda _: 0),  # type: ignore[arg-type]
            standing=Standing(doubtful=doubtful, control=row(ACCEPTED)),
            faces=None,  # type: ignore[arg-type]
            baseline=None,  # type: ignore[arg-type]
            alone=True,
            theirs={},
            brought=(),
            shared_ids=False,
            not_before=not_before,
            wall_clock=lambda: 0.0,
        )
        settings: Any = SimpleNamespace(delivery=SimpleNamespace(late_effect=LATE, outage=900.0))
        own: Any = self
        reconciler = Reconciler(
            doubt, own, own, settings, keeps_ids=True, deleting=lambda _: None, sleep=lambda for_, _: anyio.sleep(for_)
        )
        await reconciler.run(own, give_up=give_up)


class Inline:
    """Work in threads, done at once and on the loop."""

    def delays(self) -> tuple[float, float]:
        return 0.0, 0.0

    def call(self, func: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        return func(*args)


def reconciled(doubtful: pl.DataFrame, *, give_up: int | None = None, not_before: float = 0.0) -> Campaign:
    campaign, clock = Campaign(), virtual.Clock()
    clock.now = NOW
    with virtual.threads_inline(Inline()):
        virtual.run(partial(campaign.reconcile, doubtful, give_up, not_before), clock)
    return campaign


def test_what_a_removal_without_answer_may_yet_delete_is_not_sent_before():
    """The row may never have come there; what is sent in its place would go with the late removal."""
    campaign = reconciled(row(DOUBTFUL, TAKING_BACK))
    [(at, outcome)] = campaign.settled
    assert outcome.status is Status.PENDING
    assert at >= campaign.removed_at + 2 * LATE, "it takes effect late, and a list shows that late too"


def test_what_has_taken_effect_may_yet_be_late_in_the_list():
    campaign = reconciled(row(DOUBTFUL, UNANSWERED), not_before=NOW - 1)
    [(at, outcome)] = campaign.settled
    assert outcome.status is Status.PENDING
    assert at >= NOW - 1 + LATE


@pytest.mark.parametrize(("sent", "status"), [(1, Status.PENDING), (2, Status.FAILED)])
def test_a_row_that_is_never_there_has_failed_after_so_many_sends(sent, status):
    campaign = reconciled(row(DOUBTFUL, UNANSWERED, attempts=sent), give_up=2)
    assert [outcome.status for _, outcome in campaign.settled] == [status]
