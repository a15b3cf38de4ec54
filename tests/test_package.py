"""The package as a library: what interface.md promises can be imported, and nothing heavy comes with the package."""

import re
import subprocess
import sys
from pathlib import Path


def test_the_promised_names():
    from pipeline import Settings, Summary, check_contacts, import_contacts

    assert Settings.__module__ == "pipeline.config"
    assert Summary.__module__ == "pipeline.ledger.summary"
    assert callable(import_contacts)
    assert callable(check_contacts)


def test_the_package_alone_is_light():
    code = "import sys, pipeline; sys.exit(any(name in sys.modules for name in ('polars', 'pydantic', 'httpx')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_map_of_a_run_names_every_module_once():
    from pipeline import run

    room = Path(str(run.__file__)).parent
    modules = {".".join(path.relative_to(room).with_suffix("").parts) for path in room.rglob("*.py")}
    modules = {name for name in modules if not name.endswith("__init__")}
    lines = [line for line in str(run.__doc__).splitlines() if line.startswith("    ")]
    named = [name for line in lines for name in re.split(r"\s{2,}", line.strip())[1].split(", ")]
    assert sorted(named) == sorted(modules)
