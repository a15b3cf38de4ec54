"""Virtual time: an event loop that jumps to its next timer, and work for threads that runs inline on it."""

import asyncio
import io
import selectors
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

import anyio
import anyio.lowlevel
import anyio.to_thread

T = TypeVar("T")

#: Turns of one loop and seconds on its clock after which a run counts as one that never ends.
MOST_TURNS = 200_000
MOST_SECONDS = 10_000.0


class Stalled(AssertionError):
    """The loop would wait for ever, or run for ever; the message holds the stacks of its tasks."""


class Clock:
    """Seconds since the simulated world began. It outlives the loops, as time outlives processes."""

    __slots__ = ("now",)

    def __init__(self) -> None:
        self.now = 0.0


class _JumpingSelector(selectors.SelectSelector):
    """Waits for nothing: where a real selector would sleep, it moves the clock."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.loop: asyncio.AbstractEventLoop | None = None
        self._clock = clock
        self._last = clock.now + MOST_SECONDS
        self._turns = 0

    def select(self, timeout: float | None = None) -> list[Any]:
        self._turns += 1
        if timeout is None:
            self._fail("nothing is ready and no timer will fire")
        if timeout > 0:
            self._clock.now += timeout
        if self._turns > MOST_TURNS:
            self._fail(f"no end after {MOST_TURNS} turns")
        if self._clock.now > self._last:
            self._fail(f"no end after {MOST_SECONDS:g} seconds")
        return []

    def _fail(self, reason: str) -> None:
        stacks = io.StringIO()
        for task in asyncio.all_tasks(self.loop):
            task.print_stack(limit=6, file=stacks)
        self._turns, self._last = 0, self._clock.now + MOST_SECONDS  # the loop is still needed to unwind the tasks
        raise Stalled(f"{reason}\n{stacks.getvalue()}")


class VirtualLoop(asyncio.SelectorEventLoop):
    """asyncio's loop on a `Clock`. `shift` is added to its time: clocks of two processes have nothing in common."""

    def __init__(self, clock: Clock, shift: float) -> None:
        self._virtual = clock
        self._shift = shift
        selector = _JumpingSelector(clock)
        super().__init__(selector)
        selector.loop = self
        self._clock_resolution = 1e-9

    def time(self) -> float:
        return self._virtual.now + self._shift

    def run_in_executor(self, executor: Any, func: Callable[..., T], *args: Any) -> Any:
        """Inline: a thread would run in real time."""
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to the caller
            future.set_exception(error)
        return future


def run(main: Callable[[], Awaitable[T]], clock: Clock, *, shift: float = 0.0) -> T:
    """Run `main` under virtual time. Raises Stalled where it can come to no end."""
    return anyio.run(main, backend_options={"loop_factory": lambda: VirtualLoop(clock, shift)})


class Threads(Protocol):
    """How long work in a thread takes, and what happens to it."""

    def delays(self) -> tuple[float, float]:
        """Seconds before the work is done, and from then until the loop hears of it."""

    def call(self, func: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        """Do the work."""


@contextmanager
def threads_inline(threads: Threads) -> Iterator[None]:
    """Within the block `anyio.to_thread.run_sync` does its work inline, taking virtual time as a thread would."""

    async def run_sync(
        func: Callable[..., Any], *args: Any, abandon_on_cancel: bool = False, limiter: object = None
    ) -> Any:
        await anyio.lowlevel.checkpoint()
        before, after = threads.delays()
        with anyio.CancelScope(shield=not abandon_on_cancel):
            await anyio.sleep(before)
            try:
                return threads.call(func, args)
            finally:
                await anyio.sleep(after)

    original = anyio.to_thread.run_sync
    anyio.to_thread.run_sync = run_sync  # type: ignore[assignment]
    try:
        yield
    finally:
        anyio.to_thread.run_sync = original
