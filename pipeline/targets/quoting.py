"""The target's own words, made fit to be shown."""

import re
from collections.abc import Iterable


def quoted(words: str, secrets: Iterable[str]) -> str:
    """The target's own words on one line, without what we told it in confidence."""
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        words = re.sub(re.escape(secret), "***", words, flags=re.IGNORECASE)
    said = " ".join(re.sub(r"[^\w\s.,:;()'\"!?/*-]", " ", words).split())
    return said[:200]
