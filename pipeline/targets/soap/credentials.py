"""What we log in with, as far as a message of XML can carry it."""

from pipeline.errors import ConfigError
from pipeline.targets.soap.template import escape
from pipeline.values import Secret


def carried(secret: Secret) -> str:
    """The value as it is now. Raises ConfigError where it cannot be read, or holds what XML has no way to write."""
    value = secret.read()
    try:
        escape(value)
    except ValueError as error:
        raise ConfigError([f"{secret.place}: {error}"]) from None
    return value
