"""What `[target]` holds for any service with a WSDL; importing it costs nothing but pydantic."""

from pathlib import Path
from typing import ClassVar, Self

from pydantic import ConfigDict, Field, ValidationInfo, field_validator, model_validator

from pipeline.config import TargetSettings
from pipeline.targets.addresses import checked_address, is_address, without_user


class ServiceSettings(TargetSettings):
    """A SOAP service: where it is, and which contract it speaks."""

    contract: ClassVar[str] = "target.endpoint and target.wsdl"

    model_config = ConfigDict(json_schema_extra={"anyOf": [{"required": ["endpoint"]}, {"required": ["wsdl"]}]})

    endpoint: str | None = Field(None, description="address of the service; wins whole over the WSDL's")
    wsdl: str | None = Field(
        None,
        description="path or address of the service's WSDL; it decides how messages look. Without it, a contract of "
        "the package",
    )

    @property
    def address(self) -> str:
        """Address, or WSDL where that gives the address, without what may hold a secret."""
        return (self.endpoint or self.wsdl or "").partition("?")[0]

    @field_validator("endpoint")
    @classmethod
    def _endpoint_is_address(cls, value: str | None) -> str | None:
        return value if value is None else checked_address(value)

    @field_validator("wsdl")
    @classmethod
    def _wsdl_is_place(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None:
            return None
        if not value.strip():
            raise ValueError("is empty")
        if "://" in value:
            if not is_address(value):
                raise ValueError("is a path, or an http or https address")
            return without_user(value)
        base = (info.context or {}).get("base", Path())
        return str((Path(base) / Path(value).expanduser()).absolute())

    @model_validator(mode="after")
    def _somewhere(self) -> Self:
        if self.endpoint is None and self.wsdl is None:
            raise ValueError("endpoint is missing: set target.endpoint, or target.wsdl to a WSDL that names an address")
        return self
