"""The state of a campaign: what is there outlives the runs, what a run may have sent outlives its directory."""

import os
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path
from uuid import UUID, uuid5

import polars as pl
import pytest

from pipeline.errors import Busy, MachineFailed
from pipeline.ledger import accounts, campaign
from pipeline.ledger.campaign import FILE
from pipeline.records import NOT_THERE, UPDATE_UNANSWERED, WAS_UPDATED

PLACE, CAMPAIGN = "https://pop.example.com/onc.svc acme", "7c9e6679"
SPACE = UUID(int=7)


def contacts(
    *numbers: int,
    content: int = 1,
    status: str = "accepted",
    reason: str | None = None,
    attempts: int = 1,
    settled_at: int | None = 1,
) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "contact_id": [str(uuid5(SPACE, str(number))) for number in numbers],
            "content": [f"{content:032x}"] * len(numbers),
            "status": [status] * len(numbers),
            "attempts": [attempts] * len(numbers),
            "settled_at": [settled_at] * len(numbers),
            "reason": pl.Series([reason] * len(numbers), dtype=pl.String),
            "warnings": pl.Series([[]] * len(numbers), dtype=pl.List(pl.String)),
        }
    )


def ids(*numbers: int) -> list[bytes]:
    return [uuid5(SPACE, str(number)).bytes for number in numbers]


def test_what_was_accepted_is_known_with_its_content(tmp_path: Path) -> None:
    with campaign.held(tmp_path, PLACE, CAMPAIGN) as state:
        run = state.enter("a", tmp_path / "run")
        with accounts.account(state, run, 1.0) as account:
            account.add(contacts(1, 2))
            account.add(contacts(3, status="rejected"))
    with campaign.held(tmp_path, PLACE, CAMPAIGN) as state:
        assert state.known(ids(1, 2, 3, 4)) == dict.fromkeys(ids(1, 2), (1).to_bytes(16))
        assert not state.first_run(state.enter("b", tmp_path))
    with campaign.held(tmp_path, PLACE, "another") as state:
        assert state.known(ids(1)) == {}


def test_many_are_known_each_with_its_own_content(tmp_path: Path) -> None:
    with campaign.held(tmp_path, PLACE, CAMPAIGN) as state:
        run = state.enter("a", tmp_path / "run")
        with accounts.account(state, run, 1.0) as account:
            account.add(pl.concat(contacts(number, content=number) for number in range(20_000)))
        some = (0, 1, 8191, 8192, 16_384, 19_999)
        assert state.known(ids(*some)) == {ids(number)[0]: number.to_bytes(16) for number in some}


def test_of_rows_that_are_one_contact_the_later_part_has_the_last_word(tmp_path: Path) -> None:
    with campaign.held(tmp_path, PLACE, CAMPAIGN) as state:
        run = state.enter("a", tmp_path / "run")
        with accounts.account(state, run, 1.0) as account:
            account.add(contacts(1, 3))
            account.add(contacts(1, status="rejected", reason=NOT_THERE))
            account.add(contacts(2, 4))
            account.add(contacts(2, content=5).with_columns(warnings=pl.lit([WAS_UPDATED], pl.List(pl.String))))
            account.add(contacts(3, status="rejected"))
            account.add(contacts(4, content=6))
        contents = {2: 5, 3: 1, 4: 6}
        assert state.known(ids(1, 2, 3, 4)) == {ids(n)[0]: content.to_bytes(16) for n, content in contents.items()}


def test_a_clock_that_was_set_back_hides_nothing_that_was_settled_since(tmp_path: Path) -> None:
    """The resumed run takes longer than the clock went back: its account is later than the one before, its rows not."""
    with campaign.held(tmp_path, PLACE, CAMPAIGN) as state:
        run = state.enter("a", tmp_path / "run", 900.0)
        with accounts.account(state, run, 1000.0) as account:
            account.add(contacts(1, settled_at=950_000))
        state.enter("a", tmp_path / "run", 830.0)
        with accounts.account(state, run, 1005.0) as account:
            account.add(pl.concat([contacts(1, settled_at=950_000), contacts(2, settled_at=840_000)]))
        assert set(state.known(ids(1, 2))) == set(ids(1, 2))


