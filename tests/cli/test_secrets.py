"""Secrets stand nowhere, and people's numbers only where they must: all output and every file of runs is scanned."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cli.kit import Ended

from pipeline.simulator import Fault, RunningSimulator
from pipeline.simulator.sessions import Sessions

Command = Callable[..., Ended]
Serve = Callable[..., RunningSimulator]

ACCOUNT, USER, PASSWORD = "planted-account-71", "planted-user-72", "planted-password-73"

#: Files of a run directory that hold destinations, for their owner's eyes; so do the copies of lists in SUPPRESS.
PERSONAL = {"ledger.csv", "ledger.parquet", "resubmit.csv"}
SUPPRESS = "suppress"

LIST = """\
customer_id,first_name,mobile,email
1,Ann,(416) 555-0171,planted.one@example.com
2,Ben,416.555.0172,
3,Cleo,+14165550173,planted.three@example.com
4,Dora,41655501740000,
5,Eve,416-555-0175,planted.five@@example.com
6,Flo,416 555 0176,
1,Ann,(416) 555-0171,planted.one@example.com
"""

#: Parts of every destination above, in every form that it takes.
DESTINATIONS = [f"555017{digit}" for digit in range(1, 7)] + [f"555-017{digit}" for digit in range(1, 7)]
DESTINATIONS += (
    [f"555 017{digit}" for digit in range(1, 7)] + [f"555.017{digit}" for digit in range(1, 7)] + ["planted."]
)

CONFIG = f"""\
[target]
system = "onc"
endpoint = "{{endpoint}}"
account_id = {{{{ env = "TEST_ACCOUNT" }}}}
username = "{USER}"
password = {{{{ file = "password.txt" }}}}
campaign_id = "11111111-1111-4111-8111-111111111111"
[contacts]
key = ["customer_id"]
region = "CA"
suppress = ["do-not-contact.csv"]
[contacts.sms]
destination = "{{{{mobile}}}}"
text = "{{{{first_name}}}}, is {{{{mobile}}}} your number?"
[contacts.email]
destination = "{{{{email}}}}"
"""


@pytest.fixture
def session_ids(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The ids of all sessions that services open in this test."""
    ids: list[str] = []
    opened = Sessions.open

    def kept(self: Sessions, life: float | None = None) -> str:
        ids.append(opened(self, life))
        return ids[-1]

    monkeypatch.setattr(Sessions, "open", kept)
    return iter([ids])


@pytest.fixture
def planted(desk: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """A list, and a configuration for a service at this address, full of what must not be seen."""
    monkeypatch.setenv("TEST_ACCOUNT", ACCOUNT)
    Path("list.csv").write_text(LIST, encoding="utf-8")
    Path("do-not-contact.csv").write_text("contact\n4165550176\n", encoding="utf-8")
    Path("password.txt").write_text(PASSWORD + "\n", encoding="utf-8")

    def write(endpoint: str) -> Path:
        Path("config.toml").write_text(CONFIG.format(endpoint=endpoint), encoding="utf-8")
        return Path("config.toml")

    return write


def scan(place: str, text: bytes, forbidden: list[str]) -> None:
    for word in forbidden:
        assert word.encode() not in text, f"{word} stands in {place}"


FAULTS = {
    "all well": (),
    "refused": (),
    "unclassified fault": (Fault("fault", every=2),),
    "cut in the answer": (Fault("cut_answer", first=2),),
    "a page": (Fault("html", every=2, status=200),),
    "session gone": (Fault("expire", every=2),),
    "wrong password": (),
    "bad config": (),
}


@pytest.mark.parametrize(("case", "style"), [*zip(FAULTS, ("json", "text") * 4, strict=False)])
def test_nothing_planted_is_seen(
    command: Command,
    serve: Serve,
    planted: Callable[[str], Path],
    session_ids: Iterator[list[str]],
    monkeypatch: pytest.MonkeyPatch,
    case: str,
    style: str,
) -> None:
    [ids] = session_ids
    service = serve(
        account=ACCOUNT,
        username=USER,
        password="another" if case == "wrong password" else PASSWORD,
        refuse={"5550173": 555} if case == "refused" else {},
        faults=FAULTS[case],
    )
    options = ["--config", planted(service.url), "--log-format", style, "--set", "delivery.outage=1"]
    options += ["--set", "delivery.late_effect=0.1"]
    if case == "bad config":
        options += ["--set", f'target.password="{PASSWORD}"', "--set", f"target.password.value={PASSWORD}"]
    ends = [
        command("import", "list.csv", *options, "--run-dir", "runs/r", "--set", f'target.account_id="{ACCOUNT}"'),
        command("status", "runs/r"),
        command("verify", "runs/r"),
        command("session", "check", *options),
    ]
    assert bool(ids) == (case not in ("wrong password", "bad config"))
    secrets = [ACCOUNT, USER, PASSWORD, *ids]
    for ended in ends:
        scan("the output", (ended.out + ended.err).encode(), secrets + DESTINATIONS)
    files = [path for path in Path("runs").rglob("*") if path.is_file()]
    assert bool(files) == (case != "bad config")
    for path in files:
        personal = path.name in PERSONAL or SUPPRESS in path.parts
        # Names that stand in the configuration stand in the record of the settings too, and nowhere else.
        kept = secrets if path.name != "run.toml" else [secret for secret in secrets if secret not in (ACCOUNT, USER)]
        scan(str(path), path.read_bytes(), kept + ([] if personal else DESTINATIONS))
    if files:
        # The test sees what it looks for where that is allowed.
        assert b"5550171" in Path("runs/r/ledger.csv").read_bytes()
