"""The settings: frozen models of every section of the configuration.

A target brings its own model for `[target]`; this module knows none.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    StrictBool,
    StrictFloat,
    StrictInt,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from pipeline.errors import ConfigError
from pipeline.template import template_columns
from pipeline.values import ConfigPath, Duration, OptionalAddress, PositiveDuration, Secret, address, secret_at


class Section(BaseModel):
    """A table of the configuration: frozen, and an unknown key is a mistake."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True, validate_default=True)


def read_secrets(section: Section) -> None:
    """Read every secret of a section, and of the tables in it, once: a missing one is known early. Raises ConfigError
    with all of them.
    """
    problems: list[str] = []
    for secret in _secrets(section):
        try:
            secret.read()
        except ConfigError as error:
            problems.extend(error.problems)
    if problems:
        raise ConfigError(problems)


def _secrets(value: object) -> Iterator[Secret]:
    if isinstance(value, Secret):
        yield value
    elif isinstance(value, Section):
        for name in type(value).model_fields:
            yield from _secrets(getattr(value, name))
    elif isinstance(value, tuple | Mapping):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _secrets(item)


class TargetSettings(Section):
    """What every target's settings share."""

    #: Why contacts cannot be added to this system, in a sentence; empty: they can.
    rowless: ClassVar[str] = ""

    #: What stands in the place of a call that proves a session, in a sentence; empty: there is such a call.
    unproven: ClassVar[str] = ""

    #: What to check where a session is refused, as keys of the configuration or in words.
    entry: ClassVar[str] = "account, user name and password"

    #: What to compare with the service's own where its answers make no sense, as keys of the configuration.
    contract: ClassVar[str] = "target.endpoint"

    system: str = Field(description="which system this is")
    keeps_ids: StrictBool | Literal["ask"] = Field(
        "ask", description='whether the target keeps the ids that we send; "ask": the canary finds out'
    )

    @classmethod
    def credentials(cls) -> tuple[str, ...]:
        """The settings that say who we are: they may be given anew for a run that was begun, since they decide nothing
        of what is sent. As a rule all whose values are read when they are needed.
        """
        return tuple(name for name, field in cls.model_fields.items() if field.annotation in (Secret, Secret | None))

    def misfits(self, contacts: "ContactsSettings") -> list[tuple[str, str]]:
        """What of the mapping this system cannot take: the dotted key and, in words, why. As a rule it has no fields
        beside channels.
        """
        return [("contacts.fields", f"a {self.system} contact has no further fields")] if contacts.fields else []

    @property
    def address(self) -> str:
        """Where the target is reached, without what may hold a secret; empty: that cannot be said."""
        return ""

    @property
    def unfilled(self) -> tuple[str, ...]:
        """What a person has still to fill in before anything can be sent: one line each, beginning with its place."""
        return ()

    @property
    def campaign(self) -> str:
        """What contacts are added to, as the target names it: part of the contact ids. Empty: the target has none."""
        return ""

    @property
    def place(self) -> str:
        """The target's address and account, as far as the configuration tells without reading a secret."""
        return ""

    @property
    def identity(self) -> str:
        """The target's address and the account itself, as far as it can be read: what tells two places apart. It may
        hold what is not to be shown, so nothing but a hash of it is kept.
        """
        return self.place


class HttpSettings(Section):
    """How HTTP connections are made."""

    ca: ConfigPath | None = Field(None, description="own CA file (PEM); else the system's")
    cert: ConfigPath | None = Field(None, description="client certificate (PEM)")
    key: ConfigPath | None = Field(None, description="its key (PEM)")
    proxy: OptionalAddress = Field(
        None, description="address of a proxy; else the environment's. Through one, rows are sent more slowly"
    )
    http2: StrictBool = Field(
        False,
        description="offer HTTP/2 too, for a target or a gateway that speaks nothing else; rows are then sent more"
        " slowly. Needs the extra `contact-pipeline[http2]`",
    )

    @field_validator("proxy", mode="before")
    @classmethod
    def _proxy_is_address(cls, value: object, info: ValidationInfo) -> object:
        return address("http.proxy", value, info, such="http://proxy.example.com:3128")

    @model_validator(mode="before")
    @classmethod
    def _blank_is_none(cls, data: object) -> object:
        if isinstance(data, Mapping):
            return {key: None if value == "" else value for key, value in data.items()}
        return data


