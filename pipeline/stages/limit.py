"""How many of the allowed calls may be in flight: as many as raise the target's throughput.

More calls in flight bring more answers a second until something is full; then they only wait longer. Latency alone
does not tell that, for targets also slow down by themselves. So where it rises, a trial tells: with more calls, or
fewer, the latency of a queue follows their number, any other does not.

    load: latency as a multiple of    | what is done after a round of answers
    what it is where no call waits    |
    ----------------------------------|---------------------------------------------------------------------
    less than FREE                    | twice as many calls
    less than BUSY                    | a third more
    less than FULL                    | as many; now and then a trial with a third more
    more                              | a trial with fewer, which are kept where it shows a queue
    any, and a trial shows no queue   | from now on this latency is the one where no call waits; more calls

Until the first long latency or refusal it goes faster: 4 times as many below BUSY, twice as many below STEEP.

A call that is refused (429, 503, no connection) takes its place along, and more than a few in many cost a fifth of the
others too. Later the number rises to just below the one refused, and after a while beyond it by growing steps.

The ideas are those of TCP Vegas and AIMD, as in Netflix's concurrency-limits and Vector's adaptive request concurrency.
The trials are ours: rows wait for throughput, not for latency.
"""

from typing import Final

#: Calls in flight at the start: few enough to see the latency where none waits.
FIRST: Final = 16

#: The latency where no call waits counts as so many seconds at least. Rows wait so long for our own process, and clocks
#: of loops have milliseconds.
SHORT: Final = 0.005

#: Loads (see above).
FREE: Final = 1.25
BUSY: Final = 1.5
STEEP: Final = 1.75
FULL: Final = 2.0

#: A latency above this multiple of the usual one counts as so much: a few stragglers are no queue.
STRAGGLER: Final = 3.0

#: Answers that a trial rests on, at least. Seconds between trials with more calls, growing from the first to the last.
TRIAL: Final = 100
PATIENCE: Final = 2.0
LONGEST_PATIENCE: Final = 60.0

#: After too many refusals: the share of calls that stays. More than were refused are tried again after so many seconds
#: and so many rounds.
KEPT: Final = 0.8
CAUTION: Final = 2.0
CAUTION_ROUNDS: Final = 8

#: Refusals within so many seconds, or within a round, cost those others once: the calls left before we knew.
ONCE: Final = 0.05

#: The share of calls that a target may refuse whatever their number: the least and the most that is believed, and over
#: how many answers it holds.
FLAWS: Final = 0.005
MOST_FLAWS: Final = 0.05
FLAWS_OVER: Final = 400


