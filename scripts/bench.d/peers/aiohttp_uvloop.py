"""aiohttp under uvloop."""

import asyncio
from collections.abc import Iterator
from typing import TextIO

import aiohttp
import uvloop
from job import HEADERS, JOB, Person, accounted, envelope, people, result


async def worker(session: aiohttp.ClientSession, rows: Iterator[Person], results: TextIO) -> None:
    """Send rows, one after the other, for as long as there are any."""
    for person in rows:
        async with session.post(JOB["url"], data=envelope(person), headers=HEADERS) as answer:
            answer.raise_for_status()
            results.write(f"{person['customer_id']},{result(await answer.read())}\n")


async def main() -> None:
    """Send all rows."""
    rows = people()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=JOB["connections"])) as session:
        with accounted() as results:
            await asyncio.gather(*(worker(session, rows, results) for _ in range(JOB["connections"])))


uvloop.run(main())