def _as_read(value: object) -> object:
    """A value as it is read from a list, where all is text: `1`, `true`."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int) else value


_AS_READ_SCHEMA: Final = {"anyOf": [{"type": "string"}, {"type": "integer"}, {"type": "boolean"}]}


class Condition(Section):
    """Rows whose `column` has one of the values `in` (compared without case and surrounding blanks)."""

    column: str = Field(description="which column")
    values: tuple[Annotated[str, BeforeValidator(_as_read), WithJsonSchema(_AS_READ_SCHEMA)], ...] = Field(
        alias="in", min_length=1, description="its values, compared without case and surrounding blanks"
    )


class ChannelSettings(Section):
    """One way to reach a person."""

    destination: str = Field(description='where the person is reached: "{column}"')
    text: str | None = Field(
        None,
        description="text with placeholders: {column}, or {column|default} with what stands there where the cell is "
        "blank (without one that is warned of); {{ and }} are braces. Mails are HTML, so there cells are escaped. "
        "Without it, the campaign's own",
    )
    retries: StrictInt = Field(3, ge=0, le=255, description="delivery attempts by the target")
    when: Condition | None = Field(
        None, description='consent, e.g. { column = "opt_in", in = ["yes"] }; else the channel is left out'
    )


class SmsSettings(ChannelSettings):
    """The way by short messages."""

    segments: StrictInt = Field(
        3,
        ge=0,
        description="a text that needs more segments is warned of; 0: never. 160 characters in one, else 153 each; "
        "70 and 67 where GSM 7 bit lacks a character",
    )


class ContactsSettings(Section):
    """How a row becomes a contact."""

    model_config = ConfigDict(
        json_schema_extra={"anyOf": [{"required": ["sms"]}, {"required": ["voice"]}, {"required": ["email"]}]}
    )

    key: tuple[str, ...] = Field(
        (), description="columns that name a person for good; none: a hash of the destinations"
    )
    region: str | None = Field(None, description='country of national phone numbers, by its ISO 3166 code, e.g. "CA"')
    on_invalid: Literal["channel", "row"] = Field(
        "channel", description='a bad destination costs its channel, or with "row" the row'
    )
    unique: Literal["key", "destination", "none"] = Field(
        "key",
        description='what makes two rows the same. Without contacts.key, "key" compares hashes of the destinations as '
        'they are sent, in which the part of a mail before the @ keeps its case; "destination" and do-not-contact '
        "lists take no notice of case",
    )
    suppress: tuple[ConfigPath, ...] = Field(
        (),
        description="do-not-contact lists: CSV, Parquet or text with one value per line, with or without a header; "
        "phones and mail addresses are found in every column, several of them in a cell and among other words too, "
        "and compared as those of the contacts are; in doubt one too many is held back. Keys stand in the columns of "
        "contacts.key or, joined by |, in the first one; blanks around their parts do not count. What a list holds is "
        "logged, and a warning where entries can hold nobody back",
    )
    where: Condition | None = Field(
        None, description='only these rows: { column = "segment", in = ["A"] }; others are suppressed, as "filtered"'
    )
    phone_type: Literal["off", "warn", "error"] = Field(
        "warn", description="what becomes of a landline for SMS: nothing, a warning, an error"
    )
    fields: dict[str, str] = Field(
        {},
        description="what else is sent for a row, by the names that the target has for it: templates, e.g. "
        'timeZone = "{tz}"; beside columns they may name {contact.key}, {contact.id}, {contact.sms}, '
        "{contact.voice}, {contact.email}",
    )
    sms: SmsSettings | None = Field(
        None, description="the way by short messages; of the channels at least one is mapped"
    )
    voice: ChannelSettings | None = Field(None, description="the way by telephone calls")
    email: ChannelSettings | None = Field(None, description="the way by mail")

    @model_validator(mode="wrap")
    @classmethod
    def _some_channel(cls, data: object, handler: ModelWrapValidatorHandler[Self]) -> Self:
        made = handler(data)
        if not made.channels and made is not data:  # what stands for no mapping passes through as it is
            raise ValueError(
                "no channel is mapped: add [contacts.sms], [contacts.voice] or [contacts.email] with a destination"
            )
        return made

    @classmethod
    def unmapped(cls) -> "ContactsSettings":
        """What stands in the place of a mapping where no list is read."""
        return cls.model_construct()

    @property
    def channels(self) -> dict[str, ChannelSettings]:
        """The mapped channels by name, in the order of CHANNELS."""
        found: dict[str, ChannelSettings | None] = {"sms": self.sms, "voice": self.voice, "email": self.email}
        return {name: channel for name, channel in found.items() if channel is not None}


class DeliverySettings(Section):
    """How fast and how stubbornly rows are sent."""

    sessions: StrictInt = Field(8, ge=1, le=10_000, description="at most so many open at once")
    calls_per_session: StrictInt = Field(1, ge=1, le=1_000, description="in flight at once on one session")
    rate: StrictFloat = Field(0, ge=0, description="rows per second at most, over all sessions; 0: no limit")
    adaptive: StrictBool = Field(
        True,
        description="find how many calls in flight the target bears, up to sessions × calls_per_session; false: "
        "always so many",
    )
    timeout: PositiveDuration = Field(30.0, description="how long one answer may take")
    late_effect: Duration = Field(
        30.0,
        description="a request may take effect so long after it was given up, and the target's list may lag so much: "
        "so long is waited before absence is believed",
    )
    attempts: StrictInt = Field(5, ge=1, le=65_535, description="sends of one row that the target puts off")
    outage: Duration = Field(
        900.0,
        description="nothing gets through for so long: stop, exit 5; a target that does not answer at the very start "
        "is tried three times only",
    )
    stop_within: Duration = Field(20.0, description="after a signal; what is still in flight then is in doubt")


class SessionsSettings(Section):
    """How long sessions live."""

    idle_limit: PositiveDuration = Field(1200.0, description="inactivity after which the target drops a session")
    renew_margin: Duration = Field(120.0, description="renewed that long before")
    wait: Duration = Field(0.0, description="how long to wait for a first session refused as one too many")

    @model_validator(mode="after")
    def _margin_below_limit(self) -> "SessionsSettings":
        if self.renew_margin >= self.idle_limit:
            raise ValueError("renew_margin must be shorter than idle_limit")
        return self


class StateSettings(Section):
    """What is in which campaign, across runs."""

    directory: ConfigPath | None = Field(
        None,
        description="where it is remembered what is in which campaign, by id and content. Without it, the "
        "environment's CONTACT_PIPELINE_STATE, else runs/.state",
    )
    known: tuple[Literal["state", "target"], ...] = Field(
        ("state", "target"), description='where "already there" is looked up before the first row'
    )


class LedgerSettings(Section):
    """The ledger files."""

    formats: tuple[Literal["parquet", "csv"], ...] = Field(
        ("parquet", "csv"), min_length=1, description="which ledger files are written"
    )
    mask: StrictBool = Field(False, description="mask destinations in the ledger and the resubmit file")


class NotifySettings(Section):
    """Who is told how a run has ended."""

    url: OptionalAddress = Field(
        None,
        description="at the end of import and resume the summary is sent there by POST, as --json prints it; an "
        'address that is itself a secret takes { env = "NAME" }',
    )
    headers: dict[str, Secret] = Field(
        {}, description='what is sent with it, e.g. Authorization = { env = "HOOK_TOKEN" }'
    )
    on: Literal["always", "failure"] = Field("always", description='"failure": only where the exit code is not 0')

    @field_validator("url", mode="before")
    @classmethod
    def _url_is_address(cls, value: object, info: ValidationInfo) -> object:
        return address("notify.url", None if value == "" else value, info, such="https://hooks.example.com/imports")

    @field_validator("headers", mode="before")
    @classmethod
    def _headers_are_secrets(cls, value: object, info: ValidationInfo) -> object:
        if not isinstance(value, Mapping):
            raise ValueError("is a table: name of the header, and its text")
        for name in value:
            if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name):
                raise ValueError(f"{name!a} is no name of a header")
        return {name: secret_at(f"notify.headers.{name}", given, info) for name, given in value.items()}


class Settings(Section):
    """The whole configuration."""

    target: TargetSettings
    contacts: ContactsSettings
    http: HttpSettings = HttpSettings()
    delivery: DeliverySettings = DeliverySettings()
    sessions: SessionsSettings = SessionsSettings()
    state: StateSettings = StateSettings()
    ledger: LedgerSettings = LedgerSettings()
    notify: NotifySettings = NotifySettings()


# --- what the mapping names ------------------------------------------------------------------------------------

#: What `contacts.fields` may name beside columns: what screening has made of a row.
MADE: Final = ("contact.key", "contact.id", "contact.sms", "contact.voice", "contact.email")


def needed_columns(contacts: ContactsSettings) -> dict[str, str]:
    """Every source column that the mapping needs, with the first place that names it."""
    places: dict[str, str] = {}
    for field, filled in contacts.fields.items():
        for name in template_columns(filled):
            if name not in MADE:
                places.setdefault(name, f"contacts.fields.{field}")
    for name in contacts.key:
        places.setdefault(name, "contacts.key")
    if contacts.where:
        places.setdefault(contacts.where.column, "contacts.where.column")
    for channel, mapping in contacts.channels.items():
        for field, template in (("destination", mapping.destination), ("text", mapping.text)):
            for name in template_columns(template or ""):
                places.setdefault(name, f"contacts.{channel}.{field}")
        if mapping.when:
            places.setdefault(mapping.when.column, f"contacts.{channel}.when.column")
    return places
