"""What the tests of the command share: the command in this process, and a list and a configuration for it."""

import io
import logging
import re
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline import logs
from pipeline.cli import app

LIST = """\
customer_id,first_name,mobile,email
1,Ann,(416) 555-0101,ann@example.com
2,Ben,416-555-0102,
3,Cleo,not a number,
4,Dora,,dora@example.com
1,Ann,(416) 555-0101,ann@example.com
"""

CONFIG = """\
[target]
system = "onc"
endpoint = "{endpoint}"
account_id = "account"
username = "user"
password = {{ env = "TEST_PASSWORD" }}
campaign_id = "11111111-1111-4111-8111-111111111111"

[contacts]
key = ["customer_id"]
region = "CA"

[contacts.sms]
destination = "{{mobile}}"
text = "Hi {{first_name}}"

[contacts.email]
destination = "{{email}}"
"""


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        """Standard error without the moments of its log lines, whose digits may be anybody's number."""
        return re.sub(r'"timestamp": "[^"]*"', "", self.err)

    @property
    def complaints(self) -> list[str]:
        """The lines on standard error that are sentences: neither log lines nor progress."""
        return [line for line in self.err.splitlines() if not line.startswith(("{", "20"))]


def run(*arguments: str | Path) -> Ended:
    """Run the command in this process, without a terminal."""
    given = [str(argument) for argument in arguments]
    out, err = io.StringIO(), io.StringIO()
    logger = logging.getLogger(logs.NAME)
    before = logger.handlers[:], logger.level, logger.propagate
    argv, sys.argv = sys.argv, ["contact-pipeline", *given]
    try:
        with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
            app(given, prog_name="contact-pipeline")
    finally:
        sys.argv = argv
        logger.handlers[:], logger.level, logger.propagate = before
    code = ended.value.code
    assert isinstance(code, int)
    return Ended(code, out.getvalue(), err.getvalue())
