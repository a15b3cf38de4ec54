"""Imports in processes of their own, a simulator that strikes at a chosen moment, and what must hold afterwards."""

import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import polars as pl
from run.test_import import CAMPAIGN, contact_list, settings

from pipeline import run
from pipeline.simulator import OncSettings, RunningSimulator, Simulator, running

#: What one process may take, in seconds: far more than any needs.
PATIENCE: Final = 60

ADD: Final = "AddCampaignContact"

#: A call has come in and did nothing yet; it took effect and is not answered; its answer was written.
Moment: TypeAlias = Literal["arrived", "done", "answered"]
MOMENTS: Final[tuple[Moment, ...]] = ("arrived", "done", "answered")


class Striking(Simulator):
    """A simulator that does something at one moment of the n-th call of an operation ("*": of any)."""

    def __init__(self, settings: OncSettings) -> None:
        super().__init__(settings)
        self._left = 0
        self._act: Callable[[], Awaitable[None]] | None = None

    def arm(self, operation: str, number: int, moment: Moment, act: Callable[[], Awaitable[None]]) -> None:
        """Strike at the n-th call from now on; not at all if it never comes."""
        self._operation, self._moment, self._act, self._left = operation, moment, act, number

    def disarm(self) -> None:
        """Do nothing any more."""
        self._act = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Handle one request."""
        act = self._due(scope)
        if act is None:
            await super().__call__(scope, receive, send)
            return
        struck = self._moment == "arrived"
        if struck:
            await act()

        async def answering(message: Any) -> None:
            nonlocal struck
            if self._moment == "done" and not struck:
                struck = True
                await act()
            await send(message)

        await super().__call__(scope, receive, answering)
        if not struck:  # it was the moment after the answer, or there was none
            await act()

    def _due(self, scope: Any) -> Callable[[], Awaitable[None]] | None:
        if self._act is None or scope["type"] != "http" or scope["method"] != "POST":
            return None
        action = dict(scope["headers"]).get(b"soapaction", b"").decode().strip('"')
        if self._operation not in ("*", action.rpartition("/")[2]):
            return None
        self._left -= 1
        return self._act if self._left == 0 else None


class Victim:
    """A process that is to be killed; it may be named before it runs."""

    def __init__(self) -> None:
        self._started = threading.Event()
        self._process: subprocess.Popen[str] | None = None

    @property
    def process(self) -> "subprocess.Popen[str]":
        assert self._started.wait(PATIENCE)
        assert self._process is not None
        return self._process

    def run(self, process: "subprocess.Popen[str]") -> "subprocess.Popen[str]":
        self._process = process
        self._started.set()
        return process

    async def kill(self) -> None:
        """End it as the kernel would: without a word."""
        self.process.kill()


@contextmanager
def told(story: list[str]) -> Iterator[None]:
    """Where the block fails, tell what led to it."""
    try:
        yield
    except BaseException as error:
        error.add_note("\n".join(story))
        raise


@contextmanager
def simulated(**face: Any) -> Iterator[tuple[RunningSimulator, Striking]]:
    """A simulator that serves in another thread."""
    simulator = Striking(OncSettings(**face))
    with running(simulator) as server:
        yield server, simulator


class Import:
    """One import: its list, its configuration, and the commands that begin it and go on with it."""

    def __init__(self, directory: Path, server: RunningSimulator, rows: int, *overrides: str, files: int = 1) -> None:
        self.server = server
        self.rows = rows
        self.run_dir = directory / "run"
        self.journal = self.run_dir / "journal.jsonl"
        # Whatever takes effect late must have done so before absence is believed.
        self._overrides = ("delivery.late_effect=0.3", *overrides)
        config = settings(directory / "config.toml", server.url)
        whole = contact_list(directory / "list.csv", rows).read_text(encoding="utf-8").splitlines(keepends=True)
        self._sources = []
        for number in range(files):
            part = directory / f"list{number}.csv"
            share = whole[1:][number * rows // files : (number + 1) * rows // files]
            part.write_text("".join([whole[0], *share]), encoding="utf-8")
            self._sources.append(str(part))
        self._config = str(config)

    @property
    def beginning(self) -> list[str]:
        """The command that begins it."""
        return [*_COMMAND, "import", *self._sources, "--config", self._config, *self._common("--run-dir")]

    @property
    def resuming(self) -> list[str]:
        """The command that goes on with it. A literal password is on no record."""
        return [*_COMMAND, "resume", *self._common(), "--set", "target.password=password"]

    @property
    def next(self) -> list[str]:
        """The one of the two that a person would type now: nothing was begun where there is no journal."""
        return self.resuming if self.journal.exists() else self.beginning

    def _common(self, *option: str) -> list[str]:
        words = [*option, str(self.run_dir), "--no-progress"]
        for override in self._overrides:
            words += ["--set", override]
        return words

    def ledger(self) -> pl.DataFrame:
        return pl.read_parquet(self.run_dir / "ledger.parquet")

    def held(self) -> Counter[tuple[str | None, ...]]:
        """The destinations of every contact that the target holds: those of the list are all different."""
        return Counter(
            tuple(contact[name] and contact[name]["destination"] for name in ("sms", "email"))
            for contact in self.server.contacts(CAMPAIGN)
        )

    def assert_agreement(self) -> dict[str, int]:
        """Ledger, journal and target say the same of every row, wherever the run stands; the counts by status."""
        assert (problems := run.verify_run(self.run_dir)) == [], problems
        ledger, held = self.ledger(), self.held()
        for row in ledger.iter_rows(named=True):
            there = held.pop((row["sms"], row["email"]), 0)
            if row["status"] == "accepted":
                assert there == 1, f"accepted, and there {there} times: {row}"
            elif row["status"] == "in_doubt":
                assert there <= 1, f"in doubt, and there {there} times: {row}"
            else:
                assert there == 0, f"{row['status']}, and there {there} times: {row}"
        assert not held, "nobody else is there"
        return dict(ledger["status"].value_counts().iter_rows())

    def assert_complete(self, *, keeps_ids: bool = True) -> None:
        """Every row of the list is there once and nobody else is."""
        assert self.assert_agreement() == {"accepted": self.rows}
        if keeps_ids:
            ids = Counter(contact["id"] for contact in self.server.contacts(CAMPAIGN))
            assert ids == Counter(self.ledger()["contact_id"].to_list())


_COMMAND: Final = (sys.executable, "-m", "pipeline")


def start(command: Sequence[str], **options: Any) -> "subprocess.Popen[str]":
    """Start a command in a process group of its own, with its output read by whoever calls `ended`."""
    environment = {**os.environ, "NO_COLOR": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.Popen(
        list(command),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
        **options,
    )


def ended(process: "subprocess.Popen[str]") -> tuple[int, str]:
    """Wait for a process; its exit code (of a killed one: minus the signal's number) and all that it wrote."""
    try:
        out, err = process.communicate(timeout=PATIENCE)
    except BaseException:
        # The group is ours: it was made for this process and what it starts.
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise
    assert "Traceback" not in err, err
    return process.returncode, err + out


def execute(command: Sequence[str], **options: Any) -> tuple[int, str]:
    """Run a command to its end."""
    return ended(start(command, **options))
