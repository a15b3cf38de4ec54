"""The thirteen operations: what each does to the store and what it answers, as the documents say."""

import re
from collections.abc import Callable
from typing import Any

from pipeline.simulator.onc.contract import OPERATIONS, ZERO_GUID, CampaignInfo, Closed, Contact, Opened
from pipeline.simulator.onc.settings import OncSettings
from pipeline.simulator.onc.store import CampaignStore, Store, pending
from pipeline.simulator.record import Record, Refused, Swallowed
from pipeline.simulator.sessions import Session, Sessions


class Operations:
    """What the calls do. Nothing here waits: each method is done when it returns. `full` tells whether a further
    session would be one too many."""

    def __init__(
        self,
        store: Store,
        sessions: Sessions,
        record: Record,
        clock: Callable[[], float],
        full: Callable[[], bool],
    ) -> None:
        self._store = store
        self._sessions = sessions
        self._record = record
        self._clock = clock
        self._full = full
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
        """Go on with these settings."""
        self._settings = settings
        self._refuse = [
            (re.compile(pattern), settings.codes.refused if code is None else code)
            for pattern, code in settings.refuse.items()
        ]

    def perform(self, operation: str, session: Session | None, arguments: tuple[Any, ...], unanswered: str) -> Any:
        """Let a call take effect; its result. `unanswered` is the fault that will keep the result from the caller, if
        any does."""
        if operation == "OpenAPISession":
            return self._open_session(*arguments)
        if session is None:
            self._record.bad_session += 1
            result = self._no_session(operation)
        elif operation == "CloseAPISession":
            result = self._close_session(session)
        elif operation == "AddCampaignContact":
            result = self._add_contact(arguments[1], unanswered)
        else:
            result = self._operations[operation](*arguments[1:])
        if OPERATIONS[operation].is_list and self._settings.null_lists:
            return None
        if operation == "AddCampaignContact" and not unanswered:
            self._told(arguments[1], result)
        return result

    def busy(self, operation: str, arguments: tuple[Any, ...]) -> Any:
        """The result of a call that comes at a bad time."""
        code = self._settings.codes.busy
        if operation == "OpenAPISession":
            self._record.refused_openings += 1
            return Opened(code, "The service is busy.", "")
        if operation == "CloseAPISession":
            return Closed(code, "The service is busy.")
        if OPERATIONS[operation].result != "int":
            return None
        if operation == "AddCampaignContact":
            self._told(arguments[1], code)
        return code

    def _no_session(self, operation: str) -> Any:
        code = self._settings.codes.bad_session
        if operation == "CloseAPISession":
            return Closed(code, "The session is not valid.")
        return code if OPERATIONS[operation].result == "int" else None

    def _told(self, contact: Contact | None, code: int) -> None:
        sent = contact or Contact()
        self._record.told(code, Refused(sent.campaign_id, sent.id, code) if code else None)

    def _open_session(self, account: str | None, username: str | None, password: str | None) -> Opened:
        settings = self._settings
        if (account, username, password) != (settings.account, settings.username, settings.password):
            self._record.refused_openings += 1
            return Opened(settings.codes.bad_credentials, "The credentials are not valid.", "")
        if self._full():
            self._record.refused_openings += 1
            return Opened(settings.codes.session_cap, "The account has too many sessions.", "")
        return Opened(0, "", self._sessions.open())

    def _close_session(self, session: Session) -> Closed:
        if not self._sessions.close(session):
            return Closed(self._settings.codes.bad_session, "The session is not valid.")
        return Closed(0, "")

    def _campaign_listing(self) -> list[str]:
        return list(self._store.campaigns)

    def _campaigns(self) -> list[CampaignInfo]:
        return [campaign.info for campaign in self._store.campaigns.values()]

    def _campaign(self, campaign_id: str) -> CampaignInfo | None:
        campaign = self._store.campaign(campaign_id)
        return None if campaign is None else campaign.info

    def _add_campaign(self, info: CampaignInfo | None) -> int:
        if info is None:
            return self._settings.codes.invalid
        key = self._store.new_id() if info.id == ZERO_GUID else info.id
        if key in self._store.campaigns:
            return self._settings.codes.duplicate
        self._store.campaigns[key] = CampaignStore(info._replace(id=key))
        return 0

    def _update_campaign(self, info: CampaignInfo | None) -> int:
        if info is None:
            return self._settings.codes.invalid
        campaign = self._store.campaign(info.id)
        if campaign is None:
            return self._settings.codes.unknown_campaign
        campaign.info = info
        return 0

    def _delete_campaign(self, campaign_id: str) -> int:
        return 0 if self._store.campaigns.pop(campaign_id, None) else self._settings.codes.unknown_campaign

    def _contacts_listing(self, campaign_id: str) -> Any:
        campaign = self._store.campaign(campaign_id)
        return None if campaign is None else (each.id for each in campaign.listed(self._clock()))

    def _contacts(self, campaign_id: str) -> Any:
        campaign = self._store.campaign(campaign_id)
        return None if campaign is None else campaign.listed(self._clock())

    def _check(self, contact: Contact) -> int:
        for channel in contact[2:]:
            if channel is not None and not 0 <= channel.retry_count <= 255:
                return self._settings.codes.invalid
        for pattern, code in self._refuse:
            for channel in contact[2:]:
                if channel is not None and pattern.search(channel.destination or ""):
                    return code
        return 0

    def _add_contact(self, contact: Contact | None, unanswered: str) -> int:
        settings, record = self._settings, self._record
        if contact is None:
            return settings.codes.invalid
        campaign = self._store.campaigns.get(contact.campaign_id)
        if campaign is None:
            return settings.codes.unknown_campaign
        code = self._check(contact)
        if code:
            return code
        key = contact.id
        if key == ZERO_GUID or settings.own_ids:
            key = self._store.new_id()
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
        codes = self._settings.codes
        if contact is None:
            return codes.invalid
        campaign = self._store.campaign(contact.campaign_id)
        if campaign is None:
            return codes.unknown_campaign
        return self._check(contact) or (0 if campaign.update(contact) else codes.unknown_contact)

    def _delete_contact(self, campaign_id: str, contact_id: str) -> int:
        campaign = self._store.campaign(campaign_id)
        if campaign is None:
            return self._settings.codes.unknown_campaign
        lag = self._settings.listing_lag
        gone = campaign.delete(contact_id, self._clock() + lag if lag > 0 else None)
        return 0 if gone else self._settings.codes.unknown_contact
