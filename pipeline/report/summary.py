"""How a run ended, in words: counts, reasons, speed, and where its files lie."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Final

from pipeline.ledger.files import NOT_ATTEMPTED
from pipeline.ledger.rundirectory import RunDirectory
from pipeline.ledger.summary import Summary
from pipeline.records import MENDABLE, NOT_ADDED, UNSENT, Status
from pipeline.report import plan
from pipeline.report.again import command, import_checked, import_resubmit
from pipeline.report.text import Whole, alike, counts, cut, fitting, number, rate, rows, safe, span, table, tally, word

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


_DOUBT: Final = (
    "Rows in doubt were sent and not answered; resume asks the target before it sends one of them again. What stays in "
    "doubt its list cannot tell: look there for the rows that the ledger names."
)
_DOUBT_BRIEFLY: Final = "Rows in doubt were sent and not answered: resume asks the target first."


def undo_summary(ended: Summary, *, screen: tuple[int, int] = plan.SCREEN) -> str:
    """The text at the end of `undo`; its last line names the run directory."""
    fates = [(ended.counts[status], text) for status, text in UNDO_WORDS.items() if ended.counts.get(status)]
    reasons = {reason: count for reason, count in ended.reasons.items() if not reason.startswith(NOT_ADDED)}
    directory = RunDirectory(Path(ended.run_dir))
    go_on = Whole(f"Go on with: {command('undo', ended.run_dir)}")

    def form(extent: plan.Extent) -> list[str]:
        lines = [
            _UNDO_HEADLINES.get(ended.exit_code) or headline(ended, checked=False),
            *table([*fates, (sum(count for count, _ in fates), "contacts that this run had added")]),
            go_on if ended.counts.get(Status.PENDING) or ended.counts.get(Status.IN_DOUBT) else "",
            *_explained(ended),
            *_reasons(reasons, extent, screen[0]),
            *_codes(ended, extent, screen[0]),
            *_learnt(ended),
            _pace(ended, "deleting"),
            *_ledgers(directory.undo),
            Whole(f"Run: {ended.run_dir}"),
        ]
        return [line for line in lines if line]

    return "\n".join(fitting(map(form, plan.EXTENTS), *screen))


def summary(
    ended: Summary,
    *,
    checked: bool = False,
    survey: plan.Surveyed | None = None,
    told: Collection[str] = (),
    screen: tuple[int, int] = plan.SCREEN,
) -> str:
    """The text at the end of `import` and `check` (`checked`), which fits a screen of so many columns and lines; its
    last line names the run directory.

    A check also shows what its `survey` has found, and how its sources were read; `told` as in `plan.read`.
    """

    def form(extent: plan.Extent) -> list[str]:
        why = _reasons(ended.reasons, extent, screen[0], ended.run_dir)
        if survey is not None:
            why = [*why[:1], *plan.reasons(survey, extent.reasons), *plan.outlook(survey, extent, screen[0])]
        lines = [
            headline(ended, checked=checked),
            *(() if survey is None else plan.read(survey.sources, told, extent.sources)),
            *_counts(ended, tabled=extent.table),
            *_advice(ended, checked=checked, brief=not extent.whole),
            *why,
            *_codes(ended, extent, screen[0]),
            *_learnt(ended),
            _pace(ended, "sending"),
            *_files(ended),
            Whole(f"Run: {ended.run_dir}"),
        ]
        return [line for line in lines if line]

    return "\n".join(fitting(map(form, plan.EXTENTS), *screen))


def headline(ended: Summary, *, checked: bool) -> str:
    """How it ended, in one sentence."""
    if checked and ended.exit_code == 0:
        return "Checked: every row can be sent, or is left out by policy."
    if checked and ended.exit_code == 1:
        return "Checked: some rows cannot be sent."
    return _HEADLINES.get(ended.exit_code, "Ended.")


def _counts(ended: Summary, *, tabled: bool) -> list[str]:
    by_status = {status: ended.counts.get(status, 0) for status in Status}
    if not tabled:
        return [f"{rows(ended.rows)}: {counts(by_status)}."]
    shown = [(count, word(status)) for status, count in by_status.items() if count]
    return table([*shown, (ended.rows, "rows in all")])


def _advice(ended: Summary, *, checked: bool, brief: bool) -> list[str]:
    """What to do next, and where more is said of how it ended."""
    left = ended.counts.get(Status.PENDING, 0) + ended.counts.get(Status.IN_DOUBT, 0)
    if checked:
        send = import_checked(RunDirectory(Path(ended.run_dir))) if ended.counts.get(Status.PENDING) else None
        return [Whole(f"Send them with: {send}")] if send and ended.exit_code in (0, 1) else _explained(ended)
    lines: list[str] = [Whole(f"Go on with: {command('resume', ended.run_dir)}")] if left else []
    if ended.counts.get(Status.IN_DOUBT):
        lines.append(_DOUBT_BRIEFLY if brief else _DOUBT)
    return [*lines, *_explained(ended)]


def _explained(ended: Summary) -> list[str]:
    """Where it is said what an ending means, that asks for more than to look at rows."""
    return [Whole(f"What that means: {command('explain', str(ended.exit_code))}")] if 2 < ended.exit_code < 128 else []


def _reasons(reasons: Mapping[str, int], extent: plan.Extent, width: int, run_dir: str | None = None) -> list[str]:
    """`run_dir`: of the run whose report tells of all of them; None: none does."""
    # That a pending row was not attempted is what pending means.
    told = {reason: count for reason, count in reasons.items() if reason not in (NOT_ATTEMPTED, UNSENT)}
    if not told:
        return []
    lines = table(tally(told, extent.reasons))
    if not extent.whole:
        lines = [cut(line, width) for line in lines]
    if run_dir is not None and len(alike(told)) > extent.reasons:
        page = RunDirectory(Path(run_dir)).report
        report = command("report", run_dir, "--format", "html", "--output", "report.html")
        lines.append(Whole(f"    all of them: {page if page.exists() else report}"))
    return ["Reasons:", *lines]


def _codes(ended: Summary, extent: plan.Extent, width: int) -> list[str]:
    told = {code: count for code, count in ended.codes.items() if code != "0"}
    if not told:
        return []
    listed = ", ".join(f"{safe(code)} ({rows(count)})" for count, code in tally(told, extent.warnings, "code"))
    text = f"Codes of the target: {listed}."
    return [text if extent.whole else cut(text, width)]


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
        lines.append(Whole(f"Resubmit: {directory.resubmit} ({rows(mendable)} to mend and import again)"))
        lines.append(Whole(f"Then: {import_resubmit(directory)}"))
    return lines


def _ledgers(directory: RunDirectory) -> list[str]:
    ledgers = [path for path in (directory.ledger_parquet, directory.ledger_csv) if path.exists()]
    return [Whole(f"Ledger: {_listed(ledgers)}")] if ledgers else []


def _listed(paths: Sequence[Path]) -> str:
    return ", ".join(str(path) for path in paths)
