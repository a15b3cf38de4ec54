"""Pagos SpreadsheetWEB over JSON: its settings, and the way to make the target.

Importing this package loads the settings alone; the rest comes with `create`.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.config import Settings, TargetSettings
from pipeline.targets.pagos.settings import PagosSettings
from pipeline.wire import ClientFactory

if TYPE_CHECKING:
    from pipeline.targets.pagos.target import PagosTarget

TARGET_SETTINGS: type[TargetSettings] = PagosSettings


def create(settings: Settings, clients: ClientFactory | None, contract: Path | None) -> "PagosTarget":
    """Make the target. `clients` is None where nothing is sent; `contract` is not used: the interface has no
    description that could change.
    """
    from pipeline.targets.pagos.target import PagosTarget

    assert isinstance(settings.target, PagosSettings)
    return PagosTarget(settings, settings.target, clients)
