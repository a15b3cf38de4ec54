"""Columns of phones: what is decided by the column is what phonenumbers says of each number."""

import warnings
from collections.abc import Callable, Iterator
from itertools import islice
from random import Random

import phonenumbers
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, PhoneMetadata
from stages.phone_texts import ALPHABET, REGIONS, disagreements, examples, examples_of, forms, generated

from pipeline.stages.destinations import authorities, phone_plans, phone_verdicts
from pipeline.stages.destinations.authorities import VERDICTS, Authorities
from pipeline.stages.destinations.phone import Phone, read_phone


@pytest.mark.parametrize("seed", range(6))
def test_generated_numbers(seed: int) -> None:
    for region, texts in islice(generated(Random(seed)), 24):
        assert disagreements(texts, region, all_by_column=bool(seed % 2)) == []


@pytest.mark.parametrize("region", ["CA", "GB", None])
def test_examples_of_every_type_of_every_region(region: str | None) -> None:
    texts = [text for number in examples() for text in islice(forms(number), 4)]
    assert disagreements(texts, region) == []


def test_every_region_reads_its_own_numbers() -> None:
    for region in REGIONS:
        if region is not None:
            texts = [text for number in examples_of(region)[:6] for text in forms(number)]
            assert disagreements(texts, region) == []


@given(st.lists(st.text(ALPHABET, max_size=24), max_size=40), st.sampled_from(REGIONS))
@settings(deadline=None, max_examples=150)  # the machine may be busy
def test_digits_and_punctuation(texts: list[str], region: str | None) -> None:
    assert disagreements(texts, region) == []


@given(st.lists(st.text(max_size=30), max_size=20), st.sampled_from(REGIONS))
@settings(deadline=None)  # the machine may be busy
def test_any_text(texts: list[str], region: str | None) -> None:
    assert disagreements(texts, region) == []


@pytest.mark.parametrize(
    ("text", "region"),
    [
        (
            "\uff10\uff10\uff16abc\uff18\uff12 \uff12\uff11\uff12\uff13\uff13",
            "CK",
        ),  # beside letters these are no digits
        ("\uff14\uff16\uff18\uff11\uff12\uff13\uff14\uff15\uff16e\uff19", "SE"),  # no scientific notation
        ("416 555 0123 +", None),
        ("+0044 7911 123456", "GB"),
        ("0011 44 7911 123456", "AU"),
        ("011 15-2345-6789", "AR"),
        ("+54 9 11 2345-6789", "AR"),
        ("+44 (0) 20 7946 0018", "CA"),
        ("1 416 555 0123", "CA"),
        ("49 30 123456", "DE"),
        ("8 (912) 345-67-89", "RU"),
        ("06698 12345", "VA"),
        ("+800 1234 5678", None),
        ("(22) 12345678", "BR"),
        ("555-0123", "BS"),
        ("416 555 0123/x abcd", "CA"),  # of a second number nothing is read
        ("416 555 0123 \\ xabc 12 de", "CA"),
        ("12", "DE"),
        ("00", "DE"),
        ("00 4", "DE"),
        ("+", "DE"),
        ("+4", None),
        ("4" * 251, "DE"),
        ("0" * 18, "DE"),
    ],
)
def test_single_numbers(text: str, region: str | None) -> None:
    assert disagreements([text], region) == []


def test_a_column_keeps_its_order_its_repeats_and_its_gaps() -> None:
    texts = [
        "416 555 0123",
        None,
        "N/A",
        "+33 1 99 00 12 34",
        "41655501",
        None,
        "416 555 0123 x9",
        "416 555 0123",
        "N/A",
    ]
    verdicts = Authorities().phones(pl.Series(texts, dtype=pl.String), "CA")
    assert verdicts.schema == VERDICTS
    expected = [None if text is None else read_phone(text, "CA") for text in texts]
    assert verdicts["value"].to_list() == [phone and phone.number for phone in expected]
    assert verdicts["fault"].to_list() == [phone and phone.fault for phone in expected]
    assert verdicts["landline"].to_list() == [phone and phone.landline for phone in expected]
    assert verdicts["remark"].to_list() == [phone and phone.remark for phone in expected]
    assert verdicts["remark"].null_count() == len(texts) - 1


@pytest.mark.parametrize("texts", [[], [None], ["+14165550123"], [None, "+14165550123"], ["\uff0b14165550123"]])
def test_small_columns(texts: list[str | None]) -> None:
    verdicts = Authorities().phones(pl.Series(texts, dtype=pl.String), None)
    assert verdicts.schema == VERDICTS
    assert verdicts["value"].to_list() == [text and "+14165550123" for text in texts]


