"""What `[target]` holds for Genesys Web Services; importing it costs nothing but pydantic."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from pipeline.config import ContactsSettings, Section, TargetSettings
from pipeline.targets.addresses import checked_address
from pipeline.targets.codes import CodeTable, ResultCodes
from pipeline.targets.genesys import fields
from pipeline.values import NameText, OptionalName, OptionalSecret, Secret, SecretText


class CodeSettings(CodeTable):
    """What status codes mean. A code that stands nowhere refuses the row."""

    session: ResultCodes = Field(("20",), description="not authenticated: the session is gone, renew, send again")
    transient: ResultCodes = Field(("4", "19"), description="internal error, in use: try again later")
    duplicate: ResultCodes = Field(("18",), description="the record is there already")
    unknown: ResultCodes = Field(
        ("7", "9"), description="done in part, processing incomplete: whether the record was added is not known"
    )


class UserSettings(Section):
    """An agent user. What it does not give is the same for all users, or not sent."""

    username: NameText = Field(description="how the user logs in")
    password: SecretText = Field(description="how the user logs in")
    place: str | None = Field(None, min_length=1, description="in place of target.place")
    login_code: OptionalName = Field(None, description="in place of target.login_code")
    agent_login_password: OptionalSecret = Field(None, description="in place of target.agent_login_password")
    device_path: str | None = Field(None, min_length=1, description="in place of target.device_path")


def _required(value: object) -> object:
    if value == "all" or (isinstance(value, list | tuple) and all(isinstance(name, str) for name in value)):
        return value
    raise ValueError('is "all" or a list of channels')


class GenesysSettings(TargetSettings):
    """Genesys Web Services: where they are, as which agents we come, with which sessions, and for which campaign."""

    entry: ClassVar[str] = "target.users, and place, device and switch login where they are set"
    contract: ClassVar[str] = "target.endpoint and target.path"

    system: Literal["genesys"] = Field("genesys", description="Genesys Web Services")
    endpoint: str = Field(description="address of the service, without the path")
    path: str = Field("/api/v2/me", description="where the service is found there")
    users: tuple[UserSettings, ...] = Field(min_length=1, description="agent users, one for each session")
    channels: tuple[str, ...] = Field(("voice",), min_length=1, description="channels of a session")
    require: Annotated[Literal["all"] | tuple[str, ...], BeforeValidator(_required)] = Field(
        "all", description="channels that a session must have; a list bears that the others fail"
    )
    # `place` is what every target calls its own address.
    session_place: str | None = Field(
        None, alias="place", min_length=1, description="place of the session; else the agent's default"
    )
    login_code: OptionalName = Field(None, description="switch login code; else the one assigned to the user")
    agent_login_password: OptionalSecret = Field(None, description="goes with login_code")
    queue: str | None = Field(None, min_length=1, description="queue of the login request")
    device_path: str | None = Field(None, min_length=1, description="device of the login; overrides the place")
    workmode: Literal["ManualIn", "AutoIn"] | None = Field(None, description="work mode of the login")
    dynamic_phone_number: str | None = Field(None, min_length=1, description="alternate number of the session")
    campaign_name: str | None = Field(
        None,
        min_length=1,
        description="campaign of all records: part of what tells campaigns apart here. Where it differs from row to "
        "row, map campaignName instead, and let contacts.key tell the same person in two of them apart",
    )
    calling_list: str | None = Field(
        None, min_length=1, description="calling list of all records; else map callingList, in the same way"
    )
    codes: CodeSettings = Field(CodeSettings(), description="what status codes mean; any other refuses the row")

    @classmethod
    def credentials(cls) -> tuple[str, ...]:
        """The users as a whole, too: each has a name and a password."""
        return (*super().credentials(), "users")

    @property
    def constants(self) -> Mapping[str, tuple[str, str]]:
        """The fields that are the same for all records: the key that gives each, and its value."""
        given = {
            "campaignName": ("campaign_name", self.campaign_name),
            "callingList": ("calling_list", self.calling_list),
        }
        return {name: (f"target.{key}", value) for name, (key, value) in given.items() if value is not None}

    def misfits(self, contacts: ContactsSettings) -> list[tuple[str, str]]:
        """What a record has no place for, or lacks."""
        return fields.misfits(contacts, {name: key for name, (key, _) in self.constants.items()})

    @property
    def campaign(self) -> str:
        """Campaign and calling list, as far as they are the same for all records."""
        return "/".join(value for _, value in self.constants.values())

    @property
    def place(self) -> str:
        """The service's address: whoever adds them, records go to the same lists."""
        return f"{self.endpoint}{self.path}"

    @field_validator("endpoint")
    @classmethod
    def _endpoint_is_address(cls, value: str) -> str:
        if "?" in value or "#" in value:
            raise ValueError("is an address without a query")
        return checked_address(value).rstrip("/")

    @field_validator("path")
    @classmethod
    def _path_is_absolute(cls, value: str) -> str:
        if not re.fullmatch(r"/[^\s?#]+", value):
            raise ValueError("is a path such as /api/v2/me")
        return value.rstrip("/")

    @field_validator("users")
    @classmethod
    def _users_have_places(cls, users: tuple[UserSettings, ...]) -> tuple[UserSettings, ...]:
        """Tell the secrets which of several tables they stand in."""
        return tuple(_placed(user, number) for number, user in enumerate(users, 1))

    @model_validator(mode="after")
    def _required_are_channels(self) -> "GenesysSettings":
        if self.require != "all" and (strange := [name for name in self.require if name not in self.channels]):
            raise ValueError(f"require names {', '.join(strange)}, which is not among channels")
        return self


def _placed(user: UserSettings, number: int) -> UserSettings:
    given = {name: getattr(user, name) for name in ("username", "password", "login_code", "agent_login_password")}
    return user.model_copy(
        update={
            name: replace(secret, place=f"target.users.{name} (user {number})")
            for name, secret in given.items()
            if isinstance(secret, Secret)
        }
    )
