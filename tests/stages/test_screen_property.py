"""Screening by columns says the same as a slow, obvious reading of the same rules row by row."""

import hashlib
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import Any

import phonenumbers
import polars as pl
import pytest
from email_validator import EmailNotValidError, validate_email
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.config import ContactsSettings
from pipeline.records import CONTACTS_SCHEMA, Batch
from pipeline.stages.screen import Authorities, Screener, load_suppression

CAMPAIGN = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
COLUMNS = ("id", "branch", "name", "mobile", "home", "mail", "consent", "segment")
#: Unicode's White_Space, spelled out: what we call blank does not hang on a library's version.
WHITE = "".join(
    map(chr, (*range(9, 14), 32, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F, 0x205F, 0x3000))
)


class Carrier:
    """Carries what XML 1.0 carries, and no text with LONG in it."""

    forbidden = r"[\x00-\x08\x0B\x0C\x0E-\x1F\x{FFFE}\x{FFFF}]"

    def unfit(self, contacts: pl.DataFrame) -> pl.Series:
        return contacts.select(
            pl.when(pl.col("sms_text").str.contains("LONG")).then(pl.lit("too large for the target"))
        ).to_series()


# --- the slow reading -----------------------------------------------------------------------------------------


TOKEN = re.compile(r"\{\{|\}\}|\{(?P<name>\w+)(?P<default>\|[^{}]*)?\}")


def columns_of(template: str) -> list[str]:
    return [found["name"] for found in TOKEN.finditer(template) if found["name"]]


