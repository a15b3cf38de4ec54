"""What `[target]` holds for an ONC service; importing it costs nothing but pydantic."""

import re
from datetime import date
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from pipeline.config import NameText, SecretText, Section
from pipeline.targets.soap.settings import ServiceSettings

_GUID = re.compile(r"\{?([0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})\}?")


def _codes(value: object) -> object:
    """Result codes are integers (documented); TOML may hold them as numbers or as text."""
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


ResultCodes = Annotated[tuple[str, ...], BeforeValidator(_codes)]


class CodeSettings(Section):
    """What the target's result codes mean; no table of them is published."""

    session: ResultCodes = Field((), description="the session is gone: renew, send again")
    transient: ResultCodes = Field((), description="try again later")
    duplicate: ResultCodes = Field((), description="the contact is there already")

    @model_validator(mode="after")
    def _one_meaning(self) -> "CodeSettings":
        seen: set[str] = set()
        for code in (*self.session, *self.transient, *self.duplicate):
            if code in seen:
                raise ValueError(f"code {code} is listed with two meanings")
            seen.add(code)
        return self


class OncSettings(ServiceSettings):
    """An ONC service: who we are, and which campaign."""

    system: Literal["onc"] = "onc"
    account_id: NameText
    username: NameText
    password: SecretText
    campaign_id: str = Field("", description="GUID of the campaign; needed wherever contacts are sent")
    dialect: Literal["wcf", "asmx"] = Field("wcf", description="which contract of the package, where wsdl is not given")
    codes: CodeSettings = CodeSettings()
    max_message: int = Field(65_536, ge=1_024, description="largest envelope in bytes (guess: WCF's default limit)")
    time_day: date = Field(
        date.min, description="day on which a campaign's times of day stand where the WSDL has dateTimes (guess)"
    )

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
