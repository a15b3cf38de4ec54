"""The vocabulary: statuses, channels, batches, outcomes, and the columns that they fill."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import msgspec
import polars as pl


class Status(StrEnum):
    """What became of a row. Every row has exactly one; the counts of the nine add up to the rows read."""

    ACCEPTED = "accepted"  # the target took it, or reconciliation found it there
    REJECTED = "rejected"  # the target answered no to this row
    INVALID = "invalid"  # never sent: a field is wrong
    DUPLICATE = "duplicate"  # never sent: the same as an earlier row, or in the campaign already
    CHANGED = "changed"  # never sent: the key is in the campaign with other content
    SUPPRESSED = "suppressed"  # never sent: do-not-contact list, no consent, or filtered
    FAILED = "failed"  # surely not added, all attempts used
    IN_DOUBT = "in_doubt"  # sent, no answer: may be there or not
    PENDING = "pending"  # not attempted yet


#: Rows that a person has to look at; they make up resubmit.csv.
MENDABLE: Final = (Status.INVALID, Status.REJECTED, Status.FAILED, Status.CHANGED)

#: Rows that `--max-bad` and `--tolerate` count.
BAD: Final = (Status.INVALID, Status.REJECTED, Status.FAILED)

#: Why a row is in doubt, or pending again, that the target had accepted: the one way back from there.
TAKING_BACK: Final = "the canary failed: this row was accepted, and was to be taken back"
TAKEN_BACK: Final = "the canary failed: this row was accepted and then taken back"

#: Why a row of a slice that was begun is pending.
UNSENT: Final = "the run stopped before it was sent"

#: Why a row is in doubt, of which it is certain that it is there: by this it is told from one that was to be added.
UPDATE_UNANSWERED: Final = "its update got no answer: it is there, with the old content or the new"

#: Why a row is pending that was in doubt: a send of it was not answered, and has surely not come to anything.
NOT_THERE: Final = "the target was asked and does not hold it"

#: Why a row is no concern of an undo; behind it stands the status that the run gave it.
NOT_ADDED: Final = "this run had not added it: "
UPDATED: Final = "updated"

#: The warning of an accepted row that was there before.
WAS_UPDATED: Final = "it was there with other content, and was updated"

#: The warning of a row that was erased: what it was stands there still, but not whose it was.
ERASED: Final = "erased on request: key, ids and destinations were taken out"


def told_apart(reason: pl.Expr) -> pl.Expr:
    """Reasons as they are counted: a duplicate names the row that it repeats, which is another one every time."""
    return reason.str.replace(r"\brow \d+(?: of .+)?$", "an earlier row")


#: The channels in the order in which they are shown. Their names are columns of the ledger.
CHANNELS: Final = ("sms", "voice", "email")


@dataclass(frozen=True, slots=True)
class Batch:
    """Consecutive rows of one source, as read: the unit that moves between stages.

    `frame` holds the source's own columns and nothing else, every one of them `pl.String`; the other series have one
    value per row of it.
    """

    source: str  # the file, as the ledger names it
    start: int  # position of the first row in the whole input, over all sources, from 0
    row: int  # number of the first row in its source, from 1
    frame: pl.DataFrame
    lines: pl.Series  # u64: physical line on which the row starts, from 1; null where the source has no lines
    damage: pl.Series  # str: why the row's structure is broken, for a person; null where it is whole

    @property
    def stop(self) -> int:
        """One more than the position of the last row in the whole input."""
        return self.start + self.frame.height


#: What screening makes of a batch: one row per row read, in the same order.
CONTACTS_SCHEMA: Final = pl.Schema(
    [
        ("key", pl.String),  # the row's key; null where it has none
        ("contact_id", pl.String),  # UUIDv5 as sent, lower case; null where the key is null
        ("content", pl.String),  # hash of what is sent for it: 32 hex digits; null unless the row can be sent
        ("status", pl.String),  # a Status where screening settles the row; null: it can be sent
        ("reason", pl.String),  # why it is settled, in words a person can act on; null: it can be sent
        ("column", pl.String),  # the source's column at fault, the first of several; null: none
        ("warnings", pl.List(pl.String)),  # e.g. a channel left out; empty list: none
        ("sms", pl.String),  # destination as it is sent (E.164); null: channel not used for this row
        ("sms_text", pl.String),  # text for this contact; null: the campaign's own text
        ("voice", pl.String),
        ("voice_text", pl.String),
        ("email", pl.String),  # domain lower-cased
        ("email_text", pl.String),
        ("fields", pl.List(pl.String)),  # the values of contacts.fields, in their order; empty list: none are mapped
    ]
)


@dataclass(frozen=True, slots=True)
class Screened:
    """A batch and the contacts made of it. `contacts` has CONTACTS_SCHEMA and the batch's height and order."""

    batch: Batch
    contacts: pl.DataFrame


class Outcome(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What became of one row that was handed to `deliver`."""

    position: int  # of the row in the whole input, from 0
    status: Status
    code: str | None  # the target's last code
    reason: str | None  # null if accepted
    attempts: int  # sends so far
    sent_at: int | None  # last send, milliseconds since the epoch, UTC; None: never sent
    settled_at: int | None  # milliseconds since the epoch, UTC
    latency_ms: float | None  # of the last send


#: The columns of ledger.parquet, in order (interface.md, "Ledger columns").
LEDGER_SCHEMA: Final = pl.Schema(
    [
        ("source", pl.String),
        ("row", pl.UInt64),
        ("line", pl.UInt64),
        ("key", pl.String),
        ("contact_id", pl.String),
        ("content", pl.String),
        ("status", pl.String),
        ("code", pl.String),
        ("reason", pl.String),
        ("warnings", pl.List(pl.String)),
        ("attempts", pl.UInt16),
        ("sent_at", pl.Datetime("ms", "UTC")),
        ("settled_at", pl.Datetime("ms", "UTC")),
        ("latency_ms", pl.Float32),
        ("sms", pl.String),
        ("voice", pl.String),
        ("email", pl.String),
    ]
)

#: What a target's list says of each contact: how far delivery has come, by channel.
DELIVERIES_SCHEMA: Final = pl.Schema(
    [("contact_id", pl.String)]  # as the target has it, lower case
    + [
        column
        for channel in CHANNELS
        for column in (
            (channel, pl.String),  # destination as the target holds it; null: channel not used
            (f"{channel}_status", pl.String),  # in words: "pending", "success", ...; null: channel not used, not told
            (f"{channel}_error", pl.Int64),  # numeric result of the last attempt, 0 = success; null: not told
            (f"{channel}_attempts_left", pl.Int64),  # attempts that the target has left; null: not told
            (f"{channel}_text", pl.String),  # text for this contact; null: the campaign's own
        )
    ]
)
