"""The thirteen operations: what each does to the store and what it answers, as the documents say."""

import re
from collections.abc import Callable
from random import Random
from typing import Any

from pipeline.simulator.contract import OPERATIONS, ZERO_GUID, CampaignInfo, Closed, Contact, Opened
from pipeline.simulator.record import Record, Refused, Swallowed
from pipeline.simulator.settings import Fault, OncSettings
from pipeline.simulator.store import CampaignStore, Session, Sessions, Store, pending


class Service:
    """The service behind the SOAP endpoint. Nothing here waits: each method is done when it returns."""

    def __init__(self, settings: OncSettings, clock: Callable[[], float], random: Random) -> None:
        self.record = Record()
        self.store = Store(settings, clock, random)
        self.sessions = Sessions(clock, random)
        self.outage: Fault | None = None  # what befalls every call, before any of the settings' faults
        self._clock = clock
        self.configure(settings)
        self._operations: dict[str, Callable[..., Any]] = {
            "GetCampaignListing": self._campaign_listing,
            "GetCampaigns": self._campaigns,
            "AddCampaign": self._add_campaign,
            "GetCampaign": self._campaign,
            "UpdateCampaign": self._update_campaign,
            "DeleteCampaign": self._delete_campaign,
            "GetCampaignContactsListing": self._contacts_listing,
            "GetCampaignContacts": self._contacts,
            "UpdateCampaignContact": self._update_contact,
            "DeleteCampaignContact": self._delete_contact,
        }

    def configure(self, settings: OncSettings) -> None:
        """Go on with these settings. What is stored already stays as it is. Raises ValueError, and changes nothing,
        if a fault is meant for an operation that does not exist."""
        for fault in settings.faults:
            if fault.operation != "*" and fault.operation not in OPERATIONS:
                raise ValueError(f"fault {fault.kind}: there is no operation {fault.operation!r}")
        refuse = [
            (re.compile(pattern), settings.codes.refused if code is None else code)
            for pattern, code in settings.refuse.items()
        ]
        self.settings = settings
        self._refuse = refuse

    def arrive(self, operation: str) -> Fault | None:
        """Count a call; the fault that it meets, if any."""
        calls = self.record.calls
        calls[operation] += 1
        hit = self.outage
        if hit is None:
            for fault in self.settings.faults:
                if fault.operation == operation:
                    number = calls[operation]
                elif fault.operation == "*":
                    number = calls.total()
                else:
                    continue
                if fault.hits(number):
                    hit = fault
                    break
        if hit is not None:
            self.record.faults[hit.kind] += 1
        return hit

    def lease(self, operation: str, arguments: tuple[Any, ...], fault: Fault | None) -> Session | None:
        """The session of a call that starts now. None if the operation needs none, or there is no such session."""
        if operation == "OpenAPISession":
            return None
        if fault is not None and fault.kind == "expire":
            self.sessions.expire(arguments[0])
        return self.sessions.use(arguments[0], self.settings.idle_limit, self.settings.expire_after_calls)

    def perform(self, operation: str, session: Session | None, arguments: tuple[Any, ...], fault: Fault | None) -> Any:
        """Let a call take effect as far as the fault lets it; its result."""
        if fault is None or fault.kind == "expire":
            return self._take_effect(operation, session, arguments, "")
        if fault.kind == "busy":
            return self._busy(operation, arguments)
        delay = self.settings.late_effect
        if fault.kind == "cut_answer" or delay <= 0:
            return self._take_effect(operation, session, arguments, fault.kind)
        self.store.later(delay, lambda: self._take_effect(operation, session, arguments, fault.kind))
        return None

    def _take_effect(self, operation: str, session: Session | None, arguments: tuple[Any, ...], unanswered: str) -> Any:
        """`unanswered` is the fault that will keep the result from the caller, if any does."""
        self.store.settle()
        if operation == "OpenAPISession":
            return self._open_session(*arguments)
        if session is None:
            self.record.bad_session += 1
            result = self._no_session(operation)
        elif operation == "CloseAPISession":
            result = self._close_session(session)
        elif operation == "AddCampaignContact":
            result = self._add_contact(arguments[1], unanswered)
        else:
            result = self._operations[operation](*arguments[1:])
        if OPERATIONS[operation].is_list and self.settings.null_lists:
            return None
        if operation == "AddCampaignContact" and not unanswered:
            self._told(arguments[1], result)
        return result

    def _busy(self, operation: str, arguments: tuple[Any, ...]) -> Any:
        code = self.settings.codes.busy
        if operation == "OpenAPISession":
            self.record.refused_openings += 1
            return Opened(code, "The service is busy.", "")
        if operation == "CloseAPISession":
            return Closed(code, "The service is busy.")
        if OPERATIONS[operation].result != "int":
            return None
        if operation == "AddCampaignContact":
            self._told(arguments[1], code)
        return code

    def _no_session(self, operation: str) -> Any:
        code = self.settings.codes.bad_session
        if operation == "CloseAPISession":
            return Closed(code, "The session is not valid.")
        return code if OPERATIONS[operation].result == "int" else None

    def _told(self, contact: Contact | None, code: int) -> None:
        self.record.codes[code] += 1
        if code:
            sent = contact or Contact()
            self.record.refused.append(Refused(sent.campaign_id, sent.id, code))

    def _open_session(self, account: str | None, username: str | None, password: str | None) -> Opened:
        settings = self.settings
        if (account, username, password) != (settings.account, settings.username, settings.password):
            self.record.refused_openings += 1
            return Opened(settings.codes.bad_credentials, "The credentials are not valid.", "")
        if settings.session_cap is not None and self.sessions.count(settings.idle_limit) >= settings.session_cap:
            self.record.refused_openings += 1
            return Opened(settings.codes.session_cap, "The account has too many sessions.", "")
        return Opened(0, "", self.sessions.open())

    def _close_session(self, session: Session) -> Closed:
        if not self.sessions.close(session):
            return Closed(self.settings.codes.bad_session, "The session is not valid.")
        return Closed(0, "")

    def _campaign_listing(self) -> list[str]:
        return list(self.store.campaigns)

    def _campaigns(self) -> list[CampaignInfo]:
        return [campaign.info for campaign in self.store.campaigns.values()]

    def _campaign(self, campaign_id: str) -> CampaignInfo | None:
        campaign = self.store.campaign(campaign_id)
        return None if campaign is None else campaign.info

    def _add_campaign(self, info: CampaignInfo | None) -> int:
        if info is None:
            return self.settings.codes.invalid
        key = self.store.new_id() if info.id == ZERO_GUID else info.id
        if key in self.store.campaigns:
            return self.settings.codes.duplicate
        self.store.campaigns[key] = CampaignStore(info._replace(id=key))
        return 0

    def _update_campaign(self, info: CampaignInfo | None) -> int:
        if info is None:
            return self.settings.codes.invalid
        campaign = self.store.campaign(info.id)
        if campaign is None:
            return self.settings.codes.unknown_campaign
        campaign.info = info
        return 0

    def _delete_campaign(self, campaign_id: str) -> int:
        return 0 if self.store.campaigns.pop(campaign_id, None) else self.settings.codes.unknown_campaign

    def _contacts_listing(self, campaign_id: str) -> Any:
        campaign = self.store.campaign(campaign_id)
        return None if campaign is None else (each.id for each in campaign.listed(self._clock()))

    def _contacts(self, campaign_id: str) -> Any:
        campaign = self.store.campaign(campaign_id)
        return None if campaign is None else campaign.listed(self._clock())

    def _check(self, contact: Contact) -> int:
        for channel in contact[2:]:
            if channel is not None and not 0 <= channel.retry_count <= 255:
                return self.settings.codes.invalid
        for pattern, code in self._refuse:
            for channel in contact[2:]:
                if channel is not None and pattern.search(channel.destination or ""):
                    return code
        return 0

    def _add_contact(self, contact: Contact | None, unanswered: str) -> int:
        settings, record = self.settings, self.record
        if contact is None:
            return settings.codes.invalid
        campaign = self.store.campaigns.get(contact.campaign_id)
        if campaign is None:
            return settings.codes.unknown_campaign
        code = self._check(contact)
        if code:
            return code
        key = contact.id
        if key == ZERO_GUID or settings.own_ids:
            key = self.store.new_id()
        elif key in campaign:
            if settings.duplicate_ids == "refuse":
                return settings.codes.duplicate
            record.duplicates += 1
        channels = (None if channel is None else pending(channel) for channel in contact[2:])
        lag = settings.listing_lag
        # The campaign's own copy of its id: a million contacts share one string.
        campaign.add(Contact(key, campaign.info.id, *channels), self._clock() + lag if lag > 0 else None)
        record.stored += 1
        if unanswered:
            record.swallowed.append(Swallowed(campaign.info.id, key, unanswered))
        return 0

    def _update_contact(self, contact: Contact | None) -> int:
        codes = self.settings.codes
        if contact is None:
            return codes.invalid
        campaign = self.store.campaign(contact.campaign_id)
        if campaign is None:
            return codes.unknown_campaign
        return self._check(contact) or (0 if campaign.update(contact) else codes.unknown_contact)

    def _delete_contact(self, campaign_id: str, contact_id: str) -> int:
        campaign = self.store.campaign(campaign_id)
        if campaign is None:
            return self.settings.codes.unknown_campaign
        lag = self.settings.listing_lag
        gone = campaign.delete(contact_id, self._clock() + lag if lag > 0 else None)
        return 0 if gone else self.settings.codes.unknown_contact
