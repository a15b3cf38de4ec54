"""Dynamic Notifications (ONC) over SOAP: its settings, and the way to make the target.

Importing this package loads the settings alone; zeep and lxml come with `create`.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.config import Settings, TargetSettings
from pipeline.targets.onc.settings import OncSettings
from pipeline.wire import ClientFactory

if TYPE_CHECKING:
    from pipeline.targets.onc.target import OncTarget

TARGET_SETTINGS: type[TargetSettings] = OncSettings


def create(settings: Settings, clients: ClientFactory | None, contract: Path | None) -> "OncTarget":
    """Load the contract and make the target; blocking (it reads files, or fetches a WSDL given by URL).

    `clients` is None where nothing is sent. `contract` is a directory that keeps a copy of the WSDL: filled on the
    first use, read instead of the WSDL afterwards. Raises ConfigError where the WSDL cannot be used, TargetUnreachable
    or TargetUnusable where it cannot be fetched.
    """
    from pipeline.targets.onc.target import NEEDS, OncTarget
    from pipeline.targets.soap.contract import Contract
    from pipeline.targets.soap.documents import documents

    assert isinstance(settings.target, OncSettings)
    target = settings.target
    shipped = Path(__file__).parent / "contracts" / f"{target.dialect}.wsdl"
    with documents(target.wsdl, shipped, settings.http, contract) as found:
        loaded = Contract.load(found, NEEDS)
    return OncTarget(settings, target, loaded, clients)
