"""AddRecord: how a record is written, and what each code and status means for its row."""

import json
from typing import Any

import pytest
from loopback import Asked
from targets.genesys_kit import FIELDS, OK, RECORDS, Service, at_work, code, contact, settings
from targets.rest_kit import CUT, Told

from pipeline.errors import (
    AlreadyThere,
    NotDelivered,
    OutcomeUnknown,
    PipelineError,
    PutOff,
    Refused,
    SessionExpired,
    TargetUnusable,
)
from pipeline.targets.genesys import create

pytestmark = pytest.mark.anyio

NUMBER = "+15145550123"


def written(fields: dict[str, str], **target: Any) -> Any:
    """The record of a contact with these fields."""
    made = create(settings("https://gws.example.com", fields=fields, **target), None, None)
    [[body]] = made.encode(contact(*fields.values()))
    return json.loads(body)


# --- writing --------------------------------------------------------------------------------------------------


def test_a_record_with_every_field() -> None:
    more = {"chainId": "2", "referenceId": "c-1", "otherFields.GSW_ATTR": "x", "otherFields.second": "y"}
    assert written({**FIELDS, **more}) == {
        "operationName": "AddRecord",
        "applicationId": 134,
        "campaignName": "Spring",
        "callingList": "List 1",
        "phoneNumber": NUMBER,
        "phoneType": "Mobile",
        "timeZone": "GMT",
        "from": 0,
        "until": 86339,
        "devicePath": "/devices/7",
        "chainId": 2,
        "referenceId": "c-1",
        "otherFields": {"GSW_ATTR": "x", "second": "y"},
    }


def test_what_is_empty_is_left_out() -> None:
    more = {"chainId": " ", "referenceId": "", "otherFields.first": "", "otherFields.second": "y"}
    record = written({**FIELDS, **more})
    assert not {"chainId", "referenceId"} & set(record)
    assert record["otherFields"] == {"second": "y"}
    assert "otherFields" not in written({**FIELDS, "otherFields.first": ""})


@pytest.mark.parametrize("text", ['say "hi" \\ or \n\t\x00\x1f', "Zoë 🎉 \u2028", "</script>"])
def test_texts_arrive_as_they_are(text: str) -> None:
    assert written({**FIELDS, "referenceId": text})["referenceId"] == text
    assert written({**FIELDS, 'otherFields.a"b': text})["otherFields"] == {'a"b': text}
    assert written(FIELDS, campaign_name=text)["campaignName"] == text


@pytest.mark.parametrize(
    ("text", "number"), [("007", 7), (" 12 ", 12), ("-1", -1), ("999999999999999", 999999999999999)]
)
def test_whole_numbers(text: str, number: int) -> None:
    assert written({**FIELDS, "chainId": text})["chainId"] == number


def test_campaign_and_list_of_each_row() -> None:
    fields = {**FIELDS, "campaignName": "Autumn", "callingList": "List 2"}
    record = written(fields, campaign_name=None, calling_list=None)
    assert (record["campaignName"], record["callingList"]) == ("Autumn", "List 2")


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({}, None),
        ({"chainId": ""}, None),
        ({"chainId": "two"}, "chainId is not a whole number"),
        ({"from": "1.5"}, "from is not a whole number"),
        ({"until": "9" * 16}, "until is not a whole number"),
        ({"applicationId": " "}, "applicationId is empty: a record must have it"),
        ({"timeZone": ""}, "timeZone is empty: a record must have it"),
    ],
)
def test_rows_that_are_no_record(changed: dict[str, str], reason: str | None) -> None:
    fields = {**FIELDS, "chainId": "1", **changed}
    target = create(settings("https://gws.example.com", fields=fields), None, None)
    assert target.unfit(contact(*fields.values())).to_list() == [reason]


# --- sending --------------------------------------------------------------------------------------------------


async def outcome(told: Told, **given: Any) -> tuple[type[PipelineError] | None, str | None, str]:
    """What becomes of a row that is answered so, its code, and the reason."""
    service = Service()
    async with at_work(service, **given) as (target, _):
        session = await target.open()
        service.rules.append(lambda asked: told if asked.path == RECORDS else None)
        try:
            return None, await target.send(session, target.encode(contact())[0]), ""
        except PipelineError as error:
            return type(error), getattr(error, "code", None), str(error)


@pytest.mark.parametrize(
    "told",
    [
        OK,
        Told({"statusCode": "0"}),
        Told({"StatusCode": 0, "uri": "x"}, 201),
        Told(b'\xef\xbb\xbf{ "statusCode" : 0 }'),
        Told(status=204),
    ],
)
async def test_accepted(told: Told) -> None:
    assert (await outcome(told))[:2] == (None, "0")


async def test_an_accepted_answer_is_not_taken_for_another() -> None:
    """The answer that was read is remembered by its bytes; status and bytes both count."""
    service = Service()
    async with at_work(service) as (target, _):
        session = await target.open()
        body = target.encode(contact())[0]
        assert await target.send(session, body) == "0"
        service.rules.append(lambda asked: Told({"statusCode": 0}, 500) if asked.path == RECORDS else None)
        with pytest.raises(OutcomeUnknown):
            await target.send(session, body)


