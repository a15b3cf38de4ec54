"""HTTP clients, one per session, over one TLS context; which of them go over our own wire and which by httpx alone."""

import ssl
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from ipaddress import ip_address
from typing import Final, TypeAlias
from urllib.request import getproxies

import anyio
import httpx

from pipeline import __version__
from pipeline.config import HttpSettings
from pipeline.errors import ConfigError
from pipeline.logs import logger
from pipeline.wire.connection import IDLE_LIMIT
from pipeline.wire.exchange import brief
from pipeline.wire.transport import WireTransport

ClientFactory: TypeAlias = Callable[[], httpx.AsyncClient]

#: Connecting may take so many seconds, and no longer than an answer.
_CONNECT_WITHIN: Final = 10.0

#: One session makes few calls at once. What goes through a proxy, or by HTTP/2, is held to the same time of idleness.
_LIMITS: Final = httpx.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=IDLE_LIMIT)


class WireClient(httpx.AsyncClient):
    """A client whose requests go over `wire`, but for those that go through a proxy of the environment.

    `detour` is called where row calls turn out to go another way.
    """

    def __init__(
        self,
        wire: WireTransport,
        detour: Callable[[], None],
        *,
        proxies: Mapping[str, httpx.AsyncBaseTransport | None],
        timeout: httpx.Timeout,
        headers: Mapping[str, str],
    ) -> None:
        super().__init__(transport=wire, mounts=proxies, timeout=timeout, headers=headers, follow_redirects=False)
        self.wire = wire
        self.detour = detour


def client_factory(http: HttpSettings, timeout: float) -> ClientFactory:
    """A factory of clients, one per session, that share one TLS context (a context costs 50 ms).

    `timeout` is in seconds, for one answer. Raises ConfigError where a certificate file cannot be used, or HTTP/2 is
    not installed.
    """
    context = _tls(http)
    if http.http2 and find_spec("h2") is None:
        raise ConfigError(["http.http2: HTTP/2 is an extra: pip install 'contact-pipeline[http2]'"])
    patience = httpx.Timeout(timeout, connect=min(timeout, _CONNECT_WITHIN))
    headers = {"User-Agent": f"contact-pipeline/{__version__}"}
    said = False

    def detour() -> None:
        nonlocal said
        if not said:
            said = True
            how = "as HTTP/2" if http.http2 else "through a proxy"
            logger().info("wire.detour", advice=f"rows go {how}, by httpx, which is slower")

    def make() -> httpx.AsyncClient:
        if http.proxy or http.http2:
            detour()
            return httpx.AsyncClient(
                verify=context,
                http2=http.http2,
                proxy=http.proxy.read() if http.proxy else None,
                timeout=patience,
                limits=_LIMITS,
                headers=headers,
                follow_redirects=False,
            )
        proxies = environment_proxies(context)
        return WireClient(WireTransport(context), detour, proxies=proxies, timeout=patience, headers=headers)

    return make


def _tls(http: HttpSettings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=str(http.ca) if http.ca else None)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError([f"http.ca: {http.ca} cannot be used: {brief(error)}"]) from None
    if http.cert:
        try:
            context.load_cert_chain(http.cert, http.key)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError([f"http.cert: {http.cert} cannot be used: {brief(error)}"]) from None
    context.set_alpn_protocols(["http/1.1"])
    return context


def environment_proxies(context: ssl.SSLContext) -> dict[str, httpx.AsyncBaseTransport | None]:
    """The environment's proxies (HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY) by patterns of addresses, as httpx reads
    them where no transport is given; None: no proxy.
    """
    told = getproxies()
    beside = [name for name in map(str.strip, told.get("no", "").split(",")) if name]
    if "*" in beside:
        return {}
    proxies: dict[str, httpx.AsyncBaseTransport | None] = {}
    for scheme in ("http", "https", "all"):
        if address := told.get(scheme):
            address = address if "://" in address else f"http://{address}"
            proxies[f"{scheme}://"] = httpx.AsyncHTTPTransport(verify=context, proxy=address, limits=_LIMITS)
    return proxies | dict.fromkeys(map(_pattern, beside)) if proxies else {}


def _pattern(name: str) -> str:
    """A name of NO_PROXY as a pattern of addresses: a domain stands for all that ends so."""
    if "://" in name:
        return name
    try:
        return f"all://[{name}]" if ip_address(name.partition("/")[0]).version == 6 else f"all://{name}"
    except ValueError:
        return f"all://{name}" if name.lower() == "localhost" else f"all://*{name}"


async def hang_up(client: httpx.AsyncClient) -> None:
    """Close a client and its connections, even where this is being cancelled."""
    with anyio.CancelScope(shield=True):
        await client.aclose()
