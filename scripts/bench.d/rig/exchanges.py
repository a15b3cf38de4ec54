"""What an import says and is told: recorded once, from a real import into the simulator.

Every answer is then given again by whatever server is measured against, so that all of them see the same bytes.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.simulator import OncSettings, Simulator, running
from rig import importing, people

ROW = "AddCampaignContact"
OPENING = "OpenAPISession"


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and its answer."""

    action: str  # the SOAPAction as it is sent, in quotes
    headers: dict[str, str]  # of the request, names in lower case, without length and host
    request: bytes
    content_type: str  # of the answer
    answer: bytes

    @property
    def operation(self) -> str:
        """The last word of the action."""
        return self.action.strip('"').rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Recording:
    """The first exchange of each operation."""

    exchanges: dict[str, Exchange]  # by operation

    @property
    def row(self) -> Exchange:
        """The call that adds a row."""
        return self.exchanges[ROW]

    @property
    def token(self) -> bytes:
        """The session's token, as the answer to its opening has it."""
        return self.exchanges[OPENING].answer.partition(b"</a:SessionId>")[0].rpartition(b">")[2]


class _Recorder(Simulator):
    """The simulator, keeping what it is asked and what it says."""

    def __init__(self) -> None:
        super().__init__(OncSettings())
        self.exchanges: dict[str, Exchange] = {}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        asked, told, content_type = bytearray(), bytearray(), ""

        async def received() -> Any:
            message = await receive()
            asked.extend(message.get("body", b""))
            return message

        async def sent(message: Any) -> None:
            nonlocal content_type
            if message["type"] == "http.response.start":
                content_type = dict(message["headers"])[b"content-type"].decode()
            told.extend(message.get("body", b""))
            await send(message)

        await super().__call__(scope, received, sent)
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        if action := headers.get("soapaction"):
            kept = {name: value for name, value in headers.items() if name not in ("host", "content-length")}
            made = Exchange(action, kept, bytes(asked), content_type, bytes(told))
            self.exchanges.setdefault(made.operation, made)


def record() -> Recording:
    """Import a few rows into the simulator."""
    recorder = _Recorder()
    with tempfile.TemporaryDirectory(prefix="bench-") as directory, running(recorder) as simulator:
        place = Path(directory)
        people.write(place / "list.csv", 20)
        importing.run(place / "list.csv", simulator.url, place, sessions=2)
    return Recording(recorder.exchanges)
