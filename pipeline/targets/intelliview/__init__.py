"""Intelliview NXT over SOAP: its settings, and the way to make the target.

Importing this package loads the settings alone; zeep and lxml come with `create`.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.config import Settings, TargetSettings
from pipeline.targets.intelliview.settings import IntelliviewSettings
from pipeline.wire import ClientFactory

if TYPE_CHECKING:
    from pipeline.targets.intelliview.target import IntelliviewTarget

TARGET_SETTINGS: type[TargetSettings] = IntelliviewSettings


def create(settings: Settings, clients: ClientFactory | None, contract: Path | None) -> "IntelliviewTarget":
    """Load the contract and make the target; see `pipeline.targets.TargetModule`.

    Blocking (it reads files, or fetches a WSDL given by URL). Raises ConfigError where the WSDL cannot be used,
    TargetUnreachable or TargetUnusable where it cannot be fetched.
    """
    from pipeline.targets.intelliview.target import NEEDS, IntelliviewTarget
    from pipeline.targets.soap.contract import Contract
    from pipeline.targets.soap.documents import documents

    assert isinstance(settings.target, IntelliviewSettings)
    target = settings.target
    shipped = Path(__file__).parent / "contracts" / "asmx.wsdl"
    with documents(target.wsdl, shipped, settings.http, contract) as found:
        loaded = Contract.load(found, NEEDS)
    return IntelliviewTarget(target, loaded, clients)
