"""SpreadsheetWEB over HTTP: tokens, dedicated sessions, results one by one and in batches."""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl

from pipeline.simulator.exchange import Answer, Exchange, plain
from pipeline.simulator.jsonbody import UnreadableBodyError, is_json, json_answer, read_object
from pipeline.simulator.pagos.records import NO_ID, Records, WrongRequestError
from pipeline.simulator.pagos.settings import PagosSettings
from pipeline.simulator.pagos.tokens import Tokens
from pipeline.simulator.record import Refused
from pipeline.simulator.service import Service, Surroundings
from pipeline.simulator.sessions import Session
from pipeline.simulator.settings import Fault

TOKEN_MESSAGE = "The requested resource is restricted and your request did not provide a valid token."  # noqa: S105
APPLICATION_MESSAGE = "The requested application is invalid."

_APPLICATIONS = "/Api/Applications/"
_CALLS = ("OpenDedicatedSession", "CloseDedicatedSession", "GetResult", "GetBatchResults")
_HEADERS = ((b"cache-control", b"no-cache, no-store"),)


class PagosService(Service[PagosSettings]):
    """Pagos SpreadsheetWEB. The request for a token is the operation "Token"."""

    system = "pagos"
    title = "Simulated Pagos SpreadsheetWEB"
    operations = frozenset({"Token", *_CALLS})
    opening = "OpenDedicatedSession"
    row_call = "GetResult"
    commands = frozenset({"revoke_tokens"})

    def __init__(self, settings: PagosSettings, surroundings: Surroundings) -> None:
        super().__init__(settings, surroundings)
        self._tokens = Tokens(settings, self._clock, self.sessions.new_id)
        self._records = Records(self.record)
        self.configure(settings)

    @property
    def address(self) -> str:
        """The prefix: the documented paths follow it."""
        return self.settings.prefix

    @property
    def paths(self) -> frozenset[str]:
        """Its operations and where tokens are given."""
        return frozenset(
            {self.settings.token_path, *(f"{self.settings.prefix}{_APPLICATIONS}{each}" for each in _CALLS)}
        )

    @property
    def links(self) -> tuple[str, ...]:
        """It has nothing for a browser."""
        return ()

    def introduction(self, origin: str) -> tuple[str, ...]:
        """Address; application, token, and where to have another one."""
        settings = self.settings
        return (
            f"--set target.endpoint={origin}{self.address}",
            f'application key "{settings.application_key}", token "{settings.token}"',
            f'or a token from {origin}{settings.token_path} for client "{settings.client_id}", '
            f'secret "{settings.client_secret}"',
        )

    def configure(self, settings: PagosSettings) -> None:
        """Go on with these settings."""
        super().configure(settings)
        self._records.configure(settings)

    def command(self, name: str) -> None:
        """`revoke_tokens`: every token is invalid from now on."""
        self._tokens.revoke()

    def rows(self) -> Iterator[dict[str, Any]]:
        """The saved records: `id`, `session` that saved it last, and `cells` by reference."""
        self.late.settle()
        return iter(self._records)

    def particulars(self) -> dict[str, Any]:
        """What became of tokens and logins."""
        tokens = self._tokens
        return {
            "tokens_given": tokens.given,
            "invalid_tokens": tokens.refused,
            "bad_logins": tokens.bad_logins,
            "blocked": sorted(each for each in tokens.bad if tokens.blocked(each, self.settings)),
        }

    async def answer(self, exchange: Exchange) -> None:
        """Answer one request."""
        if exchange.method != "POST":
            await self.reject(exchange, plain(405, "The method is not allowed."))
            return
        body = await exchange.body(self.settings.max_request_bytes)
        if body is None:
            await self.reject(exchange, plain(413, "The request is too large."))
            return
        token = exchange.path == self.settings.token_path
        operation = "Token" if token else exchange.path.rpartition("/")[2]
        fault = self.arrive(operation)
        if fault is not None and fault.unseen:
            await self.fail(exchange, fault)
        elif token:
            await self._token(exchange, body, fault)
        else:
            await self._call(exchange, operation, body, fault)

    def unclassified(self, exchange: Exchange, status: int) -> Answer:
        """An error without Success."""
        return json_answer({"Message": "An error has occurred."}, status)

    async def _token(self, exchange: Exchange, body: bytes, fault: Fault | None) -> None:
        form = dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
        if exchange.header("content-type").partition(";")[0].strip().lower() != "application/x-www-form-urlencoded":
            form = {}

        def effect(unanswered: str) -> Answer:
            if fault is not None and fault.kind == "busy":
                return json_answer({"error": "temporarily_unavailable"}, 400, _HEADERS)
            status, value = self._tokens.give(form, self.settings)
            return json_answer(value, status, _HEADERS)

        await self.carry_out(exchange, fault, None, effect)

    async def _call(self, exchange: Exchange, operation: str, body: bytes, fault: Fault | None) -> None:
        given: dict[str, Any] = {}
        wrong = "" if is_json(exchange) else "The content type must be application/json."
        try:
            given = read_object(body)
        except UnreadableBodyError as error:
            wrong = wrong or str(error)
        # Sessions and the token are looked at when the call comes, whatever happens to it later.
        valid = self._tokens.good(exchange.header("authorization"), self.settings)
        parts = _parts(given) if operation == "GetBatchResults" else [given]
        if operation == "GetBatchResults":
            self.record.received += len(parts)
        leases: dict[str, Session | None] = {}
        if valid and not wrong and operation != self.opening:
            leases = {
                each: self.use(each, fault) for each in dict.fromkeys(str(part.get("SessionId")) for part in parts)
            }

        def effect(unanswered: str) -> Answer:
            if wrong:
                self.record.rejected["unreadable"] += 1
                return _failure(wrong)
            if not valid:
                return self._refuse(operation, parts, _failed(TOKEN_MESSAGE, invalid_token=True))
            if fault is not None and fault.kind == "busy":
                return self._refuse(operation, parts, _failed(self.settings.busy_message))
            return self._perform(operation, given, parts, leases, unanswered)

        await self.carry_out(exchange, fault, next(filter(None, leases.values()), None), effect)

    def _perform(
        self,
        operation: str,
        given: Mapping[str, Any],
        parts: list[dict[str, Any]],
        leases: Mapping[str, Session | None],
        unanswered: str,
    ) -> Answer:
        if operation == "GetResult":
            return _answer(self._result(given, leases, unanswered))
        if operation == "GetBatchResults":
            return self._batch(given, parts, leases, unanswered)
        if given.get("ApplicationKey") != self.settings.application_key:
            return self._refuse(operation, parts, _failed(APPLICATION_MESSAGE))
        if operation == self.opening:
            if self.full():
                return self._refuse(operation, parts, _failed("There are too many dedicated sessions."))
            return _answer({"SessionId": self.sessions.open(), "Success": True, "Messages": []})
        session = leases.get(str(given.get("SessionId")))
        if session is None or not self.sessions.close(session):
            self.record.bad_session += 1
            return self._refuse(operation, parts, _failed(self.settings.session_message))
        return _answer({"Success": True, "Messages": []})

    def _result(
        self, given: Mapping[str, Any], leases: Mapping[str, Session | None], unanswered: str
    ) -> dict[str, Any]:
        """One GetResult, alone or in a batch; its answer."""
        session = leases.get(str(given.get("SessionId")))
        try:
            if given.get("ApplicationKey") != self.settings.application_key:
                raise WrongRequestError(APPLICATION_MESSAGE)
            if session is None:
                self.record.bad_session += 1
                raise WrongRequestError(self.settings.session_message)
            record_id = self._records.calculate(given, session.id, self.sessions.new_id(), unanswered)
        except WrongRequestError as error:
            answer = _failed(str(error))
        else:
            answer = {"RecordId": record_id or NO_ID, "Outputs": [], "Success": True, "Messages": []}
        if not unanswered:
            self._told(given, answer)
        return answer

    def _batch(
        self,
        given: Mapping[str, Any],
        parts: list[dict[str, Any]],
        leases: Mapping[str, Session | None],
        unanswered: str,
    ) -> Answer:
        requests = given.get("Requests")
        if not parts or not isinstance(requests, list) or len(parts) != len(requests):
            return _failure("Requests is invalid: each needs an Id of its own and a Request.")
        item = self.settings.batch_item
        answers: list[dict[str, Any]] = []
        for request, part in zip(requests, parts, strict=True):
            result = self._result(part, leases, unanswered)
            answers.append({"Id": request["Id"], **({item: result} if item else result)})
        if self.settings.batch_lost is not None:
            answers = [each for number, each in enumerate(answers, 1) if number % self.settings.batch_lost]
        if self.settings.batch_order == "reversed":
            answers.reverse()
        return _answer({self.settings.batch_list: answers, "Success": True, "Messages": []})

    def _refuse(self, operation: str, parts: list[dict[str, Any]], answer: dict[str, Any]) -> Answer:
        """Answer a call with no before it did anything."""
        if operation == self.opening:
            self.record.refused_openings += 1
            return _answer({"SessionId": NO_ID, **answer})
        if operation in ("GetResult", "GetBatchResults"):
            for part in parts:
                self._told(part, answer)
        return _answer(answer)

    def _told(self, given: Mapping[str, Any], answer: Mapping[str, Any]) -> None:
        """Put down what a row is told. There are no codes: the message stands for one."""
        if answer["Success"]:
            self.record.told(0, None)
            return
        saving = given.get("SaveInformation")
        record_id = str(saving.get("RecordId", "")) if isinstance(saving, dict) else ""
        message = str(answer["Messages"][0])
        self.record.told(message, Refused(str(given.get("ApplicationKey", "")), record_id, message))


def _parts(given: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The requests of a batch, as far as they can be read. Key and session may stand once, beside the list."""
    common = {name: given[name] for name in ("ApplicationKey", "SessionId") if name in given}
    requests, parts, ids = given.get("Requests"), [], set()
    for each in requests if isinstance(requests, list) else []:
        number = each.get("Id") if isinstance(each, dict) else None
        if isinstance(number, int | str) and number not in ids and isinstance(each.get("Request"), dict):
            ids.add(number)
            parts.append({**common, **each["Request"]})
    return parts


def _failed(message: str, *, invalid_token: bool = False) -> dict[str, Any]:
    return {"Success": False, "InvalidToken": invalid_token, "Messages": [message]}


def _failure(message: str) -> Answer:
    return _answer(_failed(message))


def _answer(value: Mapping[str, Any]) -> Answer:
    """The API answers with 200 whatever happened."""
    return json_answer(value, 200, _HEADERS)
