"""The command line: what people type, thinly over `pipeline.run`. Heavy imports wait until a command needs them."""

from functools import partial
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from pipeline import __version__
from pipeline.cli.campaign import campaign
from pipeline.cli.completion import answered, asked
from pipeline.cli.contacts import check, import_, resume
from pipeline.cli.explain import explain
from pipeline.cli.init import init
from pipeline.cli.inspecting import status, verify
from pipeline.cli.person import person
from pipeline.cli.report import report
from pipeline.cli.runs import all_runs
from pipeline.cli.session import session
from pipeline.cli.simulate import simulate
from pipeline.cli.terminal import bear_any_text
from pipeline.cli.undo import undo

__all__ = ["app"]


class _InOrder(TyperGroup):
    """Lists commands in the order of use; groups would come last otherwise."""

    ORDER = (
        "init",
        "import",
        "check",
        "resume",
        "status",
        "report",
        "verify",
        "undo",
        "runs",
        "person",
        "session",
        "campaign",
        "explain",
        "simulate",
    )

    def list_commands(self, ctx: Any) -> list[str]:
        return sorted(super().list_commands(ctx), key=self.ORDER.index)

    def main(self, *arguments: Any, **more: Any) -> Any:
        return answered(partial(super().main, *arguments, **more)) if asked() else super().main(*arguments, **more)


# Without markup the help needs no rich, which takes longer to import than all the rest of this.
app = typer.Typer(
    name="contact-pipeline",
    cls=_InOrder,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"contact-pipeline {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Bulk contact import for contact centres: every row accounted for."""
    bear_any_text()


app.command("init")(init)
app.command("import")(import_)
app.command("check")(check)
app.command("resume")(resume)
app.command("verify")(verify)
app.command("status")(status)
app.command("report")(report)
app.command("undo")(undo)
app.add_typer(all_runs, name="runs")
app.add_typer(person, name="person")
app.add_typer(session, name="session")
app.add_typer(campaign, name="campaign")
app.command("explain")(explain)
app.command("simulate")(simulate)
