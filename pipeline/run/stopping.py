"""Signals: the first stops the present phase cleanly, the second gives up what is in flight."""

import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import anyio

from pipeline.errors import Interrupted
from pipeline.logs import logger
from pipeline.run.failures import first


def _later(_: str) -> str:
    return "as soon as this step is done"


class Stopping:
    """Knows the first signal that came, and what a signal does in the present phase of a run."""

    def __init__(self) -> None:
        self.received: int | None = None  # number of the first signal that stopped anything
        self._act: Callable[[], None] | None = None
        self._words: Callable[[str], str] = _later
        self._waiting: int | None = None  # a signal that came while nothing could be stopped

    @asynccontextmanager
    async def watching(self, *, signals: bool) -> AsyncIterator[None]:
        """Within the block react to SIGINT and SIGTERM, if `signals`. Whatever it raises comes out as one error, see
        `failures.first`.
        """
        try:
            async with anyio.create_task_group() as group:
                if signals:
                    group.start_soon(self._watch)
                yield
                group.cancel_scope.cancel()
        except BaseExceptionGroup as errors:
            raise first(errors) from errors

    async def _watch(self) -> None:
        """React to SIGINT and SIGTERM until cancelled."""
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async for number in signals:
                logger().warning("run.stopping", signal=number.name, doing=self.words(number))
                self.signal(int(number))

    def words(self, number: int) -> str:
        """What a signal does in the present phase."""
        return self._words("Ctrl-C" if number == signal.SIGINT else "the signal")

    def signal(self, number: int) -> None:
        """React to one signal."""
        if self._act is None:
            self._waiting = self._waiting or number
            return
        self.received = self.received or number
        self._act()

    @contextmanager
    def acting(self, act: Callable[[], None], words: Callable[[str], str] | None = None) -> Iterator[None]:
        """Within the block a signal calls `act`; one that came before does so at once. `words` tell what it does, given
        what another one is called.
        """
        self._act = act
        self._words = words or (lambda _: "breaking this step off")
        if self._waiting is not None:
            self.received, self._waiting = self._waiting, None
            act()
        try:
            yield
        finally:
            self._act, self._words = None, _later

    @contextmanager
    def cancelling(self) -> Iterator[None]:
        """Within the block a signal cancels it; afterwards `received` tells."""
        with anyio.CancelScope() as scope, self.acting(scope.cancel):
            yield

    def check(self) -> None:
        """Raise Interrupted where a signal came before anything was begun."""
        if number := self.received or self._waiting:
            raise Interrupted(number)
