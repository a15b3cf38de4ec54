"""Dynamic Notifications (ONC) over SOAP: its settings, its typed client, and the way to make the target.

Importing this package loads settings and values alone; zeep and lxml come with `create` and `OncClient`.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.config import Settings, TargetSettings
from pipeline.targets.onc.settings import OncSettings
from pipeline.targets.onc.values import (
    Campaign,
    CommunicationInfo,
    Contact,
    DeliveryStatus,
    EmailInfo,
    SmsInfo,
    VoiceInfo,
)
from pipeline.wire import ClientFactory

if TYPE_CHECKING:
    from pipeline.targets.onc.client import OncClient, OncSession
    from pipeline.targets.onc.target import OncTarget

__all__ = [
    "TARGET_SETTINGS",
    "Campaign",
    "CommunicationInfo",
    "Contact",
    "DeliveryStatus",
    "EmailInfo",
    "OncClient",
    "OncSession",
    "OncSettings",
    "SmsInfo",
    "VoiceInfo",
    "create",
]

TARGET_SETTINGS: type[TargetSettings] = OncSettings


def create(settings: Settings, clients: ClientFactory | None, contract: Path | None) -> "OncTarget":
    """Load the contract and make the target; blocking (it reads files, or fetches a WSDL given by URL).

    `clients` is None where nothing is sent. `contract` is a directory that keeps a copy of the WSDL: filled on the
    first use, read instead of the WSDL afterwards. Raises ConfigError where the WSDL cannot be used, TargetUnreachable
    or TargetUnusable where it cannot be fetched.
    """
    from pipeline.targets.onc.client import OncClient, load_contract
    from pipeline.targets.onc.target import OncTarget

    target = settings.target
    assert isinstance(target, OncSettings)
    return OncTarget(OncClient(target, load_contract(target, settings.http, contract), clients), settings.contacts)


def __getattr__(name: str) -> Any:
    """The client, loaded when it is asked for."""
    if name in ("OncClient", "OncSession"):
        from pipeline.targets.onc import client

        return getattr(client, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
