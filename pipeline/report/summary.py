"""How a run ended, in words: counts, reasons, speed, and where its files lie."""

import shlex
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Final

from pipeline.ledger.files import NOT_ATTEMPTED
from pipeline.ledger.rundirectory import RunDirectory
from pipeline.ledger.summary import Summary
from pipeline.records import MENDABLE, NOT_ADDED, Status
from pipeline.report import plan
from pipeline.report.text import number, rate, rows, safe, span, table, tally, word

#: So many different reasons and codes are shown; the ledger holds all of them.
REASONS: Final = 10
CODES: Final = 5

_HEADLINES: Final = {
    0: "Finished.",
    1: "Finished; some rows need a look.",
    3: "Stopped: too many bad rows, or the list is not as expected.",
    4: "Ended with rows in doubt: whether the target holds them is not known.",
    5: "Stopped: the target cannot be reached. Try again later.",
    6: "Stopped: the target refuses. A person must act first.",
    8: "Stopped: this machine failed.",
    130: "Stopped by SIGINT.",
    143: "Stopped by SIGTERM.",
}


_UNDO_HEADLINES: Final = {
    0: "Taken back: nothing of what this run had added is in the campaign any more.",
    1: "Finished; some contacts could not be taken back.",
    4: "Ended in doubt: whether some contacts are gone is not known.",
}

#: What a status means for a contact that is taken back; the others were not this run's.
UNDO_WORDS: Final = {
    Status.ACCEPTED: "taken back",
    Status.REJECTED: "still there: the target refused to delete them",
    Status.FAILED: "still there: all attempts used",
    Status.IN_DOUBT: "in doubt: gone or not",
    Status.PENDING: "not taken back yet",
}


def undo_summary(ended: Summary) -> str:
    """The text at the end of `undo`; its last line names the run directory."""
    counts = [(ended.counts[status], text) for status, text in UNDO_WORDS.items() if ended.counts.get(status)]
    reasons = {reason: count for reason, count in ended.reasons.items() if not reason.startswith(NOT_ADDED)}
    directory = RunDirectory(Path(ended.run_dir))
    ledgers = _ledgers(directory.undo)
    go_on = f"Go on with: contact-pipeline undo {shlex.quote(ended.run_dir)}"
    lines = [
        _UNDO_HEADLINES.get(ended.exit_code) or headline(ended, checked=False),
        *table([*counts, (sum(count for count, _ in counts), "contacts that this run had added")]),
        go_on if ended.counts.get(Status.PENDING) or ended.counts.get(Status.IN_DOUBT) else "",
        *_reasons(reasons),
        *_codes(ended),
        *_learnt(ended),
        _pace(ended, "deleting"),
        *ledgers,
        f"Run: {ended.run_dir}",
    ]
    return "\n".join(line for line in lines if line)


def summary(
    ended: Summary, *, checked: bool = False, survey: plan.Surveyed | None = None, told: Collection[str] = ()
) -> str:
    """The text at the end of `import` and `check` (`checked`); its last line names the run directory.

    A check also shows what its `survey` has found, and how its sources were read; `told` as in `plan.read`.
    """
    why = _reasons(ended.reasons)
    lines = [
        headline(ended, checked=checked),
        *(() if survey is None else plan.read(survey.sources, told)),
        *_counts(ended.counts, ended.rows),
        *_advice(ended, checked=checked),
        *(why if survey is None else [*why[:1], *plan.reasons(survey), *plan.outlook(survey)]),
        *_codes(ended),
        *_learnt(ended),
        _pace(ended, "sending"),
        *_files(ended),
        f"Run: {ended.run_dir}",
    ]
    return "\n".join(line for line in lines if line)


def headline(ended: Summary, *, checked: bool) -> str:
    """How it ended, in one sentence."""
    if checked and ended.exit_code == 0:
        return "Checked: every row can be sent, or is left out by policy."
    if checked and ended.exit_code == 1:
        return "Checked: some rows cannot be sent."
    return _HEADLINES.get(ended.exit_code, "Ended.")


def _counts(by_status: dict[str, int], total: int) -> list[str]:
    shown = [(by_status[status], word(status)) for status in Status if by_status.get(status)]
    return table([*shown, (total, "rows in all")])


def _advice(ended: Summary, *, checked: bool) -> list[str]:
    """How to go on with a run that is not done."""
    left = ended.counts.get(Status.PENDING, 0) + ended.counts.get(Status.IN_DOUBT, 0)
    if checked or not left:
        return []
    lines = [f"Go on with: contact-pipeline resume {shlex.quote(ended.run_dir)}"]
    if ended.counts.get(Status.IN_DOUBT):
        lines.append(
            "Rows in doubt were sent and not answered; resume asks the target before it sends one of them again. What "
            "stays in doubt its list cannot tell: look there for the rows that the ledger names."
        )
    return lines


def _reasons(reasons: Mapping[str, int]) -> list[str]:
    # That a pending row was not attempted is what pending means.
    told = {reason: count for reason, count in reasons.items() if reason != NOT_ATTEMPTED}
    return ["Reasons:", *table(tally(told, REASONS))] if told else []


def _codes(ended: Summary) -> list[str]:
    told = {code: count for code, count in ended.codes.items() if code != "0"}
    if not told:
        return []
    listed = ", ".join(f"{safe(code)} ({rows(count)})" for count, code in tally(told, CODES))
    return [f"Codes of the target: {listed}."]


def _learnt(ended: Summary) -> list[str]:
    lines = [f"  {safe(line)}" for line in ended.learnt]
    return ["Learnt about the target; keep it in the configuration:", *lines] if lines else []


def _pace(ended: Summary, doing: str) -> str:
    seconds, sessions = ended.seconds, ended.sessions
    parts = [f"Took {span(seconds.total)}"]
    if seconds.sending:
        parts.append(f"{doing} {span(seconds.sending)} at {rate(ended.rate)}")
    if sessions.opened:
        told = (("opened", sessions.opened), ("renewed", sessions.renewed), ("closed", sessions.closed))
        parts.append("sessions " + ", ".join(f"{name} {number(count)}" for name, count in told))
        if sessions.expired:
            parts.append(f"{number(sessions.expired)} expired")
    return "; ".join(parts) + "."


def _files(ended: Summary) -> list[str]:
    directory = RunDirectory(Path(ended.run_dir))
    lines = _ledgers(directory)
    mendable = sum(ended.counts.get(status, 0) for status in MENDABLE)
    if mendable and directory.resubmit.exists():
        lines.append(f"Resubmit: {directory.resubmit} ({rows(mendable)} to mend and import again)")
    return lines


def _ledgers(directory: RunDirectory) -> list[str]:
    ledgers = [path for path in (directory.ledger_parquet, directory.ledger_csv) if path.exists()]
    return [f"Ledger: {_listed(ledgers)}"] if ledgers else []


def _listed(paths: Sequence[Path]) -> str:
    return ", ".join(str(path) for path in paths)
