"""What the thirteen operations do: sessions, campaigns, contacts, codes, and the account at /state."""

import uuid
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest
from simulator.soap_client import CAMPAIGN, CONTACT, SoapClient, wait_until, wrapped

from pipeline.simulator import Campaign, Codes, OncSettings, RunningSimulator, Simulator

Client = Callable[..., SoapClient]
OTHER = "33333333-3333-4333-8333-333333333333"
ZERO = "00000000-0000-0000-0000-000000000000"


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def timed(client: Client, clock: Clock) -> Client:
    """A client of a simulator that lives by the test's clock."""

    def start(**settings: Any) -> SoapClient:
        return client(Simulator(OncSettings(**settings), clock=clock))

    return start


def listed(soap: SoapClient) -> list[str | None] | None:
    result = soap.call("GetCampaignContactsListing", f"<campaignId>{CAMPAIGN}</campaignId>")
    assert result is not None
    return None if result.attrib else [child.text for child in result]


# --- sessions ---


def test_every_call_starts_the_idle_time_anew(timed: Client, clock: Clock) -> None:
    soap = timed(idle_limit=1200.0)
    for operation in ("GetCampaignListing", "GetCampaigns", "GetCampaignContactsListing") * 2:
        clock.now += 1200.0
        result = soap.call(operation, f"<campaignId>{CAMPAIGN}</campaignId>")
        assert result is not None
        assert not result.attrib
    clock.now += 1200.1
    assert soap.add() == 101
    assert soap.add() == 101
    state = soap.server.state()
    assert state["sessions"]["expired"] == 1
    assert state["sessions"]["open"] == 0
    assert state["bad_session"] == 2
    assert state["adds"] == state["adds"] | {"received": 2, "stored": 0, "refused": 2}


def test_a_session_ends_after_so_many_calls(client: Client) -> None:
    soap = client(expire_after_calls=3)
    assert [soap.add(contact_id=str(uuid.uuid4())) for _ in range(5)] == [0, 0, 0, 101, 101]
    assert soap.open() == 0
    assert soap.add() == 0
    assert soap.server.state()["sessions"]["expired"] == 1


def test_a_closed_session_is_gone(client: Client) -> None:
    soap = client()
    assert soap.close() == 0
    assert soap.close() == 101
    assert soap.add() == 101
    assert soap.server.state()["sessions"] == {
        "logins": 1,
        "opened": 1,
        "closed": 1,
        "expired": 0,
        "refused": 0,
        "open": 0,
        "max_concurrent_calls": 1,
    }


def test_only_so_many_sessions_at_once(timed: Client, clock: Clock) -> None:
    soap = timed(session_cap=2, idle_limit=60)
    first = soap.session
    clock.now += 30
    assert soap.open() == 0
    assert soap.open() == 103
    assert soap.session == ""
    clock.now += 31
    assert soap.open() == 0, "the first one has been idle for too long"
    soap.session = first
    assert soap.close() == 101
    assert soap.server.state()["sessions"] == soap.server.state()["sessions"] | {
        "refused": 1,
        "opened": 3,
        "expired": 1,
    }


@pytest.mark.parametrize("wrong", ["account", "username", "password"])
def test_credentials_are_checked(wrong: str, client: Client) -> None:
    soap = client()
    assert soap.open(**{wrong: "wrong"}) == 102
    assert soap.session == ""


def test_all_sessions_can_be_ended(client: Client) -> None:
    soap = client()
    soap.http.post(soap.server.origin + "/control", json={"expire_sessions": True})
    assert soap.add() == 101
    assert soap.server.state()["sessions"]["expired"] == 1


def test_the_clock_can_be_advanced(client: Client) -> None:
    soap = client()
    soap.server.control(advance=1199)
    assert soap.add() == 0
    soap.server.control(advance=1201)
    assert soap.add() == 101


def test_calls_at_once_on_one_session_are_seen(client: Client, resources: ExitStack) -> None:
    soap = client()
    soap.server.control(latency=3600)
    for _ in range(3):
        inner = f"<sessionId>{soap.session}</sessionId>{soap.contact()}"
        resources.enter_context(soap.send_raw("AddCampaignContact", inner))
    wait_until(lambda: soap.server.state()["calls"].get("AddCampaignContact", 0) == 3)
    # The calls wait for the latency and hold on to the session meanwhile.
    assert soap.server.state()["sessions"]["max_concurrent_calls"] == 3


