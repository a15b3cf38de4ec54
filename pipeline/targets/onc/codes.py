"""What the target's result codes mean: as configured, and as this run has learnt.

No table of codes is published. An unlisted code is settled by asking whether the session is still good, after the
refusal: a session that is good now was good then. That a code means "session gone" is remembered and used without
asking again, unless the target uses the same code to refuse rows: it may have one code for everything.
"""

from enum import Enum
from typing import Final

from pipeline.targets.onc.settings import CodeSettings

#: After so many refusals in a row the campaign is proven as well (contract.md).
CAMPAIGN_PROVEN_EVERY: Final = 50


class Meaning(Enum):
    """What a non-zero result code says."""

    SESSION_GONE = "session gone"
    TRANSIENT = "transient"
    DUPLICATE = "duplicate"
    TO_BE_PROVEN = "to be proven"


class CodeBook:
    """The codes of one run. All methods are synchronous: calls in flight on several sessions share it."""

    def __init__(self, settings: CodeSettings) -> None:
        self._listed = {
            **dict.fromkeys(settings.session, Meaning.SESSION_GONE),
            **dict.fromkeys(settings.transient, Meaning.TRANSIENT),
            **dict.fromkeys(settings.duplicate, Meaning.DUPLICATE),
        }
        self._session = settings.session
        self._gone: set[str] = set()
        self._refused: set[str] = set()
        self._in_a_row = 0

    def meaning(self, code: str, *, trusted: bool) -> Meaning:
        """What a code says on a session; `trusted`: a call has succeeded on it. On a session just opened "session
        gone" is not believed without asking, or one code for everything would renew sessions for ever.
        """
        if (listed := self._listed.get(code)) is not None:
            return listed
        if trusted and code in self._gone and code not in self._refused:
            return Meaning.SESSION_GONE
        return Meaning.TO_BE_PROVEN

    def accepted(self) -> None:
        """A row was accepted."""
        self._in_a_row = 0

    def session_was_gone(self, code: str) -> None:
        """The session did not prove good after this code."""
        self._gone.add(code)

    def row_was_refused(self, code: str) -> bool:
        """The session proved good after this code. True: so many in a row that the campaign must be proven too."""
        self._refused.add(code)
        self._in_a_row += 1
        return self._in_a_row % CAMPAIGN_PROVEN_EVERY == 0

    def learnt(self) -> tuple[str, ...]:
        """Lines for the configuration."""
        new = self._gone - self._refused
        if not new:
            return ()
        codes = ", ".join(f'"{code}"' for code in sorted({*self._session, *new}, key=int))
        return (f"target.codes.session = [{codes}]",)
