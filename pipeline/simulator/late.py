"""Effects of calls that come after the call has ended."""

from collections import deque
from collections.abc import Callable


class LateEffects:
    """What is still to take effect. It is applied, when it is due, by whoever looks next."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._due: deque[tuple[float, Callable[[], object]]] = deque()

    def __len__(self) -> int:
        return len(self._due)

    def add(self, delay: float, effect: Callable[[], object]) -> None:
        """Let something take effect after some seconds."""
        self._due.append((self._clock() + delay, effect))

    def settle(self) -> None:
        """Apply what is due."""
        while self._due and self._due[0][0] <= self._clock():
            self._due.popleft()[1]()
