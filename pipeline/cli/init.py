"""The command that begins with a list alone: `init`."""

import os
import sys
from importlib.resources import files
from typing import Annotated

import typer

from pipeline.cli import options
from pipeline.cli.ending import ending
from pipeline.cli.terminal import complain, say, standard_input

#: Ends so where no column with destinations was recognised: the configuration needs a look before it can be used.
NOT_MAPPED = 1


def _schema(wanted: bool) -> None:
    if wanted:
        say(files("pipeline").joinpath("config.schema.json").read_text(encoding="utf-8").rstrip("\n"))
        raise typer.Exit


def init(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="A contact list, a glob, or - for standard input.")],
    schema: Annotated[
        bool,
        typer.Option(
            "--schema", callback=_schema, is_eager=True, help="Print the JSON Schema of all configurations, and exit."
        ),
    ] = False,
    delimiter: options.Delimiter = None,
    encoding: options.Encoding = None,
    sheet: options.Sheet = None,
) -> None:
    """Look at a list and print a configuration for it.

    Guesses delimiter, encoding, what the columns hold, and the country of phone numbers, from the names of the columns
    and the first rows; of a glob the first file is looked at. Redirect it to a file, look at it, and try it:
    contact-pipeline check SOURCE --config FILE.

    Exit codes: 0; 1 no column with numbers or addresses was recognised; 2 usage or source.
    """
    with ending():
        from pipeline.run.drafting import draft_config

        stdin = standard_input()
        if source == "-" and stdin is not None and os.isatty(stdin):
            complain("The list is read from this terminal: end it with Ctrl-D.")
        made = draft_config(source, delimiter=options.delimiter(delimiter), encoding=encoding, sheet=sheet, stdin=stdin)
        if not sys.stdout.isatty() and (reconfigure := getattr(sys.stdout, "reconfigure", None)):
            reconfigure(encoding="utf-8")  # it goes to a file, and TOML is UTF-8 whatever the console speaks
        say(made.toml.rstrip("\n"))
        for doubt in made.doubts:
            complain(doubt)
        raise typer.Exit(0 if made.mapped else NOT_MAPPED)
