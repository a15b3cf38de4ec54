"""Where a run stands, on one screen or as JSON, from its files alone."""

import json
import shlex
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol

from pipeline.ledger.summary import Summary
from pipeline.records import Status
from pipeline.report.plan import SCREEN
from pipeline.report.summary import summary, undo_summary
from pipeline.report.text import number, rows, safe, span, table, word

#: What is left of a screen below the first lines, in columns and lines.
_REST: Final = (SCREEN[0], SCREEN[1] - 4)


class Standing(Protocol):
    """What the files of a run say."""

    @property
    def run_dir(self) -> Path: ...
    @property
    def created(self) -> datetime: ...
    @property
    def updated(self) -> datetime: ...
    @property
    def campaign(self) -> str: ...
    @property
    def rows(self) -> int | None: ...
    @property
    def to_send(self) -> int | None: ...
    @property
    def delivered(self) -> Mapping[Status, int]: ...
    @property
    def begun(self) -> int: ...
    @property
    def finished(self) -> bool: ...
    @property
    def summary(self) -> Summary | None: ...
    @property
    def undo_begun(self) -> bool: ...
    @property
    def undo(self) -> Summary | None: ...


def text(standing: Standing, now: datetime | None = None) -> str:
    """One screen; its last line names the run directory. `now` is the present, in UTC."""
    ago = ((now or datetime.now(UTC)) - standing.updated).total_seconds()
    head = (
        f"Campaign {safe(standing.campaign)}; begun {standing.created:%Y-%m-%d %H:%M:%S} UTC, "
        f"journal last written {span(max(0.0, ago))} ago."
    )
    if standing.undo is not None:
        return "\n".join([head, "This run was undone, in whole or in part:", undo_summary(standing.undo, screen=_REST)])
    if standing.undo_begun:
        go_on = f"contact-pipeline undo {shlex.quote(str(standing.run_dir))}"
        return "\n".join([head, f"Its undo goes on, or was killed; then: {go_on}", f"Run: {standing.run_dir}"])
    if standing.summary is not None:
        why = [safe(standing.summary.error)] if standing.summary.error else []
        return "\n".join([head, *why, summary(standing.summary, screen=_REST)])
    of = "" if standing.rows is None else f" of an input of {rows(standing.rows)}"
    if standing.to_send is not None:
        of += f", of which {number(standing.to_send)} can be sent"
    lines = [head, f"Not ended: it goes on, or was killed. Sent so far{of}:"]
    lines += table([(standing.delivered[status], word(status)) for status in Status if standing.delivered.get(status)])
    lines += table([(sum(standing.delivered.values()), "rows settled by sending")])
    if standing.begun:
        lines.append(
            f"{rows(standing.begun)} may have been sent and have no outcome on record. If the run was killed: "
            f"contact-pipeline resume {shlex.quote(str(standing.run_dir))}"
        )
    return "\n".join([*lines, f"Run: {standing.run_dir}"])


def as_json(standing: Standing) -> str:
    """The same for scripts."""
    ended = standing.summary
    return json.dumps(
        {
            "run_dir": str(standing.run_dir),
            "campaign": standing.campaign,
            "created": standing.created.isoformat(),
            "updated": standing.updated.isoformat(),
            "finished": standing.finished,
            "rows": standing.rows,
            "to_send": standing.to_send,
            "begun": standing.begun,
            "delivered": {status.value: standing.delivered.get(status, 0) for status in Status},
            "summary": None if ended is None else json.loads(ended.to_json()),
            "undo_begun": standing.undo_begun,
            "undo": None if standing.undo is None else json.loads(standing.undo.to_json()),
        },
        indent=2,
    )
