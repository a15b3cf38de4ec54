"""Our whole import, as a process: `contact-pipeline import` as anybody would call it."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from rig import people
from rig.cores import CLIENT, pinned

#: The command, as it is installed beside this Python.
COMMAND = (str(Path(sys.executable).with_name("contact-pipeline")),)


def environment() -> dict[str, str]:
    """The command's environment: ours, but its modules are kept compiled, as those of an installed package are."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


@dataclass(frozen=True, slots=True)
class Imported:
    """How an import went."""

    rows: int  # that were sent
    sending: float  # rows a second while sending, from the first send to the last answer
    began: float  # moment at which the process was started, on the monotonic clock
    seconds: float  # from the start of the process to its end
    cpu: float  # seconds of the processor, all of it
    peak: int  # most memory that it had, in bytes
    log: str  # what it wrote on standard error

    @property
    def whole(self) -> float:
        """Rows a second from the start of the process to its end."""
        return self.rows / self.seconds


def run(
    source: Path,
    url: str,
    place: Path,
    *,
    sessions: int,
    settings: Iterable[str] = (),
    more: Mapping[str, str] | None = None,
) -> Imported:
    """Import a list, with a state and a run directory of its own in `place`; exits where that does not end well.

    The canary is off: what is sent to a server of fixed answers cannot be read back. `settings` are KEY=VALUE, `more`
    is added to the environment.
    """
    with tempfile.TemporaryDirectory(dir=place, prefix="import-") as directory:
        state, run_dir, config = Path(directory) / "state", Path(directory) / "run", Path(directory) / "bench.toml"
        config.write_text(people.CONFIG.format(url=url, sessions=sessions, state=state), encoding="utf-8")
        command = [*pinned(CLIENT), *COMMAND, "import", str(source), "--config", str(config), "--run-dir", str(run_dir)]
        command += ["--canary", "0", "--yes", "--no-progress", "--json"]
        command += [word for setting in settings for word in ("--set", setting)]
        with (Path(directory) / "log").open("w+") as log:
            began = monotonic()
            with subprocess.Popen(  # noqa: S603 - our own
                command, stdout=subprocess.PIPE, stderr=log, text=True, env=environment() | dict(more or {})
            ) as process:
                try:
                    assert process.stdout is not None
                    told = process.stdout.read()
                    _, _, used = os.wait4(process.pid, 0)
                except BaseException:  # stopped: it does not go on without us
                    process.kill()
                    raise
                seconds = monotonic() - began
                process.returncode = 0  # it is waited for
            log.seek(0)
            logged = log.read()
            if not told:
                raise SystemExit(f"an import failed: {logged}")
        summary = json.loads(told)
    if summary["exit_code"] or not summary["complete"]:
        raise SystemExit(f"an import ended with {summary['exit_code']}: {summary['error'] or summary['counts']}")
    return Imported(
        rows=summary["counts"]["accepted"],
        sending=summary["rate"],
        began=began,
        seconds=seconds,
        cpu=used.ru_utime + used.ru_stime,
        peak=used.ru_maxrss * (1 if sys.platform == "darwin" else 1024),
        log=logged,
    )
