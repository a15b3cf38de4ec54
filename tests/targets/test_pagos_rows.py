"""Saved records: how they are written, what a failure means, and several in one call."""

import json
from collections import Counter
from typing import Any

import anyio
import pytest
from loopback import Asked
from targets.pagos_kit import (
    APPLICATION,
    CONTACT_ID,
    NO_TOKEN,
    TOKEN,
    Service,
    at,
    at_work,
    contacts,
    failure,
    settings,
)
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
from pipeline.targets.pagos import create
from pipeline.targets.pagos.target import PagosSession, PagosTarget

pytestmark = pytest.mark.anyio

NUMBER = "+15145550123"
ROW = [NUMBER, "Ann Example"]


def written(*values: str, fields: dict[str, str] | None = None, **target: Any) -> Any:
    """The message of a contact with these values."""
    made = create(settings("https://pagos.example.com", fields=fields, **target), None, None)
    [body] = made.encode(contacts(values))
    return json.loads(b"session-1".join(body))


# --- writing --------------------------------------------------------------------------------------------------


def test_a_record() -> None:
    assert written(*ROW) == {
        "ApplicationKey": APPLICATION,
        "SessionId": "session-1",
        "Inputs": [
            {"Ref": "Sheet1!A5", "Value": [[{"Value": NUMBER}]]},
            {"Ref": "Name", "Value": [[{"Value": "Ann Example"}]]},
        ],
        "Outputs": [],
        "SaveInformation": {"Save": True, "RecordId": CONTACT_ID},
    }


def test_what_is_empty_is_left_out() -> None:
    assert [each["Ref"] for each in written("", "Ann")["Inputs"]] == ["Name"]
    assert [each["Ref"] for each in written("1", " ")["Inputs"]] == ["Sheet1!A5"]
    target = create(settings("https://pagos.example.com"), None, None)
    assert target.unfit(contacts(["", " "], ["", "x"])).to_list() == ["every field of the record is empty", None]


def test_record_ids_are_a_knob() -> None:
    assert written(*ROW, record_id=False)["SaveInformation"] == {"Save": True}


@pytest.mark.parametrize("text", ['say "hi" \\ or \n\t\x00\x1f', "Zoë 🎉 \u2028", "}]]"])
def test_texts_arrive_as_they_are(text: str) -> None:
    record = written(text, "x", fields={"'My \"sheet\"'!A1": "{a}", "b": "{b}"}, application_key=text)
    assert record["Inputs"][0] == {"Ref": "'My \"sheet\"'!A1", "Value": [[{"Value": text}]]}
    assert record["ApplicationKey"] == text


# --- one record a call ----------------------------------------------------------------------------------------


async def outcome(target: PagosTarget, session: PagosSession, *values: str) -> tuple[type[PipelineError] | None, str]:
    [body] = target.encode(contacts(values or ROW))
    try:
        return None, await target.send(session, body)
    except PipelineError as error:
        return type(error), str(error)


async def test_saved() -> None:
    service = Service()
    async with at_work(service) as (target, _):
        session = await target.open()
        assert await outcome(target, session) == (None, "Success")
    assert [service.values(record) for record in service.records] == [ROW]


@pytest.mark.parametrize("batch", [1, 10])
@pytest.mark.parametrize("idles", [True, False])
async def test_a_refused_record_and_a_session_that_is_gone_are_told_apart(*, idles: bool, batch: int) -> None:
    """By a calculation that saves nothing; where that never succeeds, by what becomes of the row on a new session."""
    service = Service(idles=idles)
    service.refusals["bad"] = "The number is wrong."
    async with at_work(service, batch=batch) as (target, _):
        session = await target.open()
        await target.prepare(session)
        assert (await outcome(target, session, "bad", "x"))[0] is Refused
        assert (await outcome(target, session))[0] is None
        service.sessions.clear()
        assert (await outcome(target, session))[0] is SessionExpired
        session = await target.open()
        assert (await outcome(target, session))[0] is None
        told = await outcome(target, session, "bad", "x")
        if not idles:
            assert told[0] is SessionExpired
            session = await target.open()
            told = await outcome(target, session, "bad", "x")
        assert told == (Refused, "the target refused it (The number is wrong.)")
    assert len(service.records) == 2


