"""What `[target]` may hold for an ONC service."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from targets.onc_kit import CAMPAIGN

from pipeline.targets.onc import TARGET_SETTINGS

NEEDED = {
    "endpoint": "https://onc.example.com/onc.svc",
    "account_id": "acme",
    "username": "importer",
    "password": {"env": "ONC_PASSWORD"},
    "campaign_id": CAMPAIGN,
}


def make(**given: Any) -> Any:
    return TARGET_SETTINGS.model_validate({**NEEDED, **given}, context={"base": Path("/configs")})


def test_defaults() -> None:
    made = make()
    assert made.system == "onc"
    assert (made.dialect, made.keeps_ids, made.max_message, made.wsdl) == ("wcf", "ask", 65_536, None)
    assert (made.codes.session, made.codes.transient, made.codes.duplicate) == ((), (), ())


@pytest.mark.parametrize("text", ["{%s}", "%s", " %s "])
def test_campaign_id_is_normalised(text: str) -> None:
    assert make(campaign_id=text % "7C9E6679-7425-40DE-944B-E07FC1F90AE7").campaign_id == (
        "7c9e6679-7425-40de-944b-e07fc1f90ae7"
    )


def test_codes_are_text_however_they_are_written() -> None:
    codes = make(codes={"session": [17, "18", 17], "transient": ["-3"], "duplicate": [5]}).codes
    assert (codes.session, codes.transient, codes.duplicate) == (("17", "18"), ("-3",), ("5",))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"campaign_id": "spring"}, "is no GUID"),
        ({"endpoint": "onc.example.com"}, "http or https address"),
        ({"endpoint": "ftp://onc.example.com"}, "http or https address"),
        ({"endpoint": "https://"}, "http or https address"),
        ({"endpoint": "https://host:port/"}, "http or https address"),
        ({"endpoint": None}, "endpoint is missing: set target.endpoint"),
        ({"wsdl": ""}, "is empty"),
        ({"wsdl": "ftp://onc.example.com/x"}, "is a path, or an http or https address"),
        ({"dialect": "soap"}, "'wcf' or 'asmx'"),
        ({"keeps_ids": "maybe"}, "'ask'"),
        ({"codes": {"session": 17}}, "is a list of result codes"),
        ({"codes": {"session": ["gone"]}}, "is a list of result codes"),
        ({"codes": {"session": [True]}}, "is a list of result codes"),
        ({"codes": {"session": [0]}}, "0 always means success"),
        ({"codes": {"session": [1], "duplicate": ["1"]}}, "code 1 is listed with two meanings"),
        ({"codes": {"gone": [1]}}, "Extra inputs"),
        ({"max_message": 10}, "1024"),
    ],
)
def test_mistakes(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        make(**given)


def test_a_wsdl_is_a_path_beside_the_config_or_an_address() -> None:
    assert make(wsdl="contract.wsdl").wsdl == "/configs/contract.wsdl"
    assert make(wsdl="https://onc.example.com/onc.svc?wsdl", endpoint=None).wsdl.endswith("?wsdl")


def test_the_settings_come_without_soap_and_xml() -> None:
    """`--help` and a check of the configuration do not pay for what only a run needs."""
    code = (
        "import sys, pipeline.targets.onc; "
        "print(*sorted({name.partition('.')[0] for name in sys.modules} & {'zeep', 'lxml', 'requests'}))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == []
