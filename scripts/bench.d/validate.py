"""How fast columns of destinations are read, against their authority alone: rows a second of one core, and the ratio.

Lists in which 95 % are well-formed, in the ways in which people write them, and 5 % are not; no text repeats but words
for nothing. Both are measured in turns, by the time of the processor, so that what else the machine does weighs on
both.
"""

import argparse
import os
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from random import Random
from time import process_time

os.environ["POLARS_MAX_THREADS"] = "1"  # polars reads it as it is loaded

import email_validator
import phonenumbers
import polars as pl
from phonenumbers import PhoneNumber, PhoneNumberFormat

from pipeline.stages.destinations.authorities import Authorities


@dataclass(frozen=True)
class Kind:
    """One kind of destinations."""

    lists: dict[str, Callable[[Random], Iterator[str]]]  # by name: what makes texts for ever
    spoil: Callable[[Random, str], str]
    column: Callable[[Authorities, pl.Series, str], object]  # ours; the last is the name of the list
    alone: Callable[[str, str], object]  # the authority's


def numbers(*wanted: tuple[str, int]) -> Callable[[Random], Iterator[str]]:
    """Valid numbers of regions, each in one of phonenumbers' forms."""

    def made(random: Random) -> Iterator[str]:
        kinds = {region: tuple(filter(None, (example(region, kind) for kind in (0, 1)))) for region, _ in wanted}
        while True:
            region, form = random.choice(wanted)
            model = random.choice(kinds[region])
            digits, size = str(model.national_number), random.randint(4, 6)
            digits = digits[:-size] + "".join(random.choices("0123456789", k=size))
            number = PhoneNumber(model.country_code, int(digits), italian_leading_zero=model.italian_leading_zero)
            if phonenumbers.is_valid_number(number):
                yield phonenumbers.format_number(number, form)

    return made


def example(region: str, kind: int) -> PhoneNumber | None:
    """An example of a fixed line (0) or a mobile (1)."""
    return phonenumbers.example_number_for_type(region, kind)


def spoilt_number(random: Random, text: str) -> str:
    """What becomes of a number in spreadsheets and in forms."""
    match random.randrange(9):
        case 0:
            return random.choice(("N/A", "none", "-", "unknown", "?", "0", "see notes"))
        case 1:
            return text[: -random.randint(1, 3)]
        case 2:
            return text + str(random.randint(0, 99))
        case 3:
            return f"{random.uniform(1, 9):.5f}E+11"
        case 4:
            return text + ".0"
        case 5:
            return text + " / " + text[:-2] + f"{random.randint(0, 99):02}"
        case 6:
            return text.replace("0", "O", 1)
        case 7:
            return text[:-4] + random.choice("0123456789") + text[-4:]
        case _:
            return text + random.choice((" (home)", " mobile", " a", "?", " ask for Ann"))


def phone(text: str, name: str) -> str | None:
    """What phonenumbers says of a text: E.164, after it has told the type of the number."""
    try:
        number = phonenumbers.parse(text, name[:2])
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        return None
    phonenumbers.number_type(number)
    return phonenumbers.format_number(number, PhoneNumberFormat.E164)


def addresses(names: tuple[str, ...], domains: tuple[str, ...]) -> Callable[[Random], Iterator[str]]:
    """Valid addresses, no two alike."""

    def made(random: Random) -> Iterator[str]:
        for number in count():
            yield f"{random.choice(names)}.{random.choice(names)}{number}@{random.choice(domains)}"

    return made


#: What becomes of an address in forms and in other people's scripts: its name and its domain are put in.
SPOILT_ADDRESSES = (
    *(
        "{0}{1}",
        "{0}.{1}",
        "N/A",
        "none",
        "{0} @{1}",
        "{0}@ {1}",
        "{0}@gmail",
        "{0}@gmail,com",
        "{0}..x@{1}",
        "{0}.@{1}",
    ),
    *(
        "{0}@{1}.",
        "{0}@@{1}",
        "{0}@x@{1}",
        "Jane Doe <{0}@{1}>",
        "{0}@{1}; {0}@example.org",
        "{0}@{1};",
        "mailto:{0}@{1}",
    ),
    *("{0}&amp;x@{1}", "{0}&#64;{1}", "{0}\u200b@{1}", "\ufeff{0}@{1}", "{0}@x.test", "{0}@1.2.3.4", "{0} x@{1}"),
    *(
        "z\u00f6e.{0}@{1}",
        "{0}@m\u00fcnchen.de",
        "{0}@xn--mnchen-3ya.de",
        '"{0}"@{1}',
        "zo\u00c3\u00ab{0}@{1}",
        "{0}\u00a0@{1}",
    ),
)