async def test_a_failure_that_cannot_be_asked_about_is_not_settled() -> None:
    service = Service()
    service.refusals["bad"] = "No."

    def silent(asked: Asked) -> Told | None:
        return CUT if b'"Save":false' in asked.body else None

    async with at_work(service) as (target, _):
        session = await target.open()
        await target.prepare(session)
        service.rules.append(silent)
        assert (await outcome(target, session, "bad", "x"))[0] is NotDelivered


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("The requested SESSION is invalid.", SessionExpired),
        ("Try later.", PutOff),
        ("Record exists already.", AlreadyThere),
    ],
)
async def test_messages_are_knobs(message: str, kind: type[PipelineError]) -> None:
    meanings = {"session": ["requested session"], "transient": ["later"], "duplicate": ["exists"]}
    service = Service()
    service.refusals["bad"] = message
    async with at_work(service, messages=meanings) as (target, served):
        session = await target.open()
        assert (await outcome(target, session, "bad", "x"))[0] is kind
        assert len(served.asked) == 2, "what is known is not asked"


async def test_reasons_hold_no_people_and_no_secrets() -> None:
    service = Service()
    async with at_work(service) as (target, _):
        session = await target.open()
        service.refusals[NUMBER] = (
            f"{NUMBER} of Ann Example, {TOKEN}, {APPLICATION}, {service.opened[0]}: a@example.com"
        )
        assert await outcome(target, session) == (
            Refused,
            "the target refused it (*** of ***, ***, ***, ***: [mail])",
        )


@pytest.mark.parametrize(
    ("told", "kind"),
    [
        (Told(b""), OutcomeUnknown),
        (Told(b"<html>"), OutcomeUnknown),
        (Told([]), OutcomeUnknown),
        (Told(b'{"Success": true', length=100), OutcomeUnknown),
        (Told(b'{"Success": true}' + b" " * (1 << 20)), OutcomeUnknown),
        (CUT, OutcomeUnknown),
        (Told(b"", 500), OutcomeUnknown),
        (Told(b"", 502), OutcomeUnknown),
        (Told(b"", 503), NotDelivered),
        (Told(b"", 429), NotDelivered),
        (Told(b"", 400), Refused),
        (Told(b"", 404), TargetUnusable),
        (Told(b"", 403), TargetUnusable),
        (Told({"success": True}), None),
    ],
)
@pytest.mark.parametrize("batch", [1, 10])
async def test_statuses_and_unreadable_answers(told: Told, kind: type[PipelineError] | None, batch: int) -> None:
    service = Service()
    async with at_work(service, batch=batch) as (target, _):
        session = await target.open()
        service.rules += [at("GetResult", told)]
        if told.body != {"success": True}:
            service.rules += [at("GetBatchResults", told)]
        else:
            service.rules += [at("GetBatchResults", Told({"results": [{"id": "1", "response": told.body}]}))]
        assert (await outcome(target, session))[0] is kind
    assert service.records == []


# --- several records a call -----------------------------------------------------------------------------------


async def all_outcomes(target: PagosTarget, sessions: list[PagosSession], rows: list[str]) -> dict[str, Any]:
    """What becomes of rows that are sent at the same time, by their number."""
    told: dict[str, Any] = {}

    async def one(number: str, session: PagosSession) -> None:
        told[number] = (await outcome(target, session, number, "x"))[0]

    async with anyio.create_task_group() as group:
        for place, number in enumerate(rows):
            group.start_soon(one, number, sessions[place % len(sessions)])
    return told


def sizes(asked: list[Asked]) -> list[int]:
    """How many rows each batch held."""
    return [len(each.message["Requests"]) for each in asked if each.path.endswith("/GetBatchResults")]


async def test_rows_of_several_sessions_go_out_together() -> None:
    service = Service()
    service.refusals = {"r3": "No.", "r7": "No."}
    rows = [f"r{number}" for number in range(25)]
    async with at_work(service, batch=10) as (target, served):
        sessions = [await target.open() for _ in range(3)]
        await target.prepare(sessions[0])
        told = await all_outcomes(target, sessions, rows)
        assert sorted(sizes(served.asked)) == [5, 10, 10]
        again = await all_outcomes(target, sessions, rows[:2])
    assert told == {row: Refused if row in service.refusals else None for row in rows}
    assert again == dict.fromkeys(rows[:2])
    saved = Counter(service.values(record)[0] for record in service.records)
    assert saved == Counter([*(row for row in rows if row not in service.refusals), *rows[:2]])


