"""ONC, as the suite needs it described."""

from collections.abc import Iterator
from contextlib import contextmanager

from conformance.line import Purpose
from conformance.system import REFUSED, Service, System, Wants
from loopback import Asked

from pipeline.simulator import Codes, Fault, OncSettings, running

ACCOUNT, USER, PASSWORD = "planted-account-41", "planted-user-42", "planted-password-43"


@contextmanager
def _serve(wants: Wants) -> Iterator[Service]:
    settings = OncSettings(
        account=ACCOUNT,
        username=USER,
        password="another" if wants.wrong_credentials else PASSWORD,
        expire_after_calls=wants.expire_after,
        refuse={f"{REFUSED}$": None} if wants.refuse else {},
        faults=(Fault("busy", every=9),) if wants.transient else (),
    )
    with running(settings) as server:
        yield Service.simulated(server, held=lambda: [contact["sms"]["destination"] for contact in server.contacts()])


def _purpose(asked: Asked) -> Purpose:
    operation = asked.headers.get("soapaction", "").strip('"').rpartition("/")[2]
    purposes: dict[str, Purpose] = {"OpenAPISession": "open", "CloseAPISession": "close", "AddCampaignContact": "row"}
    return purposes.get(operation, "other")


ONC = System(
    name="onc",
    serve=_serve,
    target=f"""
system = "onc"
endpoint = "{{origin}}/onc.svc"
account_id = {{ env = "ONC_TEST_ACCOUNT" }}
username = {{ env = "ONC_TEST_USER" }}
password = {{ env = "ONC_TEST_PASSWORD" }}
campaign_id = "11111111-1111-4111-8111-111111111111"
[target.codes]
transient = [{Codes().busy}]
""",
    secrets={"ONC_TEST_ACCOUNT": ACCOUNT, "ONC_TEST_USER": USER, "ONC_TEST_PASSWORD": PASSWORD},
    purpose_of=_purpose,
    token="SessionId>([^<]+)<",
)
