"""The installed command: what the core takes on the disk, what the wheel weighs, and what it takes to start."""

import os
import re
import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from time import monotonic
from typing import Final

from rig import importing
from rig.cores import CLIENT, pinned

ROOT: Final = Path(__file__).parents[3]
NAME: Final = re.compile(r"[\w.-]+")

#: What people wait for: the command's help, and the package as a library, in a fresh process.
HELP: Final = (*importing.COMMAND, "--help")
IMPORT: Final = (sys.executable, "-c", "from pipeline import import_contacts")


def seconds(command: Sequence[str]) -> float:
    """How long a process takes that is started anew."""
    began = monotonic()
    subprocess.run(  # noqa: S603 - our own
        [*pinned(CLIENT), *command], check=True, stdout=subprocess.DEVNULL, env=importing.environment()
    )
    return monotonic() - began


def processor(command: Sequence[str]) -> float:
    """Seconds of the processor that such a process takes: what one waits where nobody else works."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=importing.environment())  # noqa: S603 - our own
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return used.ru_utime + used.ru_stime


def sizes() -> Counter[str]:
    """Bytes of the package and of all that it requires without extras, by distribution; what Python compiles apart."""
    found: Counter[str] = Counter()
    wanted = ["contact-pipeline"]
    while wanted:
        name = wanted.pop()
        key = re.sub(r"[-_.]+", "-", name).lower()
        if key in found:
            continue
        try:
            told = distribution(name)
        except PackageNotFoundError:
            continue  # for another system, or another version of Python
        files = [Path(str(file.locate())) for file in told.files or ()]
        if key == "contact-pipeline":  # installed in place
            files = list((ROOT / "pipeline").rglob("*"))
        found[key] = sum(file.stat().st_size for file in files if file.is_file() and file.suffix != ".pyc")
        required = (each for each in told.requires or () if "extra ==" not in each)
        wanted += [match[0] for match in map(NAME.match, required) if match]
    return found


def wheel() -> int:
    """Bytes of our own wheel, built anew."""
    with tempfile.TemporaryDirectory(prefix="bench-wheel-") as directory:
        command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", directory]
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)  # noqa: S603 - the backend of the lock
        [built] = Path(directory).iterdir()
        return built.stat().st_size


def told(rounds: int = 5) -> dict[str, float]:
    """All of it; times are medians of so many processes, after one that compiles."""
    parts = sizes()
    times = {}
    for name, command in (("import_cpu_seconds", IMPORT), ("help_cpu_seconds", HELP)):
        processor(command)
        times[name] = statistics.median(processor(command) for _ in range(rounds))
    return {"packages": len(parts), "installed_bytes": parts.total(), "wheel_bytes": wheel(), **times}


def shown(measured: dict[str, float]) -> tuple[list[str], list[list[str]]]:
    """The same as a table: head and cells."""
    return ["core install", ""], [
        [f"on the disk, {measured['packages']:.0f} packages with ours", f"{measured['installed_bytes'] / 1e6:,.0f} MB"],
        ["our own wheel", f"{measured['wheel_bytes'] / 1e3:,.0f} KB"],
        ["`from pipeline import import_contacts`, CPU", f"{measured['import_cpu_seconds'] * 1e3:,.0f} ms"],
        ["`contact-pipeline --help`, CPU", f"{measured['help_cpu_seconds'] * 1e3:,.0f} ms"],
    ]