def test_one_after_the_other_is_not_at_once(client: Client) -> None:
    soap = client()
    for _ in range(20):
        soap.add()
    assert soap.server.state()["sessions"]["max_concurrent_calls"] == 1


# --- contacts ---


def test_the_callers_status_is_ignored(client: Client) -> None:
    soap = client()
    assert soap.add() == 0
    assert soap.add(contact_id=OTHER, destination=" ") == 0
    first, second = soap.server.contacts()
    assert first == {
        "id": CONTACT,
        "sms": {"destination": "+15550100", "text": "Hello", "status": 1, "last_error": 0, "retry_count": 3},
        "voice": None,
        "email": None,
    }
    assert (second["sms"]["destination"], second["sms"]["status"]) == (" ", 0)


@pytest.mark.parametrize(("retries", "code"), [(-1, 204), (0, 0), (255, 0), (256, 204)])
def test_retry_count_has_a_range(retries: int, code: int, client: Client) -> None:
    soap = client()
    assert soap.add(retries=retries) == code
    assert len(soap.server.contacts()) == (code == 0)


def test_the_same_id_twice_is_two_contacts(client: Client) -> None:
    soap = client()
    assert [soap.add(), soap.add(destination="+15550199"), soap.add()] == [0, 0, 0]
    assert listed(soap) == [CONTACT] * 3
    assert [each["sms"]["destination"] for each in soap.server.contacts()] == ["+15550100", "+15550199", "+15550100"]
    assert soap.server.state()["adds"] == soap.server.state()["adds"] | {"stored": 3, "duplicates": 2}
    delete = f"<campaignId>{CAMPAIGN}</campaignId><contactId>{CONTACT}</contactId>"
    assert [soap.code("DeleteCampaignContact", delete) for _ in range(4)] == [0, 0, 0, 202]
    assert soap.server.state()["campaigns"][CAMPAIGN]["contacts"] == 0
    assert listed(soap) == []


def test_the_same_id_twice_may_be_refused(client: Client) -> None:
    soap = client(duplicate_ids="refuse")
    assert [soap.add(), soap.add()] == [0, 203]
    assert listed(soap) == [CONTACT]
    assert soap.server.refused() == [{"campaign": CAMPAIGN, "contact": CONTACT, "code": 203}]


def test_without_an_id_the_service_makes_one(client: Client) -> None:
    soap = client()
    assert soap.add(contact_id=ZERO) == 0
    assert soap.add(f"<a:CampaignId>{CAMPAIGN}</a:CampaignId>") == 0
    ids = {each["id"] for each in soap.server.contacts()}
    assert len(ids) == 2
    assert ZERO not in ids


def test_the_service_may_keep_ids_of_its_own(client: Client) -> None:
    soap = client(own_ids=True)
    assert [soap.add(), soap.add()] == [0, 0]
    ids = {each["id"] for each in soap.server.contacts()}
    assert len(ids) == 2
    assert CONTACT not in ids
    assert listed(soap) == [each["id"] for each in soap.server.contacts()]


def test_an_unknown_campaign_and_a_missing_contact_are_refused(client: Client) -> None:
    soap = client()
    assert soap.add(campaign=OTHER) == 201
    assert soap.code("AddCampaignContact", "") == 204
    assert soap.code("AddCampaignContact", '<contact i:nil="true"/>') == 204
    assert soap.server.state()["adds"]["by_code"] == {"201": 1, "204": 2}


def test_destinations_are_refused_by_pattern(client: Client) -> None:
    soap = client(refuse={"^\\+1555": None, "99$": 77})
    assert soap.add(destination="+15550100") == 301
    assert soap.add(destination="+4930099") == 77
    assert soap.add(destination="+4930098", contact_id=OTHER) == 0
    assert [each["code"] for each in soap.server.refused()] == [301, 77]
    lines = soap.http.get(soap.server.origin + "/state?refused").text.splitlines()
    assert len(lines) == 2
    assert [each["id"] for each in soap.server.contacts()] == [OTHER]
    assert soap.server.state()["adds"] == soap.server.state()["adds"] | {"accepted": 1, "refused": 2, "stored": 1}


