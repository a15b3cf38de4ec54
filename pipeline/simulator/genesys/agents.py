"""Contact centre sessions: how one is started on channels, at a place, on a device, and how it is ended."""

from collections.abc import Callable, Mapping
from typing import Any

from pipeline.simulator.genesys.logins import Login
from pipeline.simulator.genesys.parameters import invalid, wrong_start
from pipeline.simulator.genesys.settings import Code, Failure, GenesysSettings
from pipeline.simulator.sessions import Sessions


class Agents:
    """Which user has which contact centre session. `full` tells whether a further one would be one too many."""

    def __init__(self, sessions: Sessions, full: Callable[[], bool]) -> None:
        self._sessions = sessions
        self._full = full
        self._open: dict[str, str] = {}  # user -> session
        self.started: dict[str, dict[str, Any]] = {}  # user -> parameters of the last session

    def start(self, login: Login, given: Mapping[str, Any], settings: GenesysSettings) -> dict[str, Any]:
        """StartContactCenterSession; its answer."""
        failure = wrong_start(given) or _wrong_place(given, settings)
        if failure is None and settings.opening_code:
            failure = Failure(settings.opening_code, "The session cannot be started")
        if failure is not None:
            return told(failure)
        failures = _failed(given, settings)
        channels: list[str] = given["channels"]
        if len(failures) == len(set(channels)):
            return told(failures[channels[0]])
        refusal = self._begin(login, settings)
        if refusal is not None:
            return told(refusal)
        self.started[login.user] = {name: value for name, value in given.items() if name != "operationName"}
        if not failures:
            return {"statusCode": int(Code.OK)}
        parts = {channel: told(failures.get(channel, Failure(Code.OK, ""))) for channel in channels}
        return _partial(parts, settings.partial_shape)

    def end(self, login: Login, settings: GenesysSettings) -> None:
        """EndContactCenterSession, as far as the session goes."""
        session = self._sessions.find(self._open.pop(login.user, None), settings.idle_limit)
        if session is not None:
            self._sessions.close(session)

    def _begin(self, login: Login, settings: GenesysSettings) -> Failure | None:
        present = self._open.get(login.user)
        if self._sessions.find(present, settings.idle_limit) is not None:
            if login.session != present and settings.second_session == "refuse":
                return Failure(Code.IN_USE, "The user has a contact center session already")
            # The agent is logged in: there is nothing to do.
            login.session = present
            return None
        if self._full():
            return Failure(Code.IN_USE, "There are too many contact center sessions")
        login.session = self._open[login.user] = self._sessions.open()
        return None


def told(failure: Failure) -> dict[str, Any]:
    """A failure as an answer, or as a part of one."""
    code = {"statusCode": int(failure.code)}
    return {**code, "statusMessage": failure.message} if failure.message else code


def _partial(parts: dict[str, dict[str, Any]], shape: str) -> dict[str, Any]:
    whole = told(Failure(Code.PARTIAL_SUCCESS, "Partial success"))
    if shape == "flat":
        return {**whole, **parts}
    if shape == "list":
        return {**whole, "channels": [{"channel": channel, **part} for channel, part in parts.items()]}
    return {**whole, "channels": parts}


def _wrong_place(given: Mapping[str, Any], settings: GenesysSettings) -> Failure | None:
    """What is wrong with place and devicePath. The latter overrides the logic of the former."""
    if settings.places is None:
        return None
    path = given.get("devicePath")
    if path:
        known = {f"/devices/{device.id}" for devices in settings.places.values() for device in devices}
        return None if path in known else Failure(Code.NOT_FOUND, "There is no such device")
    place = given.get("place")
    if not place:
        return None
    devices = settings.places.get(place)
    if not devices:
        return Failure(Code.NOT_FOUND, "There is no such place")
    positions = sum(device.acd_position for device in devices)
    if len(devices) > 1 and positions != 1:
        return invalid("place", "The device cannot be resolved")
    return None


def _failed(given: Mapping[str, Any], settings: GenesysSettings) -> dict[str, Failure]:
    """The channels of a request that do not work. Voice is the one that logs in to the switch."""
    failures = {
        channel: settings.failed_channels[channel]
        for channel in given["channels"]
        if channel in settings.failed_channels
    }
    if "voice" in given["channels"]:
        code = given.get("loginCode")
        codes = settings.login_codes
        # The password is of no account without a login code.
        if code and codes is not None and (code not in codes or codes[code] != given.get("agentLoginPassword")):
            failures.setdefault("voice", invalid("loginCode", "The switch refuses the login"))
        if given.get("dynamicPhoneNumber") in settings.known_numbers:
            failures.setdefault("voice", invalid("dynamicPhoneNumber", "The number exists already"))
    return failures