def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the authority is asked from now on."""
    found = []

    def ask(text: str, region: str | None) -> Phone:
        found.append(text)
        return read_phone(text, region)

    monkeypatch.setattr(authorities, "read_phone", ask)
    monkeypatch.setattr(phone_verdicts, "read_phone", ask)
    return found


def test_the_authority_is_not_asked_about_usual_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = asked(monkeypatch)
    valid = [number for number in examples() if phonenumbers.is_valid_number(number)]
    abroad = [phonenumbers.format_number(number, form) for number in valid for form in (0, 1, 3)]
    abroad = [text for text in abroad if "*" not in text] * 5  # a handful of a country is asked about
    home = [
        *("416 555 0123", "011 61 491 570 156", "(416) 555-0123", "416.555.0123", "1-800-FLOWERS", "'4165550123"),
        *("416/555/0123", "Tel. 4165550123", "\uff0b\uff11 416 555 0123", "\u202a+1 416 555 0123\u202c"),
        *("+1\u00a0416\u00a0555\u00a00123", "00\u0661416555\u066011\u0662", "416.5550123.") * 5,
    ]
    given = pl.Series([*abroad, *[text for text in home if not text.startswith("00")] * 5])
    assert Authorities().phones(given, "CA")["value"].null_count() == 0
    assert texts == []


@pytest.mark.parametrize("region", ["AR", "BR", "CA", "DE", "FR", "GB", "IN", "IT", "JP", "KZ", "US"])
def test_nor_about_those_of_the_region(region: str, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = asked(monkeypatch)
    valid = [number for number in examples_of(region) if phonenumbers.is_valid_number(number)]
    given = [phonenumbers.format_number(number, form) for number in valid for form in range(4) for _ in range(5)]
    told = Authorities().phones(pl.Series(given), region)
    assert {text for text in given if text in texts} == {
        text for text, value in zip(given, told["value"], strict=True) if value is None
    }


def test_of_each_kind_of_invalid_number_one_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = asked(monkeypatch)
    short = [f"416 555 {number}" for number in range(100, 400)]
    long = [f"416-555-0123{number}" for number in range(10, 100)]
    several = [f"416 555 0{number} / 647 555 0{number}" for number in range(100, 200)]
    cut = [f"4.4{number}E+11" for number in range(1000, 1200)]
    lettered = [f"416 555 0{number}a" for number in range(10, 100)]
    given = [*short, *long, *several, *cut, *lettered]
    told = Authorities()
    faults = told.phones(pl.Series(given), "CA")["fault"].unique().to_list()
    assert len(texts) == len(faults) == 5
    again = told.phones(pl.Series([text.replace("4", "5") for text in given]), "CA")["fault"]
    assert len(texts) < 10  # 516 is no area code
    assert again.null_count() == 0


def test_all_plans_of_the_installed_metadata_are_understood() -> None:
    for code, regions in COUNTRY_CODE_TO_REGION_CODE.items():
        assert all(phone_plans.plan(code, region) is not None for region in regions)


@pytest.fixture
def german() -> Iterator[Callable[[str], None]]:
    """Gives mobile numbers of Germany another pattern."""
    mobile = PhoneMetadata.metadata_for_region("DE").mobile
    before = mobile.national_number_pattern

    def put(pattern: str) -> None:
        object.__setattr__(mobile, "national_number_pattern", pattern)
        phone_plans.plan.cache_clear()
        phone_plans.plans.cache_clear()

    yield put
    put(before)


MOBILES = [f"0151 2345{number}" for number in range(1000, 1100)]


def test_numbers_are_those_of_the_installed_metadata(german: Callable[[str], None]) -> None:
    assert Authorities().phones(pl.Series(MOBILES), "DE")["value"].null_count() == 0
    german(r"151234510\d\d")
    assert Authorities().phones(pl.Series([*MOBILES, "0151 23451100"]), "DE")["value"].is_null().to_list()[-2:] == [
        0,
        1,
    ]
    assert disagreements([*MOBILES, "0151 23451100"], "DE") == []


@pytest.mark.parametrize(
    "pattern", [r"15(?=1)\d{9}", r"15(?!1)\d{9}", r"(1)5\1\d{8}", r"15\w{9}", r"(?i)15\d{9}", r"15[\d&&[1]]\d{8}"]
)
def test_metadata_that_are_not_understood_are_left_to_the_authority(
    pattern: str, german: Callable[[str], None]
) -> None:
    german(pattern)
    assert phone_plans.plan(49, "DE") is None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # Python's, of && in a class
        assert disagreements(MOBILES[:20], "DE") == []
        assert disagreements([text.replace("0", "+49", 1) for text in MOBILES[:20]], "FR") == []
