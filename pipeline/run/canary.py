"""The gate after the canary: waits for its rows, has them read back, and decides whether the rest may follow."""

from typing import Any
from uuid import UUID

import anyio

from pipeline.errors import NotDelivered, OutcomeUnknown, TargetUnreachable, TargetUnusable
from pipeline.logs import logger
from pipeline.records import TAKEN_BACK, TAKING_BACK, Outcome, Status
from pipeline.run.asking import ask, removed
from pipeline.run.census import Census
from pipeline.sessions import SessionPool
from pipeline.stages.canary import Finding, Sent, Verdict, read_back
from pipeline.stages.deliver import Deliverer
from pipeline.stages.encode import Slice, sent_rows
from pipeline.stages.settle import Settler
from pipeline.targets import Lookup

#: A list that lags is read again with pauses that grow from the first to the last, in seconds.
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 10.0

#: Taking the canary's rows back may take so long, in seconds; a stop does not cut it short.
TAKE_BACK_WITHIN = 30.0


class CanaryGate:
    """Stands between the canary's slice and the next one, see `encode.Gate`.

    `listed` is what stood in the campaign before the first row: such contacts prove nothing, and are not ours to take
    back; None: that is not known. `lookup` is None where no canary is sent. A target that lists late is given
    `patience` seconds to show rows that it accepted.
    """

    def __init__(
        self,
        lookup: Lookup | None,
        pool: SessionPool[Any],
        settler: Settler,
        deliverer: Deliverer[Any],
        *,
        retries: dict[str, int],
        listed: Census | None,
        patience: float,
    ) -> None:
        self._lookup = lookup
        self._pool = pool
        self._settler = settler
        self._deliverer = deliverer
        self._retries = retries
        self._listed = listed
        self._patience = patience
        self._settled: dict[int, tuple[int, Outcome]] = {}  # slice and outcome, by position
        self._changed = anyio.Event()
        self.open = False
        self.keeps_ids: bool | None = None  # what reading back told; None: nothing
        self.took_back = False  # whether anything was deleted

    def settled(self, number: int, outcome: Outcome) -> None:
        """Hear of a row's outcome; does nothing once the gate is open."""
        if not self.open:
            self._settled[outcome.position] = (number, outcome)
            self._changed.set()

    async def prove(self, piece: Slice) -> bool:
        """Whether the rest may follow the rows of `piece`; False: none was accepted, another canary is needed.

        Where a row was damaged on its way the run is stopped, with what is to be done in `deliverer.failure`.
        """
        while not all(position in self._settled for position in piece.positions):
            self._changed = anyio.Event()
            await self._changed.wait()
        outcomes = {position: self._settled.pop(position) for position in piece.positions}
        accepted = [r for r in sent_rows(piece, self._retries) if outcomes[r.position][1].status is Status.ACCEPTED]
        if not accepted:
            return False
        try:
            finding = await self._read_back(accepted)
        except (TargetUnusable, TargetUnreachable) as error:
            self._deliverer.stop(error)
            return False
        if finding.verdict in (Verdict.FAILED, Verdict.MISSING):
            with anyio.move_on_after(TAKE_BACK_WITHIN, shield=True):
                await self._fail(accepted, finding, outcomes)
            return False
        await self._note(finding, len(accepted))
        if finding.verdict is Verdict.UNPROVEN:
            logger().warning("canary.unproven", reason=finding.words, advice="the run goes on")
        else:
            logger().info("canary.passed", rows=len(accepted), keeps_ids=finding.keeps_ids)
        self.keeps_ids = finding.keeps_ids
        self.open = True
        return True

    async def _note(self, finding: Finding, rows: int) -> None:
        await self._settler.note(
            "canary", verdict=finding.verdict.value, keeps_ids=finding.keeps_ids, rows=rows, words=finding.words
        )

    async def _read_back(self, accepted: list[Sent]) -> Finding:
        lookup, lease = self._lookup, self._pool.quiet_lease()
        assert lookup is not None, "without it there is no canary"
        deadline = anyio.current_time() + self._patience
        pause = FIRST_PAUSE

        async def read_accepted(handle: Any) -> Finding:
            return await read_back(lookup, handle, accepted, stood_before=self._stood_before)

        while True:
            try:
                finding = await ask(lease, read_accepted)
            except OutcomeUnknown as error:
                raise TargetUnusable(
                    f"the campaign's contacts cannot be read back ({error.reason}), so nothing proves that the target "
                    "stores what it is sent. Ask its operator, or import with --canary 0."
                ) from None
            except NotDelivered as error:
                raise TargetUnreachable(
                    f"the target could not be asked for the canary's rows: {error.reason}. Try again later."
                ) from None
            left = deadline - anyio.current_time()
            if finding.verdict is not Verdict.MISSING or left <= 0:
                return finding
            await anyio.sleep(min(pause, left))
            pause = min(pause * 2, LONGEST_PAUSE)

    def _stood_before(self, contact_id: str) -> bool:
        if self._listed is None:
            return False
        try:
            return bool(self._listed.among([UUID(contact_id).bytes]))
        except ValueError:  # it is no id of ours, and the list was only searched for those
            return False

    async def _fail(self, rows: list[Sent], finding: Finding, outcomes: dict[int, tuple[int, Outcome]]) -> None:
        """Take the canary's rows back where the target keeps our ids, and stop the run."""
        taken = 0
        ours = [row for row in rows if not self._stood_before(row.contact_id)]
        if finding.keeps_ids and self._listed is not None:
            assert self._lookup is not None
            self.took_back = True
            lease = self._pool.quiet_lease()
            for row in ours:  # from here on nobody knows whether it is there, until the target has said so
                number, outcome = outcomes[row.position]
                self._settler.settle(number, outcome._replace(status=Status.IN_DOUBT, code=None, reason=TAKING_BACK))
            await self._settler.durable()
            for row in ours:
                if await removed(self._lookup, lease, row.contact_id):
                    taken += 1
                    number, outcome = outcomes[row.position]
                    taken_back = outcome._replace(status=Status.PENDING, code=None, reason=TAKEN_BACK)
                    self._settler.settle(number, taken_back)
        await self._note(finding, len(rows))
        left = len(rows) - taken
        held = (
            "They were taken back." if not left else f"{left} of them could not be taken back and may still be there."
        )
        self._deliverer.stop(
            TargetUnusable(
                f"the canary failed: of {len(rows)} rows that the target accepted, {finding.words}. {held} Compare "
                "target.wsdl or target.dialect with the service's own WSDL: a member in the wrong order or namespace "
                "is lost without a word."
            )
        )
