"""The session pool against a provider in memory that honours the real contract."""

from dataclasses import dataclass, field

import anyio
import pytest

from pipeline.config import SessionsSettings
from pipeline.errors import NotDelivered, OpeningRefused, OutcomeUnknown, TargetUnreachable, TargetUnusable
from pipeline.sessions import SessionPool

pytestmark = pytest.mark.anyio


@dataclass
class Provider:
    """Opens numbered sessions. `answers` says, opening by opening, what happens instead."""

    answers: list[BaseException | None] = field(default_factory=list)
    opened: list[int] = field(default_factory=list)
    closed: list[int] = field(default_factory=list)
    attempts: int = 0
    most_sessions: int | None = None
    session_life: float | None = None
    opening: anyio.Event | None = None  # set when an opening has begun
    gate: anyio.Event | None = None  # an opening waits for it

    async def open(self) -> int:
        self.attempts += 1
        if self.opening:
            self.opening.set()
        if self.gate:
            await self.gate.wait()
        answer = self.answers.pop(0) if self.answers else None
        if answer is not None:
            raise answer
        self.opened.append(len(self.opened) + 1)
        return self.opened[-1]

    async def prove(self, handle: int) -> bool:
        return handle not in self.closed

    async def close(self, handle: int) -> None:
        await anyio.lowlevel.checkpoint()
        self.closed.append(handle)


def pool(provider: Provider, size: int = 3, calls: int = 1, **settings: float) -> SessionPool[int]:
    return SessionPool(provider, size, calls, SessionsSettings.model_validate(settings))


async def test_opens_only_what_is_leased_and_closes_all():
    provider = Provider()
    sessions = pool(provider)
    async with sessions.lease() as one, sessions.lease() as two:
        assert {await one.handle(), await two.handle()} == {1, 2}
    await sessions.aclose()
    assert sorted(provider.closed) == provider.opened == [1, 2]
    assert (sessions.counts.opened, sessions.counts.closed, sessions.open_now) == (2, 2, 0)


async def test_a_returned_session_is_leased_again():
    provider = Provider()
    sessions = pool(provider)
    for _ in range(3):
        async with sessions.lease() as lease:
            assert await lease.handle() == 1
    assert provider.opened == [1]


async def test_leases_are_exclusive_unless_told_otherwise():
    provider = Provider()
    sessions = pool(provider, size=2, calls=2)
    async with sessions.lease() as a, sessions.lease() as b, sessions.lease() as c, sessions.lease() as d:
        handles = [await lease.handle() for lease in (a, b, c, d)]
        assert sorted(handles) == [1, 1, 2, 2]
        async with sessions.lease() as fifth:
            assert fifth is None


async def test_one_renewal_however_many_notice_the_expiry():
    provider = Provider()
    sessions = pool(provider, size=1, calls=5)
    async with anyio.create_task_group() as group:
        everyone_has_it = anyio.Event()
        holders = []
        got: list[int] = []

        async def work() -> None:
            async with sessions.lease() as lease:
                assert await lease.handle() == 1
                holders.append(lease)
                if len(holders) == 5:
                    everyone_has_it.set()
                await everyone_has_it.wait()
                await lease.renew()
                got.append(await lease.handle())

        for _ in range(5):
            group.start_soon(work)
    assert got == [2] * 5
    assert provider.opened == [1, 2]
    assert (sessions.counts.renewed, sessions.counts.expired) == (1, 1)
    await sessions.aclose()
    assert sorted(provider.closed) == [1, 2]
    assert sessions.counts.opened == sessions.counts.closed + sessions.counts.expired


async def test_renews_before_the_idle_limit(monkeypatch):
    clock = [1000.0]
    monkeypatch.setattr("pipeline.sessions.anyio.current_time", lambda: clock[0])
    provider = Provider()
    sessions = pool(provider, idle_limit=1200, renew_margin=120)
    async with sessions.lease() as lease:
        assert await lease.handle() == 1
        clock[0] += 1079  # every use begins the idle time anew
        assert await lease.handle() == 1
        clock[0] += 1079
        assert await lease.handle() == 1
        clock[0] += 1080
        assert await lease.handle() == 2
    assert provider.closed == [1]
    assert (sessions.counts.renewed, sessions.counts.expired) == (1, 0)


@pytest.mark.parametrize(
    ("life", "good_for"),
    [(1200.0, 1079), (60.0, 29)],
    ids=["the margin before its end", "at half of a life shorter than the margin"],
)
async def test_replaces_a_session_before_its_life_ends_however_much_it_is_used(monkeypatch, life, good_for):
    clock = [1000.0]
    monkeypatch.setattr("pipeline.sessions.anyio.current_time", lambda: clock[0])
    provider = Provider(session_life=life)
    sessions = pool(provider, idle_limit=3600, renew_margin=120)
    async with sessions.lease() as lease:
        for _ in range(good_for):
            assert await lease.handle() == 1
            clock[0] += 1
        assert await lease.handle() == 1
        clock[0] += 1
        assert await lease.handle() == 2
        clock[0] += good_for
        assert await lease.handle() == 2, "its life began with its own opening"
    assert provider.closed == [1]
    assert (sessions.counts.renewed, sessions.counts.expired) == (1, 0)


async def test_wrong_credentials_are_tried_once_by_all_together():
    provider = Provider(answers=[OpeningRefused("error 5", code="5")] * 8)
    sessions = pool(provider, size=8)
    failures = []

    async def work() -> None:
        try:
            async with sessions.lease():
                pytest.fail("no lease can be had")
        except TargetUnusable as error:
            failures.append(str(error))

    async with anyio.create_task_group() as group:
        for _ in range(8):
            group.start_soon(work)
    assert provider.attempts == 1
    assert len(failures) == 8
    assert "error 5" in failures[0]


