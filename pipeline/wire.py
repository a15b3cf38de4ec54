"""The way to the target: HTTP clients over one TLS context, and one exchange with its failures in our terms.

httpx's exceptions stop here. What matters about a failed exchange is whether the target may have acted on it, so each
is translated to `NotDelivered` (nothing reached it), `OutcomeUnknown` (something may have) or `TargetUnusable` (a
person must act).
"""

import re
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from time import time
from typing import TypeAlias

import anyio
import httpx

from pipeline import __version__
from pipeline.config import HttpSettings
from pipeline.errors import ConfigError, NotDelivered, OutcomeUnknown, TargetUnusable

#: An answer larger than this is not read: no answer to a row call is near it.
ANSWER_LIMIT = 1 << 20

ClientFactory: TypeAlias = Callable[[], httpx.AsyncClient]


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer, read whole."""

    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes


def client_factory(http: HttpSettings, timeout: float) -> ClientFactory:
    """A factory of clients, one per session, that share one TLS context (a context costs 50 ms).

    `timeout` is in seconds, for one answer. Raises ConfigError where a certificate file cannot be used.
    """
    try:
        context = ssl.create_default_context(cafile=str(http.ca) if http.ca else None)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError([f"http.ca: {http.ca} cannot be used: {_brief(error)}"]) from None
    if http.cert:
        try:
            context.load_cert_chain(http.cert, http.key)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError([f"http.cert: {http.cert} cannot be used: {_brief(error)}"]) from None

    def make() -> httpx.AsyncClient:
        return httpx.AsyncClient(
            verify=context,
            proxy=http.proxy.read() if http.proxy else None,
            timeout=httpx.Timeout(timeout, connect=min(timeout, 10.0)),
            # One session makes few calls at once; httpx's own limits would close idle connections early.
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=None),
            headers={"User-Agent": f"contact-pipeline/{__version__}"},
            follow_redirects=False,
        )

    return make


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
            return Answer(response.status_code, response.headers, bytes(chunks))
    raise OutcomeUnknown("no answer in time")


@asynccontextmanager
async def streamed(
    client: httpx.AsyncClient, url: str, headers: Mapping[str, str], body: bytes, *, method: str = "POST"
) -> AsyncIterator[httpx.Response]:
    """Send `body` and give the response before its body is read, for answers that may be large."""
    try:
        async with client.stream(method, url, headers=dict(headers), content=body) as response:
            yield response
    except httpx.ConnectError as error:
        if (reason := _certificate(error)) is not None:
            raise TargetUnusable(
                f"TLS to {host(url)} failed: {reason}. Check the address; for a CA of your own set http.ca."
            ) from None
        raise NotDelivered(f"no connection to {host(url)}: {_brief(error)}") from None
    except (httpx.ConnectTimeout, httpx.PoolTimeout):
        raise NotDelivered(f"no connection to {host(url)} in time") from None
    except httpx.ProxyError:
        raise NotDelivered("the proxy did not let us through") from None
    except httpx.TimeoutException:
        raise OutcomeUnknown("no answer in time") from None
    except httpx.DecodingError:
        raise OutcomeUnknown("the answer's content encoding cannot be read") from None
    except httpx.UnsupportedProtocol:
        raise TargetUnusable("the endpoint is not an http or https address: set target.endpoint") from None
    except RuntimeError:  # httpx: the client has been closed
        raise NotDelivered("the session's connection was closed") from None
    except httpx.TransportError as error:
        raise OutcomeUnknown(f"the connection broke before the answer ({type(error).__name__})") from None


async def hang_up(client: httpx.AsyncClient) -> None:
    """Close a client and its connections, even where this is being cancelled."""
    with anyio.CancelScope(shield=True):
        await client.aclose()


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
            return _brief(error).partition("] ")[2] or "handshake failed"
        error = error.__cause__ or error.__context__
    return None


def _brief(error: BaseException) -> str:
    """The reason without addresses or paths, and without the numbers of errors and source lines."""
    told = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return re.sub(r"\[Errno -?\d+\] | ?\(_ssl\.c:\d+\)", "", told)
