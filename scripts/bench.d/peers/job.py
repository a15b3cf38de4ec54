"""What the scripts in Python share: the job that they are given, a row's message, the answer, and the account of it."""

import csv
import json
import re
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

#: What to do, as the rig has written it: list, results, url, action, token, campaign, wsdl, connections, envelope.
JOB: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))

HEADERS = {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": JOB["action"]}

Person = dict[str, str]


def people() -> Iterator[Person]:
    """The rows, each with an id and with numbers as they are sent."""
    with Path(JOB["list"]).open(encoding="utf-8", newline="") as file:
        for person in csv.DictReader(file):
            person["contact_id"] = str(uuid.uuid4())
            person["mobile"] = "+1" + re.sub(r"\D", "", person["mobile"])
            yield person


def envelope(person: Person) -> bytes:
    """The message of a row."""
    values = {name: escape(value) for name, value in person.items()}
    return JOB["envelope"].format(token=JOB["token"], **values).encode()


def result(answer: bytes) -> str:
    """The code of an answer; raises ValueError where there is none."""
    found = ET.fromstring(answer).find(".//{http://tempuri.org/}AddCampaignContactResult")  # noqa: S314
    if found is None or found.text is None:
        raise ValueError("an answer without a result")
    return found.text


@contextmanager
def accounted() -> Iterator[TextIO]:
    """Gives the file for results, a line for each row; tells at the end how many there were and how long it took."""
    began, used = time.perf_counter(), time.process_time()
    with Path(JOB["results"]).open("w", encoding="utf-8") as file:
        yield file
    seconds, cpu = time.perf_counter() - began, time.process_time() - used
    with Path(JOB["results"]).open(encoding="utf-8") as file:
        rows = sum(line.endswith(",0\n") for line in file)
    print(json.dumps({"rows": rows, "seconds": seconds, "cpu": cpu}))
