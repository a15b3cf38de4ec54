"""A run as GitHub Actions shows it: workflow commands, which become annotations, and a step summary in Markdown.

Commands and their escaping are GitHub's "Workflow commands"; of a kind it shows ten in a step, so no more are written.
"""

import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pipeline.records import Status
from pipeline.report.digest import Digest, Example, Finding, Weight
from pipeline.report.text import counts, line, number, rows, word

#: GitHub shows so many annotations of a kind in a step.
SHOWN: Final = 10

#: The step summary has so many reasons: GitHub takes a megabyte of it.
LISTED: Final = 50

_KINDS: Final = {Weight.ERROR: "error", Weight.WARNING: "warning", Weight.NOTICE: "notice"}

#: What means something in Markdown, or could begin a link: all ASCII punctuation but these: ' ( ) , -
_MARKUP: Final = re.compile(r"[!-&*+./:-@[-`{-~]")


def commands(digest: Digest, checkout: Path) -> str:
    """A line for each annotation: at most ten a kind, a reason each, with the file and line of its first row. Files are
    relative to `checkout`; what lies elsewhere has none.
    """
    what = "Check" if digest.checked else "Import"
    by_kind: dict[Weight, list[str]] = {weight: [] for weight in _KINDS}
    if digest.error:
        by_kind[Weight.ERROR].append(_command("error", {"title": f"{what}: {digest.headline}"}, digest.error))
    if told := counts(digest.counts):
        message = f"{digest.headline} {told}."
        by_kind[Weight.NOTICE].append(_command("notice", {"title": f"{what} of {rows(_total(digest))}"}, message))
    for weight, kind in _KINDS.items():
        found = [each for each in (*digest.findings, *digest.warnings) if each.weight is weight]
        room = SHOWN - len(by_kind[weight])
        shown, left = (found, []) if len(found) <= room else (found[: room - 1], found[room - 1 :])
        by_kind[weight] += [_annotation(kind, each, digest, checkout) for each in shown]
        if left:
            message = f"{number(len(left))} more reasons, {number(sum(each.count for each in left))} times in all."
            by_kind[weight].append(_command(kind, {"title": "And more"}, message))
    return "".join(f"{each}\n" for lines in by_kind.values() for each in lines)


def step_summary(digest: Digest) -> str:
    """The same in Markdown: counts and reasons as tables. No text of a list or a target can become markup in it."""
    of = f" into campaign {_text(digest.campaign)}" if digest.campaign and not digest.checked else ""
    lines = [f"### {'Check' if digest.checked else 'Import'}{of}", "", _text(digest.headline), ""]
    if digest.error:
        lines += [f"> {_text(each)}" for each in digest.error.splitlines()] + [""]
    if digest.counts:
        lines += ["| rows | status |", "|---:|---|"]
        lines += [f"| {number(digest.counts[s])} | {word(s)} |" for s in Status if digest.counts.get(s)]
        lines += [f"| {number(_total(digest))} | **in all** |", ""]
    lines += _reasons(digest.findings, "reason") + _reasons(digest.warnings, "warning")
    if digest.run_dir:
        lines += [f"Run: <code>{_text(digest.run_dir)}</code>", ""]
        open_rows = digest.counts.get(Status.PENDING, 0) + digest.counts.get(Status.IN_DOUBT, 0)
        if not digest.checked and (open_rows or not digest.ended):
            go_on = f"contact-pipeline resume {shlex.quote(digest.run_dir)}"
            lines += [f"Go on with: <code>{_text(go_on)}</code>", ""]
    return "\n".join(lines) + "\n"


def _reasons(found: Sequence[Finding], called: str) -> list[str]:
    if not found:
        return []
    lines = [f"| rows | status | {called} | first |", "|---:|---|---|---|"]
    for each in found[:LISTED]:
        first = _text(each.examples[0].words) if each.examples else ""
        status = "" if each.status is None else word(each.status)
        lines.append(f"| {number(each.count)} | {status} | {_text(each.reason)} | {first} |")
    if left := found[LISTED:]:
        lines.append(f"| {number(sum(each.count for each in left))} | | {number(len(left))} more | |")
    return [*lines, ""]


def _total(digest: Digest) -> int:
    return sum(digest.counts.values())


def _annotation(kind: str, found: Finding, digest: Digest, checkout: Path) -> str:
    properties = _place(found.examples[0], digest, checkout) if found.examples else {}
    status = "with a warning" if found.status is None else word(found.status)
    title = f"{rows(found.count)} {status}"
    examples = ", ".join(each.words for each in found.examples)
    where = "" if not examples else f" ({'first: ' if found.count > len(found.examples) else ''}{examples})"
    return _command(kind, {**properties, "title": title}, f"{found.reason}{where}")


def _place(example: Example, digest: Digest, checkout: Path) -> dict[str, str]:
    """File and line as properties of a command, where the file is part of the checkout."""
    path = digest.paths.get(example.source)
    if path is None or not Path(path).is_relative_to(checkout):
        return {}
    file = {"file": line(Path(path).relative_to(checkout).as_posix())}
    return file if example.line is None else {**file, "line": str(example.line)}


def _command(kind: str, properties: dict[str, str], message: str) -> str:
    told = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
    return f"::{kind} {told}::{_message(message)}"


def _message(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _message(text).replace(":", "%3A").replace(",", "%2C")


def _text(text: str) -> str:
    """Foreign text as Markdown: what could mean something there is written as a character reference."""
    return _MARKUP.sub(lambda found: f"&#{ord(found[0])};", line(text))
