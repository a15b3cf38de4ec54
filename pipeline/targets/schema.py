"""The JSON Schema of a whole configuration, made from the models of its sections and of every system's settings.

The package carries it as config.schema.json (scripts/documents writes it), so that editors find it and nothing is made
when it is asked for. It is no stricter than the program. What it cannot say, the program still refuses: that addresses,
templates and paths are in order and files are there; that `renew_margin` is below `idle_limit`; that codes have one
meaning and channels of `require` are among `channels`; that a mapping suits the system; what `import` needs and
`session check` does not (`[contacts]`, `target.campaign_id`). It judges TOML as JSON: a date is text there.
"""

import json
import operator
from functools import reduce
from typing import Any, Final

from pydantic import Field, create_model

from pipeline.config import ContactsSettings, Settings
from pipeline.targets import REGISTER, settings_model

#: What pydantic adds and nobody needs: names made of names, and a keyword of another language.
_NOISE: Final = ("title", "discriminator")


def config_schema() -> dict[str, Any]:
    """The schema (draft 2020-12). A `[target]` is judged by the settings of its `system`."""
    systems: Any = reduce(operator.or_, (settings_model(system) for system in REGISTER))
    sections: Any = {
        "target": (systems, Field(discriminator="system", description="the system to import into, and who we are")),
        "contacts": (ContactsSettings | None, None),
    }
    whole = create_model("Configuration", __base__=Settings, **sections)
    made: dict[str, Any] = _plain(whole.model_json_schema())
    for system in REGISTER:
        definition = made["$defs"][_definition(made, system)]
        definition["required"] = ["system", *definition.get("required", ())]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A configuration of contact-pipeline",
        **made,
    }


def as_text(schema: dict[str, Any]) -> str:
    """The schema as its file has it."""
    return json.dumps(schema, ensure_ascii=False, indent=2) + "\n"


def _definition(schema: dict[str, Any], system: str) -> str:
    """The name of the definition of a system's settings."""
    for name, definition in schema["$defs"].items():
        if definition["properties"].get("system", {}).get("const") == system:
            return str(name)
    raise KeyError(system)


def _plain(node: Any, *, names: bool = False) -> Any:
    """What pydantic makes, without what TOML cannot hold (null) and what says nothing. `names`: the keys of this node
    are those of the configuration.
    """
    if isinstance(node, list):
        return [_plain(each) for each in node]
    if not isinstance(node, dict):
        return node
    if names:
        return {key: _plain(value) for key, value in node.items()}
    plain = {
        key: _plain(value, names=key in ("properties", "$defs"))
        for key, value in node.items()
        if key not in _NOISE
        and not (key == "format" and value == "path")
        and not (key == "default" and (value is None or isinstance(value, dict)))
    }
    kinds = [each for each in plain.get("anyOf", ()) if each != {"type": "null"}]
    if len(kinds) == 1:  # X or nothing
        del plain["anyOf"]
        plain = {**kinds[0], **plain}
    elif kinds:
        plain["anyOf"] = kinds
    return plain
