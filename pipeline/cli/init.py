"""The command that begins with a list alone: `init`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli import options
from pipeline.cli.ending import ending
from pipeline.cli.terminal import complain, say

#: Ends so where no column with destinations was recognised: the configuration needs a look before it can be used.
NOT_MAPPED = 1


def init(
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help="A contact list.")],
    delimiter: options.Delimiter = None,
    encoding: options.Encoding = None,
    sheet: options.Sheet = None,
) -> None:
    """Look at a list and print a configuration for it.

    Guesses delimiter, encoding, what the columns hold, and the country of phone numbers, from the names of the columns
    and the first rows. Redirect it to a file, look at it, and try it: contact-pipeline check SOURCE --config FILE.

    Exit codes: 0; 1 no column with numbers or addresses was recognised; 2 usage or source.
    """
    with ending():
        from pipeline.run.drafting import draft_config

        made = draft_config(source, delimiter=options.delimiter(delimiter), encoding=encoding, sheet=sheet)
        if not sys.stdout.isatty() and (reconfigure := getattr(sys.stdout, "reconfigure", None)):
            reconfigure(encoding="utf-8")  # it goes to a file, and TOML is UTF-8 whatever the console speaks
        say(made.toml.rstrip("\n"))
        for doubt in made.doubts:
            complain(doubt)
        raise typer.Exit(0 if made.mapped else NOT_MAPPED)
