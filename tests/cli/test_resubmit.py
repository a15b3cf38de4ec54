"""From a list with mistakes to the whole job: import, mend resubmit.csv, import that with the same configuration."""

import csv
from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest
from cli.kit import Ended
from cli.mending import FAULTS, MENDED, mend, people

from pipeline.simulator import RunningSimulator

Command = Callable[..., Ended]
Serve = Callable[..., RunningSimulator]
Configured = Callable[..., Path]


def statuses(run: str) -> dict[str, int]:
    return dict(Counter(pl.read_parquet(Path("runs") / run / "ledger.parquet")["status"]))


def read(path: Path, delimiter: str = ",") -> list[list[str]]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        return list(csv.reader(file, delimiter=delimiter))


@pytest.mark.parametrize(
    ("encoding", "delimiter", "options"),
    [
        ("utf-8", ",", ()),
        ("utf-8-sig", ";", ()),
        ("windows-1252", ";", ("--encoding", "windows-1252", "--delimiter", ";")),
        ("utf-16", "\t", ("--delimiter", "tab")),
    ],
)
def test_the_mended_file_completes_the_job(
    command: Command, serve: Serve, configured: Configured, encoding: str, delimiter: str, options: tuple[str, ...]
) -> None:
    service = serve(refuse={"77$": None})
    config = configured(service)
    Path("list.csv").write_bytes(FAULTS.replace(";", delimiter).replace("\n", "\r\n").encode(encoding))
    given = ("--config", config, *options, "--wave", "spring")
    assert command("import", "list.csv", *given, "--run-dir", "runs/first").code == 1
    assert statuses("first") == {"accepted": 2, "invalid": 5, "rejected": 1, "duplicate": 1}
    file = Path("runs/first/resubmit.csv")
    assert file.read_bytes().startswith(b"\xef\xbb\xbf")
    assert file.read_bytes().count(b"\r\n") == 7

    again = command("import", file, *given, "--run-dir", "runs/again")
    assert again.code == 1
    assert statuses("again") == {"invalid": 5, "rejected": 1}, "unmended nothing of it goes out"

    told, retold = (read(Path("runs") / run / "resubmit.csv", delimiter) for run in ("first", "again"))
    assert [row[:-1] for row in retold] == [row[:-1] for row in told], "as often as it comes back it is the same"

    mend(file, Path("mended.csv"), delimiter)
    ended = command("import", "mended.csv", *given, "--run-dir", "runs/second")
    assert ended.code == 0, ended.out
    assert statuses("second") == {"accepted": 6}
    assert command("verify", "runs/first").code == command("verify", "runs/second").code == 0
    assert people(service) == MENDED, "each person once, with the text that the list has"

    once_more = command("import", "mended.csv", *given, "--run-dir", "runs/third")
    assert once_more.code == 0
    assert statuses("third") == {"duplicate": 6}


def test_what_the_target_refused_is_sent_as_it_was(command: Command, serve: Serve, configured: Configured) -> None:
    service = serve(refuse={"0102$": None})
    config = configured(service)
    assert command("import", "list.csv", "--config", config, "--run-dir", "runs/first").code == 1
    service.control(refuse={})
    ended = command("import", "runs/first/resubmit.csv", "--config", config, "--run-dir", "runs/second")
    assert ended.code == 1, "one is no number still"
    assert statuses("second") == {"accepted": 1, "invalid": 1}


def test_rows_with_other_content_go_as_updates(command: Command, serve: Serve, configured: Configured) -> None:
    service = serve()
    config = configured(service)
    content = "customer_id,first_name,mobile,email\n1,Ann,(416) 555-0101,\n2,Ben,416-555-0102,\n"
    Path("list.csv").write_text(content)
    assert command("import", "list.csv", "--config", config).code == 0
    Path("list.csv").write_text(content.replace("Ben", "Benjamin"))
    assert command("import", "list.csv", "--config", config, "--run-dir", "runs/second").code == 1
    assert statuses("second") == {"duplicate": 1, "changed": 1}
    file = Path("runs/second/resubmit.csv")
    soon = ("--set", "delivery.late_effect=0.1")
    assert command("import", file, "--config", config, *soon, "--mode", "upsert", "--run-dir", "runs/third").code == 0
    assert people(service) == {"+14165550101": "Hi Ann", "+14165550102": "Hi Benjamin"}


