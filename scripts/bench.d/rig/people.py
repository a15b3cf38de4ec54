"""The list that is imported: people as a customer has them, and the configuration that goes with it."""

from pathlib import Path

import polars as pl

CONFIG = """
[target]
system = "onc"
endpoint = "{url}"
account_id = "account"
username = "user"
password = "password"
campaign_id = "11111111-1111-4111-8111-111111111111"

[contacts]
key = ["customer_id"]
region = "CA"

[contacts.sms]
destination = "{{mobile}}"
text = "Hi {{first_name}}, your appointment with us is on {{appointment}}. Reply STOP to opt out."
when = {{ column = "sms_opt_in", in = ["yes"] }}

[contacts.voice]
destination = "{{landline}}"

[contacts.email]
destination = "{{email}}"

[delivery]
sessions = {sessions}

[state]
directory = "{state}"
"""

#: One row in so many has the key of an earlier one, no consent to short messages, or a mobile that is none.
REPEATED, SILENT, SPOILT = 100, 50, 200

_CHUNK = 1 << 18
_FIRST = ["Ann", "Ben", "Chloé", "Dora", "Émile", "Farid", "Grace", "Hugo", "Isla", "Jean-Luc", "Kofi", "Mei"]
_LAST = ["Tremblay", "Smith", "Nguyen", "Gagnon", "O'Brien", "Singh", "Roy", "MacDonald", "Côté", "García", "Lee"]
_AREAS = ["416", "647", "514", "604", "403", "613", "902", "204", "306", "780"]


def write(path: Path, rows: int, *, plain: bool = False) -> None:
    """Write a list of so many rows, with national mobiles and landlines in E.164; `plain`: all can be sent whole."""
    with path.open("wb") as file:
        for start in range(0, rows, _CHUNK):
            _people(start, min(rows, start + _CHUNK), plain).write_csv(file, include_header=not start)


def _people(start: int, stop: int, plain: bool) -> pl.DataFrame:
    row = pl.int_range(start, stop, dtype=pl.Int64)
    fine = pl.lit(plain)
    repeated = ~fine & (row % REPEATED == REPEATED - 1)
    silent = ~fine & (row % SILENT == SILENT - 1)
    spoilt = ~fine & (row % SPOILT == SPOILT - 2)
    person = pl.when(repeated).then(row - REPEATED // 2).otherwise(row) * 7_368_787 % 79_999_987
    area = _picked(_AREAS, person // 8_000_000)  # so no number comes twice
    exchange = 200 + person // 10_000 % 800
    line = (person % 10_000).cast(pl.String).str.zfill(4)
    first, last = _picked(_FIRST, person), _picked(_LAST, person // 12)
    return pl.select(
        customer_id=pl.format("C{}", 10_000_000 + person),
        first_name=first,
        last_name=last,
        mobile=pl.when(spoilt).then(pl.lit("see notes")).otherwise(pl.format("({}) {}-{}", area, exchange, line)),
        landline=pl.format("+1{}{}{}", area, 999 - person // 10_000 % 800, line),
        email=pl.format("{}.{}@example{}.com", pl.lit("customer"), person, person % 100),
        sms_opt_in=pl.when(silent).then(pl.lit("no")).otherwise(pl.lit("yes")),
        appointment=pl.format("2026-12-{}", (person % 28 + 1).cast(pl.String).str.zfill(2)),
    )


def _picked(words: list[str], number: pl.Expr) -> pl.Expr:
    return pl.lit(pl.Series(words)).gather(number % len(words))
