"""Genesys Web Services over HTTP: who calls, what is called, and with which status it is answered."""

from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.simulator.exchange import Answer, Exchange, plain
from pipeline.simulator.genesys.agents import Agents, told
from pipeline.simulator.genesys.logins import Login, Logins
from pipeline.simulator.genesys.parameters import invalid, missing
from pipeline.simulator.genesys.records import Records, named
from pipeline.simulator.genesys.settings import Code, Failure, GenesysSettings
from pipeline.simulator.jsonbody import UnreadableBodyError, is_json, json_answer, read_object
from pipeline.simulator.record import Refused
from pipeline.simulator.service import Service, Surroundings
from pipeline.simulator.settings import FAULT_KINDS, Fault

_ME = "/api/v2/me"
_RECORDS = "/api/v2/me/outbound-records"
_OPERATIONS = {
    _ME: frozenset({"StartContactCenterSession", "EndContactCenterSession"}),
    _RECORDS: frozenset({"AddRecord"}),
}
_NOT_AUTHENTICATED = Failure(Code.NOT_AUTHENTICATED, "Not authenticated")


class GenesysService(Service[GenesysSettings]):
    """Genesys Web Services. GET /api/v2/me is the operation "GetMe"."""

    system = "genesys"
    title = "Simulated Genesys Web Services"
    operations = frozenset({"GetMe"}).union(*_OPERATIONS.values())
    opening = "StartContactCenterSession"
    row_call = "AddRecord"
    kinds = frozenset(FAULT_KINDS)

    def __init__(self, settings: GenesysSettings, surroundings: Surroundings) -> None:
        super().__init__(settings, surroundings)
        self._logins = Logins(self.sessions.new_id)
        self._agents = Agents(self.sessions, self.full)
        self._records = Records(self.record)
        self.configure(settings)

    @property
    def address(self) -> str:
        """The prefix: the documented paths follow it."""
        return self.settings.prefix

    @property
    def paths(self) -> frozenset[str]:
        """Its resources. The document has /api/v2/me with and without a slash at the end."""
        return frozenset(self.settings.prefix + path + end for path in _OPERATIONS for end in ("", "/"))

    @property
    def links(self) -> tuple[str, ...]:
        """The agent's own resource."""
        return (self.settings.prefix + _ME,)

    def introduction(self, origin: str) -> tuple[str, ...]:
        """Address; users and passwords."""
        users = ", ".join(f'"{name}"' for name in self.settings.users)
        passwords = ", ".join(f'"{each}"' for each in dict.fromkeys(self.settings.users.values()))
        campaigns = ", ".join(sorted(self.settings.campaigns)) or "any"
        return (
            f"--set target.endpoint={origin}{self.address}",
            f"users {users}, password {passwords}, campaign {campaigns}",
        )

    def configure(self, settings: GenesysSettings) -> None:
        """Go on with these settings."""
        super().configure(settings)
        self._records.configure(settings)

    def rows(self) -> Iterator[dict[str, Any]]:
        """The records, with the fields they came with, the user who added each, and its handle as `id`."""
        self.late.settle()
        return iter(self._records)

    def particulars(self) -> dict[str, Any]:
        """Wrong credentials, members that no document names, and with what the users' last sessions were started."""
        return {
            "bad_logins": self._logins.bad,
            "unknown_fields": dict(self._records.unknown),
            "started": dict(self._agents.started),
        }

    async def answer(self, exchange: Exchange) -> None:
        """Answer one request."""
        resource = exchange.path.removeprefix(self.settings.prefix).rstrip("/")
        given: dict[str, Any] = {}
        if exchange.method == "GET" and resource == _ME:
            operation = "GetMe"
        elif exchange.method != "POST":
            await self.reject(exchange, plain(405, "The method is not allowed."))
            return
        elif not is_json(exchange):
            await self.reject(exchange, plain(415, "The media type is not supported."))
            return
        else:
            body = await exchange.body(self.settings.max_request_bytes)
            if body is None:
                await self.reject(exchange, plain(413, "The request is too large."))
                return
            try:
                given = read_object(body)
            except UnreadableBodyError as error:
                await self.reject(exchange, json_answer(told(Failure(Code.INVALID_PARAMETER, str(error))), 400))
                return
            operation = str(given.get("operationName"))
            if operation not in _OPERATIONS[resource]:
                name = "operationName"
                self.record.rejected["operation"] += 1
                await exchange.send(self._failed(invalid(name) if given.get(name) else missing(name)))
                return
        await self._call(exchange, operation, given)

    def unclassified(self, exchange: Exchange, status: int) -> Answer:
        """An error without a statusCode."""
        return json_answer({"error": "Internal Server Error", "path": exchange.path}, status)

    async def _call(self, exchange: Exchange, operation: str, given: Mapping[str, Any]) -> None:
        fault = self.arrive(operation)
        if fault is not None and fault.unseen:
            await self.fail(exchange, fault)
            return
        login = self._login(exchange, fault)
        if login is None:
            self._refused(operation, given, _NOT_AUTHENTICATED)
            await exchange.send(self._failed(_NOT_AUTHENTICATED))
            return
        if operation != "GetMe" and self.settings.csrf:
            token = exchange.header(self.settings.csrf_header)
            if not self._logins.proven(login, token, self.settings.csrf_calls):
                failure = Failure(Code.FORBIDDEN, "The CSRF token is missing or wrong")
                await self.reject(exchange, json_answer(told(failure), 403, login.headers()))
                return
        session = None
        if login.session is not None:
            session = self.use(login.session, fault)
            if session is None:
                self.record.bad_session += 1
                self._logins.end(login)
                self._refused(operation, given, _NOT_AUTHENTICATED)
                await exchange.send(self._failed(_NOT_AUTHENTICATED))
                return

        def effect(unanswered: str) -> Answer:
            return self._perform(operation, login, given, fault, unanswered)

        await self.carry_out(exchange, fault, session, effect)

    def _login(self, exchange: Exchange, fault: Fault | None) -> Login | None:
        login, has_cookie = self._logins.find(exchange)
        if login is None and has_cookie and self.settings.stale_cookie == "refuse":
            self.record.bad_session += 1
            return None
        return login or self._logins.begin(exchange, self.settings.users)

    def _perform(
        self, operation: str, login: Login, given: Mapping[str, Any], fault: Fault | None, unanswered: str
    ) -> Answer:
        if fault is not None and fault.kind == "busy":
            failure = Failure(self.settings.busy, "The server is busy")
            self._refused(operation, given, failure)
            return self._failed(failure, login)
        if operation == "AddRecord":
            return self._add(login, given, fault, unanswered)
        if operation == "GetMe":
            answer = {"statusCode": int(Code.OK), "user": {"userName": login.user, "enabled": True}}
            headers = login.headers()
            if self.settings.csrf:
                token = self._logins.token(login, self.settings.csrf_calls)
                headers += [
                    (b"x-csrf-header", self.settings.csrf_header.encode()),
                    (b"x-csrf-token", token.encode()),
                ]
            return json_answer(answer, headers=headers)
        if fault is not None and fault.kind == "incomplete" and not fault.stored:
            return self._incomplete(operation, login)
        if operation == "EndContactCenterSession":
            self._agents.end(login, self.settings)
            self._logins.end(login)
            answer = {"statusCode": int(Code.OK)}
        else:
            answer = self._agents.start(login, given, self.settings)
            self.record.refused_openings += answer["statusCode"] not in (Code.OK, Code.PARTIAL_SUCCESS)
        if fault is not None and fault.kind == "incomplete":
            return self._incomplete(operation, login)
        good = answer["statusCode"] in (Code.OK, Code.PARTIAL_SUCCESS)
        return json_answer(answer, 200 if good else self.settings.error_status, login.headers())

    def _incomplete(self, operation: str, login: Login) -> Answer:
        return self._failed(Failure(Code.PROCESSING_INCOMPLETE, f"{operation} was begun"), login)

    def _add(self, login: Login, given: Mapping[str, Any], fault: Fault | None, unanswered: str) -> Answer:
        begun = fault if fault is not None and fault.kind == "incomplete" else None
        failure = None
        if begun is None or begun.stored:
            if login.session is None and self.settings.needs_session:
                failure = Failure(Code.FORBIDDEN, "There is no contact center session")
            else:
                failure = self._records.add(login.user, given, unanswered or ("incomplete" if begun else ""))
        if begun is not None and failure is None:
            failure = Failure(Code.PROCESSING_INCOMPLETE, "The record is being processed")
        if not unanswered:
            self._told(given, failure)
        return json_answer({"statusCode": int(Code.OK)}) if failure is None else self._failed(failure, login)

    def _refused(self, operation: str, given: Mapping[str, Any], failure: Failure) -> None:
        """Put down that a call was answered with no before it did anything."""
        if operation == self.opening:
            self.record.refused_openings += 1
        elif operation == self.row_call:
            self._told(given, failure)

    def _told(self, given: Mapping[str, Any], failure: Failure | None) -> None:
        code = int(Code.OK if failure is None else failure.code)
        self.record.told(code, Refused(*named(given), code) if code else None)

    def _failed(self, failure: Failure, login: Login | None = None) -> Answer:
        headers = login.headers() if login is not None else []
        if failure.code != Code.NOT_AUTHENTICATED:
            return json_answer(told(failure), self.settings.error_status, headers)
        status = self.settings.not_authenticated_status
        if status == 401:
            headers.append((b"www-authenticate", b'Basic realm="Web Services"'))
        return json_answer(told(failure), status, headers)
