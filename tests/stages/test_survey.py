"""The survey counts what screening says."""

from collections import Counter
from typing import Any

import polars as pl

from pipeline.records import CONTACTS_SCHEMA, Batch, Screened
from pipeline.report.plan import EXTENTS, outlook
from pipeline.stages.survey import Example, Survey


def screened(*rows: dict[str, Any]) -> Screened:
    whole = dict.fromkeys(CONTACTS_SCHEMA.names()) | {"warnings": [], "fields": []}
    contacts = pl.DataFrame([whole | row for row in rows], schema=CONTACTS_SCHEMA)
    nothing = pl.Series([None] * len(rows), dtype=pl.String)
    return Screened(Batch("a.csv", 0, 1, pl.DataFrame(), nothing.cast(pl.UInt64), nothing), contacts)


def test_warnings_are_counted_by_row_and_by_their_words() -> None:
    survey = Survey()
    survey.add(screened({"warnings": ["a", "b"]}, {"warnings": ["a"]}, {}))
    survey.add(screened({"warnings": ["a"], "status": "invalid", "reason": "r"}))
    assert (survey.rows, survey.warnings, dict(survey.remarks)) == (4, 3, {"a": 3, "b": 1})


def test_texts_that_can_be_sent_are_counted_by_segments() -> None:
    survey = Survey()
    survey.add(screened({"sms": "+1"}, {"email": "a@example.com", "email_text": "x" * 200}))
    assert (survey.segments, survey.foreign) == ({}, {})
    texts = ("Hi", "x" * 161, "\u2019" + "x" * 160, "\u2019" + "x" * 60, "\u2019\u0105" * 100)
    survey.add(screened(*({"sms": "+1", "sms_text": text} for text in texts)))
    survey.add(screened({"sms": "+1", "sms_text": "x" * 500, "status": "invalid", "reason": "r"}))
    assert dict(survey.segments) == {1: 2, 2: 1, 3: 2}
    assert dict(survey.foreign) == {"\u2019": 2}
    assert survey.longest == 200, "in characters, of those that can be sent"
    survey.add(screened({"sms": "+1", "sms_text": "Hi"}))
    assert survey.longest == 200
    survey.segments = Counter({1: 2, 2: 1})
    told = outlook(survey, EXTENTS[0], 80)
    assert "Texts of sms: 2 of 1 segment, 1 of 2 segments; 4 in all; the longest has 200 characters." in told


def test_a_reason_is_shown_where_it_was_met_first() -> None:
    survey = Survey()
    bad = {"status": "invalid", "reason": "r"}
    survey.add(screened({"sms": "+1"}, bad, bad, {"status": "duplicate", "reason": "s"}, bad))
    survey.add(screened(bad))
    assert dict(survey.reasons) == {"r": 4, "s": 1}
    assert survey.examples == {"r": Example("a.csv", 2, None), "s": Example("a.csv", 4, None)}


def test_three_messages_are_shown_from_however_many_batches() -> None:
    texts = [f"text {row}" for row in range(5)]
    rows = [{"sms": "+1", "sms_text": text} for text in texts]
    whole, parts = Survey(), Survey()
    whole.add(screened(*rows))
    for part in (rows[:2], rows[2:]):
        parts.add(screened(*part))
    assert whole.messages == parts.messages == [{"sms": text} for text in texts[:3]]
