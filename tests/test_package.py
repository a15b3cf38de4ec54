"""The package as a library: what interface.md promises can be imported, and nothing heavy comes with the package."""

import subprocess
import sys


def test_the_promised_names():
    from pipeline import Settings, Summary, check_contacts, import_contacts

    assert Settings.__module__ == "pipeline.config"
    assert Summary.__module__ == "pipeline.ledger.summary"
    assert callable(import_contacts)
    assert callable(check_contacts)


def test_the_package_alone_is_light():
    code = "import sys, pipeline; sys.exit(any(name in sys.modules for name in ('polars', 'pydantic', 'httpx')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
