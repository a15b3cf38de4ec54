"""Settings: values, secrets, and every mistake reported at once with its place."""

from pathlib import Path

import pytest
import tomli_w

from pipeline import configfile, targets
from pipeline.config import needed_columns
from pipeline.errors import ConfigError
from pipeline.values import Secret, Share, seconds

GOOD = """
[target]
system = "onc"
endpoint = "https://pop.example.com/onc.svc"
account_id = "acme"
username = { env = "ONC_USER" }
password = { file = "secret.txt" }
campaign_id = "7C9E6679-7425-40de-944b-e07fc1f90ae7"

[contacts]
key = ["customer_id"]
region = "CA"
suppress = ["do-not-contact.csv"]
where = { column = "segment", in = ["A"] }
[contacts.sms]
destination = "{mobile}"
text = "Hi {first_name}, see you on {date} {{not a column}}."
when = { column = "opt_in", in = ["yes"] }
"""


def load(path: Path, text: str, *overrides: str) -> configfile.Loaded:
    path.write_text(text)
    return configfile.load([path], overrides, targets.settings_model)


def test_defaults_are_those_of_the_interface(tmp_path):
    loaded = load(tmp_path / "c.toml", GOOD)
    assert loaded.problems == ()
    settings = loaded.settings
    delivery, sessions = settings.delivery, settings.sessions
    assert (delivery.sessions, delivery.calls_per_session, delivery.rate, delivery.adaptive) == (8, 1, 0, True)
    assert (delivery.timeout, delivery.late_effect, delivery.attempts) == (30, 30, 5)
    assert (delivery.outage, delivery.stop_within) == (900, 20)
    assert (sessions.idle_limit, sessions.renew_margin, sessions.wait) == (1200, 120, 0)
    contacts = settings.contacts
    assert (contacts.on_invalid, contacts.unique, contacts.phone_type) == ("channel", "key", "warn")
    assert settings.state.known == ("state", "target")
    assert (settings.ledger.formats, settings.ledger.mask) == (("parquet", "csv"), False)
    assert settings.target.campaign == "7c9e6679-7425-40de-944b-e07fc1f90ae7"


def test_paths_are_relative_to_their_own_file(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first, second = tmp_path / "a" / "one.toml", tmp_path / "b" / "two.toml"
    first.write_text(GOOD)
    second.write_text('[http]\nca = "ca.pem"\n')
    loaded = configfile.load([first, second], [], targets.settings_model)
    assert loaded.settings.contacts.suppress == (tmp_path / "a" / "do-not-contact.csv",)
    assert loaded.settings.target.password.file == tmp_path / "a" / "secret.txt"
    assert loaded.settings.http.ca == tmp_path / "b" / "ca.pem"


def test_all_mistakes_are_told_at_once_each_with_its_place(tmp_path):
    path = tmp_path / "c.toml"
    text = GOOD.replace('key = ["customer_id"]', "key = 5").replace("[contacts.sms]", "[contacts.sms]\nretrys = 3")
    text = text.replace("campaign_id", "campain_id") + '[delivery]\nsessions = 0\noutage = "soon"\n[nonsense]\n'
    problems = load(path, text, "sessions.wait=[]").problems
    places = [problem.split(": ")[0:2] for problem in problems]
    lines = {n: i for i, line in enumerate(text.splitlines(), 1) for n in [line.split(" =")[0]]}
    for key, table in (
        ("key", "contacts"),
        ("retrys", "contacts.sms"),
        ("campain_id", "target"),
        ("sessions", "delivery"),
        ("outage", "delivery"),
    ):
        assert [f"{path}:{lines[key]}", f"{table}.{key}"] in places, problems
    assert any(problem.startswith(f"{path}: target.campaign_id: is missing") for problem in problems)
    assert any("nonsense: there is no such section" in problem for problem in problems)
    assert any(problem.startswith("--set sessions.wait: ") for problem in problems)
    assert len(problems) == 8


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[target\n", "is not TOML"),
        ("[target]\nsystem = 'fax'\n[contacts.sms]\ndestination='{a}'\n", "there is no system 'fax'; known are onc"),
        ("[contacts.sms]\ndestination='{a}'\n", "target.system: is missing"),
        ("[target]\nsystem='onc'\n", "contacts: is missing"),
        (GOOD + "[ledger]\nformats = []\n", "ledger.formats"),
        (GOOD.replace("retries", "x") + "retries = 256\n", "contacts.sms.retries"),
    ],
)
def test_one_mistake(tmp_path, text, words):
    assert words in "\n".join(load(tmp_path / "c.toml", text).problems)


def test_a_missing_file_and_one_that_is_not_text(tmp_path):
    problems = configfile.load([tmp_path / "none.toml"], [], targets.settings_model).problems
    assert problems == (f"{tmp_path / 'none.toml'}: cannot be read: No such file or directory",)
    (tmp_path / "c.toml").write_bytes(b"\xff\xfe\x00")
    assert "is not UTF-8" in configfile.load([tmp_path / "c.toml"], [], targets.settings_model).problems[0]


