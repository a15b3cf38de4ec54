"""What a mapping gives for a channel that a target has no place for, if it takes nothing but destinations."""

from typing import Final

from pipeline.config import ChannelSettings, ContactsSettings

#: run.toml records it with every channel, so it says nothing.
_USUAL_RETRIES: Final = ChannelSettings.model_fields["retries"].default


def bare_channels(contacts: ContactsSettings) -> list[tuple[str, str]]:
    """Texts and numbers of attempts: the dotted key and, in words, why each has no place."""
    found = []
    for name, channel in contacts.channels.items():
        if channel.text is not None:
            found.append((f"contacts.{name}.text", "has no place at this target: leave it out"))
        if channel.retries != _USUAL_RETRIES:
            found.append((f"contacts.{name}.retries", "has no place at this target: leave it out"))
    return found
