"""The register of forms that a run can be reported in. A further form is one module and one line here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pipeline.ledger import rundirectory
from pipeline.report import github, html, junit
from pipeline.report.digest import Digest


@dataclass(frozen=True, slots=True)
class Form:
    """One form of report."""

    render: Callable[[Digest, Path], str]  # the report of a run; the path is that of the checkout
    file: str | None  # its name in the run directory, where a run writes it; None: it is for a program that reads along
    step_summary: Callable[[Digest], str] | None = None  # what goes to GITHUB_STEP_SUMMARY


FORMS: Final[Mapping[str, Form]] = {
    "html": Form(lambda digest, _: html.render(digest), rundirectory.REPORT),
    "junit": Form(lambda digest, _: junit.render(digest), "report.xml"),
    "github": Form(github.commands, None, github.step_summary),
}
