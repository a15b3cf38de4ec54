"""How fast columns of mail addresses are judged, beside asking the authority for each.

The addresses are made up and all different; some are spoilt in one of the ways in which lists are. Seconds are those of
the processor, of one core where POLARS_MAX_THREADS=1 is set: other work on the machine weighs less on them.
"""

import argparse
from random import Random
from time import process_time

import polars as pl

from pipeline.run.surroundings import SLICE_ROWS
from pipeline.stages.destinations.authorities import Authorities
from pipeline.stages.destinations.email import read_mail

NAMES = ("jane", "John", "mary-ann", "o'neil", "ali", "wei", "tremblay", "garcia", "nguyen", "smith", "MULLER", "b")
DOMAINS = ("gmail.com", "Hotmail.com", "yahoo.co.uk", "example.org", "mail.example.net", "t-online.de", "BIGCORP.COM")
#: What becomes of a spoilt one: its name and its domain are put in.
SPOILT = (
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
    *(
        "{0}&amp;x@{1}",
        "{0}&#64;{1}",
        "{0}\u200b@{1}",
        "\ufeff{0}@{1}",
        "{0}@x.test",
        "{0}@1.2.3.4",
        "{0} x@{1}",
        "{0}x\u00a0@{1}",
    ),
    *("z\u00f6e.{0}@{1}", "{0}@m\u00fcnchen.de", "{0}@xn--mnchen-3ya.de", '"{0}"@{1}', "zo\u00c3\u00ab{0}@{1}"),
)


def made_up(rows: int, bad: float) -> list[str]:
    """Addresses, `bad` of a hundred spoilt."""
    random = Random(rows)  # noqa: S311 - a list, not a secret
    texts = []
    for number in range(rows):
        name, domain = f"{random.choice(NAMES)}.{random.choice(NAMES)}{number}", random.choice(DOMAINS)
        form = random.choice(SPOILT) if random.random() < bad / 100 else "{0}@{1}"
        texts.append(form.format(name, domain))
    return texts


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="scripts/bench mails", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="addresses (%(default)s)")
    parser.add_argument("--bad", type=float, default=5, help="of a hundred, so many are spoilt (%(default)s)")
    parser.add_argument("--repeat", type=int, default=3, help="the best of so many rounds (%(default)s)")
    options = parser.parse_args()
    texts = made_up(options.rows, options.bad)
    column = pl.Series(texts)
    seconds = []
    for _ in range(options.repeat):
        authorities, began = Authorities(), process_time()
        for start in range(0, options.rows, SLICE_ROWS):
            authorities.mails(column.slice(start, SLICE_ROWS))
        seconds.append(process_time() - began)
    few = texts[:20_000]
    began = process_time()
    for text in few:
        read_mail(text)
    alone = (process_time() - began) / len(few)
    columns = min(seconds) / options.rows
    print(f"{options.rows:,} addresses, {options.bad:g} of a hundred spoilt, in batches of {SLICE_ROWS:,}")
    print(f"{'':<22}{'microseconds':>13}{'rows/s':>13}")
    for name, each in (("columns", columns), ("one by one", alone)):
        print(f"{name:<22}{each * 1e6:>13.2f}{1 / each:>13,.0f}")
    print(f"columns are {alone / columns:.0f} times as fast; the goal: 1,000,000 rows/s on one core")


if __name__ == "__main__":
    main()
