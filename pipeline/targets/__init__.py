"""What a target is, and the register of those we know.

A target is one system that contacts go into. The protocols that each stage needs of it stand beside that stage
(`SessionProvider` in sessions, `Encoder` in stages.encode, `Sender` in stages.deliver, `ReadBack` in stages.canary); a
target is the sum of them. Every system gives sessions; whether it takes contacts, and whether it can be asked what it
holds, is for it to say. A further system is one new module and one line in `REGISTER`; what is usual it inherits from
the protocols, and `tests/conformance` says whether it keeps them.
"""

from importlib import import_module
from pathlib import Path
from typing import Any, Final, Protocol

import polars as pl

from pipeline.config import Settings, TargetSettings
from pipeline.sessions import SessionProvider
from pipeline.stages.canary import ReadBack
from pipeline.stages.deliver import Sender
from pipeline.stages.encode import Body, Encoder
from pipeline.wire import ClientFactory


class Rows(Encoder, Sender[Any], Protocol):
    """How a system takes contacts: one call for each row."""

    async def prepare(self, handle: Any) -> None:
        """Prove that what contacts go into is there, where that can be asked. Raises TargetUnusable where it is not."""
        return


class Lookup(ReadBack[Any], Protocol):
    """How what a system holds is listed, and deleted again."""

    def encode_removal(self, contact_ids: pl.Series) -> list[Body]:
        """One body per id, in order: the call that deletes this contact from the campaign. Used like `encode`."""

    async def remove(self, handle: Any, body: Body) -> str:
        """Delete one contact; return the target's code of acceptance. Raises like `send`.

        Deleting is idempotent: what got no answer may simply be sent again. Refused may mean that the contact is gone
        already; the campaign's list tells.
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
