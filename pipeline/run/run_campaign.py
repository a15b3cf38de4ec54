"""The campaign of one run: made where that was asked for, looked at before rows go into it, started in the end.

Its id is ours, and the same whenever the run is begun anew, so that it is made once: by a run that was killed and is
gone on with, too.
"""

import tomllib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid4, uuid5

import tomli_w

from pipeline import tables
from pipeline.errors import ConfigError, MachineFailed, OutcomeUnknown, TargetUnreachable, TargetUnusable, UsageError
from pipeline.ledger.rundirectory import CAMPAIGN, RunDirectory
from pipeline.logs import logger
from pipeline.run.campaign_desk import CampaignDesk
from pipeline.run.inputs import load_settings
from pipeline.run.job import ImportOptions, Job
from pipeline.sessions import Lease
from pipeline.targets import Campaigns, Target

NO_CAMPAIGNS: Final = "A target of system {system} has no calls for campaigns: leave out --campaign and --activate."


def campaign_of(
    file: Path, config: Sequence[Path], overrides: Sequence[str], run_dir: Path | None
) -> tuple[dict[str, Any], str]:
    """The campaign that a run is to make, by its file, and its id: that of the file, else one that is the run
    directory's own, else a new one. Raises ConfigError.
    """
    settings = load_settings(config, overrides, mapped=False)
    if "campaign_id" not in type(settings.target).model_fields:
        raise UsageError(NO_CAMPAIGNS.format(system=settings.target.system))
    table, _ = tables.read_table(file, ())
    if named := table.get("id"):
        return table, str(named)
    if run_dir is None:
        return table, str(uuid4())
    return table, str(uuid5(NAMESPACE_URL, f"{settings.target.place}\n{run_dir.absolute()}"))


def check(options: ImportOptions, target: Target, system: str) -> None:
    """Raise UsageError where the target has no campaigns, ConfigError with every mistake in the one to be made."""
    if options.campaign is None and not options.activate:
        return
    if target.campaigns is None:
        raise UsageError(NO_CAMPAIGNS.format(system=system))
    if options.campaign is not None and (found := target.campaigns.mistakes(options.campaign, new=True)):
        raise ConfigError([f"--campaign: {name}: {words}" for name, words in found])


def keep(table: Mapping[str, Any], directory: RunDirectory) -> None:
    """Keep the table with the run, whose configuration may be gone when it is gone on with."""
    directory.write_private(CAMPAIGN, tomli_w.dumps(_told(table)))


def recorded(directory: RunDirectory) -> dict[str, Any] | None:
    """The table that was kept; None: there is none. Raises MachineFailed."""
    try:
        return tomllib.loads(directory.campaign.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise MachineFailed(f"{directory.campaign}: cannot be read: {error}") from None


async def outlook(job: Job, campaigns: Campaigns) -> Sequence[str]:
    """What the campaign would not do with the contacts, asked on a session of its own before anything is begun.

    Raises TargetUnreachable, TargetUnusable.
    """
    pool = job.pool()
    try:
        async with pool.lease() as lease:
            assert lease is not None
            desk = CampaignDesk(campaigns, lease)
            there = await _held(job, desk) is not None
            plan = []
            if not there and job.options.campaign is None:
                plan.append("It is not known to the target: nothing can be added to it.")
            if not there and job.options.campaign is not None:
                plan.append("It is not there yet: it will be added, paused.")
            if job.options.activate:
                plan.append("It will be started when all rows are settled.")
            return [*plan, *await _outlook(job, desk)]
    finally:
        await pool.aclose()


async def _outlook(job: Job, desk: CampaignDesk) -> Sequence[str]:
    table = await _held(job, desk)
    if table is None and job.options.campaign is None:
        return ()  # which is told when rows are to go there
    table = table or _wanted(job)
    if job.options.activate:
        table = {**table, "paused": False}
    today = datetime.fromtimestamp(job.surroundings.wall_clock(), UTC).date()
    return desk.campaigns.outlook(table, job.settings.contacts, today)


async def prepare(job: Job, lease: Lease[Any], *, begun: bool) -> None:
    """Make the campaign where it is not there and was asked for, and say what it would not do. `begun`: rows may have
    been sent into it, so that it must be there.

    Raises TargetUnreachable, TargetUnusable.
    """
    if job.target.campaigns is None:
        return
    desk = CampaignDesk(job.target.campaigns, lease)
    if job.options.campaign is not None and not begun:
        await _make(job, desk)
    for sentence in await _outlook(job, desk):
        logger().warning("campaign.outlook", reason=sentence)


async def _make(job: Job, desk: CampaignDesk) -> None:
    campaign_id, wanted = job.settings.target.campaign, _wanted(job)
    there = await _held(job, desk)
    if there is None:
        unanswered = await _add(desk, wanted)
        there = await _held(job, desk)
        if there is None and unanswered:
            raise TargetUnreachable(
                f"adding the campaign got no answer ({unanswered}), and it is not there now. It may come late: try "
                "again."
            )
        if there is None:
            raise TargetUnusable(
                "the campaign was added, and is not there under the id that it was given: the target gives campaigns "
                "ids of its own, or shows new ones late. Nothing was sent. Look with `campaign list`, and import with "
                "--campaign-id."
            )
        logger().info("campaign.added", campaign=campaign_id, paused=True)
    if lost := [name for name in desk.campaigns.differences(wanted, there) if name != "paused"]:
        logger().warning("campaign.differs", keys=lost, advice="the campaign is not as the file has it")


async def _add(desk: CampaignDesk, wanted: Mapping[str, Any]) -> str | None:
    """Add it, once: why no answer came, if none did."""

    async def adding(handle: Any) -> str | None:
        try:
            await desk.campaigns.add(handle, wanted)
        except OutcomeUnknown as error:
            return error.reason  # not to be sent again
        return None

    return await desk.change(adding)


async def start(job: Job, lease: Lease[Any]) -> None:
    """Let the campaign begin, which bears repeating. Raises TargetUnreachable, TargetUnusable."""
    assert job.target.campaigns is not None
    desk = CampaignDesk(job.target.campaigns, lease)
    campaign_id = job.settings.target.campaign
    await desk.change(lambda handle: desk.campaigns.update(handle, campaign_id, {"paused": False}))
    there = await _held(job, desk)
    if there is None or there.get("paused"):
        raise TargetUnusable("all rows are settled, but the campaign was not started: it is paused still, or gone.")
    logger().info("campaign.started", campaign=campaign_id)


async def _held(job: Job, desk: CampaignDesk) -> dict[str, Any] | None:
    """The campaign as the target holds it; None: it is not there."""
    return await desk.ask(lambda handle: desk.campaigns.show(handle, job.settings.target.campaign))


def _wanted(job: Job) -> dict[str, Any]:
    """The campaign to be made: begun paused, whatever its table says."""
    assert job.options.campaign is not None
    return {**_told(job.options.campaign), "id": job.settings.target.campaign, "paused": True}


def _told(table: Mapping[str, Any]) -> dict[str, Any]:
    """A table without what is null, which a new campaign has by itself."""
    return {
        name: _told(value) if isinstance(value, Mapping) else value
        for name, value in table.items()
        if value is not None
    }