@dataclass
class Slow:
    """The rules of screening, a row at a time."""

    contacts: ContactsSettings
    wave: str | None
    listed: set[str]  # what the do-not-contact list holds, as it is written there
    taken: dict[str, int] = field(default_factory=dict)

    def phone(self, text: str) -> str | None:
        if re.fullmatch(r"[\d.]+E\+\d+|\d{7,}\.0", text):
            return None
        try:
            number = phonenumbers.parse(text, self.contacts.region)
        except phonenumbers.NumberParseException:
            return None
        if not phonenumbers.is_valid_number(number):
            return None
        return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)

    def destination(self, channel: str, text: str) -> str | None:
        if channel == "email":
            try:
                address = validate_email(text, check_deliverability=False)
            except EmailNotValidError:
                return None
            return address.ascii_email or address.normalized
        number = self.phone(text)
        if channel == "sms" and number and self.contacts.phone_type == "error":
            kind = phonenumbers.number_type(phonenumbers.parse(number))
            if kind == phonenumbers.PhoneNumberType.FIXED_LINE:
                return None
        return number

    def on_list(self, value: str) -> bool:
        def parts(key: str) -> list[str]:
            return [part.strip(WHITE) for part in key.split("|")]

        for entry in self.listed:
            if parts(value) == parts(entry) or any(self.phone(part) == value for part in re.split(" / |;", entry)):
                return True
            if "@" in value and entry.casefold() == value.casefold():
                return True
        return False

    def row(self, position: int, cells: dict[str, str | None], damage: str | None) -> dict[str, Any]:
        said = dict.fromkeys(CONTACTS_SCHEMA.names()) | {"warnings": 0, "unfilled": 0, "fields": []}
        status = self.judge(said, position, cells, damage)
        if said["key"] is not None:
            namespace = uuid.UUID(CAMPAIGN)
            if self.wave is not None:
                namespace = uuid.uuid5(namespace, self.wave)
            said["contact_id"] = str(uuid.uuid5(namespace, said["key"]))
        return said | {"status": status}

    def judge(
        self, said: dict[str, Any], position: int, cells: dict[str, str | None], damage: str | None
    ) -> str | None:
        def cell(name: str) -> str:
            return cells[name] or ""

        def blank(text: str) -> bool:
            return not text.strip(WHITE)

        def meets(condition: Any) -> bool:
            return cell(condition.column).strip().casefold() in {value.casefold() for value in condition.values}

        def fill(template: str, *, html: bool = False) -> str:
            def value(found: re.Match[str]) -> str:
                if not found["name"]:
                    return found[0][0]
                if found["default"] and blank(cell(found["name"])):
                    return found["default"][1:]
                return escape(cell(found["name"])).replace("&#x27;", "&#39;") if html else cell(found["name"])

            return re.sub(TOKEN, value, template)

        if damage:
            return "invalid"
        if self.contacts.key and not any(blank(cell(name)) for name in self.contacts.key):
            said["key"] = "|".join(cell(name) for name in self.contacts.key)
        if self.contacts.where and not meets(self.contacts.where):
            return "suppressed"
        verdicts: list[str] = []
        if self.contacts.key and said["key"] is None:
            verdicts.append("invalid")

        valid: dict[str, str] = {}
        faults = 0
        for name, channel in self.contacts.channels.items():
            columns = columns_of(channel.destination)
            if all(blank(cell(column)) for column in columns):
                continue
            value = self.destination(name, fill(channel.destination).strip(WHITE))
            if value is None:
                faults += 1
            else:
                valid[name] = value
        if not self.contacts.key and valid:
            lines = "\n".join(f"{name}={valid[name]}" for name in ("sms", "voice", "email") if name in valid)
            said["key"] = hashlib.sha256(lines.encode()).hexdigest()[:32]
        refused = not valid or (faults and self.contacts.on_invalid == "row")
        if refused:
            verdicts.append("invalid")
        else:
            said["warnings"] += faults

        used = [(name, self.contacts.channels[name]) for name in valid]
        sent_columns = {c for _, channel in used for c in columns_of(channel.destination)}
        sent_columns |= {c for _, channel in used for c in columns_of(channel.text or "")}
        if any(re.search("[\x00-\x08\x0b\x0c\x0e-\x1f]", cell(column)) for column in sent_columns):
            verdicts.append("invalid")

        allowed = {
            name: value for name, value in valid.items() if not (c := self.contacts.channels[name].when) or meets(c)
        }
        said["warnings"] += len(valid) - len(allowed)
        if valid and not allowed:
            verdicts.append("suppressed")
        if any(self.on_list(value) for value in (*valid.values(), *([said["key"]] if said["key"] else []))):
            verdicts.append("suppressed")
        for name, value in allowed.items():
            said[name] = value
            if text := self.contacts.channels[name].text:
                said[f"{name}_text"] = fill(text, html=name == "email")
                if blank(fill(text)):
                    verdicts.append("invalid")
                else:
                    bare = {found["name"] for found in TOKEN.finditer(text) if found["name"] and not found["default"]}
                    said["unfilled"] += sum(blank(cell(column)) for column in bare)
        if "LONG" in (said["sms_text"] or ""):
            verdicts.append("invalid")
        if verdicts:
            return verdicts[0]

        claims: list[str] = []
        if self.contacts.unique == "key":
            claims = [said["key"]]
        elif self.contacts.unique == "destination":
            claims = [value.casefold() for value in allowed.values()]
        if any(claim in self.taken for claim in claims):
            return "duplicate"
        self.taken.update(dict.fromkeys(claims, position))
        return None


# --- tables and mappings --------------------------------------------------------------------------------------

PHONES = (
    "416 555 0123", "+14165550123", "(416) 555-0123", " 4165550123\t", "647.555.0188 x12", "+33 1 99 00 12 34",
    "+61 491 570 156", "+44 7700 900123", "4.16555E+9", "4165550123.0", "N/A", "416 555 0123 / 647 555 0188", "12",
    "555-0123", "\u0664\u0661\u0666\u0665\u0665\u0665\u0660\u0661\u0662\u0663", "911",
    "416\x015550123", "+999 1", "1-416-555-ANNA",
)  # fmt: skip
MAILS = (
    "ann@example.com", "Ann@EXAMPLE.com", " ann@example.com ", "zo\u00eb@example.org", "bo@m\u00fcnchen.example.net",
    "a b@example.com",
    "ann@example", "ann", "ann@x.invalid", "a@example.com, b@example.com", "Ann <ann@example.com>", "info@example.com",
)  # fmt: skip
BLANK = (None, "", " ", "\u00a0", "\t\n")


def cells(*values: str, often_blank: int = 1) -> st.SearchStrategy[str | None]:
    return st.sampled_from((*values, *BLANK * often_blank))


