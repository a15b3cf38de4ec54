"""Proves a run at the target: every accepted row is there, and there once; rows that were not added are not there.

The rows of the ledger lie in a file of SQLite's own that ends with the process, and the target's list passes over it as
a stream, so memory grows with neither. Nothing is changed, and no lock is taken.
"""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import anyio
import anyio.to_thread
import polars as pl

from pipeline.errors import NoList, NotDelivered, OutcomeUnknown, TargetUnreachable, UsageError
from pipeline.ledger import campaign
from pipeline.ledger.baseline import Baseline
from pipeline.ledger.reading import Rows, ledger_parts
from pipeline.ledger.recovery import Recovery, recover
from pipeline.ledger.rundirectory import RunDirectory
from pipeline.ledger.state import State, packed_ids
from pipeline.ledger.verify import Problems
from pipeline.logs import logger
from pipeline.records import ERASED, Status
from pipeline.run import describing
from pipeline.run.asking import ask, ask_patiently
from pipeline.run.due import Due, DueRows
from pipeline.run.inspecting import verify_run
from pipeline.run.job import Job
from pipeline.run.known import known_keeps_ids
from pipeline.run.recorded import recorded_job, recorded_settings
from pipeline.run.surroundings import Surroundings
from pipeline.sessions import Lease, SessionPool
from pipeline.stages.faces import Faces

#: A list that lags is read again with pauses that grow from the first to the last, in seconds.
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 10.0

#: Keys that pass between the list and the database at once.
AT_ONCE: Final = 1 << 16

#: Rows of these statuses were not added by the run.
_NOT_ADDED: Final = [s.value for s in (Status.FAILED, Status.REJECTED, Status.PENDING, Status.INVALID)]

_MISSING: Final = "row {row} of {source} is accepted, but the target's list does not hold it"
_FEWER: Final = "row {row} of {source} is one of {accepted} accepted with its id, the target's list holds {found}"
_MORE: Final = "row {row} of {source} is {status}, and the target's list holds it {found} times"
_STRAY: Final = (
    "row {row} of {source} is {status}, and yet the target's list holds it: it stood there before, or was added all the"
    " same"
)
_BY_FACE: Final = (
    "row {row} of {source} is {status}: with its destinations {accepted} were added, and the target holds {found} more"
    " than before the run"
)
_NO_BASELINE: Final = (
    "it cannot be proven what the target holds: it keeps none of our ids, and what stood in the campaign before the"
    " first row was not counted"
)
_NO_LOOKUP: Final = "a target of system {system} cannot be asked what it holds; leave out --against-target"
_NOT_ASKED: Final = "the target was not asked: the run must add up by itself first"


async def prove_run(
    run_dir: Path, overrides: Sequence[str] = (), *, surroundings: Surroundings | None = None
) -> list[str]:
    """`verify_run`, and then a look at the target; what does not add up, in words. Empty: proven.

    `overrides` as for `resume_run`. Raises as `verify_run` does; UsageError where the run was undone; ConfigError where
    a setting or a secret is missing; TargetUnreachable where no answer comes, or no list but null; TargetUnusable.
    """
    if RunDirectory(run_dir).undo.holds_run:
        raise UsageError(
            f"{run_dir}: this run was undone, in whole or in part, so the target need not hold what it has added; "
            "leave out --against-target"
        )
    if problems := await anyio.to_thread.run_sync(verify_run, run_dir):
        return [*problems, _NOT_ASKED]
    job, recovery = await anyio.to_thread.run_sync(_job, run_dir, overrides, surroundings or Surroundings())
    if job.lookup is None:
        raise UsageError(_NO_LOOKUP.format(system=job.settings.target.system))
    settings = job.settings
    with campaign.peek(
        describing.state_directory(settings), settings.target.identity, settings.target.campaign
    ) as state:
        return await (await anyio.to_thread.run_sync(_Proof, job, recovery, state)).run()


def _job(run_dir: Path, overrides: Sequence[str], surroundings: Surroundings) -> tuple[Job, Recovery]:
    """The run as its own files tell, and its journal."""
    directory = RunDirectory(run_dir)
    recovery = recover(directory.journal, disk=surroundings.disk)
    settings = recorded_settings(directory, overrides)
    return recorded_job(directory, recovery, settings, surroundings, asks=True), recovery


