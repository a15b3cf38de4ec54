"""What a target is, and the register of those we know.

A target is one system that contacts go into. The protocols that each stage needs of it stand beside that stage
(`SessionProvider` in sessions, `Encoder` in stages.encode, `Sender` in stages.sender, `ReadBack` in stages.canary); a
target is the sum of them. Every system gives sessions; whether it takes contacts, and whether it can be asked what it
holds, is for it to say. A further system is one new module and one line in `REGISTER`; what is usual it inherits from
the protocols, and `tests/conformance` says whether it keeps them.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import date
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Protocol, TypeAlias

import polars as pl

from pipeline.config import ContactsSettings, Settings, TargetSettings
from pipeline.sessions import SessionProvider
from pipeline.stages.canary import ReadBack
from pipeline.stages.encode import Body, Encoder
from pipeline.stages.sender import Sender
from pipeline.wire import ClientFactory


class Rows(Encoder, Sender[Any], Protocol):
    """How a system takes contacts: one call for each row."""

    async def prepare(self, handle: Any) -> None:
        """Prove that what contacts go into is there, where that can be asked. Raises TargetUnusable where it is not."""
        return


class Lookup(ReadBack[Any], Protocol):
    """How what a system holds is listed, changed and deleted."""

    def encode_update(self, contacts: pl.DataFrame) -> list[Body]:
        """One body per row, in order: the call that gives the contact of this id this content. Used like `encode`."""

    async def update(self, handle: Any, body: Body) -> str:
        """Change one contact; return the target's code of acceptance. Raises like `send`; idempotent by nature."""

    def encode_removal(self, contact_ids: pl.Series) -> list[Body]:
        """One body per id, in order: the call that deletes this contact from the campaign. Used like `encode`."""

    async def remove(self, handle: Any, body: Body) -> str:
        """Delete one contact; return the target's code of acceptance. Raises like `send`.

        Deleting is idempotent: what got no answer may simply be sent again. Refused may mean that the contact is gone
        already; the campaign's list tells.
        """


#: A campaign as a table of TOML or JSON. What is null is left out. Every system's has `name` and `paused`, and `id`
#: where it is told; where the system has such a thing, a table `active` (from_date, from_time, to_date, to_time) and
#: one for each channel (enabled, text). Other keys are the system's own.
Table: TypeAlias = Mapping[str, Any]


class Campaigns(Protocol):
    """How a system's campaigns are listed, shown and changed.

    Calls raise by recovery, as `send` does: SessionExpired, PutOff, NotDelivered (not processed: ask again), Refused,
    OutcomeUnknown, TargetUnusable; ConfigError where what describes the system's interface lacks the call.
    """

    @property
    def remark(self) -> str:
        """What a person must know of every campaign that is shown, as a sentence; empty: nothing."""

    def mistakes(self, table: Table, *, new: bool) -> list[tuple[str, str]]:
        """What is wrong with a table: dotted key and, in words, what. `new`: it is a whole campaign, else changes."""

    def differences(self, wanted: Table, there: Table) -> list[str]:
        """The dotted keys in which a campaign as it is held differs from what was wanted."""

    def listed(self, handle: Any) -> AsyncGenerator[dict[str, Any]]:
        """All campaigns, whole, with their ids. NoList for a null list."""

    def outlook(self, table: Table, contacts: ContactsSettings, today: date) -> Sequence[str]:
        """What a campaign as it is shown would not do with contacts of this mapping, in sentences: that it is paused or
        over, and which channels it does not serve.
        """

    async def ids(self, handle: Any) -> set[str]:
        """The ids of all campaigns. NoList for a null list."""

    async def show(self, handle: Any, campaign_id: str) -> dict[str, Any] | None:
        """A campaign, whole, with its id; None: there is none of this id."""

    async def add(self, handle: Any, table: Table) -> None:
        """Add a campaign; `table` has its `id`. Not to be repeated before the list was looked at."""

    async def update(self, handle: Any, campaign_id: str, changes: Table) -> bool:
        """Change what `changes` names, and nothing else: everything else is sent back as it was told. May be repeated.
        False: there is no such campaign.
        """

    async def delete(self, handle: Any, campaign_id: str) -> None:
        """Delete a campaign and its contacts. May be repeated; Refused may mean that it is gone already."""

    def contacts(self, handle: Any, campaign_id: str) -> AsyncGenerator[pl.DataFrame]:
        """The contacts of a campaign, some thousands at a time (records.DELIVERIES_SCHEMA), in no particular order.
        NoList for a null list.
        """


class Target(SessionProvider[Any], Protocol):
    """One system that contacts go into."""

    @property
    def rows(self) -> Rows | None:
        """How it takes contacts. None: it has no call for that, as its settings say (`TargetSettings.rowless`)."""
        return None

    @property
    def lookup(self) -> Lookup | None:
        """How it is asked what it holds; None: it cannot be asked, so what got no answer stays in doubt."""
        return None

    @property
    def campaigns(self) -> Campaigns | None:
        """How its campaigns are listed, shown and changed; None: it has no calls for that."""
        return None

    def learnt(self) -> tuple[str, ...]:
        """What this run learnt about the target, as lines for the configuration."""
        return ()


class TargetModule(Protocol):
    """What a target's module offers the register."""

    TARGET_SETTINGS: type[TargetSettings]

    def create(self, settings: Settings, clients: ClientFactory | None, contract: Path | None) -> Target:
        """Make the target.

        `clients` is None where nothing is sent (`check`). `contract` is a directory of the run that keeps a copy of
        what describes the target's interface, written on the first use and read on the next; None: keep none.
        """


#: The systems by what `target.system` says, and the module of each. A program of one's own may add to it.
REGISTER: Final = {
    "onc": "pipeline.targets.onc",
    "genesys": "pipeline.targets.genesys",
    "pagos": "pipeline.targets.pagos",
    "intelliview": "pipeline.targets.intelliview",
}


def module(system: str) -> TargetModule:
    """The module of a system. Raises KeyError, whose text is for a person, for an unknown one."""
    try:
        name = REGISTER[system]
    except KeyError:
        raise KeyError(f"there is no system {system!r}; known are {', '.join(REGISTER)}") from None
    found: Any = import_module(name)
    return found  # type: ignore[no-any-return]


def settings_model(system: str) -> type[TargetSettings]:
    """The settings model of a system; raises KeyError like `module`."""
    return module(system).TARGET_SETTINGS
