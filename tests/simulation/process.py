"""One process of the pipeline in a simulated world: what strikes it, and how it ends, by itself or by a crash."""

import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import Any

import anyio
from simulation import virtual
from simulation.disk import SimDisk
from simulation.target import SimTarget
from simulation.virtual import Clock, Stalled

from pipeline.errors import PipelineError
from pipeline.run import Result
from pipeline.run.stopping import Stopping

#: Calls, and pieces of work in threads, after which a process counts as one that never ends.
MOST_EVENTS = 2_000


class Crashed(BaseException):
    """The process is dead: whatever it does from here on has no effect."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """What strikes a process, and when: at the n-th event of a kind, or after some seconds."""

    kind: str  # "crash", "signal", "disk full" or "disk error"
    at: str  # "write", "sync", "rename", "call", "thread" or "seconds"
    count: float  # n, or seconds
    when: str = "before"  # or "after", of an event of the disk or a thread


@dataclass(frozen=True, slots=True)
class End:
    """How a process ended: one of the three."""

    result: Result | None = None
    error: BaseException | None = None
    crashed: bool = False


class Process:
    """One process: its troubles strike through the disk, the calls of its target, and the work in its threads.

    `crash` is told of the place where the process dies, and leaves disk and target as they are then.
    """

    def __init__(
        self,
        number: int,
        random: Random,
        disk: SimDisk,
        clock: Clock,
        troubles: list[Trouble],
        crash: Callable[[str, int], None],
        strike: Callable[[str], None],
    ) -> None:
        self.number = number
        self.crashed = False
        self.stopping = Stopping()
        self.target: SimTarget | None = None
        self.shift = random.uniform(0, 10_000)
        self._random = random
        self._disk = disk
        self._clock = clock
        self._troubles = troubles
        self._crash = crash
        self._strike = strike
        self._counts: dict[str, int] = {}
        self._scope: anyio.CancelScope | None = None
        self._slow = random.choice((0.001, 0.005, 0.05, 0.3, 1.0))  # typical seconds of work in a thread

    def run(self, body: Callable[[], Awaitable[Result]]) -> End:
        """Run `body` to its end, whichever that is. Raises what no caller of the pipeline should ever see."""
        self._disk.trap = self._at_disk
        self._disk.events = 0

        async def main() -> End:
            end = End()
            try:
                async with anyio.create_task_group() as group:
                    self._scope = group.cancel_scope
                    for trouble in self._troubles:
                        if trouble.at == "seconds":
                            group.start_soon(self._wait_for, trouble)
                    try:
                        end = End(result=await body())
                    except PipelineError as error:
                        end = End(error=error)
                    group.cancel_scope.cancel()
            except BaseException:
                if not self.crashed:
                    raise
            return End(crashed=True) if self.crashed else end

        try:
            with virtual.threads_inline(self), self._renames():
                return virtual.run(main, self._clock, shift=self.shift)
        finally:
            self._disk.trap = None

    # --- where trouble comes from -----------------------------------------------------------------------------------

    def passing(self, operation: str) -> None:
        """A call to the target is made."""
        self._alive()
        self._event("call", "before")

    def delays(self) -> tuple[float, float]:
        """See `virtual.Threads`."""
        if self.crashed:
            return 0.0, 0.0
        before, after = (self._slow * self._random.expovariate(2) for _ in range(2))
        return before, after

    def call(self, func: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        """See `virtual.Threads`."""
        self._alive()
        self._event("thread", "before")
        result = func(*args)
        self._event("thread", "after")
        return result

    def _at_disk(self, when: str, name: str) -> None:
        self._alive()
        self._event(name, when)

    @contextmanager
    def _renames(self) -> Iterator[None]:
        """Within the block files that are put in place are events too: nothing else tells of ledgers and summaries."""
        original = os.replace

        def replace(*names: Any) -> None:
            self._alive()
            self._event("rename", "before")
            original(*names)
            self._event("rename", "after")

        os.replace = replace  # type: ignore[assignment]
        try:
            yield
        finally:
            os.replace = original

    async def _wait_for(self, trouble: Trouble) -> None:
        await anyio.sleep(trouble.count)
        self._happens(trouble)

    def _event(self, kind: str, when: str) -> None:
        if when == "before":
            self._counts[kind] = count = self._counts.get(kind, 0) + 1
            if count > MOST_EVENTS:
                raise Stalled(f"no end after {MOST_EVENTS} events of the kind {kind}")
        for trouble in self._troubles:
            if (trouble.at, trouble.count, trouble.when) == (kind, self._counts[kind], when):
                self._happens(trouble)

    def _happens(self, trouble: Trouble) -> None:
        self._strike(f"{trouble.kind} at {trouble.at}")
        if trouble.kind == "signal":
            self.stopping.signal(15)
        elif trouble.kind == "disk full":
            raise OSError(28, "No space left on device")
        elif trouble.kind == "disk error":
            raise OSError(5, "Input/output error")
        else:
            self.crashed = True
            self._crash(trouble.at, self._counts.get(trouble.at, 0))
            if self._scope is not None:
                self._scope.cancel()
            raise Crashed

    def _alive(self) -> None:
        if self.crashed:
            raise Crashed
