"""Deletes old runs and keeps what is known of them: nothing that a run has sent may be sent again for want of it.

What is in a campaign stands in its state. A run is deleted only where the state knows it and waits for nothing of it;
of one that is open the state first takes over what its journal knows.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from pipeline.errors import Busy, MachineFailed, RunError, UsageError
from pipeline.ledger import accounts, campaign
from pipeline.ledger.recovery import recover
from pipeline.ledger.rundirectory import RunDirectory
from pipeline.ledger.state import State
from pipeline.run import describing
from pipeline.run.listing import ListedRun, Stage, list_runs, look_at
from pipeline.run.recorded import record

_OPEN: Final = (Stage.OPEN, Stage.UNDOING)

IS_OPEN: Final = "it is open: resume it, or give --open"
IS_UNDOING: Final = "its undo has not come to its end: go on with that, or give --open"
AWAITED: Final = "its campaign's state waits for what it has in doubt: resume it, or give --open"
UNKNOWN: Final = "no state knows it, so what it has sent would be forgotten; delete it by hand if its campaign is over"


@dataclass(frozen=True, slots=True)
class Kept:
    """An old run that is not deleted, and why."""

    run: ListedRun
    reason: str


@dataclass(frozen=True, slots=True)
class Pruning:
    """What is to be deleted, or was."""

    runs: tuple[ListedRun, ...]
    kept: tuple[Kept, ...]
    younger: int  # runs that are not old enough
    doubtful: int = 0  # contacts that stay in doubt, since open runs were deleted
    failed: tuple[Kept, ...] = ()  # runs that could not be deleted, or not all of them


def plan_pruning(base: Path, age: timedelta, *, open_too: bool = False, now: datetime | None = None) -> Pruning:
    """Look which runs in `base` were last written to longer than `age` ago, and which of them can be deleted; blocks.

    `open_too`: also runs that can be gone on with. Raises UsageError where `base` cannot be looked into.
    """
    since = (now or describing.now()) - age
    listed = list_runs(base)
    old = [run for run in listed if run.updated < since]
    runs: list[ListedRun] = []
    kept: list[Kept] = []
    for run in old:
        reason = _read_by_others(run, listed, old if open_too else []) or _obstacle(run, base, open_too=open_too)
        if reason is None:
            runs.append(run)
        else:
            kept.append(Kept(run, reason))
    return Pruning(tuple(runs), tuple(kept), len(listed) - len(old))


def prune(plan: Pruning, base: Path, *, open_too: bool = False) -> Pruning:
    """Delete the runs of a plan, each once more looked at while nobody else is at work on it; blocks.

    One that cannot be deleted keeps no other from being deleted.
    """
    gone: list[ListedRun] = []
    kept: list[Kept] = []
    failed: list[Kept] = []
    doubtful = 0
    for planned in plan.runs:
        directory = RunDirectory(planned.run_dir)
        try:
            with directory.locked():
                run = look_at(planned.run_dir)
                if run is None:
                    continue
                if run.updated > planned.updated:
                    kept.append(Kept(run, "it was gone on with meanwhile"))
                    continue
                if reason := _obstacle(run, base, open_too=open_too):
                    kept.append(Kept(run, reason))
                    continue
                doubtful += _hand_over(run, base)
                directory.delete()
            directory.forget()
        except Busy:
            kept.append(Kept(planned, "another process is at work on it, or on its campaign"))
            continue
        except (OSError, MachineFailed) as error:
            reason = _failure(error, planned.run_dir) if isinstance(error, OSError) else str(error)
            failed.append(Kept(planned, reason))
            continue
        gone.append(run)
    return Pruning(tuple(gone), (*plan.kept, *kept), plan.younger, doubtful, tuple(failed))


def _failure(error: OSError, run_dir: Path) -> str:
    """What kept a run from being deleted, how much of it is left, and what to do."""
    why = error.strerror or str(error)
    try:
        empty = not any(run_dir.iterdir())
    except OSError:
        empty = False
    if empty:
        return f"is empty now, and cannot be removed: {why}; remove the directory by hand"
    rights = "do it as the user who owns that, or mend the rights to it"
    advice = rights if isinstance(error, PermissionError) else "mend the disk"
    return f"{error.filename or run_dir}: {why}; {advice}, and prune again"


def _obstacle(run: ListedRun, base: Path, *, open_too: bool) -> str | None:
    """Why a run cannot be deleted; None: it can."""
    if run.stage is Stage.DAMAGED:
        return f"it cannot be read ({run.problem}): look at it, and delete it by hand"
    if run.stage in _OPEN and not open_too:
        return IS_OPEN if run.stage is Stage.OPEN else IS_UNDOING
    if any(place.resolve().is_relative_to(run.run_dir.resolve()) for place in _places(run, base)):
        return "a state of campaigns lies in it"
    if run.stage is Stage.UNBEGUN or run.check:
        return None
    try:
        if recover(RunDirectory(run.run_dir).journal).slices.is_empty():
            return None  # it has sent nothing
        home = _home(run, base)
        if home is None:
            return UNKNOWN
        return AWAITED if not open_too and _awaited(run, home) else None
    except Busy:
        return "a run of its campaign is writing its account"
    except RunError as error:
        return f"it cannot be judged: {error}"


def _awaited(run: ListedRun, home: Path) -> bool:
    assert run.header is not None
    state = State(home / campaign.FILE)
    try:
        return any(each.id == run.header.run_id for each in state.open_runs(own=0))
    finally:
        state.close()


def _hand_over(run: ListedRun, base: Path) -> int:
    """Let the state take over what the journal of a run knows that has given no account; how many stay in doubt."""
    if run.header is None or run.check or (home := _home(run, base)) is None or not _awaited(run, home):
        return 0
    with campaign.held_in(home, run.campaign) as state:
        number = state.number(run.header.run_id)
        assert number is not None
        return accounts.give_up(state, number, recover(RunDirectory(run.run_dir).journal).standing)


def _home(run: ListedRun, base: Path) -> Path | None:
    """Where the state lies that knows a run."""
    assert run.header is not None
    for place in _places(run, base):
        if (home := campaign.knowing(place, run.header.run_id)) is not None:
            return home
    return None


def _places(run: ListedRun, base: Path) -> list[Path]:
    """Where states may lie: where the run had its own, as the environment says, and beside the runs."""
    told = os.environ.get(describing.STATE_VARIABLE)
    places = [Path(told)] if told else []
    if run.header is not None and (recorded := record(RunDirectory(run.run_dir))["run"].get("state")):
        places.insert(0, Path(recorded))
    return [*places, base / describing.STATE_DIRECTORY.name]


def _read_by_others(run: ListedRun, listed: Sequence[ListedRun], going: Sequence[ListedRun]) -> str | None:
    """Whether a run that can be gone on with, and is not in `going`, reads its list in the directory of this one."""
    here = run.run_dir.absolute()
    for other in listed:
        if other.stage not in _OPEN or other.header is None or other in going or other is run:
            continue
        if any(Path(source.path).is_relative_to(here) for source in other.header.sources):
            return f"the open run {other.run_dir.name} reads its list here"
    return None


def parse_age(text: str) -> timedelta:
    """How old "90d", "12h" or "8w" is. Raises UsageError."""
    units = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
    number, unit = text.strip()[:-1], text.strip()[-1:].lower()
    if unit not in units or not number.isascii() or not number.isdigit() or len(number) > 6:
        raise UsageError(f"--older-than {text}: is an age such as 90d, 12h or 8w")
    return int(number) * units[unit]
