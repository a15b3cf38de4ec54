"""A configuration for a list that nobody has described yet: a guess as TOML, with comments for its reader."""

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Protocol

from pipeline.report.text import number

#: So many columns are listed.
COLUMNS: Final = 60

#: What stands where a person has to fill in something; commands that send refuse it.
ENDPOINT: Final = "https://onc.invalid/onc.svc"
CAMPAIGN: Final = "00000000-0000-0000-0000-000000000000"


class Consent(Protocol):
    """A column that says who may be contacted."""

    @property
    def column(self) -> str: ...
    @property
    def words(self) -> Sequence[str]: ...
    @property
    def sure(self) -> bool: ...


class Found(Protocol):
    """A column of destinations."""

    @property
    def column(self) -> str: ...
    @property
    def asked(self) -> int: ...
    @property
    def valid(self) -> int: ...
    @property
    def others(self) -> Sequence[str]: ...
    @property
    def consent(self) -> Consent | None: ...


class Guessed(Protocol):
    """What a list looks like."""

    @property
    def rows(self) -> int: ...
    @property
    def key(self) -> str | None: ...
    @property
    def repeated(self) -> int: ...
    @property
    def region(self) -> str | None: ...
    @property
    def regions(self) -> Sequence[str]: ...
    @property
    def channels(self) -> Mapping[str, Found]: ...
    @property
    def where(self) -> Consent | None: ...
    @property
    def unused(self) -> Sequence[Consent]: ...
    @property
    def name(self) -> str | None: ...
    @property
    def unnamed(self) -> Sequence[str]: ...


def draft(
    source: str,
    columns: Sequence[str],
    how_read: Sequence[str],
    told: Mapping[str, str],
    guess: Guessed,
    others: int = 0,
) -> str:
    """The configuration. `how_read` is what `plan.read` says of the source, `told` the options of reading it, `others`
    the number of files that were given beside it.
    """
    return "\n".join([*_head(source, columns, how_read, told, guess, others), *_TARGET, *_contacts(guess), ""])


def doubts(guess: Guessed) -> list[str]:
    """What a person must look at before anything is sent, in sentences."""
    lines = []
    if not guess.channels:
        lines.append("No column with numbers or addresses was recognised: name one in the configuration.")
    lines += [
        f"Column {quoted(name)} may hold destinations, but no template can name it: rename it in the list."
        for name in guess.unnamed
    ]
    lines += [
        f"Column {quoted(found.column)} is taken for {name}, but {number(found.valid)} of {number(found.asked)} "
        "looked at are valid: look whether it is the right one."
        for name, found in guess.channels.items()
        if found.valid * 2 < found.asked or not found.asked
    ]
    consents = [*(each.consent for each in guess.channels.values()), guess.where]
    lines += [
        f"Column {quoted(name)} speaks of consent, but not with yes and no: write the words that allow contact."
        for name in dict.fromkeys(each.column for each in consents if each is not None and not each.sure)
    ]
    lines += [
        f"Column {quoted(each.column)} speaks of consent too, and is NOT looked at: a channel has one condition."
        for each in guess.unused
    ]
    return lines


def quoted(text: str) -> str:
    """Text as TOML has it (a basic string), on one line, with nothing in it that acts on a terminal."""
    plain = json.dumps(text, ensure_ascii=False)[1:-1]
    return '"' + "".join(char if char.isprintable() else _escape(char) for char in plain) + '"'


def _escape(char: str) -> str:
    return f"\\u{ord(char):04x}" if ord(char) < 0x10000 else f"\\U{ord(char):08x}"


def _head(
    source: str,
    columns: Sequence[str],
    how_read: Sequence[str],
    told: Mapping[str, str],
    guess: Guessed,
    others: int,
) -> Iterator[str]:
    yield f"# Written by contact-pipeline init, which looked at {number(guess.rows)} rows of {quoted(source)}."
    if others:
        yield f"# It is the first of {number(others + 1)} files; check all of them with it."
    for line in how_read:
        yield f"# {line}"
    if told:
        options = " ".join(f"--{name} {shlex.quote(value)}" for name, value in told.items())
        yield f"# Give check and import the same options: {quoted(options)[1:-1]}"
    elif any("found out" in line for line in how_read):
        yield "# Where that is wrong: --delimiter and --encoding, with init, check and import."
    yield "# All of it is a guess. `check` works with it as it stands; before `import` fill in [target]."
    yield "#"
    yield f"# Columns: {', '.join(map(quoted, columns[:COLUMNS]))}"
    if len(columns) > COLUMNS:
        yield f"# and {number(len(columns) - COLUMNS)} more."
    for line in doubts(guess):
        yield f"# ATTENTION: {line}"
    yield ""


_TARGET: Final = (
    "[target]",
    'system = "onc"                                  # or another: see the README',
    f'endpoint = "{ENDPOINT}"        # FILL IN: address of the service',
    'account_id = { env = "ONC_ACCOUNT" }            # set these three in the environment',
    'username = { env = "ONC_USER" }',
    'password = { env = "ONC_PASSWORD" }',
    f'campaign_id = "{CAMPAIGN}"  # FILL IN: GUID of the campaign',
    "",
)


def _contacts(guess: Guessed) -> Iterator[str]:
    yield "[contacts]"
    if guess.key is None:
        yield '# key = ["customer_id"]  # a column that names a person for good; without one, the destinations do'
    else:
        repeated = f"; {number(guess.repeated)} rows repeat one, and would be duplicates" if guess.repeated else ""
        yield f"key = [{quoted(guess.key)}]  # names a person for good{repeated}"
    if guess.region is None:
        yield '# region = "CA"  # country of numbers without a country code: none was needed, or none fits'
    else:
        others = f"; {', '.join(guess.regions)} would fit as well" if guess.regions else ""
        yield f"region = {quoted(guess.region)}  # country of numbers without a country code{others}"
    yield '# suppress = ["do-not-contact.csv"]  # numbers, addresses or keys never to be contacted'
    if guess.where is not None:
        yield f"where = {_condition(guess.where)}  # only these rows{_doubt(guess.where)}"
    if not guess.channels:
        yield from ("", "# FILL IN one of these:", "# [contacts.sms]", '# destination = "{column}"')
    for name, found in guess.channels.items():
        yield from ("", *_channel(name, found, guess))
    if "voice" in guess.channels and "sms" not in guess.channels:
        yield from ("", "# The same numbers by short message:", "# [contacts.sms]")
        yield f"# destination = {_named(guess.channels['voice'].column)}"


def _channel(name: str, found: Found, guess: Guessed) -> Iterator[str]:
    yield f"[contacts.{name}]"
    yield f"destination = {_named(found.column)}  # {number(found.valid)} of {number(found.asked)} looked at are valid"
    if found.others:
        yield f"# instead: {', '.join(map(quoted, found.others))}"
    person = f" {{{guess.name}|}}" if guess.name is not None else ""
    example = f"<p>Hello{person}, ...</p>" if name == "email" else f"Hello{person}, ..."
    yield f"# text = {quoted(example)}  # without it the campaign's own text is sent"
    if found.consent is not None:
        yield f"when = {_condition(found.consent)}  # consent: others are left out{_doubt(found.consent)}"


def _named(column: str) -> str:
    return quoted(f"{{{column}}}")


def _condition(consent: Consent) -> str:
    return f"{{ column = {quoted(consent.column)}, in = [{', '.join(map(quoted, consent.words))}] }}"


def _doubt(consent: Consent) -> str:
    return "" if consent.sure else "; FILL IN the words that allow it"
