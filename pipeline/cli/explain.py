"""The command `explain`: what an exit code, a status, a reason or an error means, and what to do about it."""

import json
import shutil
from dataclasses import asdict
from typing import Annotated

import typer

from pipeline.cli import choices
from pipeline.cli.ending import ending
from pipeline.cli.terminal import say

#: Wider lines than these are hard to read.
_WIDEST = 100


def explain(
    topic: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="CODE|STATUS|REASON",
            help="An exit code, a status, a reason or warning as the ledger has it, or the name of an error.",
            autocompletion=choices.topics,
        ),
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print it as JSON: a list of topics.")] = False,
) -> None:
    """Say what a code, a status or a reason means, and what to do.

    Without one, list all of them. A reason with several causes is explained cause by cause.

    Exit codes: 0 explained; 2 nothing is known of it, or several things may be meant.
    """
    with ending():
        from pipeline.errors import UsageError
        from pipeline.report import explain as report

        known = report.topics()
        try:
            found = report.find(" ".join(topic), known) if topic else list(known)
        except report.UnknownTopicError as error:
            raise UsageError(f"explain: {error}") from None
        if json_:
            say(json.dumps([asdict(each) for each in found], ensure_ascii=False, indent=2))
        elif topic:
            width = min(_WIDEST, shutil.get_terminal_size((_WIDEST, 0)).columns)
            say("\n\n".join(report.text(each, width) for each in found))
        else:
            say(report.contents(known))
