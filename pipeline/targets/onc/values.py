"""The documented objects of an ONC service as frozen values: campaigns, their channels, contacts.

Field by field what the document says of each. None is null: not told, or not set. What the document does not say - the
zone of the active window, ranges of most numbers - is not said here either.
"""

from dataclasses import dataclass, field
from datetime import date, datetime, time
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.targets.soap.copies import Node


class DeliveryStatus(IntEnum):
    """StatusCode of one channel of a contact."""

    DO_NOT_TRY = 0
    PENDING = 1
    SENDING = 2
    DELIVERING = 3
    SUCCESS = 4
    WAITING_FOR_RETRY = 5
    PERMANENT_FAILURE = 6
    CANCELLED = 7


@dataclass(frozen=True, slots=True)
class SmsInfo:
    """OutboundSMSNotificationInfo: how messages go out over SMS."""

    enabled: bool = False  # whether delivery over SMS is enabled
    from_number: str | None = None  # origination number that contacts see
    text: str | None = None  # text to send, unless the contact has its own (TextToSend)


@dataclass(frozen=True, slots=True)
class VoiceInfo:
    """OutboundVoiceNotificationInfo: how messages go out as voice calls."""

    enabled: bool = False  # whether delivery over voice is enabled
    dial_timeout_ms: int = 0  # milliseconds to wait for an answer when dialing
    calling_name: str | None = None  # origination name
    calling_number: str | None = None  # origination number
    text: str | None = None  # text to speak, unless the contact has its own (TextToSpeak)
    voice_name: str | None = None  # the voice, which dictates the language as well (TTSVoiceName)
    max_plays: int = 0  # times that the message is played after the call is answered, at most (MaxTextPlays)
    max_retries: int = 0  # attempts to deliver the message, at most (MaxDeliveryRetries)
    retry_minutes: int = 0  # minutes between two attempts, at least (RetryMinutesInterval)


@dataclass(frozen=True, slots=True)
class EmailInfo:
    """OutboundEmailNotificationInfo: how messages go out as mail."""

    enabled: bool = False  # whether delivery over email is enabled
    from_address: str | None = None  # the sender (FromEmail)
    subject: str | None = None  # the subject line
    html: str | None = None  # body as HTML text, unless the contact has its own (HtmlContent)


@dataclass(frozen=True, slots=True)
class Held:
    """A campaign as an answer told it: what an update sends back for every member that is not changed."""

    node: "Node"  # the answer, unknown members and all
    campaign: "Campaign"  # what was read from it


@dataclass(frozen=True, slots=True)
class Campaign:
    """OutboundNotificationCampaignInfo.

    Change one with `dataclasses.replace`: `held` stays with it, and `update_campaign` then sends every member that was
    not changed exactly as the service had told it.
    """

    id: str | None = None  # GUID, lower case, without braces; None in a new one: the service makes it
    created: datetime | None = None  # UTC (CreationDateUtc); the service's own
    name: str | None = None  # ShortName
    description: str | None = None  # comments
    paused: bool = False  # whether execution is paused (IsPaused)
    from_date: date | None = None  # day on which execution starts (ActiveFromDate); no zone is documented
    from_time: time | None = None  # time at which it starts on each day (ActiveFromTime); None may be midnight
    to_date: date | None = None  # day on which execution ends (ActiveToDate)
    to_time: time | None = None  # time at which it ends on each day (ActiveToTime); None may be midnight
    sms: SmsInfo | None = None  # OutboundSMSNotificationInfo
    voice: VoiceInfo | None = None  # OutboundVoiceNotificationInfo
    email: EmailInfo | None = None  # OutboundEmailNotificationInfo
    external_contacts: bool = False  # whether agents can add contacts (AllowAddingContactsFromExternalApps)
    sms_required: bool = False  # whether SMS is mandatory for a contact that is added so (SmsNotificationRequired)
    voice_required: bool = False  # the same of voice (VoiceNotificationRequired)
    email_required: bool = False  # the same of mail (EmailNotificationRequired)
    progress_endpoint: str | None = None  # URL that the service can use as progress indicator (ProgressWSEndpoint)
    held: Held | None = field(default=None, compare=False, repr=False)  # None: not from an answer


@dataclass(frozen=True, slots=True)
class CommunicationInfo:
    """CommunicationInfo: one channel of a contact."""

    destination: str | None = None  # phone number or mail address
    text: str | None = None  # None or blank: the campaign's own (TextToSendOverwrite)
    status: int | None = None  # a DeliveryStatus, or a number that is not documented; ignored when contacts are added
    last_error: int | None = (
        None  # result of the previous attempt, 0: success (LastDeliveryErrorCode); ignored likewise
    )
    retries: int | None = None  # attempts left, 0..255 (RetryCount)


@dataclass(frozen=True, slots=True)
class Contact:
    """OutboundNotificationContactInfo."""

    id: str | None = None  # GUID, lower case, without braces; None in a new one: the service makes it
    campaign_id: str | None = None  # GUID of the campaign that it belongs to
    sms: CommunicationInfo | None = None  # SMSCommInfo; None: not reached so
    voice: CommunicationInfo | None = None  # VoiceCommInfo
    email: CommunicationInfo | None = None  # EmailCommInfo
