"""Servers that others wrote, each installed once and outside the checkout; what cannot be had is skipped, with why."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from foreign.kit import CAMPAIGN, REFUSE, Server, started

HERE = Path(__file__).parent

#: Installing one server may take so long, in seconds.
INSTALLS_WITHIN = 120


@pytest.fixture
def resources() -> Iterator[ExitStack]:
    """Whatever a test starts and must stop."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture(scope="session")
def node_soap() -> Path:
    """Where node-soap is installed."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("node-soap needs node and npm, which are not installed: apt-get install nodejs npm")
    pin = json.loads((HERE / "package.json").read_text())["dependencies"]["soap"]
    command = ["npm", "install", "--prefix", "{}", f"soap@{pin}", "--no-audit", "--no-fund", "--ignore-scripts"]
    return _installed("node", pin, [command])


@pytest.fixture(scope="session")
def spyne() -> Path:
    """An interpreter that has spyne."""
    if sys.version_info >= (3, 12) and shutil.which("python3.11") is None:
        pytest.skip("spyne runs on Python 3.11 and older alone, which is not installed")
    interpreter = sys.executable if sys.version_info < (3, 12) else "python3.11"
    pins = (HERE / "requirements.txt").read_text()
    make = [interpreter, "-m", "venv", "{}"]
    install = ["{}/bin/python", "-m", "pip", "install", "--quiet", "-r", str(HERE / "requirements.txt")]
    return _installed("spyne", pins, [make, install]) / "bin" / "python"


def _installed(name: str, pins: str, commands: list[list[str]]) -> Path:
    """The directory in which `commands` have installed `pins`; {} stands for it. Complete or not there."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "contact-pipeline-tests"
    place = cache / f"{name}-{hashlib.sha256(pins.encode()).hexdigest()[:12]}"
    if (place / ".complete").exists():
        return place
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    for command in commands:
        filled = [part.replace("{}", str(place)) for part in command]
        try:
            done = subprocess.run(filled, capture_output=True, text=True, timeout=INSTALLS_WITHIN, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            pytest.skip(f"{name} could not be installed: {type(error).__name__}")
        if done.returncode:
            pytest.skip(f"{name} could not be installed: {done.stderr.strip()[-300:]}")
    (place / ".complete").touch()
    return place


@pytest.fixture
def node(node_soap: Path, resources: ExitStack, tmp_path: Path) -> Callable[..., Server]:
    """Starts a node-soap server for a WSDL."""

    def start(wsdl: Path, **given: Any) -> Server:
        options = {"campaign": CAMPAIGN, "refuse": REFUSE, "expire": 0, "names": {}, **given}
        command = ["node", str(HERE / "server.js"), str(node_soap), str(wsdl), json.dumps(options)]
        return resources.enter_context(started(command, tmp_path))

    return start


@pytest.fixture
def php(resources: ExitStack, tmp_path: Path) -> Callable[..., Server]:
    """Starts a server on PHP's SoapServer for a WSDL."""
    found = shutil.which("php")
    if found is None or "soap" not in subprocess.run([found, "-m"], capture_output=True, text=True).stdout.split():
        pytest.skip("php with its soap extension is not installed: apt-get install php-cli php-soap")

    def start(wsdl: Path, **given: Any) -> Server:
        options = {"campaign": CAMPAIGN, "refuse": REFUSE, "expire": 0, "soap12": False, "list": "item", **given}
        environment = {"FOREIGN_OPTIONS": json.dumps(options | {"wsdl": str(wsdl), "directory": str(tmp_path)})}
        command = [found, "-S", "127.0.0.1:0", str(HERE / "server.php")]
        port = r"127\.0\.0\.1:([1-9]\d*)\) started"
        return resources.enter_context(started(command, tmp_path, port=port, environment=environment))

    return start


@pytest.fixture
def herald(spyne: Path, resources: ExitStack, tmp_path: Path) -> Callable[..., Server]:
    """Starts a spyne server, which writes its WSDL itself."""

    def start(**given: Any) -> Server:
        options = {"campaign": CAMPAIGN, "refuse": REFUSE, "expire": 0, **given}
        command = [str(spyne), str(HERE / "server_spyne.py"), json.dumps(options)]
        return resources.enter_context(started(command, tmp_path))

    return start
