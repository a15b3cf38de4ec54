"""Contacts to request bodies, a batch at a time, by the target's encoder; cut into the slices that are begun as one."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeAlias

import anyio
import anyio.to_thread
import polars as pl
from anyio.abc import ObjectReceiveStream, ObjectSendStream

from pipeline.records import CHANNELS, NOT_THERE, Outcome, Screened, Status
from pipeline.stages.canary import Sent

#: The body of one row call, cut where the session's own token belongs: `token.join(body)` is what is sent.
Body: TypeAlias = tuple[bytes, ...]


class Writer(Protocol):
    """What writes the body of a row call. Used off the event loop, from any one thread at a time."""

    def encode(self, contacts: pl.DataFrame) -> list[Body]:
        """One body per row, in order. `contacts` has CONTACTS_SCHEMA, and every row of it can be sent."""


class Encoder(Writer, Protocol):
    """How a target writes a contact. What has a body here is what is usual, as in `SessionProvider`."""

    @property
    def forbidden(self) -> str:
        """A regular expression (Rust syntax) of the characters that the target cannot carry; empty: none."""
        return ""

    def unfit(self, contacts: pl.DataFrame) -> pl.Series:
        """Per row, why the target cannot take it, too large a message say; null where it can.

        `contacts` has CONTACTS_SCHEMA; rows that are settled already may hold anything.
        """
        return pl.Series([None] * contacts.height, dtype=pl.String)


@dataclass(frozen=True, slots=True)
class Slice:
    """Consecutive rows of the input, begun together: what the journal says may be sent now."""

    start: int  # position of the first row, settled by screening or not
    stop: int  # one more than the position of the last
    positions: list[int]  # of the rows that can be sent
    bodies: list[Body]  # theirs
    contacts: pl.DataFrame  # theirs, CONTACTS_SCHEMA
    digest: str  # over contact ids and contents: a changed source is noticed
    attempts: dict[int, int] = field(default_factory=dict)  # sends in earlier runs, by position, where there were any
    doubted: frozenset[int] = frozenset()  # positions of those that were sent before and got no answer
    known: list[Outcome] = field(default_factory=list)  # rows that need not be sent, with what is known of them


class Gate(Protocol):
    """Decides after a canary whether the rest may follow."""

    async def prove(self, piece: Slice) -> bool:
        """Whether the rest may follow; False: another canary is needed."""


class Known(Protocol):
    """Knows which contacts the campaign holds already, or may hold."""

    def judge(self, contacts: pl.DataFrame) -> pl.DataFrame:
        """Per row of `contacts` (contact_id, content) its `status` (null: it is to be sent) and `reason`."""


class Slicer:
    """Cuts batches into slices: the first `canary` rows that can be sent are one of their own.

    `standing` gives, for a range of positions, where rows stand that were begun before (position, status, reason,
    attempts): only the pending ones of them are sent. Of those `known` settles the ones that are there already.
    `wall_clock` gives seconds since the epoch.
    """

    def __init__(
        self,
        encoder: Writer,
        *,
        canary: int,
        rows: int,
        wall_clock: Callable[[], float],
        standing: Callable[[int, int], pl.DataFrame] | None = None,
        known: Known | None = None,
    ) -> None:
        self._encoder = encoder
        self._standing = standing
        self._known = known
        self._wall_clock = wall_clock
        self._next = canary or rows
        self._rows = rows

    def shrink(self, rows: int) -> None:
        """Make the next slice one of `rows` rows again: a canary that proved nothing needs another."""
        self._next = rows

    def slices(self, screened: Screened) -> Iterator[Slice]:
        """Cut one batch; rows that screening settled belong to the slice that surrounds them."""
        contacts = screened.contacts.with_row_index("_position", offset=screened.batch.start)
        sendable = contacts.filter(pl.col("status").is_null())
        attempts: dict[int, int] = {}
        doubted: frozenset[int] = frozenset()
        if self._standing is not None:
            told = self._standing(screened.batch.start, screened.batch.stop)
            pending = told["status"] == Status.PENDING.value
            done = told["position"].filter(~pending)
            sendable = sendable.filter(~pl.col("_position").cast(pl.UInt64).is_in(done.implode()))
            attempts = dict(told.filter(pending).select("position", "attempts").iter_rows())
            doubted = frozenset(told["position"].filter(pending & (told["reason"] == NOT_THERE)))
        known: list[Outcome] = []
        if self._known is not None and sendable.height:
            verdicts = self._known.judge(sendable)
            there = verdicts["status"].is_not_null()
            known = self._outcomes(sendable["_position"].filter(there), verdicts.filter(there), attempts)
            sendable = sendable.filter(~there)
        start = screened.batch.start
        while sendable.height or known:
            piece, sendable = sendable.head(self._next), sendable.slice(self._next)
            if piece.height:
                self._next = self._rows
            stop = sendable["_position"][0] if sendable.height else screened.batch.stop
            own = [outcome for outcome in known if outcome.position < stop]
            known = known[len(own) :]
            yield replace(self._slice(start, stop, piece, attempts, own), doubted=doubted)
            start = stop

    def _outcomes(self, positions: pl.Series, verdicts: pl.DataFrame, attempts: dict[int, int]) -> list[Outcome]:
        now = int(self._wall_clock() * 1000)
        return [
            Outcome(at, Status(status), None, reason, attempts.get(at, 0), None, now, None)
            for at, (status, reason) in zip(positions, verdicts.select("status", "reason").iter_rows(), strict=True)
        ]

    def _slice(
        self, start: int, stop: int, piece: pl.DataFrame, attempts: dict[int, int], known: list[Outcome]
    ) -> Slice:
        positions, contacts = piece["_position"].to_list(), piece.drop("_position")
        digest = hashlib.blake2b(digest_size=16)
        for column in ("contact_id", "content"):
            digest.update(contacts[column].str.join("\n").item().encode())
        before = {at: attempts[at] for at in positions if attempts.get(at)}
        bodies = self._encoder.encode(contacts) if positions else []
        return Slice(start, stop, positions, bodies, contacts, digest.hexdigest(), before, known=known)


def sent_rows(piece: Slice, retries: Mapping[str, int]) -> list[Sent]:
    """A slice's rows as the canary compares them; `retries` by channel."""
    return [
        Sent(position, row["contact_id"], {c: (row[c], retries[c]) for c in CHANNELS if row[c] is not None})
        for position, row in zip(piece.positions, piece.contacts.iter_rows(named=True), strict=True)
    ]


async def encode(
    receive: ObjectReceiveStream[Screened],
    send: ObjectSendStream[Slice],
    slicer: Slicer,
    gate: Gate | None = None,
    *,
    canary: int = 0,
    observe: Callable[[Screened], None] | None = None,
) -> None:
    """The stage: batches in, slices out; each step in a worker thread, both ends closed.

    While `gate` has proven nothing, the next slice is a canary of `canary` rows too, and is not even encoded before.
    `observe` sees every batch that arrives.
    """
    async with receive, send:
        async for screened in receive:
            if observe is not None:
                observe(screened)
            pieces = slicer.slices(screened)
            while (piece := await anyio.to_thread.run_sync(next, pieces, None)) is not None:
                if gate is None:
                    await send.send(piece)
                    continue
                await send.send(piece)
                if await gate.prove(piece):
                    gate = None
                else:
                    slicer.shrink(canary)
