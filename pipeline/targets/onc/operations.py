"""The thirteen documented operations, each compiled from the WSDL when it is first called."""

from typing import Final

from pipeline.targets.soap.contract import Contract, Needs, Request
from pipeline.targets.soap.members import Value
from pipeline.targets.soap.template import mark

#: Parameters whose values are texts, by documented name, with the mark that stands for each.
_PARAMETERS: Final = {
    "OpenAPISession": {"accountId": "account", "username": "user", "password": "password"},
    "CloseAPISession": {"sessionId": "session"},
    "GetCampaignListing": {"sessionId": "session"},
    "GetCampaigns": {"sessionId": "session"},
    "AddCampaign": {"sessionId": "session"},
    "GetCampaign": {"sessionId": "session", "campaignId": "campaign"},
    "UpdateCampaign": {"sessionId": "session"},
    "DeleteCampaign": {"sessionId": "session", "campaignId": "campaign"},
    "GetCampaignContactsListing": {"sessionId": "session", "campaignId": "campaign"},
    "GetCampaignContacts": {"sessionId": "session", "campaignId": "campaign"},
    "AddCampaignContact": {"sessionId": "session"},
    "UpdateCampaignContact": {"sessionId": "session"},
    "DeleteCampaignContact": {"sessionId": "session", "campaignId": "campaign", "contactId": "contact"},
}

#: Without these no session can be opened, proven and closed; the others are missed when they are called.
SESSION_OPERATIONS: Final = ("OpenAPISession", "CloseAPISession", "GetCampaignListing", "GetCampaign")

#: What is called, by documented names.
NEEDS: Final = Needs(
    service="the Outbound Notifications service",
    operations=tuple(_PARAMETERS),
    bare_with={"OpenAPISession": "ErrorCode", "CloseAPISession": "ErrorCode", "GetCampaign": "ID"},
    optional=frozenset(_PARAMETERS) - frozenset(SESSION_OPERATIONS),
)


class Operations:
    """The operations of one contract; ConfigError where the WSDL lacks one, or has no place for what it takes."""

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self._compiled: dict[str, Request] = {}

    def __contains__(self, operation: str) -> bool:
        return self._contract.has(operation)

    def __getitem__(self, operation: str) -> Request:
        """An operation whose parameters are all texts: its envelope has a place for each."""
        if operation not in self._compiled:
            marks = _PARAMETERS[operation]
            wanted = {name: mark(place) for name, place in marks.items()}
            self._compiled[operation] = self._contract.request(operation, wanted, tuple(marks.values()))
        return self._compiled[operation]

    def carrying(self, operation: str, parameter: str, value: Value) -> Request:
        """An operation that takes an object, with that object in it; the place of the session id is left."""
        return self._contract.request(operation, {"sessionId": mark("session"), parameter: value}, ("session",))
