"""Columns of mail addresses: what is decided without the authority is what it says itself."""

from itertools import islice
from random import Random

import email_validator
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stages.mail_texts import CHARACTERS, disagreements, enumerated, generated, lengths

from pipeline.stages.destinations import authorities
from pipeline.stages.destinations.authorities import VERDICTS, Authorities
from pipeline.stages.destinations.email import Mail


@pytest.mark.parametrize("seed", range(3))
def test_generated_addresses(seed: int) -> None:
    assert list(disagreements(islice(generated(Random(seed)), 20_000))) == []


def test_enumerated_addresses() -> None:
    assert list(disagreements(enumerated())) == []


def test_lengths() -> None:
    assert list(disagreements(lengths())) == []


@given(st.lists(st.text("aA1@.-_+ \"<>()[]\\,;:'&#\n\0éſ\u200b\u0301．xn", max_size=14), max_size=60))
@settings(deadline=None, max_examples=200)  # the machine may be busy
def test_mail_punctuation(texts: list[str]) -> None:
    assert list(disagreements(texts)) == []


@given(st.lists(st.one_of(st.emails(), st.text(max_size=20), st.text(CHARACTERS, max_size=30)), max_size=30))
@settings(deadline=None)  # the machine may be busy
def test_any_text(texts: list[str]) -> None:
    assert list(disagreements(texts)) == []


def test_a_column_keeps_its_order_its_repeats_and_its_gaps() -> None:
    texts = ["zoë@x.org", None, "Ann@X.org", "ann", "ann@x.org", None, "zoë@x.org", "Ann@X.org", "ann"]
    verdicts = Authorities().mails(pl.Series(texts, dtype=pl.String))
    assert verdicts.schema == VERDICTS
    assert verdicts["value"].to_list() == [
        *("zoë@x.org", None, "Ann@x.org", None, "ann@x.org", None, "zoë@x.org", "Ann@x.org", None),
    ]
    no_sign = "not a valid mail address: has no @-sign"
    assert verdicts["fault"].to_list() == [None, None, None, no_sign, None, None, None, None, no_sign]
    assert verdicts["landline"].to_list() == [None if text is None else False for text in texts]
    assert verdicts["remark"].to_list() == [None] * len(texts)


@pytest.mark.parametrize("texts", [[], [None], ["ann@x.org"], ["zoë@x.org"]])
def test_small_columns(texts: list[str | None]) -> None:
    verdicts = Authorities().mails(pl.Series(texts, dtype=pl.String))
    assert verdicts.schema == VERDICTS
    assert verdicts["value"].to_list() == texts


def test_the_authority_is_not_asked_where_the_answer_is_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def ask(text: str) -> Mail:
        asked.append(text)
        return Mail(text, None)

    monkeypatch.setattr(authorities, "read_mail", ask)
    plain = [
        *("ann@example.com", "Ann.B+news@EXAMPLE.co.uk", "INFO@Example.com", "o'neil@a-b.de", "ann@1.example.org"),
        *(
            "ann",
            "N/A",
            "ann@",
            "@example.com",
            "ann b@example.com",
            "ann @example.com",
            "a@x.org; b@y.org",
            "a@b@x.org",
        ),
        *(
            "ann@gmail",
            "ann@gmail,com",
            "ann..b@x.org",
            "ann@x..org",
            "ann.@x.org",
            ".ann@x.org",
            "ann@x.org.",
            "a@.x.org",
        ),
        *(
            "ann@-x.org",
            "ann@x.org-",
            "ann@x-.org",
            "ann@x.1",
            "ann@x.test",
            "ann@localhost",
            "mailto:ann@x.org",
            "a\0@x.de",
            "Ann <ann@x.org>",
            "ann\u200b@x.org",
        ),
    ]
    others = ["zoë@x.org", '"ann"@x.org', "zoë\u3002b@x.org", "a" * 64 + "@x.de"]
    valid = Authorities().mails(pl.Series(plain + others))["value"].is_not_null()
    assert set(asked) == set(others)
    assert valid.to_list() == [True] * 5 + [False] * (len(plain) - 5) + [True] * len(others)


def test_an_international_domain_is_asked_about_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def ask(text: str) -> Mail:
        asked.append(text)
        return Mail("a@xn--mnchen-3ya.de", None)

    monkeypatch.setattr(authorities, "read_mail", ask)
    told = Authorities().mails(pl.Series([f"Ann{number}@münchen.de" for number in range(10)] + ["Info@münchen.de"]))
    names = [*(f"Ann{number}" for number in range(10)), "info"]
    assert told["value"].to_list() == [f"{name}@xn--mnchen-3ya.de" for name in names]
    assert asked == ["a@münchen.de"]


def test_reserved_domains_are_those_of_the_installed_authority(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = pl.Series(["ann@example.com", "ann@x.local", "ann@X.LOCAL", "ann@x.test"])
    monkeypatch.setattr(email_validator, "SPECIAL_USE_DOMAIN_NAMES", ["example.com", "local"])
    assert Authorities().mails(texts)["value"].to_list() == [None, None, None, "ann@x.test"]
    monkeypatch.setattr(email_validator, "SPECIAL_USE_DOMAIN_NAMES", [])
    assert Authorities().mails(texts)["value"].to_list() == [
        "ann@example.com",
        "ann@x.local",
        "ann@x.local",
        "ann@x.test",
    ]


@pytest.mark.parametrize(
    "name", ["TEST_ENVIRONMENT", "ALLOW_QUOTED_LOCAL", "ALLOW_DOMAIN_LITERAL", "ALLOW_DISPLAY_NAME"]
)
def test_what_else_a_program_does_with_the_authority_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(email_validator, name, True)
    monkeypatch.setattr(email_validator, "GLOBALLY_DELIVERABLE", False)
    monkeypatch.setattr(email_validator, "ALLOW_SMTPUTF8", False)
    texts = [
        "ann@test",
        "ann@x.test",
        '"a b"@x.org',
        "ann@[1.1.1.1]",
        "Ann <ann@x.org>",
        "ann@x",
        "@x.org",
        "zoë@x.org",
    ]
    assert Authorities().mails(pl.Series(texts))["value"].to_list() == [None] * 7 + ["zoë@x.org"]
