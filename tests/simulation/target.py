"""An in-memory target that honours the contract of `pipeline.targets.Target`, with the faults of its world."""

import json
import math
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn
from zlib import crc32

import anyio
import polars as pl
from simulation.faults import Fate, Faults, Weather
from simulation.store import Content, Session, Store
from simulation.virtual import Clock

from pipeline import errors
from pipeline.config import Settings, TargetSettings
from pipeline.errors import NotDelivered, OpeningRefused, OutcomeUnknown, PutOff, Refused, SessionExpired
from pipeline.records import CHANNELS
from pipeline.stages.canary import Held, HeldChannel
from pipeline.stages.encode import Body
from pipeline.stages.sender import Sender
from pipeline.targets.onc import TARGET_SETTINGS
from pipeline.wire import Answer

#: A list that is null is an error of its own where the pipeline knows one.
_NoList: type[OutcomeUnknown] = getattr(errors, "NoList", OutcomeUnknown)

#: What an answer other than "0" means.
_SAYS_NO = {
    b"3": (SessionExpired, "the session is gone"),
    b"5": (PutOff, "the target is busy"),
    b"9": (Refused, "the target says no"),
}

#: The target never takes one row in so many.
REFUSES_ONE_IN = 61


def refuses(contact_id: str) -> bool:
    """Whether the target says no to a row, always."""
    return crc32(contact_id.encode()) % REFUSES_ONE_IN == 0


@dataclass(slots=True)
class Flight:
    """A row call on its way. `decided`: its effect has come, or never will."""

    contact_id: str
    content: Content
    retries: dict[str, int]
    update: bool = False
    decided: bool = False


class _Line:
    """A session's way for rows."""

    def __init__(self, target: "SimTarget", session: Session) -> None:
        self._target = target
        self._session = session

    async def post(self, parts: Body, follow: Callable[[Answer], Body | None]) -> Answer:
        following: Body | None = parts
        while following is not None:
            answer = await self._target.answered(self._session, following)
            following = follow(answer)
        return answer


