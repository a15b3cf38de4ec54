"""Mail addresses: what becomes of them, and why some are none."""

import socket

import email_validator
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.stages.destinations.email import read_mail


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("ann@example.com", "ann@example.com"),
        ("Ann.B@EXAMPLE.Com", "Ann.B@example.com"),
        ("ann+news@example.org", "ann+news@example.org"),
        ("ann@m\u00fcnchen.example.net", "ann@xn--mnchen-3ya.example.net"),
        ("zo\u00eb@example.org", "zo\u00eb@example.org"),
        ("zoe\u0308@example.org", "zo\u00eb@example.org"),
        ("zo\u00eb@m\u00fcnchen.example.net", "zo\u00eb@m\u00fcnchen.example.net"),
    ],
)
def test_valid(text: str, address: str) -> None:
    assert read_mail(text) == (address, None, None)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("ann", "has no @-sign"),
        ("ann\uff20example.com", "has another sign in place of @"),
        ("ann@", "nothing after the @-sign"),
        ("@example.com", "nothing before the @-sign"),
        ("ann b@example.com", "has a space"),
        ("ann@exam ple.com", "has a space"),
        ("ann;b@example.com", "a character before the @-sign that is not allowed there"),
        ("ann@exa_mple.com", "a character after the @-sign that is not allowed there"),
        ("ann@@example.com", "more than one @-sign"),
        ("ann@bob@example.com", "more than one @-sign"),
        ("ann@example..com", "two periods in a row"),
        (".ann@example.com", "begins with a period"),
        ("ann@example.com.", "ends with a period"),
        ("ann.@example.com", "a period beside the @-sign"),
        ("ann@-example.com", "a hyphen after the @-sign"),
        ("ann@example.com-", "ends with a hyphen"),
        ("ann@a-.example.com", "a period beside a hyphen"),
        ("ann@example", "no period after the @-sign: an ending such as .com is missing"),
        ("ann@example.123", "its domain has no valid ending"),
        ("ann@example.test", "its domain is reserved and receives no mail"),
        ("ann@localhost.localdomain.local", "its domain is reserved and receives no mail"),
        ("ann@[127.0.0.1]", "an IP address in place of a domain"),
        ("ann@[127.0.0.777]", "an IP address in place of a domain"),
        ("ann@[IPv6:zz]", "an IP address in place of a domain"),
        ('"a b"@example.com', "quotation marks before the @-sign"),
        ("Ann <ann@example.com>", "a name or angle brackets around the address"),
        ("Ann <ann@example.com", "a name or angle brackets around the address"),
        ("Ann <ann@example.com> x", "a name or angle brackets around the address"),
        ("zo\ue000@example.com", "an invisible or unsafe character"),
        ("ann@xn--a.com", "its domain is not valid"),
        ("ann@ab--c.com", "its domain is not valid"),
        ("a" * 80 + "@" + "b" * 64 + ".com", "too long"),
        ("a@" + "b" * 64 + ".com", "too long"),
        ("a@" * 200_000, "too long"),
    ],
)
def test_refused(text: str, fault: str) -> None:
    assert read_mail(text) == (None, f"not a valid mail address: {fault}", None)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("N/A", "a word or a sign in place of an empty cell"),
        ("keine", "a word or a sign in place of an empty cell"),
        ("-", "a word or a sign in place of an empty cell"),
        ("#REF!", "the error of a spreadsheet's formula"),
        ('="ann@example.com"', "a spreadsheet's formula in place of a text"),
        ("ann&#64;example.com", "written in HTML (tags or entities)"),
        ("ann&nbsp;b@example.com", "written in HTML (tags or entities)"),
        ("zo\u00c3\u00ab b@example.com", "garbled: UTF-8 was read as Windows-1252"),
        ("ann\u200b@example.com", "has an invisible character (U+200B)"),
        ("\u202aann@example.com\u202c", "has an invisible character (U+202A)"),
        ("ann\0@example.com", "has an invisible character (U+0000)"),
        ("mailto:ann@example.com", "written as a link (mailto:)"),
        ("MailTo:ann@example.com", "written as a link (mailto:)"),
        ("a@example.com; b@example.org", "more than one address"),
        ("a@example.com, b@example.org", "more than one address"),
        ("a@example.com b@example.org", "more than one address"),
        ("a@example.com/b@example.org", "more than one address"),
        ("a@example.com\nb@example.org", "more than one address"),
        ("Ann <a@example.com>, Bob <b@example.org>", "more than one address"),
        ("; ".join(f"person{number}@example.org" for number in range(100)), "more than one address"),
        ("<ann@example.com>", "a name or angle brackets around the address"),
        ('"Ann, B." <ann@example.com>', "a name or angle brackets around the address"),
        ("ann@example.com <Ann>", "a name or angle brackets around the address"),
        ("ann @example.com", "a space beside the @-sign"),
        ("ann@ example.com", "a space beside the @-sign"),
        ("ann@\u00a0example.com", "a space beside the @-sign"),
        ("ann@example,com", "a comma in place of a period"),
        ("ann,b@example.com", "a comma in place of a period"),
        ("ann@example.com,", "ends with a comma or a semicolon"),
        ("ann@example.com;", "ends with a comma or a semicolon"),
        ("ann@example", "no period after the @-sign: an ending such as .com is missing"),
        ("ann(at)example.com", "a word in place of the @-sign"),
        ("ann at example dot com", "a word in place of the @-sign"),
    ],
)
def test_damage(text: str, fault: str) -> None:
    assert read_mail(text) == (None, f"not a valid mail address: {fault}", None)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("zo\u00c3\u00ab@example.com", "zo\u00c3\u00ab@example.com"),
        ("zo\ufffd@example.com", "zo\ufffd@example.com"),
        ("ann@example.com\u00c2", "ann@example.xn--com-kla"),
    ],
)
def test_a_garbled_address_is_taken_where_the_authority_takes_it_and_doubted_aloud(text: str, address: str) -> None:
    mail = read_mail(text)
    assert (mail.address, mail.fault) == (address, None)
    assert (mail.remark or "").startswith("the address may be another than was meant: garbled: ")


@given(st.one_of(st.text(max_size=30), st.emails(), st.text('a@.<>"[]:- \u00e9\u200b', max_size=20)))
@settings(deadline=None)  # the machine may be busy
def test_any_text_has_what_the_authority_says(text: str) -> None:
    mail = read_mail(text)
    assert (mail.address is None) != (mail.fault is None)
    try:
        expected = email_validator.validate_email(text, check_deliverability=False)
    except email_validator.EmailNotValidError:
        assert mail.address is None
    else:
        assert mail.address == (expected.ascii_email or expected.normalized)


def test_no_name_server_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket, "socket", refuse)
    assert read_mail("ann@example.com").fault is None
