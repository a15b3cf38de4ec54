"""What to do after a run, with the exact commands: those of the topics of `explain`, as far as they concern the run."""

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pipeline.records import MENDABLE, Status
from pipeline.report import again, explain
from pipeline.report.digest import Digest

#: What `resume --again` sends once more.
_AGAIN: Final = (Status.FAILED, Status.REJECTED)


#: So many sources are named in a command.
_NAMED: Final = 5


@dataclass(frozen=True, slots=True)
class Steps:
    """What to do, in words, and the commands for it; `commands` may be empty."""

    happened: str
    look: str
    act: str
    commands: tuple[str, ...]


_CHECKED: Final = {
    0: Steps(
        "It was a check: nothing was sent. Every row could be, or is left out by policy.",
        "",
        "Import the list.",
        ("contact-pipeline import SOURCE --config FILE",),
    ),
    1: Steps(
        "It was a check: nothing was sent. Some rows could not be, and an import would leave them out.",
        "The problems below, and resubmit.csv in the run directory: _status, _column and _reason of every such row.",
        "Mend the list and check it again; or import it as it is, and mend the rows in resubmit.csv afterwards.",
        ("contact-pipeline check SOURCE --config FILE", "contact-pipeline import SOURCE --config FILE"),
    ),
}

_NOT_ENDED: Final = Steps(
    "It goes on, or was killed: there is no account of it yet. What is told here comes from its journal.",
    "The first of these commands tells whether it goes on.",
    "If it was killed, go on with it: what may have been sent is asked for before anything is sent again.",
    ("contact-pipeline status RUN_DIR", "contact-pipeline resume RUN_DIR"),
)

_UNDO: Final = "contact-pipeline undo RUN_DIR"


def steps(digest: Digest, topics: Sequence[explain.Topic]) -> Steps:
    """What to do after this run; its commands are those for its directory, configuration and sources."""
    if digest.undone:
        found = _taken_back(digest)
    elif digest.exit_code is None:
        found = _NOT_ENDED
    elif digest.checked and digest.exit_code in _CHECKED:
        found = _CHECKED[digest.exit_code]
    else:
        [topic] = explain.find(str(digest.exit_code), topics)
        found = Steps(_of_runs(topic.happened), _of_runs(topic.look), _of_runs(topic.act), topic.commands)
    fill = _filling(digest)
    return Steps(
        found.happened, found.look, found.act, tuple(map(fill, filter(_concerns(digest.counts), found.commands)))
    )


def _taken_back(digest: Digest) -> Steps:
    left = digest.undo is None or any(digest.undo.counts.get(status) for status in (Status.PENDING, Status.IN_DOUBT))
    act = (
        "Go on with the undo until nothing of it is open." if left else "Nothing. To import the list, begin a new run."
    )
    return Steps("What this run had added was taken back, in whole or in part.", "", act, (_UNDO,) if left else ())


def _of_runs(text: str) -> str:
    """The sentences that do not speak of `verify`, which ends with the same codes."""
    sentences = text.replace(". ", ".\n").split("\n")
    return " ".join(each for each in sentences if not each.startswith(("`verify`", "From `verify`")))


def _concerns(counts: Mapping[Status, int]) -> Callable[[str], bool]:
    """Whether a command has anything to do in a run of such counts."""
    mendable, repeatable = (any(counts.get(status) for status in which) for which in (MENDABLE, _AGAIN))
    return lambda command: (mendable or "resubmit.csv" not in command) and (repeatable or "--again" not in command)


def _filling(digest: Digest) -> Callable[[str], str]:
    """Puts in place of RUN_DIR, FILE, SOURCE and the statuses what they are for this run, where that is known."""
    sources = [source["name"] for source in digest.record.get("source", ())]
    known = {
        "failed,rejected": ",".join(status for status in _AGAIN if digest.counts.get(status)),
        "RUN_DIR": shlex.quote(digest.run_dir) if digest.run_dir else "",
        "--config FILE": shlex.join(again.options(digest.record)),
        "SOURCE": shlex.join(sources) if len(sources) <= _NAMED else "",
    }

    # All at once: what is filled in may hold another's name.
    names = re.compile("|".join(name for name, value in known.items() if value) or "(?!)")
    return lambda text: names.sub(lambda found: known[found[0]], text)