async def test_a_refused_further_session_caps_the_pool():
    provider = Provider(answers=[None, None, OpeningRefused("too many", code="9")])
    sessions = pool(provider, size=8)
    async with sessions.lease() as a, sessions.lease() as b, sessions.lease() as c:
        assert a is not None
        assert b is not None
        assert c is None
        async with sessions.lease() as d:
            assert d is None
    assert provider.attempts == 3


async def test_a_capped_place_is_not_knocked_at_again():
    provider = Provider(answers=[None, None, OpeningRefused("too many", code="9")])
    sessions = pool(provider, size=2)
    async with sessions.lease() as a, sessions.lease() as b:
        with pytest.raises(OpeningRefused):
            await b.renew()
        with pytest.raises(OpeningRefused):
            await b.handle()
        assert await a.handle() == 1
    assert provider.attempts == 3


async def test_the_last_session_refused_ends_the_run():
    provider = Provider(answers=[None, OpeningRefused("no", code="9")])
    sessions = pool(provider, size=1)
    async with sessions.lease() as lease:
        with pytest.raises(TargetUnusable):
            await lease.renew()


async def test_a_first_session_too_many_is_waited_for_where_that_is_asked(monkeypatch):
    slept = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr("pipeline.sessions.anyio.sleep", sleep)
    provider = Provider(answers=[OpeningRefused("full", code="9")] * 2)
    sessions = pool(provider, wait=60.0)
    async with sessions.lease() as lease:
        assert await lease.handle() == 1
    assert slept == [1.0, 2.0]


async def test_an_unreachable_target_is_one_clear_error(monkeypatch):
    async def sleep(_: float) -> None: ...

    monkeypatch.setattr("pipeline.sessions.anyio.sleep", sleep)
    provider = Provider(answers=[NotDelivered("no connection to host"), OutcomeUnknown("cut"), NotDelivered("x")])
    sessions = pool(provider)
    for _ in range(2):
        with pytest.raises(TargetUnreachable, match="x"):
            async with sessions.lease():
                pytest.fail("no lease can be had")
    assert provider.attempts == 3


async def test_a_later_opening_without_answer_is_the_callers_to_repeat():
    provider = Provider(answers=[None, NotDelivered("no connection")])
    sessions = pool(provider)
    async with sessions.lease() as lease:
        with pytest.raises(NotDelivered):
            await lease.renew()
        assert await lease.handle() == 2


async def test_what_was_opened_is_closed_when_cancelled_in_mid_opening():
    provider = Provider(opening=anyio.Event(), gate=anyio.Event())
    sessions = pool(provider)

    async def work() -> None:
        async with sessions.lease():
            await anyio.sleep_forever()

    async with anyio.create_task_group() as group:
        group.start_soon(work)
        await provider.opening.wait()
        group.cancel_scope.cancel()
        provider.gate.set()
    await sessions.aclose()
    assert provider.opened == provider.closed == [1]


async def test_closing_survives_cancellation_and_a_close_that_fails():
    class Stubborn(Provider):
        async def close(self, handle: int) -> None:
            await super().close(handle)
            if handle == 1:
                raise NotDelivered("gone")

    provider = Stubborn()
    sessions = pool(provider)
    async with sessions.lease(), sessions.lease():
        pass
    with anyio.CancelScope() as scope:
        scope.cancel()
        await sessions.aclose()
    assert sorted(provider.closed) == [1, 2]


class Counting(Provider):
    """Keeps how many openings were under way at once; all that could have begun have, when one goes on."""

    under_way = 0
    most: tuple[int, ...] = ()

    async def open(self) -> int:
        self.under_way += 1
        try:
            for _ in range(20):
                await anyio.lowlevel.checkpoint()
            self.most += (self.under_way,)
            return await super().open()
        finally:
            self.under_way -= 1


async def leased(sessions: SessionPool[int], release: anyio.Event) -> None:
    async with sessions.lease() as lease:
        if lease is not None:
            await lease.handle()
            await release.wait()


async def test_sessions_are_opened_half_as_many_at_once_as_are_open():
    provider = Counting()
    sessions = pool(provider, size=8)
    release = anyio.Event()
    async with anyio.create_task_group() as group:
        for _ in range(8):
            group.start_soon(leased, sessions, release)
        await anyio.wait_all_tasks_blocked()
        assert sessions.open_now == 8
        release.set()
    assert provider.most[:4] == (1, 1, 1, 1)
    assert max(provider.most) in (2, 3)


async def test_sessions_that_end_together_are_not_a_storm_of_openings():
    """The password was changed: one refusal, and nobody else tries it."""
    provider = Counting()
    sessions = pool(provider, size=8)
    release, ended = anyio.Event(), anyio.Event()
    failures: list[BaseException] = []

    async def at_work() -> None:
        async with sessions.lease() as lease:
            assert lease is not None
            await lease.handle()
            await ended.wait()
            try:
                await lease.renew()
            except (OpeningRefused, TargetUnusable) as error:
                failures.append(error)
            await release.wait()

    async with anyio.create_task_group() as group:
        for _ in range(8):
            group.start_soon(at_work)
        await anyio.wait_all_tasks_blocked()
        assert provider.attempts == 8
        provider.answers = [TargetUnusable("the password")] * 8
        ended.set()
        await anyio.wait_all_tasks_blocked()
        release.set()
    assert len(failures) == 8
    assert provider.attempts == 8 + 1
