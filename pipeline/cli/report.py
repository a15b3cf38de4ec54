"""Reports of a run in other forms: the command `report`, and `--report` of the commands that make runs."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli import choices, options
from pipeline.cli.ending import ending
from pipeline.cli.terminal import complain, say

if TYPE_CHECKING:
    from pipeline.report.digest import Digest
    from pipeline.report.forms import Form
    from pipeline.run import Result

#: Where GitHub Actions tells that the checkout lies, and that a step's summary goes.
WORKSPACE = "GITHUB_WORKSPACE"
STEP_SUMMARY = "GITHUB_STEP_SUMMARY"

#: The code of a run whose report cannot be written, unless it ended with something more serious.
NOT_WRITTEN = 8


def report(
    run_dir: options.RunDirectory,
    form: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="html, junit or github.",
            autocompletion=choices.of(choices.FORMS),
        ),
    ],
    output: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="Where it goes. Default: standard output.")
    ] = None,
) -> None:
    """Report a run, finished or not, in a form that a person reads or other programs show.

    html: a page that opens offline, as import, check and resume leave it in RUN_DIR. junit: a test case for each
    reason. github: annotations, and a step summary where GITHUB_STEP_SUMMARY is set. No
    destination and no key stands in a report.

    Exit codes: 0 it is written, however the run ended; 2 there is no run; 8 it cannot be read or written.
    """
    with ending():
        from pipeline import run

        wanted = _form("--format", form)
        digest = run.digest_of(run_dir)
        if output is None:
            say(wanted.render(digest, _checkout()).rstrip("\n"))
        elif not _written(output, wanted.render(digest, _checkout())):
            raise typer.Exit(NOT_WRITTEN)
        if not _summarised(wanted, digest):
            raise typer.Exit(NOT_WRITTEN)


@dataclass(frozen=True, slots=True)
class Reports:
    """The reports that a run was asked for: forms, and the files that they go to (None: where the form has it)."""

    wanted: "tuple[tuple[Form, Path | None], ...]"

    def of(self, result: "Result") -> int:
        """Write the reports of a run that has ended; gives the exit code, which tells of a report not written."""
        from pipeline import run

        code = result.summary.exit_code
        if not self.wanted or self._write(run.digest_of(Path(result.summary.run_dir))):
            return code
        return max(code, NOT_WRITTEN)

    def _write(self, digest: "Digest") -> bool:
        written = True
        for form, file in self.wanted:
            if file is None and form.file is not None and digest.run_dir:
                file = Path(digest.run_dir) / form.file
            if file is not None:
                written &= _written(file, form.render(digest, _checkout()))
            elif form.file is None:
                # Standard output is the summary's, perhaps for a program; GitHub reads both.
                complain(form.render(digest, _checkout()).rstrip("\n"))
            written &= _summarised(form, digest)
        return written


@contextmanager
def reporting(given: Sequence[str] | None, *, checked: bool = False) -> Iterator[Reports]:
    """Take `--report FORMAT[=FILE]` at its word before anything is begun, and report what went wrong without a run."""
    from pipeline.errors import RunError

    wanted = []
    for each in given or ():
        name, _, file = each.partition("=")
        wanted.append((_form("--report", name), Path(file) if file else None))
        _check_place(file)
    reports = Reports(tuple(wanted))
    try:
        yield reports
    except RunError as error:
        if wanted:
            from pipeline.report.digest import of_error

            reports._write(of_error(error, checked=checked))
        raise


def _form(option: str, name: str) -> "Form":
    from pipeline.errors import UsageError
    from pipeline.report.forms import FORMS

    if name not in FORMS:
        raise UsageError(f"{option}: {name!r} is no form of report; there are: {', '.join(FORMS)}")
    return FORMS[name]


def _check_place(file: str) -> None:
    from pipeline.errors import UsageError

    if file and not Path(file).parent.is_dir():
        raise UsageError(f"--report: {Path(file).parent} is no directory: make it, or choose another file")


def _checkout() -> Path:
    return Path(os.environ.get(WORKSPACE) or Path.cwd()).absolute()


def _written(file: Path, text: str, mode: str = "w") -> bool:
    """Write it for everybody that may read the directory: no one's number is in it."""
    try:
        with file.open(mode, encoding="utf-8", newline="\n") as target:
            target.write(text)
    except OSError as error:
        complain(f"{file}: the report cannot be written: {error.strerror or error}")
        return False
    return True


def _summarised(form: "Form", digest: "Digest") -> bool:
    """Add the step summary that the form has to what the step has said already."""
    place = os.environ.get(STEP_SUMMARY)
    return form.step_summary is None or not place or _written(Path(place), form.step_summary(digest), "a")
