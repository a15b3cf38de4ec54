"""uvicorn as a target: what it is asked stands in the path. Prints its port; the argument is the parser it has."""

import asyncio
import gzip
import sys
from typing import Any

import uvicorn


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answer one request."""
    if scope["type"] != "http":
        return
    body = b""
    while scope["path"] != "/early":
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    status, headers, pieces = 200, [], [body]
    match scope["path"]:
        case "/length":
            headers = [(b"content-length", b"%d" % len(body))]
        case "/chunks":
            pieces = [body[at : at + 1000] for at in range(0, len(body), 1000)]
        case "/close":
            headers = [(b"connection", b"close")]
        case "/cut":
            headers, pieces = [(b"content-length", b"100")], [b"half"]
        case "/nothing":
            status, pieces = 204, []
        case "/unchanged":
            status, pieces = 304, []
        case "/gzip":
            headers, pieces = [(b"content-encoding", b"gzip")], [gzip.compress(body)]
        case "/early":
            status, pieces = 413, [b"full"]
        case "/fails":
            raise RuntimeError
        case _:
            status, pieces = 404, [b"no such thing"]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    for piece in pieces:
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def main() -> None:
    """Serve until killed."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, http=sys.argv[1], log_level="critical"))
    serving = asyncio.ensure_future(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn tells it by a flag alone
        await asyncio.sleep(0.01)
    print(server.servers[0].sockets[0].getsockname()[1], flush=True)  # noqa: T201 - whoever started us reads it
    await serving


asyncio.run(main())
