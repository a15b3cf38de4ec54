"""How many of the allowed calls may be in flight: as many as raise the target's throughput.

More calls in flight bring more answers a second until something is full: then they only wait longer. Latency alone
does not tell that (targets slow down for reasons of their own), so where it rises a trial tells: a queue's latency
follows the number of calls, any other does not.

    latency, as a multiple of    |
    what it is where none waits  | what is done after a round of answers
    -----------------------------|------------------------------------------------------------------------
    less than FREE               | more calls: 4 times as many until a first queue was seen, then twice
    less than BUSY               | a third more
    less than FULL               | stays; now and then a trial with a third more
    more                         | a trial with fewer
    a trial shows no queue       | the latency is taken for what it is where none waits; more calls

Where the target refuses (429, 503, connections), a fifth fewer calls at once, then up to just below that number again
and beyond it by small steps after a while. The ideas are those of TCP Vegas and AIMD, as in Netflix's
concurrency-limits and Vector's adaptive request concurrency; the trial is ours, since rows wait for throughput.
"""

from typing import Final

#: Calls in flight at the start: few enough to see the latency where none waits.
FIRST: Final = 16

#: The latency where none waits counts as this many seconds at least: our own process makes rows wait so long, and
#: clocks of loops have milliseconds.
SHORT: Final = 0.005

#: Multiples of the latency where none waits (see above).
FREE: Final = 1.25
BUSY: Final = 1.5
FULL: Final = 2.0
STEEP: Final = 1.75

#: A latency above this multiple of the usual one counts as so much: a few stragglers are no queue.
STRAGGLER: Final = 3.0

#: After a refusal: calls that stay; seconds, and rounds, before more than then are tried again.
KEPT: Final = 0.8
CAUTION: Final = 2.0
CAUTION_ROUNDS: Final = 8

#: Refusals that do not mean the number: this share of the answers, and so many at once.
FORGIVEN_SHARE: Final = 0.02
FORGIVEN: Final = 2.0

#: Refusals within so many seconds, or within a round, count once: the calls left before we knew.
ONCE: Final = 0.05

#: Answers that a trial rests on, at least. Seconds between trials with more calls, growing from the first to the last.
TRIAL: Final = 100
PATIENCE: Final = 2.0
LONGEST_PATIENCE: Final = 60.0


class Limit:
    """Shared by all workers of a run; `most` is how many calls may ever be in flight.

    Read `allowed` (1 to `most`) before each call. Where not `adaptive` it is `most` and stays so. All times are in
    seconds on one clock of the caller, which may have a resolution of milliseconds.
    """

    __slots__ = (
        "_adaptive",
        "_base",
        "_before",
        "_cap",
        "_ceiling",
        "_forgiven",
        "_same_until",
        "_latency",
        "_left",
        "_looking",
        "_most",
        "_opening",
        "_patience",
        "_peak",
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
        self._base: float | None = None  # latency where none waits; None: not known
        self._latency = 0.0  # of the last window
        self._opening = True  # until a queue or a refusal was seen
        self._ceiling = most  # just below what was refused
        self._step = 1  # by which the ceiling rises next
        self._unseal = 0.0  # when the ceiling may rise
        self._same_until = float("-inf")  # until then refusals are of one event
        self._forgiven = 0.0  # refusals that may come now without meaning the number
        self._looking = False  # whether this window takes a second look at a long latency
        self._before: tuple[int, float] | None = None  # allowed and latency before the trial that goes on
        self._try_more = float("-inf")  # when the next trial with more calls is due
        self._patience = PATIENCE
        self._cap = float("inf")
        self._measure(self.allowed)

    def answered(self, latency: float, in_flight: int, now: float) -> None:
        """An answer came after `latency` seconds; `in_flight` counts its call too. Called once per row: cheap."""
        self._sum += latency if latency < self._cap else self._cap
        if in_flight > self._peak:
            self._peak = in_flight
        self._left -= 1
        if not self._left:
            self._close(now)

    def pushed_back(self, in_flight: int, now: float) -> None:
        """The target refused a call, or did not answer in time; `in_flight` counts that call too.

        Each such call takes its place along, so that the next one is not refused in its stead. More than a few in
        many also mean that the number was too high.
        """
        if not self._adaptive:
            return
        served = max(1, min(self.allowed, in_flight - 1))
        self.allowed = served
        if now < self._same_until:
            self._ceiling = min(self._ceiling, served)
            return
        self._forgiven -= 1.0
        if self._forgiven >= 0.0:
            return
        self._forgiven = 0.0
        self._ceiling = served
        self.allowed = max(1, int(served * KEPT))
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
        leaps = latency > self._cap / 2  # it still rises: what was cut off as stragglers is what is usual now
        self._cap = STRAGGLER * max(latency, SHORT)
        self._forgiven = min(FORGIVEN, self._forgiven + FORGIVEN_SHARE * self._size)
        if not self._adaptive or self._peak < 0.7 * self.allowed:  # the limit does not matter now
            self._looking, self._before = False, None
            self._measure(4 * self.allowed)
        elif self._before is not None:
            self._judge(*self._before, latency, now)
        else:
            self._consider(latency, leaps, now)

    def _consider(self, latency: float, leaps: bool, now: float) -> None:
        """Decide by latency; where it is long, only after a second look at answers of calls that left since."""
        base = self._base = latency if self._base is None else self._base
        load = latency / max(base, SHORT)
        if load < (STEEP if self._opening else BUSY):
            # Follow what drifts slowly. A queue is not followed: it is BUSY soon, or held by a ceiling. The first
            # answers are those of the fastest calls, so their latency is soon corrected.
            rising = 0.5 if self._opening and load < BUSY else 0.0625
            self._base += (latency - base) * (0.5 if latency < base else rising)
            self._looking = False
            self._grow((4.0 if load < FREE else 2.0) if self._opening else 2.0 if load < FREE else 4 / 3, now)
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
        if self.allowed >= self._ceiling < self._most and now >= self._unseal:
            self._ceiling = min(self._most, self._ceiling + self._step)
            self._step *= 2
        before = self.allowed
        self.allowed = max(before, min(self._ceiling, max(before + 1, int(before * factor))))
        self._measure(self.allowed if self.allowed < self._most else 4 * self._most)

    # --- trials -----------------------------------------------------------------------------------------------------

    def _try(self, calls: int, latency: float) -> None:
        before = self.allowed
        if calls == before:  # nothing to try
            self._measure(4 * before)
            return
        self._before = (before, latency)
        self.allowed = calls
        self._measure(max(TRIAL, 2 * calls), settle=max(before, calls))

    def _judge(self, before: int, latency_before: float, latency: float, now: float) -> None:
        self._before = None
        between = latency_before * (1 + self.allowed / before) / 2
        fewer = self.allowed < before
        if latency < between if fewer else latency > between:
            self._opening = False
            self._try_more = now + self._patience
            if not fewer:
                self._patience = min(LONGEST_PATIENCE, 2 * self._patience)
                self.allowed = before
            self._measure(self.allowed, settle=before)
        else:
            self._base = latency
            self._patience = PATIENCE
            self._try_more = now
            self._grow(2.0, now)
