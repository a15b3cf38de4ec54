"""Whether a mapping fits: its templates and region by themselves, its columns against those of a source."""

from collections.abc import Sequence
from difflib import get_close_matches

import polars as pl

from pipeline.config import ContactsSettings, needed_columns
from pipeline.stages.destinations.phone import check_region
from pipeline.stages.sources.names import nameless, repeats
from pipeline.stages.verdicts import code_point
from pipeline.template import Template


def check_mapping(contacts: ContactsSettings) -> list[str]:
    """What is wrong with a mapping whatever the source: one line each, beginning with its place."""
    problems = [problem] if (problem := check_region(contacts.region)) else []
    for field, filled in contacts.fields.items():
        try:
            Template.parse(filled)
        except ValueError as error:
            problems.append(f"contacts.fields.{field}: {error}")
    for channel, mapping in contacts.channels.items():
        for field, text in (("destination", mapping.destination), ("text", mapping.text)):
            if text is None:
                continue
            place = f"contacts.{channel}.{field}"
            try:
                template = Template.parse(text)
            except ValueError as error:
                problems.append(f"{place}: {error}")
                continue
            if field == "destination" and not template.columns:
                problems.append(f"{place}: names no column, so every row would have the same: write {{column}}")
            elif field == "destination" and any(each.default for each in template.placeholders):
                problems.append(f"{place}: has a default, to which many rows would be sent: leave it out")
            elif not template.columns and not template.literals.strip():
                advice = (
                    "leave it out to send the campaign's own text" if field == "text" else "name a column: {column}"
                )
                problems.append(f"{place}: is empty; {advice}")
    return problems


def check_columns(columns: Sequence[str], contacts: ContactsSettings, source: str) -> list[str]:
    """The columns of the mapping that `source` does not have: one line each, beginning with the place in the config."""
    lacking = {name: place for name, place in needed_columns(contacts).items() if name not in columns}
    if lacking and (problem := nameless(columns, source)) is not None:
        return [problem]  # what the columns are called would be what the first person's cells hold
    there = ", ".join(columns) or "none"
    problems = []
    for name, place in lacking.items():
        if several := repeats(name, columns):
            choice = " or ".join(repr(column) for column in several)
            problems.append(f"{place}: {source} has {len(several)} columns called {name!r}; write which: {choice}")
            continue
        meant = _nearest(name, columns)
        advice = f"; did you mean {meant!r}?" if meant is not None else "."
        problems.append(f"{place}: {source} has no column {name!r}{advice} Its columns: {there}")
    return problems


def check_characters(contacts: ContactsSettings, forbidden: str) -> list[str]:
    """The templates that hold, in their own text, what the target cannot carry: every row would be refused for it.

    `forbidden` is a regular expression in Rust's syntax, or empty.
    """
    problems = []
    places = {f"fields.{field}": text for field, text in contacts.fields.items()}
    for channel, mapping in contacts.channels.items():
        places |= {f"{channel}.destination": mapping.destination, f"{channel}.text": mapping.text or ""}
    for place, text in places.items():
        own = pl.Series([Template.parse(text).own])
        if forbidden and (found := own.str.extract(f"({forbidden})", 1).item()):
            words = f"holds a character ({code_point(found)}) that the target cannot carry"
            problems.append(f"contacts.{place}: {words}")
    return problems


def _nearest(name: str, columns: Sequence[str]) -> str | None:
    def plain(text: str) -> str:
        return "".join(character for character in text.casefold() if character.isalnum())

    by_plain = {plain(column): column for column in reversed(columns)}
    found = get_close_matches(plain(name), list(by_plain), n=1, cutoff=0.7)
    return by_plain[found[0]] if found else None
