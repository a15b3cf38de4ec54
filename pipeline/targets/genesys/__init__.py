"""Genesys Web Services over JSON: its settings, and the way to make the target.

Importing this package loads the settings alone; the rest comes with `create`.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.config import Settings, TargetSettings
from pipeline.targets.genesys.settings import GenesysSettings
from pipeline.wire import ClientFactory

if TYPE_CHECKING:
    from pipeline.targets.genesys.target import GenesysTarget

TARGET_SETTINGS: type[TargetSettings] = GenesysSettings


def create(settings: Settings, clients: ClientFactory | None, contract: Path | None) -> "GenesysTarget":
    """Make the target. `clients` is None where nothing is sent; `contract` is not used: the interface has no
    description that could change.
    """
    from pipeline.targets.genesys.target import GenesysTarget

    assert isinstance(settings.target, GenesysSettings)
    return GenesysTarget(settings, settings.target, clients)
