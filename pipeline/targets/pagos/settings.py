"""What `[target]` holds for a SpreadsheetWEB application; importing it costs nothing but pydantic."""

from typing import ClassVar, Final, Literal

from pydantic import ConfigDict, Field, StrictBool, StrictInt, field_validator, model_validator

from pipeline.config import ContactsSettings, Section, TargetSettings
from pipeline.targets.addresses import checked_address
from pipeline.targets.channels import bare_channels
from pipeline.template import template_columns
from pipeline.values import OptionalName, OptionalSecret


class MessageSettings(Section):
    """What the application's messages mean, by parts of them, in any case. No table of codes is published; a failure
    whose messages hold none of these is settled by asking whether the session is still good.
    """

    session: tuple[str, ...] = Field((), description="the session is gone: renew, send again")
    transient: tuple[str, ...] = Field((), description="try again later")
    duplicate: tuple[str, ...] = Field((), description="the record is there already")

    @field_validator("session", "transient", "duplicate")
    @classmethod
    def _telling(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not all(part.strip() for part in value):
            raise ValueError("holds an empty text, which is part of every message")
        return tuple(part.casefold() for part in value)


#: What goes together to fetch a token.
_FETCHED: Final = ("token_url", "client_id", "client_secret")


class PagosSettings(TargetSettings):
    """A SpreadsheetWEB application: where it is, which one, and whose token lets us in."""

    entry: ClassVar[str] = "target.application_key, and the rights that go with the bearer token"
    contract: ClassVar[str] = "target.endpoint and target.application_key"

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [{"required": ["token"]}, {"required": list(_FETCHED)}],
            "dependentRequired": {name: [other for other in _FETCHED if other != name] for name in _FETCHED},
        }
    )

    system: Literal["pagos"] = Field("pagos", description="a Pagos SpreadsheetWEB application")
    endpoint: str = Field(description="address of the server, without /Api")
    application_key: str = Field(min_length=1, description="which application")
    token: OptionalSecret = Field(None, description="bearer token; without it, one is fetched by the next keys")
    token_url: str | None = Field(None, description="where a bearer token is fetched with client credentials")
    client_id: OptionalName = Field(
        None, description="with which client credentials; renewed once when the target does not take the token any more"
    )
    client_secret: OptionalSecret = Field(None, description="goes with token_url")
    scope: str | None = Field(None, min_length=1, description="scope of the token that is fetched")
    client_auth: Literal["body", "basic"] = Field(
        "body", description='where client id and secret go: in the "body", or for "basic" in a header'
    )
    record_id: StrictBool = Field(True, description="records get the ids of their contacts")
    batch: StrictInt = Field(
        1,
        ge=1,
        le=1_000,
        description="above 1: so many records of one GetBatchResults, as far as they are in flight at once "
        "(delivery.sessions × delivery.calls_per_session); a lost answer puts all of its rows in doubt",
    )
    proof: StrictBool = Field(
        True,
        description="a session is proven by a calculation that saves nothing; false: failures are told apart by a new "
        "session each",
    )
    messages: MessageSettings = Field(
        MessageSettings(),
        description="what the application's messages mean, by parts of them; a failure with other messages is settled "
        "by proving the session",
    )

    def misfits(self, contacts: ContactsSettings) -> list[tuple[str, str]]:
        """What of a mapping a record has no place for, or lacks."""
        found = bare_channels(contacts)
        if not contacts.fields:
            return [*found, ("contacts.fields", 'is missing: it says what goes where, e.g. "Sheet1!A5" = "{name}"')]
        found += [("contacts.fields", "names a cell that is empty") for name in contacts.fields if not name.strip()]
        used = {name for template in contacts.fields.values() for name in template_columns(template)}
        for name, channel in contacts.channels.items():
            if not used & {f"contact.{name}", *template_columns(channel.destination)}:
                words = f"goes nowhere: name {{contact.{name}}} in contacts.fields"
                found.append((f"contacts.{name}.destination", words))
        return found

    @property
    def campaign(self) -> str:
        """The application, which holds the records."""
        return self.application_key

    @property
    def place(self) -> str:
        """The server's address: an application is the same whoever comes to it."""
        return self.endpoint

    @field_validator("endpoint", "token_url")
    @classmethod
    def _is_address(cls, value: str | None) -> str | None:
        if value is None:
            return None
        if "?" in value or "#" in value:
            raise ValueError("is an address without a query")
        return checked_address(value).rstrip("/")

    @model_validator(mode="after")
    def _one_way_to_a_token(self) -> "PagosSettings":
        fetched = {name: getattr(self, name) for name in _FETCHED}
        given = [name for name, value in fetched.items() if value is not None]
        if self.token is not None and given:
            raise ValueError(f"token is given, and so is {', '.join(given)}: keep one way to a token")
        if self.token is None and len(given) < len(fetched):
            missing = ", ".join(name for name in fetched if name not in given)
            raise ValueError(f"token is missing; to fetch one, set {missing} too" if given else "token is missing")
        return self
