"""Screening: which rows can be sent, and in which words the others are refused."""

import hashlib
from pathlib import Path
from typing import Any

import anyio
import polars as pl
import pytest
from pydantic import ValidationError

from pipeline.config import ContactsSettings
from pipeline.errors import ConfigError, SourceError
from pipeline.records import CONTACTS_SCHEMA, Batch, Screened
from pipeline.stages.screen import Authorities, Screener, check_columns, check_mapping, load_suppression, screen

CAMPAIGN = "7c9e6679-7425-40de-944b-e07fc1f90ae7"

CONSENT = {"column": "opt_in", "in": ["yes", "Stra\u00dfe"]}

#: A row that can be sent, and what tests change in it.
ANN = {
    "id": "1",
    "name": "Ann",
    "mobile": "416 555 0123",
    "home": "416 555 0124",
    "mail": "ann@example.com",
    "opt_in": "yes",
    "segment": "A",
}
MAPPING: dict[str, Any] = {
    "key": ["id"],
    "region": "CA",
    "sms": {"destination": "{mobile}", "text": "Hi {name}"},
    "voice": {"destination": "{home}"},
    "email": {"destination": "{mail}"},
}


class Carrier:
    """Refuses texts of more than 40 characters, and U+0001."""

    forbidden = r"[\x01]"

    def unfit(self, contacts: pl.DataFrame) -> pl.Series:
        long = contacts["sms_text"].str.len_chars().fill_null(0) > 40
        return pl.Series(
            [f"the message is too large: {40} is the most" if row else None for row in long], dtype=pl.String
        )


def batch(
    *rows: dict[str, str | None],
    source: str = "a.csv",
    start: int = 0,
    row: int = 1,
    damage: list[str | None] | None = None,
) -> Batch:
    frame = pl.DataFrame([ANN | changes for changes in rows], schema=dict.fromkeys(ANN, pl.String))
    lines = pl.Series(range(row + 1, row + 1 + len(rows)), dtype=pl.UInt64)
    return Batch(source, start, row, frame, lines, pl.Series(damage or [None] * len(rows), dtype=pl.String))


def screener(mapping: dict[str, Any] | None = None, wave: str | None = None, **changes: Any) -> Screener:
    contacts = ContactsSettings.model_validate((mapping or MAPPING) | changes)
    authorities = Authorities()
    return Screener(
        contacts,
        campaign=CAMPAIGN,
        wave=wave,
        carrier=Carrier(),
        authorities=authorities,
        suppression=load_suppression(contacts.suppress, contacts, authorities),
    )


def said(*rows: dict[str, str | None], **changes: Any) -> list[dict[str, Any]]:
    return screener(**changes).screen(batch(*rows)).contacts.to_dicts()


def verdict(row: dict[str, str | None], **changes: Any) -> tuple[str | None, str | None, str | None]:
    got = said(row, **changes)[0]
    return got["status"], got["reason"], got["column"]


def test_a_row_that_can_be_sent() -> None:
    assert said({}) == [
        {
            "key": "1",
            "contact_id": "91c03270-4c86-5911-af4c-5e71db60f0a5",
            "content": "c4c20796615035c22e9df803cf1cec64",
            "status": None,
            "reason": None,
            "column": None,
            "warnings": [],
            "sms": "+14165550123",
            "sms_text": "Hi Ann",
            "voice": "+14165550124",
            "voice_text": None,
            "email": "ann@example.com",
            "email_text": None,
            "fields": [],
        }
    ]


def test_what_else_is_sent_is_filled_in_from_columns_and_from_what_was_made_of_them() -> None:
    fields = {"Sheet1!A1": "{name} {{{segment}}}", "phone": "{contact.sms}", "ref": "{contact.key}/{contact.id}"}
    [made] = said({}, fields=fields)
    assert made["fields"] == ["Ann {A}", "+14165550123", f"1/{made['contact_id']}"]
    [other] = said({"segment": "B"}, fields=fields)
    assert other["contact_id"] == made["contact_id"]
    assert other["content"] != made["content"]
    [empty] = said({"name": None, "mobile": None}, fields={"a": "{name}", "b": "{contact.sms}"})
    assert empty["fields"] == ["", ""]


def test_fields_can_be_shifted_into_each_other_without_being_the_same_content() -> None:
    [one] = said({"segment": "Ann"}, fields={"a": "{segment}", "b": "x"})
    [two] = said({"segment": ""}, fields={"a": "{segment}Ann", "b": "x"})
    [three] = said({"segment": "Annx"}, fields={"a": "{segment}", "b": ""})
    assert one["content"] == two["content"] != three["content"]


