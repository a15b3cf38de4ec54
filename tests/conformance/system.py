"""What the suite needs to know of a system, and a system as it stands while a test runs."""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import polars as pl
import pytest
from cli.kit import Ended
from cli.kit import run as command
from conformance.line import Line, Purpose, Strike, line_to
from loopback import Asked

from pipeline import run, targets
from pipeline.config import Settings
from pipeline.ledger.summary import Summary
from pipeline.sessions import SessionPool
from pipeline.simulator import RunningSimulator
from pipeline.wire import client_factory

#: Rows of a list; all of them can be sent.
ROWS: Final = 40

#: Destinations that end so are refused where a test wants refusals.
REFUSED: Final = "7"

MAPPING: Final = """
[contacts]
key = ["customer_id"]
region = "CA"
[contacts.sms]
destination = "{mobile}"
"""

#: The command, with the toy in the register.
COMMAND: Final = """
from pipeline import targets
targets.REGISTER["toy"] = "conformance.toy"
from pipeline.__main__ import main
main()
"""

DELIVERY: Final = """
[delivery]
sessions = 4
late_effect = "200ms"
timeout = 10
outage = 2
"""


@dataclass(frozen=True)
class Wants:
    """How a system is to behave; its description turns this into settings of its simulator."""

    wrong_credentials: bool = False  # the secrets that we know are not those that it takes
    expire_after: int | None = None  # calls after which a session ends
    refuse: bool = False  # rows whose destination ends in REFUSED
    transient: bool = False  # every ninth row call is put off with a code that says so


@dataclass(frozen=True)
class Service:
    """A running simulator or server."""

    origin: str  # scheme, host and port
    open: Callable[[], int]  # how many sessions are open now
    expire: Callable[[], object]  # ends all sessions, and tells nobody
    held: Callable[[], Sequence[str]] = tuple  # the destinations of all contacts that it holds

    @classmethod
    def simulated(cls, server: RunningSimulator, held: Callable[[], Sequence[str]] = tuple) -> "Service":
        """One of the simulator's."""
        return cls(
            server.origin,
            open=lambda: int(server.state()["sessions"]["open"]),
            expire=lambda: server.control(expire_sessions=True),
            held=held,
        )


@dataclass(frozen=True)
class System:
    """One system, as the suite needs it described."""

    name: str  # as in target.system
    serve: Callable[[Wants], AbstractContextManager[Service]]
    target: str  # the table [target]; {origin} stands for where the system is reached, secrets come by { env = … }
    secrets: Mapping[str, str]  # environment variables that the table names, and their values: nowhere to be seen
    purpose_of: Callable[[Asked], Purpose]
    token: str  # a pattern whose groups find the secrets of a session in the head and body of an answer
    opening: tuple[Purpose, ...] = ("open",)  # the calls that open a session, in order
    rows: bool = True  # it takes contacts
    lookup: bool = True  # it can be asked what it holds
    proves: bool = True  # it has a call that proves a session
    codes: bool = True  # its refusals have codes
    logins: int = 1  # calls of each kind in `opening` that wrong credentials may cost
    mapping: str = MAPPING
    words: tuple[str, ...] = field(default=())  # further words that must not be seen


