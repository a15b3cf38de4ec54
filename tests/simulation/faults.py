"""The seeded schedule of what goes wrong at the target: a fate for every call, and times in which nothing goes well."""

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from random import Random


class Fate(StrEnum):
    """What becomes of one row call."""

    ANSWERED = "answered"
    LOST_AFTER = "answer lost after the effect"
    LOST_BEFORE = "answer lost before the effect"
    LATE = "late effect"
    SLOW = "slow answer"
    NOT_DELIVERED = "not delivered"
    PUT_OFF = "put off"
    EXPIRED = "expired in mid-flight"


class Weather(StrEnum):
    """A time in which every call fares the same."""

    FAIR = "fair"
    DARK = "outage, no answer"
    REFUSED = "outage, refused"
    STORM = "503 storm"


@dataclass(frozen=True, slots=True)
class Front:
    """Weather that comes with the n-th call of the world and stays for some seconds."""

    call: int
    weather: Weather
    seconds: float


class Faults:
    """What goes wrong in one world. `struck` counts what did, by kind; `calm` ends it all."""

    def __init__(self, random: Random, *, late_effect: float, timeout: float, outage: float) -> None:
        self.random = random
        self.struck: Counter[str] = Counter()
        self.calm = False
        self.late_effect = late_effect
        self.timeout = timeout
        self._calls = 0
        self._weather = Weather.FAIR
        self._until = 0.0
        fates = [fate for fate in Fate if fate is not Fate.ANSWERED]
        chosen = random.sample(fates, random.randint(2, 5))
        self._fates = [Fate.ANSWERED, *chosen]
        self._weights = [1.0] + [random.choice((0.005, 0.01, 0.03)) for _ in chosen]
        fronts = (
            Front(random.randint(1, 500), random.choice(list(Weather)[1:]), random.uniform(0.2, 1.6) * outage)
            for _ in range(random.randint(0, 3))
        )
        self._fronts = sorted(fronts, key=lambda front: -front.call)
        self.lag = random.choice((0.0, 0.0, 0.3, 1.0)) * late_effect
        self.refreshed = random.random() < 0.5  # the list is made anew every so often, else each contact shows up late
        self._null_lists = random.choice((0.0, 0.0, 0.3))
        self._broken_lists = random.choice((0.0, 0.0, 0.3))
        self._openings = random.choice((0.0, 0.0, 0.15))
        self._closings = random.choice((0.0, 0.1))
        self._damages = random.choice((0, 0, 0, 1, 2))  # processes until the target's contract is understood

    def weather(self, now: float) -> Weather:
        """The weather that a call meets."""
        if self.calm:
            return Weather.FAIR
        self._calls += 1
        if self._fronts and self._fronts[-1].call <= self._calls:
            front = self._fronts.pop()
            self._weather, self._until = front.weather, now + front.seconds
        if now >= self._until:
            self._weather = Weather.FAIR
        return self._weather

    def clear_up(self) -> None:
        """From now on nothing goes wrong any more."""
        self.calm = True
        self.lag = 0.0

    def flare_up(self) -> None:
        """Things go wrong once more."""
        self.calm = False

    def fate(self) -> Fate:
        """What becomes of the next row call."""
        return Fate.ANSWERED if self.calm else self.random.choices(self._fates, self._weights)[0]

    def latency(self) -> float:
        """Seconds until the next answer."""
        if not self.calm and self.random.random() < 0.02:
            return self.random.uniform(0.1, 0.9) * self.timeout
        return self.random.uniform(0.005, 0.05)

    def late(self) -> float:
        """How long after it was given up a request takes effect."""
        return self.late_effect * self.random.choice((self.random.random(), 1.0))

    def mends(self) -> None:
        """A person sees to the contract between two processes."""
        self._damages -= 1

    def damages(self) -> bool:
        """Whether the next contact loses a member on its way."""
        if self.calm or self._damages <= 0:
            return False
        self.strike("member lost")
        return True

    def null_list(self) -> bool:
        """Whether the next list is null."""
        return self._strikes(self._null_lists, "null list")

    def broken_list(self) -> bool:
        """Whether the next list breaks off."""
        return self._strikes(self._broken_lists, "list broken off")

    def opening_lost(self) -> bool:
        """Whether the answer to the next opening is lost."""
        return self._strikes(self._openings, "opening's answer lost")

    def closing_lost(self) -> bool:
        """Whether the answer to the next closing is lost."""
        return self._strikes(self._closings, "closing's answer lost")

    def taking_back_lost(self) -> bool:
        """Whether the answer to the next deletion is lost."""
        return self._strikes(0.4, "deletion's answer lost")

    def strike(self, kind: str) -> None:
        """Remember that something went wrong."""
        self.struck[kind] += 1

    def _strikes(self, chance: float, kind: str) -> bool:
        if self.calm or self.random.random() >= chance:
            return False
        self.strike(kind)
        return True
