"""Phone numbers: what becomes of them, and why some are none."""

import phonenumbers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.stages.destinations.phone import check_region, read_phone


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("416 555 0123", "+14165550123"),
        ("+1 (416) 555-0123", "+14165550123"),
        ("011 61 491 570 156", "+61491570156"),
        ("+33 1 99 00 12 34", "+33199001234"),
        ("tel:+1-416-555-0123", "+14165550123"),
        ("\uff0b\uff11 416 555 0123", "+14165550123"),
        ("\u202a+1 416 555 0123\u202c", "+14165550123"),
        ("'4165550123", "+14165550123"),
    ],
)
def test_valid(text: str, number: str) -> None:
    assert read_phone(text, "CA") == (number, None, number.startswith("+33"), None)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("N/A", ": a word or a sign in place of an empty cell"),
        ("-", ": a word or a sign in place of an empty cell"),
        ("John", ": has no digits"),
        ("4.47911E+11", ": a spreadsheet has cut it to scientific notation"),
        ("4,16555012e9", ": a spreadsheet has cut it to scientific notation"),
        ("4165550123.0", ": a spreadsheet or a program has made it a decimal number"),
        ("416 555 0123 / 647 555 0188", ": more than one number"),
        ("416 555 0123 or 9", ": more than one number"),
        ("4165550123456789012", ": too long"),
        ("9" * 300, ": too long"),
        ("41655501234", ": too long for a number of region CA"),
        ("416555012", ": too short for a number of region CA"),
        ("555-0123", ": the area code is missing"),
        ("416555012a", ": has letters"),
        ("+44 7700 900123", " for its country (GB)"),
        ("+999 555 0123", ": no country has its country code"),
        ("+", ": has no digits"),
        ("1", ": too short"),
        ("416\x01 555 0123", ": has an invisible character (U+0001)"),
        ("416\u200e 555 0123", ": has an invisible character (U+200E)"),
        ("416&nbsp;555&nbsp;0123", ": written in HTML (tags or entities)"),
        ("Ã\u00a94165550", ": garbled: UTF-8 was read as Windows-1252"),
        ("416 = 555 0123", ": has a character that no number has"),
        ("4165550123, 6475550188", ": more than one number"),
        ("4165550123|6475550188", ": more than one number"),
        ("4165550123 & 6475550188", ": more than one number"),
        ("4165550123\n6475550188", ": more than one number"),
        ("+14165550123 +16475550188", ": more than one number"),
        ("447911123456", ": too long for a number of region CA; with a plus in front it would be one of region GB"),
        ("44 7911 123456", ": too long for a number of region CA; with a plus in front it would be one of region GB"),
        ("447911-123456", ": too long for a number of region CA"),
    ],
)
def test_refused(text: str, fault: str) -> None:
    assert read_phone(text, "CA") == (None, "not a valid number" + fault, False, None)


@pytest.mark.parametrize("text", ["612345678", "+39612345678", "0039 6 1234 5678", "06 1234 5678"])
def test_a_leading_zero_that_is_part_of_the_number(text: str) -> None:
    phone = read_phone(text, "IT")
    if text.startswith("06"):
        assert phone.number == "+390612345678"
    else:
        assert phone.fault == "not a valid number: its leading zero is missing"


@pytest.mark.parametrize("text", ["7911 123456", "07911 123456", "7911123456"])
def test_a_leading_zero_that_is_no_part_of_the_number_may_be_missing(text: str) -> None:
    assert read_phone(text, "GB").number == "+447911123456"


def test_without_region() -> None:
    without_plus = read_phone("447911123456", None).fault or ""
    assert without_plus.endswith("contacts.region is not set; with a plus in front it would be one of region GB")
    assert read_phone("4165550123", None).fault == "not a valid number: no country code and contacts.region is not set"
    assert read_phone("+14165550123", None).number == "+14165550123"
    assert read_phone("+999 555 0123", None).fault == "not a valid number: no country has its country code"


def test_a_cut_number_is_taken_where_the_authority_takes_it_and_doubted_aloud() -> None:
    text = "4.16555012E9"
    number = phonenumbers.parse(text, "CA")
    assert phonenumbers.is_valid_number(number)
    phone = read_phone(text, "CA")
    assert phone.number == phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    assert phone.remark == "the number may be another than was meant: a spreadsheet has cut it to scientific notation"


def test_what_follows_a_number_is_left_out_aloud() -> None:
    phone = read_phone("4165550123; 6475550188", "CA")  # to phonenumbers a semicolon begins an extension
    assert phone == ("+14165550123", None, False, "more than one number: only the first is taken")


def test_extension() -> None:
    assert read_phone("416 555 0123 ext 12", "CA") == (
        "+14165550123",
        None,
        False,
        "the number's extension is left out",
    )


@pytest.mark.parametrize("region", [None, "CA", "gb"])
def test_known_regions(region: str | None) -> None:
    assert check_region(region) is None


@pytest.mark.parametrize(
    ("region", "advice"), [("UK", "did you mean GB?"), ("ZZ", "such as CA, GB or FR"), ("", "such as")]
)
def test_unknown_regions(region: str, advice: str) -> None:
    assert advice in (check_region(region) or "")


@given(st.text(max_size=40), st.sampled_from((None, "CA", "DE")))
@settings(deadline=None)  # the machine may be busy
def test_any_text_has_a_number_or_a_fault(text: str, region: str | None) -> None:
    phone = read_phone(text, region)
    assert (phone.number is None) != (phone.fault is None)


@given(st.text("0123456789+-() .xE/a", max_size=20), st.sampled_from((None, "CA", "DE", "IT", "AR")))
@settings(deadline=None)  # the machine may be busy
def test_what_is_read_reads_as_itself(text: str, region: str | None) -> None:
    phone = read_phone(text, region)
    if phone.number is not None:
        again = read_phone(phone.number, None)
        assert again.number == phone.number
        assert again.landline == phone.landline
