"""Do-not-contact lists: what they may look like, what is found in them, and what is said of what holds nobody back."""

import gzip
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.config import ContactsSettings
from pipeline.errors import SourceError
from pipeline.stages import lists
from pipeline.stages.destinations.authorities import Authorities
from pipeline.stages.suppression import Suppression, load_suppression

PHONE, MAIL = "+14165550123", "ann@example.com"
MAPPING: dict[str, Any] = {"key": ["id"], "region": "CA", "sms": {"destination": "{mobile}"}}


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., Suppression]:
    def loaded(content: bytes | str, name: str = "no.csv", **changes: Any) -> Suppression:
        (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
        contacts = ContactsSettings.model_validate(MAPPING | changes)
        return load_suppression([tmp_path / name], contacts, Authorities())

    return loaded


def held(suppression: Suppression, *, phone: str = PHONE, mail: str = MAIL, key: str = "1") -> list[str]:
    kinds = {
        "phone": suppression.phones(pl.Series([None, phone])),
        "mail": suppression.mails(pl.Series([None, mail])),
        "key": suppression.keys(pl.Series([None, key])),
    }
    assert all(said[0] is None for said in kinds.values())
    return [kind for kind, said in kinds.items() if said[1] is not None]


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        ("(416) 555-0123\n", "phone"),
        ("(416) 555-0123", "phone"),
        ("\n\nphone;id\n\n416 555 0123;7\n", "phone"),
        ("\ufeffANN@EXAMPLE.COM\r\n", "mail"),
        ("note,contact\nmoved,+1 416 555 0123\n", "phone"),
        ('a;"b\nc";ann@example.com\n', "mail"),
        ("phone;note\n416-555-0123;moved, to, Paris, for, good\n2;\n", "phone"),
        ("phone\tnote\r416-555-0123\tx\r", "phone"),
        ("Do not contact, as of Monday\nname;phone\nAnn;4165550123\nBo;647 555 0188\n", "phone"),
        ("name,name\nAnn,4165550123\n", "phone"),
        ("a,b\nAnn,x,y,4165550123\n", "phone"),
        ("416 555 0123 / 647 555 0188\n", "phone"),
        ("647 555 0188 or 416 555 0123\n", "phone"),
        ("tel:416-555-0123 (Ann)\n", "phone"),
        ("mobile 1;647 555 0188,416 555 0123\n", "phone"),
        ("Ann <Ann@example.com>\n", "mail"),
        ("x@example.org; ann@example.com (old)\n", "mail"),
        ("mailto:ann@example.com\n", "mail"),
        ('"416 555 0123\n"x,y\n', "phone"),
        ('x\n"647 555 0188\n416 555 0123\n', "phone"),
        ("id,since\n 1 ,2025-01-01\n", "key"),
        ("since,id\n2025-01-01,1\n", "key"),
        ("id,phone\n5,6475550188;4165550123\n", "phone"),
        ("x\n6475550188 x4165550123\n", "phone"),
        ("x\n6475550188+4165550123\n", "phone"),
        ("x\n647-555-0188 416-555-0123\n", "phone"),
        ("x\n647 555 0188 416 555 0123\n", "phone"),
        ("x\n647-555-0188 - 416-555-0123\n", "phone"),
        ("x\n(416) 555-0123 (647) 555-0188\n", "phone"),
        ("x\n2025-01-01 4165550123\n", "phone"),
        ("x\n4165550123 (3 times)\n", "phone"),
        ("x\nAnn 416\u2013555\u20130123 home\n", "phone"),
        ("x\nAnn 416\u00a0555\u00a00123 home\n", "phone"),
        ("x\nAnn 416/555/0123 home\n", "phone"),
        ("x\n4165550123.0\n", "phone"),
        ("x\n4.165550123E+09\n", "phone"),
        ("'ann@example.com\n", "mail"),
        ("Please never ann@example.com.\n", "mail"),
        ("never ann@example.com!\n", "mail"),
        ("bob@example.com&ann@example.com\n", "mail"),
        ("bob@example.com+ann@example.com\n", "mail"),
        ("address=ann@example.com\n", "mail"),
        ("mailto:ann@example.com?subject=x\n", "mail"),
        ("\u200bann@example.com\n", "mail"),
        ('id\n"oops\n1\n2\n', "key"),
        ('id;note\n7;"oops\n1;x\n8;"y"\n', "key"),
        ("\u0664\u0661\u0666\u0665\u0665\u0665\u0660\u0661\u0662\u0663", "phone"),
    ],
)
def test_what_a_list_may_look_like(load: Callable[..., Suppression], content: str, kind: str) -> None:
    assert held(load(content)) == [kind]


