"""What `[target]` and the mapping may hold for Genesys Web Services."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from pydantic import ValidationError
from targets.genesys_kit import FIELDS

from pipeline import configfile
from pipeline.config import ContactsSettings, read_secrets
from pipeline.configfile import load
from pipeline.errors import ConfigError
from pipeline.targets import settings_model
from pipeline.targets.genesys import TARGET_SETTINGS

NEEDED = {
    "endpoint": "https://gws.example.com",
    "users": [{"username": "agent1", "password": {"env": "GENESYS_PASSWORD"}}],
}


def make(**given: Any) -> Any:
    return TARGET_SETTINGS.model_validate({**NEEDED, **given}, context={"base": Path("/configs")})


def test_defaults() -> None:
    made = make()
    assert (made.system, made.path, made.channels, made.require) == ("genesys", "/api/v2/me", ("voice",), "all")
    codes = made.codes
    assert (codes.session, codes.transient, codes.duplicate) == (("20",), ("4", "19"), ("18",))
    assert codes.unknown == ("7", "9")
    assert (made.place, made.campaign) == ("https://gws.example.com/api/v2/me", "")


def test_where_records_go() -> None:
    made = make(campaign_name="Spring", calling_list="List 1", endpoint="https://gws.example.com/", place="p")
    assert (made.campaign, made.session_place) == ("Spring/List 1", "p")
    assert made.identity == "https://gws.example.com/api/v2/me"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"endpoint": "gws.example.com"}, "http or https address"),
        ({"endpoint": "https://me:secret@gws.example.com"}, "holds a user name or password"),
        ({"endpoint": "https://gws.example.com?x=1"}, "an address without a query"),
        ({"path": "api"}, "is a path such as /api/v2/me"),
        ({"users": []}, "at least 1 item"),
        ({"users": [{"username": "agent1"}]}, "Field required"),
        ({"users": [{"username": "a", "password": "b", "pass": 1}]}, "Extra inputs"),
        ({"channels": []}, "at least 1 item"),
        ({"require": "some"}, 'is "all" or a list of channels'),
        ({"require": ["chat"]}, "require names chat, which is not among channels"),
        ({"workmode": "aManualIn"}, "'ManualIn' or 'AutoIn'"),
        ({"codes": {"session": [0]}}, "0 always means success"),
        ({"codes": {"session": ["gone"]}}, "is a list of result codes"),
        ({"codes": {"duplicate": [20]}}, "code 20 is listed with two meanings"),
    ],
)
def test_mistakes(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        make(**given)


def mapping(**given: Any) -> ContactsSettings:
    return ContactsSettings.model_validate({"sms": {"destination": "{mobile}"}, "fields": FIELDS, **given})


@pytest.mark.parametrize(
    ("given", "place", "message"),
    [
        ({"email": {"destination": "{mail}"}}, "contacts.email", "a record has a phone number and no address of mail"),
        ({"voice": {"destination": "{landline}"}}, "contacts.voice", "a record has one phone number"),
        ({"sms": {"destination": "{m}", "text": "Hi"}}, "contacts.sms.text", "has no place at this target"),
        ({"sms": {"destination": "{m}", "retries": 4}}, "contacts.sms.retries", "has no place at this target"),
        (
            {"fields": {**FIELDS, "fullName": "{name}"}},
            "contacts.fields.fullName",
            "is no field of a record; there are",
        ),
        ({"fields": {**FIELDS, "otherFields.": "{name}"}}, "contacts.fields.otherFields.", "is no field of a record"),
        ({"fields": {**FIELDS, "phoneNumber": "{m}"}}, "contacts.fields.phoneNumber", "is the destination of"),
        ({"fields": {**FIELDS, "campaignName": "x"}}, "contacts.fields.campaignName", "by target.campaign_name"),
        (
            {"fields": {"timeZone": "GMT"}},
            "contacts.fields",
            "a record must have applicationId, phoneType, from, until",
        ),
    ],
)
def test_what_a_record_has_no_place_for(given: dict[str, Any], place: str, message: str) -> None:
    made = make(campaign_name="Spring", calling_list="List 1")
    assert made.misfits(mapping()) == []
    [(found, words)] = made.misfits(mapping(**given))
    assert found == place
    assert message in words


def test_campaign_and_list_come_from_somewhere() -> None:
    [(place, words)] = make(calling_list="List 1").misfits(mapping())
    assert (place, words) == ("contacts.fields", "a record must have campaignName too")


CONFIG = """\
[target]
system = "genesys"
endpoint = "https://gws.example.com"
place = "SIP_5000"
campaign_name = "Spring"
calling_list = "List 1"
[[target.users]]
username = "agent1"
password = { file = "one.txt" }
[[target.users]]
username = "agent2"
password = "literal-secret"
login_code = { env = "NO_SUCH" }
[contacts.voice]
destination = "{mobile}"
[contacts.fields]
applicationId = "134"
"""


def test_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Secrets of users are read early, files are looked for beside the configuration, the record holds no secret."""
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf/config.toml").write_text(CONFIG.replace('"134"\n', '"134"\nphoneNumber = "1"\n'))
    (tmp_path / "more.toml").write_text("")
    monkeypatch.chdir(tmp_path)
    files = [Path("conf/config.toml"), Path("more.toml")]
    told = load(files, [], settings_model)
    assert told.problems == (
        "conf/config.toml:18: contacts.fields.phoneNumber: is the destination of [contacts.sms] or [contacts.voice]",
        "conf/config.toml:16: contacts.fields: a record must have phoneType, timeZone, from, until, devicePath too",
    )
    lines = "\n".join(f'{name} = "{value}"' for name, value in FIELDS.items())
    (tmp_path / "conf/config.toml").write_text(CONFIG.partition("applicationId")[0] + lines)
    loaded = load(files, [], settings_model)
    assert loaded.settings is not None, loaded.problems
    target: Any = loaded.settings.target
    with pytest.raises(ConfigError) as info:
        read_secrets(target)
    assert info.value.problems == (
        "target.users.password (user 1): cannot read " + str(tmp_path / "conf/one.txt") + ": No such file or directory",
        "target.users.login_code (user 2): the environment variable NO_SUCH is not set",
    )
    dumped = tomli_w.dumps(configfile.dump(loaded.settings))
    assert "literal-secret" not in dumped
    assert 'place = "SIP_5000"' in dumped
    assert set(target.credentials()) == {"users", "login_code", "agent_login_password"}


def test_the_settings_come_without_what_a_run_needs() -> None:
    """`--help` and a check of the configuration do not pay for it."""
    code = (
        "import sys, pipeline.targets.genesys, pipeline.targets as t; t.settings_model('genesys');"
        "assert not {'lxml', 'zeep'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