async def test_a_session_that_is_gone_costs_its_own_rows_alone() -> None:
    service = Service()
    async with at_work(service, batch=10) as (target, _):
        sessions = [await target.open(), await target.open()]
        await target.prepare(sessions[0])
        service.sessions.remove(service.opened[1])
        told = await all_outcomes(target, sessions, ["a", "b", "c", "d"])
    assert told == {"a": None, "b": SessionExpired, "c": None, "d": SessionExpired}


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([(1, True), (3, True)], [None, OutcomeUnknown, None]),
        ([(1, True), (2, True), (3, True), (3, False)], [None, None, OutcomeUnknown]),
        ([(9, True), (0, True)], [OutcomeUnknown] * 3),
        ([], [OutcomeUnknown] * 3),
    ],
)
async def test_answers_are_matched_by_id(parts: list[Any], expected: list[Any]) -> None:
    """What is not told, or told twice, is not known."""
    service = Service()
    answer = {"Success": True, "Results": [{"Id": number, "Success": success} for number, success in parts]}
    async with at_work(service, batch=3) as (target, served):
        session = await target.open()
        service.rules.append(at("GetBatchResults", Told(answer)))
        told = await all_outcomes(target, [session], ["a", "b", "c"])
        assert sizes(served.asked) == [3]
        order = [service.values(part["Request"])[0] for part in served.asked[-1].message["Requests"]]
    assert [told[row] for row in order] == expected


@pytest.mark.parametrize("lost", [CUT, Told(b"", 500), Told(b"half", length=100), Told(b"null")])
async def test_a_lost_answer_puts_all_of_its_rows_in_doubt(lost: Told) -> None:
    service = Service()
    async with at_work(service, batch=3) as (target, served):
        session = await target.open()
        service.rules.append(at("GetBatchResults", lost))
        told = await all_outcomes(target, [session], ["a", "b", "c"])
        assert len(served.asked) == 2, "nothing is sent again"
    assert told == dict.fromkeys("abc", OutcomeUnknown)


async def test_a_batch_that_was_not_delivered_leaves_all_of_its_rows_to_be_sent() -> None:
    service = Service()
    async with at_work(service, batch=3) as (target, _):
        session = await target.open()
        service.rules.append(at("GetBatchResults", Told(b"", 503)))
        assert await all_outcomes(target, [session], ["a", "b"]) == dict.fromkeys("ab", NotDelivered)


@pytest.mark.parametrize("refusal", [Told(b"", 413), Told(failure("Too many requests in one."))])
async def test_rows_of_a_batch_that_is_refused_are_sent_alone(refusal: Told) -> None:
    service = Service()
    service.refusals["b"] = "No."
    async with at_work(service, batch=3) as (target, _):
        session = await target.open()
        await target.prepare(session)
        service.rules.append(at("GetBatchResults", refusal))
        told = await all_outcomes(target, [session], ["a", "b", "c"])
    assert told == {"a": None, "b": Refused, "c": None}
    assert len(service.records) == 2


async def test_a_token_that_is_not_taken_within_a_batch() -> None:
    service = Service()
    parts = [{"Id": 1, "Result": NO_TOKEN}, {"Id": 2, "Result": {"Success": True}}]
    async with at_work(service, batch=2) as (target, _):
        session = await target.open()
        service.rules.append(at("GetBatchResults", Told({"Success": True, "Results": parts})))
        assert await all_outcomes(target, [session], ["a", "b"]) == dict.fromkeys("ab")
    assert len(service.records) == 1, "the other was sent alone"


async def test_cancelled_while_others_wait() -> None:
    """Who waits is not sent once it was given up, and who was under way does not wait for ever."""
    service = Service()
    held = anyio.Event()
    async with at_work(service, batch=10) as (target, served):
        session = await target.open()
        real = target._save_several

        async def stuck(client: Any, messages: list[bytes]) -> Any:
            held.set()
            await anyio.sleep_forever()

        target._batches._call = stuck  # type: ignore[union-attr]
        async with anyio.create_task_group() as group:
            group.start_soon(outcome, target, session, "a", "x")
            await held.wait()
            group.start_soon(outcome, target, session, "b", "x")
            await anyio.wait_all_tasks_blocked()
            group.cancel_scope.cancel()
        target._batches._call = real  # type: ignore[union-attr]
        assert await all_outcomes(target, [session], ["c"]) == {"c": None}
    assert sizes(served.asked) == [1]
    assert [service.values(record)[0] for record in service.records] == ["c"]