@pytest.mark.parametrize(
    "entry", ["Pat O'Neil <o'neil@example.com>", "mailto:o'neil@example.com", "o'neil@example.com"]
)
def test_an_apostrophe_is_part_of_an_address(load: Callable[..., Suppression], entry: str) -> None:
    suppression = load(f"{entry}\n")
    assert held(suppression, mail="o'neil@example.com") == ["mail"]
    assert held(suppression, mail="neil@example.com") == []  # another person


def test_a_text_mark_may_be_a_part_of_the_address(load: Callable[..., Suppression]) -> None:
    assert held(load("'ann@example.com\n"), mail="'ann@example.com") == ["mail"]


def test_digits_of_a_uuid_are_no_phone(load: Callable[..., Suppression]) -> None:
    assert held(load("id\nab7c416-5550-123a\n")) == []


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "windows-1252"])
@pytest.mark.parametrize("compressed", [False, True])
def test_what_it_may_be_written_in(load: Callable[..., Suppression], encoding: str, compressed: bool) -> None:
    content = "id;name;phone\nZo\u00eb-1;Zo\u00eb;416 555 0123\n".encode(encoding)
    suppression = load(gzip.compress(content) if compressed else content)
    assert held(suppression, key="Zo\u00eb-1") == ["phone", "key"]


def test_bytes_of_an_unknown_encoding_hide_no_number(load: Callable[..., Suppression]) -> None:
    content = b"id;phone\n\xe9\xa0\x81\xff\x8d;416 555 0123\n\x8d;647 555 0188\n"
    assert held(load(content)) == held(load(content), phone="+16475550188") == ["phone"]


def test_a_list_in_parquet(load: Callable[..., Suppression], tmp_path: Path) -> None:
    columns = {"id": [1, None], "phone": [None, 4165550123.0], "mail": [b"", b"ann@example.com"]}
    pl.DataFrame(columns).write_parquet(tmp_path / "made")
    assert held(load((tmp_path / "made").read_bytes(), "no.parquet")) == ["phone", "mail", "key"]
    assert held(load((tmp_path / "made").read_bytes(), "no.txt")) == ["phone", "mail", "key"]  # by content, not by name


def test_a_parquet_list_may_have_no_names(load: Callable[..., Suppression], tmp_path: Path) -> None:
    pl.DataFrame({"4165550123": ["647 555 0188"]}).write_parquet(tmp_path / "made")
    suppression = load((tmp_path / "made").read_bytes())
    assert held(suppression) == held(suppression, phone="+16475550188") == ["phone"]


def nested(path: Path) -> bytes:
    pl.DataFrame({"phones": [["4165550123"]]}).write_parquet(path)
    return path.read_bytes()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"PAR1", "it is not a Parquet file"),
        (nested, "has no columns but of lists or structures"),
        (gzip.compress(b"4165550123\n" * 999, mtime=0)[:-20], "its compression breaks off"),
        (b'a\n"416 555 0123\n' + b"647 555 0188\n" * 60 + b'"\n', "there is a quote that is not closed"),
        (b"1" * 200_000, "field larger than field limit"),
    ],
    ids=["no parquet", "nested", "cut short", "open quote", "no list"],
)
def test_a_list_that_cannot_be_read(load: Callable[..., Suppression], tmp_path: Path, content: Any, why: str) -> None:
    content = content(tmp_path / "made") if callable(content) else content
    with pytest.raises(SourceError, match=rf"do-not-contact list of contacts\.suppress cannot be read: .*{why}"):
        load(content)


