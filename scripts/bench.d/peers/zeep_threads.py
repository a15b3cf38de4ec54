"""zeep, synchronous, in as many threads as there are connections, each with a client of its own."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import zeep
from job import JOB, Person, accounted, people

here = threading.local()
ready = threading.Barrier(JOB["connections"] + 1)


def begin() -> None:
    """Read the WSDL, once for each thread, and wait for the others."""
    client = zeep.Client(JOB["wsdl"])
    (name,) = client.wsdl.bindings
    here.service = client.create_service(name, JOB["url"])
    ready.wait()


def send(person: Person) -> str:
    """Send a row; gives its line of the results."""
    text = "Hi {first_name}, your appointment with us is on {appointment}. Reply STOP to opt out.".format(**person)
    contact: dict[str, Any] = {
        "CampaignId": JOB["campaign"],
        "Id": person["contact_id"],
        "SMSCommInfo": {"Destination": person["mobile"], "RetryCount": 3, "TextToSendOverwrite": text},
        "VoiceCommInfo": {"Destination": person["landline"], "RetryCount": 3},
        "EmailCommInfo": {"Destination": person["email"], "RetryCount": 3},
    }
    return f"{person['customer_id']},{here.service.AddCampaignContact(JOB['token'], contact)}\n"


with ThreadPoolExecutor(JOB["connections"], initializer=begin) as pool:
    for _ in range(JOB["connections"]):
        pool.submit(int)  # a thread begins with its first task
    ready.wait()
    with accounted() as results:
        results.writelines(pool.map(send, people()))
