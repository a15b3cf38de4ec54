"""Mail addresses through the command: what is sent, and what a person reads of what is not."""

import csv
from pathlib import Path

import polars as pl
from cli.kit import CONFIG, run

SENT = {
    "Ann.B@EXAMPLE.Com": "Ann.B@example.com",
    "INFO@Example.com": "info@example.com",
    " ann@example.com ": "ann@example.com",
    "ann@m\u00fcnchen.example": "ann@xn--mnchen-3ya.example",
    "zo\u00eb@example.com": "zo\u00eb@example.com",
    "zo\u00c3\u00ab@example.com": "zo\u00c3\u00ab@example.com",
}
REFUSED = {
    "N/A": "a word or a sign in place of an empty cell",
    "ninguno": "a word or a sign in place of an empty cell",
    "#REF!": "the error of a spreadsheet's formula",
    "Ann B <ann.b@example.com>": "a name or angle brackets around the address",
    "ann.b@example.org; c.d@example.org": "more than one address",
    "ann.b&#64;example.com": "written in HTML (tags or entities)",
    "zo\u00c3\u00ab b@example.com": "garbled: UTF-8 was read as Windows-1252",
    "ann.b\u200b@example.com": "has an invisible character (U+200B)",
    "\u202eann.b@example.com": "has an invisible character (U+202E)",
    "mailto:ann.b@example.com": "written as a link (mailto:)",
    "ann.b@example,com": "a comma in place of a period",
    "ann.b @example.com": "a space beside the @-sign",
    "ann.b@example": "no period after the @-sign: an ending such as .com is missing",
    "ann.b.example.com": "has no @-sign",
    "ann.b@example..com": "two periods in a row",
    "ann.b@example.test": "its domain is reserved and receives no mail",
    "ann.b@\uff45xample.com\u3002": "ends with a period",
    "a" * 300 + "@example.com": "too long",
}


def test_every_address_is_sent_as_the_authority_has_it_or_refused_with_its_likely_cause(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(CONFIG.format(endpoint="https://pop.example.com/onc.svc"))
    with (tmp_path / "list.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["customer_id", "first_name", "mobile", "email"])
        writer.writerows([number, "Ann", "", mail] for number, mail in enumerate((*SENT, *REFUSED)))
    ended = run("check", tmp_path / "list.csv", "--config", tmp_path / "config.toml", "--run-dir", tmp_path / "run")
    assert ended.code == 1
    ledger = pl.read_parquet(tmp_path / "run" / "ledger.parquet")
    assert dict(zip((*SENT, *REFUSED), ledger["email"], strict=True)) == SENT | dict.fromkeys(REFUSED)
    reasons = [f"email: column 'email': not a valid mail address: {cause}" for cause in REFUSED.values()]
    assert ledger["reason"].to_list() == ["not attempted yet"] * len(SENT) + reasons
    doubt = "email: the address may be another than was meant: garbled: UTF-8 was read as Windows-1252"
    assert ledger["warnings"].to_list() == [[]] * (len(SENT) - 1) + [[doubt]] + [[]] * len(REFUSED)
    assert "ann.b" not in "".join((ended.out, ended.err, *ledger["reason"].drop_nulls()))