class Bench:
    """A system that runs behind a line, and a desk to import from. Whatever a test does, secrets are looked for."""

    def __init__(self, system: System, desk: Path, service: Service, line: Line) -> None:
        self.system = system
        self.desk = desk
        self.service = service
        self.line = line
        self.config = desk / "config.toml"
        self.config.write_text(
            f"[target]\n{system.target.replace('{origin}', line.origin)}\n{system.mapping if system.rows else ''}"
            f"{DELIVERY}",
            encoding="utf-8",
        )
        self.list = desk / "list.csv"
        self.run_dir = desk / "run"
        rows = (f"c{row},+1 416 555 {100 + row:04}\n" for row in range(ROWS))
        self.list.write_text("customer_id,mobile\n" + "".join(rows), encoding="utf-8")

    # --- as a user ------------------------------------------------------------------------------------------------

    def session_check(self, *more: str) -> Ended:
        return self._looked_at(command("session", "check", "--config", self.config, *more))

    def import_(self, *more: str, run_dir: Path | None = None) -> Ended:
        place = ("--run-dir", run_dir or self.run_dir)
        return self._looked_at(command("import", self.list, "--config", self.config, *place, *more))

    def check(self) -> Ended:
        return self._looked_at(command("check", self.list, "--config", self.config, "--run-dir", self.run_dir))

    def started(self) -> "subprocess.Popen[str]":
        """The import as a process of its own."""
        arguments = ("import", self.list, "--config", self.config, "--run-dir", self.run_dir)
        return subprocess.Popen(
            [sys.executable, "-c", COMMAND, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), "NO_COLOR": "1"},
        )

    def verify(self, *more: str) -> Ended:
        return self._looked_at(command("verify", self.run_dir, *more))

    def undo(self) -> Ended:
        return self._looked_at(command("undo", self.run_dir, "--yes"))

    def resume(self, *more: str) -> Ended:
        return self._looked_at(command("resume", self.run_dir, *more))

    def _looked_at(self, ended: Ended) -> Ended:
        self.assert_secrets_kept(ended.out + ended.err)
        assert "unexpected" not in ended.err.lower(), ended.err
        return ended

    def assert_secrets_kept(self, output: str = "") -> None:
        """No secret stands in the output or in a file of the runs and of the state."""
        secrets = (*self.system.secrets.values(), *self.line.tokens, *self.system.words)
        files = [path for path in (*self.desk.rglob("run*/**/*"), *self.desk.rglob("state/**/*")) if path.is_file()]
        for secret in secrets:
            assert secret not in output
            for path in files:
                assert secret.encode() not in path.read_bytes(), f"{secret} stands in {path.name}"

    # --- as a program ---------------------------------------------------------------------------------------------

    def settings(self, *overrides: str) -> Settings:
        return run.load_settings([self.config], overrides, mapped=self.system.rows)

    def pool(self, size: int = 1, calls: int = 1) -> SessionPool[Any]:
        settings = self.settings()
        module = targets.module(self.system.name)
        target = module.create(settings, client_factory(settings.http, settings.delivery.timeout), None)
        return SessionPool(target, size, calls, settings.sessions)

    # --- what both sides say --------------------------------------------------------------------------------------

    @property
    def ledger(self) -> pl.DataFrame:
        return pl.read_parquet(self.run_dir / "ledger.parquet")

    @property
    def counts(self) -> dict[str, int]:
        return dict(self.ledger["status"].value_counts().iter_rows())

    @property
    def summary(self) -> Summary:
        found = Summary.read(self.run_dir)
        assert found is not None
        return found

    def assert_agreement(self) -> None:
        """Ledger, journal and system say the same of every row, and no session was left open."""
        assert run.verify_run(self.run_dir) == []
        held = Counter(self.service.held())
        for row in self.ledger.iter_rows(named=True):
            there = held.pop(row["sms"], 0)
            allowed = {"accepted": {1}, "in_doubt": {0, 1}}.get(row["status"], {0})
            assert there in allowed, f"{row['status']}, and there {there} times: {row}"
        assert not held, "nobody else is there"
        self.assert_all_closed()

    def logins(self) -> int:
        """How often we have said who we are, or tried to open a session: whichever is more."""
        return max(self.line.calls[purpose] for purpose in self.system.opening)

    def assert_all_closed(self) -> None:
        """No session is left open at the system."""
        assert self.service.open() == 0


@contextmanager
def bench(
    system: System, desk: Path, monkeypatch: pytest.MonkeyPatch, *strikes: Strike, **wants: Any
) -> Iterator[Bench]:
    """A system behind a line, until the block ends; what it wrote is looked through once more then."""
    monkeypatch.setenv("CONTACT_PIPELINE_STATE", str(desk / "state"))
    for name, value in system.secrets.items():
        monkeypatch.setenv(name, value)
    with (
        system.serve(Wants(**wants)) as service,
        line_to(service.origin, system.purpose_of, system.token, *strikes) as line,
    ):
        made = Bench(system, desk, service, line)
        yield made
        made.assert_secrets_kept()