def test_a_field_is_judged_as_a_text_is() -> None:
    fields = {"a": "{segment}"}
    assert verdict({"segment": "A\x01"}, fields=fields) == (
        "invalid",
        "column 'segment' holds a character (U+0001) that the target cannot carry",
        "segment",
    )
    contacts = ContactsSettings.model_validate(MAPPING | {"fields": {"a": "{segmnt}", "b": "{contact.email}"}})
    [problem] = check_columns(list(ANN), contacts, "a.csv")
    assert problem.startswith("contacts.fields.a: a.csv has no column 'segmnt'; did you mean 'segment'?")
    contacts = ContactsSettings.model_validate(MAPPING | {"fields": {"a": "{"}})
    assert check_mapping(contacts) == ["contacts.fields.a: a single { in it; write {{ for a literal brace"]


def test_a_batch_without_rows_has_the_schema() -> None:
    assert screener().screen(batch()).contacts.schema == CONTACTS_SCHEMA


# --- key ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("empty", [None, "", " \t"])
def test_no_key(empty: str | None) -> None:
    assert verdict({"id": empty}) == ("invalid", "column 'id': the key is empty", "id")


def test_a_key_of_several_columns() -> None:
    assert said({"id": " 7 "}, key=["segment", "id"])[0]["key"] == "A| 7 "
    assert verdict({"id": ""}, key=["segment", "id"])[2] == "id"


def test_without_key_columns_the_destinations_are_the_key() -> None:
    lines = "sms=+14165550123\nvoice=+14165550124\nemail=ann@example.com"
    assert said({}, key=[])[0]["key"] == hashlib.sha256(lines.encode()).hexdigest()[:32]
    alone = said({"mobile": None, "mail": None}, key=[])[0]["key"]
    assert alone == hashlib.sha256(b"voice=+14165550124").hexdigest()[:32]


def test_consent_does_not_change_the_key_of_a_person() -> None:
    sms = {"destination": "{mobile}", "when": {"column": "opt_in", "in": ["yes"]}}
    first, second = said({}, {"opt_in": "no"}, key=[], unique="none", sms=sms)
    assert first["key"] == second["key"]
    assert first["content"] != second["content"]


# --- destinations ---------------------------------------------------------------------------------------------


def test_a_bad_destination_is_left_out_with_a_warning() -> None:
    row = said({"mobile": "12"})[0]
    assert (row["status"], row["sms"], row["sms_text"], row["voice"]) == (None, None, None, "+14165550124")
    assert row["warnings"] == ["sms left out: column 'mobile': not a valid number: too short for a number of region CA"]


def test_a_row_is_invalid_where_no_destination_is_left() -> None:
    row = {"mobile": "12", "home": " ", "mail": "ann"}
    words = (
        "sms: column 'mobile': not a valid number: too short for a number of region CA; "
        "email: column 'mail': not a valid mail address: has no @-sign"
    )
    assert verdict(row) == ("invalid", words, "mobile")
    assert said(row)[0]["warnings"] == []


def test_one_bad_destination_may_refuse_the_row() -> None:
    row = said({"mail": "ann"}, on_invalid="row")[0]
    assert (row["status"], row["column"]) == ("invalid", "mail")
    assert (row["sms"], row["email"], row["content"]) == ("+14165550123", None, None)


@pytest.mark.parametrize("empty", [None, "", "\u00a0 "])
def test_no_destination(empty: str | None) -> None:
    row = dict.fromkeys(("mobile", "home", "mail"), empty)
    assert verdict(row) == ("invalid", "no destination: columns mobile, home, mail are empty", None)


def test_an_empty_destination_is_no_cause_for_a_warning() -> None:
    assert said({"mobile": ""})[0]["warnings"] == []


def test_a_destination_of_several_columns() -> None:
    sms = {"destination": "+1{home}{mobile}"}
    assert said({"home": "(416)", "mobile": "555 0123"}, sms=sms)[0]["sms"] == "+14165550123"
    assert said({"home": None, "mobile": ""}, sms=sms)[0]["sms"] is None
    assert said({"home": "9"}, sms=sms)[0]["warnings"][0].startswith("sms left out: columns 'home', 'mobile': ")


def test_no_country_code_and_no_region() -> None:
    words = "sms left out: column 'mobile': not a valid number: no country code and contacts.region is not set"
    assert words in said({}, region=None)[0]["warnings"]


