"""The parameters of the operations: which there are, which must be there and what may stand in them."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from pipeline.simulator.genesys.settings import Code, Failure

WORKMODES = ("ManualIn", "AutoIn")
LAST_SECOND = 86_400  # of a day; `from` and `until` count from midnight

_OUT_OF_RANGE = "The specified value is not within valid range"


class Parameter(NamedTuple):
    """A parameter of an operation."""

    name: str
    kind: type  # what JSON makes of its value
    required: bool = False


START = (
    Parameter("channels", list, required=True),
    Parameter("place", str),
    Parameter("loginCode", str),
    Parameter("agentLoginPassword", str),
    Parameter("queue", str),
    Parameter("devicePath", str),
    Parameter("workmode", str),
    Parameter("dynamicPhoneNumber", str),
)
RECORD = (
    Parameter("applicationId", int, required=True),
    Parameter("campaignName", str, required=True),
    Parameter("callingList", str, required=True),
    Parameter("phoneNumber", str, required=True),
    Parameter("phoneType", str, required=True),
    Parameter("timeZone", str, required=True),
    Parameter("from", int, required=True),
    Parameter("until", int, required=True),
    Parameter("devicePath", str, required=True),
    Parameter("chainId", int),
    Parameter("otherFields", dict),
    Parameter("referenceId", str),
)


def missing(name: str) -> Failure:
    """A parameter that is not there."""
    return Failure(Code.MISSING_PARAMETER, f"Parameter '{name}' is missing")


def invalid(name: str, why: str = _OUT_OF_RANGE) -> Failure:
    """A parameter that cannot be."""
    return Failure(Code.INVALID_PARAMETER, f"Parameter '{name}' is invalid: \"{why}\"")


def wrong(given: Mapping[str, Any], parameters: tuple[Parameter, ...]) -> Failure | None:
    """What is wrong with the parameters of a request by their presence and type."""
    for name, kind, required in parameters:
        value = given.get(name)
        if value is None or value == "":
            if required:
                return missing(name)
        elif not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            return invalid(name, "The specified value is of a wrong type")
    return None


def wrong_start(given: Mapping[str, Any]) -> Failure | None:
    """What is wrong with the parameters of StartContactCenterSession."""
    failure = wrong(given, START)
    if failure is not None:
        return failure
    if not given["channels"]:
        return missing("channels")
    if not all(isinstance(each, str) and each for each in given["channels"]):
        return invalid("channels")
    if given.get("workmode") and given["workmode"] not in WORKMODES:
        return invalid("workmode")
    return None


def wrong_record(given: Mapping[str, Any]) -> Failure | None:
    """What is wrong with the parameters of AddRecord."""
    failure = wrong(given, RECORD)
    if failure is not None:
        return failure
    for name in ("from", "until"):
        if not 0 <= given[name] <= LAST_SECOND:
            return invalid(name)
    return None