def test_sources_of_different_columns_and_delimiters(command: Command, serve: Serve, configured: Configured) -> None:
    service = serve()
    config = configured(service)
    Path("a.csv").write_text("customer_id;first_name;mobile;email;note\n1;Ann;12;;=x\n2;Ben;416-555-0102;;\n")
    Path("b.csv").write_text("+first,email,mobile,first_name,customer_id\n5.1,,n/a,Eve,05\n")
    assert command("import", "a.csv", "b.csv", "--config", config, "--run-dir", "runs/first").code == 1
    file = Path("runs/first/resubmit.csv")
    header, *rows = read(file, ";")
    assert header[:-3] == ["customer_id", "first_name", "mobile", "email", "note", "'+first"]
    assert [row[:-3] for row in rows] == [["1", "Ann", "12", "", "'=x", ""], ["'05", "Eve", "n/a", "", "", "'5.1"]]
    text = file.read_text(encoding="utf-8-sig").replace(";12;", ";416-555-0101;").replace("n/a", "'(416) 555-0105")
    Path("mended.csv").write_text(text)
    assert command("import", "mended.csv", "--config", config, "--run-dir", "runs/second").code == 0
    assert people(service) == {"+14165550101": "Hi Ann", "+14165550102": "Hi Ben", "+14165550105": "Hi Eve"}
    assert pl.read_parquet("runs/second/ledger.parquet")["key"].to_list() == ["1", "05"]


def test_rows_of_a_parquet_file_come_back_as_they_were(command: Command, serve: Serve, configured: Configured) -> None:
    service = serve()
    config = configured(service)
    config.write_text(config.read_text().replace("Hi {first_name}", "{day} {at} {yes} {sum} {first_name}"))
    values = {
        "customer_id": [1, 20_000_000_000_000_000],
        "day": [date(2024, 3, 4), date(1999, 12, 31)],
        "at": [datetime(2024, 3, 4, 12, 30, tzinfo=UTC), datetime(2024, 3, 4, 12, 30, 1, 500_000, tzinfo=UTC)],
        "yes": [True, False],
        "sum": [1.5, 1e17],
        "first_name": ["0123", "TRUE"],
        "mobile": [4165550101.0, 4165550102.0],
        "email": [None, None],
    }
    pl.DataFrame(values, schema_overrides={"email": pl.String}).write_parquet("whole.parquet")
    values["mobile"] = [12.0, 13.0]
    pl.DataFrame(values, schema_overrides={"email": pl.String}).write_parquet("list.parquet")
    assert command("check", "whole.parquet", "--config", config, "--run-dir", "runs/whole").code == 0
    assert command("import", "list.parquet", "--config", config, "--run-dir", "runs/first").code == 1
    text = Path("runs/first/resubmit.csv").read_text(encoding="utf-8-sig")
    Path("mended.csv").write_text(text.replace(",12,", ",4165550101,").replace(",13,", ",4165550102,"))
    assert command("import", "mended.csv", "--config", config, "--run-dir", "runs/second").code == 0
    due, found = (pl.read_parquet(f"runs/{name}/ledger.parquet") for name in ("whole", "second"))
    told = ["key", "contact_id", "content", "sms"]
    assert found.select(told).equals(due.select(told))


def test_a_masked_file_sends_nothing(command: Command, serve: Serve, configured: Configured) -> None:
    service = serve(refuse={"@": None})
    config = configured(service)
    given = ("--config", config, "--set", "ledger.mask=true")
    assert command("import", "list.csv", *given, "--run-dir", "runs/first").code == 1
    service.control(refuse={})
    before = people(service)
    ended = command("import", "runs/first/resubmit.csv", *given, "--run-dir", "runs/second")
    assert ended.code == 1
    assert set(statuses("second")) == {"invalid"}
    assert "holds a masked destination: type it anew" in ended.out
    assert people(service) == before
