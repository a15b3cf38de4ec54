"""Ids and hashes that outlive the run: they may never change."""

import hashlib
import uuid

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.records import CONTACTS_SCHEMA
from pipeline.stages.identity import contact_id, contact_ids, contents

CAMPAIGN = "7c9e6679-7425-40de-944b-e07fc1f90ae7"


@pytest.mark.parametrize("campaign", [CAMPAIGN, CAMPAIGN.upper(), f"{{{CAMPAIGN}}}"])
def test_a_campaign_with_a_guid_is_the_namespace(campaign: str) -> None:
    assert contact_id(campaign, None, "A-1") == str(uuid.uuid5(uuid.UUID(CAMPAIGN), "A-1"))


def test_any_other_campaign_is_a_name_among_urls() -> None:
    assert contact_id("spring", None, "A-1") == str(uuid.uuid5(uuid.uuid5(uuid.NAMESPACE_URL, "spring"), "A-1"))


def test_a_wave_is_a_namespace_of_its_own() -> None:
    assert contact_id(CAMPAIGN, "w", "k") == str(uuid.uuid5(uuid.uuid5(uuid.UUID(CAMPAIGN), "w"), "k"))
    assert contact_id(CAMPAIGN, "a|b", "c") != contact_id(CAMPAIGN, "a", "b|c")
    assert contact_id(CAMPAIGN, "", "k") != contact_id(CAMPAIGN, None, "k")


@given(st.text(min_size=1, max_size=12), st.none() | st.text(max_size=5), st.lists(st.none() | st.text(max_size=12)))
@settings(deadline=None)  # the machine may be busy
def test_in_bulk_they_are_the_same(campaign: str, wave: str | None, keys: list[str | None]) -> None:
    expected = [None if key is None else contact_id(campaign, wave, key) for key in keys]
    assert contact_ids(campaign, wave, pl.Series(keys, dtype=pl.String)).to_list() == expected


def content(retries: int = 3, **sent: str) -> str:
    contacts = pl.DataFrame([sent], schema=CONTACTS_SCHEMA)
    value = contents(contacts, {"sms": retries, "voice": 3, "email": 3}).item()
    assert isinstance(value, str)
    return value


def test_content_is_as_documented_and_stays_so() -> None:
    serialised = "12:+14165550123" + "5:Zo\u00eb!" + "1:3" + "-" + "-"
    assert hashlib.sha256(serialised.encode()).hexdigest()[:32] == "f45891b560ee0225647da4a7ae13952e"
    assert content(sms="+14165550123", sms_text="Zo\u00eb!") == "f45891b560ee0225647da4a7ae13952e"


def test_everything_that_is_sent_is_in_the_content() -> None:
    base = {"sms": "+14165550123", "sms_text": "Hi"}
    variants = [
        content(**base),
        content(2, **base),
        content(sms="+14165550123"),
        content(sms="+14165550123", sms_text=""),
        content(sms="+14165550123", sms_text="-"),
        content(sms="+14165550123", sms_text="Ho"),
        content(voice="+14165550123", voice_text="Hi"),
        content(**base, voice="+14165550123"),
        content(sms="+14165550123", sms_text="a" * 9000),
        content(sms="+14165550123", sms_text="a" * 8999 + "b"),
        content(**base, email="ann@example.com"),
    ]
    assert len(set(variants)) == len(variants)


def test_what_is_not_sent_is_not_in_the_content() -> None:
    assert content(3, voice="+14165550123") == content(9, voice="+14165550123", sms_text="unused")