class Limit:
    """Shared by all workers of a run; `most` is how many calls may ever be in flight.

    `allowed` (1 to `most`) is read before each call. Where not `adaptive` it is `most` and stays so. All times are in
    seconds on one clock of the caller, which may have a resolution of milliseconds.
    """

    __slots__ = (
        "_adaptive",
        "_base",
        "_before",
        "_cap",
        "_ceiling",
        "_flaws",
        "_forgiven",
        "_latency",
        "_left",
        "_looking",
        "_most",
        "_opening",
        "_patience",
        "_peak",
        "_same_until",
        "_settling",
        "_size",
        "_step",
        "_sum",
        "_try_more",
        "_unseal",
        "allowed",
    )

    def __init__(self, most: int, adaptive: bool = True) -> None:
        self.allowed = min(most, FIRST) if adaptive else most
        self._most = most
        self._adaptive = adaptive
        self._base: float | None = None  # latency where no call waits; None: not known yet
        self._latency = 0.0  # of the last window
        self._cap = float("inf")  # stragglers count as so much
        self._opening = True  # until the first long latency or refusal
        self._looking = False  # whether this window takes a second look at a long latency
        self._before: tuple[int, float] | None = None  # calls and latency before the trial that goes on
        self._try_more = float("-inf")  # when a trial with more calls is due
        self._patience = PATIENCE
        self._ceiling = most  # no more calls than that: more were refused
        self._unseal = float("-inf")  # when the ceiling may rise
        self._step = 1  # by how much it rises next
        self._same_until = float("-inf")  # refusals until then belong to the last cut
        self._flaws = FLAWS
        self._forgiven = 0.0  # refusals that may come now without a cut
        self._peak = 0  # most calls in flight in this window
        self._measure(self.allowed)

    def answered(self, latency: float, in_flight: int, now: float) -> None:
        """An answer came after `latency` seconds; `in_flight` counts its call too. Called once per row: cheap."""
        self._sum += latency if latency < self._cap else self._cap  # noqa: FURB136 (min costs twice as much)
        if in_flight > self._peak:
            self._peak = in_flight
        self._left -= 1
        if not self._left:
            self._close(now)

    def pushed_back(self, in_flight: int, now: float) -> None:
        """The target refused a call, or did not answer it in time; `in_flight` counts that call too."""
        if not self._adaptive:
            return
        # The call takes its place along, or the next one would be refused in its stead.
        served = max(1, in_flight - 1)
        self.allowed = min(self.allowed, served)
        if now < self._same_until:
            self._ceiling = min(self._ceiling, served)
            return
        self._forgiven -= 1.0
        if self._forgiven >= 0.0:
            return
        self._forgiven = 0.0
        # That fewer calls brought no relief tells of a target that refuses some whatever their number.
        relieved = now >= self._unseal
        self._flaws = max(FLAWS, self._flaws / 2) if relieved else min(MOST_FLAWS, self._flaws * 2)
        self._ceiling = self.allowed
        self.allowed = max(1, round(self._ceiling * KEPT))
        self._opening = self._looking = False
        self._before = None
        self._step = 1
        self._unseal = now + max(CAUTION, CAUTION_ROUNDS * self._latency)
        self._same_until = now + max(ONCE, self._latency)
        self._measure(self.allowed)

    # --- windows ----------------------------------------------------------------------------------------------------

    def _measure(self, answers: int, *, settle: int = 0) -> None:
        """Begin a window of so many answers, after `settle` answers of calls that left too early to count."""
        self._size = max(8, answers)
        self._settling = settle > 0
        self._left = settle or self._size
        self._sum = 0.0
        self._peak = 0

    def _close(self, now: float) -> None:
        if self._settling:
            self._measure(self._size)
            return
        latency = self._latency = self._sum / self._size
        leaps = latency > self._cap / 2  # it rises still: what counted as stragglers is what is usual now
        self._cap = STRAGGLER * max(latency, SHORT)
        self._forgiven = min(self._flaws * FLAWS_OVER, self._forgiven + self._flaws * self._size)
        if not self._adaptive or self._peak < 0.7 * self.allowed:  # the limit does not matter now
            self._looking, self._before = False, None
            self._measure(self.allowed)
        elif self._before is not None:
            self._judge(*self._before, latency, now)
        else:
            self._consider(latency, leaps, now)

    def _consider(self, latency: float, leaps: bool, now: float) -> None:
        """Decide by load; where it is high, after a second look at answers of calls that left since the first."""
        base = self._base = latency if self._base is None else self._base
        load = latency / max(base, SHORT)
        if load < (STEEP if self._opening else BUSY):
            if latency < base or (self._opening and load < BUSY):
                self._base = (base + latency) / 2  # longer only at first: the first answers are of the fastest calls
            self._looking = False
            if self._opening:
                self._grow(4.0 if load < BUSY else 2.0, now)
            else:
                self._grow(2.0 if load < FREE else 4 / 3, now)
        elif leaps or not self._looking:
            self._looking = True
            self._measure(max(TRIAL, 2 * self.allowed), settle=self.allowed)
        else:
            self._looking = False
            if load > FULL and self.allowed > 1:
                self._try(max(1, int(self.allowed * min(0.75, max(0.5, FULL / load)))), latency)
            elif now >= self._try_more:
                self._try(min(self._ceiling, max(self.allowed + 1, self.allowed * 4 // 3)), latency)
            else:
                self._measure(4 * self.allowed)

    def _grow(self, factor: float, now: float) -> None:
        before = self.allowed
        if before >= self._ceiling < self._most and now >= self._unseal:
            self._ceiling = min(self._most, self._ceiling + self._step)
            self._step *= 2
        self.allowed = min(self._ceiling, max(before + 1, int(before * factor)))
        self._measure(self.allowed if self.allowed < self._most else 4 * self._most)

    # --- trials -----------------------------------------------------------------------------------------------------

    def _try(self, calls: int, latency: float) -> None:
        before = self.allowed
        if calls == before:  # the ceiling allows no trial
            self._measure(4 * before)
            return
        self._before = (before, latency)
        self.allowed = calls
        self._measure(max(TRIAL, 2 * calls), settle=max(before, calls))

    def _judge(self, before: int, latency_before: float, latency: float, now: float) -> None:
        """A trial has ended: tell by whether the latency went along with the calls at least half of the way."""
        self._before = None
        half = latency_before * (1 + self.allowed / before) / 2
        more = self.allowed > before
        if latency > half if more else latency < half:
            self._opening = False
            self._try_more = now + self._patience
            if more:
                self._patience = min(LONGEST_PATIENCE, 2 * self._patience)
                self.allowed = before
            self._measure(self.allowed, settle=before)
        else:
            self._base = latency
            self._patience = PATIENCE
            self._try_more = now
            self._grow(2.0, now)
