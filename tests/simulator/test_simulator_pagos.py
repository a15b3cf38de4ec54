"""The simulated Pagos SpreadsheetWEB: the document's samples, tokens, dedicated sessions, saved records, batches."""

import json
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from simulator.clients import PagosClient

from pipeline.simulator import Fault, PagosSettings, Simulator, running

Open = Callable[..., PagosClient]

REQUEST = '{\n       "ApplicationKey": "a4dcfb4f0464453b928ce1d6bcfb6aa3"\n}'
SUCCESS = (
    '{\n       "SessionId": "25eae3ae-755e-4b3c-aa48-d7f096f6a2a7",\n       "Success": true,\n       "Messages": []\n}'
)
INVALID_TOKEN = (
    '{\n       "SessionId": "00000000-0000-0000-0000-000000000000",\n       "Success": false,\n'
    '       "InvalidToken": true,\n       "Messages": [\n             "The requested resource is restricted and your '
    'request did not provide a valid token."\n       ]\n}'
)
INVALID_APPLICATION = (
    '{\n       "SessionId": "00000000-0000-0000-0000-000000000000",\n       "Success": false,\n'
    '       "InvalidToken": false,\n       "Messages": [\n             "The requested application is invalid."\n'
    "       ]\n}"
)
NO_SESSION = {
    "Success": False,
    "InvalidToken": False,
    "Messages": ["The dedicated session is invalid or has expired."],
}


@pytest.fixture
def client(resources: ExitStack) -> Open:
    """A client of a simulator with these settings."""

    def start(simulator: Simulator | None = None, **settings: Any) -> PagosClient:
        server = resources.enter_context(running(simulator or PagosSettings(**settings)))
        made = PagosClient(server)
        resources.callback(made.http.close)
        return made

    return start


@pytest.mark.parametrize(
    ("token", "body", "answered"),
    [
        ("Bearer Do3l_2l3uLdmYX76u-BufLzuuhFPOE-nRZDyU0adiFk1", REQUEST, SUCCESS),
        ("Bearer another", REQUEST, INVALID_TOKEN),
        (None, REQUEST, INVALID_TOKEN),
        ("Bearer Do3l_2l3uLdmYX76u-BufLzuuhFPOE-nRZDyU0adiFk1", REQUEST.replace("a4d", "a4e"), INVALID_APPLICATION),
    ],
)
def test_the_samples_of_the_document(token: str | None, body: str, answered: str, client: Open) -> None:
    made = client()
    headers = {"Content-Type": "application/json", **({"Authorization": token} if token else {})}
    address = f"{made.server.url}/Api/Applications/OpenDedicatedSession"
    answer = made.http.post(address, content=body, headers=headers)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-cache, no-store"
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert answer.json() == json.loads(answered)
    state = made.server.state()["sessions"]
    assert (state["logins"], state["opened"], state["refused"]) == (1, answered == SUCCESS, answered != SUCCESS)


# --- tokens ---


def test_a_token_for_credentials(client: Open) -> None:
    now = [0.0]
    made = client(Simulator(PagosSettings(token="", token_life=60), clock=lambda: now[0]))
    assert made.open()["InvalidToken"] is True
    answer = made.login()
    assert answer.status_code == 200
    assert answer.json() == {"access_token": made.token, "token_type": "Bearer", "expires_in": 60}
    assert made.open()["Success"] is True
    now[0] = 60
    assert made.save()["InvalidToken"] is True
    made.login()
    assert made.save()["Success"] is True
    assert made.server.state()["tokens_given"] == 2
    assert made.server.state()["invalid_tokens"] == 2


def test_tokens_become_invalid(client: Open) -> None:
    made = client(token_calls=3)
    made.open()
    assert [made.save()["Success"] for _ in range(3)] == [True, True, False]
    made.login()
    assert made.save()["Success"] is True, "the session does not end with the token"
    made.server.control(revoke_tokens=True)
    assert made.save() == {"Success": False, "InvalidToken": True, "Messages": json.loads(INVALID_TOKEN)["Messages"]}
    assert made.server.state()["adds"]["refused"] == 2


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({"client_secret": "wrong"}, "invalid_client"),
        ({"client_id": "wrong"}, "invalid_client"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
    ],
)
def test_bad_requests_for_a_token(form: dict[str, str], error: str, client: Open) -> None:
    answer = client().login(**form)
    assert (answer.status_code, answer.json()) == (400, {"error": error})


def test_a_client_is_blocked_after_bad_logins(client: Open) -> None:
    made = client(block_after=2)
    for _ in range(2):
        assert made.login(client_secret="wrong").json() == {"error": "invalid_client"}
        assert made.login(client_id="other", client_secret="wrong").status_code == 400
    answer = made.login()
    assert answer.status_code == 400
    assert "blocked" in answer.json()["error_description"]
    state = made.server.state()
    assert (state["bad_logins"], state["blocked"], state["tokens_given"]) == (4, ["client", "other"], 0)


