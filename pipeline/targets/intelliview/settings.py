"""What `[target]` holds for Intelliview NXT; importing it costs nothing but pydantic."""

from typing import Annotated, ClassVar, Final, Literal

from pydantic import BeforeValidator, Field, StrictInt, WithJsonSchema

from pipeline.targets.soap.settings import ServiceSettings
from pipeline.values import NameText, SecretText, seconds


def _minutes(value: object) -> object:
    """The document counts in minutes: a number is that; text such as "20m" or "1h" must come to whole ones."""
    if not isinstance(value, str):
        return value
    minutes = seconds(value) / 60
    if minutes != int(minutes):
        raise ValueError("is a whole number of minutes, e.g. 20 or '1h'")
    return int(minutes)


_MINUTES_SCHEMA: Final = {
    "anyOf": [
        {"type": "integer", "minimum": 0, "maximum": 1_000_000},
        {"type": "string", "pattern": r"^\s*\d+(\.\d+)?\s*(ms|s|m|h|d)\s*$"},
    ]
}


class IntelliviewSettings(ServiceSettings):
    """An Intelliview NXT service: who we are, and how a session is opened (the eight documented parameters)."""

    rowless: ClassVar[str] = (
        "no call that adds a contact is documented for Intelliview NXT, so nothing can be imported into it; what works "
        "is contact-pipeline session check"
    )
    unproven: ClassVar[str] = (
        "No call that only proves a session is documented for Intelliview NXT: the proof is that the target opened it, "
        "and knew it again when it was closed."
    )

    entry: ClassVar[str] = "target.company, user name and password"

    system: Literal["intelliview"] = Field("intelliview", description="Intelliview NXT")
    company: NameText = Field(description="company short name")
    username: NameText = Field(description="who logs in")
    password: SecretText = Field(description="with which password")
    timeout: Annotated[StrictInt, BeforeValidator(_minutes), WithJsonSchema(_MINUTES_SCHEMA)] = Field(
        20,
        ge=0,
        le=1_000_000,
        description="minutes after which the target ends a session, used or not, so it is renewed before; text such "
        'as "1h" too; 0: never, which is warned of',
    )
    auth_type: StrictInt = Field(1, description="kind of authentication; 1: the system's own")
    application_type: StrictInt = Field(1, description="type of application")
    language: str = Field("en", pattern="^[a-z]{2}$", description="ISO 639-1 code of the target's messages")
    extra_param: str | None = Field(None, description="for future use; else null")

    @property
    def place(self) -> str:
        """Address, or WSDL where that gives the address, and where the company is named."""
        return f"{self.address} {self.company.origin}"

    @property
    def identity(self) -> str:
        """Address, or WSDL where that gives the address, and the company."""
        return f"{self.address} {self.company.told}"