def test_overrides_are_toml_or_text(tmp_path):
    loaded = load(
        tmp_path / "c.toml", GOOD, "delivery.sessions=3", "target.account_id=plain text", "contacts.key=['a']"
    )
    assert loaded.settings.delivery.sessions == 3
    assert loaded.settings.target.account_id.read() == "plain text"
    assert loaded.settings.contacts.key == ("a",)
    assert load(tmp_path / "c.toml", GOOD, "nothing").problems == ("--set nothing: is written as dotted.key=VALUE",)


def test_a_secret_given_anew_replaces_the_reference(tmp_path):
    loaded = load(tmp_path / "c.toml", GOOD, 'target.password={env="OTHER"}')
    assert loaded.settings.target.password.env == "OTHER"
    assert loaded.settings.target.password.file is None


def test_where_no_list_is_read_there_need_be_no_mapping(tmp_path):
    config = tmp_path / "c.toml"
    config.write_text(GOOD.partition("[contacts]")[0])
    loaded = configfile.load([config], [], targets.settings_model, mapped=False)
    assert loaded.problems == ()
    assert loaded.settings is not None
    assert loaded.settings.contacts.channels == {}


def test_secrets_are_read_when_needed_and_never_shown(tmp_path, monkeypatch):
    settings = load(tmp_path / "c.toml", GOOD).settings
    monkeypatch.delenv("ONC_USER", raising=False)
    with pytest.raises(ConfigError, match="target.username: the environment variable ONC_USER is not set"):
        settings.target.username.read()
    monkeypatch.setenv("ONC_USER", "importer")
    assert settings.target.username.read() == "importer"
    with pytest.raises(ConfigError, match=r"target.password: cannot read .*secret\.txt"):
        settings.target.password.read()
    (tmp_path / "secret.txt").write_text("hunter2\n")
    assert settings.target.password.read() == "hunter2"
    (tmp_path / "secret.txt").write_text("rotated\n")
    assert settings.target.password.read() == "rotated"
    for shown in (repr(settings), str(settings), settings.model_dump_json(warnings=False, fallback=str)):
        assert "hunter2" not in shown
        assert "importer" not in shown


def test_a_prompt_needs_a_terminal():
    with pytest.raises(ConfigError, match="needs a terminal"):
        Secret("target.password", prompt=True).read()


def test_a_literal_password_is_written_nowhere(tmp_path):
    settings = load(tmp_path / "c.toml", GOOD, "target.password=hunter2").settings
    assert "hunter2" not in tomli_w.dumps(configfile.dump(settings))
    assert "password" not in configfile.dump(settings)["target"]


def test_what_is_written_to_run_toml_reads_back_the_same_without_literal_secrets(tmp_path):
    settings = load(tmp_path / "c.toml", GOOD).settings
    tables = configfile.dump(settings)
    assert tables["target"]["username"] == {"env": "ONC_USER"}
    assert tables["target"]["account_id"] == "acme", "a name is no secret"
    again = load(tmp_path / "again.toml", tomli_w.dumps(tables)).settings
    assert configfile.dump(again) == tables
    assert again.contacts == settings.contacts
    assert again.delivery == settings.delivery


@pytest.mark.parametrize(
    ("value", "expected"),
    [(5, 5), (1.5, 1.5), ("90s", 90), ("20m", 1200), ("1h", 3600), ("250ms", 0.25), ("2d", 172800)],
)
def test_durations(value, expected):
    assert seconds(value) == expected


@pytest.mark.parametrize("value", ["", "20", "m", "-5s", -1, True, None, "1e3s", "20 minutes", float("inf")])
def test_no_durations(value):
    with pytest.raises(ValueError, match="duration"):
        seconds(value)


def test_shares():
    assert Share.parse("5").exceeded(6, 6)
    assert not Share.parse("5").exceeded(5, 5)
    assert Share.parse("0").exceeded(1, 1)
    percent = Share.parse("5%")
    assert not percent.exceeded(999, 999), "a percentage counts after 1,000 rows"
    assert percent.exceeded(51, 1000)
    assert not percent.exceeded(50, 1000)
    assert percent.exceeded(1, 10, final=True)
    for text in ("", "x", "-1", "101%", "5 %%", "1.5"):
        with pytest.raises(ValueError, match="number of rows"):
            Share.parse(text)


def test_every_column_of_the_mapping_is_needed(tmp_path):
    contacts = load(tmp_path / "c.toml", GOOD).settings.contacts
    assert needed_columns(contacts) == {
        "customer_id": "contacts.key",
        "segment": "contacts.where.column",
        "mobile": "contacts.sms.destination",
        "first_name": "contacts.sms.text",
        "date": "contacts.sms.text",
        "opt_in": "contacts.sms.when.column",
    }
