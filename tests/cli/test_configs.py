"""Every configuration that ships, as it stands, against the simulator. All that is given is where that is, and, in the
environment, credentials.
"""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import polars as pl
import pytest
from cli.kit import Ended

from pipeline.simulator import (
    Campaign,
    GenesysSettings,
    IntelliviewSettings,
    OncSettings,
    PagosSettings,
    RunningSimulator,
    running,
)
from pipeline.targets import settings_model

CONFIGS = Path(__file__).parents[2] / "configs"

#: The campaigns that the configurations of the ONC service name.
CAMPAIGNS = ("7c9e6679-7425-40de-944b-e07fc1f90ae7", "11111111-1111-4111-8111-111111111111")

SYSTEMS = {"genesys": "genesys", "pagos": "pagos", "intelliview": "intelliview"}
ONC = ("wcf", "asmx", "own-wsdl", "demo")

CREDENTIALS = {
    "DEMO_PASSWORD": "password",
    "ONC_ACCOUNT": "account",
    "ONC_USER": "user",
    "ONC_PASSWORD": "password",
    "GENESYS_USER_1": "agent1",
    "GENESYS_PASSWORD_1": "password",
    "GENESYS_USER_2": "agent2",
    "GENESYS_PASSWORD_2": "password",
    "PAGOS_TOKEN": PagosSettings().token,
    "IVN_COMPANY": "company",
    "IVN_USER": "user",
    "IVN_PASSWORD": "password",
}

LIST = """\
customer_id,branch,first_name,last_name,mobile,telephone,landline,email,sms_opt_in,appointment
1,B1,Ann,Archer,+1 416 555 0101,+1 416 555 0101,,ann@example.com,yes,Monday
2,B1,Ben,Baker,+1 416 555 0102,+1 416 555 0102,,ben@example.com,yes,Tuesday
3,B2,Cleo,Cook,+1 416 555 0103,+1 416 555 0103,,cleo@example.com,yes,Monday
"""
ROWS = 3


@pytest.fixture(params=[*ONC, *SYSTEMS])
def name(request: pytest.FixtureRequest) -> str:
    """Each configuration."""
    return str(request.param)


@pytest.fixture
def service(name: str) -> Iterator[RunningSimulator]:
    """The service that a configuration is for; all others run beside it."""
    onc = OncSettings(
        dialect="asmx" if name == "asmx" else "wcf", campaigns=tuple(Campaign(each, "Spring") for each in CAMPAIGNS)
    )
    with running(onc, GenesysSettings(), PagosSettings(), IntelliviewSettings()) as server:
        yield server.of(SYSTEMS.get(name, "onc"))


@pytest.fixture
def given(name: str, service: RunningSimulator, desk: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str | Path, ...]:
    """The options of a command: a configuration, and where the simulator is."""
    for variable, value in CREDENTIALS.items():
        monkeypatch.setenv(variable, value)
    (desk / "list.csv").write_text(LIST, encoding="utf-8")
    config = CONFIGS / f"{name}.toml"
    if name == "own-wsdl":  # it looks for the service's own beside itself
        config = shutil.copy(config, desk)
        (desk / "contract.wsdl").write_bytes(httpx.get(f"{service.url}?wsdl").content)
        return "--config", config
    return "--config", config, "--set", f"target.endpoint={service.url}"


def test_all_are_run() -> None:
    assert {path.stem for path in CONFIGS.glob("*.toml")} - {"campaign"} == {*SYSTEMS, *ONC}


def test_a_session_can_be_checked(
    given: tuple[str, ...], service: RunningSimulator, command: Callable[..., Ended]
) -> None:
    ended = command("session", "check", *given)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith("A session was opened")
    sessions = service.state()["sessions"]
    assert (sessions["opened"], sessions["closed"], sessions["open"]) == (1, 1, 0)


def test_a_list_is_imported(
    name: str, given: tuple[str, ...], service: RunningSimulator, command: Callable[..., Ended]
) -> None:
    ended = command("import", "list.csv", *given, "--run-dir", "run")
    if rowless := settings_model(SYSTEMS.get(name, "onc")).rowless:
        assert (ended.code, rowless in ended.err) == (2, True)
        return
    assert ended.code == 0, ended.err
    ledger = pl.read_parquet("run/ledger.parquet")
    assert ledger["status"].to_list() == ["accepted"] * ROWS
    assert len(service.rows()) == ROWS
    assert service.state()["sessions"]["open"] == 0
    assert command("verify", "run").code == 0
