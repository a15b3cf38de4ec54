"""Intelliview NXT, as the suite needs it described."""

from collections.abc import Iterator
from contextlib import contextmanager

from conformance.line import Purpose
from conformance.system import Service, System, Wants
from loopback import Asked

from pipeline.simulator import IntelliviewSettings, running

COMPANY, USER, PASSWORD = "planted-company-30", "planted-user-31", "p&<ss>-ivn-32"


@contextmanager
def _serve(wants: Wants) -> Iterator[Service]:
    password = "another" if wants.wrong_credentials else PASSWORD
    with running(IntelliviewSettings(company=COMPANY, username=USER, password=password)) as server:
        yield Service.simulated(server)


def _purpose(asked: Asked) -> Purpose:
    operation = asked.headers.get("soapaction", "").strip('"').rpartition("/")[2]
    purposes: dict[str, Purpose] = {"ivnInitializeSession": "open", "ivnCloseSession": "close"}
    return purposes.get(operation, "other")


INTELLIVIEW = System(
    name="intelliview",
    serve=_serve,
    target="""
system = "intelliview"
endpoint = "{origin}/intelliview.asmx"
company = { env = "IVN_TEST_COMPANY" }
username = { env = "IVN_TEST_USER" }
password = { env = "IVN_TEST_PASSWORD" }
""",
    secrets={"IVN_TEST_COMPANY": COMPANY, "IVN_TEST_USER": USER, "IVN_TEST_PASSWORD": PASSWORD},
    purpose_of=_purpose,
    token="Token='([^']+)'",
    rows=False,
    lookup=False,
    proves=False,
)
