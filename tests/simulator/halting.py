"""A simulator that keeps its callers waiting from a chosen call on, so that what a test does comes in time."""

import asyncio
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from pipeline.simulator import RunningSimulator

ADD: Final = "AddCampaignContact"

#: What a command may take to get to a call, or to its end, in seconds: far more than any needs.
PATIENCE: Final = 60


@contextmanager
def halted(
    server: RunningSimulator, operation: str, number: int, process: "subprocess.Popen[Any] | None" = None
) -> Iterator[None]:
    """The block begins when the n-th call of an operation, counted from the server's start, has come in; that call and
    those after it take effect and are answered when the block has ended. Fails where `process` ends before.
    """
    service = server.service
    come, go_on = threading.Event(), asyncio.Event()
    held: set[asyncio.Task[Any] | None] = set()
    arrive, carry_out, sleep = service.arrive, service.carry_out, service._sleep

    def arriving(called: str) -> Any:
        fault = arrive(called)
        if called == operation and service.record.calls[operation] >= number:
            held.add(asyncio.current_task())
            come.set()
        return fault

    async def carrying_out(*call: Any) -> None:
        if asyncio.current_task() in held:
            await go_on.wait()
        await carry_out(*call)

    async def sleeping(seconds: float) -> None:
        if asyncio.current_task() not in held:  # those have waited long enough: whoever looks now sees their effect
            await sleep(seconds)

    def halt() -> None:
        service.arrive, service.carry_out, service._sleep = arriving, carrying_out, sleeping
        if service.record.calls[operation] >= number:
            come.set()

    def release() -> None:
        del service.arrive, service.carry_out
        go_on.set()

    server._in_loop(halt)
    try:
        for _ in range(PATIENCE * 10):
            if come.wait(0.1):
                break
            assert process is None or process.poll() is None, process.communicate()
        assert come.is_set(), f"call {number} of {operation} never came"
        yield
    finally:
        server._in_loop(release)


def wait_for(
    server: RunningSimulator, operation: str, number: int, process: "subprocess.Popen[Any] | None" = None
) -> None:
    """Return once so many calls of an operation have come in. Fails where `process` ends before."""
    with halted(server, operation, number, process):
        pass


def struck(
    server: RunningSimulator,
    process: "subprocess.Popen[str]",
    number: int,
    *,
    operation: str = ADD,
    by: int = signal.SIGKILL,
) -> tuple[str, str]:
    """Send a process a signal when its n-th call of an operation has come in; what it wrote until its end."""
    with halted(server, operation, number, process):
        process.send_signal(by)
        if by == signal.SIGKILL:
            process.wait(PATIENCE)
    return process.communicate(timeout=PATIENCE)