def spoilt_address(random: Random, text: str) -> str:
    """One of them."""
    return random.choice(SPOILT_ADDRESSES).format(*text.split("@"))


def mail(text: str, _: str) -> str | None:
    """What email-validator says of a text: the address as it is sent."""
    try:
        return email_validator.validate_email(text, check_deliverability=False).ascii_email
    except ValueError:
        return None


E164, INTERNATIONAL, NATIONAL = PhoneNumberFormat.E164, PhoneNumberFormat.INTERNATIONAL, PhoneNumberFormat.NATIONAL
KINDS = {
    "phones": Kind(
        {  # the first two letters are the region of the list
            "CA, national": numbers(("CA", NATIONAL)),
            "US, E.164": numbers(("US", E164)),
            "GB, national": numbers(("GB", NATIONAL)),
            "DE, international": numbers(("DE", INTERNATIONAL)),
            "FR, both": numbers(("FR", NATIONAL), ("FR", INTERNATIONAL)),
            "IT, national": numbers(("IT", NATIONAL)),
            "GB and six more": numbers(*((region, E164) for region in ("GB", "US", "DE", "FR", "IT", "ES", "NL"))),
        },
        spoilt_number,
        lambda authorities, texts, name: authorities.phones(texts, name[:2], remember=False),
        phone,
    ),
    "mails": Kind(
        {
            "lower case": addresses(
                ("jane", "john", "mary-ann", "o'neil", "ali", "wei", "tremblay", "garcia", "nguyen", "smith", "b"),
                ("gmail.com", "hotmail.com", "yahoo.co.uk", "example.org", "mail.example.net", "t-online.de"),
            ),
            "Names, CAPITALS": addresses(("Jane", "JOHN", "Smith", "Garcia"), ("Gmail.com", "BIGCORP.COM", "x.org")),
        },
        spoilt_address,
        lambda authorities, texts, _: authorities.mails(texts, remember=False),
        mail,
    ),
}


def measured(work: Callable[[], object]) -> float:
    """Seconds of the processor."""
    began = process_time()
    work()
    return process_time() - began


def compare(kind: Kind, name: str, options: argparse.Namespace) -> tuple[float, float]:
    """Rows a second of a list, by columns and by the authority alone."""
    random = Random(name)  # noqa: S311 - nothing secret
    good = kind.lists[name](random)
    texts = [next(good) for _ in range(options.rows)]
    texts = [kind.spoil(random, text) if random.random() < options.bad / 100 else text for text in texts]
    column = pl.Series(texts)
    authorities = Authorities()

    def ours() -> None:
        for start in range(0, len(texts), options.batch):
            kind.column(authorities, column.slice(start, options.batch), name)

    some = texts[:: max(1, len(texts) // 2000)]

    def theirs() -> None:
        for text in some:
            kind.alone(text, name)

    ours()  # patterns are compiled when they are first needed
    times = [(measured(ours), measured(theirs)) for _ in range(options.turns)]
    return (
        len(texts) / statistics.median(time for time, _ in times),
        len(some) / statistics.median(time for _, time in times),
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="scripts/bench validate", description=__doc__)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"of {', '.join(KINDS)}; all of them")
    parser.add_argument("--rows", type=int, default=65_536, help="rows of a list (%(default)s)")
    parser.add_argument(
        "--bad", type=float, default=5, help="how many of them are not well-formed, in %% (%(default)s)"
    )
    parser.add_argument(
        "--batch",
        type=int,
        default=8192,
        help="rows at a time (%(default)s, as the walk that sends; a survey takes 32768)",
    )
    parser.add_argument("--turns", type=int, default=5, help="turns, of which the median counts (%(default)s)")
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    print(f"{'':<24}{'ratio':>8}{'rows/s':>12}{'alone':>10}")
    for kind in options.kinds or KINDS:
        for name in KINDS[kind].lists:
            ours, theirs = compare(KINDS[kind], name, options)
            print(f"{kind + ': ' + name:<24}{ours / theirs:>8.0f}{ours:>12,.0f}{theirs:>10,.0f}", flush=True)
    print("the goal is a million rows a second")


if __name__ == "__main__":
    main()
