"""What `[target]` holds for an ONC service; importing it costs nothing but pydantic."""

import re
from datetime import date
from typing import ClassVar, Literal
from urllib.parse import urlsplit
from uuid import UUID

from pydantic import Field, StrictInt, ValidationInfo, field_validator

from pipeline.targets.codes import CodeTable, ResultCodes
from pipeline.targets.soap.settings import ServiceSettings
from pipeline.values import NameText, SecretText

_GUID = re.compile(r"\{?([0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})\}?")


class CodeSettings(CodeTable):
    """What the target's result codes mean; no table of them is published."""

    session: ResultCodes = Field((), description="the session is gone: renew, send again")
    transient: ResultCodes = Field((), description="try again later")
    duplicate: ResultCodes = Field((), description="the contact is there already")


class OncSettings(ServiceSettings):
    """An ONC service: who we are, and which campaign."""

    contract: ClassVar[str] = "target.endpoint, target.wsdl and target.dialect"

    system: Literal["onc"] = Field("onc", description="an ONC service")
    account_id: NameText = Field(description="which account")
    username: NameText = Field(description="who logs in")
    password: SecretText = Field(description="with which password")
    campaign_id: str = Field("", description="GUID of the campaign; required to import")
    dialect: Literal["wcf", "asmx"] = Field("wcf", description="which contract of the package, where wsdl is not given")
    codes: CodeSettings = Field(CodeSettings(), description="what the target's result codes mean")
    max_message: StrictInt = Field(
        65_536, ge=1_024, description="largest message in bytes; a row above it is invalid (guess: WCF's default limit)"
    )
    time_day: date = Field(
        date.min, description="day on which a campaign's times of day stand where the WSDL has dateTimes (guess)"
    )

    @property
    def unfilled(self) -> tuple[str, ...]:
        """What `init` could not know: an address, for which it writes one that no host ever has (RFC 2606, 2), and the
        campaign.
        """
        problems = []
        if self.endpoint is not None and (urlsplit(self.endpoint).hostname or "").endswith(".invalid"):
            problems.append("target.endpoint: is not filled in yet: write the address of the service")
        if self.campaign_id == str(UUID(int=0)):
            problems.append(
                "target.campaign_id: is not filled in yet: write the campaign's GUID, or give --campaign-id"
            )
        return tuple(problems)

    @property
    def campaign(self) -> str:
        """The campaign's GUID."""
        return self.campaign_id

    @property
    def place(self) -> str:
        """Address, or WSDL where that gives the address, and where the account is named."""
        return f"{self.address} {self.account_id.origin}"

    @property
    def identity(self) -> str:
        """Address, or WSDL where that gives the address, and the account."""
        return f"{self.address} {self.account_id.told}"

    @field_validator("time_day", mode="before")
    @classmethod
    def _day_is_no_number(cls, value: object) -> object:
        if isinstance(value, int | float):  # pydantic would take seconds since 1970
            raise ValueError("is a date such as 2026-12-31")
        return value

    @field_validator("campaign_id")
    @classmethod
    def _campaign_is_guid(cls, value: str, info: ValidationInfo) -> str:
        if not value:
            if (info.context or {}).get("mapped"):
                raise ValueError("is missing")
            return value
        match = _GUID.fullmatch(value.strip())
        if match is None:
            raise ValueError("is no GUID such as 7c9e6679-7425-40de-944b-e07fc1f90ae7")
        return match[1].lower()
