"""What must hold once a world has come to rest: ledgers, target and sessions agree, row by row."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
from simulation.store import Content
from simulation.target import content_of

from pipeline import run
from pipeline.config import Settings
from pipeline.errors import PipelineError
from pipeline.ledger import campaign
from pipeline.ledger.state import packed_ids
from pipeline.records import Status
from pipeline.stages.read import Source, batches
from pipeline.stages.screen import Authorities, Screener

if TYPE_CHECKING:
    from simulation.world import World


class _Anything:
    """A carrier of everything."""

    forbidden = ""

    def unfit(self, contacts: pl.DataFrame) -> pl.Series:
        return pl.Series("unfit", [None] * contacts.height, dtype=pl.String)


def sendable(settings: Settings, sources: Sequence[Source], authorities: Authorities) -> list[tuple[str, Content]]:
    """Id and content of every row that can be sent."""
    screener = Screener(
        settings.contacts, campaign=settings.target.campaign, wave=None, carrier=_Anything(), authorities=authorities
    )
    rows = (row for batch in batches(sources) for row in screener.screen(batch).contacts.iter_rows(named=True))
    return [(row["contact_id"], content_of(row)) for row in rows if row["status"] is None]


def check(world: "World") -> None:
    """Everything, after the last resume; problems are added to the world's report."""
    problems = world.report.problems
    for path in world.run_dirs:
        try:
            problems += [f"verify {path.name}: {problem}" for problem in run.verify_run(path)]
        except PipelineError as error:
            problems.append(f"verify {path.name}: {error}")
    if problems:
        return
    ledgers = {path.name: _ledger(path) for path in world.run_dirs}
    problems += _nothing_pending(ledgers)
    if world.knobs.keeps_ids or "second run of the same lists" not in world.report.struck:
        # Only where two runs have sent into a target without ids of ours is there something that nobody can tell.
        problems += _nothing_in_doubt(ledgers)
    if world.knobs.keeps_ids:
        problems += _agreement_by_id(world, ledgers)
    else:
        problems += _agreement_by_content(world, ledgers)
    problems += _wholeness(world)
    problems += _state(world, ledgers)
    problems += _upserted(world, ledgers)
    problems += _nothing_lost_of_others(world)
    problems += _sessions(world)
    world.report.doubtful = sum(row["status"] == Status.IN_DOUBT for rows in ledgers.values() for row in rows)


def _ledger(run_dir: Path) -> list[dict[str, Any]]:
    return pl.read_parquet(run_dir / "ledger.parquet").to_dicts()


def _nothing_pending(ledgers: dict[str, list[dict[str, Any]]]) -> list[str]:
    return [
        f"{name}: row {row['row']} is pending still: {row['reason']}"
        for name, rows in ledgers.items()
        for row in rows
        if row["status"] == Status.PENDING
    ]


def _nothing_in_doubt(ledgers: dict[str, list[dict[str, Any]]]) -> list[str]:
    return [
        f"{name}: row {row['row']} ({row['contact_id']}) is in doubt still: {row['reason']}"
        for name, rows in ledgers.items()
        for row in rows
        if row["status"] == Status.IN_DOUBT
    ]


def _by_id(ledgers: dict[str, list[dict[str, Any]]]) -> dict[str, set[str]]:
    """Every status that a contact has, in any run and row."""
    statuses: defaultdict[str, set[str]] = defaultdict(set)
    for rows in ledgers.values():
        for row in rows:
            if row["contact_id"] is not None:
                statuses[row["contact_id"]].add(row["status"])
    return statuses


def _agreement_by_id(world: "World", ledgers: dict[str, list[dict[str, Any]]]) -> list[str]:
    """Accepted rows are there once; rows that are not are not there, but for what stood there before."""
    held = Counter(contact.sent_id for contact in world.store.contacts if contact.sent_id)
    problems = []
    for contact_id, statuses in _by_id(ledgers).items():
        there, before = held.pop(contact_id, 0), int(contact_id in world.before)
        wanted = {1} if Status.ACCEPTED in statuses else {before}
        if there not in wanted:
            problems.append(f"{contact_id} is {'/'.join(sorted(statuses))} and there {there} times ({before} before)")
    return problems + [f"{contact_id} is there and in no ledger" for contact_id in held]


