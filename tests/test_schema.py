"""The JSON Schema that ships and the program agree on what a configuration is, as far as a schema can say."""

import copy
import json
import tomllib
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from cli.kit import CONFIG, run
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from pipeline import configfile
from pipeline.config import Section, Settings
from pipeline.tables import Places
from pipeline.targets import REGISTER, settings_model

ROOT = Path(__file__).parents[1]
SCHEMA = json.loads((ROOT / "pipeline/config.schema.json").read_text(encoding="utf-8"))
VALIDATOR = Draft202012Validator(SCHEMA)

#: What ships, with its comments' settings spelt out; one more for what none of them has.
CONFIGS: dict[str, dict[str, Any]] = {
    path.stem: tomllib.loads(path.read_text(encoding="utf-8"))
    for path in sorted((ROOT / "configs").glob("*.toml"))
    if path.stem != "campaign"
}
CONFIGS["kit"] = tomllib.loads(CONFIG.format(endpoint="https://pop.example.com/onc.svc"))
CONFIGS["all"] = copy.deepcopy(CONFIGS["kit"]) | {
    "http": {"ca": "", "proxy": "http://proxy.example.com:3128"},
    "delivery": {
        "sessions": 8,
        "calls_per_session": 2,
        "rate": 0.5,
        "adaptive": True,
        "timeout": 30,
        "late_effect": "30s",
        "attempts": 5,
        "outage": "15m",
        "stop_within": 20,
    },
    "sessions": {"idle_limit": "20m", "renew_margin": 0, "wait": "0s"},
    "state": {"directory": "state", "known": ["state"]},
    "ledger": {"formats": ["csv"], "mask": True},
    "notify": {"url": {"env": "HOOK"}, "headers": {"Authorization": {"env": "TOKEN"}}, "on": "failure"},
}
CONFIGS["all"]["target"] |= {
    "keeps_ids": False,
    "dialect": "asmx",
    "max_message": 2048,
    "time_day": date(2026, 1, 1),
    "codes": {"session": [17, "18"], "transient": [], "duplicate": ["-3"]},
}
CONFIGS["all"]["contacts"] |= {"where": {"column": "a", "in": ["A", 1, True]}, "suppress": [], "unique": "none"}
CONFIGS["all"]["contacts"]["sms"] |= {"retries": 0, "segments": 0, "when": {"column": "ok", "in": ["yes"]}}

#: What stands in the place of a value; refused by most settings.
STRANGE: list[Any] = [
    "", "x", "5", "20m", "0s", "-1s", -1, 0, 1, 5, 10**10, 0.5, 8.5, -0.5, True, False, [], ["x"], [0], [7], {},
    {"env": "X"}, {"env": ""}, {"env": 1}, {"prompt": True}, {"prompt": False}, {"file": "f", "env": "X"}, {"x": "y"},
    [{}], [["x"]],
]  # fmt: skip

#: Mistakes that a schema cannot tell (pipeline/targets/schema.py says which), by the words of the program.
BEYOND = (
    "address", "is a path such as", "user name or password", "is missing: it says what goes", "goes nowhere",
    "renew_margin must be shorter", "listed with two meanings", "which is not among channels", "further fields",
    "is no GUID", "is empty", "empty text", "no name of a header", "has no field", "fields",
    "is a whole number of minutes", "valid date", "a duration is not negative", "zero time",
)  # fmt: skip


def program(tables: dict[str, Any]) -> tuple[str, ...]:
    """What the program finds wrong with a configuration, the mapping being a matter of the commands."""
    return configfile._validate(
        copy.deepcopy(tables),
        {"base": Path(), "mapped": False},
        settings_model,
        Places([], []),
        mapped=False,
    ).problems


def schema(tables: dict[str, Any]) -> list[str]:
    """What the schema finds wrong with it."""
    return [error.message for error in VALIDATOR.iter_errors(json.loads(json.dumps(tables, default=str)))]


def paths(node: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where every value of a configuration stands."""
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return (
        [at, *(path for key, value in inner for path in paths(value, (*at, key)))]
        if at
        else [path for key, value in inner for path in paths(value, (key,))]
    )


PLACES = [(name, path) for name, tables in CONFIGS.items() for path in paths(tables)]


def changed(name: str, path: tuple[Any, ...], change: str, value: Any) -> dict[str, Any]:
    """A configuration with one mistake, or none."""
    tables = copy.deepcopy(CONFIGS[name])
    *way, last = path
    node: Any = tables
    for key in way:
        node = node[key]
    if change == "without":
        del node[last]
    elif change == "unknown key" and isinstance(node, dict):
        node["unheard_of"] = value
    else:
        node[last] = value
    return tables


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("name", CONFIGS)
def test_good_configurations_pass_both(name: str) -> None:
    assert (schema(CONFIGS[name]), program(CONFIGS[name])) == ([], ())


@settings(max_examples=300, deadline=None)
@given(
    place=st.sampled_from(PLACES),
    change=st.sampled_from(["value", "value", "value", "without", "unknown key"]),
    value=st.sampled_from(STRANGE),
)
def test_schema_and_program_agree(place: tuple[str, tuple[Any, ...]], change: str, value: Any) -> None:
    tables = changed(*place, change, value)
    refused, problems = schema(tables), program(tables)
    if refused:
        assert problems, f"the schema alone refuses {place} {change} {value!r}: {refused}"
    elif problems:
        assert all(any(words in problem for words in BEYOND) for problem in problems), (
            f"the program alone refuses {place} {change} {value!r}: {problems}"
        )


def test_every_setting_is_described() -> None:
    def undescribed(model: type[Section], at: str) -> list[str]:
        return [f"{at}.{name}" for name, field in model.model_fields.items() if not field.description]

    models: list[type[Section]] = [settings_model(system) for system in REGISTER]
    models += [
        kind for field in Settings.model_fields.values() if (kind := field.annotation) and issubclass(kind, Section)
    ]
    assert [missing for model in models for missing in undescribed(model, model.__name__)] == []


def test_it_is_printed_where_it_is_asked_for() -> None:
    ended = run("init", "--schema")
    assert (ended.code, json.loads(ended.out), ended.err) == (0, SCHEMA, "")


def test_what_a_run_records_passes(tmp_path: Path) -> None:
    """run.toml holds the settings as they were resolved: paths absolute, defaults written out."""
    (tmp_path / "config.toml").write_text(tomli_w.dumps(CONFIGS["all"]), encoding="utf-8")
    loaded = configfile.load([tmp_path / "config.toml"], [], settings_model)
    assert loaded.settings is not None, loaded.problems
    assert schema(configfile.dump(loaded.settings)) == []
