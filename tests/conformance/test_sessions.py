"""Sessions, of every system alike: opened, proven, renewed once, closed on every way out; and what is said if not."""

from collections.abc import Callable
from typing import get_args

import anyio
import pytest
from conformance.line import UNREADABLE, UNSENT, Damage, Strike
from conformance.system import Bench, System

from pipeline import targets
from pipeline.errors import NotDelivered, TargetUnusable
from pipeline.sessions import SessionPool

Opened = Callable[..., Bench]


def test_a_session_is_opened_proven_and_closed(any_system: System, opened: Opened) -> None:
    here = opened(any_system)
    ended = here.session_check()
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith("A session was opened")
    assert (here.line.calls["open"], here.line.calls["close"], here.line.calls["row"]) == (1, 1, 0)
    assert here.line.tokens, "the pattern of the description finds the session's secrets"
    here.assert_all_closed()


def test_wrong_credentials_end_it_and_the_login_is_not_hammered(any_system: System, opened: Opened) -> None:
    here = opened(any_system, wrong_credentials=True)
    ended = here.session_check()
    assert (ended.code, ended.out) == (6, "")
    assert len(ended.complaints) == 1
    assert 1 <= here.logins() <= any_system.logins

    async def all_at_once() -> list[str]:
        pool = here.pool(size=8)
        failures: list[str] = []

        async def lease() -> None:
            try:
                async with pool.lease():
                    pytest.fail("no lease can be had")
            except TargetUnusable as error:
                failures.append(str(error))

        async with anyio.create_task_group() as group:
            for _ in range(8):
                group.start_soon(lease)
        await pool.aclose()
        return failures

    before = here.logins()
    failures = anyio.run(all_at_once)
    assert len(failures) == 8
    for failure in failures:
        here.assert_secrets_kept(failure)
    assert 1 <= here.logins() - before <= any_system.logins


def test_a_missing_secret_is_named_before_anything_is_asked(
    any_system: System, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = opened(any_system)
    for name in any_system.secrets:
        monkeypatch.delenv(name)
    ended = here.session_check()
    assert ended.code == 2
    assert any(name in ended.err for name in any_system.secrets)
    assert not here.line.calls


@pytest.mark.parametrize("damage", get_args(Damage))
def test_an_opening_that_is_damaged_ends_in_a_sentence(any_system: System, opened: Opened, damage: Damage) -> None:
    for purpose in any_system.opening:
        here = opened(any_system, Strike(damage, purpose))
        ended = here.session_check()
        assert ended.code == 5 if damage not in UNREADABLE else ended.code in (5, 6)
        assert ended.out == ""
        assert len(ended.complaints) == 1


def test_nobody_is_there(any_system: System, opened: Opened) -> None:
    here = opened(any_system)
    address = here.config.read_text(encoding="utf-8").replace(here.line.origin, "http://127.0.0.1:9")
    here.config.write_text(address, encoding="utf-8")
    ended = here.session_check()
    assert (ended.code, ended.out) == (5, "")
    assert "no connection to 127.0.0.1:9" in ended.err


@pytest.mark.parametrize("damage", [*UNSENT, "error"])
def test_an_opening_without_answer_is_tried_again(any_system: System, opened: Opened, damage: Damage) -> None:
    for purpose in any_system.opening:
        here = opened(any_system, Strike(damage, purpose, last=1))
        pool = here.pool()

        async def main(pool: SessionPool[object]) -> None:
            async with pool.lease() as lease:
                assert lease is not None
                assert await lease.prove(await lease.handle())
            await pool.aclose()
            assert pool.counts.opened == 1

        anyio.run(main, pool)
        assert here.line.calls[purpose] == 2


def test_a_session_that_has_ended_is_noticed(any_system: System, opened: Opened) -> None:
    """By proving it, where the system can be asked, and at the latest when it is closed."""
    here = opened(any_system)

    async def main() -> None:
        pool = here.pool()
        async with pool.lease() as lease:
            assert lease is not None
            first = await lease.handle()
            assert await lease.prove(first)
            here.service.expire()
            assert await lease.prove(first) is not any_system.proves
            await lease.renew()
            assert await lease.prove(await lease.handle())
        here.service.expire()
        await pool.aclose()
        counts = pool.counts
        assert (counts.opened, counts.renewed, counts.closed, counts.expired) == (2, 1, 0, 2)

    anyio.run(main)


def test_a_check_whose_session_is_not_closed_names_what_to_compare(any_system: System, opened: Opened) -> None:
    here = opened(any_system)
    here.line.on_call = lambda purpose, _: here.service.expire() if purpose == "close" else None
    ended = here.session_check()
    assert (ended.code, ended.out) == (6, "")
    assert f"compare {targets.settings_model(any_system.name).contract} with the service's own" in ended.err


def test_one_renewal_serves_all_who_share_a_session(any_system: System, opened: Opened) -> None:
    here = opened(any_system)

    async def main() -> None:
        pool = here.pool(size=1, calls=5)
        holders = 0
        everyone = anyio.Event()
        renewed: list[object] = []

        async def work() -> None:
            nonlocal holders
            async with pool.lease() as lease:
                assert lease is not None
                first = await lease.handle()
                holders += 1
                if holders == 5:
                    everyone.set()
                await everyone.wait()
                await lease.renew()
                second = await lease.handle()
                assert second is not first
                assert await lease.prove(second)
                renewed.append(second)

        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(work)
        assert all(handle is renewed[0] for handle in renewed)
        await pool.aclose()
        assert (pool.counts.opened, pool.counts.renewed, pool.counts.expired) == (2, 1, 1)

    anyio.run(main)
    assert here.line.calls["open"] == 2
    here.assert_all_closed()


@pytest.mark.parametrize("way", ["success", "failure", "cancelled", "crash"])
def test_sessions_are_closed_on_every_way_out(any_system: System, opened: Opened, way: str) -> None:
    here = opened(any_system)

    async def main() -> None:
        pool = here.pool(size=3)
        try:
            with anyio.CancelScope() as scope:
                async with pool.lease() as one, pool.lease() as two, pool.lease() as three:
                    handles = [await lease.handle() for lease in (one, two, three) if lease is not None]
                    assert len(handles) == here.service.open() == 3
                    if way == "failure":
                        raise NotDelivered("planned")
                    if way == "crash":
                        raise ZeroDivisionError
                    if way == "cancelled":
                        scope.cancel()
                        await anyio.sleep_forever()
        except (NotDelivered, ZeroDivisionError):
            assert way in ("failure", "crash")
        finally:
            await pool.aclose()
        assert (pool.counts.opened, pool.counts.closed) == (3, 3)

    anyio.run(main)
    assert here.line.calls["close"] == 3
    here.assert_all_closed()


@pytest.mark.parametrize("damage", get_args(Damage))
def test_a_close_without_answer_is_no_mistake_of_ours(any_system: System, opened: Opened, damage: Damage) -> None:
    here = opened(any_system, Strike(damage, "close"))

    async def main() -> None:
        pool = here.pool()
        async with pool.lease() as lease:
            assert lease is not None
        await pool.aclose()
        assert (pool.counts.opened, pool.counts.closed, pool.counts.expired) == (1, 0, 0)

    anyio.run(main)
    ended = here.session_check()
    assert ended.code in (5, 6)
    assert ended.complaints
