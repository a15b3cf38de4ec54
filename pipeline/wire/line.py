"""Row calls: one message after the other to one address, with a head that is prepared once."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias

import httpx

from pipeline.errors import OutcomeUnknown
from pipeline.wire.clients import WireClient
from pipeline.wire.connection import Connection, Request
from pipeline.wire.exchange import ANSWER_LIMIT, exchange, told
from pipeline.wire.reading import Answer, Broken
from pipeline.wire.transport import WireTransport, head_of, origin_of

#: A message, cut where the session's own token goes.
Parts: TypeAlias = Sequence[bytes]

#: Heads are kept for so many lengths of a message; messages of one run differ by a few hundred bytes.
_LENGTHS: Final = 4096


class Line:
    """A session's way for its rows: POSTs `headers` and a message to `url`, over the client's own connections.

    As many calls may be in flight as the target bears: each has a connection of its own. Once a call of the client to
    the same place has turned out to go over our wire (the opening of its session, else the first row), the others are
    written without httpx, byte for byte as it would, the client's cookies included. Where a proxy stands between, or
    the client has its own way to log in, all calls go through httpx.
    """

    def __init__(self, client: httpx.AsyncClient, url: str, headers: Mapping[str, str], *, token: bytes = b"") -> None:
        """`token` is what goes between the parts of a message."""
        self._client = client
        self._url = url
        self._headers = headers
        self._token = token
        self._wire = client.wire if isinstance(client, WireClient) and client.auth is None else None
        self._origin = origin_of(httpx.URL(url))
        self._direct = self._wire is not None and self._origin in self._wire.reached
        self._timeout = client.timeout.read or 0.0
        self._prepare()

    async def post(
        self, parts: Parts, follow: Callable[[Answer], Parts | None] | None = None, *, limit: int = ANSWER_LIMIT
    ) -> Answer:
        """Send a message and read the whole answer, whatever its status.

        `follow` may give a further message at each answer, which leaves at once; it is then that one's answer that is
        given, or the one's after it. It need not be asked: after an answer that ends the connection, say. What is
        raised is of the message that `follow` gave last.

        Answers of the same bytes on one connection are one object. Raises NotDelivered, OutcomeUnknown or
        TargetUnusable like `exchange`.
        """
        if not self._direct:
            return await self._by_httpx(parts, limit)
        wire = self._wire
        assert wire is not None
        if wire.cookies_set != self._cookies_set:
            self._prepare()
        connection = wire.idle(self._origin) or await self._connected(wire)

        def following(answer: Answer) -> Request | None:
            if answer.sets_cookies or follow is None or (parts := follow(answer)) is None:
                return None
            return self._request(parts)

        try:
            answer = await connection.ask(self._request(parts), self._timeout, limit, following)
        except Broken as error:
            raise OutcomeUnknown(error.reason) from None
        except BaseException:
            connection.close()
            raise
        wire.give_back(self._origin, connection)
        if answer.sets_cookies:
            self._keep_cookies(answer)
        return answer

    def _request(self, parts: Parts) -> Request:
        """Head and message."""
        message = self._token.join(parts)
        return self._heads.get(len(message)) or self._head(len(message)), message

    async def _by_httpx(self, parts: Parts, limit: int) -> Answer:
        answer = await exchange(self._client, self._url, self._headers, self._token.join(parts), limit=limit)
        if self._wire is not None and self._origin in self._wire.reached:
            self._direct = True
            self._prepare()  # the answer may have set cookies
        elif isinstance(self._client, WireClient):
            self._client.detour()
        return answer

    async def _connected(self, wire: WireTransport) -> Connection:
        try:
            return await wire.connected(self._origin, self._client.timeout.connect)
        except httpx.TransportError as error:
            raise told(error, self._url) from None

    def _prepare(self) -> None:
        """Make the head as httpx would, up to the length of the message."""
        self._cookies_set = self._wire.cookies_set if self._wire else 0
        self._sample = self._client.build_request("POST", self._url, headers=dict(self._headers))
        self._sample.headers.pop("content-length", None)
        self._start = head_of(self._sample).removesuffix(b"\r\n")
        self._heads: dict[int, bytes] = {}

    def _head(self, length: int) -> bytes:
        if len(self._heads) >= _LENGTHS:
            self._heads.clear()
        head = self._heads[length] = b"%bContent-Length: %d\r\n\r\n" % (self._start, length)
        return head

    def _keep_cookies(self, answer: Answer) -> None:
        response = httpx.Response(answer.status, headers=answer.raw_headers, request=self._sample)
        self._client.cookies.extract_cookies(response)
        self._prepare()
