"""What screening costs a row: whole, and with one thing after another left out.

Batches are made in memory and screened in one thread; only the screening is timed, in seconds of the processor. Whether
a phone or an address is one is not asked: a stand-in says yes at once, so that what is measured is everything else.
`--real` asks the authorities. The variants take turns, a batch each, so that whatever else the machine does weighs on
all of them; each is told as rows a second and as microseconds a row.
"""

import argparse
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import process_time
from typing import Any

os.environ.setdefault("POLARS_MAX_THREADS", "1")

import polars as pl

from pipeline.config import ContactsSettings
from pipeline.records import Batch
from pipeline.stages.destinations.authorities import VERDICTS, Authorities
from pipeline.stages.screen import Screener, load_suppression
from pipeline.targets.soap.template import FORBIDDEN

BATCH = 8192

MAPPING: dict[str, Any] = {
    "key": ["customer_id"],
    "region": "CA",
    "unique": "key",
    "sms": {
        "destination": "{mobile}",
        "text": "Hi {first_name}, see you on {appointment}.",
        "when": {"column": "sms_opt_in", "in": ["yes", "1", "true"]},
    },
    "email": {"destination": "{email}"},
}

#: What is left out or put in, in comparison with the whole.
VARIANTS: dict[str, dict[str, Any]] = {
    "whole": {},
    "unique = none": {"unique": "none"},
    "unique = destination": {"unique": "destination"},
    "key from destinations": {"key": []},
    "no text": {"sms": {**MAPPING["sms"], "text": None}},
    "no consent": {"sms": {**MAPPING["sms"], "when": None}},
    "no e-mail": {"email": None},
    "where": {"where": {"column": "segment", "in": ["a", "b"]}},
    "no lists": {"suppress": []},
}


class Carrier:
    """Carries what XML carries, and texts of any length."""

    forbidden = FORBIDDEN

    def unfit(self, contacts: pl.DataFrame) -> pl.Series:
        """Nothing is."""
        return pl.Series([None], dtype=pl.String).new_from_index(0, contacts.height)


class Obliging(Authorities):
    """Takes everything for a destination."""

    def phones(self, texts: pl.Series, region: str | None, *, remember: bool = True) -> pl.DataFrame:
        """A number with its country code in front."""
        return self._all("+1" + texts)

    def mails(self, texts: pl.Series, *, remember: bool = True) -> pl.DataFrame:
        """An address as it is."""
        return self._all(texts)

    def _all(self, values: pl.Series) -> pl.DataFrame:
        nothing = pl.Series([None], dtype=pl.String).new_from_index(0, len(values))
        no = pl.Series([False], dtype=pl.Boolean).new_from_index(0, len(values))
        return pl.DataFrame({"value": values, "fault": nothing, "landline": no, "remark": nothing}, schema=VERDICTS)


def batches(rows: int, repeats: int) -> Iterator[Batch]:
    """So many rows, of which one in `repeats` has the key and the destinations of an earlier one."""
    for start in range(0, rows, BATCH):
        height = min(BATCH, rows - start)
        number = pl.int_range(start, start + height, dtype=pl.Int64)
        # Scattered as ids are that were not handed out for this list.
        person = (
            pl.when(number % repeats == repeats - 1).then(number // 2).otherwise(number) * 7_368_787 % 9_999_999_967
        )
        frame = pl.select(
            customer_id=pl.format("C{}", person),
            first_name=pl.format("Name{}", person % 5000),
            last_name=pl.format("Surname{}", person % 70_000),
            mobile=(2_000_000_000 + person % 7_999_999_999).cast(pl.String),
            email=pl.format("person.{}@example{}.com", person, person % 100),
            sms_opt_in=pl.when(person % 50 == 0).then(pl.lit("no")).otherwise(pl.lit("yes")),
            appointment=pl.format("2026-11-{}", person % 28 + 1),
            segment=pl.when(person % 2 == 0).then(pl.lit("A")).otherwise(pl.lit("B")),
        )
        lines = pl.int_range(start + 2, start + height + 2, dtype=pl.UInt64, eager=True)
        yield Batch("list.csv", start, start + 1, frame, lines, pl.repeat(None, height, dtype=pl.String, eager=True))


def screener(variant: str, suppress: Path, *, real: bool) -> Screener:
    """One walk's screener."""
    contacts = ContactsSettings.model_validate({**MAPPING, "suppress": [suppress], **VARIANTS[variant]})
    authorities = Authorities() if real else Obliging()
    return Screener(
        contacts,
        campaign="7c9e6679-7425-40de-944b-e07fc1f90ae7",
        wave=None,
        carrier=Carrier(),
        authorities=authorities,
        suppression=load_suppression(contacts.suppress, contacts, authorities),
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="scripts/bench screen", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of the list (%(default)s)")
    parser.add_argument("--repeats", type=int, default=100, help="one row in so many repeats another (%(default)s)")
    parser.add_argument("--listed", type=int, default=100_000, help="entries of the do-not-contact list (%(default)s)")
    parser.add_argument("--only", action="append", metavar="VARIANT", help="measure this one alone (repeatable)")
    parser.add_argument("--real", action="store_true", help="ask the authorities on phones and mail addresses")
    options = parser.parse_args()
    chosen = options.only or list(VARIANTS)
    with tempfile.TemporaryDirectory() as directory:
        suppress = Path(directory) / "do-not-contact.txt"
        suppress.write_text("".join(f"{3_000_000_000 + 7 * number}\n" for number in range(options.listed)))
        began = process_time()
        walks = {name: screener(name, suppress, real=options.real) for name in chosen}
        loaded = (process_time() - began) / max(1, len(chosen))
    spent = dict.fromkeys(chosen, 0.0)
    for batch in batches(options.rows, options.repeats):
        for name, walk in walks.items():
            began = process_time()
            walk.screen(batch)
            spent[name] += process_time() - began
    print(f"{options.rows:,} rows; {options.listed:,} entries of a do-not-contact list, read in {loaded:.2f} s")
    print(f"{'':<24}{'rows/s':>12}{'µs/row':>9}{'to the whole':>14}")
    for name in chosen:
        each = spent[name] / options.rows * 1e6
        beside = f"{each - spent['whole'] / options.rows * 1e6:+.2f}" if "whole" in spent and name != "whole" else ""
        print(f"{name:<24}{options.rows / spent[name]:>12,.0f}{each:>9.2f}{beside:>14}")


if __name__ == "__main__":
    main()
