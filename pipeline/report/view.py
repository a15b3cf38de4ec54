"""A run's progress as lines for a terminal of any size: a bar, counts, traffic, the last problems."""

from collections.abc import Iterable, Iterator
from typing import Final

from pipeline.report.progress import Reading
from pipeline.report.text import counts

#: A bar is so wide at least, and at most.
NARROW: Final = 8
WIDE: Final = 40


def view(reading: Reading, *, width: int, height: int, elapsed: float, plain: bool = False) -> list[tuple[str, str]]:
    """Lines no longer than `width`, fewer than `height`, each with what it is: stage, counts, traffic or problem.

    `elapsed` is how long it has been shown, in seconds: it moves a bar whose end is not known. `plain`: in ASCII.
    """
    lines = [("stage", line) for line in _stage(reading, width, elapsed, plain=plain)]
    if settled := counts(reading.counts):
        lines += (("counts", line) for line in _flowing(settled.split(", "), width, ", "))
    lines += (("traffic", line) for line in _flowing(reading.traffic, width, "; "))
    for problem in reading.problems:
        lines += (("problem", line) for line in _wrapped(f"! {problem}", width, "  "))
    return lines[: max(1, height - 1)]


def _stage(reading: Reading, width: int, elapsed: float, *, plain: bool) -> Iterator[str]:
    """Stage, bar, amount and pace: on one line where they fit, else on several."""
    share = reading.share
    said = [part for part in (reading.amount, reading.pace) if part]
    if share is not None:
        said.insert(0, f"{int(share * 100):3} %")
    tail = "  ".join(said)
    room = width - len(reading.stage) - len(tail) - 4
    if room >= NARROW and reading.phase != "stopping":
        bar = _bar(share, min(room, WIDE), elapsed, plain=plain)
        yield f"{reading.stage}  {bar}  {tail}".rstrip()
        return
    yield from _wrapped(reading.stage, width, "  ", most=4)
    if not said:
        return
    room = width - len(tail) - 2
    if room >= NARROW:
        yield f"{_bar(share, min(room, WIDE), elapsed, plain=plain)}  {tail}"
    else:
        yield from _flowing(said, width, "  ")


def _bar(share: float | None, width: int, elapsed: float, *, plain: bool) -> str:
    full, empty = ("#", "-") if plain else ("━", "─")
    if share is not None:
        done = int(share * width)
        return full * done + empty * (width - done)
    block = max(2, width // 5)  # it goes to and fro
    way = width - block
    at = int(elapsed * 8) % (2 * way) if way else 0
    at = min(at, 2 * way - at)
    return empty * at + full * block + empty * (width - block - at)


def _flowing(parts: Iterable[str], width: int, joint: str) -> Iterator[str]:
    """The parts side by side, on a new line where the next one does not fit."""
    line = ""
    for part in parts:
        if line and len(line) + len(joint) + len(part) > width:
            yield line[:width]
            line = part
        else:
            line = f"{line}{joint}{part}" if line else part
    if line:
        yield line[:width]


def _wrapped(text: str, width: int, indent: str, most: int = 2) -> Iterator[str]:
    import textwrap

    lines = textwrap.wrap(
        text, max(2, width), subsequent_indent=indent if width > 20 else "", max_lines=most, placeholder="..."
    )
    yield from (line[:width] for line in lines)
