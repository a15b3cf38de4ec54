"""When refusals are no longer believed without asking: a session or a right that is lost can look like bad rows."""

from typing import Final

#: After so many refusals in a row the session is proven (contract.md).
PROVEN_EVERY: Final = 50


class Refusals:
    """Counts the refusals of a run that no acceptance interrupts; calls in flight on several sessions share it."""

    def __init__(self) -> None:
        self._in_a_row = 0

    def accepted(self) -> None:
        """A row was accepted."""
        self._in_a_row = 0

    def refused(self) -> bool:
        """A row was refused. True: so many in a row that the session must be proven before this one is settled."""
        self._in_a_row += 1
        return self._in_a_row % PROVEN_EVERY == 0
