"""What `[target]` and the mapping may hold for a SpreadsheetWEB application."""

from typing import Any

import pytest
from pydantic import ValidationError

from pipeline.config import ContactsSettings
from pipeline.targets.pagos import TARGET_SETTINGS

NEEDED = {"endpoint": "https://pagos.example.com/", "application_key": "a4dc", "token": {"env": "PAGOS_TOKEN"}}
FETCHED = {"token": None, "token_url": "https://id.example.com/connect/token", "client_id": "me", "client_secret": "s"}


def make(**given: Any) -> Any:
    return TARGET_SETTINGS.model_validate({**NEEDED, **given})


def test_defaults() -> None:
    made = make()
    assert (made.system, made.record_id, made.batch, made.proof, made.client_auth) == ("pagos", True, 1, True, "body")
    assert (made.campaign, made.place, made.identity) == ("a4dc", *["https://pagos.example.com"] * 2)
    assert (made.messages.session, made.messages.transient, made.messages.duplicate) == ((), (), ())
    assert make(**FETCHED).token is None


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"token": None}, "token is missing"),
        ({**FETCHED, "token": "x"}, "token is given, and so is token_url, client_id, client_secret"),
        ({**FETCHED, "client_secret": None}, "to fetch one, set client_secret too"),
        ({"token": ""}, "is empty"),
        ({"endpoint": "pagos.example.com"}, "http or https address"),
        ({**FETCHED, "token_url": "https://me:secret@id.example.com"}, "holds a user name or password"),
        ({"application_key": ""}, "at least 1 character"),
        ({"batch": 0}, "greater than or equal to 1"),
        ({"messages": {"session": [" "]}}, "holds an empty text"),
        ({"client_auth": "none"}, "'body' or 'basic'"),
    ],
)
def test_mistakes(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        make(**given)


def mapping(**given: Any) -> ContactsSettings:
    whole = {"sms": {"destination": "{mobile}"}, "fields": {"Sheet1!A5": "{contact.sms}"}, **given}
    return ContactsSettings.model_validate(whole)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, []),
        ({"fields": {"A1": "call {mobile}"}}, []),
        ({"fields": {}}, ["contacts.fields"]),
        ({"fields": {"A1": "{name}"}}, ["contacts.sms.destination"]),
        ({"fields": {" ": "{mobile}"}}, ["contacts.fields"]),
        (
            {"sms": {"destination": "{mobile}", "text": "Hi", "retries": 1}},
            ["contacts.sms.text", "contacts.sms.retries"],
        ),
        ({"email": {"destination": "{mail}"}}, ["contacts.email.destination"]),
    ],
)
def test_what_a_record_has_no_place_for(given: dict[str, Any], expected: list[str]) -> None:
    assert [place for place, _ in make().misfits(mapping(**given))] == expected
