"""The way to the target: connections of HTTP/1.1, clients over them, and exchanges with their failures in our terms."""

from pipeline.wire.clients import ClientFactory, client_factory, hang_up
from pipeline.wire.exchange import ANSWER_LIMIT, exchange, host, retry_after, streamed
from pipeline.wire.line import Line
from pipeline.wire.reading import Answer

__all__ = [
    "ANSWER_LIMIT",
    "Answer",
    "ClientFactory",
    "Line",
    "client_factory",
    "exchange",
    "hang_up",
    "host",
    "retry_after",
    "streamed",
]
