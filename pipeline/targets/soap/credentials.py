"""What we log in with: read anew for each opening, as far as a message of XML can carry it."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from pipeline.errors import ConfigError, OpeningRefused
from pipeline.targets.soap.template import escape
from pipeline.values import Secret

C = TypeVar("C")
S = TypeVar("S")


def carried(secret: Secret) -> str:
    """The value as it is now. Raises ConfigError where it cannot be read, or holds what XML has no way to write."""
    value = secret.read()
    try:
        escape(value)
    except ValueError as error:
        raise ConfigError([f"{secret.place}: {error}"]) from None
    return value


async def opened(credentials: Callable[[], C], open_: Callable[[C], Awaitable[S]]) -> S:
    """The session that `open_` opens with `credentials`. Where those are refused they are read once more: a value that
    changed meanwhile is tried before the target's no counts. Raises OpeningRefused, and as both do.
    """
    given = credentials()
    try:
        return await open_(given)
    except OpeningRefused:
        changed = credentials()
        if changed == given:
            raise
        return await open_(changed)