@pytest.mark.parametrize(
    ("phone_type", "sms", "warnings"),
    [
        ("off", "+33199001234", []),
        ("warn", "+33199001234", ["sms: the number is a landline"]),
        ("error", None, ["sms left out: column 'mobile': the number is a landline"]),
    ],
)
def test_a_landline_for_sms(phone_type: str, sms: str | None, warnings: list[str]) -> None:
    row = said({"mobile": "+33 1 99 00 12 34", "home": "+33 1 99 00 12 35"}, phone_type=phone_type)[0]
    assert (row["sms"], row["warnings"], row["voice"]) == (sms, warnings, "+33199001235")


def test_a_landline_that_is_not_used_is_no_cause_for_a_warning() -> None:
    sms = {"destination": "{mobile}", "when": CONSENT}
    row = said({"mobile": "+33 1 99 00 12 34", "opt_in": "no"}, sms=sms)[0]
    assert row["warnings"] == ["sms left out: no consent in column 'opt_in'"]


def test_an_extension_is_left_out_and_said() -> None:
    row = said({"home": "416 555 0124 ext. 7"})[0]
    assert (row["voice"], row["warnings"]) == ("+14165550124", ["voice: the number's extension is left out"])


# --- texts ----------------------------------------------------------------------------------------------------


def test_an_empty_text() -> None:
    sms = {"destination": "{mobile}", "text": " {name}"}
    assert verdict({"name": None}, sms=sms) == ("invalid", "column 'name': the text of sms is empty", "name")
    assert said({"name": None, "mobile": None}, sms=sms)[0]["status"] is None


def test_what_is_empty_in_a_text_is_told_unless_a_default_stands_there() -> None:
    [row] = said({"name": " "})
    assert (row["sms_text"], row["warnings"]) == ("Hi  ", ["sms: column 'name' is empty in its text"])
    sms = {"destination": "{mobile}", "text": "Hi {name|friend}{segment|}"}
    [row] = said({"name": " ", "segment": None}, sms=sms)
    assert (row["sms_text"], row["warnings"]) == ("Hi friend", [])
    assert said({"name": None, "mobile": None})[0]["warnings"] == [], "its text is not used"


def test_cells_are_escaped_in_a_mail_and_nowhere_else() -> None:
    name = """<b>"Ann" & 'Co'</b> &amp;"""
    text = "<p>Hi {name}</p>"
    [row] = said(
        {"name": name},
        sms={"destination": "{mobile}", "text": text},
        fields={"a": text},
        email={"destination": "{mail}", "text": text},
    )
    assert row["email_text"] == "<p>Hi &lt;b&gt;&quot;Ann&quot; &amp; &#39;Co&#39;&lt;/b&gt; &amp;amp;</p>"
    assert row["sms_text"] == row["fields"][0] == f"<p>Hi {name}</p>"
    [row] = said({"name": ""}, email={"destination": "{mail}", "text": "Hi {name|<i>you</i>}"})
    assert row["email_text"] == "Hi <i>you</i>", "a default is the template's own text"


def test_a_text_of_many_segments_is_told() -> None:
    def warnings(name: str, **changes: Any) -> list[str]:
        sms = {"destination": "{mobile}", "text": "{name}"} | changes
        return list(said({"name": name}, sms=sms)[0]["warnings"])

    assert warnings("n" * 459) == []
    assert warnings("n" * 460) == ["sms: the text needs 4 segments (GSM-7)"]
    assert warnings("n" * 460, segments=4) == warnings("n" * 460, segments=0) == []
    assert warnings("\u2019" * 201) == []
    assert warnings("n" * 201 + "\u2019") == ["sms: the text needs 4 segments (UCS-2, because of U+2019)"]
    voice = {"destination": "{home}", "text": "{name}"}
    assert said({"name": "n" * 460, "mobile": None}, voice=voice)[0]["warnings"] == []


def test_a_destination_has_no_default() -> None:
    defaults = {"region": "CA", "sms": {"destination": "{mobile|+14165550123}"}, "voice": {"destination": "{home|}"}}
    assert check_mapping(ContactsSettings.model_validate(defaults)) == [
        "contacts.sms.destination: has a default, to which many rows would be sent: leave it out"
    ]


def test_a_character_that_the_target_cannot_carry() -> None:
    words = "column 'name' holds a character (U+0001) that the target cannot carry"
    assert verdict({"name": "A\x01"}) == ("invalid", words, "name")
    assert verdict({"name": "A\x01", "mobile": None})[0] is None
    assert verdict({"segment": "A\x01"})[0] is None
    assert verdict({"mobile": "416 555 0123\x01"})[2] == "mobile"


