"""What the simulated ONC service holds: campaigns with their contacts."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from uuid import UUID

from pipeline.simulator.late import LateEffects
from pipeline.simulator.onc.contract import CampaignInfo, CommunicationInfo, Contact, EmailInfo, SmsInfo, VoiceInfo
from pipeline.simulator.onc.settings import Campaign


class CampaignStore:
    """One campaign. Contacts are kept by id; an id that was added twice has a list of them."""

    def __init__(self, info: CampaignInfo) -> None:
        self.info = info
        self.size = 0
        self._contacts: dict[str, Contact | list[Contact]] = {}
        self._unlisted: deque[tuple[float, Contact]] = deque()
        self._lingering: deque[tuple[float, Contact]] = deque()

    def __contains__(self, contact_id: str) -> bool:
        return contact_id in self._contacts

    def add(self, contact: Contact, listed_at: float | None = None) -> None:
        """Store a contact, beside another one if its id is taken. Lists show it from `listed_at` on."""
        present = self._contacts.setdefault(contact.id, contact)
        if isinstance(present, list):
            present.append(contact)
        elif present is not contact:
            self._contacts[contact.id] = [present, contact]
        self.size += 1
        if listed_at is not None:
            self._unlisted.append((listed_at, contact))

    def update(self, contact: Contact) -> bool:
        """Replace the contact with this id, keeping what the service alone may set; False if there is none."""
        present = self._contacts.get(contact.id)
        if present is None:
            return False
        if isinstance(present, list):
            present[-1] = _updated(present[-1], contact)
        else:
            self._contacts[contact.id] = _updated(present, contact)
        return True

    def delete(self, contact_id: str, listed_until: float | None = None) -> bool:
        """Remove a contact, of several with this id the last one; False if there is none. Lists show it until
        `listed_until`."""
        present = self._contacts.get(contact_id)
        if present is None:
            return False
        if isinstance(present, list) and len(present) > 1:
            gone = present.pop()
        else:
            gone = present[0] if isinstance(present, list) else present
            del self._contacts[contact_id]
        if listed_until is not None:
            self._lingering.append((listed_until, gone))
        self.size -= 1
        return True

    def contacts(self) -> Iterator[Contact]:
        """All contacts as they are now; changes made while this is walked are not seen."""
        return _flat(list(self._contacts.values()))

    def listed(self, now: float) -> Iterator[Contact]:
        """The contacts that lists show already."""
        while self._unlisted and self._unlisted[0][0] <= now:
            self._unlisted.popleft()
        while self._lingering and self._lingering[0][0] <= now:
            self._lingering.popleft()
        shown = chain(self.contacts(), [contact for _, contact in self._lingering])
        if not self._unlisted:
            return shown
        # The deque keeps these contacts alive as long as their identity is looked at.
        hidden = {id(contact) for _, contact in self._unlisted}
        return (contact for contact in shown if id(contact) not in hidden)


def _flat(values: list[Contact | list[Contact]]) -> Iterator[Contact]:
    for value in values:
        if isinstance(value, list):
            yield from value
        else:
            yield value


def _updated(old: Contact, new: Contact) -> Contact:
    channels = (
        None if given is None else pending(given, None if had is None else (had.status, had.last_error))
        for had, given in zip(old[2:], new[2:], strict=True)
    )
    return Contact(old.id, old.campaign_id, *channels)


def pending(info: CommunicationInfo, kept: tuple[int, int] | None = None) -> CommunicationInfo:
    """A channel as it is stored: the caller's StatusCode and LastDeliveryErrorCode are ignored. StatusCode is 0
    where the destination is blank, else 1, or what it was in `kept`."""
    status, error = kept or (1, 0)
    if not info.destination or not info.destination.strip():
        status = 0
    elif status == 0:
        status = 1
    return info._replace(status=status, last_error=error)


#: What campaigns say that exist when the service starts.
TEXT = "You have an appointment."


class Store:
    """The campaigns. Effects that come late are applied before anyone looks."""

    def __init__(self, campaigns: Iterable[Campaign], late: LateEffects, new_id: Callable[[], str]) -> None:
        self.campaigns: dict[str, CampaignStore] = {}
        self.new_id = new_id
        self._late = late
        for seed in campaigns:
            self._seed(seed)

    def campaign(self, campaign_id: str) -> CampaignStore | None:
        """The campaign with this id."""
        self._late.settle()
        return self.campaigns.get(campaign_id)

    def _seed(self, seed: Campaign) -> None:
        key = str(UUID(seed.id))
        campaign = CampaignStore(
            CampaignInfo(
                id=key,
                created="2024-01-01T00:00:00",
                name=seed.name,
                paused=seed.paused,
                sms=SmsInfo(enabled=True, text=TEXT),
                voice=VoiceInfo(enabled=True, text=TEXT),
                email=EmailInfo(enabled=True, html=TEXT),
            )
        )
        for number in range(seed.contacts):
            channel = CommunicationInfo(destination=f"+1555{number:07d}", status=1)
            campaign.add(Contact(f"{key[:24]}{number:012x}", key, channel))
        self.campaigns[key] = campaign