def test_one_code_for_everything(client: Client) -> None:
    soap = client(codes=Codes.all(1), refuse={"99$": None}, session_cap=1)
    answers = [soap.add(destination="99"), soap.add(campaign=OTHER), soap.add(retries=999)]
    assert answers == [1, 1, 1]
    assert soap.open() == 1
    assert soap.add() == 1


def test_an_update_keeps_what_the_service_alone_sets(client: Client) -> None:
    soap = client()
    soap.add()
    changed = soap.contact(destination="+15550199", retries=9)
    assert soap.code("UpdateCampaignContact", changed) == 0
    sms = soap.server.contacts()[0]["sms"]
    assert sms == {"destination": "+15550199", "text": "Hello", "status": 1, "last_error": 0, "retry_count": 9}
    assert soap.code("UpdateCampaignContact", soap.contact(contact_id=OTHER)) == 202
    assert soap.code("UpdateCampaignContact", soap.contact(campaign=OTHER)) == 201
    assert soap.code("UpdateCampaignContact", soap.contact(retries=256)) == 204
    assert soap.code("UpdateCampaignContact", "") == 204
    assert soap.server.state()["adds"]["received"] == 1


def test_contacts_show_up_in_lists_later(timed: Client, clock: Clock) -> None:
    soap = timed(listing_lag=30.0)
    soap.add()
    clock.now += 20
    soap.add(contact_id=OTHER)
    assert listed(soap) == []
    assert len(soap.server.contacts()) == 2
    clock.now += 10
    assert listed(soap) == [CONTACT]
    clock.now += 20
    assert listed(soap) == [CONTACT, OTHER]


# --- campaigns ---


def test_campaigns_and_contacts_that_exist_at_start(client: Client) -> None:
    soap = client(campaigns=(Campaign(CAMPAIGN, "One", contacts=3), Campaign(OTHER, "Two", paused=True)))
    assert soap.server.state()["campaigns"] == {
        CAMPAIGN: {"name": "One", "contacts": 3},
        OTHER: {"name": "Two", "contacts": 0},
    }
    assert len(set(listed(soap) or [])) == 3
    assert soap.server.state()["adds"]["stored"] == 0
    assert soap.http.get(soap.server.origin + "/state", params={"contacts": ZERO}).status_code == 404


def test_campaigns_are_added_updated_and_deleted(client: Client) -> None:
    soap = client(campaigns=())
    assert soap.code("AddCampaign", f"<campaign><a:ID>{OTHER}</a:ID><a:ShortName>x</a:ShortName></campaign>") == 0
    assert soap.code("AddCampaign", f"<campaign><a:ID>{OTHER}</a:ID></campaign>") == 203
    assert soap.code("AddCampaign", "<campaign/>") == 0
    assert soap.code("AddCampaign", "") == 204
    assert len(soap.server.state()["campaigns"]) == 2
    soap.add(campaign=OTHER)
    assert soap.code("UpdateCampaign", f"<campaign><a:ID>{OTHER}</a:ID></campaign>") == 0
    assert soap.server.state()["campaigns"][OTHER] == {"name": None, "contacts": 1}
    assert soap.code("UpdateCampaign", f"<campaign><a:ID>{CAMPAIGN}</a:ID></campaign>") == 201
    assert soap.code("UpdateCampaign", "") == 204
    assert soap.code("DeleteCampaign", f"<campaignId>{OTHER}</campaignId>") == 0
    assert soap.code("DeleteCampaign", f"<campaignId>{OTHER}</campaignId>") == 201
    assert (
        soap.code("DeleteCampaignContact", f"<campaignId>{OTHER}</campaignId><contactId>{CONTACT}</contactId>") == 201
    )
    assert soap.add(campaign=OTHER) == 201


# --- the account ---


def test_the_state_over_http_is_the_state(client: Client, serve: Callable[..., RunningSimulator]) -> None:
    soap = client()
    soap.add()
    origin = soap.server.origin
    assert soap.http.get(origin + "/state").json() == soap.server.state()
    (line,) = soap.http.get(origin + "/state", params={"contacts": CAMPAIGN}).text.splitlines()
    assert CONTACT in line
    assert soap.http.get(origin + "/state?swallowed").text == ""
    assert serve().state()["calls"] == {}, "another simulator knows nothing of it"
    assert wrapped("x") in soap.request("AddCampaignContact", wrapped("x"))[1].decode()
