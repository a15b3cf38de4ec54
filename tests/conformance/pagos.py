"""Pagos SpreadsheetWEB, as the suite needs it described: with a token that is fetched."""

from collections.abc import Iterator
from contextlib import contextmanager

from conformance.line import Purpose
from conformance.system import MAPPING, REFUSED, Service, System, Wants
from loopback import Asked

from pipeline.simulator import Fault, PagosSettings, running

CLIENT, SECRET = "planted-client-71", "planted-secret-72"


@contextmanager
def _serve(wants: Wants) -> Iterator[Service]:
    settings = PagosSettings(
        token="",
        client_id=CLIENT,
        client_secret="another" if wants.wrong_credentials else SECRET,
        expire_after_calls=wants.expire_after,
        refuse={f"{REFUSED}$": None} if wants.refuse else {},
        faults=(Fault("busy", every=9),) if wants.transient else (),
    )
    with running(settings) as server:
        yield Service.simulated(server, held=lambda: [record["cells"]["Sheet1!A5"][0][0] for record in server.rows()])


def _purpose(asked: Asked) -> Purpose:
    purposes: dict[str, Purpose] = {
        "token": "login",
        "OpenDedicatedSession": "open",
        "CloseDedicatedSession": "close",
        "GetResult": "row" if b'"Save":true' in asked.body else "other",  # what saves nothing proves the session
    }
    return purposes.get(asked.path.rpartition("/")[2], "other")


PAGOS = System(
    name="pagos",
    serve=_serve,
    target="""
system = "pagos"
endpoint = "{origin}"
application_key = "a4dcfb4f0464453b928ce1d6bcfb6aa3"
token_url = "{origin}/oauth/token"
client_id = { env = "PAGOS_TEST_CLIENT" }
client_secret = { env = "PAGOS_TEST_SECRET" }
[target.messages]
transient = ["the server is busy"]
""",
    secrets={"PAGOS_TEST_CLIENT": CLIENT, "PAGOS_TEST_SECRET": SECRET},
    purpose_of=_purpose,
    token='"SessionId": "((?!0{8})[^"]+)"|"access_token": "([^"]+)"',
    opening=("login", "open"),
    lookup=False,
    codes=False,
    mapping=f'{MAPPING}\n[contacts.fields]\n"Sheet1!A5" = "{{contact.sms}}"\n',
)