def test_a_list_that_is_not_there(tmp_path: Path) -> None:
    contacts = ContactsSettings.model_validate(MAPPING)
    with pytest.raises(SourceError, match=r"missing\.csv: .* cannot be read: No such file"):
        load_suppression([tmp_path / "missing.csv"], contacts, Authorities())


def test_a_key_is_compared_as_a_whole(load: Callable[..., Suppression]) -> None:
    suppression = load("entry,id\n77,1\n78,\n")
    assert held(suppression) == ["key"]
    assert held(suppression, key="77") == []  # a number beside the keys is none
    assert held(load("person,entry\n77,1\n")) == []
    two = load("id,branch\n1,a\n2,\n", key=["branch", "id"])
    assert held(two, key="a|1") == ["key"]
    assert held(two, key="|2") == held(two, key="2") == []


@pytest.mark.parametrize(
    "content",
    [
        "branch,id\na,1\n",
        "branch,id\na ,1\n",
        "a|1\nb|2\n",
        "since|note\na | 1\n",
        "branch|id\na|1\n",
        "id|branch\n1|a\n",
    ],
)
def test_keys_of_several_columns(load: Callable[..., Suppression], content: str) -> None:
    suppression = load(content, key=["branch", "id"])
    assert held(suppression, key="a|1") == held(suppression, key=" a|1\t") == held(suppression, key="a |1") == ["key"]
    assert held(suppression, key="a|2") == held(suppression, key="a") == []


def test_the_first_list_that_holds_it_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("416 555 0123\n")
    (tmp_path / "b.txt").write_text("416 555 0123\nANN@example.com\n416 555 0123\n")
    contacts = ContactsSettings.model_validate(MAPPING)
    suppression = load_suppression([tmp_path / "a.txt", tmp_path / "b.txt"], contacts, Authorities())
    assert suppression.phones(pl.Series([PHONE, None])).to_list() == ["a.txt", None]
    assert suppression.mails(pl.Series(["x@example.com", MAIL])).to_list() == [None, "b.txt"]


@pytest.mark.parametrize("size", [3, 70_000])
def test_no_entry_is_lost_between_frames(load: Callable[..., Suppression], size: int) -> None:
    suppression = load("".join(f"x{number},{number}\n" for number in range(size)))
    keys = pl.Series([f"x{number}" for number in range(size + 5)])
    assert suppression.keys(keys).is_not_null().to_list() == [True] * size + [False] * 5


CELLS = st.text(st.sampled_from('ab1@.,"\r\n \u00e9\u2028\x0b'), max_size=6)


@given(st.lists(st.lists(CELLS, min_size=1, max_size=3), min_size=1, max_size=6))
@settings(deadline=None)
def test_whatever_it_holds_every_line_is_a_row(tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]]) -> None:
    """Quoted or not, the last entry is there: what stands before it cannot hide it."""
    path = tmp_path_factory.mktemp("lists") / "no.csv"
    quoted = [",".join('"' + cell.replace('"', '""') + '"' for cell in row) for row in rows]
    path.write_bytes(("\n".join(quoted) + "\nlast,one\n").encode())
    frame = pl.concat(lists.frames(path), how="diagonal")
    assert "last" in frame.row(-1)
    assert frame.height == len(rows) + 1


# --- what is said of it -----------------------------------------------------------------------------------------


def told(caplog: pytest.LogCaptureFixture) -> dict[str, dict[str, Any]]:
    records = [record.msg for record in caplog.records if isinstance(record.msg, dict)]
    return {said["event"]: {key: said[key] for key in said.keys() - {"event", "timestamp"}} for said in records}


