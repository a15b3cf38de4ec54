"""The ledger in polars, DuckDB and pandas: the questions of the README, as they stand there, and the same answers."""

import csv
import re
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pytest
from cli.kit import Ended

from pipeline.simulator import RunningSimulator

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
PART = README.partition("### Reading the ledger\n")[2].partition("\n### ")[0]
POLARS, DUCKDB, PANDAS = re.findall(r"^```(?:python|sql)\n(.*?)^```$", PART, re.MULTILINE | re.DOTALL)

#: Of each domain so many people, and so many of them whom the target refuses: their number ends in 77.
DOMAINS = {"example.com": (20, 2), "example.net": (7, 0), "example.org": (5, 4)}


@pytest.fixture
def places(
    command: Callable[..., Ended], serve: Callable[..., RunningSimulator], configured: Callable[..., Path]
) -> dict[str, list[int]]:
    """A run in runs/first; its lines to mend, by status."""
    lines = ["customer_id,first_name,mobile,email"]
    refused = []
    for domain, (people, bad) in DOMAINS.items():
        for person in range(people):
            lines.append(f"00{len(lines)},Ann,+1 416 555 01{'77' if person < bad else '01'},a{person}@{domain.title()}")
            refused += [len(lines)] * (person < bad)
    lines += ["0901,Ben,no number,", "0902,Ben,,", "0903,Ben,no number,", "001,Ann,+1 416 555 0101,"]
    Path("list.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    config = configured(serve(refuse={"77$": None}))
    ended = command("import", "list.csv", "--config", config, "--canary", "0", "--run-dir", "runs/first")
    assert ended.code == 1, ended.err
    return {"rejected": refused, "words": [len(lines) - 3, len(lines) - 1], "empty": [len(lines) - 2]}


def in_polars() -> dict[str, list[tuple[Any, ...]]]:
    known: dict[str, Any] = {}
    exec(POLARS, known)
    return {name: known[name].rows() for name in ("mend", "speed", "latency", "domains")}


def in_duckdb() -> dict[str, list[tuple[Any, ...]]]:
    view, *questions = (statement for statement in DUCKDB.split(";") if statement.strip())
    with duckdb.connect() as connection:
        connection.execute(view)
        answers = [connection.sql(question).pl().rows() for question in questions]
    return dict(zip(("mend", "speed", "latency", "domains"), answers, strict=True))


def in_pandas() -> dict[str, list[tuple[Any, ...]]]:
    known: dict[str, Any] = {}
    exec(PANDAS, known)
    return {
        "mend": list(known["mend"].itertuples(name=None)),
        "speed": [(minute.to_pydatetime(), rows) for minute, rows in known["speed"].items()],
        "latency": [tuple(known["latency"])],
        "domains": list(known["domains"].itertuples(name=None)),
    }


def test_three_questions_in_three_tools(places: dict[str, list[int]]) -> None:
    with Path("runs/first/ledger.csv").open(encoding="utf-8", newline="") as file:
        accepted = [row for row in csv.DictReader(file) if row["status"] == "accepted"]
    minutes = Counter(datetime.fromisoformat(row["settled_at"]).replace(second=0, microsecond=0) for row in accepted)
    took = sorted(float(row["latency_ms"]) for row in accepted)

    def quantile(share: float) -> float:
        at = share * (len(took) - 1)
        return took[int(at)] + (took[min(int(at) + 1, len(took) - 1)] - took[int(at)]) * (at % 1)

    bad = {domain: (people, refused / people) for domain, (people, refused) in DOMAINS.items()}
    for answers in (in_polars(), in_duckdb(), in_pandas()):
        assert [list(lines) for _, _, lines in answers["mend"]] == list(places.values())
        assert [rows for _, rows, _ in answers["mend"]] == [len(lines) for lines in places.values()]
        reasons = [reason.split()[0] for reason, _, _ in answers["mend"]]
        assert reasons == ["the", "sms:", "no"], "the target refused it; sms: not a valid number; no destination"
        assert answers["speed"] == sorted(minutes.items())
        assert answers["latency"] == [pytest.approx((quantile(0.5), quantile(0.95)), rel=1e-5)]
        assert answers["domains"] == [
            (domain, *bad[domain]) for domain in ("example.org", "example.com", "example.net")
        ]


def test_the_csv_read_as_text(places: dict[str, list[int]]) -> None:
    from_polars, from_pandas, from_duckdb = (
        found[1]
        for tool in ("polars", "pandas", "DuckDB")
        if (found := re.search(rf"^\| {tool} \| `(.*)` \|$", PART, re.MULTILINE))
    )
    frames = {
        "polars": eval(from_polars, {"pl": pl}),
        "pandas": pl.from_pandas(eval(from_pandas, {"pd": pd})),
        "duckdb": duckdb.sql(from_duckdb).pl(),
    }
    ledger = pl.read_parquet("runs/first/ledger.parquet")
    for tool, frame in frames.items():
        for name in ("key", "contact_id", "reason", "code", "sms", "email"):
            assert frame[name].to_list() == ledger[name].to_list(), f"{name} in {tool}"
    assert ledger["key"][0] == "001"
    assert str(ledger["sms"][0]).startswith("+1416")
    guessed = pd.read_csv("runs/first/ledger.csv")["sms"]
    assert guessed.dtype == "float64", "what the README warns of"
