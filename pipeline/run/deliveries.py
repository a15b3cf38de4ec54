"""The contacts of a campaign with their delivery status, as a stream of frames into a file or onto a stream.

Nothing is held in memory but a frame or two. What joins them to a run puts them into a temporary database first.
"""

from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import anyio.to_thread
import polars as pl
from anyio.from_thread import BlockingPortal

from pipeline.config import Settings
from pipeline.errors import MachineFailed, RowError, SessionExpired, TargetUnreachable, UsageError
from pipeline.ledger.files import sink_parquet
from pipeline.ledger.private import replacing, writing
from pipeline.ledger.reading import ledger_parts
from pipeline.records import DELIVERIES_SCHEMA
from pipeline.run.campaign_desk import CampaignDesk, campaign_desk, named
from pipeline.run.following import FOLLOWED_SCHEMA, Following, Match
from pipeline.run.inspecting import status_of
from pipeline.run.stopping import Stopping
from pipeline.wire import ClientFactory

#: How a table is written.
Format = Literal["csv", "parquet"]

_AS_TEXT: Final = "%Y-%m-%dT%H:%M:%S%.3fZ"


@dataclass(frozen=True, slots=True)
class Destination:
    """Where the rows go."""

    path: Path | None  # a file, for its owner alone and in place only when it is whole; None: `write`
    format: Format
    write: Callable[[str], None]  # takes CSV where there is no path


@dataclass(frozen=True, slots=True)
class Delivered:
    """What was written."""

    contacts: int  # that the target listed
    rows: int  # that were written
    match: Match | None  # how they were joined to a run; None: they were not


async def campaign_contacts(
    settings: Settings,
    destination: Destination,
    *,
    run_dir: Path | None = None,
    stopping: Stopping | None = None,
    clients: ClientFactory | None = None,
) -> Delivered:
    """Write the contacts of the campaign that the settings name (DELIVERIES_SCHEMA), or, with `run_dir`, every row of
    that run's ledger with what became of it (FOLLOWED_SCHEMA).

    With `stopping` SIGINT and SIGTERM end it between two frames. Raises UsageError where the run is of another campaign
    or has no ledger, Interrupted, else RunError.
    """
    campaign_id = named(settings)
    if run_dir is not None:
        _check_run(run_dir, campaign_id)
    given = stopping or Stopping()
    async with given.watching(signals=stopping is not None):
        with given.acting(lambda: None):
            async with campaign_desk(settings, clients) as desk:
                await desk.held(campaign_id)
                return await _written(desk, campaign_id, destination, run_dir, given)


def _check_run(run_dir: Path, campaign_id: str) -> None:
    standing = status_of(run_dir)
    if standing.campaign != campaign_id:
        raise UsageError(f"{run_dir}: this run is of campaign {standing.campaign}, not of {campaign_id}")
    if ledger_parts(run_dir) is None:
        raise UsageError(f"{run_dir}: there is no ledger yet; it is written when the run ends or stops")


async def _written(
    desk: CampaignDesk, campaign_id: str, destination: Destination, run_dir: Path | None, stopping: Stopping
) -> Delivered:
    stream, frame = await desk.ask(lambda handle: begun(desk, handle, campaign_id))
    listed = 0

    async def following() -> pl.DataFrame | None:
        """The next frame; None at the end."""
        nonlocal frame, listed
        stopping.check()
        given, frame = frame, None
        try:
            given = given if given is not None else await anext(stream, None)
        except (RowError, SessionExpired) as error:
            raise TargetUnreachable(
                f"the target's list broke off after {listed} contacts: {error.reason}. What was written is not whole; "
                "try again later."
            ) from None
        listed += 0 if given is None else given.height
        return given

    portal = BlockingPortal()

    def frames() -> Iterator[pl.DataFrame]:
        while (given := portal.call(following)) is not None:
            yield given

    match: Match | None = None
    try:
        async with portal:
            if run_dir is None:
                rows = await anyio.to_thread.run_sync(_put, frames(), DELIVERIES_SCHEMA, destination)
            else:
                rows, match = await anyio.to_thread.run_sync(_joined, frames(), run_dir, destination)
    finally:
        await stream.aclose()
    return Delivered(listed, rows, match)


async def begun(
    desk: CampaignDesk, handle: Any, campaign_id: str
) -> tuple[AsyncGenerator[pl.DataFrame], pl.DataFrame | None]:
    """The list and its first frame: until that is there nothing is written, and it may be asked for again."""
    stream = desk.campaigns.contacts(handle, campaign_id)
    try:
        return stream, await anext(stream, None)
    except BaseException:
        await stream.aclose()
        raise


def _joined(frames: Iterator[pl.DataFrame], run_dir: Path, destination: Destination) -> tuple[int, Match]:
    def ledger() -> Iterator[pl.DataFrame]:
        parts = ledger_parts(run_dir)
        if parts is None:
            raise UsageError(f"{run_dir}: there is no ledger any more")
        try:
            yield from parts
        except (OSError, ValueError, pl.exceptions.PolarsError) as error:
            raise MachineFailed(f"{run_dir}: the ledger cannot be read: {type(error).__name__}") from None

    with closing(Following()) as following:
        for frame in frames:
            following.add(frame)
        following.settle(ledger())
        rows = _put((following.followed(part) for part in ledger()), FOLLOWED_SCHEMA, destination)
        return rows, following.match()


def _put(frames: Iterator[pl.DataFrame], schema: pl.Schema, destination: Destination) -> int:
    """Write frames; how many rows there were. Blocks."""
    rows = 0

    def counted() -> Iterator[pl.DataFrame]:
        nonlocal rows
        for frame in frames:
            rows += frame.height
            yield frame

    path = destination.path.resolve() if destination.path is not None else None
    if path is not None and path.exists() and not path.is_file():
        raise UsageError(f"{path}: is no file that could be replaced; leave out --output, and redirect standard output")
    if path is None:
        for text in _csv(counted(), schema):
            destination.write(text)
        return rows
    with replacing(path) as part:
        if destination.format == "parquet":
            sink_parquet(counted(), schema, part, path)
        else:
            with part.open("w", encoding="utf-8", newline="") as file:
                for text in _csv(counted(), schema):
                    with writing(path):
                        file.write(text)
                with writing(path):
                    file.flush()
    return rows


def _csv(frames: Iterator[pl.DataFrame], schema: pl.Schema) -> Iterator[str]:
    """CSV with a header; moments as ISO 8601, lists joined by "; "."""
    plain = [
        pl.col(name).dt.strftime(_AS_TEXT)
        if isinstance(kind, pl.Datetime)
        else pl.col(name).list.join("; ")
        if isinstance(kind, pl.List)
        else pl.col(name)
        for name, kind in schema.items()
    ]
    yield pl.DataFrame(schema=schema).select(plain).write_csv()
    for frame in frames:
        yield frame.select(plain).write_csv(include_header=False)
