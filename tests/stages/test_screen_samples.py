"""The lists under samples/ are what scripts/samples makes, and screen as they are meant to."""

import csv
import subprocess
import sys
from collections import Counter
from pathlib import Path

import polars as pl
import pytest

from pipeline.config import ContactsSettings
from pipeline.records import Batch
from pipeline.stages.screen import Authorities, Screener, load_suppression

ROOT = Path(__file__).parents[2]


class Carrier:
    """Carries what XML 1.0 carries."""

    forbidden = r"[\x00-\x08\x0B\x0C\x0E-\x1F\x{FFFE}\x{FFFF}]"

    def unfit(self, contacts: pl.DataFrame) -> pl.Series:
        return pl.repeat(None, contacts.height, dtype=pl.String, eager=True)


def test_the_script_makes_them_again(tmp_path: Path) -> None:
    subprocess.run([sys.executable, ROOT / "scripts/samples", tmp_path], check=True, capture_output=True)
    for name in ("contacts.csv", "do-not-contact.csv"):
        assert (tmp_path / name).read_bytes() == (ROOT / "samples" / name).read_bytes()
    # The bytes of a Parquet file are the writer's own affair.
    assert pl.read_parquet(tmp_path / "contacts.parquet").equals(pl.read_parquet(ROOT / "samples/contacts.parquet"))


def batch(name: str) -> Batch:
    """A sample as one batch, read by Python's own csv module."""
    path = ROOT / "samples" / name
    if path.suffix == ".parquet":
        frame = pl.read_parquet(path).cast(pl.String)
        damage: list[str | None] = [None] * frame.height
    else:
        with path.open(encoding="utf-8", newline="") as file:
            header, *rows = csv.reader(file)
        damage = [None if len(row) == len(header) else "ragged" for row in rows]
        cells = [[*row, *[""] * len(header)][: len(header)] for row in rows]
        frame = pl.DataFrame(cells, schema=dict.fromkeys(header, pl.String), orient="row")
    lines = pl.repeat(None, frame.height, dtype=pl.UInt64, eager=True)
    return Batch(name, 0, 1, frame, lines, pl.Series(damage, dtype=pl.String))


def statuses(name: str, suppress: list[Path]) -> Counter[str]:
    contacts = ContactsSettings.model_validate(
        {
            "key": ["customer_id"],
            "region": "CA",
            "suppress": suppress,
            "sms": {
                "destination": "{mobile}",
                "text": "Hi {first_name}, see you on {appointment}.",
                "when": {"column": "sms_opt_in", "in": ["yes", "1", "true"]},
            },
            "voice": {"destination": "{landline}"},
            "email": {"destination": "{email}"},
        }
    )
    authorities = Authorities()
    suppression = load_suppression(contacts.suppress, contacts, authorities)
    screener = Screener(
        contacts, campaign="c", wave=None, carrier=Carrier(), authorities=authorities, suppression=suppression
    )
    return Counter(status or "pending" for status in screener.screen(batch(name)).contacts["status"])


@pytest.mark.parametrize(
    ("name", "suppress", "counts"),
    [
        ("contacts.csv", False, {"pending": 533, "invalid": 39, "duplicate": 16, "suppressed": 12}),
        ("contacts.csv", True, {"pending": 525, "invalid": 39, "duplicate": 16, "suppressed": 20}),
        ("contacts.parquet", False, {"pending": 533, "invalid": 37, "duplicate": 16, "suppressed": 12}),
        ("contacts.parquet", True, {"pending": 525, "invalid": 37, "duplicate": 16, "suppressed": 20}),
    ],
)
def test_their_statuses(name: str, suppress: bool, counts: dict[str, int]) -> None:
    assert statuses(name, [ROOT / "samples/do-not-contact.csv"] if suppress else []) == counts
