"""Servers that others wrote, run on loopback for as long as a test lasts."""

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent / "servers"

#: What a server may take to come up, in seconds.
STARTS_WITHIN = 30.0


@contextmanager
def process(command: list[str], **options: Any) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, **options) as running:
        try:
            yield running
        finally:
            running.kill()


@contextmanager
def told_port(command: list[str]) -> Iterator[str]:
    with process(command) as running:
        assert running.stdout is not None
        yield f"127.0.0.1:{int(running.stdout.readline())}"


@contextmanager
def nginx(place: Path, configuration: str = "nginx.conf") -> Iterator[str]:
    """nginx, and its address without a scheme; it serves what stands in `place`."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    text = (HERE / configuration).read_text().replace("PORT", str(port)).replace("PLACE", str(place))
    (place / "nginx.conf").write_text(text)
    with process(["nginx", "-p", str(place), "-c", str(place / "nginx.conf")]) as running:
        while running.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", port), STARTS_WITHIN).close()
                break
            except ConnectionRefusedError:
                os.sched_yield()
        assert running.poll() is None, (place / "error.log").read_text()
        yield f"127.0.0.1:{port}"