def test_what_was_settled_before_the_last_account_is_not_told_again(tmp_path: Path) -> None:
    """Somebody may have deleted it since."""
    with campaign.held(tmp_path, PLACE, CAMPAIGN) as state:
        run = state.enter("a", tmp_path / "run", 900.0)
        with accounts.account(state, run, 1000.0) as account:
            account.add(contacts(1, settled_at=950_000))
        state.gone(ids(1), 1010.0)
        state.enter("a", tmp_path / "run", 1020.0)
        with accounts.account(state, run, 1030.0) as account:
            account.add(contacts(1, settled_at=950_000))
        assert state.known(ids(1)) == {}


def test_what_a_run_claimed_is_doubtful_when_its_directory_is_lost(tmp_path: Path) -> None:
    with campaign.held(tmp_path, PLACE, CAMPAIGN) as state:
        first = state.enter("a", tmp_path / "run")
        with accounts.account(state, first, 1.0) as account:
            account.add(contacts(1))
        state.claim(first, 0, [1, 2, 3], contacts(1, 2, 3))
    with campaign.held(tmp_path, PLACE, CAMPAIGN) as state:
        second = state.enter("b", tmp_path / "other")
        assert [(run.id, run.directory) for run in state.open_runs(own=second)] == [("a", tmp_path / "run")]
        assert state.doubted(ids(1, 2, 3), own=second) == {}
        assert accounts.give_up(state, first) == 2
        assert set(state.doubted(ids(1, 2, 3, 4), own=second)) == set(ids(2, 3))
        assert state.doubted(ids(1, 2, 3, 4), own=first) == {}
        state.resolve([str(uuid5(SPACE, "2"))])
        assert set(state.doubted(ids(2, 3), own=second)) == set(ids(3))


def test_what_the_target_listed_is_known_and_doubted_no_more(tmp_path: Path) -> None:
    with campaign.held(tmp_path, PLACE, CAMPAIGN) as state:
        lost, run = state.enter("a", tmp_path / "lost"), state.enter("b", tmp_path / "run")
        state.claim(lost, 0, [1, 2, 3], contacts(1, 2, 3))
        accounts.give_up(state, lost)
        with accounts.account(state, run, 1.0) as account:
            account.add(contacts(1, status="duplicate"))
            account.add(contacts(2, status="duplicate", settled_at=None))  # of a row of its own source
        assert state.known(ids(1, 2, 3)) == dict.fromkeys(ids(1), (1).to_bytes(16)), "as the lost run has sent it"
        assert set(state.doubted(ids(1, 2, 3), own=run)) == set(ids(2, 3))
        with accounts.account(state, run, 1.0) as account:
            account.add(contacts(1))
            account.add(contacts(1, status="duplicate"))
        assert state.known(ids(1)) == dict.fromkeys(ids(1), (1).to_bytes(16)), "what is known stays so"


def test_what_was_found_there_and_is_there_no_more_is_not_known(tmp_path: Path) -> None:
    with campaign.held(tmp_path, PLACE, CAMPAIGN) as state:
        run = state.enter("a", tmp_path / "run")
        state.claim(run, 0, [1, 2], contacts(1, 2))
        accounts.give_up(state, run)
        both = [str(uuid5(SPACE, number)) for number in "12"]
        state.resolve(both, there=both)
        assert set(state.known(ids(1, 2), own=run)) == set(ids(1, 2))
        state.resolve(both, there=both[:1])  # the other one was deleted, as damaged say, and is to be sent again
        assert set(state.known(ids(1, 2), own=run)) == set(ids(1))