class SimTarget(Sender[Session]):
    """The target as one process sees it. `passing` hears of every call before it is made, and may raise."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        faults: Faults,
        clock: Clock,
        passing: Callable[[str], None],
        *,
        process: int,
        room: int,
        trace: list[str],
    ) -> None:
        self._retries = {name: channel.retries for name, channel in settings.contacts.channels.items()}
        self._store = store
        self._faults = faults
        self._clock = clock
        self._passing = passing
        self._process = process
        self._room = room  # sessions that may be open at once
        self._trace = trace
        self.flights: dict[int, Flight] = {}
        self._sent = 0
        self.sessions: list[Session] = []

    @property
    def most_sessions(self) -> None:
        return None

    @property
    def session_life(self) -> None:
        return None

    @property
    def rows(self) -> "SimTarget":
        return self

    @property
    def lookup(self) -> "SimTarget":
        return self

    @property
    def campaigns(self) -> None:
        return None

    # --- encoding ---------------------------------------------------------------------------------------------------

    @property
    def forbidden(self) -> str:
        return ""

    def unfit(self, contacts: pl.DataFrame) -> pl.Series:
        return pl.Series("unfit", [None] * contacts.height, dtype=pl.String)

    def encode(self, contacts: pl.DataFrame) -> list[Body]:
        return [(json.dumps([row["contact_id"], content_of(row)]).encode(),) for row in contacts.iter_rows(named=True)]

    # --- sessions ---------------------------------------------------------------------------------------------------

    async def open(self) -> Session:
        await self._arrive("open")
        if sum(1 for _ in self._store.sessions()) >= self._room:
            self._faults.strike("session refused")
            raise OpeningRefused("too many sessions", code="17")
        session = self._store.open(self._process)
        await anyio.sleep(self._faults.latency())
        if self._faults.opening_lost():
            raise OutcomeUnknown("no answer to the opening")
        session.given = True
        self.sessions.append(session)
        return session

    async def prove(self, handle: Session) -> bool:
        await self._arrive("prove")
        return self._alive(handle)

    async def prepare(self, handle: Session) -> None:
        await self._arrive("prepare")
        if not self._alive(handle):
            raise SessionExpired("the session is gone")

    async def close(self, handle: Session) -> None:
        handle.asked_to_close = True
        await self._arrive("close")
        if not self._alive(handle):
            raise Refused("the session is gone", code="3")
        self._store.close(handle)
        if self._faults.closing_lost():
            raise OutcomeUnknown("no answer to the closing")

    def learnt(self) -> tuple[str, ...]:
        return ()

    # --- rows -------------------------------------------------------------------------------------------------------

    def line(self, handle: Session) -> "_Line":
        return _Line(self, handle)

    async def answered(self, handle: Session, body: Body) -> Answer:
        """What the target answers to a row; what becomes of a row on its way is raised."""
        try:
            return Answer(200, (), (await self._send("send", handle, body)).encode())
        except (PutOff, Refused, SessionExpired) as error:
            return Answer(200, (), error.code.encode())

    async def judge(self, handle: Session, body: Body, answer: Answer) -> str:
        code = answer.body.decode()
        if answer.body in _SAYS_NO:
            error, words = _SAYS_NO[answer.body]
            raise error(words, code=code)
        return code

    async def _send(self, operation: str, handle: Session, body: Body) -> str:
        contact_id, content = json.loads(b"".join(body))
        flight = Flight(contact_id, tuple(map(tuple, content)), self._retries, update=operation == "update")
        number = self._sent = self._sent + 1
        self.flights[number] = flight
        try:
            await self._arrive(operation, contact_id)
            return await self._taken(handle, flight)
        except anyio.get_cancelled_exc_class():
            self._faults.strike("cancelled call")
            self.give_up(flight, self._clock.now)
            raise
        finally:
            del self.flights[number]

    async def _taken(self, handle: Session, flight: Flight) -> str:
        faults = self._faults
        fate = faults.fate()
        if fate is Fate.EXPIRED and not handle.ended:
            self._store.expire(handle)
            faults.strike(fate)
        if not self._alive(handle):
            flight.decided = True
            raise SessionExpired("the session is gone", code="3")
        unknown = flight.update and not self._store.has(flight.contact_id)
        if refuses(flight.contact_id) or unknown:
            flight.decided = True
            faults.strike("refused")
            raise Refused("the target says no", code="9")
        if fate not in (Fate.ANSWERED, Fate.EXPIRED):
            faults.strike(fate)
        if fate is Fate.NOT_DELIVERED:
            flight.decided = True
            raise NotDelivered("the connection was refused")
        if fate is Fate.PUT_OFF:
            flight.decided = True
            raise PutOff("the target is busy", code="5")
        if fate is Fate.LOST_BEFORE:
            flight.decided = True
            await anyio.sleep(faults.latency())
            raise OutcomeUnknown("the line was cut")
        if fate is Fate.LATE:
            await anyio.sleep(faults.latency())
            self._come_later(flight, self._clock.now)
            raise OutcomeUnknown("the line was cut")
        if fate is Fate.SLOW:
            await anyio.sleep(faults.timeout)
            self.give_up(flight, self._clock.now)
            raise OutcomeUnknown("no answer in time")
        await anyio.sleep(faults.latency() / 2)
        self._come(flight)
        await anyio.sleep(faults.latency() / 2)
        if fate is Fate.LOST_AFTER:
            raise OutcomeUnknown("the line was cut")
        return "0"

    def give_up(self, flight: Flight, given_up: float) -> None:
        """Nobody waits for an answer: what has not taken effect does so now, later within the bound, or never."""
        if flight.decided:
            return
        fate = self._faults.random.choice(("now", "later", "never"))
        if refuses(flight.contact_id) or fate == "never":
            flight.decided = True
        elif fate == "now":
            self._come(flight)
        else:
            self._come_later(flight, given_up)

    def _come(self, flight: Flight) -> None:
        self._take_in(flight, self._clock.now)

    def _come_later(self, flight: Flight, given_up: float) -> None:
        self._take_in(flight, given_up + self._faults.late())
        self._faults.strike("took effect later")

    def _take_in(self, flight: Flight, effective: float) -> None:
        flight.decided = True
        if flight.update:
            self._store.update(flight.contact_id, flight.content, effective=effective)
            return
        lag = self._faults.lag
        listed = math.ceil(effective / lag) * lag if lag and self._faults.refreshed else effective + lag
        retries = dict.fromkeys(flight.retries, 0) if self._faults.damages() else flight.retries
        self._store.add(flight.contact_id, flight.content, retries, effective=effective, listed=listed)

    # --- what the target holds --------------------------------------------------------------------------------------

    async def contact_ids(self, handle: Session) -> AsyncGenerator[str]:
        async for held in self._list(handle, "contact_ids"):
            yield held.contact_id or ""

    async def read_back(self, handle: Session, *, limit: int) -> AsyncGenerator[Held]:
        async for held in self._list(handle, "read_back"):
            yield held

    def encode_update(self, contacts: pl.DataFrame) -> list[Body]:
        return self.encode(contacts)

    async def update(self, handle: Session, body: Body) -> str:
        return await self._send("update", handle, body)

    def encode_removal(self, contact_ids: pl.Series) -> list[Body]:
        return [(contact_id.encode(),) for contact_id in contact_ids]

    async def remove(self, handle: Session, body: Body) -> str:
        contact_id = b"".join(body).decode()
        await self._arrive("remove", contact_id)
        if not self._alive(handle):
            raise SessionExpired("the session is gone", code="3")
        if not self._store.remove(contact_id):
            raise Refused("there is no such contact", code="9")
        self._faults.strike("taken back")
        if self._faults.taking_back_lost():
            raise OutcomeUnknown("the line was cut")
        return "0"

    async def _list(self, handle: Session, operation: str) -> AsyncGenerator[Held]:
        await self._arrive(operation)
        if not self._alive(handle) or self._faults.null_list():
            raise _NoList("the list is null")
        shown = self._store.listed()
        if len(shown) < len(self._store.there()):
            self._faults.strike("lagging list")
        broken = self._faults.random.randrange(len(shown) + 1) if self._faults.broken_list() else None
        for place, contact in enumerate(shown):
            if place == broken:
                break
            if place % 64 == 63:
                await anyio.sleep(self._faults.latency())
            channels = {
                name: HeldChannel(destination, text, contact.retries.get(name), tries=True, untouched=True)
                for name, destination, text in contact.content
            }
            yield Held(contact.kept_id, channels)
        if broken is not None:
            raise OutcomeUnknown("the list breaks off")

    # --- calls ------------------------------------------------------------------------------------------------------

    async def _arrive(self, operation: str, detail: str = "") -> None:
        """A call on its way to the target, which it does not reach in bad weather."""
        self._trace.append(f"{self._process} {self._clock.now:.6f} {operation} {detail}")
        self._passing(operation)
        weather = self._faults.weather(self._clock.now)
        if weather is not Weather.FAIR:
            await self._storm(weather)
        await anyio.sleep(self._faults.latency() / 2)

    async def _storm(self, weather: Weather) -> NoReturn:
        faults = self._faults
        faults.strike(weather)
        if weather is Weather.DARK:
            await anyio.sleep(faults.random.choice((faults.latency(), faults.timeout)))
            raise OutcomeUnknown("no answer")
        await anyio.sleep(faults.latency())
        if weather is Weather.STORM:
            raise NotDelivered("the target is overloaded", retry_after=faults.random.choice((None, 1.0, 5.0)))
        raise NotDelivered("the connection was refused")

    def _alive(self, session: Session) -> bool:
        before = session.ended
        good = self._store.use(session)
        if not good and not before:
            self._faults.strike("idle session expired")
        return good


def content_of(row: dict[str, Any]) -> Content:
    """What is sent for a row of the contacts' schema, or stands in its place in the ledger."""
    return tuple((name, row[name], row[f"{name}_text"]) for name in CHANNELS if row[name] is not None)


class SimModule:
    """In the place of a target's module: settings as ONC has them, and targets made by the world."""

    TARGET_SETTINGS: type[TargetSettings] = TARGET_SETTINGS

    def __init__(self, make: Callable[[Settings], SimTarget]) -> None:
        self._make = make

    def create(self, settings: Settings, clients: object, contract: Path | None) -> SimTarget:
        return self._make(settings)
