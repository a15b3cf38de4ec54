"""The last problems of a run: which different ones, how often, and what is done about them."""

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Final

from pipeline.records import Status
from pipeline.report.text import PLACE, left, number, rows, safe, span, word

#: So many different ones are kept; the oldest are dropped.
KEPT: Final = 20

#: What becomes of rows with a problem, where that is not the status itself.
_ROWS: Final = {Status.IN_DOUBT: "in doubt, asked about before one is sent again"}

#: Stands in the place of a status where the rows have none yet.
_PUT_OFF: Final = "put off"


@dataclass(slots=True)
class _Trouble:
    reason: str
    kind: str | None  # status of the rows that it befell, or _PUT_OFF; None: it befell calls, whose rows are as new
    count: int
    last: float


class Troubles:
    """Filled on the event loop; another thread may read. `clock` gives seconds and never goes back."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._met: dict[tuple[str, str | None], _Trouble] = {}  # the latest last
        self._last: _Trouble | None = None  # the last one that befell the way to the target
        self._through = True  # whether calls get through
        self._until = 0.0  # then the next call tries again
        self._asked = False  # whether the target asked for that
        self._end = 0.0  # then the run gives up

    def row(self, status: Status, reason: str | None) -> None:
        """A row ended so."""
        self._note(reason or word(status), status)

    def put_off(self, reason: str) -> None:
        """The target wants a row to be sent again later."""
        self._note(reason, _PUT_OFF)

    def failed(self, reason: str, *, row: bool, lasts: float) -> None:
        """Nothing got through; `row`: it is told of as a row too. In `lasts` seconds it has lasted too long."""
        self._last = self._note(reason, Status.IN_DOUBT if row else None, 0 if row else 1)
        self._through = False
        self._end = self._clock() + lasts

    def waits(self, seconds: float, *, asked: bool) -> None:
        """The next call waits for so long; `asked`: the target wants it so, and a call that gets through changes
        nothing about that.
        """
        self._until, self._asked = self._clock() + seconds, asked

    def over(self) -> None:
        """Calls get through again."""
        self._through = True
        if not self._asked:
            self._until = 0.0

    def _note(self, reason: str, kind: str | None, count: int = 1) -> _Trouble:
        key = (reason, kind)
        trouble = self._met.pop(key, None)
        if trouble is None:
            trouble = self._general(reason, kind)
            key = (trouble.reason, kind)
            trouble = self._met.pop(key, trouble)
        trouble.count += count
        trouble.last = self._clock()
        self._met[key] = trouble
        if len(self._met) > KEPT:
            del self._met[next(iter(self._met))]
        return trouble

    @staticmethod
    def _general(reason: str, kind: str | None) -> _Trouble:
        return _Trouble(safe(PLACE.sub(r"\1 ...", reason)), kind, 0, 0.0)

    # --- in words ---------------------------------------------------------------------------------------------------

    def words(self, most: int) -> list[str]:
        """The latest `most` of them, a sentence each, the latest first; nobody's destination stands in them."""
        now = self._clock()
        latest = list(self._met.values())[: -most - 1 : -1] if most else []
        return [self._sentence(trouble, now) for trouble in latest]

    def _sentence(self, trouble: _Trouble, now: float) -> str:
        parts = []
        times = f"{number(trouble.count)} time{'' if trouble.count == 1 else 's'}"
        if trouble.kind == _PUT_OFF:
            parts.append(f"put off {times}, sent again later")
        elif trouble.kind is None:
            parts.append(times)
        elif trouble.count:
            status = Status(trouble.kind)
            parts.append(f"{rows(trouble.count)} {_ROWS.get(status, word(status))}")
        wait = self._until - now
        if trouble is self._last and (wait > 0 or not self._through):
            parts.append(f"waiting {span(wait, whole=True)}, then trying again" if wait >= 1 else "trying again")
            if not self._through:
                parts.append(f"giving up in {left(max(0.0, self._end - now))}")
        elif now - trouble.last >= 1:
            parts.append(f"last {span(now - trouble.last, whole=True)} ago")
        return f"{trouble.reason} ({'; '.join(parts)})"