def test_an_account_takes_the_place_of_what_was_claimed_and_doubted(tmp_path: Path) -> None:
    with campaign.held(tmp_path, PLACE, CAMPAIGN) as state:
        run = state.enter("a", tmp_path / "run")
        state.claim(run, 0, [1, 2, 3], contacts(1, 2, 3))
        with accounts.account(state, run, 1.0) as account:
            account.add(contacts(1))
            account.add(contacts(2, status="in_doubt"))
            account.add(contacts(3, status="in_doubt", attempts=0))
        assert set(state.doubted(ids(1, 2, 3), own=None)) == set(ids(2))
        with pytest.raises(ZeroDivisionError), accounts.account(state, run, 1.0) as account:  # noqa: PT012
            account.add(contacts(2))
            raise ZeroDivisionError
        assert set(state.doubted(ids(2), own=None)) == set(ids(2)), "all of an account, or nothing"
        with accounts.account(state, run, 1.0) as account:
            account.add(contacts(1, 2))
        assert state.open_runs(own=0) == []


def test_who_has_sent_since_is_known(tmp_path: Path) -> None:
    with campaign.held(tmp_path, PLACE, CAMPAIGN) as state:
        first, second = state.enter("a", tmp_path / "a"), state.enter("b", tmp_path / "b")
        assert state.quiet_since(own=second) is None
        state.claim(first, 0, [1], contacts(1))
        assert state.alone_since(first)
        state.claim(second, 0, [2], contacts(2))
        assert not state.alone_since(first)
        assert state.alone_since(second)
        state.claim(first, 1, [3], contacts(3))
        assert not state.alone_since(second)
        third = state.enter("c", tmp_path / "c")
        assert state.quiet_since(own=third) == float("inf")
        for run, now in ((first, 7.0), (second, 5.0)):
            with accounts.account(state, run, now):
                pass
        assert state.quiet_since(own=third) == 7.0
        assert state.quiet_since(own=first) == 5.0


