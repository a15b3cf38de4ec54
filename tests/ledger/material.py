"""What the ledger's tests are made of: headers, outcomes, batches, and a disk that loses what was not synced."""

import random
from pathlib import Path
from typing import Any

import polars as pl

from pipeline.config import ContactsSettings, LedgerSettings
from pipeline.ledger.disk import OsDisk
from pipeline.ledger.lines import Header, Source
from pipeline.records import CONTACTS_SCHEMA, Batch, Outcome, Screened, Status

HEADER = Header(
    run_id="run-1",
    created=1_795_350_000_000,
    mapping="m" * 32,
    system="onc",
    place="https://pop.example.com/onc.svc acme",
    campaign="7c9e6679",
    wave="",
    sources=(Source("contacts.csv", "/lists/contacts.csv", 1234, "f" * 32),),
    rows=None,
)

CONTACTS = ContactsSettings.model_validate(
    {"key": ["id"], "sms": {"destination": "{mobile}"}, "email": {"destination": "{mail}"}}
)

LEDGER = LedgerSettings()


def outcome(position: int, status: Status = Status.ACCEPTED, **fields: Any) -> Outcome:
    """An outcome whose values can be told from those of other rows."""
    told = {
        "code": "Success" if status is Status.ACCEPTED else "-1",
        "reason": None if status is Status.ACCEPTED else f"the target said no to {position}",
        "attempts": 1 + position % 3,
        "sent_at": 1_795_350_000_000 + position,
        "settled_at": 1_795_350_000_040 + position,
        "latency_ms": 0.25 * position,
    }
    return Outcome(position=position, status=status, **{**told, **fields})


def screened(
    start: int,
    stop: int,
    *,
    source: str = "contacts.csv",
    row: int | None = None,
    settled: dict[int, tuple[str, str, str | None]] | None = None,
    frame: pl.DataFrame | None = None,
) -> Screened:
    """Rows of the positions [start, stop); `settled`: status, reason and column by position."""
    settled = settled or {}
    positions = range(start, stop)
    row = start + 1 if row is None else row
    if frame is None:
        frame = pl.DataFrame(
            {
                "id": [f"p{position}" for position in positions],
                "mobile": [f"+1416555{position:04}" for position in positions],
                "mail": [f"person{position}@example.com" for position in positions],
            },
            schema={"id": pl.String, "mobile": pl.String, "mail": pl.String},
        )
    lines = pl.Series("line", [row + 1 + i for i in range(len(positions))], dtype=pl.UInt64)
    damage = pl.Series("damage", [None] * len(positions), dtype=pl.String)
    nothing = (None, None, None)
    contacts = pl.DataFrame(
        {
            "key": [f"p{p}" for p in positions],
            "contact_id": [f"00000000-0000-5000-8000-{p:012}" for p in positions],
            "content": [None if p in settled else f"{p:032x}" for p in positions],
            "status": [settled.get(p, nothing)[0] for p in positions],
            "reason": [settled.get(p, nothing)[1] for p in positions],
            "column": [settled.get(p, nothing)[2] for p in positions],
            "warnings": [["landline for SMS", "e-mail left out"] if p % 5 == 4 else [] for p in positions],
            "sms": [f"+1416555{p:04}" for p in positions],
            "sms_text": [None for _ in positions],
            "voice": [None for _ in positions],
            "voice_text": [None for _ in positions],
            "email": [f"person{p}@example.com" for p in positions],
            "email_text": [None for _ in positions],
            "fields": [[] for _ in positions],
        },
        schema=CONTACTS_SCHEMA,
    )
    return Screened(Batch(source, start, row, frame, lines, damage), contacts)


class QuickDisk(OsDisk):
    """Does not wait for the platters: for tests of what is written, not of when."""

    def sync(self, handle: int) -> None:
        pass

    def sync_directory(self, path: Path) -> None:
        pass


class CrashingDisk(OsDisk):
    """Keeps what is written from the real file until it is synced, as a cache does; `crash` loses or tears the rest.

    It can also take writes in pieces, and fail at the n-th write or sync.
    """

    def __init__(self, *, piece: int | None = None, fail_write: int = 0, fail_sync: int = 0) -> None:
        self.calls: list[str] = []
        self._piece = piece
        self._fail_write = fail_write
        self._fail_sync = fail_sync
        self._cached: list[tuple[Path, int, bytes]] = []
        self._paths: dict[int, Path] = {}

    def create(self, path: Path) -> int:
        self.calls.append("create")
        handle = super().create(path)
        self._paths[handle] = path
        return handle

    def open(self, path: Path, *, write: bool = False) -> int:
        handle = super().open(path, write=write)
        self._paths[handle] = path
        return handle

    def write(self, handle: int, offset: int, data: memoryview) -> int:
        self.calls.append("write")
        if self.calls.count("write") == self._fail_write:
            self._cached.append((self._paths[handle], offset, bytes(data[: len(data) // 2])))
            raise OSError(28, "No space left on device")
        taken = data[: self._piece] if self._piece else data
        self._cached.append((self._paths[handle], offset, bytes(taken)))
        return len(taken)

    def sync(self, handle: int) -> None:
        self.calls.append("sync")
        if self.calls.count("sync") == self._fail_sync:
            raise OSError(5, "Input/output error")
        for path, offset, data in self._cached:
            _patch(path, offset, data)
        self._cached.clear()

    def sync_directory(self, path: Path) -> None:
        self.calls.append("sync_directory")
        super().sync_directory(path)

    def crash(self, chance: random.Random, *, sector: int = 64) -> None:
        """Power fails: of what was not synced any sectors reached the disk, the others read as zeros or not at all."""
        for path, offset, data in self._cached:
            for first in range(0, len(data), sector):
                if chance.random() < 0.5:
                    _patch(path, offset + first, data[first : first + sector])
        self._cached.clear()


def _patch(path: Path, offset: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)
