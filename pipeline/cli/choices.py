"""The words that a shell offers for options and arguments whose value is one of few.

They stand here once more, since the modules that mean them take longer to import than anybody waits for a key; that
both say the same is tested.
"""

from collections.abc import Callable, Sequence
from typing import Final

#: `report --format`, and `--report` up to its "=".
FORMS: Final = ("html", "junit", "github")

#: `resume --again`: statuses, with commas between.
AGAIN: Final = ("failed", "rejected")

#: `simulate --system`.
SYSTEMS: Final = ("onc", "genesys", "pagos", "intelliview")

#: `simulate --fault`, up to its ":".
FAULTS: Final = ("unavailable", "cut", "cut_answer", "hang", "fault", "html", "busy", "incomplete", "expire")

#: `simulate --lose`.
MEMBERS: Final = ("Destination", "TextToSendOverwrite", "StatusCode", "LastDeliveryErrorCode", "RetryCount")


def of(words: Sequence[str]) -> Callable[[], list[str]]:
    """What typer asks for the `words`; it leaves out those that do not begin as what was typed."""
    return lambda: list(words)


def again(incomplete: str) -> list[str]:
    """One status after the other, each once."""
    *given, _ = incomplete.split(",")
    before = "".join(f"{word}," for word in given)
    return [before + word for word in AGAIN if word not in given]


def regions() -> list[str]:
    """The countries whose national numbers can be read (ISO 3166)."""
    from phonenumbers import SUPPORTED_REGIONS

    return sorted(SUPPORTED_REGIONS)


def topics() -> list[str]:
    """What `explain` knows by one word: exit codes, statuses, and names of errors."""
    from pipeline.report.explain import topics

    return [name for topic in topics() if topic.kind in ("exit", "status", "error") for name in topic.names]
