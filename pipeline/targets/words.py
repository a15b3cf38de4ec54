"""A target's own words, fit to be shown: on one line, without secrets and without destinations."""

import re
from collections.abc import Iterable

from pipeline.logs import mask

#: Longer words than these are no reason but a page, in characters.
_LONGEST = 200


def shown(words: str, secrets: Iterable[str] = ()) -> str:
    """What a target says, as far as it may be shown. `secrets` is what it was told in confidence, in any case."""
    for secret in sorted(filter(None, map(str.strip, secrets)), key=len, reverse=True):
        words = re.sub(re.escape(secret), "***", words, flags=re.IGNORECASE)
    said = " ".join(re.sub(r"[^\w\s.,:;()'\"!?/*@+\[\]-]", " ", mask(words)).split())
    return said[:_LONGEST]