ROWS = st.fixed_dictionaries(
    {
        "id": cells("1", "2", "3", "4", "5", "6", " 6", "a|b", "7"),
        "branch": cells("1", "a", "2"),
        "name": st.one_of(
            cells("Ann", "Zo\u00eb", "\u674e\u5c0f\u9f99", "a\x01b", "LONG", "<&>", "{id}"), st.text(max_size=5)
        ),
        "mobile": cells(*PHONES),
        "home": cells(*PHONES, often_blank=3),
        "mail": st.one_of(cells(*MAILS, often_blank=2), st.emails()),
        "consent": cells("yes", "YES ", "no", "1", "\u1e9e"),
        "segment": cells("A", "a", "B"),
    }
)
DAMAGE = st.sampled_from((None,) * 9 + ("has 3 fields where the header has 8",))
TABLES = st.lists(st.tuples(ROWS, DAMAGE), max_size=25)


@st.composite
def mappings(draw: st.DrawFn) -> ContactsSettings:
    def condition(column: str, *values: str) -> Any:
        return draw(st.sampled_from((None, {"column": column, "in": list(values)})))

    text = st.sampled_from(
        (
            None,
            "Hi {name}, you",
            "{name}",
            "{name}{home}",
            "{{name}} {id}",
            "<b>{name|<i>you</i>}</b>{home|}",
            "{name|}{name}",
        )
    )
    channels = {
        "sms": {"destination": "{mobile}", "text": draw(text), "when": condition("consent", "yes", "SS")},
        "voice": {
            "destination": draw(st.sampled_from(("{home}", "{mobile}", "{mobile}{home}", "+1{home}"))),
            "when": condition("segment", "A"),
            "retries": draw(st.integers(0, 255)),
        },
        "email": {"destination": "{mail}", "text": draw(text), "when": condition("consent", "yes", "1")},
    }
    chosen = draw(st.sets(st.sampled_from(sorted(channels)), min_size=1))
    return ContactsSettings.model_validate(
        {
            "key": draw(st.sampled_from(((), ("id",), ("id", "branch")))),
            "region": draw(st.sampled_from(("CA", "CA", None))),
            "on_invalid": draw(st.sampled_from(("channel", "row"))),
            "unique": draw(st.sampled_from(("key", "destination", "none"))),
            "phone_type": draw(st.sampled_from(("off", "warn", "error"))),
            "where": condition("segment", "a"),
            **{name: channels[name] for name in chosen},
        }
    )


LISTED = st.sets(
    st.sampled_from(
        (
            "+1 416 555 0123",
            "ANN@example.com",
            "2",
            "6",
            "a|b|1",
            "+61491570156",
            "nobody",
            "647 555 0188 / +33 1 99 00 12 34",
            "4165550123;+33199001234",
            "6 | 1",
        )
    ),
    max_size=2,
)


def batches(table: list[tuple[dict[str, str | None], str | None]], cuts: list[int]) -> Iterator[Batch]:
    frame = pl.DataFrame([row for row, _ in table], schema=dict.fromkeys(COLUMNS, pl.String))
    damage = pl.Series([broken for _, broken in table], dtype=pl.String)
    edges = [0, *sorted(cut % (len(table) + 1) for cut in cuts), len(table)]
    for start, stop in pairwise(edges):
        lines = pl.Series(range(start + 2, stop + 2), dtype=pl.UInt64)
        yield Batch("list.csv", start, start + 1, frame[start:stop], lines, damage[start:stop])


@dataclass
class Screening:
    """How tables are screened in one test."""

    authorities: Authorities
    list_file: Path

    def __call__(
        self,
        table: Any,
        contacts: ContactsSettings,
        wave: str | None,
        listed: set[str],
        cuts: list[int],
    ) -> pl.DataFrame:
        self.list_file.write_text("\n".join(listed), encoding="utf-8")
        screener = Screener(
            contacts,
            campaign=CAMPAIGN,
            wave=wave,
            carrier=Carrier(),
            authorities=self.authorities,
            suppression=load_suppression([self.list_file], contacts, self.authorities),
        )
        return pl.concat([screener.screen(batch).contacts for batch in batches(table, cuts)])


@pytest.fixture(scope="module")
def screening(tmp_path_factory: pytest.TempPathFactory) -> Screening:
    return Screening(Authorities(limit=20), tmp_path_factory.mktemp("lists") / "no.txt")


WAVES = st.sampled_from((None, "spring", ""))


