"""Lets shells complete a value that is joined to its option, `--mode=up`.

What answers the shells (typer) knows what to offer for such a word, and then offers the value alone. bash splits the
word before it asks; zsh and fish compare what is offered with the whole word, and find that it is no beginning of it.
"""

import io
import os
import re
from collections.abc import Callable
from contextlib import redirect_stdout
from typing import Final

from pipeline.cli.terminal import say

#: In the environment: that a shell asks, and which one.
_ASKS: Final = "_CONTACT_PIPELINE_COMPLETE"

#: The word that is being typed, where its value can be completed.
_JOINED: Final = re.compile(r"(?:^|\s)(--[\w-]+=)\S*$")


def asked() -> bool:
    """Whether a shell asks."""
    return _ASKS in os.environ


def answered(answer: Callable[[], None]) -> None:
    """Let `answer`, which prints what it offers and exits, tell the shell that asks what it can use."""
    shell = os.environ.get(_ASKS, "").removeprefix("complete_")
    if shell == "bash":
        os.environ.update(_whole_words(os.environ))
    typed = _JOINED.search(os.environ.get("_TYPER_COMPLETE_ARGS", ""))
    if typed is None or shell not in ("zsh", "fish"):
        answer()
    elif shell == "zsh":  # it evaluates what is printed; by this the word begins behind the sign
        say(f"compset -P '{typed[1]}';")
        answer()
    else:
        offered = io.StringIO()
        try:
            with redirect_stdout(offered):
                answer()
        finally:
            say("\n".join(typed[1] + line for line in offered.getvalue().splitlines() if line))


def _whole_words(told: "os._Environ[str]") -> dict[str, str]:
    """What bash tells, with the words whole again that it has split at an equals sign."""
    words, current = told.get("COMP_WORDS", "").split("\n"), told.get("COMP_CWORD", "")
    whole: list[str] = []
    places = []
    for word, before in zip(words, ("", *words), strict=False):
        if whole and "=" in (word, before):
            whole[-1] += word
        else:
            whole.append(word)
        places.append(len(whole) - 1)
    if not current.isdecimal() or int(current) >= len(places):
        return {}
    return {"COMP_WORDS": "\n".join(whole), "COMP_CWORD": str(places[int(current)])}
