"""Genesys Web Services, as the suite needs it described."""

import base64
from collections.abc import Iterator
from contextlib import contextmanager

from conformance.line import Purpose
from conformance.system import MAPPING, REFUSED, Service, System, Wants
from loopback import Asked

from pipeline.simulator import Fault, GenesysSettings, running

#: As many as sessions are ever wanted at once.
USERS = {f"GENESYS_TEST_USER_{number}": f"planted-agent-{60 + number}" for number in range(8)}
PASSWORD = "planted-password-69"


@contextmanager
def _serve(wants: Wants) -> Iterator[Service]:
    settings = GenesysSettings(
        users=dict.fromkeys(USERS.values(), "another" if wants.wrong_credentials else PASSWORD),
        expire_after_calls=wants.expire_after,
        refuse={f"{REFUSED}$": None} if wants.refuse else {},
        faults=(Fault("busy", every=9),) if wants.transient else (),
    )
    with running(settings) as server:
        yield Service.simulated(server, held=lambda: [record["phoneNumber"] for record in server.rows()])


def _purpose(asked: Asked) -> Purpose:
    if asked.method == "GET":  # the first call brings the cookie, and any other proves the session
        return "other" if "cookie" in asked.headers else "login"
    purposes: dict[str, Purpose] = {
        "StartContactCenterSession": "open",
        "EndContactCenterSession": "close",
        "AddRecord": "row",
    }
    return next((purpose for name, purpose in purposes.items() if f'"{name}"'.encode() in asked.body), "other")


GENESYS = System(
    name="genesys",
    serve=_serve,
    target=f"""
system = "genesys"
endpoint = "{{origin}}"
campaign_name = "Spring"
calling_list = "List 1"
users = [
{"".join(f'{{ username = {{ env = "{user}" }}, password = {{ env = "GENESYS_TEST_PASSWORD" }} }},' for user in USERS)}
]
""",
    secrets={**USERS, "GENESYS_TEST_PASSWORD": PASSWORD},
    purpose_of=_purpose,
    token=r"JSESSIONID=([^;\s]+)|x-csrf-token: (\S+)",
    opening=("login", "open"),
    lookup=False,
    mapping=f"""{MAPPING}
[contacts.fields]
applicationId = "134"
phoneType = "Mobile"
timeZone = "GMT"
from = "0"
until = "86339"
devicePath = "/devices/7"
""",
    words=tuple(base64.b64encode(f"{user}:{PASSWORD}".encode()).decode() for user in USERS.values()),
)