@given(TABLES, mappings(), WAVES, LISTED)
@settings(max_examples=150, deadline=None)
def test_columns_say_what_rows_say(
    screening: Screening, table: Any, contacts: ContactsSettings, wave: str | None, listed: set[str]
) -> None:
    if len(contacts.key) < 2:  # a list that holds nothing else has two columns then, and the first is the key
        listed = {entry for entry in listed if "|" not in entry}
    made = screening(table, contacts, wave, listed, [])
    assert made.schema == CONTACTS_SCHEMA
    slow = Slow(contacts, wave, listed)
    sent: dict[str, Any] = {}
    compared = ("key", "contact_id", "status", "sms", "sms_text", "voice", "voice_text", "email", "email_text")
    for position, ((row, damage), got) in enumerate(zip(table, made.iter_rows(named=True), strict=True)):
        expected = slow.row(position, row, damage)
        assert {name: got[name] for name in compared} == {name: expected[name] for name in compared}, (position, got)
        assert (got["reason"] is None) == (got["status"] is None)
        left_out = [warning for warning in got["warnings"] if "left out: " in warning]
        assert len(left_out) == expected["warnings"]
        unfilled = [warning for warning in got["warnings"] if warning.endswith(" is empty in its text")]
        assert len(unfilled) == expected["unfilled"]
        assert (got["content"] is None) == (got["status"] is not None)
        if got["content"] is not None:
            what = tuple(got[name] for name in compared[3:])
            assert sent.setdefault(got["content"], what) == what
    assert len(set(sent.values())) == len(sent)


@given(TABLES, mappings(), LISTED, st.lists(st.integers(0, 25), min_size=1, max_size=6))
@settings(max_examples=30, deadline=None)
def test_batch_boundaries_change_nothing(
    screening: Screening, table: Any, contacts: ContactsSettings, listed: set[str], cuts: list[int]
) -> None:
    whole = screening(table, contacts, None, listed, [])
    assert screening(table, contacts, None, listed, cuts).equals(whole)


MARK = "Q7x\u03a9z"


@given(st.lists(st.fixed_dictionaries(dict.fromkeys(COLUMNS, st.text(max_size=9))), max_size=8), mappings(), st.data())
@settings(max_examples=40, deadline=None)
def test_no_cell_content_in_reasons_and_warnings(
    screening: Screening, table: list[dict[str, str]], contacts: ContactsSettings, data: st.DataObject
) -> None:
    marked = []
    for row in table:
        for name in data.draw(st.sets(st.sampled_from(COLUMNS))):
            where = data.draw(st.integers(0, len(row[name])))
            row[name] = row[name][:where] + MARK + row[name][where:]
        marked.append((row, None))
    made = screening(marked, contacts, None, set(), [])
    said = [*made["reason"].drop_nulls(), *made["warnings"].explode().drop_nulls(), *made["column"].drop_nulls()]
    assert not [text for text in said if MARK in text]


DIGITS = st.text("0123456789 +-().xE/", min_size=6, max_size=20)
ADDRESSES = st.from_regex(r"[Qq;,\"<> .\x00-\x20]{1,4}QQQ[@. ]{0,3}[qQ;<>\[\]\-]{0,4}QQQ[.a-z@]{0,5}", fullmatch=True)


@given(st.lists(st.tuples(DIGITS, ADDRESSES), min_size=1, max_size=8))
@settings(max_examples=40, deadline=None)
def test_no_part_of_a_destination_in_reasons_and_warnings(screening: Screening, pairs: list[tuple[str, str]]) -> None:
    contacts = ContactsSettings.model_validate(
        {"region": "CA", "sms": {"destination": "{mobile}"}, "email": {"destination": "{mail}"}, "phone_type": "error"}
    )
    blank = dict.fromkeys(COLUMNS)
    table = [(blank | {"mobile": phone, "mail": mail}, None) for phone, mail in pairs]
    made = screening(table, contacts, None, set(), [])
    for text in (*made["reason"].drop_nulls(), *made["warnings"].explode().drop_nulls()):
        assert "QQQ" not in text
        named = re.sub(r"\(U\+[0-9A-F]{4,6}\)", "", text)  # what nobody can see is named by its code point
        assert not re.search(r"\d{3}", named)
