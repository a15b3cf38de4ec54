"""README, configs and the demonstration say what is so."""

import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from cli.kit import Ended

from pipeline.cli import app
from pipeline.run import load_settings
from pipeline.simulator import RunningSimulator
from pipeline.targets import REGISTER

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


#: A campaign is no configuration; it has tests of its own.
CONFIGS = sorted(set((ROOT / "configs").glob("*.toml")) - {ROOT / "configs/campaign.toml"})


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_configs_load(config: Path, command: Callable[..., Ended], desk: Path) -> None:
    settings = load_settings([config], [], mapped=False)
    assert settings.target.system == (config.stem if config.stem in REGISTER else "onc")
    assert f"`configs/{config.name}`" in README
    if settings.target.rowless:
        ended = command("check", "list.csv", "--config", config)
        assert (ended.code, settings.target.rowless in ended.err) == (2, True)
        return
    columns = {"customer_id", "branch", "first_name", "last_name", "mobile", "telephone", "email", "sms_opt_in"}
    columns |= {"landline", "appointment"}
    Path("list.csv").write_text(",".join(columns) + "\n" + ",".join("x" for _ in columns) + "\n", encoding="utf-8")
    own = f"target.wsdl={ROOT / 'pipeline/targets/onc/contracts/wcf.wsdl'}"
    address = "target.endpoint=https://pop.example.com/onc.svc"
    more = ("--set", own, "--set", address) if "wsdl" in config.stem else ()
    ended = command("check", "list.csv", "--config", config, *more)
    assert ended.code == 1, ended.err


def test_readme_names_every_option() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    parameters = [*commands["import"].params, *commands["check"].params]
    offered = {name for parameter in parameters for name in parameter.opts if name.startswith("--")} - {"--help"}
    assert len(offered) > 15
    assert {option for option in offered if f"`{option}" not in README} == set()


def test_readme_names_every_campaign_command_and_option() -> None:
    commands = typer.main.get_command(app).commands["campaign"].commands  # type: ignore[attr-defined]
    part = README.partition("## Campaigns")[2].partition("\n## ")[0]
    assert {name for name in commands if f"`campaign {name}" not in part} == set()
    own = {name for each in commands.values() for parameter in each.params for name in parameter.opts}
    shared = {"--help", "--config", "--log-format"}
    assert {option for option in own if option.startswith("--") and f"`{option}" not in part} - shared == set()


def test_the_first_five_minutes(
    command: Callable[..., Ended],
    serve: Callable[..., RunningSimulator],
    desk: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The commands of the README as they stand there; only the port is another."""
    for name in ("samples", "configs"):
        shutil.copytree(ROOT / name, desk / name)
    monkeypatch.setenv("DEMO_PASSWORD", "password")
    config = desk / "configs/demo.toml"
    config.write_text(
        config.read_text(encoding="utf-8").replace("http://127.0.0.1:8090/onc.svc", serve().url), encoding="utf-8"
    )
    part = README.partition("## Five minutes")[2].partition("For a list and a service of your own")[0]
    commands = [shlex.split(line)[1:] for line in part.splitlines() if line.startswith("contact-pipeline ")]
    assert commands.pop(0) == ["simulate", "--port", "8090"]
    codes = [(arguments[0], command(*arguments).code) for arguments in commands]
    assert codes == [("session", 0), ("check", 1), ("import", 1), ("status", 0), ("verify", 0)]
    again = command("check", "runs/first/resubmit.csv", "--config", "configs/demo.toml")
    assert "  39  rows in all\n" in again.out, "the rows to mend can be imported as they are"


def test_the_demonstration(tmp_path: Path) -> None:
    ended = subprocess.run(
        [ROOT / "scripts/demo"], cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    lines = ended.stdout.splitlines()
    assert lines[-1] == "The demonstration ended as expected: the bad rows are part of the sample."
    [run] = [line.removeprefix("Run: ") for line in lines if line.startswith("Run: ")]
    assert any(line.startswith(f"Ledger: {run}/ledger.parquet") for line in lines)
    assert (ROOT / run / "ledger.parquet").exists()
    shutil.rmtree(ROOT / run)
