"""Claims, and the digests that they are kept as: a plain dictionary says what must be found."""

from random import Random

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.stages.digests import DIGEST, Digester, found
from pipeline.stages.seen import Seen, Sieve


@pytest.mark.parametrize("scale", [40, 4000])
def test_what_was_claimed_is_found_however_many_claims_there_are(scale: int) -> None:
    """Tables of 8 rows: young ones are merged, old ones filled up and cut, and the sieve outgrown many times."""
    digester, seen, model, random = Digester(), Seen(table=8), dict[str, int](), Random(scale)
    for start in range(0, 60_000, 1000):
        asked = pl.Series([str(random.randrange(scale)) for _ in range(random.randrange(1, 200))]).unique()
        digests = digester.of(asked)
        assert seen.holders(digests).to_list() == [model.get(text) for text in asked]
        free = pl.Series([text not in model for text in asked])
        positions = pl.int_range(start, start + len(asked), dtype=pl.UInt64, eager=True)
        seen.keep(digests.filter(free), positions.filter(free))
        model |= dict(zip(asked.filter(free), positions.filter(free), strict=True))
    assert len(model) >= min(scale, 2000)


def test_positions_of_any_size() -> None:
    digester, seen = Digester(), Seen(table=4)
    texts = pl.Series([str(number) for number in range(40)])
    positions = pl.int_range(20, 60, dtype=pl.UInt64, eager=True) * 200_000_000
    for start in range(0, 40, 3):  # beyond 2^32 from the second claim on
        seen.keep(digester.of(texts[start : start + 3]), positions[start : start + 3])
    assert seen.holders(digester.of(texts)).to_list() == positions.to_list()


def test_no_claims() -> None:
    seen = Seen()
    seen.keep(pl.Series([], dtype=DIGEST), pl.Series([], dtype=pl.UInt64))
    assert seen.holders(pl.Series([], dtype=DIGEST)).to_list() == []


def test_a_claim_takes_twenty_bytes_and_the_sieve_few() -> None:
    digester, seen = Digester(), Seen(table=1 << 10)
    for start in range(0, 200_000, 1000):
        rows = pl.int_range(start, start + 1000, dtype=pl.UInt64, eager=True)
        seen.keep(digester.of(rows.cast(pl.String)), rows)
    tables = [*seen._old, *seen._young]
    assert sum(table.height for table in tables) == 200_000
    assert sum(table.estimated_size() for table in tables) == 20 * 200_000
    assert {table.height for table in seen._old[:-1]} == {1 << 10}
    assert sum(table.height for table in seen._young) <= 200_000 / 12
    assert 8 * seen._sieve.size < 2 * 200_000


@given(st.lists(st.integers(0, 2**128 - 1), max_size=300), st.sampled_from((1, 8, 256)))
def test_a_sieve_lets_nothing_through_that_was_added(numbers: list[int], size: int) -> None:
    sieve, digests = Sieve(size), pl.Series(numbers, dtype=DIGEST)
    sieve.add(digests)
    assert sieve.may_hold(digests).all()


def test_a_full_sieve_still_sifts() -> None:
    digests = Digester().of(pl.int_range(0, 40_000, eager=True).cast(pl.String))
    sieve = Sieve(2048)
    assert not sieve.may_hold(digests).any()
    sieve.add(digests[:20_000])
    assert sieve.may_hold(digests[20_000:]).sum() < 2500  # of 20,000


@given(st.lists(st.none() | st.text(max_size=20) | st.text("ab\u00e9", min_size=200, max_size=260), max_size=30))
def test_equal_texts_have_equal_digests_and_others_do_not(texts: list[str | None]) -> None:
    digests = Digester().of(pl.Series(texts, dtype=pl.String)).to_list()
    assert [digest is None for digest in digests] == [text is None for text in texts]
    assert len(set(zip(texts, digests, strict=True))) == len(set(texts)) == len(set(digests))


def test_each_digester_has_digests_of_its_own() -> None:
    texts = pl.Series(["a", "b" * 300])
    one, other = Digester(), Digester()
    assert one.of(texts).to_list() == one.of(texts).to_list()
    assert not set(one.of(texts)) & set(other.of(texts))


def test_both_halves_tell_texts_apart_that_are_much_alike() -> None:
    """Each by itself, and in every sixteen bits of it: a half that mixed less would show here."""
    numbers = pl.int_range(0, 200_000, eager=True)
    texts = pl.concat(
        [pl.select(pl.format(form, numbers)).to_series() for form in ("{}", "+1416{}", "customer-{}-2026")]
    )
    digests = Digester().of(texts)
    high = (digests // (1 << 64)).cast(pl.UInt64)
    low = digests.cast(pl.UInt64, wrap_numerical=True)
    for half in (high, low, high ^ low):
        assert half.n_unique() == len(texts)
        for sixteen in range(4):
            count = (half // (1 << 16 * sixteen) & 0xFFFF).n_unique()
            assert count > 65_500  # of 65,536, where 600,000 fall at random


def test_what_is_found_stands_beside_it() -> None:
    table = pl.Series([3, 5, 2**127], dtype=DIGEST)
    wanted = pl.Series([0, 3, 4, 5, 2**127, 2**128 - 1], dtype=DIGEST)
    assert found(wanted, table, pl.Series([30, 50, 70])).to_list() == [None, 30, None, 50, 70, None]
