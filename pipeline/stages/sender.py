"""The row call of a target, as `deliver` makes it."""

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from pipeline.stages.encode import Body
from pipeline.wire import Answer

H_contra = TypeVar("H_contra", contravariant=True)


class Line(Protocol):
    """A session's way for rows (`pipeline.wire.Line`)."""

    async def post(self, parts: Body, follow: Callable[[Answer], Body | None], /) -> Answer:
        """Send a row; where `follow` gives another at its answer, that one, and so on. Gives the last one's answer.

        Raises a RowError about the row sent last, or TargetUnusable.
        """


class Sender(Protocol[H_contra]):
    """The row call of a target: `send`, or in its place `line`, `judge` and what goes with them, by which rows that the
    target accepts follow each other at the speed of the wire.
    """

    async def send(self, handle: H_contra, body: Body) -> str:
        """Send one row; return the target's code of acceptance.

        Raises a RowError by recovery (the table in `deliver`), or TargetUnusable.
        """
        line = self.line(handle)
        assert line is not None, "a target has a row call, or a line for rows"
        answer = await self.reconsidered(handle, line, body, await line.post(body, lambda _: None))
        return await self.judge(handle, body, answer)

    def line(self, handle: H_contra) -> Line | None:
        """The way for rows on this session, as it is now; None: each goes by `send`."""
        return None

    async def reconsidered(self, handle: H_contra, line: Any, body: Body, answer: Answer) -> Answer:
        """The answer to go by: this one, which came on `line`, or that to the same row once more where the row was not
        looked at for a reason that is put right now, a token that has run out say. Raises like `send`.
        """
        return answer

    async def judge(self, handle: H_contra, body: Body, answer: Answer) -> str:
        """What an answer says of a row; returns and raises like `send`. It sends nothing again: an answer that has the
        status and the bytes of one of acceptance is taken for one and not judged any more.
        """
        raise AssertionError("a target with a line judges what comes on it")

    def accepted(self, handle: H_contra) -> None:
        """Rows were accepted on this session by answers that were not judged."""
        return
