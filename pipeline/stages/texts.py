"""The texts of one channel, a batch at a time: filled, and what is to be said of them."""

from dataclasses import dataclass

import polars as pl

from pipeline.stages.segments import too_many
from pipeline.stages.verdicts import only, say
from pipeline.template import Template, blank


@dataclass(frozen=True, slots=True)
class Written:
    """The texts of one channel in one batch, one value per row."""

    text: pl.Series  # str: as it is sent; null where the channel is not used
    fault: pl.Series  # str: why it cannot be sent; null: it can
    remarks: tuple[pl.Series, ...]  # str each: what to know of one that can; null: nothing


def write(channel: str, template: Template, frame: pl.DataFrame, used: pl.Series, segments: int) -> Written:
    """The texts of the rows that are `used`. `segments`: a text that needs more is remarked on; 0: none is.

    The text of a mail is HTML, as the campaign's own is ("HtmlContent"), so what stands in the cells is escaped.
    """
    text = only(template.fill(frame, html=channel == "email"), used)
    empty = used & blank(text) if not template.literals.strip() else used & ~used
    names = ", ".join(repr(name) for name in template.columns)
    place = f"column{'s' if len(template.columns) > 1 else ''} {names}"
    told = used & ~empty
    remarks = [
        say(told & blank(frame[name]), f"{channel}: column {name!r} is empty in its text") for name in template.bare
    ]
    if segments:
        remarks.append(f"{channel}: " + too_many(text, segments))
    return Written(text, say(empty, f"{place}: the text of {channel} is empty"), tuple(remarks))
