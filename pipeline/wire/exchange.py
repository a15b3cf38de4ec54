"""One exchange over HTTP, with its failures in our terms.

httpx's exceptions stop here. What matters about a failed exchange is whether the target may have acted on it, so each
is translated to `NotDelivered` (nothing reached it), `OutcomeUnknown` (something may have) or `TargetUnusable` (a
person must act).
"""

import re
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime
from time import time
from typing import Final

import anyio
import httpx

from pipeline.errors import NotDelivered, OutcomeUnknown, PipelineError, TargetUnusable
from pipeline.wire.reading import Answer

#: An answer larger than this is not read: no answer to a row call is near it.
ANSWER_LIMIT: Final = 1 << 20


async def exchange(
    client: httpx.AsyncClient,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    limit: int = ANSWER_LIMIT,
    method: str = "POST",
) -> Answer:
    """Send `body` and read the whole answer, whatever its status, within the client's timeouts.

    Raises NotDelivered, OutcomeUnknown or TargetUnusable; an answer over `limit` bytes is OutcomeUnknown.
    """
    # httpx's own timeout starts anew with every byte; an answer that trickles must end too. Time to connect comes on
    # top, so that no connection in time is told as that: nothing was delivered.
    with anyio.move_on_after((client.timeout.connect or 0.0) + (client.timeout.read or 0.0)):
        async with streamed(client, url, headers, body, method=method) as response:
            chunks = bytearray()
            async for chunk in response.aiter_bytes():
                chunks += chunk
                if len(chunks) > limit:
                    raise OutcomeUnknown(f"the target's answer is larger than {limit} bytes")
            return Answer(response.status_code, response.headers.raw, bytes(chunks))
    raise OutcomeUnknown("no answer in time")


@asynccontextmanager
async def streamed(
    client: httpx.AsyncClient, url: str, headers: Mapping[str, str], body: bytes, *, method: str = "POST"
) -> AsyncIterator[httpx.Response]:
    """Send `body` and give the response before its body is read, for answers that may be large."""
    try:
        async with client.stream(method, url, headers=dict(headers), content=body) as response:
            yield response
    except (httpx.TransportError, httpx.DecodingError, RuntimeError) as error:
        raise told(error, url) from None


def told(error: Exception, url: str) -> PipelineError:
    """What an error of httpx at a call to `url` means."""
    match error:
        case httpx.ConnectError() if (reason := _certificate(error)) is not None:
            return TargetUnusable(
                f"TLS to {host(url)} failed: {reason}. Check the address; for a CA of your own set http.ca."
            )
        case httpx.ConnectError():
            return NotDelivered(f"no connection to {host(url)}: {brief(error)}")
        case httpx.ConnectTimeout() | httpx.PoolTimeout():
            return NotDelivered(f"no connection to {host(url)} in time")
        case httpx.ProxyError():
            return NotDelivered("the proxy did not let us through")
        case httpx.TimeoutException():
            return OutcomeUnknown("no answer in time")
        case httpx.DecodingError():
            return OutcomeUnknown("the answer's content encoding cannot be read")
        case httpx.UnsupportedProtocol():
            return TargetUnusable("the endpoint is not an http or https address: set target.endpoint")
        case RuntimeError():  # httpx: the client has been closed
            return NotDelivered("the session's connection was closed")
        case _:
            return OutcomeUnknown(f"the connection broke before the answer ({type(error).__name__})")


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The pause in seconds that a Retry-After header asks for (RFC 9110, 10.2.3), or None."""
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time())
    except ValueError:
        return None


def host(url: str) -> str:
    """Host and port of an address, for messages: paths and queries may hold secrets."""
    parsed = httpx.URL(url)
    return f"{parsed.host}:{parsed.port}" if parsed.port else parsed.host


def _certificate(error: BaseException | None) -> str | None:
    """What TLS complained of, where that is why there is no connection."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return error.verify_message
        if isinstance(error, ssl.SSLError):
            return (error.reason or "handshake failed").replace("_", " ").lower()
        if "SSL" in str(error) or "CERTIFICATE" in str(error):
            return brief(error).partition("] ")[2] or "handshake failed"
        error = error.__cause__ or error.__context__
    return None


def brief(error: BaseException) -> str:
    """Why something failed, without addresses or paths, and without the numbers of errors and source lines."""
    told = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return re.sub(r"\[Errno -?\d+\] | ?\(_ssl\.c:\d+\)", "", told)