@pytest.mark.parametrize("status", [200, 400, 403, 404, 409, 500])
@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (1, Refused),
        (6, Refused),
        (8, Refused),
        (42, Refused),
        (99999, Refused),
        (4, PutOff),
        (19, PutOff),
        (18, AlreadyThere),
        (9, OutcomeUnknown),
        (7, OutcomeUnknown),
        (20, SessionExpired),
    ],
)
async def test_codes(number: int, kind: type[PipelineError], status: int) -> None:
    assert (await outcome(code(number, status=status)))[:2] == (kind, str(number))


async def test_codes_are_knobs() -> None:
    codes = {"session": [42], "transient": [], "duplicate": ["43"], "unknown": []}
    kinds = [(await outcome(code(number), codes=codes))[0] for number in (42, 43, 4, 9, 20)]
    assert kinds == [SessionExpired, AlreadyThere, Refused, Refused, Refused]


@pytest.mark.parametrize(
    ("told", "kind"),
    [
        (Told(b"", 401), SessionExpired),
        (Told(b"<html>"), OutcomeUnknown),
        (Told(b""), OutcomeUnknown),  # it broke off, for all that is known
        (Told([]), OutcomeUnknown),
        (Told({"statusCode": None}), OutcomeUnknown),
        (Told({"statusCode": True}), OutcomeUnknown),
        (Told({"statusCode": "fine"}), OutcomeUnknown),
        (Told(b'{"statusCode": 0'), OutcomeUnknown),
        (Told(b"[" * 100_000), OutcomeUnknown),
        (Told(b'{"statusCode": 0}' + b" " * (1 << 20)), OutcomeUnknown),
        (Told(b'{"statusCode": 0}', length=100), OutcomeUnknown),
        (CUT, OutcomeUnknown),
        (Told(b"down", 500), OutcomeUnknown),
        (Told(b"down", 502), OutcomeUnknown),
        (Told(b"down", 504), OutcomeUnknown),
        (Told({"statusCode": 4}, 503), NotDelivered),
        (Told(b"slow", 429), NotDelivered),
        (Told(b"", 302, {"Location": "/login"}), NotDelivered),
        (Told(b"large", 413), Refused),
        (Told(b"no", 404), TargetUnusable),
        (Told(b"no", 415), TargetUnusable),
        (Told(b"no", 403), TargetUnusable),
    ],
)
async def test_statuses_and_unreadable_answers(told: Told, kind: type[PipelineError]) -> None:
    assert (await outcome(told))[0] is kind


@pytest.mark.parametrize("told", [Told(b"", 204), Told({}), Told({"recordHandle": 7}, 201)])
async def test_success_without_a_status_code_means_accepted(told: Told) -> None:
    assert await outcome(told) == (None, "0", "")


async def test_a_pause_that_is_asked_for() -> None:
    service = Service()
    async with at_work(service) as (target, _):
        session = await target.open()
        service.rules.append(lambda asked: Told(b"", 429, {"Retry-After": "7"}))
        with pytest.raises(NotDelivered) as info:
            await target.send(session, target.encode(contact())[0])
    assert info.value.retry_after == 7


async def test_reasons_hold_the_targets_words_without_people_and_secrets() -> None:
    said = f"Parameter 'phoneNumber' ({NUMBER}) of c-123 is invalid for agent1 (correct-horse, cookie-1, token-1)"
    fields = {**FIELDS, "referenceId": "c-123"}
    service = Service()
    async with at_work(service, fields=fields) as (target, _):
        session = await target.open()
        service.rules.append(lambda asked: code(2, said))
        with pytest.raises(Refused) as info:
            await target.send(session, target.encode(contact(*fields.values()))[0])
    assert str(info.value) == (
        "the target refused it (code 2: Parameter 'phoneNumber' (***) of *** is invalid for *** (***, ***, ***))"
    )


async def test_every_fiftieth_refusal_in_a_row_proves_the_session() -> None:
    service = Service()
    async with at_work(service) as (target, served):
        session = await target.open()
        body = target.encode(contact())[0]
        asked = len(served.asked)
        service.rules.append(lambda asked: code(6) if asked.path == RECORDS else None)
        for _ in range(49):
            with pytest.raises(Refused):
                await target.send(session, body)
        assert len(served.asked) == asked + 49
        service.cookies.clear()
        with pytest.raises(SessionExpired):
            await target.send(session, body)


async def test_a_refusal_that_cannot_be_proven_is_not_settled() -> None:
    def silent(asked: Asked) -> Told | None:
        return CUT if asked.method == "GET" else code(6)

    service = Service()
    async with at_work(service) as (target, _):
        session = await target.open()
        body = target.encode(contact())[0]
        service.rules.append(silent)
        for _ in range(49):
            with pytest.raises(Refused):
                await target.send(session, body)
        with pytest.raises(NotDelivered, match="could not be asked"):
            await target.send(session, body)
