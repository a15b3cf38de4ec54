"""A list with mistakes of every kind, and a person who mends them in resubmit.csv."""

import csv
from pathlib import Path
from typing import Final

from pipeline.simulator import RunningSimulator

#: Eight people. A service that refuses numbers that end in 77 accepts 0001 and 0008 at first.
FAULTS: Final = """\
customer_id;first_name;mobile;email
0001;Ann;(416) 555-0101;
0002;Zoë;416-555-010;
0003;Ben;416-555-0103;;more
0004;Cleo
0005;=Dora;+1 416-555-0177;
0006;1-2;n/a;
0007;Fritz;4.16556E+09;
0008;'t Hooft;+1 (416) 555-0108;
0001;Ann;(416) 555-0101;
"""

#: What a person types: by key, the cells.
_TYPED: Final = {
    "0002": {"mobile": "416-555-0102"},
    "0003": {"email": ""},
    "0004": {"mobile": "'+1 416 555 0104"},
    "0005": {"mobile": "4165550105"},
    "0006": {"mobile": "'4165550106"},
    "0007": {"mobile": "+14165550107"},
}

#: The campaign in the end: texts by number.
MENDED: Final = {
    "+14165550101": "Hi Ann",
    "+14165550102": "Hi Zoë",
    "+14165550103": "Hi Ben",
    "+14165550104": "Hi Cleo",
    "+14165550105": "Hi =Dora",
    "+14165550106": "Hi 1-2",
    "+14165550107": "Hi Fritz",
    "+14165550108": "Hi 't Hooft",
}


def mend(path: Path, into: Path, delimiter: str, encoding: str = "utf-8-sig") -> None:
    """Type what is missing; all other cells, our columns too, stay as they are."""
    with path.open(newline="", encoding=encoding) as file:
        reader = csv.DictReader(file, delimiter=delimiter)
        rows = [row | _TYPED[row["customer_id"].lstrip("'")] for row in reader]
    assert reader.fieldnames is not None
    with into.open("w", newline="", encoding=encoding) as file:
        writer = csv.DictWriter(file, reader.fieldnames, delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)


def people(service: RunningSimulator) -> dict[str, str]:
    """The texts that a campaign's contacts get, by number; nobody stands in it twice."""
    held = [contact["sms"] for contact in service.contacts() if contact.get("sms")]
    texts = {way["destination"]: way["text"] for way in held}
    assert len(texts) == len(held)
    return texts
