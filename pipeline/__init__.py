"""Bulk contact import for contact centres: every row accounted for."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.config import Settings
    from pipeline.ledger.summary import Summary
    from pipeline.run import check_contacts, import_contacts

__version__ = "0.1.0"

__all__ = ["Settings", "Summary", "__version__", "check_contacts", "import_contacts"]

_HOMES = {
    "Settings": "pipeline.config",
    "Summary": "pipeline.ledger.summary",
    "check_contacts": "pipeline.run",
    "import_contacts": "pipeline.run",
}


def __getattr__(name: str) -> Any:
    # Loaded when first asked for: the command line answers --help without polars.
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