def test_one_run_at_a_time_and_the_lock_ends_with_its_holder(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys; from pathlib import Path; from pipeline.ledger import campaign\n"
            f"with campaign.held(Path(sys.argv[1]), {PLACE!r}, {CAMPAIGN!r}):\n"
            "    print('held', flush=True); sys.stdin.read()",
            str(tmp_path),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(Busy, match="another run holds campaign 7c9e6679"), campaign.held(tmp_path, PLACE, CAMPAIGN):
        pass
    with campaign.peek(tmp_path, PLACE, CAMPAIGN) as state:
        assert state is not None, "who only looks does not wait"
    holder.kill()
    holder.communicate()
    with campaign.held(tmp_path, PLACE, CAMPAIGN):
        pass


def test_looking_makes_nothing(tmp_path: Path) -> None:
    with campaign.peek(tmp_path / "none", PLACE, CAMPAIGN) as state:
        assert state is None
    assert not (tmp_path / "none").exists()


@pytest.mark.skipif(os.name == "nt", reason="modes are those of POSIX")
def test_it_is_for_its_owner_alone(tmp_path: Path) -> None:
    with campaign.held(tmp_path, PLACE, CAMPAIGN) as state:
        state.claim(state.enter("a", tmp_path), 0, [1], contacts(1))
        for path in [state.path.parent, *state.path.parent.iterdir()]:
            assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_damage_is_named(tmp_path: Path) -> None:
    with campaign.held(tmp_path, PLACE, CAMPAIGN) as state:
        path = state.path
    assert path.name == FILE
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(MachineFailed, match=r"state\.sqlite: the campaign's state cannot be used"):
        campaign.held(tmp_path, PLACE, CAMPAIGN).__enter__()
    path.unlink()
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 9")
    with pytest.raises(MachineFailed, match="is of version 9"):
        campaign.held(tmp_path, PLACE, CAMPAIGN).__enter__()


def test_what_was_learnt_is_kept(tmp_path: Path) -> None:
    with campaign.held(tmp_path, PLACE, CAMPAIGN) as state:
        assert state.keeps_ids is None
        state.learn_keeps_ids(keeps_ids=False)
    with campaign.held(tmp_path, PLACE, CAMPAIGN) as state:
        assert state.keeps_ids is False
        state.learn_keeps_ids(keeps_ids=True)
        assert state.keeps_ids is True


def test_what_a_run_takes_back_is_doubtful_until_it_is_told(tmp_path: Path) -> None:
    with campaign.held(tmp_path, PLACE, CAMPAIGN) as state:
        run = state.enter("a", tmp_path / "run")
        with accounts.account(state, run, 1.0) as account:
            account.add(contacts(1, 2, 3, 4))
        accounts.doubt(state, run, contacts(1, 2, 3))
        assert set(state.known(ids(1, 2, 3, 4))) == set(ids(4))
        assert set(state.doubted(ids(1, 2, 3, 4), own=None)) == set(ids(1, 2, 3))
        ledger = pl.concat(
            [contacts(1), contacts(2, status="rejected"), contacts(3, status="in_doubt"), contacts(4, status="pending")]
        )
        accounts.undone(state, run, ledger, final=False)
        assert set(state.known(ids(1, 2, 3, 4))) == set(ids(4))
        assert set(state.doubted(ids(1, 2, 3, 4), own=None)) == set(ids(2, 3)), (
            "what was refused may be gone all the same"
        )
        accounts.undone(state, run, ledger, final=True)
        assert set(state.known(ids(1, 2, 3, 4))) == set(ids(2, 4))
        assert set(state.doubted(ids(1, 2, 3, 4), own=None)) == set(ids(3))
        accounts.undone(state, run, contacts(3, status="suppressed"), final=True)
        assert state.open_runs(own=0) == []


def test_the_journal_of_a_run_without_its_source_tells_what_was_answered(tmp_path: Path) -> None:
    def standing(start: int, stop: int) -> pl.DataFrame:
        assert (start, stop) == (4, 8)
        told = {"position": [4, 6, 7], "status": ["accepted", "in_doubt", "rejected"]}
        return pl.DataFrame(told, schema={"position": pl.UInt64, "status": pl.String})

    with campaign.held(tmp_path, PLACE, CAMPAIGN) as state:
        run = state.enter("a", tmp_path)
        state.claim(run, 0, [4, 5, 6, 7], contacts(1, 2, 3, 4))
        assert accounts.give_up(state, run, standing) == 1
        assert set(state.known(ids(1, 2, 3, 4))) == set(ids(1))
        assert set(state.doubted(ids(1, 2, 3, 4), own=None)) == set(ids(3))
        assert state.brought(ids(1, 3), own=run) == set()
        assert state.brought(ids(1, 3), own=run + 1) == set(ids(1))


def test_a_run_that_the_state_has_not_seen_send_is_never_alone(tmp_path: Path) -> None:
    with campaign.held(tmp_path, PLACE, CAMPAIGN) as state:
        assert not state.alone_since(state.enter("a", tmp_path))
        assert not state.alone_since(99)


def test_what_is_being_updated_is_there_with_a_content_that_is_not_known(tmp_path: Path) -> None:
    with campaign.held(tmp_path, PLACE, CAMPAIGN) as state:
        first = state.enter("a", tmp_path / "run")
        with accounts.account(state, first, 1.0) as account:
            account.add(contacts(1, 2, 3))
        second = state.enter("b", tmp_path / "other")
        state.claim_update(second, contacts(1, 2, content=2))
    with campaign.held(tmp_path, PLACE, CAMPAIGN) as state:  # it was killed
        assert state.known(ids(1, 2, 3)) == {**dict.fromkeys(ids(1, 2)), ids(3)[0]: (1).to_bytes(16)}
        assert state.quiet_since(own=first) == float("inf")
        with accounts.account(state, second, 2.0) as account:
            account.add(contacts(1, content=2))
            account.add(contacts(2, content=2, status="in_doubt", reason=UPDATE_UNANSWERED))
        assert state.known(ids(1, 2)) == {ids(1)[0]: (2).to_bytes(16), ids(2)[0]: None}
        assert state.doubted(ids(1, 2), own=None) == {}
