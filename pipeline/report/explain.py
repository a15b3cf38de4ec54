"""What exit codes, statuses, reasons and errors mean, and what to do about each: the texts stand in topics.toml.

A reason is recognised by its fixed words, wherever they stand: `*` in them is what differs from row to row.
"""

import re
import textwrap
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from functools import cache
from importlib.resources import files
from typing import Any, Final

#: The kinds of topics, in the order in which they are listed; each is a list of tables in topics.toml.
KINDS: Final = {"exit": "exit code", "status": "status", "reason": "reason", "warning": "warning", "error": "error"}

#: So many are named where a topic is unknown, or several may be meant.
_NAMED: Final = 6
#: What a topic that is named for an unknown one has in common with it, at least (SequenceMatcher.ratio).
_NEAR: Final = 0.55
_WIDTH: Final = 100


@dataclass(frozen=True, slots=True)
class Topic:
    """One thing that can be explained."""

    kind: str  # a key of KINDS
    names: tuple[str, ...]  # how it is asked for; of a reason or warning its words, with * for what differs
    meaning: str  # in a few words, as a table has it; empty for reasons and warnings, whose words say it
    happened: str  # what happened, one to three sentences
    look: str  # where to look
    act: str  # what to do
    commands: tuple[str, ...]  # to run next, as they are typed; capitals stand for what is one's own
    see: tuple[str, ...]  # names of other topics

    @property
    def title(self) -> str:
        """Kind and names."""
        return f"{KINDS[self.kind]} {', '.join(self.names)}"


class UnknownTopicError(Exception):
    """Nothing, or more than one thing, may be meant; the text says which are near."""


@cache
def topics() -> tuple[Topic, ...]:
    """All there are, by kind."""
    tables = tomllib.loads(files("pipeline.report").joinpath("topics.toml").read_text(encoding="utf-8"))
    return tuple(_topic(kind, table) for kind in KINDS for table in tables[kind])


def find(asked: str, among: Sequence[Topic]) -> list[Topic]:
    """What a name, or a text in which reasons stand, means: one topic for each, of a reason with those of its words
    that were met. Raises UnknownTopicError.
    """
    asked = " ".join(asked.split()).rstrip(".")
    by_name = {name.casefold(): topic for topic in among for name in topic.names}
    for name in (asked, asked.replace(" ", "_").replace("-", "_"), re.sub(r"(?i)^exit (?:code )?", "", asked)):
        if topic := by_name.get(name.casefold()):
            return [topic]
    if found := spoken_of(asked, among):
        return found
    part = [topic for topic in among if any(asked.casefold() in name.casefold() for name in topic.names)]
    if asked and len(part) == 1:
        met = tuple(name for name in part[0].names if asked.casefold() in name.casefold())
        return [replace(part[0], names=met)]
    if asked and part:
        raise UnknownTopicError(f"{asked!r} may be one of several: {_named(part)}. Say which.")
    raise UnknownTopicError(f"nothing is known of {asked!r}. {_nearest(asked, among)}")


def text(topic: Topic, width: int = _WIDTH) -> str:
    """A topic for a person; `width` in characters. Commands are never broken."""
    lines = [f"{topic.title}: {topic.meaning}" if topic.meaning else topic.title]
    for label, words in (("What happened", topic.happened), ("Where to look", topic.look), ("What to do", topic.act)):
        lines += textwrap.wrap(f"{label}: {words}", width, subsequent_indent="  ", break_on_hyphens=False)
    lines += [f"    {command}" for command in topic.commands]
    if topic.see:
        lines.append(f"See also: {', '.join(topic.see)}")
    return "\n".join(lines)


def contents(among: Sequence[Topic]) -> str:
    """All topics, a line each, by kind."""
    lines = []
    for kind, title in KINDS.items():
        lines.append(f"{title.capitalize()}{'es' if title.endswith('s') else 's'}:")
        lines += [
            f"  {', '.join(topic.names)}" + (f": {topic.meaning}" if topic.meaning else "")
            for topic in among
            if topic.kind == kind
        ]
    lines.append("To have one explained: contact-pipeline explain NAME, or a reason as the ledger has it, in quotes.")
    return "\n".join(lines)


def as_table(kind: str, among: Sequence[Topic]) -> str:
    """The topics of a kind as a table of Markdown."""
    head = {"exit": "code"}.get(kind, kind)
    mark = "" if kind == "exit" else "`"
    rows = [f"| {', '.join(f'{mark}{n}{mark}' for n in t.names)} | {t.meaning} |" for t in among if t.kind == kind]
    return "\n".join([f"| {head} | meaning |", "|---|---|", *rows])


def _topic(kind: str, table: dict[str, Any]) -> Topic:
    return Topic(
        kind=kind,
        names=tuple(table["names"]),
        meaning=table.get("meaning", ""),
        happened=table["happened"],
        look=table["look"],
        act=table["act"],
        commands=tuple(table.get("commands", ())),
        see=tuple(table.get("see", ())),
    )


def spoken_of(asked: str, among: Sequence[Topic]) -> list[Topic]:
    """The reasons that stand in a text, in their order; of those that overlap, the one that says more."""
    found = [
        (match.start(), match.end(), len(words), replace(topic, names=(words,)))
        for topic in among
        if topic.kind in ("reason", "warning")
        for words in topic.names
        for match in _pattern(words).finditer(asked)
    ]
    taken: list[tuple[int, int, int, Topic]] = []
    for start, end, size, topic in sorted(found, key=lambda each: (each[0] - each[1], -each[2])):
        if all(end <= other[0] or start >= other[1] for other in taken):
            taken.append((start, end, size, topic))
    return list(dict.fromkeys(topic for _, _, _, topic in sorted(taken, key=lambda each: each[0])))


@cache
def _pattern(words: str) -> re.Pattern[str]:
    """Finds words at the start of a text or after a colon, a semicolon or a bracket, and to the end of a word.

    A `*` that comes first is a name.
    """
    name, rest = (r"[\w.]+", words[1:]) if words.startswith("*") else ("", words)
    fixed = name + ".*?".join(map(re.escape, rest.split("*")))
    return re.compile(rf"(?:(?<=^)|(?<=[:;] )|(?<=\()){fixed}(?!\w)", re.IGNORECASE | re.DOTALL)


def _nearest(asked: str, among: Sequence[Topic]) -> str:
    if re.fullmatch(r"-?\d+", asked):
        return (
            "If it is a code that the target answered, the target's own documentation tells; what codes mean to an "
            "import is set in target.codes."
        )
    folded = asked.casefold()
    scores = [
        (max(SequenceMatcher(None, folded, name.casefold()).ratio() for name in topic.names), topic) for topic in among
    ]
    near = [topic for score, topic in sorted(scores, key=lambda each: -each[0]) if score >= _NEAR]
    all_of_them = "`contact-pipeline explain` lists what there is."
    return f"Nearest: {_named(near)}. {all_of_them}" if near else all_of_them


def _named(some: Sequence[Topic]) -> str:
    names = [f'"{topic.names[0]}"' if " " in topic.names[0] else topic.names[0] for topic in some[:_NAMED]]
    return ", ".join(names) + (f" and {len(some) - _NAMED} more" if len(some) > _NAMED else "")