class _Proof:
    """One look at the target. `state` is None where nothing is known of the campaign."""

    def __init__(self, job: Job, recovery: Recovery, state: State | None) -> None:
        assert job.lookup is not None
        self._job = job
        self._lookup = job.lookup
        self._state = state
        self._number = state.number(recovery.header.run_id) if state else None
        self._keeps_ids = known_keeps_ids(job.settings.target.keeps_ids, recovery.notes, state)
        self._faces = Faces(job.settings.contacts)
        self._late = job.settings.delivery.late_effect

    async def run(self) -> list[str]:
        """What does not add up, in words. Raises TargetUnreachable, TargetUnusable, MachineFailed."""
        settings, target = self._job.settings, self._job.target
        pool: SessionPool[Any] = SessionPool(target, 1, 1, settings.sessions, open_within=2 * settings.delivery.timeout)
        try:
            async with pool.lease() as lease:
                assert lease is not None
                await ask(lease, self._job.rows.prepare)
                return await self._compare(lease)
        except NoList as error:
            raise TargetUnreachable(
                f"the target gives no list of the campaign's contacts ({error.reason}), so nothing is proven. "
                "Try again later."
            ) from None
        except (NotDelivered, OutcomeUnknown) as error:
            raise TargetUnreachable(f"the target does not answer: {error.reason}. Try again later.") from None
        finally:
            await pool.aclose()

    async def _compare(self, lease: Lease[Any]) -> list[str]:
        if self._keeps_ids is not False:
            with DueRows() as ledger:
                await anyio.to_thread.run_sync(self._take_in, ledger, self._by_id, None)
                # Where nobody knows, one of our ids in the list tells.
                certain = self._keeps_ids is True or not ledger.accepts
                await self._read(lease, ledger, self._listed, again=certain)
                if certain or ledger.finds_accepted:
                    if not certain and ledger.misses:
                        await self._read(lease, ledger, self._listed, again=True)
                    return await anyio.to_thread.run_sync(self._judge_ids, ledger)
        with DueRows() as ledger:
            baseline = self._job.baseline
            whole = await anyio.to_thread.run_sync(lambda: baseline.whole)
            await anyio.to_thread.run_sync(self._take_in, ledger, self._by_face, baseline if whole else None)
            if not whole:
                return [_NO_BASELINE] if ledger.accepts else []
            await self._read(lease, ledger, self._held, again=True)
            return await anyio.to_thread.run_sync(self._judge_faces, ledger)

    # --- the ledger -------------------------------------------------------------------------------------------------

    def _by_id(self) -> Iterator[pl.DataFrame]:
        """The ledger's rows that are sendable or were, with the id as `key`."""
        for part in ledger_parts(self._job.directory.path) or ():
            rows = part.filter(pl.col("contact_id").is_not_null())
            yield rows.with_columns(pl.Series("key", packed_ids(rows["contact_id"]), dtype=pl.Binary))

    def _by_face(self) -> Iterator[pl.DataFrame]:
        """The ledger's rows that have a destination, with the hash of all of them as `key`.

        The source is screened once more: the ledger's own destinations may be masked, and texts stand nowhere else.
        """
        ledger = Rows(ledger_parts(self._job.directory.path) or iter(()))
        for screened in self._job.screened():
            contacts = screened.contacts
            keys = [self._faces.sent(row).destinations for row in contacts.iter_rows(named=True)]
            rows = ledger.take(contacts.height).with_columns(pl.Series("key", keys, dtype=pl.Binary))
            # Nobody can tell any more what became of rows that were erased, and they may well be gone.
            told = ~pl.col("warnings").list.contains(ERASED)
            yield rows.filter(
                told & pl.any_horizontal(contacts[name].is_not_null() for name in ("sms", "voice", "email"))
            )

    def _take_in(self, ledger: DueRows, rows: Callable[[], Iterator[pl.DataFrame]], baseline: Baseline | None) -> None:
        # Of what another run has added, or may have, this one's journal says when it heard of it.
        told_of = pl.col("status").is_in([Status.DUPLICATE.value, Status.CHANGED.value])
        told_of &= pl.col("settled_at").is_not_null()
        for part in rows():
            due = part.select(
                "key",
                accepted=(pl.col("status") == Status.ACCEPTED.value).cast(pl.UInt32),
                open=(told_of | (pl.col("status") == Status.IN_DOUBT.value)).cast(pl.UInt32),
            )
            due = due.filter((pl.col("accepted") + pl.col("open") > 0) | part["status"].is_in(_NOT_ADDED))
            before = baseline.numbers(due["key"].unique().to_list()) if baseline is not None else {}
            ledger.add(due, before)

    # --- the list ---------------------------------------------------------------------------------------------------

    async def _read(
        self,
        lease: Lease[Any],
        ledger: DueRows,
        read: Callable[[Any, Callable[[bytes], Awaitable[None]]], Awaitable[None]],
        *,
        again: bool,
    ) -> None:
        """Read the target's list into `ledger`; where rows are missing `again`, until it can no longer lag."""
        settings = self._job.settings

        async def once(handle: Any) -> None:
            keys: list[bytes] = []

            async def note(key: bytes) -> None:
                keys.append(key)
                if len(keys) >= AT_ONCE:
                    await anyio.to_thread.run_sync(ledger.count, keys.copy())
                    keys.clear()

            await anyio.to_thread.run_sync(ledger.forget_found)
            await read(handle, note)
            await anyio.to_thread.run_sync(ledger.count, keys)

        deadline = anyio.current_time() + self._late
        pause = FIRST_PAUSE
        while True:
            began = anyio.current_time()
            await ask_patiently(
                lease,
                once,
                patience=2 * self._late,
                outage=settings.delivery.outage,
            )
            if not again or began >= deadline or not await anyio.to_thread.run_sync(lambda: ledger.misses):
                return
            wait = min(pause, max(0.0, deadline - anyio.current_time()))
            logger().info("prove.reads_again", reason="rows are missing, and the list may lag", seconds=round(wait, 1))
            await anyio.sleep(wait)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _listed(self, handle: Any, note: Callable[[bytes], Awaitable[None]]) -> None:
        async with aclosing(self._lookup.contact_ids(handle)) as ids:
            async for contact_id in ids:
                try:
                    key = UUID(contact_id).bytes
                except ValueError:  # not ours, then
                    continue
                await note(key)

    async def _held(self, handle: Any, note: Callable[[bytes], Awaitable[None]]) -> None:
        async with aclosing(self._lookup.read_back(handle, limit=None)) as contacts:
            async for held in contacts:
                await note(self._faces.held(held).destinations)

    # --- the judgement ----------------------------------------------------------------------------------------------

    def _judge_ids(self, ledger: DueRows) -> list[str]:
        problems = Problems()
        for row, due in self._wrong(ledger, self._by_id):
            fill = {**row, "accepted": due.accepted, "found": due.found}
            if due.found < due.accepted:
                kind, words = ("missing", _MISSING) if due.accepted == 1 else ("fewer", _FEWER)
            elif due.allowed:
                kind, words = "more", _MORE
            elif self._brought_by_another(row["key"]):
                continue
            else:
                kind, words = "stray", _STRAY
            problems.tell(kind, words.format(**fill))
        return problems.sentences()

    def _brought_by_another(self, key: bytes) -> bool:
        """Whether another run has added this contact, or may have."""
        state = self._state
        return state is not None and bool(state.known([key]) or state.doubted([key], own=self._number))

    def _judge_faces(self, ledger: DueRows) -> list[str]:
        # Without a state nobody knows who else has sent; then more may be there than we have added.
        alone = self._state is not None and self._number is not None and self._state.alone_since(self._number)
        if not alone and ledger.exceeds:
            logger().warning(
                "prove.not_alone", reason="other runs may have sent since: more is there, which is allowed"
            )
        problems = Problems()
        for row, due in self._wrong(ledger, self._by_face):
            fill = {**row, "accepted": due.accepted, "found": max(0, due.found)}
            if due.found < due.accepted:
                problems.tell("missing", _BY_FACE.format(**fill))
            elif alone:
                problems.tell("more", _BY_FACE.format(**fill))
        return problems.sentences()

    def _wrong(
        self, ledger: DueRows, rows: Callable[[], Iterator[pl.DataFrame]]
    ) -> Iterator[tuple[dict[str, Any], Due]]:
        """The keys of which another number is there than may be, each with one row of it: an accepted one if any is."""
        if not (ledger.misses or ledger.exceeds):
            return
        for part in rows():
            wrong = ledger.wrong(part["key"].unique().to_list())
            if not wrong:
                continue
            accepted = [key for key, due in wrong.items() if due.accepted]
            named = part.filter(
                pl.when(pl.col("key").is_in(accepted))
                .then(pl.col("status") == Status.ACCEPTED.value)
                .otherwise(
                    pl.col("key").is_in(list(wrong)) & pl.col("status").is_in([*_NOT_ADDED, Status.IN_DOUBT.value])
                )
            ).unique("key", keep="first", maintain_order=True)
            for row in named.select("key", "source", "row", "status").iter_rows(named=True):
                yield row, wrong[row["key"]]
            ledger.told(named["key"].to_list())
