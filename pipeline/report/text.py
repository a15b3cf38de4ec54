"""Numbers, spans of time and foreign text, in words that fit on a terminal."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from pipeline.logs import mask
from pipeline.records import Status

#: A row or a line that a text names.
PLACE: Final = re.compile(r"\b(row|line) \d[\d,]*")


def number(value: int) -> str:
    """12345 as "12,345"."""
    return f"{value:,}"


def rows(count: int) -> str:
    """1 as "1 row", 12345 as "12,345 rows"."""
    return f"{count:,} row" if count == 1 else f"{count:,} rows"


def contacts(count: int) -> str:
    """1 as "1 contact", 12345 as "12,345 contacts"."""
    return f"{count:,} contact" if count == 1 else f"{count:,} contacts"


def rate(per_second: float) -> str:
    """Rows per second; slow ones with a decimal."""
    return f"{per_second:,.0f} rows/s" if per_second >= 10 else f"{per_second:.1f} rows/s"


def span(seconds: float, *, whole: bool = False) -> str:
    """A span of time: "0.4 s", "42 s", "3 min 20 s", "2 h 5 min"; `whole`: without tenths of a second."""
    if seconds < 10 and not whole:
        return f"{seconds:.1f} s"
    told = round(seconds)
    if told < 60:
        return f"{told} s"
    if told < 3600:
        return f"{told // 60} min {told % 60} s"
    return f"{told // 3600} h {told % 3600 // 60} min"


def left(seconds: float) -> str:
    """A span that is still to come, no finer than it is known: "42 s", "3 min 20 s", "25 min", "2 h 5 min"."""
    if seconds < 60:
        return span(seconds, whole=True)
    if seconds < 600:
        return span(round(seconds, -1)).removesuffix(" 0 s")
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min".removesuffix(" 0 min")


def latency(seconds: float) -> str:
    """How long an answer took: "0.42 ms", "7.1 ms", "250 ms", "2.5 s", "3 min 20 s"."""
    if seconds >= 10:
        return span(seconds)
    if seconds >= 1:
        return f"{seconds:.1f} s"
    value = seconds * 1000
    return f"{value:.{0 if value >= 100 else 1 if value >= 1 else 2}f} ms"


def word(status: Status) -> str:
    """A status as prose has it."""
    return status.value.replace("_", " ")


def counts(by_status: Mapping[Status, int]) -> str:
    """The counts that are not zero: "accepted 38, invalid 9"."""
    return ", ".join(f"{word(status)} {number(by_status[status])}" for status in Status if by_status.get(status))


def alike(texts: Mapping[str, int]) -> dict[str, int]:
    """Texts that differ only in the row or line that they name are one, in the order of their first."""
    merged: dict[str, int] = {}
    for text, count in texts.items():
        general = PLACE.sub(r"\1 ...", text)
        merged[general] = merged.get(general, 0) + count
    return merged


def tally(texts: Mapping[str, int], limit: int, others: str = "reason") -> list[tuple[int, str]]:
    """The commonest texts with their counts, and as a last line what is left out. Equal counts go by the alphabet."""
    common = sorted(alike(texts).items(), key=lambda item: (-item[1], item[0]))
    listed = [(count, safe(text)) for text, count in common[:limit]]
    if left := common[limit:]:
        rest = f"1 other {others}" if len(left) == 1 else f"{number(len(left))} other {others}s"
        listed.append((sum(count for _, count in left), f"for {rest}"))
    return listed


def table(lines: Sequence[tuple[int, str]], indent: str = "  ") -> list[str]:
    """Counts and texts, the counts right-aligned."""
    width = max((len(number(count)) for count, _ in lines), default=0)
    return [f"{indent}{number(count):>{width}}  {text}" for count, text in lines]


def cut(text: str, width: int) -> str:
    """No more of a text than fits a line, with dots where it was cut."""
    return text if len(text) <= width else text[: width - 3].rstrip() + "..."


def line(text: str) -> str:
    """Foreign text on one line, whole: control characters, and those that turn text about, are blanks."""
    return "".join(char if char.isprintable() else " " for char in text)


def safe(text: str) -> str:
    """Foreign text on one line, with what looks like a destination masked."""
    return mask(line(text))


class Whole(str):
    """A line that is pasted, or read by a program: it is never broken."""

    __slots__ = ()


def wrapped(text: str, width: int) -> list[str]:
    """A line as lines of a screen of so many columns, broken between words; those that follow are indented."""
    if len(text) <= width or isinstance(text, Whole):
        return [text]
    import textwrap

    body = text.lstrip()
    start = text[: len(text) - len(body)]
    return textwrap.wrap(
        body,
        width,
        initial_indent=start,
        subsequent_indent=f"{start}  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def fitting(forms: Iterable[Sequence[str]], width: int, height: int) -> list[str]:
    """The first of the forms of a text, longest first, that leaves a line free on a screen of so many columns and
    lines; else the last. Its lines are wrapped.
    """
    lines: Sequence[str] = ()
    for form in forms:
        lines = [part for each in form for part in wrapped(each, width)]
        if sum(max(1, -(-len(each) // width)) for each in lines) < height:
            break
    return list(lines)