def test_a_character_is_refused_where_any_channel_that_is_used_would_send_it() -> None:
    email = {"destination": "{mail}", "text": "Dear {name}"}
    assert verdict({"name": "A\x01", "mail": None}, email=email)[0] == "invalid"
    assert verdict({"name": "A\x01", "mobile": None}, email=email)[0] == "invalid"


def test_a_message_that_is_too_large() -> None:
    assert verdict({"name": "n" * 50}) == ("invalid", "the message is too large: 40 is the most", None)


# --- consent, filter, lists -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "allowed"), [("yes", True), (" YES ", True), ("STRASSE", True), ("no", False), (None, False)]
)
def test_consent(value: str | None, allowed: bool) -> None:
    row = said({"opt_in": value}, sms={"destination": "{mobile}", "when": CONSENT})[0]
    assert (row["sms"] is not None) == allowed
    assert row["warnings"] == ([] if allowed else ["sms left out: no consent in column 'opt_in'"])


@pytest.mark.parametrize(
    ("values", "cell", "meets"),
    [
        (["yes"], "\u00a0Yes\u2003", True),
        (["  yes "], "yes", True),
        (["yes"], "yes\u200b", False),
        (["ss"], "\u1e9e", True),
        ([1], "1", True),
        ([1], "01", False),
        ([True], "TRUE", True),
        ([False], "false", True),
        ([""], None, True),
        ([""], "\t", True),
        (["yes"], None, False),
        (["y.s"], "yes", False),
    ],
)
def test_what_meets_a_condition(values: list[Any], cell: str | None, meets: bool) -> None:
    where = {"column": "segment", "in": values}
    assert verdict({"segment": cell}, where=where)[1] == (None if meets else "filtered")


@pytest.mark.parametrize("values", [[], [1.5], ["yes", None], "yes"])
def test_what_is_no_condition(values: Any) -> None:
    with pytest.raises(ValidationError):
        ContactsSettings.model_validate(MAPPING | {"where": {"column": "segment", "in": values}})


def test_no_consent_for_any_channel() -> None:
    sms = {"destination": "{mobile}", "when": CONSENT}
    row = {"opt_in": "no", "home": None, "mail": ""}
    assert verdict(row, sms=sms) == ("suppressed", "no consent for any channel", "opt_in")


def test_filtered() -> None:
    where = {"column": "segment", "in": ["B"]}
    assert verdict({"id": None, "mobile": "12"}, where=where) == ("suppressed", "filtered", "segment")
    assert said({}, where=where)[0]["key"] == "1"


def test_damage_comes_first_and_none_of_the_cells_is_read() -> None:
    made = screener(where={"column": "segment", "in": ["B"]}).screen(batch({}, damage=["has 3 fields"])).contacts
    row = made.to_dicts()[0]
    assert (row["status"], row["reason"], row["key"], row["sms"]) == ("invalid", "has 3 fields", None, None)


def test_a_destination_without_consent_counts_on_a_list(tmp_path: Path) -> None:
    (tmp_path / "no.txt").write_text("+14165550123")
    sms = {"destination": "{mobile}", "when": CONSENT}
    assert verdict({"opt_in": "no"}, sms=sms, suppress=[tmp_path / "no.txt"])[0] == "suppressed"


# --- duplicates -----------------------------------------------------------------------------------------------


def test_the_same_key() -> None:
    rows = said({}, {"id": "2"}, {"mobile": None})
    assert [row["status"] for row in rows] == [None, None, "duplicate"]
    assert (rows[2]["reason"], rows[2]["column"]) == ("the same key as row 1", "id")


def test_only_rows_that_can_be_sent_come_first() -> None:
    assert [row["status"] for row in said({"name": "\x01"}, {}, {})] == ["invalid", None, "duplicate"]


def test_the_same_phone_on_another_channel() -> None:
    rows = said({}, {"id": "2", "mobile": "+14165550124", "home": None, "mail": None}, unique="destination")
    assert (rows[1]["status"], rows[1]["reason"]) == ("duplicate", "the same phone as row 1")


def test_the_same_mail_address_in_another_case() -> None:
    rows = said({}, {"mobile": None, "home": None, "mail": "ANN@example.com"}, unique="destination")
    assert (rows[1]["reason"], rows[1]["column"]) == ("the same mail address as row 1", "mail")


