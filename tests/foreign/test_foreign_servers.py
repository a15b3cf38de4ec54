"""Imports into SOAP servers that others wrote, with WSDLs unlike ours: what they hold is what the ledger says."""

from collections.abc import Callable
from pathlib import Path

import pytest
from foreign.kit import Server, differences, import_list, write_list

DATA = Path(__file__).parent / "data"
ROWS = 150

#: Calls that a session lives for; None outlasts an import of so many rows.
SHORT_LIVED = 25


def imported(tmp_path: Path, server: Server, wsdl: str, endpoint: str | None, *, expiring: bool = False) -> None:
    """Import a list, and compare row by row."""
    rows = write_list(tmp_path / "list.csv", ROWS)

    result = import_list(tmp_path, tmp_path / "list.csv", wsdl, endpoint)

    dump = server.dump()
    assert differences(tmp_path, rows, dump) == []
    assert result.error is None
    assert result.summary.exit_code == 1  # the list holds rows that are invalid, and rows that are refused
    counts = result.summary.counts
    assert counts["accepted"] == len(dump["held"]) > ROWS / 2
    assert min(counts[name] for name in ("rejected", "invalid", "duplicate", "suppressed")) > 0
    assert dump["open"] == 0
    assert dump["counts"]["opened"] == dump["counts"]["closed"] + dump["counts"]["expired"]
    assert (dump["counts"]["expired"] > 0) == expiring


@pytest.mark.parametrize("expire", [0, SHORT_LIVED], ids=["lasting sessions", "sessions that expire"])
def test_node_soap_with_soap_12_and_types_over_several_files(
    node: Callable[..., Server], tmp_path: Path, expire: int
) -> None:
    wsdl = DATA / "courier" / "courier.wsdl"
    server = node(wsdl, service="Courier", port="CourierTwelve", soap12=True, expire=expire)

    imported(tmp_path, server, str(wsdl), f"{server.url}/notify", expiring=bool(expire))


@pytest.mark.parametrize("expire", [0, SHORT_LIVED], ids=["lasting sessions", "sessions that expire"])
def test_php_with_unqualified_members_and_two_services(php: Callable[..., Server], tmp_path: Path, expire: int) -> None:
    wsdl = DATA / "facteur.wsdl"
    server = php(wsdl, expire=expire)

    imported(tmp_path, server, str(wsdl), f"{server.url}/", expiring=bool(expire))


@pytest.mark.parametrize("expire", [0, SHORT_LIVED], ids=["lasting sessions", "sessions that expire"])
def test_php_with_rpc_whose_null_is_an_empty_element(php: Callable[..., Server], tmp_path: Path, expire: int) -> None:
    wsdl = DATA / "postbote-literal.wsdl"
    server = php(wsdl, expire=expire)

    imported(tmp_path, server, str(wsdl), f"{server.url}/", expiring=bool(expire))


@pytest.mark.parametrize("expire", [0, SHORT_LIVED], ids=["lasting sessions", "sessions that expire"])
def test_spyne_with_the_wsdl_that_it_serves_and_strict_validation(
    herald: Callable[..., Server], tmp_path: Path, expire: int
) -> None:
    server = herald(expire=expire)

    imported(tmp_path, server, f"{server.url}/notify?wsdl", None, expiring=bool(expire))


def test_a_server_that_validates_against_another_schema_ends_the_run_at_once(
    herald: Callable[..., Server], tmp_path: Path
) -> None:
    server = herald()
    write_list(tmp_path / "list.csv", ROWS)

    result = import_list(tmp_path, tmp_path / "list.csv", str(DATA / "facteur.wsdl"), f"{server.url}/notify")

    assert result.summary.exit_code == 6
    assert "target.wsdl" in (result.error or "")
    assert server.dump()["held"] == []
