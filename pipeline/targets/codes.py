"""Result codes as settings list them: numbers or text, each with one meaning."""

import re
from typing import Annotated, Final, Self

from pydantic import BeforeValidator, WithJsonSchema, model_validator

from pipeline.config import Section


def _codes(value: object) -> object:
    """Codes are integers (documented); TOML may hold them as numbers or as text."""
    if not isinstance(value, list | tuple):
        raise ValueError('is a list of result codes, e.g. [17] or ["17"]')
    codes = []
    for code in value:
        text = str(code).strip() if isinstance(code, int | str) and not isinstance(code, bool) else ""
        if not re.fullmatch(r"-?[0-9]{1,10}", text):
            raise ValueError('is a list of result codes, e.g. [17] or ["17"]')
        if int(text) == 0:
            raise ValueError("0 always means success")
        codes.append(str(int(text)))
    return tuple(dict.fromkeys(codes))


_CODES_SCHEMA: Final = {
    "type": "array",
    "items": {
        "anyOf": [
            {"type": "integer", "not": {"const": 0}, "exclusiveMinimum": -(10**10), "exclusiveMaximum": 10**10},
            {"type": "string", "pattern": r"^\s*-?[0-9]{1,10}\s*$", "not": {"pattern": r"^\s*-?0+\s*$"}},
        ]
    },
}

ResultCodes = Annotated[tuple[str, ...], BeforeValidator(_codes), WithJsonSchema(_CODES_SCHEMA)]


class CodeTable(Section):
    """What result codes mean. Every field of it is one meaning and holds ResultCodes."""

    @model_validator(mode="after")
    def _one_meaning(self) -> Self:
        seen: set[str] = set()
        for meaning in type(self).model_fields:
            for code in getattr(self, meaning):
                if code in seen:
                    raise ValueError(f"code {code} is listed with two meanings")
                seen.add(code)
        return self