@pytest.mark.parametrize("shared", ["mobile", "home", "mail"])
def test_a_duplicate_claims_nothing(shared: str) -> None:
    other = {"mobile": "647 555 0188", "home": "647 555 0189", "mail": "bo@example.com"}
    rows = said({}, other | {shared: ANN[shared]}, other, unique="destination")
    assert [row["status"] for row in rows] == [None, "duplicate", None]


def test_duplicates_over_batches_and_sources_are_named_by_source() -> None:
    walk = screener()
    walk.screen(batch({}, {"id": "2"}))
    walk.screen(batch({"id": "3"}, start=2, row=3))
    second = walk.screen(batch({"id": "3"}, {"id": "9"}, {"id": "9"}, source="b.csv", start=3)).contacts
    again = walk.screen(batch({"id": "9"}, source="b.csv", start=6)).contacts  # the same file, given twice
    assert second["reason"].to_list() == ["the same key as row 3 of a.csv", None, "the same key as row 2"]
    assert again["reason"].to_list() == ["the same key as row 2"]


def test_every_walk_begins_anew() -> None:
    assert said({}) == said({})


# --- mapping --------------------------------------------------------------------------------------------------


def test_missing_columns_are_named_with_their_place_and_the_nearest_there_is() -> None:
    contacts = ContactsSettings.model_validate(MAPPING)
    columns = ["ID", "name", " Mobile", "home", "e-mail"]
    there = "ID, name,  Mobile, home, e-mail"
    assert check_columns(columns, contacts, "a.csv") == [
        f"contacts.key: a.csv has no column 'id'; did you mean 'ID'? Its columns: {there}",
        f"contacts.sms.destination: a.csv has no column 'mobile'; did you mean ' Mobile'? Its columns: {there}",
        f"contacts.email.destination: a.csv has no column 'mail'; did you mean 'e-mail'? Its columns: {there}",
    ]
    assert check_columns(list(ANN), contacts, "a.csv") == []
    assert "did you mean" not in check_columns(["xyz"], contacts, "a.csv")[0]


def test_a_batch_without_a_column_of_the_mapping_is_a_source_error() -> None:
    lacking = batch({})
    lacking = Batch("b.csv", 0, 1, lacking.frame.drop("mail"), lacking.lines, lacking.damage)
    with pytest.raises(SourceError, match=r"contacts.email.destination: b.csv has no column 'mail'"):
        screener().screen(lacking)


def test_what_is_wrong_with_a_mapping_by_itself() -> None:
    broken = {"region": "UK", "sms": {"destination": "{mobile", "text": " "}, "voice": {"destination": "{}"}}
    assert check_mapping(ContactsSettings.model_validate(broken)) == [
        "contacts.region: 'UK' is no region with phone numbers; did you mean GB?",
        "contacts.sms.destination: a single { in it; write {{ for a literal brace",
        "contacts.sms.text: is empty; leave it out to send the campaign's own text",
        "contacts.voice.destination: a placeholder without a name, {}; write {{}} for literal braces",
    ]
    with pytest.raises(ConfigError, match=r"contacts\.region"):
        screener(broken)


def test_a_character_in_the_template_itself() -> None:
    for text in ("Hi\x01 {name}", "Hi {name|\x01}"):
        with pytest.raises(ConfigError, match=r"contacts.sms.text: holds a character \(U\+0001\)"):
            screener(sms={"destination": "{mobile}", "text": text})


def test_a_region_is_taken_in_any_case() -> None:
    assert said({}, region="ca")[0]["sms"] == "+14165550123"


# --- stage ----------------------------------------------------------------------------------------------------


async def _stage(batches: list[Batch]) -> list[Screened]:
    send_batch, receive_batch = anyio.create_memory_object_stream[Batch](1)
    send_screened, receive_screened = anyio.create_memory_object_stream[Screened](1)

    async def feed() -> None:
        async with send_batch:
            for one in batches:
                await send_batch.send(one)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(feed)
        tasks.start_soon(screen, receive_batch, send_screened, screener())
        async with receive_screened:
            return [screened async for screened in receive_screened]


def test_the_stage_keeps_the_order_and_closes_both_ends() -> None:
    batches = [batch({"id": str(number)}, start=number, row=number + 1) for number in range(5)]
    screened = anyio.run(_stage, [*batches, batch({"id": "0"}, start=5, row=6)])
    assert [one.batch.start for one in screened] == [0, 1, 2, 3, 4, 5]
    assert screened[5].contacts["reason"].item() == "the same key as row 1"
