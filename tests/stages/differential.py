"""scripts/differential: texts without end, read by columns and each alone by its authority, until the two differ."""

import argparse
import math
import sys
from collections.abc import Callable
from itertools import islice
from random import Random
from time import monotonic
from typing import Final

from stages import mail_texts, phone_texts

#: Some texts of a kind, and what a column says of them in another way than their authority: how many, and which.
Trial = Callable[[Random], tuple[int, list[str]]]


def phones(random: Random) -> tuple[int, list[str]]:
    """A list of phones of a region."""
    region, texts = next(phone_texts.generated(random, 5000))
    return len(texts), phone_texts.disagreements(texts, region, all_by_column=random.random() < 0.5)


def mails(random: Random) -> tuple[int, list[str]]:
    """A list of mail addresses."""
    texts = list(islice(mail_texts.generated(random), 5000))
    return len(texts), list(mail_texts.disagreements(texts))


TRIALS: Final[dict[str, Trial]] = {"phones": phones, "mails": mails}


def main() -> int:
    """Compare and print."""
    parser = argparse.ArgumentParser(prog="scripts/differential", description=__doc__)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"of {', '.join(TRIALS)}; all of them")
    parser.add_argument("--seconds", type=float, help="for so long (60)")
    parser.add_argument("--numbers", type=int, help="or until so many texts of each kind are compared")
    parser.add_argument("--seed", type=int, default=0, help="where to begin (%(default)s)")
    options = parser.parse_args()
    for kind in options.kinds or TRIALS:
        if kind not in TRIALS:
            parser.error(f"there is no kind {kind}")
    return max([_run(kind, options) for kind in options.kinds or TRIALS])


def _run(kind: str, options: argparse.Namespace) -> int:
    until = monotonic() + (options.seconds or (60 if options.numbers is None else math.inf))
    most, began, compared, bad = options.numbers or math.inf, monotonic(), 0, 0
    seed = options.seed
    while compared < most and monotonic() < until:
        number, found = TRIALS[kind](Random(seed))
        compared += number
        bad += len(found)
        for difference in found:
            print(f"{difference}\n    scripts/differential {kind} --numbers 1 --seed {seed}", flush=True)  # noqa: T201
        seed += 1
    seconds = monotonic() - began
    print(f"{kind}: {compared:,} texts compared, {bad:,} differ, {seconds:.0f} s, next seed {seed}")  # noqa: T201
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