def test_a_good_login_forgives_bad_ones(client: Open) -> None:
    made = client(block_after=2)
    statuses = [made.login(client_secret=each).status_code for each in ("wrong", "secret", "wrong", "secret")]
    assert statuses == [400, 200, 400, 200]


# --- sessions ---


def test_a_session_is_opened_used_and_closed(client: Open) -> None:
    made = client()
    made.open()
    assert made.save()["Success"] is True
    assert made.post("CloseDedicatedSession") == {"Success": True, "Messages": []}
    assert made.post("CloseDedicatedSession") == NO_SESSION
    assert made.save() == NO_SESSION
    made.session = "made up"
    assert made.save() == NO_SESSION
    state = made.server.state()
    assert state["sessions"] == state["sessions"] | {"opened": 1, "closed": 1, "open": 0, "expired": 0}
    assert state["bad_session"] == 3


def test_sessions_expire(client: Open) -> None:
    made = client(session_cap=1, session_message="Gone.")
    made.open()
    made.server.control(advance=1199)
    assert made.save()["Success"] is True
    assert made.post("OpenDedicatedSession")["Messages"] == ["There are too many dedicated sessions."]
    made.server.control(advance=1201)
    assert made.save()["Messages"] == ["Gone."]
    made.open()
    made.server.control(faults=[{"kind": "expire", "every": 2}])
    assert [made.save()["Success"] for _ in range(3)] == [True, False, False]


# --- records ---


def test_a_record_is_saved_as_it_was_sent(client: Open) -> None:
    made = client()
    made.open()
    assert made.save("r1") == {"RecordId": "r1", "Outputs": [], "Success": True, "Messages": []}
    assert made.server.rows() == [{"id": "r1", "session": made.session, "cells": {"Sheet1!A5": [["+15550100"]]}}]
    state = made.server.state()
    assert state["adds"] == state["adds"] | {"received": 1, "stored": 1, "accepted": 1, "by_code": {"0": 1}}


@pytest.mark.parametrize(("habit", "values"), [("replace", ["2"]), ("add", ["1", "2"]), ("refuse", ["1"])])
def test_a_record_id_that_is_taken(habit: str, values: list[str], client: Open) -> None:
    made = client(taken_record=habit)
    made.open()
    answers = [made.save("r1", "1")["Success"], made.save("r1", "2")["Success"]]
    assert answers == [True, habit != "refuse"]
    assert [row["cells"]["Sheet1!A5"] for row in made.server.rows()] == [[[each]] for each in values]


@pytest.mark.parametrize("given", [None, "", "00000000-0000-0000-0000-000000000000"])
def test_a_record_without_an_id_gets_one(given: str | None, client: Open) -> None:
    made = client()
    made.open()
    saved = {**made.inputs(), "SaveInformation": {"Save": True, "RecordId": given}}
    ids = {made.post("GetResult", **saved)["RecordId"] for _ in range(2)}
    assert ids == {row["id"] for row in made.server.rows()}
    assert len(ids) == 2
    made.server.control(own_ids=True)
    assert made.save("r1")["RecordId"] != "r1"


def test_what_is_not_saved_is_not_there(client: Open) -> None:
    made = client()
    made.open()
    for saving in ({"Save": False, "RecordId": "r1"}, None):
        answer = made.post("GetResult", **{**made.inputs(), "SaveInformation": saving})
        assert answer["Success"] is True
    assert made.server.rows() == []


def test_refusals(client: Open) -> None:
    made = client(refuse={"00$": None, "19$": "Number 19 is bad."})
    made.open()
    assert made.save("r1", "100")["Messages"] == ["The values are not valid."]
    assert made.save("r2", "19")["Messages"] == ["Number 19 is bad."]
    assert made.save("r3", "18")["Success"] is True
    assert made.server.refused() == [
        {"campaign": made.key, "contact": "r1", "code": "The values are not valid."},
        {"campaign": made.key, "contact": "r2", "code": "Number 19 is bad."},
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"Inputs": None},
        {"Inputs": ["Sheet1!A5"]},
        {"Inputs": [{"Value": [[{"Value": "x"}]]}]},
        {"Inputs": [{"Ref": "Sheet1!A5", "Value": "x"}]},
        {"Inputs": [{"Ref": "Sheet1!A5", "Value": [["x"]]}]},
        {"Inputs": [{"Ref": "Sheet1!A5", "Value": [[{"Value": 5}]]}]},
        {"Inputs": [{"Ref": "Sheet1!A6", "Value": [[{"Value": "x"}]]}]},
        {"Outputs": None},
        {"SaveInformation": "yes"},
        {"SaveInformation": {"Save": True, "RecordId": 5}},
        {"ApplicationKey": "another"},
    ],
)
def test_results_that_cannot_be(change: dict[str, Any], client: Open) -> None:
    made = client(refs=frozenset({"Sheet1!A5"}))
    made.open()
    answer = made.post("GetResult", **{**made.inputs(), **change})
    assert answer["Success"] is False
    assert answer["InvalidToken"] is False
    assert len(answer["Messages"]) == 1
    assert made.server.rows() == []


