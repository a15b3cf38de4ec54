"""The fields of an outbound record, by their documented names, and what of a mapping does not fit them."""

from collections.abc import Mapping
from typing import Final

from pipeline.config import ContactsSettings
from pipeline.targets.channels import bare_channels

#: Fields that hold whole numbers.
INTEGERS: Final = ("applicationId", "from", "until", "chainId")

#: A record is not taken without these.
REQUIRED: Final = (
    "applicationId",
    "campaignName",
    "callingList",
    "phoneType",
    "timeZone",
    "from",
    "until",
    "devicePath",
)

#: Every field that a mapping may fill. `phoneNumber` is the destination of a channel.
KNOWN: Final = (*REQUIRED, "chainId", "referenceId")

#: What stands before the name of a member of `otherFields`.
OTHER: Final = "otherFields."


def misfits(contacts: ContactsSettings, constants: Mapping[str, str]) -> list[tuple[str, str]]:
    """What of a mapping a record has no place for, or lacks: the dotted key and, in words, why.

    `constants` are the fields that the settings give for all records, with the key of each.
    """
    found = []
    if "email" in contacts.channels:
        found.append(("contacts.email", "a record has a phone number and no address of mail: leave it out"))
    if contacts.sms and contacts.voice:
        found.append(("contacts.voice", "a record has one phone number: map [contacts.sms] or [contacts.voice]"))
    found += bare_channels(contacts)
    for name in contacts.fields:
        place = f"contacts.fields.{name}"
        if name == "phoneNumber":
            found.append((place, "is the destination of [contacts.sms] or [contacts.voice]"))
        elif name in constants:
            found.append((place, f"is given for all records by {constants[name]}: keep one of the two"))
        elif name not in KNOWN and not (name.startswith(OTHER) and name != OTHER):
            found.append((place, f"is no field of a record; there are {', '.join(KNOWN)}, and {OTHER}NAME"))
    missing = [name for name in REQUIRED if name not in contacts.fields and name not in constants]
    if missing:
        found.append(("contacts.fields", f"a record must have {', '.join(missing)} too"))
    return found
