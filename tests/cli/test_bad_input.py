"""Every way to get it wrong: a clear sentence, the right exit code, no traceback, a run directory that is true."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cli.kit import LIST, Ended

from pipeline.simulator import Fault, RunningSimulator

Command = Callable[..., Ended]
Serve = Callable[..., RunningSimulator]
Configured = Callable[..., Path]


def refused(ended: Ended, *parts: str) -> None:
    """Nothing was begun: one sentence, exit code 2, no run directory."""
    assert ended.code == 2, ended.err
    assert ended.out == ""
    assert len(ended.complaints) == 1, ended.err
    for part in parts:
        assert part in ended.complaints[0]
    assert not list(Path("runs").glob("*")), "a run that never began leaves no directory"


def stopped(ended: Ended, code: int, *parts: str) -> None:
    """The run ended early: one sentence, and a directory that says that nothing was sent."""
    assert ended.code == code, ended.err
    assert len(ended.complaints) == 1, ended.err
    for part in parts:
        assert part in ended.complaints[0]
    assert "Traceback" not in ended.err
    [run] = Path("runs").iterdir()
    assert ended.out.splitlines()[-1] == f"Run: {run}"
    summary = json.loads((run / "summary.json").read_text(encoding="utf-8"))
    assert summary["exit_code"] == code
    assert summary["complete"] is False
    counts = {status: count for status, count in summary["counts"].items() if count}
    assert counts == {"pending": 3, "invalid": 1, "duplicate": 1}
    assert len((run / "ledger.csv").read_text(encoding="utf-8").splitlines()) == 6


# --- the source -------------------------------------------------------------------------------------------------------


def test_missing_file(command: Command, configured: Configured) -> None:
    refused(command("import", "gone.csv", "--config", configured()), "gone.csv", "no such file")


def test_glob_without_match(command: Command, configured: Configured) -> None:
    refused(command("import", "gone-*.csv", "--config", configured()), "gone-*.csv", "no file matches")


def test_directory(command: Command, configured: Configured) -> None:
    Path("folder").mkdir()
    refused(command("import", "folder", "--config", configured()), "folder")


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        (b"", ("is empty", "export the list again")),
        (b"customer_id,first_name,mobile,email\n", ("has a header and no rows",)),
        (b"sep=;\n\n", ("is empty", "export the list again")),
        (b"\xff\xfe\x00", ("list.csv",)),
        (LIST.encode("utf-32-le"), ("UTF-16", "encoding")),
        (LIST.replace("Ann", "Ольга").encode("windows-1251"), ("line 2", "UTF-8", "encoding")),
        (b"PK\x03\x04" + bytes(60), ("list.csv",)),
        (b"PAR1" + bytes(60), ("list.csv",)),
        (b"\x1f\x8b\x08" + bytes(60), ("list.csv",)),
    ],
    ids=[
        "empty",
        "header only",
        "separator only",
        "mark only",
        "utf-32",
        "cyrillic",
        "spreadsheet",
        "broken parquet",
        "broken gzip",
    ],
)
def test_unreadable_content(command: Command, configured: Configured, content: bytes, parts: tuple[str, ...]) -> None:
    Path("list.csv").write_bytes(content)
    refused(command("import", "list.csv", "--config", configured()), *parts)


def test_wrong_delimiter(command: Command, configured: Configured) -> None:
    refused(command("import", "list.csv", "--config", configured(), "--delimiter", ";"), "semicolon", "comma")


def test_unknown_encoding(command: Command, configured: Configured) -> None:
    refused(command("import", "list.csv", "--config", configured(), "--encoding", "klingon"), "klingon", "utf-8")


def test_a_list_without_a_line_of_names(command: Command, configured: Configured) -> None:
    Path("list.csv").write_text("17,Zorro,+1 416 555 0199,zorro@example.com\n18,Bea,,b@example.com\n", encoding="utf-8")
    ended = command("check", "list.csv", "--config", configured())
    refused(ended, "list.csv: its first line holds a number or an address where names of columns belong")
    assert "Zorro" not in ended.err
    assert "555 0199" not in ended.err


def test_missing_mapped_column(command: Command, configured: Configured) -> None:
    Path("list.csv").write_text(LIST.replace("mobile", "mobil"), encoding="utf-8")
    refused(command("import", "list.csv", "--config", configured()), "contacts.sms.destination", "did you mean 'mobil'")


def test_mapped_column_that_is_there_twice(command: Command, configured: Configured) -> None:
    Path("list.csv").write_text(LIST.replace("email", "mobile"), encoding="utf-8")
    ended = command(
        "import", "list.csv", "--config", configured(), "--set", "contacts.email.destination='{first_name}'"
    )
    refused(
        ended, "contacts.sms.destination", "2 columns called 'mobile'", "'mobile (column 3)' or 'mobile (column 4)'"
    )


# --- the configuration ------------------------------------------------------------------------------------------------


def test_every_mistake_is_reported_at_once(command: Command, configured: Configured) -> None:
    config = configured()
    config.write_text(
        config.read_text(encoding="utf-8") + "\n[delivery]\nsesions = 3\ntimeout = true\n", encoding="utf-8"
    )
    ended = command(
        "import", "list.csv", "gone.csv", "--config", config, "--set", "contacts.sms.text={nme}", "--campaign-id", "x",
        "--set", "http.nonsense=1",
    )  # fmt: skip
    assert (ended.code, ended.out) == (2, "")
    for place in (
        "config.toml:21: delivery.sesions", "config.toml:22: delivery.timeout", "--set http.nonsense", "gone.csv",
        "--campaign-id: ", "contacts.sms.text",
    ):  # fmt: skip
        assert sum(place in line for line in ended.complaints) == 1, place
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("content", "part"), [("[target\n", "is not TOML"), ("", "contacts"), ("[contakts]\n", "no such section")]
)
def test_broken_configuration(command: Command, desk: Path, content: str, part: str) -> None:
    Path("config.toml").write_text(content, encoding="utf-8")
    ended = command("import", "list.csv", "--config", "config.toml")
    assert ended.code == 2
    assert part in ended.err
    assert all(line.startswith("config.toml") for line in ended.complaints)


def test_missing_configuration(command: Command, desk: Path) -> None:
    refused(command("import", "list.csv", "--config", "gone.toml"), "gone.toml", "cannot be read")


def test_missing_secret(command: Command, configured: Configured, monkeypatch: pytest.MonkeyPatch) -> None:
    config = configured()
    monkeypatch.delenv("TEST_PASSWORD")
    refused(command("import", "list.csv", "--config", config), "target.password", "TEST_PASSWORD", "not set")
    refused(command("session", "check", "--config", config), "target.password", "TEST_PASSWORD", "not set")


def test_missing_suppression_list(command: Command, configured: Configured) -> None:
    config = configured()
    refused(command("import", "list.csv", "--config", config, "--set", 'contacts.suppress=["gone.csv"]'), "gone.csv")


@pytest.mark.parametrize(("option", "value"), [("--max-bad", "many"), ("--tolerate", "101%")])
def test_wrong_share(command: Command, configured: Configured, option: str, value: str) -> None:
    refused(command("import", "list.csv", "--config", configured(), option, value), option, value)


def test_run_directory_in_use(command: Command, configured: Configured) -> None:
    config = configured()
    command("check", "list.csv", "--config", config, "--run-dir", "r")
    before = Path("r/ledger.csv").read_bytes()
    ended = command("check", "list.csv", "--config", config, "--run-dir", "r")
    refused(ended, "r: holds a run already")
    assert Path("r/ledger.csv").read_bytes() == before


# --- the target -------------------------------------------------------------------------------------------------------


def test_unknown_campaign(command: Command, serve: Serve, configured: Configured) -> None:
    service = serve()
    campaign = "22222222-2222-4222-8222-222222222222"
    ended = command("import", "list.csv", "--config", configured(service), "--campaign-id", campaign)
    stopped(ended, 6, campaign, "target.campaign_id")
    assert service.state()["sessions"]["open"] == 0


def test_wrong_password(
    command: Command, serve: Serve, configured: Configured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_PASSWORD", "wrong-one")
    service = serve()
    ended = command("import", "list.csv", "--config", configured(service))
    stopped(ended, 6, "password")
    assert "wrong-one" not in ended.err
    assert service.state()["sessions"]["logins"] == 1, "a refused login is not repeated"
    checked = command("session", "check", "--config", configured(service))
    assert (checked.code, checked.out, len(checked.complaints)) == (6, "", 1)


def test_unreachable_host(command: Command, configured: Configured) -> None:
    ended = command("import", "list.csv", "--config", configured("http://127.0.0.1:9/onc.svc"))
    stopped(ended, 5, "no connection to 127.0.0.1:9", "ry again later")


def test_tls_failure(command: Command, serve: Serve, configured: Configured) -> None:
    address = serve().url.replace("http:", "https:")
    stopped(command("import", "list.csv", "--config", configured(address)), 6, "TLS", "http.ca")


@pytest.mark.parametrize(("status", "code", "part"), [(200, 6, "answers HTML, not SOAP"), (500, 5, "HTTP 500")])
def test_server_that_answers_html(
    command: Command, serve: Serve, configured: Configured, status: int, code: int, part: str
) -> None:
    service = serve(faults=(Fault("html", operation="*", status=status),))
    stopped(command("import", "list.csv", "--config", configured(service)), code, part)


def test_wrong_path(command: Command, serve: Serve, configured: Configured) -> None:
    address = serve().origin + "/elsewhere"
    stopped(command("import", "list.csv", "--config", configured(address)), 6, "404", "target.endpoint")


def test_wsdl_that_lacks_an_operation(command: Command, serve: Serve, configured: Configured) -> None:
    import httpx

    service = serve()
    wsdl = httpx.get(f"{service.url}?wsdl").text
    Path("contract.wsdl").write_text(wsdl.replace("AddCampaignContact", "AddSomethingElse"), encoding="utf-8")
    ended = command("import", "list.csv", "--config", configured(service), "--set", "target.wsdl=contract.wsdl")
    assert ended.code in (2, 6)
    assert len(ended.complaints) == 1
    assert "AddCampaignContact" in ended.complaints[0]
    assert not list(Path("runs").glob("*"))
    assert service.state()["sessions"]["logins"] == 0


def test_wsdl_that_is_none(command: Command, serve: Serve, configured: Configured) -> None:
    Path("contract.wsdl").write_text("<html><body>Sign in</body></html>", encoding="utf-8")
    ended = command("import", "list.csv", "--config", configured(serve()), "--set", "target.wsdl=contract.wsdl")
    assert ended.code in (2, 6)
    assert len(ended.complaints) == 1
    assert "contract.wsdl" in ended.complaints[0]


# --- ourselves --------------------------------------------------------------------------------------------------------


def test_unexpected_error(command: Command, configured: Configured, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline import run

    def fail(*_: object, **__: object) -> None:
        raise LookupError("ann@example.com is not what it seems")

    monkeypatch.setattr(run, "load", fail)
    ended = command("import", "list.csv", "--config", configured())
    assert (ended.code, ended.out) == (8, "")
    assert len(ended.err.splitlines()) == 1
    assert "LookupError" in ended.err
    assert "report it" in ended.err
    assert "ann@example.com" not in ended.err
    monkeypatch.setenv("CONTACT_PIPELINE_DEBUG", "1")
    assert "Traceback" in command("import", "list.csv", "--config", configured()).err


def test_simulator_without_its_extra() -> None:
    code = "import sys; sys.modules['starlette'] = None; from pipeline.__main__ import main; main()"
    ended = subprocess.run(
        [sys.executable, "-c", code, "simulate"], capture_output=True, text=True, check=False, timeout=30
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == "The simulator is an extra: pip install 'contact-pipeline[simulator]'\n"


@pytest.mark.parametrize("fault", ["explode", "cut:every=0", "cut:nonsense=1"])
def test_simulator_with_an_unknown_fault(command: Command, fault: str) -> None:
    ended = command("simulate", "--fault", fault)
    assert (ended.code, ended.out, len(ended.err.splitlines())) == (2, "", 1)
