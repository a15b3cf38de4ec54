"""httpx and asyncio: one client for all workers (`shared`), or one for each (`each`)."""

import asyncio
import sys
from collections.abc import Iterator
from typing import TextIO

import httpx
from job import HEADERS, JOB, Person, accounted, envelope, people, result


async def worker(client: httpx.AsyncClient, rows: Iterator[Person], results: TextIO) -> None:
    """Send rows, one after the other, for as long as there are any."""
    for person in rows:
        answer = await client.post(JOB["url"], content=envelope(person), headers=HEADERS)
        answer.raise_for_status()
        results.write(f"{person['customer_id']},{result(answer.content)}\n")


async def main() -> None:
    """Send all rows."""
    number = JOB["connections"]
    context = httpx.create_ssl_context()
    limits = httpx.Limits(max_connections=number, max_keepalive_connections=number)
    clients = [
        httpx.AsyncClient(verify=context, limits=limits) for _ in range(1 if sys.argv[2] == "shared" else number)
    ]
    rows = people()
    with accounted() as results:
        await asyncio.gather(*(worker(clients[at % len(clients)], rows, results) for at in range(number)))
    for client in clients:
        await client.aclose()


asyncio.run(main())