@pytest.fixture(autouse=True)
def _level(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "contact_pipeline")


def test_what_was_found_is_counted(load: Callable[..., Suppression], caplog: pytest.LogCaptureFixture) -> None:
    load("phone,mail\n416 555 0123,ann@example.com\n647 555 0188 / 647 555 0189,\n,x@y\n\nmoved,\n")
    assert told(caplog) == {
        "suppression.list": {"level": "info", "list": "no.csv", "rows": 4, "phones": 2, "mails": 1, "neither": 2},
        "suppression.unread": {"level": "warning", "list": "no.csv", "cells": 1, "advice": UNREAD},
    }


UNREAD = (
    "they have an @ or seven digits, but no phone and no mail address that is understood: "
    "they hold nobody back, unless they are keys"
)


@pytest.mark.parametrize(
    "cell",
    [
        "ann at @example.com",
        "ann @ example.com",
        "Ann 416 555 01",
        "4.16555E+09",
        "4.17E+09",
        "ann\uff20x",
    ],
)
def test_what_may_have_been_a_destination_is_warned_of(
    load: Callable[..., Suppression], caplog: pytest.LogCaptureFixture, cell: str
) -> None:
    load(f"entry,since\n416 555 0123,2025-01-01\n{cell},2025-01-01 12:30:00\n")
    said = told(caplog)
    assert said["suppression.unread"] == {"level": "warning", "list": "no.csv", "cells": 1, "advice": UNREAD}
    assert cell not in str(said)


def test_it_is_not_the_first_row_that_is_left_out(
    load: Callable[..., Suppression], caplog: pytest.LogCaptureFixture
) -> None:
    load("ann @ example.com\n416 555 0123\n")
    assert told(caplog)["suppression.unread"]["cells"] == 1


def test_a_number_beside_a_destination_is_warned_of_and_a_key_is_not(
    load: Callable[..., Suppression], caplog: pytest.LogCaptureFixture
) -> None:
    load("id,phone,mail\n20250101,416 555 0123,\n20250102,123 555 0188,ann@example.com\n")
    said = told(caplog)
    assert said["suppression.numbers"]["rows"] == 1
    assert "suppression.unread" not in said


@pytest.mark.parametrize("empty", ["", "\n", "\n \n", "\ufeff"])
def test_an_empty_list(load: Callable[..., Suppression], caplog: pytest.LogCaptureFixture, empty: str) -> None:
    assert not load(empty)
    assert told(caplog) == {
        "suppression.empty": {
            "level": "warning", "list": "no.csv", "advice": "it holds nobody back: check contacts.suppress",
        }
    }  # fmt: skip


def test_numbers_that_are_none(load: Callable[..., Suppression], caplog: pytest.LogCaptureFixture) -> None:
    load("phone\n416 555 0123\n416 555 01234\n(123) 555-0188\n12\n")
    assert told(caplog)["suppression.numbers"] == {
        "level": "warning",
        "list": "no.csv",
        "rows": 2,
        "advice": "they look like phones but are no numbers of region CA: they hold nobody back, unless they are keys",
    }


def test_national_numbers_without_a_region(load: Callable[..., Suppression], caplog: pytest.LogCaptureFixture) -> None:
    load("416 555 0123\n+1 647 555 0188\n", region=None)
    said = told(caplog)["suppression.numbers"]
    assert said["rows"] == 1
    assert "contacts.region is not set" in said["advice"]


def test_a_list_of_neither_phones_nor_addresses(
    load: Callable[..., Suppression], caplog: pytest.LogCaptureFixture
) -> None:
    load("id\nA-17\nA-18\n")
    assert told(caplog)["suppression.keys_alone"]["list"] == "no.csv"
    assert "suppression.numbers" not in told(caplog)