# --- batches ---


def batch(made: PagosClient, values: list[str], **outer: Any) -> Any:
    requests = [{"Id": number, "Request": made.inputs(f"r{number}", each)} for number, each in enumerate(values, 1)]
    return made.post("GetBatchResults", Requests=requests, **outer)


@pytest.mark.parametrize(
    ("settings", "ids"),
    [({}, [1, 2, 3]), ({"batch_order": "reversed"}, [3, 2, 1]), ({"batch_lost": 2}, [1, 3])],
)
def test_a_batch_is_answered_by_id(settings: dict[str, Any], ids: list[int], client: Open) -> None:
    made = client(refuse={"^2$": None}, **settings)
    made.open()
    answer = batch(made, ["1", "2", "3"])
    assert (answer["Success"], answer["Messages"]) == (True, [])
    assert [each["Id"] for each in answer["Results"]] == ids
    assert all(each["Result"]["Success"] == (each["Id"] != 2) for each in answer["Results"])
    assert [row["id"] for row in made.server.rows()] == ["r1", "r3"]
    state = made.server.state()
    assert state["adds"] == state["adds"] | {"received": 3, "stored": 2, "accepted": 2, "refused": 1}
    assert state["calls"]["GetBatchResults"] == 1


def test_key_and_session_may_stand_in_each_request(client: Open) -> None:
    made = client(batch_list="Responses", batch_item="")
    made.open()
    whole = {"ApplicationKey": made.key, "SessionId": made.session, **made.inputs("r1")}
    body = {"Requests": [{"Id": "a", "Request": whole}, {"Id": "b", "Request": {**whole, "SessionId": "x"}}]}
    answer = made.send(made.request("GetBatchResults", body)).json()
    assert [(each["Id"], each["Success"]) for each in answer["Responses"]] == [("a", True), ("b", False)]


@pytest.mark.parametrize(
    "requests",
    [None, [], ["r1"], [{"Id": 1}], [{"Request": {}}], [{"Id": 1, "Request": {}}, {"Id": 1, "Request": {}}]],
)
def test_batches_that_cannot_be(requests: Any, client: Open) -> None:
    made = client()
    made.open()
    assert made.post("GetBatchResults", Requests=requests)["Success"] is False
    assert made.server.rows() == []


def test_a_lost_batch_swallows_all_of_it(client: Open) -> None:
    made = client(faults=(Fault("cut_answer", operation="GetBatchResults"),))
    made.open()
    with pytest.raises(httpx.RemoteProtocolError):
        batch(made, ["1", "2"])
    assert [each["contact"] for each in made.server.swallowed()] == ["r1", "r2"]


def test_a_batch_at_a_bad_time(client: Open) -> None:
    made = client(faults=(Fault("busy", operation="GetBatchResults"),), busy_message="Later.")
    made.open()
    assert batch(made, ["1", "2"])["Messages"] == ["Later."]
    made.server.control(revoke_tokens=True)
    assert batch(made, ["1", "2"])["InvalidToken"] is True
    assert made.server.state()["adds"]["refused"] == 4


# --- the rest ---


def test_requests_that_are_no_calls(client: Open) -> None:
    made = client(max_request_bytes=100)
    address = f"{made.server.url}/Api/Applications/GetResult"
    headers = {"Authorization": f"Bearer {made.token}", "Content-Type": "application/json"}
    for content in (b"{", b"[]"):
        answer = made.http.post(address, content=content, headers=headers)
        assert (answer.status_code, answer.json()["Success"]) == (200, False)
    answer = made.http.post(address, content=b"{}", headers=headers | {"Content-Type": "text/plain"})
    assert answer.json()["Messages"] == ["The content type must be application/json."]
    assert made.http.post(address, content=b" " * 101, headers=headers).status_code == 413
    assert made.http.get(address).status_code == 405
    assert made.server.state()["rejected"] == {"unreadable": 3, "413": 1, "405": 1}


def test_it_may_stand_elsewhere(client: Open) -> None:
    made = client(prefix="/app", token_path="/app/token")
    assert made.server.url == made.server.origin + "/app"
    assert made.open()["Success"] is True
    form = {"grant_type": "client_credentials", "client_id": "client", "client_secret": "secret"}
    assert made.http.post(made.server.origin + "/app/token", data=form).status_code == 200
    assert made.http.post(made.server.origin + "/app/token", json=form).status_code == 400


@pytest.mark.parametrize(
    "settings",
    [
        {"batch_order": "random"},
        {"taken_record": "maybe"},
        {"refuse": {"(": None}},
        {"prefix": "app/"},
        {"token_path": "token"},
        {"faults": (Fault("incomplete"),)},
        {"token_path": "/state"},
    ],
)
def test_settings_that_make_no_sense(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        Simulator(PagosSettings(**settings))
