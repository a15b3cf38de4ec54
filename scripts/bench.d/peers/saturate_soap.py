"""saturate: its adaptive client and its durable Parquet sink, the window fixed to the number of connections.

It speaks JSON alone, so the one method that sends is given SOAP here, without its ladder of retries.
"""

import asyncio
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
from job import HEADERS, JOB, accounted, envelope, people, result
from saturate import AdaptiveClient, Fixed, drain, through
from saturate.sink import ParquetSink


class SoapClient(AdaptiveClient):
    """The adaptive client, for messages in XML."""

    def __init__(self, client: httpx2.AsyncClient) -> None:
        super().__init__(JOB["url"], window=Fixed(JOB["connections"]), signal_source="none")
        self.soap = client

    async def post(
        self, request: Any, route: str = "", on_admit: Callable[[], None] | None = None
    ) -> tuple[dict[str, Any] | None, str | None]:
        """Send a message; gives the answer or what went wrong."""
        assert self.limiter is not None
        async with self.limiter.slot():
            if on_admit is not None:
                on_admit()
            began = time.monotonic()
            answer = await self.soap.post(JOB["url"], content=request, headers=HEADERS)
        if answer.status_code != 200:
            return None, f"HTTP {answer.status_code}"
        self.limiter.observe(ok=True, latency_s=time.monotonic() - began)
        return {"answer": answer.content}, None


async def main() -> None:
    """Send all rows."""
    output = Path(JOB["results"] + ".parquet")
    shutil.rmtree(output, ignore_errors=True)
    rows = ((person["customer_id"], person) for person in people())
    number = JOB["connections"]
    limits = httpx2.Limits(max_connections=number, max_keepalive_connections=number)
    async with httpx2.AsyncClient(limits=limits) as soap, SoapClient(soap) as client:
        with accounted() as results:

            def parse(row: dict[str, str], answer: dict[str, bytes]) -> dict[str, str]:
                code = result(answer["answer"])
                results.write(f"{row['customer_id']},{code}\n")
                return {"code": code}

            await drain(through(client, rows, envelope, parse), ParquetSink(str(output), flush_every=1000))


asyncio.run(main())