def _wholeness(world: "World") -> list[str]:
    """What is there is there whole, though the target lost members for a while: that is what the canary is for."""
    knobs = world.knobs
    if not (knobs.canary and knobs.keeps_ids and "target" in knobs.known):
        return []  # nothing is read back, or what stood there before is not known: then nothing is taken back
    damaged = [
        contact.sent_id
        for contact in world.store.there()
        if contact.sent_id and not all(contact.retries.get(name) for name, *_ in contact.content)
    ]
    return [f"{contact_id} is there, and has lost a member" for contact_id in damaged]


def _agreement_by_content(world: "World", ledgers: dict[str, list[dict[str, Any]]]) -> list[str]:
    """The same where the target gives ids of its own: rows of one content are told apart by nobody."""
    contents = dict(sendable(world.settings, world.opened(), world.authorities))
    held = Counter(contact.content for contact in world.store.contacts if contact.sent_id)
    accepted: Counter[Content] = Counter()
    doubtful: Counter[Content] = Counter()
    for contact_id, statuses in _by_id(ledgers).items():
        if contact_id in contents:
            accepted[contents[contact_id]] += Status.ACCEPTED in statuses
            doubtful[contents[contact_id]] += Status.ACCEPTED not in statuses and Status.IN_DOUBT in statuses
    return [
        f"{accepted[content]} rows accepted, {doubtful[content]} in doubt, {held[content]} there: {content}"
        for content in {**accepted, **held}
        if not accepted[content] <= held[content] <= accepted[content] + doubtful[content]
    ]


def _state(world: "World", ledgers: dict[str, list[dict[str, Any]]]) -> list[str]:
    """The state of the campaign knows what was accepted or listed, doubts what is in doubt, and nothing else."""
    target = world.settings.target
    directory = world.settings.state.directory
    assert directory is not None
    statuses = _by_id(ledgers)
    ids = packed_ids(pl.Series(list(statuses), dtype=pl.String))
    with campaign.peek(directory, target.identity, target.campaign) as state:
        known = state.known(ids) if state else {}
        doubted = state.doubted(ids, own=None) if state else set()
    problems = []
    for packed, (contact_id, told) in zip(ids, statuses.items(), strict=True):
        there = {Status.ACCEPTED, Status.DUPLICATE}.intersection(told)
        if packed in known if not there else packed not in known and Status.ACCEPTED in told:
            problems.append(f"{contact_id} is {'/'.join(sorted(told))}, and known to the state: {packed in known}")
        elif packed in doubted and Status.IN_DOUBT not in told:
            problems.append(f"{contact_id} is {'/'.join(sorted(told))}, and in doubt in the state")
        elif packed not in doubted and Status.IN_DOUBT in told and packed not in known:
            problems.append(f"{contact_id} is {'/'.join(sorted(told))}, and not in doubt in the state")
    return problems


def _upserted(world: "World", ledgers: dict[str, list[dict[str, Any]]]) -> list[str]:
    """What was upserted is there with the content of the list, once, and nothing is left to be updated."""
    if not world.changed:
        return []
    rows = ledgers["run-3"]
    contents = dict(sendable(world.settings, world.opened(world.changed), world.authorities))
    held: defaultdict[str, list[Content]] = defaultdict(list)
    for contact in world.store.there():
        if contact.sent_id:
            held[contact.sent_id].append(contact.content)
    return [
        f"run-3: row {row['row']} is {row['status']}, and the target holds {held[row['contact_id']]}"
        for row in rows
        if row["status"] in (Status.ACCEPTED, Status.CHANGED, Status.DUPLICATE)
        and row["settled_at"] is not None  # else it is the duplicate of another row
        and (row["status"] == Status.CHANGED or held[row["contact_id"]] != [contents[row["contact_id"]]])
    ]


def _nothing_lost_of_others(world: "World") -> list[str]:
    others = sum(contact.sent_id is None for contact in world.store.contacts)
    return (
        [] if others == world.knobs.strangers else [f"of {world.knobs.strangers} contacts of others {others} are left"]
    )


def _sessions(world: "World") -> list[str]:
    """Once those that crashes left behind have expired, every session that was opened was closed or has expired."""
    store = world.store
    world.clock.now += 2 * world.knobs.idle_limit
    still_open = sum(1 for _ in store.sessions())
    if still_open or store.opened != store.closed + store.expired:
        return [f"sessions: {store.opened} opened, {store.closed} closed, {store.expired} expired, {still_open} open"]
    return []
